//! What a listener's options and a CONNECT's wishes change: Maximum QoS, Server Reference, Response Information, and topic
//! aliases towards the client.

use super::delivering::{deliver, delivery};
use super::*;
use crate::mqtt::codec::{Ack, LastWill};
use windrose_event::{CloseReason, Event, Outcome, Refusal, RefusalCause};

fn open_asking(config: ServerConfig, change: impl FnOnce(&mut Properties)) -> (Link, Properties) {
    let mut link = Link::new(Version::V5, config);
    link.send(Packet::Connect(Box::new(Connect { properties: with(change), ..connect(Version::V5) })));
    let open = link.opened();
    link.accept(Accepted { keep: open.keep, ..accepted() });
    let properties = link.connack().properties.map(|properties| *properties).unwrap_or_default();
    (link, properties)
}

fn at_most(qos: Assurance) -> ServerConfig {
    ServerConfig { quirks: Quirks { maximum_qos: Some(qos), ..Quirks::default() }, ..config() }
}

/// [MQTT-3.2.2-9] [MQTT-3.2.2-11]: a server without QoS 2 says so, and ends the connection of who sends it all the same.
#[test]
fn maximum_qos_is_announced_and_held_to() {
    for (most, more) in
        [(Assurance::AtMostOnce, Assurance::AtLeastOnce), (Assurance::AtLeastOnce, Assurance::ExactlyOnce)]
    {
        let (mut link, properties) = open_asking(at_most(most), |_| {});
        assert_eq!(properties.maximum_qos, Some(most as u8));
        let id = if most == Assurance::AtMostOnce { 0 } else { 1 };
        link.send(Packet::Publish(publish(most, id)));
        link.published();
        link.send(Packet::Publish(publish(more, 2)));
        link.assert_broken(ReasonCode::QOS_NOT_SUPPORTED);
    }
    let (_, properties) = open_asking(config(), |_| {});
    assert_eq!(properties.maximum_qos, None, "2 is not said [MQTT-3.2.2-9]");
}

/// [MQTT-3.2.2-10]: a SUBSCRIBE for more is granted less.
#[test]
fn subscriptions_are_granted_no_more_than_maximum_qos() {
    for version in BOTH {
        let mut link = Link::open_with(version, at_most(Assurance::AtLeastOnce), |_| {});
        let filters = vec![SubscribeFilter { qos: Assurance::ExactlyOnce, ..subscription("a") }];
        link.send(Packet::Subscribe(Subscribe { packet_id: 3, properties: None, filters }));
        let Intent::Subscribe { requests, .. } = link.intent() else { panic!() };
        assert_eq!(requests[0].assurance, Assurance::AtLeastOnce);
    }
}

/// [MQTT-3.2.2-12]: so is a will for more refused.
#[test]
fn a_will_with_more_than_maximum_qos_is_refused() {
    let will = |qos| {
        let (topic, payload) = ("a".into(), Bytes::new());
        Some(LastWill { qos, retain: false, topic, payload, properties: None })
    };
    let mut link = Link::new(Version::V5, at_most(Assurance::AtLeastOnce));
    let will_of = |version| Connect { will: will(Assurance::ExactlyOnce), ..connect(version) };
    link.send(Packet::Connect(Box::new(will_of(Version::V5))));
    assert_eq!(link.connack().code, ReasonCode::QOS_NOT_SUPPORTED);
    let mut old = Link::new(Version::V3, at_most(Assurance::AtLeastOnce));
    old.send(Packet::Connect(Box::new(will_of(Version::V3))));
    let capped = old.opened().will.map(|will| will.publication.assurance);
    assert_eq!(capped, Some(Assurance::AtLeastOnce), "3.1.1 cannot be told");
}

