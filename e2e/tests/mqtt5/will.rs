//! §3.1.2.5, §3.1.3.2: wills.

use crate::support::{assert_quiet, connack, connect, name, next, node, refused, subscriber, wait_retained};
use std::time::{Duration, Instant};
use windrose_e2e::mqtt::{Client, Options, packet, property, string};
use windrose_e2e::wait::SOON;

fn lose(client: Client) {
    drop(client);
}

#[test]
fn it_is_published_when_the_connection_is_lost() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 2);
    for qos in 0..=2 {
        let options = Options { will_qos: qos, ..Options::v5(&name()).will(&topic, "gone") };
        lose(Client::connect(node.mqtt(), &options));
        let message = next(&mut listener);
        assert_eq!((message.payload.as_str(), message.qos, message.retain), ("gone", qos, false));
    }
}

#[test]
fn it_is_published_when_the_client_breaks_the_protocol() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 1);
    let mut client = Client::connect(node.mqtt(), &Options::v5(&name()).will(&topic, "broken"));
    client.send(&packet(0x00, &[]));
    client.closed();
    assert_eq!(next(&mut listener).payload, "broken");
}

#[test]
fn it_is_published_when_the_client_is_silent() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 1);
    let options = Options { keep_alive: 1, ..Options::v5(&name()).will(&topic, "silent") };
    let _client = Client::connect(node.mqtt(), &options);
    assert_eq!(next(&mut listener).payload, "silent");
}

#[test]
fn it_is_published_when_another_connection_takes_over_without_delay() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 1);
    let options = Options::v5(&name()).persistent();
    let _first = Client::connect(node.mqtt(), &options.clone().will(&topic, "first"));
    let _second = Client::connect(node.mqtt(), &options);
    assert_eq!(next(&mut listener).payload, "first");
}

#[test]
fn it_is_published_once() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 1);
    let options = Options::v5(&name()).persistent();
    lose(Client::connect(node.mqtt(), &options.clone().will(&topic, "once")));
    assert_eq!(next(&mut listener).payload, "once");
    lose(Client::connect(node.mqtt(), &options));
    assert_quiet(&mut listener, "the second connection had no will");
}

#[test]
fn it_is_retained_if_it_says_so() {
    let node = node();
    let topic = name();
    let options = Options { will_retain: true, ..Options::v5(&name()).will(&topic, "last") };
    lose(Client::connect(node.mqtt(), &options));
    wait_retained(&node, &topic, true);
    let mut late = subscriber(&node, &topic, 1);
    let message = next(&mut late);
    assert_eq!((message.payload.as_str(), message.retain), ("last", true));
}

#[test]
fn it_is_not_retained_if_it_does_not_say_so() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 1);
    lose(Client::connect(node.mqtt(), &Options::v5(&name()).will(&topic, "x")));
    next(&mut listener);
    assert_quiet(&mut subscriber(&node, &topic, 1), "nothing is retained");
}

#[test]
fn it_carries_its_properties() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 1);
    let mut options = Options::v5(&name()).will(&topic, "text");
    options.will_properties = [
        property::byte(property::PAYLOAD_FORMAT, 1),
        property::four(property::MESSAGE_EXPIRY, 100),
        property::text(property::CONTENT_TYPE, "text/plain"),
        property::text(property::RESPONSE_TOPIC, "answers"),
        property::text(property::CORRELATION_DATA, [0, 255]),
        property::user("b", "2"),
        property::user("a", "1"),
        property::user("b", "1"),
    ]
    .concat();
    lose(Client::connect(node.mqtt(), &options));
    let properties = next(&mut listener).properties;
    assert_eq!(properties.number(property::PAYLOAD_FORMAT), Some(1));
    assert!(matches!(properties.number(property::MESSAGE_EXPIRY), Some(90..=100)));
    assert_eq!(properties.text(property::CONTENT_TYPE).as_deref(), Some("text/plain"));
    assert_eq!(properties.text(property::RESPONSE_TOPIC).as_deref(), Some("answers"));
    assert_eq!(properties.bytes(property::CORRELATION_DATA), Some(&[0, 255][..]));
    assert_eq!(properties.texts(property::USER_PROPERTY), ["b=2", "a=1", "b=1"], "in order");
    assert!(!properties.has(property::WILL_DELAY));
}

