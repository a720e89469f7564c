//! Every field at its limits, and one past them.

use crate::support::{
    answer, assert_quiet, assert_wrong, broken, client, connack, connect, name, next, node, publish, refused,
    subscriber,
};
use windrose_e2e::Node;
use windrose_e2e::documents::open;
use windrose_e2e::mqtt::{Client, End, Options, Packet, packet, property, string};
use windrose_e2e::wait::SOON;

/// The longest string, of characters that take `width` bytes each.
fn longest(character: &str) -> String {
    character.repeat(65_535 / character.len())
}

#[test]
fn a_client_identifier_of_65535_bytes() {
    let node = node();
    let id = longest("i");
    let options = Options::v5(&id).persistent();
    drop(connack(&node, &options));
    assert!(connack(&node, &options).1, "it has its session");
    let one_less = Options::v5(&id[..65_534]).persistent();
    assert!(!connack(&node, &one_less).1, "which is not that of another");
}

#[test]
fn credentials_of_65535_bytes() {
    let node = Node::start(&open("").replace("{anonymous: allow}", "{anonymous: deny}"));
    let options = Options::v5("a").credentials(&longest("u"), &longest("p"));
    assert_eq!(refused(node.mqtt(), &options.packet()), Some(0x86), "read, and refused as any that is wrong");
}

#[test]
fn a_will_of_65535_bytes() {
    let node = node();
    let topic = format!("{}{}", name(), "t".repeat(65_535));
    let topic = &topic[..65_535];
    let mut listener = subscriber(&node, topic, 1);
    drop(Client::connect(node.mqtt(), &Options::v5(&name()).will(topic, &longest("w"))));
    let message = next(&mut listener);
    assert_eq!((message.topic.len(), message.payload.len()), (65_535, 65_535));
}

#[test]
fn properties_of_65535_bytes() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 1);
    let mut publisher = client(&node);
    let text = longest("é");
    for identifier in [property::CONTENT_TYPE, property::RESPONSE_TOPIC, property::CORRELATION_DATA] {
        let id = publisher.publish_with(&topic, "x", 1, false, &property::text(identifier, &text));
        publisher.answer(4, id, SOON);
        assert_eq!(next(&mut listener).properties.text(identifier).as_ref(), Some(&text), "{identifier:#x}");
    }
    let id = publisher.publish_with(&topic, "x", 1, false, &property::user(&text, &text));
    publisher.answer(4, id, SOON);
    let got = next(&mut listener).properties.texts(property::USER_PROPERTY);
    assert_eq!(got, [format!("{text}={text}")]);
}

#[test]
fn numbers_at_their_limits() {
    let node = node();
    let mut options = Options { keep_alive: u16::MAX, session_expiry: u32::MAX, ..Options::v5(&name()) };
    options.receive_maximum = Some(u16::MAX);
    options.maximum_packet = Some(u32::MAX);
    let options = options.property(property::two(property::TOPIC_ALIAS_MAXIMUM, u16::MAX));
    let (mut most, ..) = connack(&node, &options);
    let mut least = Options { keep_alive: 1, session_expiry: 0, ..Options::v5(&name()) };
    least.receive_maximum = Some(1);
    let (mut least, ..) = connack(&node, &least);
    let topic = name();
    for client in [&mut most, &mut least] {
        client.subscribe(&topic, 2);
    }
    for qos in 0..=2 {
        client(&node).publish(&topic, "x", qos);
        for client in [&mut most, &mut least] {
            assert_eq!(next(client).qos, qos);
        }
    }
}

#[test]
fn message_expiry_at_its_limits() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 1);
    let mut publisher = client(&node);
    let most = property::four(property::MESSAGE_EXPIRY, u32::MAX);
    let id = publisher.publish_with(&topic, "for ever", 1, true, &most);
    publisher.answer(4, id, SOON);
    let left = next(&mut listener).properties.number(property::MESSAGE_EXPIRY);
    assert!(left.is_some_and(|left| left > u32::MAX - 60), "{left:?}");
    // Zero has passed at once: whoever is there may get it still, nobody later.
    let none = property::four(property::MESSAGE_EXPIRY, 0);
    let id = publisher.publish_with(&topic, "gone", 1, true, &none);
    publisher.answer(4, id, SOON);
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    let mut late = subscriber(&node, &topic, 1);
    assert!(late.delivery(crate::support::QUIET).is_err_and(|end| end == End::Timeout), "it has expired");
}