/// Clients of 3.1.1 keep their handshake, whatever the node makes of the event.
#[test]
fn an_old_client_is_served_with_less_than_it_asks_for() {
    let mut link = Link::open_with(Version::V3, at_most(Assurance::AtMostOnce), |_| {});
    link.send(Packet::Publish(publish(Assurance::ExactlyOnce, 7)));
    let published = link.published();
    assert_eq!((published.tag, published.publication.assurance), (Tag(7), Assurance::AtMostOnce));
    link.tell(Directive::Settle { tag: Tag(7), outcome: Outcome::Accepted, heard: false });
    assert_eq!(link.read_one(), Packet::Pubrec(Ack::success(7)));
    link.send(Packet::Pubrel(Ack::success(7)));
    link.intent();
    link.tell(Directive::Released { tag: Tag(7), known: false });
    assert_eq!(link.read_one(), Packet::Pubcomp(Ack::success(7)));
}

/// [MQTT-3.2.2-13] [MQTT-3.2.2-14]: a server without last values says so, and ends the connection of who sets one.
#[test]
fn retain_is_refused_where_no_last_values_are_kept() {
    let without = || ServerConfig { retain_available: false, ..config() };
    let retained = |version| {
        let (topic, payload) = ("a".into(), Bytes::new());
        let will = LastWill { qos: Assurance::AtMostOnce, retain: true, topic, payload, properties: None };
        Connect { will: Some(will), ..connect(version) }
    };
    let (mut link, properties) = open_asking(without(), |_| {});
    assert_eq!(properties.retain_available, Some(0));
    link.send(Packet::Publish(Publish { retain: true, ..publish(Assurance::AtMostOnce, 0) }));
    link.assert_broken(ReasonCode::RETAIN_NOT_SUPPORTED);
    let mut link = Link::new(Version::V5, without());
    link.send(Packet::Connect(Box::new(retained(Version::V5))));
    assert_eq!(link.connack().code, ReasonCode::RETAIN_NOT_SUPPORTED);
    let mut old = Link::new(Version::V3, without());
    old.send(Packet::Connect(Box::new(retained(Version::V3))));
    assert!(old.opened().will.is_some(), "3.1.1 cannot be told");
    let (_, properties) = open_asking(config(), |_| {});
    assert_eq!(properties.retain_available, None, "that it is available is not said");
}

/// MQTT 5 §4.11: whoever is sent away for want of room, or because the node goes, is told of another server.
#[test]
fn a_client_that_is_sent_away_is_told_of_another_server() {
    let config = || ServerConfig { server_reference: Some("other.example:8883".into()), ..config() };
    for cause in [RefusalCause::Quota, RefusalCause::ShuttingDown, RefusalCause::NotAllowed] {
        let mut link = Link::new(Version::V5, config());
        link.send(Packet::Connect(Box::new(connect(Version::V5))));
        link.opened();
        link.tell(Directive::Refuse(Refusal { cause, detail: "no".into() }));
        let connack = link.connack();
        let server = connack.properties.and_then(|properties| properties.server_reference);
        if cause == RefusalCause::NotAllowed {
            assert_eq!((connack.code, server), (ReasonCode::NOT_AUTHORIZED, None));
        } else {
            assert_eq!(connack.code, ReasonCode::USE_ANOTHER_SERVER);
            assert_eq!(server.as_deref(), Some("other.example:8883"));
        }
    }
    let mut link = Link::open_with(Version::V5, config(), |_| {});
    link.tell(Directive::Close(CloseReason::ShuttingDown));
    let Packet::Disconnect(disconnect) = link.read_one() else { panic!() };
    assert_eq!(disconnect.code, ReasonCode::USE_ANOTHER_SERVER);
    assert!(disconnect.properties.is_some_and(|properties| properties.server_reference.is_some()));
    let mut small = Link::open_with(Version::V5, config(), |connect| {
        connect.properties = with(|properties| properties.maximum_packet_size = Some(20));
    });
    small.tell(Directive::Close(CloseReason::ShuttingDown));
    let said = Disconnect { code: ReasonCode::USE_ANOTHER_SERVER, properties: None };
    assert_eq!(small.read_one(), Packet::Disconnect(said), "[MQTT-3.1.2-24]: no more than it takes");
}

/// [MQTT-3.1.2-28]: only who asks for Response Information gets any.
#[test]
fn response_information_is_for_those_who_ask() {
    let config = || ServerConfig { response_information: Some("replies/{session}".into()), ..config() };
    let told = |config, asked| {
        let (_, properties) = open_asking(config, |all| all.request_response_information = asked);
        properties.response_information
    };
    assert_eq!(told(config(), Some(1)).as_deref(), Some("replies/car-7"));
    assert_eq!(told(config(), Some(0)), None);
    assert_eq!(told(config(), None), None);
    assert_eq!(told(super::config(), Some(1)), None, "the document says nothing");
}

