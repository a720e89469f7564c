//! The first inputs of the targets of AMQP 0-9-1, made by our own encoder.

use bytes::Bytes;
use windrose_protocol::Transmit;
use windrose_protocol::amqp::v091::codec::*;

fn method<'a>(channel: u16, method: impl Into<Method<'a>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    method_frame(&method.into(), channel, &mut bytes);
    bytes
}

fn publication(exchange: &str, routing_key: &str, mandatory: bool, properties: &Properties<'_>) -> Vec<u8> {
    let mut bytes = method(1, BasicPublish { exchange, routing_key, mandatory, immediate: false });
    let mut list = Vec::new();
    properties.write(&mut list);
    content_header(1, 5, &list, &mut bytes);
    let mut transmit = Transmit::default();
    body_frames(1, &Bytes::from_static(b"hello"), 4_096, &mut transmit);
    bytes.extend_from_slice(transmit.buffer());
    bytes
}

fn properties(headers: &TableBuf) -> Properties<'_> {
    Properties {
        content_type: Some(b"text/plain"),
        headers: Some(headers.table()),
        delivery_mode: Some(2),
        correlation_id: Some(b"c"),
        reply_to: Some(b"amq.rabbitmq.reply-to"),
        expiration: Some(b"1000"),
        timestamp: Some(5),
        user_id: Some(b"guest"),
        ..Properties::default()
    }
}

fn headers() -> TableBuf {
    let mut array = ArrayBuf::new();
    array.push(Value::Text(b"k2")).push(Value::Text(b"k3"));
    let mut inner = TableBuf::new();
    inner.put("a", Value::Array(array.array()));
    let mut headers = TableBuf::new();
    headers
        .put("CC", Value::Array(array.array()))
        .put("t", Value::Table(inner.table()))
        .put("d", Value::Decimal(1, 2))
        .put("x-retain", Value::Bool(true))
        .put("f", Value::F64(1.5))
        .put("v", Value::Void);
    headers
}

/// Methods of a client, each in its frame, and publications.
fn words() -> Vec<Vec<u8>> {
    let headers = headers();
    let mut arguments = TableBuf::new();
    arguments.put("x-message-ttl", Value::I32(1_000)).put_text("x-match", "any").put_text("h", "v");
    let arguments = arguments.table();
    vec![
        method(1, ExchangeDeclare { exchange: "e", kind: "topic", ..ExchangeDeclare::default() }),
        method(1, QueueDeclare { queue: "q", arguments, ..QueueDeclare::default() }),
        method(
            1,
            QueueBind { queue: "q", exchange: "e", routing_key: "#.a", arguments, ..QueueBind::default() },
        ),
        method(1, QueuePurge { queue: "q", no_wait: false }),
        method(1, BasicQos { prefetch_count: 2, global: true, ..BasicQos::default() }),
        method(1, BasicConsume { queue: "q", consumer_tag: "c", ..BasicConsume::default() }),
        method(1, BasicConsume { queue: "amq.rabbitmq.reply-to", no_ack: true, ..BasicConsume::default() }),
        method(1, ConfirmSelect { no_wait: false }),
        publication("", "q", true, &Properties::default()),
        publication("e", "a.b", false, &properties(&headers)),
        publication("", "", true, &Properties::default()),
        method(1, BasicAck { delivery_tag: 1, multiple: false }),
        method(1, BasicAck { delivery_tag: 0, multiple: true }),
        method(1, BasicNack { delivery_tag: 1, multiple: true, requeue: true }),
        method(1, BasicReject { delivery_tag: 2, requeue: false }),
        method(1, BasicGet { queue: "q", no_ack: false }),
        method(1, BasicRecover { requeue: true }),
        method(1, BasicCancel { consumer_tag: "c", no_wait: false }),
        method(1, TxSelect {}),
        method(1, TxCommit {}),
        method(1, TxRollback {}),
        method(1, ChannelFlow { active: false }),
        method(1, ChannelFlow { active: true }),
        method(1, ChannelClose { reply_code: 200, reply_text: "ok", ..ChannelClose::default() }),
        method(1, ChannelCloseOk {}),
        method(0, ConnectionClose { reply_code: 200, reply_text: "ok", ..ConnectionClose::default() }),
        vec![8, 0, 0, 0, 0, 0, 0, 206],
    ]
}

/// Frames, alone and after one another.
pub(crate) fn codec() -> Vec<Vec<u8>> {
    let mut seeds = words();
    seeds.push(words().concat());
    seeds.push(opening());
    seeds
}

/// What a client says until its connection is open.
fn opening() -> Vec<u8> {
    let mut bytes = method(
        0,
        ConnectionStartOk {
            mechanism: "PLAIN",
            response: b"\0guest\0guest",
            locale: "en_US",
            ..ConnectionStartOk::default()
        },
    );
    bytes.extend(method(0, ConnectionTuneOk { channel_max: 3, frame_max: 4_096, heartbeat: 10 }));
    bytes.extend(method(0, ConnectionOpen { virtual_host: "/" }));
    bytes.extend(method(1, ChannelOpen {}));
    bytes
}

/// A script that sends bytes, in parts that its length bytes can say.
fn say(script: &mut Vec<u8>, bytes: &[u8]) {
    for part in bytes.chunks(250) {
        script.extend_from_slice(&[0, part.len() as u8]);
        script.extend_from_slice(part);
    }
}

/// Connections that are opened, then say something, are answered, and get events.
pub(crate) fn server() -> Vec<Vec<u8>> {
    let open = |choice: u8| {
        let mut script = vec![choice];
        say(&mut script, PROTOCOL_HEADER);
        say(&mut script, &opening());
        // The engine accepts.
        script.extend_from_slice(&[4, 5]);
        script
    };
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for (index, word) in words().into_iter().enumerate() {
        let mut script = open(index as u8);
        say(&mut script, &word);
        script.extend_from_slice(&[4, 3 + 8, 7, 90, 9, 20]);
        seeds.push(script);
    }
    // All of it, with answers and events between.
    let mut script = open(1);
    for word in words() {
        say(&mut script, &word);
        script.extend_from_slice(&[4, 11, 7, 90, 4, 9, 7, 33]);
    }
    seeds.push(script);
    // A consumer that gets events, and settles them every way.
    let mut script = open(0);
    say(&mut script, &method(1, BasicConsume { queue: "q", consumer_tag: "c", ..BasicConsume::default() }));
    script.extend_from_slice(&[4, 1, 7, 1, 7, 2, 7, 40, 8, 70, 8, 200]);
    say(&mut script, &method(1, BasicNack { delivery_tag: 2, multiple: true, requeue: true }));
    say(&mut script, &method(1, BasicReject { delivery_tag: 3, requeue: false }));
    say(&mut script, &method(1, BasicCancel { consumer_tag: "c", no_wait: false }));
    say(&mut script, &method(1, ChannelClose::default()));
    script.extend_from_slice(&[4, 1, 4, 1, 4, 1, 4, 1, 11, 3]);
    seeds.push(script);
    seeds
}
