//! Several shards: events cross, sessions follow their owners, replies and answers find their way.

use crate::harness::*;
use windrose_engine::{Handed, Input, Rival, ShardId, ShardMessage};
use windrose_event::{Cause, CloseReason, Directive, Intent, Outcome, Principal, Tag};

#[test]
fn events_reach_subscribers_on_other_shards_once_each() {
    let mut node = Node::with_shards(3, "");
    let sender = node.client_at(0, "sender");
    let listeners: Vec<_> =
        (0..6).map(|index| node.client_at(index % 3, &format!("listener-{index}"))).collect();
    for (index, listener) in listeners.iter().enumerate() {
        node.subscribe(*listener, if index % 2 == 0 { "a/#" } else { "+/b" }, Q1);
    }
    node.publish(sender, 1, "a/b", "x", Q1);
    assert_eq!(node.settled(sender), [(1, Outcome::Accepted, true)]);
    for listener in &listeners {
        assert_eq!(node.payloads(*listener), ["x"]);
    }
    for listener in listeners {
        node.leave(listener);
    }
    node.publish(sender, 2, "a/b", "x", Q1);
    assert_eq!(node.settled(sender), [(2, Outcome::Accepted, false)], "no shard wants it any more");
}

#[test]
fn a_session_follows_its_owner_to_another_shard_with_all_that_it_has() {
    let mut node = Node::with_shards(2, "");
    let sender = node.client_at(0, "sender");
    let (old, _) = node.lasting(0, "s");
    node.subscribe(old, "a", Q2);
    node.publish(sender, 1, "a", "in flight", Q2);
    let tag = node.deliveries(old)[0].tag;
    node.publish(old, 40, "b", "mine", Q2);
    node.lose(old);
    node.publish(sender, 2, "a", "waits", Q1);
    let (new, accepted) = node.lasting(1, "s");
    assert!(accepted.resumed);
    assert_eq!(node.holder("s"), Some(1));
    let deliveries = node.deliveries(new);
    assert_eq!(deliveries.iter().map(payload).collect::<Vec<_>>(), ["in flight", "waits"]);
    assert_eq!((deliveries[0].tag, deliveries[0].again), (tag, true));
    node.publish(new, 40, "b", "mine", Q2);
    assert_eq!(node.settled(new), [(40, Outcome::Accepted, true)], "known here too");
    node.publish(sender, 3, "a", "live", Q1);
    assert_eq!(node.payloads(new), ["live"], "once, though the old shard's ghost heard it as well");
    node.advance(5 * SECOND);
    assert_eq!((node.tally(0).sessions, node.tally(1).sessions), (1, 1), "no ghost is left");
    assert_eq!((node.tally(0).subscriptions, node.tally(1).subscriptions), (0, 1));
    node.publish(sender, 4, "a", "later", Q1);
    assert_eq!(node.payloads(new), ["later"]);
}

#[test]
fn no_event_is_missed_while_the_session_moves() {
    let mut node = Node::with_shards(3, "");
    let senders: Vec<_> = (0..3).map(|shard| node.client_at(shard, &format!("sender-{shard}"))).collect();
    let (old, _) = node.lasting(0, "s");
    node.subscribe(old, "a", Q1);
    node.wires_held = true;
    let new = node.open(1, lasting("s"));
    let mut count = 0;
    // A publication by each sender at every point of the move.
    for step in 0..40 {
        for sender in &senders {
            node.publish(*sender, 1, "a", &format!("{count}"), Q1);
            count += 1;
        }
        if step % 3 == 2 {
            node.carry(2, 0);
            node.carry(2, 1);
        } else {
            node.carry_one_round();
        }
        node.run();
    }
    node.wires_held = false;
    node.run();
    let got = [node.payloads(old), node.payloads(new)].concat();
    let mut numbers: Vec<usize> = got.iter().map(|number| number.parse().unwrap()).collect();
    numbers.sort_unstable();
    let all: Vec<usize> = (0..count).collect();
    numbers.dedup();
    assert_eq!(numbers, all, "each at least once: it was delivered to one connection and again to the next");
}

