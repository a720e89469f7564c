//! Links on which the peer receives: credit, deliveries, what it does with them.

use super::*;
use windrose_event::Disposition as Done;

fn disposed(peer: &mut Peer) -> Vec<(Vec<u16>, Done)> {
    let intents = peer.intents();
    intents
        .into_iter()
        .map(|intent| match intent {
            Intent::Dispose { tags, disposition, .. } => {
                (tags.iter().map(|tag| tag.0).collect(), disposition)
            }
            other => panic!("{other:?}"),
        })
        .collect()
}

fn dispose(
    first: u32,
    last: u32,
    settled: bool,
    state: Option<DeliveryState<'static>>,
) -> Performative<'static> {
    Performative::Disposition(Disposition {
        role: Role::Receiver,
        first,
        last: Some(last),
        settled,
        state,
        ..Disposition::default()
    })
}

#[test]
fn events_come_and_are_settled_in_ranges() {
    let mut peer = Peer::open();
    let consumer = peer.receiver(10, Attach::default());
    for tag in 1..=5 {
        peer.supply(consumer, tag, &event(b"hello"));
        let (frame, payload) = peer.next().unwrap();
        assert!(
            frame.contains(&format!("delivery_id: some({})", tag - 1))
                && frame.contains("settled: some(false)")
        );
        let message = Message::read(&payload).unwrap();
        assert_eq!((message.body, message.properties.unwrap().to), (Body::Data(b"hello"), Some("a/b")));
    }
    peer.say(dispose(0, 2, true, Some(DeliveryState::Accepted)));
    assert_eq!(disposed(&mut peer), [(vec![1, 2, 3], Done::Accepted)]);
    peer.say(dispose(0, 4, true, Some(DeliveryState::Released)));
    assert_eq!(disposed(&mut peer), [(vec![4, 5], Done::Released)]);
    peer.nothing();
}

#[test]
fn every_outcome_of_a_receiver_is_understood() {
    let modified = |undeliverable_here| DeliveryState::Modified {
        delivery_failed: true,
        undeliverable_here,
        message_annotations: None,
    };
    for (state, done) in [
        (Some(DeliveryState::Rejected(None)), Done::Rejected),
        (Some(modified(false)), Done::Modified { failed: true, undeliverable_here: false }),
        (Some(modified(true)), Done::Modified { failed: true, undeliverable_here: true }),
        (None, Done::Released),
    ] {
        let mut peer = Peer::open();
        let default_outcome = Some(DeliveryState::Released);
        let source = Some(Source { address: Some("q"), default_outcome, ..Source::default() });
        let consumer = peer.receiver(1, Attach { source, ..Attach::default() });
        peer.supply(consumer, 9, &event(b"x"));
        peer.frame("transfer(");
        peer.say(dispose(0, 0, true, state));
        assert_eq!(disposed(&mut peer), [(vec![9], done)]);
    }
}

#[test]
fn a_receiver_that_settles_second_is_answered() {
    let mut peer = Peer::open();
    let consumer =
        peer.receiver(5, Attach { rcv_settle_mode: ReceiverSettleMode::Second, ..Attach::default() });
    for tag in 1..=2 {
        peer.supply(consumer, tag, &event(b"x"));
        peer.frame("transfer(");
    }
    peer.say(dispose(0, 1, false, Some(DeliveryState::Received { section_number: 0, section_offset: 0 })));
    assert!(disposed(&mut peer).is_empty(), "it is on its way only");
    peer.say(dispose(0, 1, false, Some(DeliveryState::Accepted)));
    assert_eq!(disposed(&mut peer), [(vec![1, 2], Done::Accepted)]);
    let answer = peer.frame("disposition(");
    assert!(
        answer.contains("role: sender")
            && answer.contains("settled: true")
            && answer.contains("last: some(1)")
    );
}

#[test]
fn settled_deliveries_are_asked_for_as_such() {
    let mut peer = Peer::open();
    let source = Some(Source { address: Some("q"), ..Source::default() });
    let attach = Attach { name: "r", role: Role::Receiver, source, ..Attach::default() };
    peer.say(Performative::Attach(Attach { snd_settle_mode: SenderSettleMode::Settled, ..attach }));
    let Intent::Consume(consume) = peer.intent() else { panic!() };
    assert!(consume.presettled);
    peer.tell(Directive::Consuming { consumer: consume.consumer, result: Ok(Consuming::default()) });
    assert!(peer.frame("attach(").contains("snd_settle_mode: settled"));
    peer.supply(consume.consumer, 0, &event(b"x"));
    assert!(peer.frame("transfer(").contains("settled: some(true)"));
}

#[test]
fn credit_is_counted_from_the_peers_own_count() {
    let mut peer = Peer::open();
    let consumer = peer.receiver(5, Attach::default());
    for tag in 1..=3 {
        peer.supply(consumer, tag, &event(b"x"));
        peer.frame("transfer(");
    }
    // It has seen two of three, and takes five from there.
    peer.grant(0, 2, 5);
    let Intent::Grant { limit, drain, .. } = peer.intent() else { panic!() };
    assert_eq!((limit, drain), (7, false));
    // It takes none any more.
    peer.grant(0, 3, 0);
    let Intent::Grant { limit, .. } = peer.intent() else { panic!() };
    assert_eq!(limit, 3);
    peer.grant(0, 3, u32::MAX);
    let Intent::Grant { limit, .. } = peer.intent() else { panic!() };
    assert_eq!(limit, 3 + 997, "as much as the session's window has room for");
}

