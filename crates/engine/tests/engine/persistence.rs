//! Persistence: what peers were told is true still after a crash, and nothing comes twice that must come once.

use crate::harness::*;
use windrose_engine::Answer;
use windrose_event::{Directive, Intent, Open, Outcome, Publication, Publish, Tag};

/// Publishes exactly once, as a peer does that may have done so before.
fn publish_again(node: &mut Node, peer: Peer, tag: u16, address: &str, payload: &str) {
    let publication = publication(address, payload, Q2);
    node.intent(peer, Intent::Publish(Publish { tag: Tag(tag), again: true, publication }));
}

#[test]
fn a_sender_is_answered_when_its_message_is_stored() {
    let mut node = Node::durable(1, "");
    let (away, _) = node.lasting(0, "away");
    node.subscribe(away, "a", Q1);
    node.lose(away);
    let sender = node.client("sender");
    node.hold_disk();
    node.publish(sender, 1, "a", "x", Q1);
    assert!(node.said(sender).is_empty(), "nothing is promised yet");
    node.store();
    assert_eq!(node.settled(sender), [(1, Outcome::Accepted, true)]);
    node.publish(sender, 3, "a", "x", Q2);
    assert!(node.said(sender).is_empty());
    node.store();
    assert_eq!(node.settled(sender), [(3, Outcome::Accepted, true)]);
    node.publish(sender, 2, "nobody", "x", Q1);
    assert_eq!(node.settled(sender), [(2, Outcome::Accepted, false)], "nothing was to be stored");
}

#[test]
fn a_session_is_open_and_subscribed_when_that_is_stored() {
    let mut node = Node::durable(1, "");
    node.hold_disk();
    let peer = node.open(0, lasting("s"));
    assert!(node.said(peer).is_empty());
    node.store();
    node.accepted(peer);
    node.intent(peer, Intent::Subscribe { tag: Tag(1), requests: vec![subscription("a", Q1)] });
    assert!(node.said(peer).is_empty());
    node.store();
    assert!(matches!(node.next(peer), Some(Directive::Subscribed { .. })));
    let brief = node.open(0, open("brief"));
    node.accepted(brief);
}

#[test]
fn nothing_overtakes_the_word_that_the_session_is_open() {
    let mut node = Node::durable(1, "");
    let (peer, _) = node.lasting(0, "s");
    node.subscribe(peer, "a", Q1);
    node.lose(peer);
    let sender = node.client("sender");
    node.publish(sender, 1, "a", "x", Q1);
    node.hold_disk();
    let peer = node.open(0, lasting("s"));
    node.publish(sender, 2, "a", "y", Q1);
    assert!(node.said(peer).is_empty());
    node.store();
    node.accepted(peer);
    assert_eq!(node.payloads(peer), ["x", "y"]);
}

#[test]
fn what_waits_and_what_was_sent_outlives_a_crash() {
    let mut node = Node::durable(1, "");
    let (peer, _) = node.lasting(0, "s");
    node.subscribe(peer, "a", Q2);
    let sender = node.client("sender");
    for (tag, payload) in (1..).zip(["one", "two", "three"]) {
        node.publish(sender, tag, "a", payload, Q2);
    }
    node.publish(sender, 4, "a", "at least once", Q1);
    let tags: Vec<Tag> = node.deliveries(peer).iter().map(|delivery| delivery.tag).collect();
    node.intent(peer, Intent::Receive { tag: tags[0] });
    node.intent(peer, Intent::Receive { tag: tags[1] });
    node.complete(peer, tags[0]);
    node.lose(peer);
    node.publish(sender, 5, "a", "waits", Q1);
    node.crash();
    let (peer, accepted) = node.lasting(0, "s");
    assert!(accepted.resumed);
    assert!(
        matches!(node.next(peer), Some(Directive::Release { tag }) if tag == tags[1]),
        "received before the crash"
    );
    let again = node.deliveries(peer);
    let seen: Vec<_> =
        again.iter().map(|delivery| (payload(delivery), delivery.tag, delivery.again)).collect();
    let [three, four] = [tags[2], tags[3]];
    assert_eq!(seen[..2], [("three".into(), three, true), ("at least once".into(), four, true)]);
    assert_eq!((&*seen[2].0, seen[2].2), ("waits", false));
    let sender = node.client("sender");
    node.publish(sender, 1, "a", "new", Q1);
    assert_eq!(node.payloads(peer), ["new"], "the subscription is there");
}

