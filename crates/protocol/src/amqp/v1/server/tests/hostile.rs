//! Peers that do not keep to anything.

use super::*;
use proptest::prelude::*;

#[test]
fn performatives_out_of_order_end_what_they_concern() {
    for (performative, answer) in [
        (Performative::Begin(Begin { remote_channel: Some(0), ..Begin::default() }), "amqp:not-allowed"),
        (Performative::Open(Open { container_id: "x", ..Open::default() }), "amqp:illegal-state"),
        (Performative::End(End::default()), "end("),
        (Performative::Detach(Detach { handle: 4, ..Detach::default() }), "amqp:session:unattached-handle"),
        (
            Performative::Flow(Flow { handle: Some(4), link_credit: Some(1), ..Flow::default() }),
            "amqp:session:unattached-handle",
        ),
        (
            Performative::Disposition(Disposition { first: 9, last: Some(8), ..Disposition::default() }),
            "amqp:invalid-field",
        ),
        (Performative::Close(Close::default()), "close("),
    ] {
        let mut peer = Peer::open();
        peer.say(performative);
        let (frame, _) = peer.next().unwrap();
        assert!(frame.contains(answer), "{answer}: {frame}");
    }
    let mut peer = Peer::new(config());
    peer.bytes(AMQP_HEADER);
    peer.say(Performative::Begin(Begin::default()));
    peer.take(8);
    peer.frame("open(");
    assert!(peer.frame("close(").contains("amqp:illegal-state"));
}

#[test]
fn too_much_before_the_answer_is_not_kept() {
    let mut peer = Peer::new(config());
    peer.bytes(AMQP_HEADER);
    peer.say(Performative::Open(Open { container_id: "c", ..Open::default() }));
    for _ in 0..100 {
        peer.bytes(&[0; 1_024]);
    }
    let intents = peer.intents();
    assert!(matches!(&intents[..], [Intent::Open(_), Intent::Close(_)]), "{intents:?}");
    assert!(peer.closed);
}

#[test]
fn a_range_of_all_deliveries_costs_no_more_than_those_that_there_are() {
    let mut peer = Peer::open();
    let consumer = peer.receiver(10, Attach::default());
    for tag in 1..=3 {
        peer.supply(consumer, tag, &event(b"x"));
    }
    for _ in 0..1_000 {
        peer.say(Performative::Disposition(Disposition {
            role: Role::Receiver,
            first: 0,
            last: Some(i32::MAX as u32),
            settled: true,
            state: Some(DeliveryState::Accepted),
            ..Disposition::default()
        }));
    }
    assert_eq!(peer.intents().len(), 1);
}

/// What a peer may do next, some of it sensible.
fn frame(choice: u8, number: u32) -> Vec<u8> {
    let mut out = Vec::new();
    let handle = number % 3;
    let channel = (number / 3 % 2) as u16;
    let source =
        Some(Source { address: Some(["q", "a/#", "/exchange/e/k"][handle as usize]), ..Source::default() });
    let target = Some(Terminus::Target(Target { address: Some("a/b"), ..Target::default() }));
    let name = ["x", "y", "z"][handle as usize];
    let performative = match choice % 12 {
        0 => Performative::Begin(Begin { incoming_window: number, ..Begin::default() }),
        1 => Performative::Attach(Attach {
            name,
            handle,
            target,
            initial_delivery_count: Some(number),
            ..Attach::default()
        }),
        2 => Performative::Attach(Attach { name, handle, role: Role::Receiver, source, ..Attach::default() }),
        3 => Performative::Flow(Flow {
            next_incoming_id: Some(number % 8),
            incoming_window: number,
            handle: Some(handle),
            delivery_count: Some(number % 8),
            link_credit: Some(number),
            drain: number.is_multiple_of(2),
            echo: number.is_multiple_of(5),
            ..Flow::default()
        }),
        4..=6 => {
            let start = start_frame(&mut out, FrameKind::Amqp, channel);
            let transfer = Transfer {
                handle,
                delivery_id: Some(number % 16),
                delivery_tag: Some(b"t"),
                more: number.is_multiple_of(4),
                aborted: number.is_multiple_of(7),
                settled: Some(number.is_multiple_of(3)),
                resume: number.is_multiple_of(5),
                ..Transfer::default()
            };
            transfer.write(&mut out);
            out.extend_from_slice(&message(b"x"));
            finish_frame(&mut out, start, 0);
            return out;
        }
        7 | 8 => Performative::Disposition(Disposition {
            role: if choice.is_multiple_of(2) { Role::Sender } else { Role::Receiver },
            first: number % 8,
            last: Some(number % 16),
            settled: number.is_multiple_of(2),
            state: Some(DeliveryState::Accepted),
            ..Disposition::default()
        }),
        9 => Performative::Detach(Detach { handle, closed: number.is_multiple_of(2), error: None }),
        10 => Performative::End(End::default()),
        _ => Performative::Flow(Flow { incoming_window: number % 4, ..Flow::default() }),
    };
    performative.write(channel, &mut out);
    out
}

proptest! {
    /// Whatever order frames come in, and whatever the engine says to them: every publication is settled at most once,
    /// every delivery disposed of at most once, and nothing is said after close.
    #[test]
    fn any_order_of_frames_and_answers_is_survived(
        steps in proptest::collection::vec((any::<u8>(), any::<u32>(), any::<u8>()), 1..80),
    ) {
        let mut peer = Peer::open();
        let mut consumers = Vec::new();
        let mut tags = Vec::new();
        let mut next = 0_u16;
        for (choice, number, answer) in steps {
            peer.bytes(&frame(choice, number));
            for intent in peer.intents() {
                match intent {
                    Intent::Consume(consume) if !answer.is_multiple_of(7) => {
                        consumers.push(consume.consumer);
                        let result = Ok(Consuming::default());
                        peer.tell(Directive::Consuming { consumer: consume.consumer, result });
                    }
                    Intent::Consume(consume) => {
                        let declined = neutral::Declined { cause: neutral::DeclineCause::NotFound, detail: String::new() };
                        peer.tell(Directive::Consuming { consumer: consume.consumer, result: Err(declined) });
                    }
                    Intent::Cancel { consumer, .. } => {
                        consumers.retain(|known| *known != consumer);
                        peer.tell(Directive::Canceled { consumer, because: None });
                    }
                    Intent::Arrange { tag, .. } => {
                        let arranged = Arranged { queue: "gen".into(), ..Arranged::default() };
                        peer.tell(Directive::Arranged { tag, result: Ok(arranged) });
                    }
                    Intent::Publish(publish) if publish.tag != Tag::NONE => {
                        prop_assert!(!tags.contains(&publish.tag));
                        tags.push(publish.tag);
                    }
                    Intent::Grant { consumer, limit, drain: true } => {
                        peer.tell(Directive::Drained { consumer, limit: limit.min(u64::from(answer)) });
                    }
                    _ => {}
                }
            }
            if answer.is_multiple_of(2) && !tags.is_empty() {
                let tag = tags.swap_remove(usize::from(answer) % tags.len());
                peer.settle(tag, Outcome::Accepted);
            }
            if let Some(consumer) = consumers.get(usize::from(answer) % consumers.len().max(1)).copied() {
                next = next % 60_000 + 1;
                peer.supply(consumer, next, &event(b"x"));
            }
            while peer.next().is_some() {}
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200), sasl: bool) {
        let mut peer = if sasl { Peer::new(config()) } else { Peer::open() };
        if sasl {
            peer.bytes(SASL_HEADER);
        }
        peer.bytes(&bytes);
        peer.intents();
    }
}