#[test]
fn a_live_connection_elsewhere_is_closed_when_its_session_moves() {
    let mut node = Node::with_shards(2, "");
    let old = node.client_at(0, "s");
    let (_, accepted) = node.lasting(1, "s");
    assert!(!accepted.resumed, "the old session ended with its connection");
    assert!(matches!(node.said(old)[..], [Directive::Close(CloseReason::TakenOver)]));
    assert_eq!(node.holder("s"), Some(1));
}

#[test]
fn a_claim_that_comes_while_the_session_is_on_its_way_gets_it_afterwards() {
    let mut node = Node::with_shards(3, "");
    let (first, _) = node.lasting(0, "s");
    node.subscribe(first, "a", Q1);
    node.wires_held = true;
    let second = node.open(1, lasting("s"));
    let third = node.open(2, lasting("s"));
    node.wires_held = false;
    node.run();
    assert!(matches!(node.said(first)[..], [Directive::Close(CloseReason::TakenOver)]));
    assert!(matches!(node.said(second)[..], [Directive::Close(CloseReason::TakenOver)]));
    assert!(node.accepted(third).resumed);
    assert_eq!(node.holder("s"), Some(2));
    let sender = node.client_at(0, "sender");
    node.publish(sender, 1, "a", "x", Q1);
    assert_eq!(node.payloads(third), ["x"]);
}

#[test]
fn shards_that_claim_from_one_another_do_not_lose_the_session() {
    for (here, there) in [(0, 1), (1, 0)] {
        let mut node = Node::with_shards(2, "");
        let (one, _) = node.lasting(here, "s");
        node.wires_held = true;
        let two = node.open(there, lasting("s"));
        let three = node.open(here, lasting("s"));
        node.wires_held = false;
        node.run();
        assert!(matches!(node.said(one)[..], [Directive::Close(CloseReason::TakenOver)]));
        assert!(matches!(node.said(two)[..], [Directive::Close(CloseReason::TakenOver)]));
        assert!(node.accepted(three).resumed);
        assert_eq!(node.holder("s"), Some(here));
        assert_eq!(node.tally(here).sessions, 1);
        assert_eq!(node.tally(there).sessions, 0);
    }
}

#[test]
fn shards_that_claim_what_has_ended_from_one_another_do_not_wait_for_ever() {
    for (here, there) in [(0, 1), (1, 0)] {
        let mut node = Node::with_shards(2, "");
        let one = node.client_at(here, "s");
        node.wires_held = true;
        let two = node.open(there, lasting("s"));
        node.lose(one);
        let three = node.open(here, lasting("s"));
        node.wires_held = false;
        node.run();
        let answered = [two, three].map(|peer| node.said(peer).len());
        assert_eq!(answered, [1, 1], "each is let in or sent away at once");
        node.lasting(there, "s");
        let (_, accepted) = node.lasting(here, "s");
        assert!(accepted.resumed);
        node.advance(5 * SECOND);
        assert_eq!(node.tally(0).sessions + node.tally(1).sessions, 1);
    }
}

#[test]
fn a_session_whose_new_connection_is_gone_again_is_kept_where_it_arrives() {
    let mut node = Node::with_shards(2, "");
    let (old, _) = node.lasting(0, "s");
    node.subscribe(old, "a", Q1);
    node.wires_held = true;
    let new = node.open(1, lasting("s"));
    node.lose(new);
    node.wires_held = false;
    node.run();
    assert_eq!((node.tally(0).sessions, node.tally(1).sessions), (0, 1));
    let sender = node.client_at(0, "sender");
    node.publish(sender, 1, "a", "x", Q1);
    let (back, accepted) = node.lasting(1, "s");
    assert!(accepted.resumed);
    assert_eq!(node.payloads(back), ["x"]);
}

