//! Performatives and SASL frames, there and back.

use crate::amqp::v1::codec::*;

fn there_and_back(performative: &Performative<'_>) {
    let mut out = Vec::new();
    performative.write(7, &mut out);
    let header = frame_header(&out).unwrap().unwrap();
    assert_eq!((header.size as usize, header.channel, header.kind), (out.len(), 7, FrameKind::Amqp));
    let (read, rest) = Performative::read(&out[usize::from(header.body)..]).unwrap();
    assert_eq!(rest, b"");
    let mut again = Vec::new();
    read.write(7, &mut again);
    assert_eq!(out, again, "{performative:?} {read:?}");
    // A symbol array is read as an array and written as a slice: all else is the same.
    if !format!("{performative:?}").contains("Slice") {
        assert_eq!(read, *performative);
    }
    for end in 8..out.len() {
        assert!(Performative::read(&out[8..end]).is_err(), "{performative:?} cut at {end}");
    }
}

#[test]
fn every_performative_is_read_as_it_was_written() {
    let mut map = MapWriter::new();
    map.symbol("product", &Value::String("x")).symbol("n", &Value::Ulong(300));
    let map = Some(map.map());
    let error = Some(ErrorInfo { condition: condition::NOT_FOUND, description: Some("no"), info: map });
    let source = Source {
        address: Some("a/b"),
        durable: Durability::UnsettledState,
        expiry_policy: Some("never"),
        timeout: 60,
        dynamic: true,
        dynamic_node_properties: map,
        distribution_mode: Some("move"),
        filter: map,
        default_outcome: Some(DeliveryState::Modified {
            delivery_failed: true,
            undeliverable_here: false,
            message_annotations: map,
        }),
        outcomes: Symbols::One("amqp:accepted:list"),
        capabilities: Symbols::Slice(&["queue", "shared"]),
    };
    let target = Target {
        address: Some("a/b"),
        durable: Durability::Configuration,
        expiry_policy: Some("link-detach"),
        timeout: 1,
        dynamic: true,
        dynamic_node_properties: map,
        capabilities: Symbols::One("topic"),
    };
    let attach = Attach {
        name: "link",
        handle: 300,
        role: Role::Receiver,
        snd_settle_mode: SenderSettleMode::Settled,
        rcv_settle_mode: ReceiverSettleMode::Second,
        source: Some(source),
        target: Some(Terminus::Target(target)),
        unsettled: map,
        incomplete_unsettled: true,
        initial_delivery_count: Some(u32::MAX),
        max_message_size: Some(u64::MAX),
        offered_capabilities: Symbols::One("x"),
        desired_capabilities: Symbols::None,
        properties: map,
    };
    let coordinator = Terminus::Coordinator { capabilities: Symbols::One("amqp:local-transactions") };
    for performative in [
        Performative::Open(Open::default()),
        Performative::Open(Open {
            container_id: "c",
            hostname: Some("h"),
            max_frame_size: Some(512),
            channel_max: Some(0),
            idle_time_out: Some(30_000),
            outgoing_locales: Symbols::One("en-US"),
            incoming_locales: Symbols::None,
            offered_capabilities: Symbols::Slice(&["ANONYMOUS-RELAY", "x"]),
            desired_capabilities: Symbols::None,
            properties: map,
        }),
        Performative::Begin(Begin::default()),
        Performative::Begin(Begin {
            remote_channel: Some(1),
            handle_max: Some(9),
            properties: map,
            ..Begin::default()
        }),
        Performative::Attach(attach),
        Performative::Attach(Attach { name: "", target: Some(coordinator), ..Attach::default() }),
        Performative::Flow(Flow {
            handle: Some(0),
            link_credit: Some(u32::MAX),
            drain: true,
            ..Flow::default()
        }),
        Performative::Flow(Flow {
            next_incoming_id: Some(4),
            echo: true,
            properties: map,
            ..Flow::default()
        }),
        Performative::Disposition(Disposition {
            role: Role::Receiver,
            first: 3,
            last: Some(9),
            settled: true,
            state: Some(DeliveryState::Rejected(error)),
            batchable: true,
        }),
        Performative::Disposition(Disposition {
            state: Some(DeliveryState::Received { section_number: 1, section_offset: 5 }),
            ..Disposition::default()
        }),
        Performative::Disposition(Disposition {
            state: Some(DeliveryState::Released),
            ..Disposition::default()
        }),
        Performative::Detach(Detach { handle: 1, closed: true, error }),
        Performative::End(End { error }),
        Performative::End(End::default()),
        Performative::Close(Close { error }),
        Performative::Transfer(Transfer {
            handle: 1,
            delivery_id: Some(2),
            delivery_tag: Some(b"tag"),
            message_format: Some(0),
            settled: Some(false),
            more: true,
            rcv_settle_mode: Some(ReceiverSettleMode::Second),
            state: Some(DeliveryState::Accepted),
            resume: true,
            aborted: true,
            batchable: true,
        }),
        Performative::Transfer(Transfer::default()),
    ] {
        there_and_back(&performative);
    }
}

#[test]
fn what_follows_a_transfer_is_its_payload() {
    let mut out = Vec::new();
    Transfer { handle: 1, delivery_id: Some(0), ..Transfer::default() }.write(&mut out);
    out.extend_from_slice(b"payload");
    let (read, payload) = Performative::read(&out).unwrap();
    assert!(matches!(read, Performative::Transfer(_)));
    assert_eq!(payload, b"payload");
}

#[test]
fn fields_of_another_type_and_fields_that_lack_are_refused() {
    for body in [
        // Open without a container-id, with a number for one.
        &b"\0\x53\x10\x45"[..],
        b"\0\x53\x10\xc0\x03\x01\x52\x01",
        // Begin without windows.
        b"\0\x53\x11\xc0\x02\x01\x40",
        // A flow of no link with credit.
        b"\0\x53\x13\xc0\x0a\x07\x40\x52\x01\x52\x01\x52\x01\x40\x40\x43",
        // A performative that there is not, and none.
        b"\0\x53\x19\x45",
        b"\0\x53\x10\x40",
        b"\x45",
    ] {
        assert!(Performative::read(body).is_err(), "{body:x?}");
    }
}

#[test]
fn sasl_frames_are_read_as_they_were_written() {
    for frame in [
        SaslFrame::Mechanisms(Symbols::One("PLAIN")),
        SaslFrame::Init { mechanism: "PLAIN", initial_response: Some(b"\0u\0p"), hostname: Some("h") },
        SaslFrame::Init { mechanism: "ANONYMOUS", initial_response: None, hostname: None },
        SaslFrame::Challenge(b"c"),
        SaslFrame::Response(b""),
        SaslFrame::Outcome { code: SaslCode::Ok, additional_data: None },
        SaslFrame::Outcome { code: SaslCode::SysTemp, additional_data: Some(b"v=") },
    ] {
        let mut out = Vec::new();
        frame.write(&mut out);
        let header = frame_header(&out).unwrap().unwrap();
        assert_eq!((header.kind, header.size as usize), (FrameKind::Sasl, out.len()));
        assert_eq!(SaslFrame::read(&out[8..]), Ok(frame));
    }
    assert!(SaslFrame::read(b"\0\x53\x44\xc0\x03\x01\x50\x05").is_err(), "there is no such outcome");
}