#[test]
fn an_exactly_once_publication_is_known_after_a_crash() {
    let mut node = Node::durable(1, "");
    let (away, _) = node.lasting(0, "away");
    node.subscribe(away, "a", Q2);
    node.lose(away);
    let (sender, _) = node.lasting(0, "sender");
    node.publish(sender, 7, "a", "once", Q2);
    assert_eq!(node.settled(sender), [(7, Outcome::Accepted, true)]);
    node.crash();
    let (sender, _) = node.lasting(0, "sender");
    publish_again(&mut node, sender, 7, "a", "once");
    assert_eq!(node.settled(sender), [(7, Outcome::Accepted, true)]);
    node.hold_disk();
    node.intent(sender, Intent::Release { tag: Tag(7) });
    assert!(node.said(sender).is_empty(), "it could ask again after a crash, and must be known then");
    node.store();
    assert!(matches!(node.next(sender), Some(Directive::Released { known: true, .. })));
    node.crash();
    let (away, _) = node.lasting(0, "away");
    assert_eq!(node.payloads(away), ["once"]);
}

#[test]
fn an_event_of_two_shards_is_kept_whole_or_not_at_all() {
    for (carried, stored) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut node = Node::durable(2, "");
        let mut peers = Vec::new();
        for (shard, name) in [(0, "here"), (1, "there")] {
            let (peer, _) = node.lasting(shard, name);
            node.subscribe(peer, "a", Q2);
            node.lose(peer);
            peers.push(name);
        }
        let (sender, _) = node.lasting(0, "sender");
        node.hold_disk();
        node.wires_held = true;
        node.publish(sender, 7, "a", "once", Q2);
        if carried {
            while node.carry_one_round() {}
        }
        if stored {
            node.store();
        }
        let told = !node.settled(sender).is_empty();
        assert_eq!(told, carried && stored);
        node.crash();
        let (sender, _) = node.lasting(0, "sender");
        publish_again(&mut node, sender, 7, "a", "once");
        assert_eq!(node.settled(sender).len(), 1);
        node.crash();
        for (shard, name) in [(1, "here"), (0, "there")] {
            let (peer, accepted) = node.lasting(shard, name);
            assert!(accepted.resumed);
            assert_eq!(node.payloads(peer), ["once"], "{name}, carried: {carried}, stored: {stored}");
        }
    }
}

#[test]
fn a_message_for_another_shard_is_acknowledged_when_it_is_stored_there() {
    let mut node = Node::durable(2, "");
    let (away, _) = node.lasting(1, "away");
    node.subscribe(away, "a", Q1);
    node.lose(away);
    let sender = node.client("sender");
    node.wires_held = true;
    node.publish(sender, 1, "a", "x", Q1);
    node.store();
    assert!(node.said(sender).is_empty());
    while node.carry_one_round() {}
    assert!(node.said(sender).is_empty());
    node.store();
    assert_eq!(node.settled(sender), [(1, Outcome::Accepted, true)]);
    node.crash();
    let (away, _) = node.lasting(0, "away");
    assert_eq!(node.payloads(away), ["x"]);
}

#[test]
fn a_service_is_asked_again_after_a_crash_and_subscribers_are_not_told_twice() {
    let more = "pools: {p: {protocol: http, members: [\"http://127.0.0.1:9/\"]}}\nroutes: [{name: r, match: a, \
                deliver: {pool: p}, acknowledge: delivered}]";
    let mut node = Node::durable(1, more);
    let (away, _) = node.lasting(0, "away");
    node.subscribe(away, "a", Q2);
    node.lose(away);
    let (sender, _) = node.lasting(0, "sender");
    node.publish(sender, 7, "a", "once", Q2);
    assert_eq!(node.dispatches.len(), 1);
    node.crash();
    node.service(|_| Some(Answer { outcome: Outcome::Accepted, reply: None }));
    let (sender, _) = node.lasting(0, "sender");
    publish_again(&mut node, sender, 7, "a", "once");
    assert_eq!(node.settled(sender), [(7, Outcome::Accepted, true)]);
    let (away, _) = node.lasting(0, "away");
    assert_eq!(node.payloads(away), ["once"]);
}

#[test]
fn a_session_that_is_over_does_not_come_back() {
    let mut node = Node::durable(1, "");
    for name in ["clean", "brief", "expired"] {
        let (peer, _) = node.lasting(0, name);
        node.subscribe(peer, "a", Q1);
        node.lose(peer);
    }
    let peer = node.open(0, Open { resume: false, ..lasting("clean") });
    node.accepted(peer);
    let peer = node.open(0, Open { resume: true, ..open("brief") });
    assert!(node.accepted(peer).resumed);
    node.crash();
    let (_, accepted) = node.lasting(0, "clean");
    assert!(accepted.resumed, "the new one");
    assert_eq!(node.tally(0).subscriptions, 1, "of 'expired' alone");
    let (_, accepted) = node.lasting(0, "brief");
    assert!(!accepted.resumed, "it was to end with its connection");
    node.advance(1_800 * SECOND);
    node.crash();
    node.advance(1_801 * SECOND);
    let (_, accepted) = node.lasting(0, "expired");
    assert!(!accepted.resumed, "the time before the crash counts");
}

