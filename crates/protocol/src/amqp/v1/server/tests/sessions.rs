//! Sessions: channels and windows.

use super::*;

#[test]
fn channels_and_handles_past_what_was_agreed_end_the_connection() {
    let mut peer = Peer::open();
    peer.say_on(4, Performative::Begin(Begin::default()));
    assert!(peer.frame("close(").contains("amqp:connection:framing-error"));
    let mut peer = Peer::open();
    peer.attach_sender(Attach { handle: 5, ..Attach::default() });
    assert!(peer.frame("close(").contains("amqp:connection:framing-error"));
    let mut peer = Peer::open();
    peer.say(Performative::Begin(Begin::default()));
    assert!(peer.frame("close(").contains("amqp:not-allowed"), "the channel has a session");
    let mut peer = Peer::open();
    peer.say_on(1, Performative::Flow(Flow::default()));
    assert!(peer.frame("close(").contains("amqp:not-allowed"), "the channel has none");
}

#[test]
fn a_session_ends_alone_and_its_channel_is_free_again() {
    let mut peer = Peer::open();
    peer.sender();
    let consumer = peer.receiver(1, Attach { handle: 1, ..Attach::default() });
    peer.say(Performative::End(End::default()));
    peer.frame("end(");
    let Intent::Cancel { consumer: canceled, release } = peer.intent() else { panic!() };
    assert_eq!((canceled, release), (consumer, true));
    peer.begin();
    peer.sender();
}

#[test]
fn an_error_of_a_session_ends_it_alone() {
    let mut peer = Peer::open();
    peer.transfer(Transfer { handle: 3, ..Transfer::default() }, b"");
    assert!(peer.frame("end(").contains("amqp:session:unattached-handle"));
    // What is on its way is passed by.
    peer.transfer(Transfer { handle: 3, ..Transfer::default() }, b"");
    peer.nothing();
    peer.say(Performative::End(End::default()));
    peer.nothing();
    peer.begin();
    assert!(!peer.closed);
}

#[test]
fn transfers_go_only_as_far_as_the_window() {
    let mut peer = Peer::open();
    let consumer = peer.receiver(10, Attach::default());
    let window = |expects: u32, window: u32| {
        Performative::Flow(Flow {
            next_incoming_id: Some(expects),
            incoming_window: window,
            ..Flow::default()
        })
    };
    peer.say(window(0, 1));
    // It takes one more for now: the engine hears of that.
    for tag in 1..=3 {
        peer.supply(consumer, tag, &event(b"x"));
    }
    peer.frame("transfer(");
    peer.nothing();
    peer.say(window(1, 1));
    assert!(peer.frame("transfer(").contains("delivery_id: some(1)"));
    peer.nothing();
    peer.say(window(2, 100));
    assert!(peer.frame("transfer(").contains("delivery_id: some(2)"));
}

#[test]
fn what_a_small_window_has_no_room_for_waits_with_the_engine() {
    let mut peer = Peer::open();
    peer.say(Performative::Flow(Flow { next_incoming_id: Some(0), incoming_window: 2, ..Flow::default() }));
    let source = Some(Source { address: Some("q"), ..Source::default() });
    peer.say(Performative::Attach(Attach { name: "r", role: Role::Receiver, source, ..Attach::default() }));
    let consumer = peer.consumed(Consuming::default());
    peer.frame("attach(");
    let flow = |expects: u32| Flow {
        next_incoming_id: Some(expects),
        incoming_window: 2,
        handle: Some(0),
        delivery_count: Some(0),
        link_credit: Some(100),
        ..Flow::default()
    };
    peer.say(Performative::Flow(flow(0)));
    let Intent::Grant { limit, .. } = peer.intent() else { panic!() };
    assert_eq!(limit, 2);
    peer.supply(consumer, 1, &event(b"x"));
    peer.supply(consumer, 2, &event(b"x"));
    peer.say(Performative::Flow(Flow { next_incoming_id: Some(2), incoming_window: 2, ..Flow::default() }));
    let Intent::Grant { limit, .. } = peer.intent() else { panic!() };
    assert_eq!(limit, 4);
}

#[test]
fn our_window_is_kept_open_and_kept_to() {
    let mut peer = Peer::open();
    peer.sender();
    // Parts of one delivery: each takes one of the window, and none of the credit.
    let part = |id| Transfer {
        handle: 0,
        delivery_id: id,
        delivery_tag: id.map(|_| &b"t"[..]),
        more: true,
        ..Transfer::default()
    };
    peer.transfer(part(Some(0)), b"");
    for _ in 0..4_095 {
        peer.transfer(part(None), b"");
    }
    let flow = peer.frame("flow(");
    assert!(
        flow.contains("incoming_window: 8192") && flow.contains("next_incoming_id: some(4096)"),
        "{flow}"
    );
}

#[test]
fn echo_is_answered() {
    let mut peer = Peer::open();
    peer.flow(Flow { echo: true, ..Flow::default() });
    assert!(peer.frame("flow(").contains("handle: none"));
    peer.sender();
    peer.flow(Flow { handle: Some(0), echo: true, ..Flow::default() });
    assert!(peer.frame("flow(").contains("handle: some(0)"));
}