#[test]
fn a_shard_that_says_nothing_does_not_hold_up_its_clients_for_long() {
    let mut node = Node::with_shards(2, "");
    let (_, _) = node.lasting(0, "s");
    node.wires_held = true;
    let new = node.open(1, lasting("s"));
    node.advance(4 * SECOND);
    assert!(node.said(new).is_empty());
    node.advance(2 * SECOND);
    assert!(!node.accepted(new).resumed, "begun anew");
    node.wires_held = false;
    node.run();
    assert_eq!(node.tally(1).sessions, 1, "what comes late is not taken in");
}

#[test]
fn an_answer_follows_the_session_that_it_is_for() {
    let mut node = Node::with_shards(
        3,
        "pools: {api: {protocol: http, members: [\"http://127.0.0.1:1/\"]}}\n\
         routes: [{name: r, match: \"#\", deliver: {pool: api}}]\n",
    );
    let (peer, _) = node.lasting(0, "s");
    node.publish(peer, 8, "a", "x", Q2);
    assert_eq!(node.dispatches.len(), 1);
    let (_, _) = node.lasting(1, "s");
    let (peer, _) = node.lasting(2, "s");
    node.publish(peer, 8, "a", "x", Q2);
    assert_eq!(node.dispatches.len(), 1, "it is known to be on its way");
    assert!(node.said(peer).is_empty());
    node.answer(Outcome::Accepted);
    assert_eq!(node.settled(peer), [(8, Outcome::Accepted, true)], "by way of both former shards");
    node.publish(peer, 8, "a", "x", Q2);
    assert_eq!(node.settled(peer).len(), 1);
    assert!(node.dispatches.is_empty());
}

#[test]
fn an_answer_finds_a_session_that_came_back_and_left_again() {
    let mut node = Node::with_shards(
        3,
        "pools: {api: {protocol: http, members: [\"http://127.0.0.1:1/\"]}}\n\
         routes: [{name: r, match: \"#\", deliver: {pool: api}}]\n",
    );
    let mut peer = node.lasting(0, "s").0;
    for (tag, shard) in [1, 0, 1, 0, 2, 1, 0, 2].into_iter().enumerate() {
        node.publish(peer, tag as u16 + 1, "a", "x", Q2);
        peer = node.lasting(shard, "s").0;
    }
    for tag in 1..=8 {
        // Only who asks by the connection of now is told.
        node.publish(peer, tag, "a", "x", Q2);
    }
    node.said(peer);
    node.answer(Outcome::rejected(Cause::ByService));
    for _ in 0..7 {
        node.answer(Outcome::Accepted);
    }
    let mut tags: Vec<u16> = node.settled(peer).into_iter().map(|(tag, _, _)| tag).collect();
    tags.sort_unstable();
    assert_eq!(tags, [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn a_request_for_an_unknown_session_gets_nothing() {
    let mut node = Node::with_shards(2, "");
    node.wires_held = true;
    let rival = Rival { shard: ShardId(1), principal: Principal::Anonymous, peer: None };
    let message = ShardMessage::Take { session: "s".into(), rival, held: false };
    node.input(0, Input::Shard { from: ShardId(1), message });
    let handed = Handed::Nothing;
    node.input(
        1,
        Input::Shard { from: ShardId(0), message: ShardMessage::Hand { session: "s".into(), handed } },
    );
    assert_eq!(node.tally(0).sessions + node.tally(1).sessions, 0);
}

#[test]
fn what_is_published_while_word_of_a_subscription_is_on_its_way_is_not_missed() {
    let mut node = Node::with_shards(2, "");
    let (sender, listener) = (node.client_at(0, "sender"), node.client_at(1, "listener"));
    node.publish(sender, 1, "a/b", "before", Q1);
    node.advance(MILLI);
    node.wires_held = true;
    for filter in ["a/#", "+/b"] {
        let requests = vec![subscription(filter, Q1)];
        node.intent(listener, Intent::Subscribe { tag: Tag(9), requests });
    }
    node.advance(MILLI);
    node.publish(sender, 2, "a/b", "meanwhile", Q1);
    node.wires_held = false;
    node.run();
    assert_eq!(node.payloads(listener), ["meanwhile"], "once, and nothing older than the subscription");
}
