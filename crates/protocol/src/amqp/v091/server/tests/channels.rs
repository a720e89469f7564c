//! Channels, and what is arranged on them.

use super::*;
use windrose_event::{Binding, Destination, ExchangeKind, HeadersTest, Overflow, Text};

#[test]
fn channels_are_opened_closed_and_opened_again() {
    let mut link = Link::open();
    link.open_channel(1);
    link.open_channel(10);
    link.send(1, ChannelClose { reply_code: 200, ..ChannelClose::default() });
    assert_eq!(link.read_one(), "1 ChannelCloseOk(ChannelCloseOk)");
    link.open_channel(1);
}

#[test]
fn channels_out_of_order_end_the_connection() {
    let second = |link: &mut Link| link.send(1, ChannelOpen {});
    let unknown = |link: &mut Link| link.send(2, QueueDeclare::default());
    let past = |link: &mut Link| link.send(11, ChannelOpen {});
    let publish = |link: &mut Link| link.send(3, to("q"));
    type Act<'a> = &'a dyn Fn(&mut Link);
    let cases: [(Act<'_>, u16, &str); 4] = [
        (&second, 504, "second 'channel.open' seen"),
        (&unknown, 504, "expected 'channel.open'"),
        (&past, 530, "has reached the negotiated channel_max (10)"),
        (&publish, 504, "expected 'channel.open'"),
    ];
    for (act, code, text) in cases {
        let mut link = Link::channel();
        act(&mut link);
        let exception = link.exception();
        assert!(exception.starts_with("0 ConnectionClose"), "{exception}");
        assert!(
            exception.contains(&format!("reply_code: {code}")) && exception.contains(text),
            "{exception}"
        );
    }
}

#[test]
fn ten_thousand_channels_are_refused_by_the_limit() {
    let mut link = Link::open();
    for number in 1..=10_000_u16 {
        link.send(number, ChannelOpen {});
        if link.server.state != State::Open {
            assert_eq!(number, 11);
            break;
        }
    }
    assert!(link.exception().contains("reply_code: 530"));
}

#[test]
fn an_exception_ends_its_channel_alone_and_it_can_be_opened_again() {
    let mut link = Link::channel();
    link.open_channel(2);
    link.send(1, QueueDeclare { queue: "q", passive: true, ..QueueDeclare::default() });
    link.intents.clear();
    link.arranged(Err(declined(DeclineCause::NotFound, "no queue 'q' in vhost '/'")));
    let exception = link.read_one();
    assert!(exception.starts_with("1 ChannelClose"), "{exception}");
    assert!(exception.contains("reply_code: 404"));
    assert!(exception.contains("NOT_FOUND - no queue 'q' in vhost '/'"));
    assert!(exception.contains("class_id: 50, method_id: 10"));
    link.send(1, QueueDeclare::default());
    link.publish(to("q"), &Properties::default(), b"x");
    assert!(link.intents.is_empty() && link.read().is_empty(), "what was under way is ignored");
    link.send(2, BasicQos::default());
    assert!(link.read_one().contains("BasicQosOk"));
    link.send(1, ChannelCloseOk {});
    link.open_channel(1);
}

#[test]
fn both_sides_may_close_a_channel_at_once() {
    let mut link = Link::channel();
    link.send(1, BasicAck { delivery_tag: 9, multiple: false });
    assert!(link.exception().contains("reply_code: 406"));
    link.send(1, ChannelClose { reply_code: 200, ..ChannelClose::default() });
    assert!(link.read_one().contains("ChannelCloseOk"));
    link.send(1, ChannelCloseOk {});
    link.open_channel(1);
}

#[test]
fn declines_have_the_codes_of_the_specification() {
    for (cause, code) in [
        (DeclineCause::NotFound, 404),
        (DeclineCause::Precondition, 406),
        (DeclineCause::Locked, 405),
        (DeclineCause::NotPermitted, 403),
        (DeclineCause::Quota, 406),
        (DeclineCause::BadName, 406),
        (DeclineCause::Unsupported, 540),
    ] {
        let mut link = Link::channel();
        link.send(1, QueueDelete { queue: "q", ..QueueDelete::default() });
        link.arranged(Err(declined(cause, "because")));
        let exception = link.exception();
        assert!(exception.contains(&format!("reply_code: {code}")), "{exception}");
        assert_eq!(exception.starts_with("0 "), code == 540);
    }
}

#[test]
fn a_queue_is_declared_with_all_that_is_particular_to_it() {
    let mut arguments = TableBuf::new();
    arguments
        .put("x-message-ttl", Value::I32(1_000))
        .put("x-expires", Value::U32(60_000))
        .put("x-max-length", Value::I64(10))
        .put("x-max-length-bytes", Value::U16(4_000))
        .put_text("x-overflow", "reject-publish")
        .put_text("x-dead-letter-exchange", "")
        .put_text("x-dead-letter-routing-key", "dead")
        .put("x-single-active-consumer", Value::Bool(true))
        .put_text("x-queue-type", "quorum")
        .put_text("x-something", "else");
    let mut link = Link::channel();
    let arguments = arguments.table();
    link.send(1, QueueDeclare { queue: "q", durable: true, arguments, ..QueueDeclare::default() });
    let Arrangement::DeclareQueue(declaration) = link.arrangement() else { panic!("another") };
    assert!(
        declaration.durable && !declaration.exclusive && !declaration.auto_delete && !declaration.passive
    );
    let options = declaration.options;
    assert_eq!(options.message_ttl, Some(Duration::from_secs(1)));
    assert_eq!(options.expires, Some(Duration::from_secs(60)));
    assert_eq!((options.max_length, options.max_length_bytes), (Some(10), Some(4_000)));
    assert_eq!(options.overflow, Some(Overflow::RejectPublish));
    assert_eq!(options.dead_letter_exchange.as_deref(), Some(""));
    assert_eq!(options.dead_letter_routing_key.as_deref(), Some("dead"));
    assert!(options.single_active_consumer);
    link.arranged(Ok(Arranged { queue: "q".into(), messages: 3, consumers: 1 }));
    assert!(link.read_one().contains(r#"queue: "q", message_count: 3, consumer_count: 1"#));
}

#[test]
fn an_exclusive_queue_is_not_durable_whatever_is_said() {
    let mut link = Link::channel();
    link.send(1, QueueDeclare { queue: "q", durable: true, exclusive: true, ..QueueDeclare::default() });
    let Arrangement::DeclareQueue(declaration) = link.arrangement() else { panic!("another") };
    assert!(declaration.exclusive && !declaration.durable);
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    let cases: [(&str, Value<'_>); 9] = [
        ("x-message-ttl", Value::Text(b"soon")),
        ("x-message-ttl", Value::I32(-1)),
        ("x-expires", Value::I32(0)),
        ("x-max-length", Value::Bool(true)),
        ("x-overflow", Value::Text(b"explode")),
        ("x-dead-letter-exchange", Value::I32(1)),
        ("x-dead-letter-routing-key", Value::Text(b"no exchange")),
        ("x-queue-type", Value::Text(b"stream")),
        ("x-max-priority", Value::I32(256)),
    ];
    for (name, value) in cases {
        let mut arguments = TableBuf::new();
        arguments.put(name, value);
        let mut link = Link::channel();
        link.send(1, QueueDeclare { queue: "q", arguments: arguments.table(), ..QueueDeclare::default() });
        let exception = link.exception();
        assert!(exception.contains("reply_code: 406") && exception.contains(name), "{exception}");
    }
}

#[test]
fn an_empty_name_is_the_queue_that_was_declared_last() {
    let mut link = Link::channel();
    link.send(1, QueuePurge::default());
    assert!(link.exception().contains("NOT_FOUND - no previously declared queue"));
    link.send(1, ChannelCloseOk {});
    link.open_channel(1);
    link.send(1, QueueDeclare { exclusive: true, ..QueueDeclare::default() });
    let Arrangement::DeclareQueue(declaration) = link.arrangement() else { panic!("another") };
    assert_eq!(declaration.name, None);
    link.arranged(Ok(Arranged { queue: "amq.gen-1".into(), ..Arranged::default() }));
    assert!(link.read_one().contains("amq.gen-1"));
    link.send(1, QueueBind { exchange: "e", ..QueueBind::default() });
    let Arrangement::Bind(binding) = link.arrangement() else { panic!("another") };
    assert_eq!(binding.destination, Destination::Queue(Text::from("amq.gen-1")));
    assert_eq!(binding.key, "amq.gen-1");
    link.arranged(Ok(Arranged::default()));
    assert!(link.read_one().contains("QueueBindOk"));
}

#[test]
fn nothing_is_taken_before_an_arrangement_is_made() {
    let mut link = Link::channel();
    let mut bytes = Vec::new();
    let declare = QueueDeclare { queue: "q", no_wait: true, ..QueueDeclare::default() };
    method_frame(&declare.into(), 1, &mut bytes);
    bytes.extend(publication(to("q"), &Properties::default(), b"x"));
    link.send_bytes(&bytes);
    assert!(matches!(link.arrangement(), Arrangement::DeclareQueue(_)));
    link.send_bytes(&publication(to("q"), &Properties::default(), b"y"));
    assert!(link.intents.is_empty());
    link.arranged(Ok(Arranged::default()));
    assert_eq!(link.publications().len(), 2);
    assert!(link.read().is_empty(), "no answer was wanted");
}

#[test]
fn exchanges_are_declared_bound_and_deleted() {
    let mut arguments = TableBuf::new();
    arguments.put_text("alternate-exchange", "other");
    let mut link = Link::channel();
    link.send(
        1,
        ExchangeDeclare {
            exchange: "e",
            kind: "headers",
            durable: true,
            internal: true,
            arguments: arguments.table(),
            ..ExchangeDeclare::default()
        },
    );
    let Arrangement::DeclareExchange(declaration) = link.arrangement() else { panic!("another") };
    assert_eq!((declaration.name.as_str(), declaration.kind), ("e", ExchangeKind::Headers));
    assert!(declaration.durable && declaration.internal && !declaration.auto_delete && !declaration.passive);
    assert_eq!(declaration.alternate.as_deref(), Some("other"));
    link.arranged(Ok(Arranged::default()));
    assert!(link.read_one().contains("ExchangeDeclareOk"));

    link.send(1, ExchangeBind { destination: "e", source: "f", routing_key: "k", ..ExchangeBind::default() });
    let key = Text::from("k");
    let destination = Destination::Exchange(Text::from("e"));
    let expected = Binding { source: Text::from("f"), destination, key, headers: None };
    assert_eq!(link.arrangement(), Arrangement::Bind(expected.clone()));
    link.arranged(Ok(Arranged::default()));
    assert!(link.read_one().contains("ExchangeBindOk"));
    link.send(
        1,
        ExchangeUnbind { destination: "e", source: "f", routing_key: "k", ..ExchangeUnbind::default() },
    );
    assert_eq!(link.arrangement(), Arrangement::Unbind(expected));
    link.arranged(Ok(Arranged::default()));
    assert!(link.read_one().contains("ExchangeUnbindOk"));

    link.send(1, ExchangeDelete { exchange: "e", if_unused: true, no_wait: true });
    let expected = Arrangement::DeleteExchange { name: Text::from("e"), if_unused: true };
    assert_eq!(link.arrangement(), expected);
    link.arranged(Ok(Arranged::default()));
    assert!(link.read().is_empty());
}

#[test]
fn exchanges_of_no_known_type_and_the_default_one_are_refused() {
    let mut link = Link::channel();
    link.send(1, ExchangeDeclare { exchange: "e", kind: "x-what", ..ExchangeDeclare::default() });
    let exception = link.exception();
    assert!(exception.contains("reply_code: 503") && exception.contains("invalid exchange type 'x-what'"));
    let cases: [Method<'_>; 4] = [
        ExchangeDeclare { kind: "direct", ..ExchangeDeclare::default() }.into(),
        ExchangeDelete::default().into(),
        QueueBind { queue: "q", ..QueueBind::default() }.into(),
        ExchangeBind { destination: "e", ..ExchangeBind::default() }.into(),
    ];
    for method in cases {
        let mut link = Link::channel();
        link.send(1, method);
        let exception = link.exception();
        assert!(exception.contains("ACCESS_REFUSED - operation not permitted on the default exchange"));
    }
}

#[test]
fn bindings_of_headers_say_all_or_any() {
    let bind = |arguments: &TableBuf| {
        let mut link = Link::channel();
        let arguments = arguments.table();
        link.send(1, QueueBind { queue: "q", exchange: "amq.headers", arguments, ..QueueBind::default() });
        link
    };
    let mut arguments = TableBuf::new();
    arguments
        .put_text("x-match", "any")
        .put("n", Value::I32(5))
        .put("there", Value::Void)
        .put_text("x-hidden", "1");
    let Arrangement::Bind(binding) = bind(&arguments).arrangement() else { panic!("another") };
    let wanted = vec![(Text::from("n"), Some(Text::from("5"))), (Text::from("there"), None)];
    assert_eq!(binding.headers, Some(HeadersTest { any: true, wanted }));
    let mut arguments = TableBuf::new();
    arguments.put_text("x-match", "some");
    assert!(bind(&arguments).exception().contains("reply_code: 406"));
}

#[test]
fn access_requests_of_old_are_granted() {
    let mut link = Link::channel();
    link.send(1, AccessRequest { realm: "/data", ..AccessRequest::default() });
    assert!(link.read_one().contains("AccessRequestOk { ticket: 1 }"));
}