#[test]
fn it_may_be_empty() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 1);
    lose(Client::connect(node.mqtt(), &Options::v5(&name()).will(&topic, "")));
    assert_eq!(next(&mut listener).payload, "");
}

#[test]
fn its_delay_is_waited_for() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 1);
    let options = Options { will_delay: 2, ..Options::v5(&name()).persistent().will(&topic, "late") };
    lose(Client::connect(node.mqtt(), &options));
    let begun = Instant::now();
    assert_eq!(next(&mut listener).payload, "late");
    assert!(begun.elapsed() > Duration::from_millis(1_500), "{:?}", begun.elapsed());
}

#[test]
fn it_comes_with_the_end_of_the_session_at_the_latest() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 1);
    // The session ends with the connection, and after a second.
    for session_expiry in [0, 1] {
        let options =
            Options { will_delay: 3600, session_expiry, ..Options::v5(&name()).will(&topic, "now") };
        lose(Client::connect(node.mqtt(), &options));
        assert_eq!(next(&mut listener).payload, "now", "{session_expiry}");
    }
}

#[test]
fn a_return_in_time_cancels_it() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 1);
    let options = Options { will_delay: 1, ..Options::v5(&name()).persistent() };
    lose(Client::connect(node.mqtt(), &options.clone().will(&topic, "late")));
    let (_again, present, _) = connack(&node, &options);
    assert!(present);
    assert!(listener.delivery(Duration::from_secs(2)).is_err(), "the client is back");
}

#[test]
fn a_new_session_does_not_cancel_it() {
    let node = node();
    let topic = name();
    let mut listener = subscriber(&node, &topic, 1);
    let options = Options { will_delay: 3600, ..Options::v5(&name()).persistent() };
    lose(Client::connect(node.mqtt(), &options.clone().will(&topic, "ended")));
    let _anew = Client::connect(node.mqtt(), &Options { clean: true, ..options });
    // The session that it belonged to has ended (§3.1.3.2.2).
    assert_eq!(next(&mut listener).payload, "ended");
}

#[test]
fn its_topic_is_a_topic_name() {
    let node = node();
    for topic in [&b"a/#"[..], b"+", b"", b"\xff", b"a\0"] {
        let payload = [string(name()), vec![0], string(topic), string("x")].concat();
        let code = refused(node.mqtt(), &connect("MQTT", 5, 0x06, &[], &payload));
        assert!(matches!(code, None | Some(0x81 | 0x82 | 0x90)), "{topic:02x?}: {code:?}");
    }
}

#[test]
fn its_properties_are_a_wills() {
    let node = node();
    for property in [
        property::two(property::TOPIC_ALIAS, 1),
        property::subscription(1),
        property::four(property::SESSION_EXPIRY, 1),
        [property::byte(property::PAYLOAD_FORMAT, 1), property::byte(property::PAYLOAD_FORMAT, 1)].concat(),
        property::byte(property::PAYLOAD_FORMAT, 2),
        property::text(property::RESPONSE_TOPIC, "a/+"),
    ] {
        let options = Options { will_properties: property.clone(), ..Options::v5(&name()).will("t", "x") };
        let code = refused(node.mqtt(), &options.packet());
        assert!(matches!(code, None | Some(0x81 | 0x82 | 0x99)), "{property:02x?}: {code:?}");
    }
}

#[test]
fn a_will_on_a_forbidden_topic_is_not_published() {
    let rules = "{who: anonymous, may: [publish, subscribe, read, request], on: \"#\"}";
    let document =
        windrose_e2e::documents::open("").replace(rules, "{who: anonymous, may: [subscribe], on: \"#\"}");
    let node = windrose_e2e::Node::start(&document);
    let mut listener = subscriber(&node, "#", 1);
    // Refused at once, or connected and its will dropped: never published.
    if let Ok((client, ..)) = Client::try_connect(node.mqtt(), &Options::v5("a").will("forbidden", "x")) {
        lose(client);
    }
    assert!(listener.ping().is_ok());
    assert!(listener.delivery(SOON / 15).is_err());
}
