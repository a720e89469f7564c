//! Publications: acknowledgements of every kind, the server's bounds, and what a new connection finds.

use super::*;
use crate::mqtt::codec::Ack;
use windrose_event::{Cause, Details, Rejection};

fn publish_id(packet: &Packet) -> (u16, bool, String) {
    match packet {
        Packet::Publish(publish) => {
            (publish.packet_id, publish.dup, String::from_utf8_lossy(&publish.payload).into_owned())
        }
        Packet::Pubrel(ack) => (ack.packet_id, false, "release".to_owned()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_event_keeps_what_it_says_and_tells_which_node_sent_it_on() {
    let mut link = Link::open();
    let mut event = event("a/b", "23", Assurance::AtLeastOnce);
    let changed = Arc::make_mut(&mut event);
    changed.retain = true;
    changed.expires = Some(link.now.wall + Duration::from_secs(90));
    changed.details = Some(Box::new(Details {
        content_type: Some("text/plain".into()),
        is_text: Some(true),
        reply_to: Some(Address::new("re").unwrap()),
        correlation: Some(Bytes::from_static(b"c")),
        headers: vec![("k".into(), "v".into())],
        ..Details::default()
    }));
    link.now = link.now.after(Duration::from_secs(30));
    link.publish(1, event);
    let publish = link.published();
    let properties = *publish.properties.unwrap();
    assert!(publish.retain && !publish.dup);
    assert_eq!((publish.qos, &*publish.topic), (Assurance::AtLeastOnce, "a/b"));
    assert_eq!(properties.message_expiry_interval, Some(60), "it is counted down");
    assert_eq!(properties.content_type.as_deref(), Some("text/plain"));
    assert_eq!(properties.payload_format_indicator, Some(1));
    assert_eq!(properties.response_topic.as_deref(), Some("re"));
    assert_eq!(properties.correlation_data.as_deref(), Some(&b"c"[..]));
    let headers: Vec<_> =
        properties.user_properties.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(headers, [("k", "v"), ("windrose-via", "here")]);
}

#[test]
fn an_acknowledgement_settles_as_its_code_says() {
    let rejected = |cause| Outcome::Rejected(Rejection { cause, detail: None });
    let table = [
        (0x00, Outcome::Accepted),
        (0x10, Outcome::Accepted),
        (0x80, Outcome::unavailable()),
        (0x83, Outcome::unavailable()),
        (0x87, rejected(Cause::NotPermitted)),
        (0x90, rejected(Cause::BadAddress)),
        (0x97, Outcome::Busy { retry_after: None }),
        (0x99, rejected(Cause::BadPayload)),
        (0xff, rejected(Cause::ByService)),
    ];
    for (code, expected) in table {
        for assurance in [Assurance::AtLeastOnce, Assurance::ExactlyOnce] {
            let mut link = Link::open();
            link.publish(7, event("a", "x", assurance));
            let packet_id = link.published().packet_id;
            assert!(link.settled().is_empty(), "not before the server has said so");
            let ack = Ack { packet_id, code: ReasonCode(code), properties: None };
            if assurance == Assurance::AtLeastOnce {
                link.send(Packet::Puback(ack));
            } else {
                link.send(Packet::Pubrec(ack));
                if code < 0x80 {
                    assert!(link.settled().is_empty(), "PUBREC is not the end");
                    assert_eq!(link.read_one(), Packet::Pubrel(Ack::success(packet_id)));
                    link.send(Packet::Pubcomp(Ack::success(packet_id)));
                }
            }
            assert_eq!(link.settled(), [(7, expected.clone())], "{code:#x}");
            assert!(link.client.is_settled());
        }
    }
}

#[test]
fn at_most_once_is_sent_and_that_is_all() {
    let mut link = Link::open();
    link.publish(7, event("a", "x", Assurance::AtMostOnce));
    assert_eq!(link.published().packet_id, 0);
    assert!(matches!(link.outputs()[..], [ClientOutput::Sent { token: 7 }]));
    assert!(link.client.is_settled());
}

#[test]
fn the_servers_receive_maximum_is_kept() {
    let properties = Properties { receive_maximum: Some(2), ..Properties::default() };
    let mut link = Link::open_with(config(Version::V5), properties);
    for token in 0..4 {
        link.publish(token, event("a", &token.to_string(), Assurance::AtLeastOnce));
    }
    let first = link.read();
    assert_eq!(first.len(), 2);
    let (packet_id, ..) = publish_id(&first[0]);
    link.send(Packet::Puback(Ack::success(packet_id)));
    assert_eq!(publish_id(&link.read_one()).2, "2");
}

#[test]
fn what_the_server_cannot_take_is_not_sent() {
    let properties = Properties {
        maximum_packet_size: Some(64),
        maximum_qos: Some(1),
        retain_available: Some(0),
        ..Properties::default()
    };
    let mut link = Link::open_with(config(Version::V5), properties);
    link.publish(1, event("a", &"x".repeat(64), Assurance::AtLeastOnce));
    assert!(link.read().is_empty());
    assert!(matches!(
        link.settled()[..],
        [(1, Outcome::Rejected(Rejection { cause: Cause::ByService, .. }))]
    ));
    let mut small = event("a", "x", Assurance::ExactlyOnce);
    Arc::make_mut(&mut small).retain = true;
    link.publish(2, small);
    let publish = link.published();
    assert_eq!((publish.qos, publish.retain), (Assurance::AtLeastOnce, false));
}

#[test]
fn topics_get_aliases_as_far_as_the_server_takes_them() {
    let properties = Properties { topic_alias_maximum: Some(1), ..Properties::default() };
    let mut link = Link::open_with(config(Version::V5), properties);
    let mut publish = |topic: &str| {
        link.publish(1, event(topic, "x", Assurance::AtMostOnce));
        let publish = link.published();
        (publish.topic.to_string(), publish.properties.unwrap().topic_alias)
    };
    assert_eq!(publish("a"), ("a".to_owned(), Some(1)));
    assert_eq!(publish("a"), (String::new(), Some(1)));
    assert_eq!(publish("b"), ("b".to_owned(), None));
}

#[test]
fn a_new_connection_gets_everything_again_in_order_with_its_identifiers() {
    let mut link = Link::open();
    link.publish(1, event("a", "one", Assurance::ExactlyOnce));
    link.publish(2, event("a", "two", Assurance::AtLeastOnce));
    link.publish(3, event("a", "three", Assurance::ExactlyOnce));
    let ids: Vec<u16> = link.read().iter().map(|packet| publish_id(packet).0).collect();
    link.send(Packet::Pubrec(Ack::success(ids[0])));
    link.read();
    link.resume();
    let again: Vec<_> = link.read().iter().map(publish_id).collect();
    let expected = [(ids[0], false, "release"), (ids[1], true, "two"), (ids[2], true, "three")];
    assert_eq!(again, expected.map(|(id, dup, payload)| (id, dup, payload.to_owned())));
}

#[test]
fn a_pool_takes_back_what_another_member_may_have() {
    let mut link =
        Link::open_with(ClientConfig { others: true, ..config(Version::V5) }, Properties::default());
    link.publish(1, event("a", "one", Assurance::AtLeastOnce));
    link.publish(2, event("a", "two", Assurance::ExactlyOnce));
    link.read();
    link.lose();
    assert_eq!(link.settled(), [(1, Outcome::unavailable())]);
    link.connect();
    link.connected();
    link.accept(true, Properties::default());
    let (id, dup, payload) = publish_id(&link.read_one());
    assert_eq!((dup, payload.as_str()), (true, "two"));
    link.outputs();
    link.send(Packet::Pubrec(Ack::success(id)));
    link.send(Packet::Pubcomp(Ack::success(id)));
    assert_eq!(link.settled(), [(2, Outcome::Accepted)]);
}

#[test]
fn a_server_that_forgot_the_session_leaves_no_publication_waiting() {
    let mut link = Link::open();
    link.publish(1, event("a", "one", Assurance::ExactlyOnce));
    link.lose();
    assert!(link.settled().is_empty(), "the server may know");
    link.connect();
    link.read();
    link.accept(false, Properties::default());
    let outputs = link.outputs();
    assert!(
        matches!(
            outputs[..],
            [
                ClientOutput::Opened { resumed: false },
                ClientOutput::Settled { token: 1, outcome: Outcome::Unavailable { .. } }
            ]
        ),
        "{outputs:?}"
    );
    assert!(link.client.is_settled());
}

#[test]
fn what_nobody_waits_for_any_more_is_finished_silently() {
    let mut link = Link::open();
    link.publish(1, event("a", "one", Assurance::AtLeastOnce));
    let packet_id = link.published().packet_id;
    link.client.abandon(1);
    link.send(Packet::Puback(Ack::success(packet_id)));
    assert!(link.settled().is_empty());
    assert!(link.client.is_settled());
}
