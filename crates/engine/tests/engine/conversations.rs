//! Proof of identity in more than one message, before a session is open and again later.

use crate::harness::*;
use bytes::Bytes;
use std::sync::Arc;
use windrose_engine::Input;
use windrose_event::{
    Claim, CloseReason, Directive, Identity, Intent, Open, Principal, Refusal, RefusalCause, Secret, Step,
};

fn claim() -> Claim {
    Claim { method: Some("X".into()), response: Some(Secret::new("first")), ..Claim::default() }
}

fn known(id: &str) -> Step {
    let principal = Principal::Device { id: id.into(), owner: None };
    let identity = Identity { principal, ..Identity::anonymous() };
    Step::Known { identity, data: Some(Bytes::from_static(b"proof")) }
}

fn refused(cause: RefusalCause) -> Step {
    Step::Refused(Refusal { cause, detail: "no".to_owned() })
}

fn challenge() -> Step {
    Step::Challenge(Some(Bytes::from_static(b"who?")))
}

fn answer(node: &mut Node, peer: Peer, step: Step) {
    node.input(peer.shard, Input::Conversed { connection: peer.id, step });
}

fn respond(node: &mut Node, peer: Peer, words: &'static str) {
    node.intent(peer, Intent::Respond { response: Some(Secret::new(words)) });
}

fn heard(node: &mut Node) -> Vec<String> {
    std::mem::take(&mut node.responses).into_iter().filter_map(|(_, words)| words).collect()
}

/// A session whose peer proved to be the device `d`.
fn open_as_device(node: &mut Node) -> Peer {
    let peer = node.open(0, Open { claim: claim(), ..lasting("s") });
    answer(node, peer, known("d"));
    node.accepted(peer);
    node.responses.clear();
    peer
}

#[test]
fn a_peer_proves_itself_step_by_step() {
    let mut node = Node::new("");
    let peer = node.open(0, Open { claim: claim(), ..open("s") });
    assert_eq!(heard(&mut node), ["first"]);
    answer(&mut node, peer, challenge());
    assert!(matches!(node.said(peer)[..], [Directive::Challenge { data: Some(_) }]));
    respond(&mut node, peer, "second");
    assert_eq!(heard(&mut node), ["second"]);
    answer(&mut node, peer, known("d"));
    let accepted = node.accepted(peer);
    assert_eq!(accepted.data.as_deref(), Some(&b"proof"[..]));
    respond(&mut node, peer, "late");
    assert!(heard(&mut node).is_empty(), "the conversation is over");
}

#[test]
fn a_peer_that_fails_is_refused_and_nothing_of_the_session_is_touched() {
    let mut node = Node::new("");
    let owner = open_as_device(&mut node);
    for cause in [RefusalCause::UnknownMethod, RefusalCause::BadCredentials] {
        let peer = node.open(0, Open { claim: claim(), ..lasting("s") });
        answer(&mut node, peer, refused(cause));
        assert_eq!(node.refused(peer), cause);
    }
    assert!(node.said(owner).is_empty());
}

#[test]
fn a_session_goes_on_while_its_peer_proves_itself_anew() {
    let mut node = Node::new("");
    let peer = open_as_device(&mut node);
    node.intent(peer, Intent::Reidentify(Box::new(claim())));
    node.intent(peer, Intent::Reidentify(Box::new(claim())));
    assert_eq!(heard(&mut node), ["first"], "one at a time");
    answer(&mut node, peer, challenge());
    node.publish(peer, 1, "a", "x", Q1);
    let said = node.said(peer);
    assert!(matches!(said[..], [Directive::Challenge { .. }, Directive::Settle { .. }]), "{said:?}");
    respond(&mut node, peer, "second");
    answer(&mut node, peer, known("d"));
    assert!(matches!(node.said(peer)[..], [Directive::Reidentified { data: Some(_) }]));
}

#[test]
fn what_a_peer_may_do_is_what_it_has_proved_last() {
    let mut node = Node::new("access: [{who: \"group:crew\", may: [publish], on: a}]");
    let peer = open_as_device(&mut node);
    for (groups, may) in [(&["crew"][..], true), (&[], false), (&["crew"], true)] {
        let Step::Known { mut identity, data } = known("d") else { panic!("known() is Known") };
        identity.groups = groups.iter().map(|group| Arc::from(*group)).collect();
        node.intent(peer, Intent::Reidentify(Box::new(claim())));
        answer(&mut node, peer, Step::Known { identity, data });
        for tag in 1..3 {
            node.publish(peer, tag, "a", "x", Q1);
        }
        let settled = node.settled(peer);
        assert_eq!(settled.len(), 2);
        assert!(settled.iter().all(|settled| settled.1.is_accepted() == may), "{groups:?}: {settled:?}");
    }
}

#[test]
fn a_peer_that_fails_or_is_somebody_else_now_is_sent_away() {
    for step in [refused(RefusalCause::BadCredentials), known("other")] {
        let mut node = Node::new("");
        let peer = open_as_device(&mut node);
        node.intent(peer, Intent::Reidentify(Box::new(claim())));
        answer(&mut node, peer, step);
        assert!(matches!(node.said(peer)[..], [Directive::Close(CloseReason::NotPermitted)]));
    }
}

#[test]
fn a_word_of_the_registrys_that_nobody_waits_for_changes_nothing() {
    let mut node = Node::new("");
    let peer = node.client("s");
    for step in [challenge(), known("d"), refused(RefusalCause::BadCredentials)] {
        answer(&mut node, peer, step);
        assert!(node.said(peer).is_empty());
    }
}
