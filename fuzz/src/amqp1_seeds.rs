//! The first inputs of AMQP 1.0's targets, made by our own encoder.

use windrose_protocol::amqp::v1::codec::*;

fn message() -> Vec<u8> {
    let mut bytes = Vec::new();
    Header { durable: true, ttl: Some(1_000), ..Header::default() }.write(&mut bytes);
    let mut map = MapWriter::new();
    map.symbol("x-opt-retain", &Value::Boolean(true));
    write_section_map(MapSection::MessageAnnotations, &map.map(), &mut bytes);
    let properties = Properties {
        message_id: Value::Ulong(7),
        to: Some("a/b"),
        subject: Some("s"),
        reply_to: Some("$reply/x"),
        correlation_id: Value::String("c"),
        content_type: Some("text/plain"),
        ..Properties::default()
    };
    properties.write(&mut bytes);
    let mut map = MapWriter::new();
    map.string("cloudEvents:id", &Value::String("1")).string("n", &Value::Int(-5));
    write_section_map(MapSection::ApplicationProperties, &map.map(), &mut bytes);
    write_data_head(5, &mut bytes);
    bytes.extend_from_slice(b"hello");
    bytes
}

fn performatives() -> Vec<Performative<'static>> {
    let source = Some(Source { address: Some("q"), timeout: 5, ..Source::default() });
    let filter = Some(Source { address: Some("a/#"), expiry_policy: Some("never"), ..Source::default() });
    let target = |address| Some(Terminus::Target(Target { address, ..Target::default() }));
    let sender = Attach { name: "s", handle: 0, initial_delivery_count: Some(0), ..Attach::default() };
    let receiver = Attach { name: "r", handle: 1, role: Role::Receiver, ..Attach::default() };
    let flow = Flow { next_incoming_id: Some(0), incoming_window: 100, handle: Some(1), ..Flow::default() };
    let done = Disposition { role: Role::Receiver, settled: true, ..Disposition::default() };
    let error = Some(ErrorInfo::new(condition::INTERNAL_ERROR, "why"));
    vec![
        Performative::Begin(Begin { incoming_window: 100, outgoing_window: 100, ..Begin::default() }),
        Performative::Attach(Attach { target: target(Some("a/b")), ..sender }),
        Performative::Attach(Attach { target: target(Some("/exchange/e")), name: "e", handle: 2, ..sender }),
        Performative::Attach(Attach { target: target(None), name: "n", handle: 3, ..sender }),
        Performative::Attach(Attach { source, ..receiver }),
        Performative::Attach(Attach { source: filter, ..receiver }),
        Performative::Attach(Attach {
            source: Some(Source { dynamic: true, ..Source::default() }),
            ..receiver
        }),
        Performative::Flow(Flow { delivery_count: Some(0), link_credit: Some(5), ..flow }),
        Performative::Flow(Flow {
            delivery_count: Some(0),
            link_credit: Some(5),
            drain: true,
            echo: true,
            ..flow
        }),
        Performative::Disposition(Disposition { state: Some(DeliveryState::Accepted), ..done }),
        Performative::Disposition(Disposition {
            last: Some(9),
            state: Some(DeliveryState::Rejected(error)),
            ..done
        }),
        Performative::Detach(Detach { handle: 0, closed: true, error }),
        Performative::Detach(Detach { handle: 0, closed: false, error: None }),
        Performative::End(End::default()),
        Performative::Close(Close { error }),
    ]
}

/// Values, performatives, messages, SASL frames.
pub fn codec() -> Vec<Vec<u8>> {
    let with = |kind: u8, bytes: &[u8]| [&[kind][..], bytes].concat();
    let mut seeds = vec![with(2, &message())];
    for value in
        [&b"\xe0\x07\x02\xa3\x01a\x02bc"[..], b"\xc1\x09\x04\xa3\x01a\x41\xa1\x01b\x42", b"\0\x53\x24\x45"]
    {
        seeds.push(with(0, value));
    }
    for performative in performatives() {
        let mut bytes = Vec::new();
        performative.write(0, &mut bytes);
        seeds.push(with(1, &bytes[8..]));
    }
    for frame in sasl() {
        seeds.push(with(3, &frame[8..]));
    }
    seeds
}

fn sasl() -> Vec<Vec<u8>> {
    let init = |mechanism, response| {
        let mut bytes = Vec::new();
        SaslFrame::Init { mechanism, initial_response: Some(response), hostname: None }.write(&mut bytes);
        bytes
    };
    vec![init("PLAIN", b"\0u\0p"), init("ANONYMOUS", b""), init("SCRAM-SHA-256", b"n,,n=u,r=x")]
}

/// Scripts: a connection is opened, then each performative comes, with answers between.
pub fn server() -> Vec<Vec<u8>> {
    let bytes = |part: &[u8]| [&[0, part.len() as u8][..], part].concat();
    let framed = |performative: Performative<'_>| {
        let mut frame = Vec::new();
        performative.write(0, &mut frame);
        bytes(&frame)
    };
    let mut open = bytes(AMQP_HEADER);
    open.extend(framed(Performative::Open(Open {
        container_id: "c",
        idle_time_out: Some(5_000),
        ..Open::default()
    })));
    open.extend([2, 1]);
    let mut seeds = Vec::new();
    for start in sasl() {
        let mut script = bytes(SASL_HEADER);
        script.extend(bytes(&start));
        script.extend([2, 1]);
        script.extend(&open);
        seeds.push(script);
    }
    let mut all = open.clone();
    for performative in performatives() {
        let mut script = open.clone();
        script.extend(framed(performatives()[0]));
        script.extend(framed(performatives()[1]));
        script.extend(framed(performative));
        script.extend([2, 1, 2, 1, 4, 0, 5, 0]);
        seeds.push(script);
        all.extend(framed(performative));
        all.extend([2, 1, 4, 0]);
        if matches!(performative, Performative::Attach(_)) {
            let mut frame = Vec::new();
            let start = start_frame(&mut frame, FrameKind::Amqp, 0);
            Transfer { delivery_id: Some(0), delivery_tag: Some(b"t"), ..Transfer::default() }
                .write(&mut frame);
            frame.extend_from_slice(&message());
            finish_frame(&mut frame, start, 0);
            all.extend(bytes(&frame));
            all.extend([5, 0]);
        }
    }
    seeds.push(all);
    seeds
}
