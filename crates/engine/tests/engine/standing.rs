//! The registry says something anew of somebody: all that is open or kept of it follows.

use crate::harness::*;
use std::sync::Arc;
use windrose_engine::Input;
use windrose_event::{
    CloseReason, Directive, Identity, Intent, Open, Principal, Proof, RefusalCause, Standing, Step, Subject,
    SubscriptionRequest, Tag, Text,
};

const RULES: &str = "access:\n  - {who: anyone, may: [publish, subscribe, read], on: [\"all/#\"]}\n  \
                     - {who: \"owner:*\", may: subscribe, on: \"devices/{owned}/#\"}\n  \
                     - {who: \"device:*\", may: publish, on: \"devices/{device}/#\"}\n";

fn device(id: &str, owner: &str) -> Identity {
    Identity {
        principal: Principal::Device { id: id.into(), owner: Some(owner.into()) },
        ..Identity::anonymous()
    }
}

fn owner(id: &str, owned: &[&str]) -> Identity {
    let owned = owned.iter().map(|id| Arc::from(*id)).collect();
    Identity { principal: Principal::Owner { id: id.into() }, owned, ..Identity::anonymous() }
}

fn proven(identity: Identity, proof: Proof) -> Identity {
    Identity { proof: Some(proof.into()), ..identity }
}

fn come(node: &mut Node, shard: usize, identity: &Identity, open: Open) -> Peer {
    node.identify_next(identity.clone());
    let peer = node.open(shard, open);
    node.accepted(peer);
    peer
}

fn is_gone(node: &mut Node, peer: Peer) -> bool {
    let said = node.said(peer);
    matches!(said[..], [Directive::Close(CloseReason::Revoked)])
}

fn subject(id: &str) -> Subject {
    Subject::Device(id.into())
}

#[test]
fn whoever_is_ended_is_ended_on_every_shard_and_nobody_else() {
    let digest = [7; 32];
    let credential = Proof { credential: Some("c1".into()), ..Proof::default() };
    let certificate = Proof { fingerprint: Some(digest), ..Proof::default() };
    let service =
        Identity { principal: Principal::Service { name: "billing".into() }, ..Identity::anonymous() };
    let all = [
        device("car-1", "ann"),
        device("car-2", "ann"),
        device("car-3", "bob"),
        proven(device("car-4", "bob"), credential),
        proven(device("car-5", "bob"), certificate),
        owner("ann", &["car-1", "car-2"]),
        service,
        Identity::anonymous(),
    ];
    let subjects = [
        (Subject::Device("car-3".into()), &[2][..]),
        (Subject::Owner("ann".into()), &[0, 1, 5]),
        (Subject::Owner("bob".into()), &[2, 3, 4]),
        (Subject::Service("billing".into()), &[6]),
        (Subject::Credential("c1".into()), &[3]),
        (Subject::Certificate(digest), &[4]),
        (Subject::Device("car-9".into()), &[]),
    ];
    for (subject, ends) in subjects {
        let mut node = Node::with_shards(2, "");
        let mut peers = Vec::new();
        for (index, identity) in all.iter().enumerate() {
            let session = come(&mut node, index % 2, identity, lasting(&format!("s{index}")));
            node.identify_next(identity.clone());
            let exchange = node.exchange(1 - index % 2);
            peers.push((index, session, exchange));
        }
        node.change(subject.clone(), Standing::Ended);
        for (index, session, exchange) in peers {
            for peer in [session, exchange] {
                assert_eq!(is_gone(&mut node, peer), ends.contains(&index), "{subject:?} {index}");
            }
        }
        let counted: u64 = (0..2).map(|shard| cause(&node, shard, "revoked")).sum();
        assert_eq!(counted, 2 * ends.len() as u64);
    }
}

fn cause(node: &Node, shard: usize, cause: &str) -> u64 {
    let tally = node.tally(shard);
    let closed = tally.listeners.iter().flat_map(|listener| &listener.closed);
    closed.filter(|(name, _)| *name == cause).map(|(_, count)| count).sum()
}

