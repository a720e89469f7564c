//! Publications: whole, in parts, and what they say of themselves.

use super::*;
use windrose_event::{Cause, Text};

#[test]
fn keys_are_addresses_and_other_exchanges_are_looked_up() {
    let mut link = Link::channel();
    for (exchange, key, address, through) in [
        ("", "hello", "hello", None),
        ("amq.topic", "devices.7.x", "devices/7/x", None),
        ("logs", "kern.crit", "logs/kern/crit", Some("logs")),
        ("logs", "", "logs", Some("logs")),
        ("", "amq.rabbitmq.reply-to.0-a.b", "$reply/0-a/b", None),
    ] {
        link.publish(BasicPublish { exchange, ..to(key) }, &Properties::default(), b"x");
        let publications = link.publications();
        let (tag, found, publication) = &publications[0];
        assert!(*tag > 0, "it is answered: the channel ends if it is refused");
        assert_eq!((publication.address.as_str(), found.as_deref()), (address, through));
        assert_eq!(&publication.payload[..], b"x");
    }
}

#[test]
fn a_publication_is_the_same_however_it_is_cut_and_framed() {
    let body: Vec<u8> = (0..20_000).map(|byte| byte as u8).collect();
    let mut bytes = publication(to("a"), &Properties::default(), &body);
    bytes.extend(publication(to("b"), &Properties { delivery_mode: Some(2), ..Properties::default() }, b""));
    bytes.extend(publication(to("c"), &Properties::default(), b"c"));
    for cut in [1, 2, 7, 8, 100, 4_096, usize::MAX] {
        let mut link = Link::channel();
        link.cut = cut;
        link.send_bytes(&bytes);
        let publications = link.publications();
        let found: Vec<_> =
            publications.iter().map(|(_, _, it)| (it.address.as_str(), it.payload.len())).collect();
        assert_eq!(found, [("a", 20_000), ("b", 0), ("c", 1)], "cut at {cut}");
        assert_eq!(publications[0].2.payload, body);
    }
}

#[test]
fn properties_are_understood_and_kept_as_they_were() {
    let mut headers = TableBuf::new();
    headers
        .put("n", Value::I64(5))
        .put_text("s", "text")
        .put("t", Value::Table(Table::default()))
        .put_text("cloudEvents:type", "t1")
        .put(crate::amqp::v091::message::RETAIN, Value::Bool(true));
    let properties = Properties {
        content_type: Some(b"text/plain"),
        headers: Some(headers.table()),
        delivery_mode: Some(2),
        correlation_id: Some(b"c1"),
        reply_to: Some(b"replies.a"),
        expiration: Some(b"1500"),
        message_id: Some(b"m1"),
        user_id: Some(b"guest"),
        ..Properties::default()
    };
    let mut link = Link::channel();
    for round in 0..3 {
        link.publish(to("k"), &properties, b"x");
        let (_, _, publication) = link.publications().remove(0);
        assert_eq!(publication.assurance, Assurance::AtLeastOnce, "round {round}");
        assert!(publication.retain);
        assert_eq!(publication.expiry, Some(Duration::from_millis(1_500)));
        let details = publication.details.unwrap();
        assert_eq!(details.content_type.as_deref(), Some("text/plain"));
        assert_eq!(details.reply_to.as_ref().map(Address::as_str), Some("replies/a"));
        assert_eq!(details.correlation.as_deref(), Some(&b"c1"[..]));
        let header =
            |name: &str| details.headers.iter().find(|(known, _)| known == name).map(|(_, it)| it.clone());
        assert_eq!(header("n"), Some(Text::from("5")));
        assert_eq!(header("s"), Some(Text::from("text")));
        assert_eq!(header("ce-type"), Some(Text::from("t1")));
        assert_eq!(header("message-id"), Some(Text::from("m1")));
        let original = details.original.unwrap();
        assert_eq!(original.route(), Some(("", "k")));
        let mut list = Vec::new();
        properties.write(&mut list);
        assert!(original.bytes.ends_with(&list));
    }
    // Another one after that is not taken for the same.
    link.publish(to("k"), &Properties::default(), b"x");
    let (_, _, publication) = link.publications().remove(0);
    assert_eq!((publication.assurance, publication.retain), (Assurance::AtMostOnce, false));
}