#[test]
fn credit_that_comes_before_the_answer_counts() {
    let mut peer = Peer::open();
    let source = Some(Source { address: Some("q"), ..Source::default() });
    peer.say(Performative::Attach(Attach { name: "r", role: Role::Receiver, source, ..Attach::default() }));
    peer.flow(Flow { handle: Some(0), link_credit: Some(7), ..Flow::default() });
    peer.consumed(Consuming::default());
    let Intent::Grant { limit, .. } = peer.intent() else { panic!() };
    assert_eq!(limit, 7);
}

#[test]
fn drained_credit_is_given_back() {
    let mut peer = Peer::open();
    let consumer = peer.receiver(5, Attach::default());
    peer.supply(consumer, 1, &event(b"x"));
    peer.frame("transfer(");
    let flow = Flow {
        handle: Some(0),
        delivery_count: Some(0),
        link_credit: Some(5),
        drain: true,
        ..Flow::default()
    };
    peer.flow(flow);
    let Intent::Grant { limit, drain, .. } = peer.intent() else { panic!() };
    assert_eq!((limit, drain), (5, true));
    peer.tell(Directive::Drained { consumer, limit: 1 });
    let answer = peer.frame("flow(");
    assert!(
        answer.contains("delivery_count: some(5)") && answer.contains("link_credit: some(0)"),
        "{answer}"
    );
    assert!(answer.contains("drain: true"));
    peer.grant(0, 5, 2);
    let Intent::Grant { limit, .. } = peer.intent() else { panic!() };
    assert_eq!(limit, 3, "one was delivered, two are taken");
}

#[test]
fn a_large_message_goes_in_frames_that_the_peer_takes() {
    let mut peer = Peer::new(config());
    peer.open_now(Open { container_id: "c", max_frame_size: Some(512), ..Open::default() });
    peer.begin();
    let consumer = peer.receiver(5, Attach::default());
    let data: Vec<u8> = (0..5_000_u32).map(|n| n as u8).collect();
    peer.supply(consumer, 1, &event(&data));
    let mut whole = Vec::new();
    loop {
        let (frame, payload) = peer.next().unwrap();
        assert!(payload.len() < 512);
        whole.extend_from_slice(&payload);
        if frame.contains("more: false") {
            break;
        }
    }
    assert_eq!(Message::read(&whole).unwrap().body, Body::Data(&data));
    peer.nothing();
}

#[test]
fn what_a_receiver_settles_goes_before_the_credit_that_it_gives() {
    let mut peer = Peer::open();
    let consumer = peer.receiver(1, Attach::default());
    peer.supply(consumer, 1, &event(b"x"));
    peer.frame("transfer(");
    let mut out = Vec::new();
    let flow = Flow {
        next_incoming_id: Some(1),
        incoming_window: 1_000,
        handle: Some(0),
        delivery_count: Some(1),
        link_credit: Some(1),
        ..Flow::default()
    };
    Performative::Flow(flow).write(0, &mut out);
    dispose(0, 0, true, Some(DeliveryState::Released)).write(0, &mut out);
    peer.bytes(&out);
    let intents = peer.intents();
    assert!(matches!(&intents[..], [Intent::Dispose { .. }, Intent::Grant { limit: 2, .. }]), "{intents:?}");
}

#[test]
fn a_message_larger_than_the_receiver_takes_goes_elsewhere() {
    let mut peer = Peer::open();
    let consumer = peer.receiver(5, Attach { max_message_size: Some(100), ..Attach::default() });
    peer.supply(consumer, 1, &event(&[0; 101]));
    peer.nothing();
    let intents = peer.intents();
    assert!(
        matches!(
            intents[0],
            Intent::Dispose { disposition: Done::Modified { undeliverable_here: true, .. }, .. }
        ),
        "{intents:?}"
    );
}

#[test]
fn what_comes_for_a_link_that_is_gone_is_not_sent() {
    let mut peer = Peer::open();
    let consumer = peer.receiver(5, Attach::default());
    peer.supply(consumer, 1, &event(b"x"));
    peer.frame("transfer(");
    peer.say(Performative::Detach(Detach { handle: 0, closed: true, error: None }));
    peer.frame("detach(");
    assert!(matches!(peer.intent(), Intent::Cancel { release: true, .. }));
    peer.supply(consumer, 2, &event(b"y"));
    peer.say(dispose(0, 0, true, Some(DeliveryState::Accepted)));
    peer.tell(Directive::Canceled { consumer, because: None });
    assert!(peer.intents().is_empty());
    peer.nothing();
    let next = peer.receiver(0, Attach::default());
    assert_eq!(next, consumer, "its number is free again");
}