#[test]
fn what_is_kept_for_whoever_is_ended_is_gone_and_so_is_its_will() {
    let mut node = Node::new("");
    let watcher = node.client("watcher");
    node.subscribe(watcher, "wills/#", Q1);
    let car = device("car-7", "ann");
    let kept = come(&mut node, 0, &car, with_will(lasting("kept"), "wills/kept", 60 * SECOND));
    node.subscribe(kept, "all/#", Q1);
    node.lose(kept);
    come(&mut node, 0, &car, with_will(lasting("here"), "wills/here", MILLI));
    assert_eq!(node.tally(0).sessions, 3);
    node.change(subject("car-7"), Standing::Quarantined);
    node.advance(120 * SECOND);
    assert_eq!(node.tally(0).sessions, 1);
    assert!(node.payloads(watcher).is_empty(), "who is not let in says nothing any more");
    assert_eq!((node.holder("kept"), node.holder("here")), (None, None));
    node.identify_next(car);
    let again = node.open(0, lasting("kept"));
    assert!(!node.accepted(again).resumed);
}

#[test]
fn an_answer_from_before_the_end_opens_nothing() {
    let mut node = Node::new("");
    node.hold_verdicts();
    node.identify_next(device("car-7", "ann"));
    let car = node.open(0, lasting("car"));
    node.identify_next(device("car-8", "ann"));
    let other = node.open(0, lasting("other"));
    node.change(subject("car-7"), Standing::Ended);
    node.let_verdicts_come();
    assert_eq!(node.refused(car), RefusalCause::Unavailable);
    node.accepted(other);
    // Whoever is asked for anew is let in if it may.
    come(&mut node, 0, &device("car-7", "bob"), lasting("car"));
}

#[test]
fn whoever_waits_for_its_session_when_it_is_ended_does_not_get_it() {
    let mut node = Node::with_shards(2, "");
    come(&mut node, 0, &device("car-7", "ann"), lasting("car"));
    node.wires_held = true;
    node.identify_next(device("car-7", "ann"));
    let second = node.open(1, lasting("car"));
    assert!(node.said(second).is_empty());
    node.change(subject("car-7"), Standing::Ended);
    assert_eq!(node.refused(second), RefusalCause::Revoked);
    node.wires_held = false;
    node.run();
    assert!(node.said(second).is_empty());
    assert_eq!((node.tally(0).sessions, node.tally(1).sessions), (0, 0));
    assert_eq!(node.holder("car"), None);
}

/// The session is between two shards: the one that gave it away hears of the end later, the other one before it comes.
#[test]
fn a_session_that_is_on_its_way_when_its_owner_is_ended_does_not_arrive() {
    let mut node = Node::with_shards(2, "");
    let car = device("car-7", "ann");
    let first = come(&mut node, 0, &car, lasting("car"));
    node.subscribe(first, "all/#", Q1);
    node.wires_held = true;
    node.identify_next(car);
    let second = node.open(1, lasting("car"));
    assert!(node.carry(1, 0), "the session is asked for, and leaves");
    node.change(subject("car-7"), Standing::Ended);
    node.wires_held = false;
    node.run();
    assert_eq!(node.refused(second), RefusalCause::Revoked);
    node.advance(2 * SECOND);
    assert_eq!((node.tally(0).sessions, node.tally(1).sessions), (0, 0));
    assert_eq!(node.tally(1).subscriptions + node.tally(0).subscriptions, 0);
}

#[test]
fn a_device_does_not_take_what_was_its_former_owner_s_along() {
    let mut node = Node::new("");
    let car = come(&mut node, 0, &device("car-7", "ann"), lasting("car"));
    node.subscribe(car, "all/#", Q1);
    node.lose(car);
    let sender = node.client("sender");
    node.publish(sender, 1, "all/1", "for ann", Q1);
    node.identify_next(device("car-7", "bob"));
    let again = node.open(0, lasting("car"));
    assert!(!node.accepted(again).resumed);
    assert!(node.payloads(again).is_empty());
}

