//! Our codec beside one that others wrote, amq-protocol: what we write it reads, and it writes the same bytes again.

use super::*;
use amq_protocol::frame::{AMQPFrame, gen_frame, parse_frame};

/// What amq-protocol makes of a frame's bytes; `None` if it refuses them.
fn theirs(bytes: &[u8]) -> Option<Vec<u8>> {
    let (rest, frame): (&[u8], AMQPFrame) = parse_frame(bytes).ok()?;
    assert!(rest.is_empty());
    let written = gen_frame(&frame)(Vec::new().into()).unwrap_or_else(|error| panic!("{error:?}"));
    Some(written.into_inner().0)
}

fn arguments() -> TableBuf {
    let mut array = ArrayBuf::new();
    array.push(Value::I32(1)).push(Value::Text(b"x")).push(Value::Void);
    let mut inner = TableBuf::new();
    inner.put("t", Value::Bool(true));
    let mut table = TableBuf::new();
    // In the order of their names, as it writes them.
    table
        .put("a", Value::Array(array.array()))
        .put("b", Value::I8(-1))
        .put("c", Value::U8(200))
        .put("d", Value::I16(-2))
        .put("e", Value::U16(3))
        .put("f", Value::I32(-4))
        .put("g", Value::U32(5))
        .put("h", Value::I64(-6))
        .put("i", Value::F32(1.5))
        .put("j", Value::F64(2.5))
        .put("l", Value::Text(b"text"))
        .put("m", Value::Bytes(&[0, 1]))
        .put("n", Value::Timestamp(7))
        .put("o", Value::Table(inner.table()))
        .put("p", Value::Void)
        .put("q", Value::Bool(false));
    table
}

