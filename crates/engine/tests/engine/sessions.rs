//! Sessions: how they begin, are taken up and taken over, and end.

use crate::harness::*;
use std::time::Duration;
use windrose_engine::Input;
use windrose_event::{Close, CloseCause, CloseReason, ConnectionId, Directive, Intent, Open, RefusalCause};

#[test]
fn whoever_is_not_let_in_is_refused_and_counted() {
    let mut node = Node::new("");
    let username = Some(windrose_event::Text::from("deny"));
    let claim = windrose_event::Claim { username, ..Default::default() };
    let peer = node.open(0, Open { claim, ..open("x") });
    assert_eq!(node.refused(peer), RefusalCause::BadCredentials);
    let listener = &node.tally(0).listeners[0];
    assert_eq!(listener.refused, [("bad_credentials", 1)]);
    assert_eq!((listener.connections, listener.opened), (0, 1));
}

#[test]
fn a_session_without_a_name_gets_one_that_nobody_guesses() {
    let mut node = Node::new("");
    let mut names = Vec::new();
    for _ in 0..2 {
        let peer = node.open(0, Open { session: None, ..open("") });
        let accepted = node.accepted(peer);
        assert!(accepted.assigned);
        assert!(
            accepted.session.starts_with("auto-") && accepted.session.len() == 41,
            "{}",
            accepted.session
        );
        names.push(accepted.session);
    }
    assert_ne!(names[0], names[1]);
}

#[test]
fn a_session_outlives_its_connection_as_long_as_agreed() {
    let mut node = Node::new("limits: {session_expiry: 60s}");
    let peer = node.open(0, Open { keep: Duration::MAX, resume: true, ..open("s") });
    let accepted = node.accepted(peer);
    assert_eq!(accepted.keep, 60 * SECOND, "no longer than the document allows");
    assert!(!accepted.resumed);
    node.subscribe(peer, "a", Q1);
    node.lose(peer);
    node.advance(59 * SECOND);
    let (peer, accepted) = node.lasting(0, "s");
    assert!(accepted.resumed);
    node.lose(peer);
    node.advance(61 * SECOND);
    assert_eq!(node.tally(0).sessions, 0);
    assert_eq!(node.tally(0).subscriptions, 0);
    assert_eq!(node.holder("s"), None, "the directory knows that it is over");
    let (_, accepted) = node.lasting(0, "s");
    assert!(!accepted.resumed);
}

#[test]
fn the_good_bye_can_change_how_long_the_session_is_kept() {
    let mut node = Node::new("");
    let (peer, _) = node.lasting(0, "s");
    let keep = Some(Duration::ZERO);
    node.intent(peer, Intent::Close(Close { cause: CloseCause::Goodbye, with_will: false, keep }));
    assert_eq!(node.tally(0).sessions, 0);
    assert_eq!(node.tally(0).listeners[0].closed, [("goodbye", 1)]);
}

#[test]
fn a_clean_start_ends_the_former_session() {
    let mut node = Node::new("");
    let sender = node.client("sender");
    let (peer, _) = node.lasting(0, "s");
    node.subscribe(peer, "a", Q1);
    node.lose(peer);
    node.publish(sender, 1, "a", "x", Q1);
    let peer = node.open(0, Open { resume: false, ..lasting("s") });
    assert!(!node.accepted(peer).resumed);
    node.publish(sender, 2, "a", "y", Q1);
    assert!(node.said(peer).is_empty(), "neither what waited nor what was subscribed is left");
    assert_eq!(node.holder("s"), Some(0));
}

#[test]
fn a_new_connection_takes_the_session_over_from_the_old_one() {
    let mut node = Node::new("");
    let sender = node.client("sender");
    let (old, _) = node.lasting(0, "s");
    node.subscribe(old, "a", Q1);
    node.publish(sender, 1, "a", "unsettled", Q1);
    let _ = node.said(old);
    let (new, accepted) = node.lasting(0, "s");
    assert!(accepted.resumed);
    assert!(matches!(node.said(old)[..], [Directive::Close(CloseReason::TakenOver)]));
    let delivery = node.deliveries(new).remove(0);
    assert!(delivery.again);
    node.lose(old);
    node.settle(old, delivery.tag);
    node.publish(sender, 2, "a", "y", Q1);
    assert_eq!(node.payloads(new), ["y"], "late words of the old connection change nothing");
    assert_eq!(node.tally(0).queued, 2);
}