#[test]
fn a_subscription_identifier_past_its_limit() {
    let node = node();
    // Four bytes say at most 268,435,455; a fifth is malformed.
    let past = [vec![property::SUBSCRIPTION_IDENTIFIER], vec![0x80, 0x80, 0x80, 0x80, 0x01]].concat();
    let body = [vec![0, 1], property::block(&past), string("a"), vec![0]].concat();
    assert_wrong(&node, &packet(0x82, &body), "five bytes");
}

#[test]
fn a_payload_at_its_limit_and_one_past_it() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 1);
    let limit = 256 * 1024;
    assert!(client(&node).publish(&topic, vec![b'x'; limit], 1) < 0x80);
    assert_eq!(next(&mut listener).payload.len(), limit);
    let past = publish(2, &topic, Some(1), &[], &vec![b'x'; limit + 1]);
    assert_eq!(broken(&node, &past), Some(0x95));
    assert_quiet(&mut listener, "nobody gets it");
}

#[test]
fn levels_at_their_limit_and_one_past_it() {
    let node = node();
    let at = format!("{}{}", name(), "/l".repeat(127));
    let past = format!("{at}/l");
    let mut client = client(&node);
    assert_eq!([client.subscribe(&at, 1), client.subscribe(&past, 1)], [1, 0x8f]);
    assert_eq!(client.publish(&at, "x", 1), 0);
    assert_eq!(client.message().0, at);
    assert_eq!(client.publish(&past, "x", 1), 0x90);
    assert!(client.ping().is_ok());
}

#[test]
fn a_connect_of_properties_alone() {
    let node = node();
    let many: Vec<u8> = (0..3_000).flat_map(|number| property::user("name", number.to_string())).collect();
    drop(connack(&node, &Options::v5(&name()).property(many)));
    // The properties claim to be longer than the packet.
    let mut bytes = connect("MQTT", 5, 2, &[], &string(name()));
    bytes[12] = 0x7f;
    let code = refused(node.mqtt(), &bytes);
    assert!(matches!(code, None | Some(0x81)), "{code:?}");
}

#[test]
fn a_thousand_filters_in_one_packet_and_one_more() {
    let node = Node::start(&open("limits: {subscriptions_per_session: 1000}\n"));
    let mut client = client(&node);
    let filters: Vec<String> = (0..1_001).map(|number| format!("f/{number}")).collect();
    let asked: Vec<(&str, u8)> = filters.iter().map(|filter| (filter.as_str(), 1)).collect();
    let codes = client.subscribe_all(&asked, &[]).0;
    assert_eq!(codes[..1_000], [1; 1_000]);
    assert_eq!(codes[1_000], 0x97, "one more than the policy allows");
    let names: Vec<&str> = filters.iter().map(String::as_str).collect();
    let codes = client.unsubscribe_all(&names, &[]).0;
    assert_eq!(codes[..1_000], [0; 1_000]);
    assert_eq!(codes[1_000], 0x11);
}

#[test]
fn packet_identifiers_come_round() {
    let node = Node::start(&open("limits: {receive_maximum: 1000}\n"));
    let mut client = client(&node);
    client.subscribe("round", 1);
    // Each message is published with one identifier and delivered with another; both run through all there are.
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..67u32 {
        let ids = (0..1_000).map(|number| 1 + ((round * 1_000 + number) % 65_535) as u16);
        let batch: Vec<u8> = ids.flat_map(|id| publish(2, "round", Some(id), &[], b"x")).collect();
        client.send(&batch);
        let (mut acknowledged, mut delivered) = (0, 0);
        while acknowledged + delivered < 2_000 {
            match client.next(SOON) {
                Ok(Packet::Answer { kind: 4, code: 0, .. }) => acknowledged += 1,
                Ok(Packet::Publish { id, .. }) => {
                    delivered += 1;
                    seen.insert(id);
                    client.send(&answer(4, id));
                }
                other => panic!("{acknowledged} acknowledged, {delivered} delivered, and then {other:?}"),
            }
        }
    }
    assert!(seen.len() > 256 && !seen.contains(&0), "{} identifiers", seen.len());
}