#[test]
fn every_method_is_written_as_others_read_and_write_it() {
    let arguments = arguments();
    let arguments = arguments.table();
    let (queue, exchange, routing_key, consumer_tag) = ("q", "e", "k", "c");
    let (reply_code, reply_text, class_id, method_id) = (404, "NOT_FOUND", 50, 10);
    let methods: Vec<Method<'_>> = vec![
        ConnectionStart {
            version_major: 0,
            version_minor: 9,
            server_properties: arguments,
            mechanisms: b"PLAIN",
            locales: b"en_US",
        }
        .into(),
        ConnectionStartOk {
            client_properties: arguments,
            mechanism: "PLAIN",
            response: b"\0a\0b",
            locale: "en_US",
        }
        .into(),
        ConnectionSecure { challenge: b"c" }.into(),
        ConnectionSecureOk { response: b"r" }.into(),
        ConnectionTune { channel_max: 1, frame_max: 2, heartbeat: 3 }.into(),
        ConnectionTuneOk { channel_max: 1, frame_max: 2, heartbeat: 3 }.into(),
        ConnectionOpen { virtual_host: "/" }.into(),
        ConnectionOpenOk {}.into(),
        ConnectionClose { reply_code, reply_text, class_id, method_id }.into(),
        ConnectionCloseOk {}.into(),
        ConnectionBlocked { reason: "r" }.into(),
        ConnectionUnblocked {}.into(),
        ConnectionUpdateSecret { new_secret: b"s", reason: "r" }.into(),
        ConnectionUpdateSecretOk {}.into(),
        ChannelOpen {}.into(),
        ChannelOpenOk {}.into(),
        ChannelFlow { active: true }.into(),
        ChannelFlowOk { active: true }.into(),
        ChannelClose { reply_code, reply_text, class_id, method_id }.into(),
        ChannelCloseOk {}.into(),
        ExchangeDeclare {
            exchange,
            kind: "topic",
            durable: true,
            internal: true,
            arguments,
            ..ExchangeDeclare::default()
        }
        .into(),
        ExchangeDeclareOk {}.into(),
        ExchangeDelete { exchange, if_unused: true, no_wait: false }.into(),
        ExchangeDeleteOk {}.into(),
        ExchangeBind { destination: "d", source: "s", routing_key, no_wait: true, arguments }.into(),
        ExchangeBindOk {}.into(),
        ExchangeUnbind { destination: "d", source: "s", routing_key, no_wait: true, arguments }.into(),
        ExchangeUnbindOk {}.into(),
        QueueDeclare { queue, exclusive: true, no_wait: true, arguments, ..QueueDeclare::default() }.into(),
        QueueDeclareOk { queue, message_count: 1, consumer_count: 2 }.into(),
        QueueBind { queue, exchange, routing_key, no_wait: false, arguments }.into(),
        QueueBindOk {}.into(),
        QueuePurge { queue, no_wait: true }.into(),
        QueuePurgeOk { message_count: 9 }.into(),
        QueueDelete { queue, if_unused: false, if_empty: true, no_wait: false }.into(),
        QueueDeleteOk { message_count: 9 }.into(),
        QueueUnbind { queue, exchange, routing_key, arguments }.into(),
        QueueUnbindOk {}.into(),
        BasicQos { prefetch_size: 0, prefetch_count: 5, global: true }.into(),
        BasicQosOk {}.into(),
        BasicConsume {
            queue,
            consumer_tag,
            no_ack: true,
            exclusive: true,
            arguments,
            ..BasicConsume::default()
        }
        .into(),
        BasicConsumeOk { consumer_tag }.into(),
        BasicCancel { consumer_tag, no_wait: true }.into(),
        BasicCancelOk { consumer_tag }.into(),
        BasicPublish { exchange, routing_key, mandatory: true, immediate: false }.into(),
        BasicReturn { reply_code: 312, reply_text: "NO_ROUTE", exchange, routing_key }.into(),
        BasicDeliver { consumer_tag, delivery_tag: 1 << 40, redelivered: true, exchange, routing_key }.into(),
        BasicGet { queue, no_ack: true }.into(),
        BasicGetOk { delivery_tag: 1, redelivered: false, exchange, routing_key, message_count: 3 }.into(),
        BasicGetEmpty {}.into(),
        BasicAck { delivery_tag: 5, multiple: true }.into(),
        BasicReject { delivery_tag: 5, requeue: true }.into(),
        BasicRecoverAsync { requeue: true }.into(),
        BasicRecover { requeue: true }.into(),
        BasicRecoverOk {}.into(),
        BasicNack { delivery_tag: 5, multiple: true, requeue: false }.into(),
        ConfirmSelect { no_wait: true }.into(),
        ConfirmSelectOk {}.into(),
        TxSelect {}.into(),
        TxSelectOk {}.into(),
        TxCommit {}.into(),
        TxCommitOk {}.into(),
        TxRollback {}.into(),
        TxRollbackOk {}.into(),
    ];
    for method in methods {
        let mut bytes = Vec::new();
        method_frame(&method, 7, &mut bytes);
        assert_eq!(theirs(&bytes).as_deref(), Some(&bytes[..]), "{method:?}");
        let (found, _) = frame(&bytes, FRAME_MIN).unwrap().unwrap();
        assert_eq!(Method::read(found.payload).unwrap(), method);
    }
}

#[test]
fn content_headers_are_written_as_others_read_and_write_them() {
    let headers = arguments();
    let all = Properties {
        content_type: Some(b"text/plain"),
        content_encoding: Some(b"gzip"),
        headers: Some(headers.table()),
        delivery_mode: Some(2),
        priority: Some(1),
        correlation_id: Some(b"c"),
        reply_to: Some(b"r"),
        expiration: Some(b"1"),
        message_id: Some(b"m"),
        timestamp: Some(2),
        kind: Some(b"t"),
        user_id: Some(b"u"),
        app_id: Some(b"a"),
        cluster_id: Some(b"x"),
    };
    for properties in [all, Properties::default(), Properties { priority: Some(3), ..Properties::default() }]
    {
        let mut list = Vec::new();
        properties.write(&mut list);
        let mut bytes = Vec::new();
        content_header(1, 1 << 33, &list, &mut bytes);
        assert_eq!(theirs(&bytes).as_deref(), Some(&bytes[..]), "{properties:?}");
    }
}