#[test]
fn last_values_and_their_clearing_outlive_a_crash() {
    let mut node = Node::durable(2, "");
    let sender = node.client("sender");
    node.retain(sender, "a", "old");
    node.retain(sender, "a", "new");
    node.retain(sender, "b", "gone");
    node.retain(sender, "b", "");
    node.crash();
    let peer = node.client_at(1, "reader");
    node.subscribe(peer, "#", Q0);
    let values = node.payloads(peer);
    assert!(values == ["new"], "{values:?}");
}

#[test]
fn wills_of_those_who_were_connected_are_published_after_the_restart() {
    let mut node = Node::durable(2, "");
    let (away, _) = node.lasting(1, "away");
    node.subscribe(away, "will/#", Q1);
    node.lose(away);
    let peer = node.open(0, with_will(open("brief"), "will/brief", std::time::Duration::ZERO));
    node.accepted(peer);
    for name in ["back", "late"] {
        let peer = node.open(0, with_will(lasting(name), &format!("will/{name}"), 10 * SECOND));
        node.accepted(peer);
    }
    let peer = node.open(0, with_will(open("said-goodbye"), "will/never", std::time::Duration::ZERO));
    node.accepted(peer);
    node.leave(peer);
    node.crash();
    node.advance(5 * SECOND);
    node.lasting(0, "back");
    node.advance(10 * SECOND);
    node.crash();
    let (away, _) = node.lasting(0, "away");
    let wills: Vec<String> =
        node.deliveries(away).iter().map(|will| will.event.address.as_str().to_owned()).collect();
    assert_eq!(wills, ["will/brief", "will/late"], "once, and not of those who came back");
}

#[test]
fn a_session_that_moved_between_shards_is_kept() {
    let mut node = Node::durable(2, "");
    let (peer, _) = node.lasting(0, "s");
    node.subscribe(peer, "a", Q2);
    let sender = node.client_at(0, "sender");
    node.publish(sender, 1, "a", "one", Q2);
    let (peer, accepted) = node.lasting(1, "s");
    assert!(accepted.resumed);
    let tag = node.deliveries(peer)[0].tag;
    node.intent(peer, Intent::Receive { tag });
    node.publish(sender, 2, "a", "two", Q2);
    node.crash();
    let (peer, accepted) = node.lasting(0, "s");
    assert!(accepted.resumed);
    assert!(matches!(node.next(peer), Some(Directive::Release { tag: known }) if known == tag));
    assert_eq!(node.payloads(peer), ["two"]);
}

#[test]
fn senders_are_braked_while_too_much_waits_to_be_stored() {
    let mut node =
        Node::durable(1, "limits: {session_queue_events: 200000, session_queue_bytes: 1073741824}");
    let (away, _) = node.lasting(0, "away");
    node.subscribe(away, "a", Q1);
    node.lose(away);
    let sender = node.client("sender");
    node.hold_disk();
    let mut sent = 0;
    while !node.paused.contains(&sender) {
        sent += 1;
        node.publish(sender, (sent % 60_000 + 1) as u16, "a", "x", Q1);
        assert!(sent < 100_000, "no brake");
        node.said(sender);
    }
    node.store();
    assert!(!node.paused.contains(&sender));
}

#[test]
fn last_values_that_a_subscription_has_still_to_get_come_after_a_crash() {
    let mut node = Node::durable(2, "");
    let sender = node.client("sender");
    for name in ["a", "b", "c"] {
        let publication = Publication { retain: true, ..publication(&format!("v/{name}"), name, Q1) };
        node.intent(sender, Intent::Publish(Publish { tag: Tag(1), again: false, publication }));
    }
    let peer = node.open(1, Open { window: 1, ..lasting("s") });
    node.accepted(peer);
    node.subscribe(peer, "v/#", Q1);
    node.advance(MILLI);
    let first = node.deliveries(peer);
    assert_eq!(first.len(), 1, "the window has room for one");
    node.settle(peer, first[0].tag);
    node.advance(MILLI);
    assert_eq!(node.payloads(peer), ["b"]);
    node.crash();
    let (peer, _) = node.lasting(0, "s");
    node.advance(MILLI);
    let rest = node.deliveries(peer);
    let seen: Vec<_> =
        rest.iter().map(|delivery| (payload(delivery), delivery.retain, delivery.again)).collect();
    assert_eq!(seen, [("b".to_owned(), true, true), ("c".to_owned(), true, false)], "each once");
    node.crash();
    let (peer, _) = node.lasting(0, "s");
    node.advance(MILLI);
    assert_eq!(node.payloads(peer), ["b", "c"], "not acknowledged");
}
