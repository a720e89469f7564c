//! SUBSCRIBE and UNSUBSCRIBE.

use super::*;
use windrose_event::{Cause, Rejection, SubscriptionRequest};

fn subscribe(packet_id: u16, filters: Vec<SubscribeFilter>) -> Packet {
    Packet::Subscribe(Subscribe { packet_id, properties: None, filters })
}

fn unsubscribe(packet_id: u16, filters: &[&str]) -> Packet {
    let filters = filters.iter().map(|&filter| filter.into()).collect();
    Packet::Unsubscribe(Unsubscribe { packet_id, properties: None, filters })
}

fn requests(link: &mut Link) -> (Tag, Vec<SubscriptionRequest>) {
    match link.intent() {
        Intent::Subscribe { tag, requests } => (tag, requests),
        other => panic!("{other:?}"),
    }
}

/// The codes of the one SUBACK or UNSUBACK that came.
fn codes(link: &mut Link, id: u16) -> Vec<u8> {
    let (Packet::Suback(suback) | Packet::Unsuback(suback)) = link.read_one() else { panic!() };
    assert_eq!(suback.packet_id, id);
    suback.codes.iter().map(|code| code.0).collect()
}

fn rejected(cause: Cause) -> Result<Assurance, Rejection> {
    Err(Rejection { cause, detail: None })
}

#[test]
fn a_subscription_reaches_the_engine_with_its_options() {
    let mut link = Link::open(Version::V5);
    link.send(Packet::Subscribe(Subscribe {
        packet_id: 3,
        properties: with(|properties| properties.subscription_identifiers.push(77)),
        filters: vec![
            SubscribeFilter {
                qos: Assurance::ExactlyOnce,
                no_local: true,
                retain_as_published: true,
                retain_handling: RetainedDelivery::IfNew,
                ..subscription("devices/+/telemetry")
            },
            subscription("$share/workers/jobs/#"),
        ],
    }));
    let (tag, requests) = requests(&mut link);
    assert_eq!((tag, requests.len()), (Tag(3), 2));
    let (first, second) = (&requests[0], &requests[1]);
    assert_eq!((first.filter.as_str(), first.group.as_ref()), ("devices/+/telemetry", None));
    assert!(first.no_local && first.retain_as_published);
    assert_eq!((first.assurance, first.retained), (Assurance::ExactlyOnce, RetainedDelivery::IfNew));
    assert_eq!((second.filter.as_str(), second.group.clone()), ("jobs/#", Some("workers".into())));
    assert_eq!((first.identifier, second.identifier), (Some(77), Some(77)));
}

#[test]
fn suback_says_what_was_granted_in_each_version_s_codes() {
    let results = || {
        vec![
            Ok(Assurance::AtMostOnce),
            Ok(Assurance::ExactlyOnce),
            rejected(Cause::NotPermitted),
            rejected(Cause::Quota),
            rejected(Cause::BadAddress),
            rejected(Cause::Unsupported),
            rejected(Cause::ByService),
        ]
    };
    let expected = [[0, 2, 0x80, 0x80, 0x80, 0x80, 0x80], [0, 2, 0x80, 0x97, 0x8f, 0x9e, 0x80]];
    for (version, expected) in BOTH.into_iter().zip(expected) {
        let mut link = Link::open(version);
        let filters = ["a", "b", "c", "d", "e", "f", "g"].map(subscription);
        link.send(subscribe(3, filters.into()));
        let (tag, _) = requests(&mut link);
        link.tell(Directive::Subscribed { tag, results: results() });
        assert_eq!(codes(&mut link, 3), expected);
    }
}

#[test]
fn a_filter_that_is_none_has_its_code_in_its_place() {
    let (version, invalid) = (Version::V5, 0x8f);
    {
        let mut link = Link::open(version);
        let filters = ["a/#/b", "good", "a+", "$share//x", "$share/g", "also/good", "$share"];
        link.send(subscribe(3, filters.map(subscription).into()));
        let (tag, requests) = requests(&mut link);
        assert_eq!(
            requests.iter().map(|request| request.filter.as_str()).collect::<Vec<_>>(),
            ["good", "also/good"]
        );
        let results = vec![Ok(Assurance::AtLeastOnce), Ok(Assurance::AtMostOnce)];
        link.tell(Directive::Subscribed { tag, results });
        assert_eq!(codes(&mut link, 3), [invalid, 1, invalid, invalid, invalid, 0, invalid]);
    }
}

