//! Deliveries to the client and its acknowledgements of them.

use super::*;
use crate::mqtt::codec::Ack;
use windrose_event::{Address, Delivery, Event, EventId, Identity, Origin, Outcome, Rejection};

pub(super) fn delivery(assurance: Assurance, tag: u16, payload: usize) -> Delivery {
    let origin = Origin {
        identity: Identity::anonymous(),
        session: "rest".into(),
        protocol: "http",
        listener: "rest".into(),
    };
    let event = Event {
        id: EventId::new(Timestamp::default(), 0, 0),
        time: Timestamp::default(),
        address: Address::new("devices/car-7/commands/honk").unwrap(),
        origin: Arc::new(origin),
        assurance: Assurance::ExactlyOnce,
        retain: false,
        expires: None,
        payload: vec![b'x'; payload].into(),
        details: None,
    };
    Delivery {
        tag: Tag(tag),
        event: Arc::new(event),
        assurance,
        again: false,
        retain: false,
        subscriptions: Default::default(),
    }
}

pub(super) fn deliver(link: &mut Link, delivery: Delivery) -> Publish {
    link.tell(Directive::Deliver(delivery));
    match link.read_one() {
        Packet::Publish(publish) => publish,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_delivery_is_a_publish_with_its_tag_and_flags() {
    for version in BOTH {
        let mut link = Link::open(version);
        let again = Delivery { again: true, retain: true, ..delivery(Assurance::ExactlyOnce, 700, 5_000) };
        let publish = deliver(&mut link, again);
        assert_eq!((publish.qos, publish.packet_id), (Assurance::ExactlyOnce, 700));
        assert!(publish.dup && publish.retain);
        assert_eq!(publish.topic, "devices/car-7/commands/honk");
        assert_eq!(publish.payload.len(), 5_000);
        let publish = deliver(&mut link, delivery(Assurance::AtMostOnce, 0, 2));
        assert_eq!((publish.qos, publish.packet_id, publish.dup), (Assurance::AtMostOnce, 0, false));
    }
}

#[test]
fn subscription_identifiers_are_told_in_mqtt_5() {
    let mut link = Link::open(Version::V5);
    let numbered = Delivery { subscriptions: [3, 200].into(), ..delivery(Assurance::AtLeastOnce, 1, 2) };
    let properties = deliver(&mut link, numbered).properties.unwrap();
    assert_eq!(properties.subscription_identifiers[..], [3, 200]);
}

#[test]
fn puback_settles_a_delivery() {
    for version in BOTH {
        let mut link = Link::open(version);
        deliver(&mut link, delivery(Assurance::AtLeastOnce, 9, 2));
        link.send(Packet::Puback(Ack::success(9)));
        assert!(matches!(link.intent(), Intent::Settle { tag: Tag(9), outcome: Outcome::Accepted }));
    }
}

#[test]
fn a_client_may_reject_a_delivery_in_mqtt_5() {
    let mut link = Link::open(Version::V5);
    let rejection =
        |code| Ack { packet_id: 9, code, properties: with(|all| all.reason_string = Some("no".into())) };
    for packet in [
        Packet::Puback(rejection(ReasonCode::NOT_AUTHORIZED)),
        Packet::Pubrec(rejection(ReasonCode::QUOTA_EXCEEDED)),
    ] {
        link.send(packet);
        let intent = link.intent();
        let Intent::Settle { tag: Tag(9), outcome: Outcome::Rejected(Rejection { cause, .. }) } = intent
        else {
            panic!("{intent:?}")
        };
        assert_eq!(cause.name(), "by_service");
    }
    link.send(Packet::Pubcomp(rejection(ReasonCode::PACKET_IDENTIFIER_NOT_FOUND)));
    assert!(matches!(link.intent(), Intent::Complete { tag: Tag(9) }), "it is over all the same");
}

#[test]
fn a_code_of_another_packet_is_a_protocol_error() {
    let ack = |code| Ack { packet_id: 9, code, properties: None };
    for packet in [
        Packet::Puback(ack(ReasonCode::SESSION_TAKEN_OVER)),
        Packet::Pubrec(ack(ReasonCode(0x01))),
        Packet::Pubrel(ack(ReasonCode::QUOTA_EXCEEDED)),
        Packet::Pubcomp(ack(ReasonCode::NOT_AUTHORIZED)),
    ] {
        let mut link = Link::open(Version::V5);
        link.send(packet);
        link.assert_broken(ReasonCode::PROTOCOL_ERROR);
    }
}

#[test]
fn an_exactly_once_delivery_takes_its_four_steps() {
    for version in BOTH {
        let mut link = Link::open(version);
        deliver(&mut link, delivery(Assurance::ExactlyOnce, 9, 2));
        link.send(Packet::Pubrec(Ack::success(9)));
        assert!(matches!(link.intent(), Intent::Receive { tag: Tag(9) }));
        link.tell(Directive::Release { tag: Tag(9) });
        assert_eq!(link.unread, [0x62, 2, 0, 9]);
        assert_eq!(link.read_one(), Packet::Pubrel(Ack::success(9)));
        link.send(Packet::Pubcomp(Ack::success(9)));
        assert!(matches!(link.intent(), Intent::Complete { tag: Tag(9) }));
    }
}

/// [MQTT-3.1.2-24] [MQTT-3.1.2-25]
#[test]
fn a_delivery_larger_than_the_client_takes_is_settled_instead() {
    let mut link = Link::open_with(Version::V5, config(), |connect| {
        connect.properties = with(|properties| properties.maximum_packet_size = Some(100));
    });
    // 27 bytes of topic, 2 of its length, 2 of identifier, 1 of properties, 2 of header.
    assert_eq!(deliver(&mut link, delivery(Assurance::AtLeastOnce, 8, 66)).payload.len(), 66);
    link.tell(Directive::Deliver(delivery(Assurance::AtLeastOnce, 9, 67)));
    let intent = link.intent();
    let Intent::Settle { tag: Tag(9), outcome: Outcome::Rejected(rejection) } = intent else {
        panic!("{intent:?}")
    };
    assert_eq!(rejection.cause.name(), "too_large");
    link.tell(Directive::Deliver(delivery(Assurance::AtMostOnce, 0, 1_000)));
    assert!(matches!(link.intent(), Intent::Settle { tag: Tag::NONE, .. }), "what is dropped is counted");
    assert!(link.read().is_empty());
    assert!(link.server.is_open());
}