#[test]
fn a_session_that_ends_with_its_connection_is_not_resumed_by_a_take_over() {
    let mut node = Node::new("");
    let old = node.client("s");
    node.subscribe(old, "a", Q1);
    let (new, accepted) = node.lasting(0, "s");
    assert!(!accepted.resumed);
    assert!(matches!(node.said(old)[..], [Directive::Close(CloseReason::TakenOver)]));
    assert_eq!(node.tally(0).subscriptions, 0);
    assert_eq!(node.holder("s"), Some(0), "the name still has a holder");
    node.subscribe(new, "a", Q1);
}

#[test]
fn of_two_that_open_at_once_the_later_wins() {
    let mut node = Node::new("");
    node.hold_directory();
    let one = node.open(0, lasting("s"));
    let two = node.open(0, lasting("s"));
    node.answer_directory();
    node.run();
    assert!(matches!(node.said(one)[..], [Directive::Close(CloseReason::TakenOver)]));
    assert!(matches!(node.said(two)[..], [Directive::Accept(_)]));
}

#[test]
fn somebody_elses_session_is_not_taken_over() {
    let mut node = Node::with_shards(2, "");
    let victim = node.open(0, as_device(lasting("s"), "car-7"));
    node.accepted(victim);
    for shard in [0, 1] {
        let thief = node.open(shard, as_device(lasting("s"), "car-8"));
        assert_eq!(node.refused(thief), RefusalCause::NotAllowed, "from shard {shard}");
        let thief = node.open(shard, Open { resume: false, ..lasting("s") });
        assert_eq!(node.refused(thief), RefusalCause::NotAllowed, "anonymous from shard {shard}");
        assert!(node.said(victim).is_empty(), "the owner notices nothing");
        assert_eq!(node.holder("s"), Some(0));
    }
    let owner = node.open(1, as_device(lasting("s"), "car-7"));
    assert!(node.accepted(owner).resumed);
    assert!(matches!(node.said(victim)[..], [Directive::Close(CloseReason::TakenOver)]));
}

#[test]
fn connections_and_sessions_are_bounded() {
    let mut node = Node::new("limits: {connections: 2, sessions: 1}");
    let (first, _) = node.lasting(0, "one");
    let second = node.open(0, open("two"));
    assert_eq!(node.refused(second), RefusalCause::Quota, "one session is all");
    assert_eq!(node.holder("two"), None);
    let waiting = node.connect(0, 0);
    let third = node.open(0, open("three"));
    assert_eq!(node.refused(third), RefusalCause::Quota, "two connections are all");
    node.lose(waiting);
    node.leave(first);
    let (_, accepted) = node.lasting(0, "one");
    assert!(accepted.resumed, "a known session needs no new room");
}

#[test]
fn words_for_a_slots_former_tenant_find_nobody() {
    let mut node = Node::new("");
    let old = node.client("old");
    node.leave(old);
    let id = ConnectionId { generation: 1, ..old.id };
    let listener = node.snapshot.listeners[0].clone();
    node.input(0, Input::Connect { connection: id, listener, peer: None });
    node.publish(old, 1, "a", "x", Q1);
    node.lose(old);
    assert_eq!(node.tally(0).listeners[0].connections, 1);
    assert!(node.said(old).is_empty());
    let new = Peer { shard: 0, id };
    node.intent(new, Intent::Open(Box::new(open("new"))));
    node.accepted(new);
}

#[test]
fn nothing_is_done_for_a_connection_that_has_not_opened_its_session() {
    let mut node = Node::new("");
    let peer = node.connect(0, 0);
    node.publish(peer, 1, "a", "x", Q1);
    assert!(node.said(peer).is_empty());
    node.lose(peer);
    let tally = node.tally(0);
    assert_eq!((tally.listeners[0].events_in, tally.listeners[0].connections), (0, 0));
}

#[test]
fn a_connection_lost_while_it_waits_for_an_answer_leaves_nothing() {
    let mut node = Node::new("");
    node.hold_directory();
    let peer = node.open(0, lasting("s"));
    node.lose(peer);
    node.answer_directory();
    node.run();
    assert_eq!(node.tally(0).sessions, 0);
    assert_eq!(node.holder("s"), None);
    let (_, accepted) = node.lasting(0, "s");
    assert!(!accepted.resumed);
}

#[test]
fn an_exchange_leaves_no_session_and_no_entry() {
    let mut node = Node::new("");
    let exchange = node.exchange(0);
    assert_eq!(node.tally(0).sessions, 1);
    node.lose(exchange);
    assert_eq!(node.tally(0).sessions, 0);
}

#[test]
fn an_idle_session_costs_little() {
    assert!(size_of::<windrose_engine::Session>() <= 320, "{}", size_of::<windrose_engine::Session>());
}
