//! Events as requests, and what responses to them mean.

use crate::coap::client::{Failure, Target, outcome, publication};
use crate::coap::codec::{Code, option};
use crate::coap::{Response, format};
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{
    Address, Assurance, Cause, Details, Event, EventId, Identity, Origin, Outcome, Timestamp,
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