#[test]
fn an_owner_that_is_open_hears_of_the_devices_that_it_owns_now() {
    let mut node = Node::new(RULES);
    let mut ann = owner("ann", &["car-1"]);
    let reader = come(&mut node, 0, &ann, lasting("ann"));
    node.subscribe(reader, "devices/car-1/#", Q1);
    assert!(node.subscribe_with(reader, subscription("devices/car-2/#", Q1))[0].is_err());
    let is = |identity: &Identity| Standing::Is(Box::new(identity.clone()));
    ann = owner("ann", &["car-1", "car-2"]);
    node.change(Subject::Owner("ann".into()), is(&ann));
    node.subscribe(reader, "devices/car-2/#", Q1);
    let one = come(&mut node, 0, &device("car-1", "ann"), open("one"));
    let two = come(&mut node, 0, &device("car-2", "ann"), open("two"));
    let publish = |node: &mut Node, tag| {
        node.publish(one, tag, "devices/car-1/x", "one", Q0);
        node.publish(two, tag, "devices/car-2/x", "two", Q0);
        node.payloads(reader)
    };
    assert_eq!(publish(&mut node, 1), ["one", "two"]);
    // It loses one: what it subscribed to is kept from it, until it is its own again.
    node.change(Subject::Owner("ann".into()), is(&owner("ann", &["car-2"])));
    assert_eq!(publish(&mut node, 2), ["two"]);
    node.change(Subject::Owner("ann".into()), is(&ann));
    assert_eq!(publish(&mut node, 3), ["one", "two"]);
}

#[test]
fn what_a_device_may_publish_follows_it_between_two_events() {
    let rules = "access: [{who: \"group:fleet\", may: publish, on: \"fleet/#\"}]\n";
    let mut node = Node::new(rules);
    let without = device("car-7", "ann");
    let with = Identity { groups: [Arc::from("fleet")].into(), ..without.clone() };
    let car = come(&mut node, 0, &with, open("car"));
    let mut accepted = |tag, identity: Option<&Identity>| {
        if let Some(identity) = identity {
            node.change(subject("car-7"), Standing::Is(Box::new(identity.clone())));
        }
        node.publish(car, tag, "fleet/x", "x", Q1);
        node.settled(car)[0].1.is_accepted()
    };
    assert!(accepted(1, None) && accepted(2, None));
    assert!(!accepted(3, Some(&without)));
    assert!(accepted(4, Some(&with)));
}

#[test]
fn a_group_goes_on_without_one_that_may_not_hear_any_more() {
    let mut node = Node::new(RULES);
    let share = |node: &mut Node, peer, filter| {
        let group = Some(Text::from("g"));
        let request = SubscriptionRequest { group, ..subscription(filter, Q1) };
        assert!(node.subscribe_with(peer, request)[0].is_ok());
    };
    let ann = come(&mut node, 0, &owner("ann", &["car-1"]), lasting("ann"));
    let bob = come(&mut node, 0, &owner("bob", &["car-1"]), lasting("bob"));
    share(&mut node, ann, "devices/car-1/#");
    share(&mut node, bob, "devices/car-1/#");
    node.change(Subject::Owner("ann".into()), Standing::Is(Box::new(owner("ann", &[]))));
    let car = come(&mut node, 0, &device("car-1", "bob"), open("car"));
    for tag in 1..=4 {
        node.publish(car, tag, "devices/car-1/x", "x", Q1);
    }
    assert_eq!((node.payloads(ann).len(), node.payloads(bob).len()), (0, 4));
}

