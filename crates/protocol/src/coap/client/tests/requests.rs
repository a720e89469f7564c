//! Events as requests, and what responses to them mean.

use crate::coap::client::{Failure, Target, outcome, publication};
use crate::coap::codec::{Code, option};
use crate::coap::{Response, format};
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{
    Address, Assurance, Cause, Details, Event, EventId, Identity, Origin, Outcome, Principal, Timestamp,
};

fn event(details: Details) -> Event {
    Event {
        id: EventId::from_u128(7),
        time: Timestamp::from_micros(0),
        address: Address::new("devices/meter-1/telemetry").unwrap(),
        origin: Arc::new(Origin {
            identity: Identity::anonymous(),
            session: "s".into(),
            protocol: "mqtt",
            listener: "l".into(),
        }),
        assurance: Assurance::AtLeastOnce,
        retain: false,
        expires: None,
        payload: "{}".into(),
        details: Some(Box::new(details)),
    }
}

fn texts(request: &crate::coap::client::Outgoing, number: u16) -> Vec<String> {
    request
        .options
        .as_options()
        .values(number)
        .map(|value| String::from_utf8(value.to_vec()).unwrap())
        .collect()
}

#[test]
fn an_event_is_a_post_to_the_members_path_with_its_attributes_in_the_query() {
    let target = Target::new("Service.example", "/a%2Fb/c?key=1&x", "edge-1".into());
    let headers = vec![("ce-type".into(), "reading".into()), ("room".into(), "7".into())];
    let details = Details { content_type: Some("application/json".into()), headers, ..Details::default() };
    let request = publication(&target, &event(details));
    assert_eq!((request.code, &request.payload[..]), (Code::POST, &b"{}"[..]));
    assert_eq!(texts(&request, option::URI_HOST), ["service.example"]);
    assert_eq!(texts(&request, option::URI_PATH), ["a/b", "c"]);
    assert_eq!(
        texts(&request, option::URI_QUERY),
        [
            "key=1",
            "x",
            "ce-id=00000000-0000-0000-0000-000000000007",
            "ce-source=windrose://edge-1/anonymous/s",
            "ce-type=reading",
            "ce-subject=devices/meter-1/telemetry",
            "windrose-via=edge-1",
            "room=7",
        ]
    );
    assert_eq!(request.options.as_options().uint(option::CONTENT_FORMAT), Some(format::JSON.into()));
}

#[test]
fn which_thing_it_was_and_whose_is_the_nodes_to_say() {
    let target = Target::new("10.0.0.1", "/", "edge-1".into());
    let said = |principal: Principal| {
        let names = ["ce-deviceid", "CE-OwnerID"].map(|name| (name.into(), "spoofed".into()));
        let mut event = event(Details { headers: names.to_vec(), ..Details::default() });
        let identity = Identity { principal, ..Identity::anonymous() };
        event.origin = Arc::new(Origin { identity, ..(*event.origin).clone() });
        let mut query = texts(&publication(&target, &event), option::URI_QUERY);
        query
            .retain(|pair| pair.contains("deviceid") || pair.contains("ownerid") || pair.contains("spoofed"));
        query
    };
    let car = Principal::Device { id: "car-7".into(), owner: Some("alice".into()) };
    assert_eq!(said(car), ["ce-deviceid=car-7", "ce-ownerid=alice"]);
    assert_eq!(said(Principal::Owner { id: "alice".into() }), ["ce-ownerid=alice"]);
    assert_eq!(said(Principal::Anonymous), [""; 0]);
}

#[test]
fn what_would_leave_no_room_for_the_payload_is_left_out() {
    let target = Target::new("10.0.0.1", "/", "edge-1".into());
    let headers = (0..100).map(|index| (format!("name-{index}").into(), "x".repeat(60).into())).collect();
    let request = publication(&target, &event(Details { headers, ..Details::default() }));
    assert!(texts(&request, option::URI_HOST).is_empty() && texts(&request, option::URI_PATH).is_empty());
    assert!(request.options.as_options().as_bytes().len() < 560);
}

#[test]
fn codes_mean_outcomes() {
    let of = |response: Response| outcome(&Ok(response));
    for code in [Code::CREATED, Code::CHANGED, Code::CONTENT] {
        assert_eq!(of(Response::new(code)), Outcome::Accepted);
    }
    let wait = Some(Duration::from_secs(9));
    let busy = Response::new(Code::TOO_MANY_REQUESTS).with_uint(option::MAX_AGE, 9);
    assert_eq!(of(busy), Outcome::Busy { retry_after: wait });
    let away = Response::new(Code::SERVICE_UNAVAILABLE).with_uint(option::MAX_AGE, 9);
    assert_eq!(of(away), Outcome::Unavailable { retry_after: wait });
    assert_eq!(of(Response::new(Code::INTERNAL_SERVER_ERROR)), Outcome::unavailable());
    let no = Response::diagnostic(Code::NOT_FOUND, "no such\nmeter");
    let why = "CoAP 4.04 Not Found: no such meter";
    assert_eq!(of(no), Outcome::rejected_because(Cause::ByService, why));
    assert_eq!(outcome(&Err(Failure::TimedOut)), Outcome::TimedOut);
    assert_eq!(outcome(&Err(Failure::Reset)), Outcome::unavailable());
}