#[test]
fn filters_of_which_none_is_one_are_answered_without_the_engine() {
    let mut link = Link::open(Version::V5);
    link.send(subscribe(3, vec![subscription("#/"), subscription("$share/+/a"), subscription("$share/g/")]));
    assert!(link.intents().is_empty());
    assert_eq!(codes(&mut link, 3), [0x8f; 3]);
    assert!(link.server.is_open());
}

#[test]
fn before_mqtt_5_a_filter_that_is_none_ends_the_connection() {
    for filter in ["#/", "a+", "$share/+/a"] {
        let mut link = Link::open(Version::V3);
        link.send(subscribe(3, vec![subscription("good"), subscription(filter)]));
        link.assert_hung_up();
        let mut link = Link::open(Version::V3);
        link.send(unsubscribe(3, &["good", filter]));
        link.assert_hung_up();
    }
}

#[test]
fn several_subscribes_may_wait_and_each_gets_its_own_answer() {
    let mut link = Link::open(Version::V5);
    link.send(subscribe(1, vec![subscription("bad#"), subscription("a")]));
    link.send(subscribe(2, vec![subscription("b"), subscription("bad#")]));
    link.send(unsubscribe(3, &["c", "bad#"]));
    assert_eq!(link.intents().len(), 3);
    link.tell(Directive::Unsubscribed { tag: Tag(3), results: vec![true] });
    assert_eq!(codes(&mut link, 3), [0, 0x8f]);
    link.tell(Directive::Subscribed { tag: Tag(2), results: vec![Ok(Assurance::AtMostOnce)] });
    assert_eq!(codes(&mut link, 2), [0, 0x8f]);
    link.tell(Directive::Subscribed { tag: Tag(1), results: vec![Ok(Assurance::AtLeastOnce)] });
    assert_eq!(codes(&mut link, 1), [0x8f, 1]);
}

#[test]
fn a_shared_subscription_may_not_be_without_its_own_events() {
    let mut link = Link::open(Version::V5);
    link.send(subscribe(3, vec![SubscribeFilter { no_local: true, ..subscription("$share/g/a") }]));
    link.assert_broken(ReasonCode::PROTOCOL_ERROR);
}

#[test]
fn unsubscribe_names_groups_and_filters() {
    let mut link = Link::open(Version::V5);
    link.send(unsubscribe(4, &["a/#", "$share/g/b", "c/#/d"]));
    let intent = link.intent();
    let Intent::Unsubscribe { tag: Tag(4), filters } = intent else { panic!("{intent:?}") };
    let filters: Vec<_> = filters.iter().map(|(group, filter)| (group.as_deref(), filter.as_str())).collect();
    assert_eq!(filters, [(None, "a/#"), (Some("g"), "b")]);
    link.tell(Directive::Unsubscribed { tag: Tag(4), results: vec![true, false] });
    assert_eq!(codes(&mut link, 4), [0x00, 0x11, 0x8f]);
}

#[test]
fn an_old_unsuback_has_nothing_but_its_identifier() {
    let mut link = Link::open(Version::V3);
    link.send(unsubscribe(4, &["a"]));
    link.intent();
    link.tell(Directive::Unsubscribed { tag: Tag(4), results: vec![false] });
    assert_eq!(link.unread, [0xb0, 2, 0, 4]);
}

#[test]
fn who_asks_for_more_than_it_takes_the_answer_to_is_told_so() {
    let mut link = Link::open_with(Version::V5, config(), |connect| {
        connect.properties = with(|properties| properties.maximum_packet_size = Some(20));
    });
    link.send(subscribe(3, vec![subscription("a"); 16]));
    link.intent();
    link.tell(Directive::Subscribed { tag: Tag(3), results: vec![Ok(Assurance::AtMostOnce); 16] });
    let Packet::Disconnect(disconnect) = link.read_one() else { panic!() };
    assert_eq!(disconnect, Disconnect { code: ReasonCode::PACKET_TOO_LARGE, properties: None });
    assert!(matches!(link.closed_with().cause, CloseCause::Protocol(_)));
}