#[test]
fn what_properties_cannot_say_ends_the_channel() {
    for (properties, text) in [
        (Properties { user_id: Some(b"admin"), ..Properties::default() }, "user_id property set to 'admin'"),
        (Properties { expiration: Some(b"soon"), ..Properties::default() }, "invalid expiration 'soon'"),
        (Properties { expiration: Some(b"-1"), ..Properties::default() }, "invalid expiration"),
        (
            Properties { reply_to: Some(b"amq.rabbitmq.reply-to"), ..Properties::default() },
            "fast reply consumer does not exist",
        ),
    ] {
        let mut link = Link::channel();
        link.publish(to("k"), &properties, b"x");
        let exception = link.exception();
        assert!(exception.starts_with("1 ") && exception.contains("reply_code: 406"), "{exception}");
        assert!(exception.contains(text), "{exception}");
        assert!(link.intents.is_empty());
    }
}

#[test]
fn immediate_is_not_done_and_too_large_is_refused() {
    let mut link = Link::channel();
    link.publish(BasicPublish { immediate: true, ..to("k") }, &Properties::default(), b"x");
    let exception = link.exception();
    assert!(exception.starts_with("0 ") && exception.contains("NOT_IMPLEMENTED - immediate=true"));

    for cut in [1_000, usize::MAX] {
        let mut link = Link::channel();
        link.cut = cut;
        link.publish(to("k"), &Properties::default(), &vec![0; 100_001]);
        let exception = link.exception();
        assert!(exception.starts_with("1 ") && exception.contains("reply_code: 311"), "{exception}");
        assert!(link.intents.is_empty());
        link.send(1, ChannelCloseOk {});
        link.open_channel(1);
    }
}

#[test]
fn a_refused_publication_ends_the_channel_by_the_reason() {
    for (cause, code) in [(Cause::NotFound, 404), (Cause::NotPermitted, 403), (Cause::TooLarge, 311)] {
        let mut link = Link::channel();
        link.publish(BasicPublish { exchange: "e", ..to("k") }, &Properties::default(), b"x");
        let (tag, _, _) = link.publications().remove(0);
        link.settle(tag, Outcome::rejected_because(cause, "no exchange 'e' in vhost '/'"), false);
        let exception = link.exception();
        assert!(exception.starts_with("1 ") && exception.contains(&format!("reply_code: {code}")));
        assert!(exception.contains("class_id: 60, method_id: 40"));
    }
}

#[test]
fn copies_go_by_further_keys_and_bcc_is_not_told() {
    let mut list = ArrayBuf::new();
    list.push(Value::Text(b"b")).push(Value::Text(b"c"));
    let mut secret = ArrayBuf::new();
    secret.push(Value::Text(b"d"));
    let mut headers = TableBuf::new();
    headers.put("CC", Value::Array(list.array())).put("BCC", Value::Array(secret.array()));
    let properties = Properties { headers: Some(headers.table()), ..Properties::default() };
    let mut link = Link::channel();
    link.send(1, ConfirmSelect { no_wait: true });
    link.publish(to("a"), &properties, b"x");
    let publications = link.publications();
    let mut addresses: Vec<_> = publications.iter().map(|(_, _, it)| it.address.as_str()).collect();
    addresses.sort_unstable();
    assert_eq!(addresses, ["a", "b", "c", "d"]);
    for (index, (tag, _, publication)) in publications.iter().enumerate() {
        let original = publication.details.as_ref().unwrap().original.as_ref().unwrap();
        assert!(!String::from_utf8_lossy(&original.bytes).contains("BCC"));
        assert!(link.read().is_empty(), "after {index}");
        link.settle(*tag, Outcome::Accepted, true);
    }
    assert_eq!(link.read_one(), "1 BasicAck(BasicAck { delivery_tag: 1, multiple: false })");

    let mut headers = TableBuf::new();
    headers.put_text("CC", "b");
    link.publish(to("a"), &Properties { headers: Some(headers.table()), ..Properties::default() }, b"x");
    assert!(link.exception().contains("reply_code: 406"));
}

#[test]
fn what_follows_the_last_field_of_a_method_is_nobodys() {
    let mut bytes = vec![1, 0, 1, 0, 0, 0, 12, 0, 60, 0, 40, 0, 0, 0, 1, b'k', 0, 0x71, 0x72, 206];
    let whole = publication(to("k"), &Properties { kind: Some(b"t"), ..Properties::default() }, b"x");
    let (_, length) = frame(&whole, FRAME_MIN).unwrap().unwrap();
    bytes[6] = 12;
    bytes.extend_from_slice(&whole[length..]);
    let mut link = Link::channel();
    link.send_bytes(&bytes);
    let (_, _, publication) = link.publications().remove(0);
    let original = publication.details.unwrap().original.unwrap();
    assert_eq!(
        &original.bytes[..],
        b"\x00\x01k\x00\x20\x01t",
        "receivers get what was meant, and well-formed"
    );
}