fn delivery_on(topic: &str, tag: u16) -> windrose_event::Delivery {
    let mut delivery = delivery(Assurance::AtLeastOnce, tag, 5);
    let address = windrose_event::Address::new(topic).unwrap();
    delivery.event = Arc::new(Event { address, ..Event::clone(&delivery.event) });
    delivery
}

/// [MQTT-3.1.2-26] [MQTT-3.1.2-27] [MQTT-3.3.2-9] [MQTT-3.3.2-11]: no alias beyond Topic Alias Maximum, none without.
#[test]
fn topics_have_aliases_as_far_as_the_client_takes_them() {
    let (mut link, _) = open_asking(config(), |properties| properties.topic_alias_maximum = Some(2));
    let mut told = |topic: &str, tag| {
        let publish = deliver(&mut link, delivery_on(topic, tag));
        let alias = publish.properties.and_then(|properties| properties.topic_alias);
        (publish.topic.as_str().to_owned(), alias)
    };
    let said = |topic: &str, alias| (topic.to_owned(), alias);
    assert_eq!(told("a/long/topic", 1), said("a/long/topic", Some(1)));
    assert_eq!(told("another", 2), said("another", Some(2)));
    assert_eq!(told("a/long/topic", 3), said("", Some(1)));
    assert_eq!(told("a/third", 4), said("a/third", None), "no third one");
    assert_eq!(told("another", 5), said("", Some(2)));
    for maximum in [None, Some(0)] {
        let (mut link, _) = open_asking(config(), |properties| properties.topic_alias_maximum = maximum);
        for tag in [1, 2] {
            let publish = deliver(&mut link, delivery_on("a", tag));
            assert_eq!((publish.topic.as_str(), publish.properties), ("a", None));
        }
    }
}

/// The policy bounds the aliases that are kept, however many a client takes.
#[test]
fn aliases_towards_a_client_are_bounded_by_the_policy() {
    let (mut link, _) = open_asking(config(), |properties| properties.topic_alias_maximum = Some(u16::MAX));
    for tag in 1..10 {
        let publish = deliver(&mut link, delivery_on(&format!("t/{tag}"), tag));
        let alias = publish.properties.and_then(|properties| properties.topic_alias);
        assert_eq!(alias, (tag <= 3).then_some(tag), "topic_alias_maximum of the node is 3");
    }
}

/// A new alias that would make a packet too large is not set, and the packet is sent without.
#[test]
fn an_alias_is_left_out_if_the_packet_is_too_large_with_it() {
    let exact = 2 + 2 + 7 + 2 + 1 + 5;
    let (mut link, _) = open_asking(config(), |properties| {
        properties.topic_alias_maximum = Some(2);
        properties.maximum_packet_size = Some(exact.max(24));
    });
    let long = "a/topic/x1";
    let publish = deliver(&mut link, delivery_on(long, 1));
    assert_eq!((publish.topic.as_str(), publish.properties), (long, None));
    let publish = deliver(&mut link, delivery_on("a", 2));
    assert_eq!(
        publish.properties.and_then(|properties| properties.topic_alias),
        Some(1),
        "it was not used up"
    );
}

/// [MQTT-3.3.4-5] and MQTT 5 §3.3.4: a session's overlapping subscriptions get a copy each where the listener says so.
#[test]
fn subscriptions_with_wildcards_have_copies_of_their_own_where_the_listener_says_so() {
    for each in [true, false] {
        let mut link =
            Link::open_with(Version::V5, ServerConfig { overlapping_each: each, ..config() }, |_| {});
        let filters = vec![subscription("a/+"), subscription("a/b")];
        link.send(Packet::Subscribe(Subscribe { packet_id: 3, properties: None, filters }));
        let Intent::Subscribe { requests, .. } = link.intent() else { panic!() };
        assert_eq!([requests[0].own_copy, requests[1].own_copy], [each, false]);
    }
}
