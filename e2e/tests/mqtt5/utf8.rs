//! §1.5.4, §1.5.7: strings.

use crate::support::{broken, client, name, next, node, publish, subscriber};
use windrose_e2e::mqtt::{packet, property, string};
use windrose_e2e::wait::SOON;

/// What is no UTF-8, or not allowed in a string: surrogates, overlong forms, too large, cut short, not a beginning, U+0000.
const WRONG: [&[u8]; 9] = [
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xf4\x90\x80\x80",
    b"\xc3",
    b"\x80",
    b"\xfe",
    b"a\0b",
];

#[test]
fn a_topic_name_is_utf_8() {
    let node = node();
    for topic in WRONG {
        let bytes = packet(0x30, &[string(topic), vec![0]].concat());
        let said = broken(&node, &bytes);
        assert!(matches!(said, Some(0x81 | 0x82 | 0x90)), "{topic:02x?}: {said:?}");
    }
}

#[test]
fn a_topic_filter_is_utf_8() {
    let node = node();
    for filter in WRONG {
        let said = broken(&node, &packet(0x82, &[vec![0, 1, 0], string(filter), vec![0]].concat()));
        assert!(matches!(said, Some(0x81 | 0x82)), "{filter:02x?}: {said:?}");
        let said = broken(&node, &packet(0xa2, &[vec![0, 1, 0], string(filter)].concat()));
        assert!(matches!(said, Some(0x81 | 0x82)), "{filter:02x?}: {said:?}");
    }
}

#[test]
fn texts_of_properties_are_utf_8() {
    let node = node();
    for wrong in WRONG {
        for property in [
            property::text(property::CONTENT_TYPE, wrong),
            property::text(property::RESPONSE_TOPIC, wrong),
            property::user(wrong, "b"),
            property::user("a", wrong),
        ] {
            let said = broken(&node, &publish(0, "a", None, &property, b"x"));
            assert!(matches!(said, Some(0x81 | 0x82)), "{property:02x?}: {said:?}");
        }
    }
}

#[test]
fn a_byte_order_mark_is_a_character() {
    let node = node();
    let topic = format!("{}/\u{feff}x", name());
    let without = topic.replace('\u{feff}', "");
    let mut listener = subscriber(&node, &topic, 1);
    let mut publisher = client(&node);
    publisher.publish(&without, "without", 1);
    let mark = property::user("\u{feff}", "\u{feff}b");
    let id = publisher.publish_with(&topic, "with", 1, false, &mark);
    publisher.answer(4, id, SOON);
    let message = next(&mut listener);
    assert_eq!((message.topic, message.payload.as_str()), (topic, "with"), "not stripped");
    assert_eq!(message.properties.texts(property::USER_PROPERTY), ["\u{feff}=\u{feff}b"]);
}

#[test]
fn characters_of_every_length_are_carried() {
    let node = node();
    let topic = format!("{}/é/€/𝄞/\u{10fffd}", name());
    let mut listener = subscriber(&node, &topic, 1);
    client(&node).publish(&topic, "x", 1);
    assert_eq!(next(&mut listener).topic, topic);
}

#[test]
fn what_says_that_it_is_text_is_utf_8() {
    let node = node();
    let mut client = client(&node);
    let text = property::byte(property::PAYLOAD_FORMAT, 1);
    let id = client.publish_with(&name(), [0xff, 0xfe], 1, false, &text);
    assert_eq!(client.answer(4, id, SOON).0, 0x99, "a server may validate, and says so");
    let id = client.publish_with(&name(), "é", 1, false, &text);
    assert!(client.answer(4, id, SOON).0 < 0x80);
    let bytes = property::byte(property::PAYLOAD_FORMAT, 0);
    let id = client.publish_with(&name(), [0xff, 0xfe], 1, false, &bytes);
    assert!(client.answer(4, id, SOON).0 < 0x80, "bytes are not looked at");
}