#[test]
fn a_session_ends_with_what_proved_it_and_waits_for_its_owner() {
    let mut node = Node::new("");
    let until = |node: &Node, seconds: u32| Proof {
        until: Some(node.now.wall + seconds * SECOND),
        ..Proof::default()
    };
    let watcher = node.client("watcher");
    node.subscribe(watcher, "wills/#", Q1);
    let car = proven(device("car-7", "ann"), until(&node, 60));
    let peer = come(&mut node, 0, &car, with_will(lasting("car"), "wills/car", std::time::Duration::ZERO));
    node.subscribe(peer, "all/#", Q1);
    node.advance(59 * SECOND);
    assert!(node.said(peer).is_empty());
    node.advance(SECOND);
    assert!(matches!(node.said(peer)[..], [Directive::Close(CloseReason::Expired)]));
    assert_eq!(node.payloads(watcher), ["will"], "it was allowed to say so, and is only gone for now");
    assert_eq!(cause(&node, 0, "expired"), 1);
    // It comes back with another one, and goes on.
    let car = proven(device("car-7", "ann"), until(&node, 60));
    node.identify_next(car);
    let peer = node.open(0, lasting("car"));
    assert!(node.accepted(peer).resumed);
    // What it proves while it is open counts from then on.
    node.advance(50 * SECOND);
    let claim = windrose_event::Claim { method: Some("X".into()), ..windrose_event::Claim::default() };
    node.intent(peer, Intent::Reidentify(Box::new(claim)));
    let identity = proven(device("car-7", "ann"), until(&node, 60));
    node.input(0, Input::Conversed { connection: peer.id, step: Step::Known { identity, data: None } });
    node.advance(59 * SECOND);
    assert!(matches!(node.said(peer)[..], [Directive::Reidentified { .. }]));
    node.advance(SECOND);
    assert!(matches!(node.said(peer)[..], [Directive::Close(CloseReason::Expired)]));
    // Without a connection it waits for as long as was agreed, and no longer.
    node.advance(3_599 * SECOND);
    assert_eq!(node.tally(0).sessions, 2);
    node.advance(2 * SECOND);
    assert_eq!(node.tally(0).sessions, 1);
}

#[test]
fn a_proof_that_is_taken_away_while_it_is_given_is_none() {
    let mut node = Node::new("");
    let car = device("car-7", "ann");
    let peer = come(&mut node, 0, &car, lasting("car"));
    let claim = windrose_event::Claim { method: Some("X".into()), ..windrose_event::Claim::default() };
    node.intent(peer, Intent::Reidentify(Box::new(claim)));
    node.change(Subject::Credential("c1".into()), Standing::Ended);
    let proof = Proof { credential: Some("c1".into()), ..Proof::default() };
    let step = Step::Known { identity: proven(car, proof), data: None };
    node.input(0, Input::Conversed { connection: peer.id, step });
    assert!(is_gone(&mut node, peer));
}

#[test]
fn events_that_are_under_way_when_their_sender_is_ended_are_settled_and_nothing_is_lost_count_of() {
    let mut node = Node::new(
        "pools:\n  p: {protocol: http, members: [\"http://127.0.0.1:1/\"]}\n\
         routes:\n  - {name: r, match: \"all/#\", deliver: {pool: p}}\n",
    );
    let car = come(&mut node, 0, &device("car-7", "ann"), lasting("car"));
    for tag in 1..=3 {
        node.publish(car, tag, "all/x", "x", Q2);
    }
    let waiting = node.dispatches.len();
    node.change(subject("car-7"), Standing::Ended);
    assert!(is_gone(&mut node, car));
    for _ in 0..waiting {
        node.answer(windrose_event::Outcome::Accepted);
    }
    let ledger = node.engines[0].ledger();
    assert_eq!((ledger.published, ledger.in_flight), (3, 0));
    assert!(node.said(car).is_empty());
    node.intent(car, Intent::Release { tag: Tag(1) });
    assert!(node.said(car).is_empty(), "it is gone");
}

#[test]
fn what_was_ended_does_not_come_back_after_a_crash() {
    let mut node = Node::durable(2, "");
    for (shard, id) in [(0, "car-1"), (1, "car-2")] {
        let car = come(&mut node, shard, &device(id, "ann"), lasting(id));
        node.subscribe(car, "all/#", Q1);
        node.lose(car);
    }
    let sender = node.client("sender");
    node.publish(sender, 1, "all/x", "x", Q1);
    node.change(subject("car-1"), Standing::Ended);
    node.crash();
    assert_eq!(node.tally(0).sessions + node.tally(1).sessions, 1);
    node.identify_next(device("car-2", "ann"));
    let other = node.open(0, lasting("car-2"));
    assert!(node.accepted(other).resumed);
    assert_eq!(node.payloads(other), ["x"]);
}
