//! What a publisher is told.

use crate::harness::*;
use windrose_event::{Address, Cause, Directive, Intent, Outcome, Publication, Publish, Tag};

#[test]
fn an_event_without_routes_is_accepted_and_its_sender_hears_whether_anybody_listens() {
    let mut node = Node::new("");
    let sender = node.client("sender");
    node.publish(sender, 1, "a/b", "x", Q1);
    assert_eq!(node.settled(sender), [(1, Outcome::Accepted, false)]);
    let listener = node.client("listener");
    node.subscribe(listener, "a/#", Q1);
    node.publish(sender, 2, "a/b", "y", Q1);
    assert_eq!(node.settled(sender), [(2, Outcome::Accepted, true)]);
    assert_eq!(node.payloads(listener), ["y"]);
    let tally = node.tally(0);
    assert_eq!((tally.listeners[0].events_in, tally.listeners[0].settled), (2, [2, 0, 0, 0, 0]));
}

#[test]
fn at_most_once_gets_no_answer() {
    let mut node = Node::new("");
    let sender = node.client("sender");
    node.publish(sender, 0, "a", "x", Q0);
    assert!(node.said(sender).is_empty());
    assert_eq!(node.tally(0).listeners[0].events_in, 1);
}

#[test]
fn an_exactly_once_publication_is_processed_once_however_often_it_is_sent() {
    let mut node = Node::new("");
    let listener = node.client("listener");
    node.subscribe(listener, "#", Q2);
    let (sender, _) = node.lasting(0, "sender");
    for _ in 0..3 {
        node.publish(sender, 7, "a", "x", Q2);
    }
    assert_eq!(node.settled(sender), vec![(7, Outcome::Accepted, true); 3], "each time answered");
    node.lose(sender);
    let (sender, _) = node.lasting(0, "sender");
    node.publish(sender, 7, "a", "x", Q2);
    assert_eq!(node.settled(sender).len(), 1, "known over connections");
    assert_eq!(node.payloads(listener), ["x"], "and delivered once");
    node.intent(sender, Intent::Release { tag: Tag(7) });
    node.intent(sender, Intent::Release { tag: Tag(7) });
    let said = node.said(sender);
    assert!(
        matches!(
            said[..],
            [
                Directive::Released { tag: Tag(7), known: true },
                Directive::Released { tag: Tag(7), known: false }
            ]
        ),
        "{said:?}"
    );
    node.publish(sender, 7, "a", "y", Q2);
    assert_eq!(node.payloads(listener), ["y"], "after the release the tag is free");
}

#[test]
fn a_rejected_exactly_once_publication_frees_its_tag() {
    let mut node = Node::new("limits: {payload_bytes: 3}");
    let sender = node.client("sender");
    node.publish(sender, 5, "a", "too large", Q2);
    node.publish(sender, 5, "a", "ok", Q2);
    let settled = node.settled(sender);
    assert!(matches!(&settled[0].1, Outcome::Rejected(rejection) if rejection.cause == Cause::TooLarge));
    assert_eq!(settled[1].1, Outcome::Accepted);
}

#[test]
fn what_is_past_a_limit_is_rejected_and_says_why() {
    let mut node = Node::new("limits: {payload_bytes: 4, address_levels: 3}");
    let sender = node.client("sender");
    node.publish(sender, 1, "a/b/c", "1234", Q1);
    node.publish(sender, 2, "a/b/c", "12345", Q1);
    node.publish(sender, 3, "a/b/c/d", "1", Q1);
    node.publish(sender, 4, "$SYS/x", "1", Q1);
    node.publish(sender, 0, "a/b/c", "12345", Q0);
    let causes: Vec<_> = node
        .settled(sender)
        .into_iter()
        .map(|(tag, outcome, _)| match outcome {
            Outcome::Rejected(rejection) => {
                assert!(rejection.detail.is_some(), "{tag}");
                (tag, Some(rejection.cause))
            }
            _ => (tag, None),
        })
        .collect();
    assert_eq!(
        causes,
        [(1, None), (2, Some(Cause::TooLarge)), (3, Some(Cause::BadAddress)), (4, Some(Cause::NotPermitted))]
    );
    assert_eq!(node.dropped("too_large"), 2, "with the one that gets no answer");
    assert_eq!(node.tally(0).listeners[0].settled, [1, 0, 0, 0, 4]);
}

#[test]
fn what_the_machine_refused_is_counted_and_not_answered_again() {
    let mut node = Node::new("");
    let sender = node.client("sender");
    let address = Address::new("a").unwrap();
    node.intent(sender, Intent::Refused { address, cause: Cause::BadPayload, detail: "not UTF-8" });
    assert!(node.said(sender).is_empty());
    assert_eq!(node.dropped("bad_payload"), 1);
    let tally = node.tally(0);
    assert_eq!((tally.listeners[0].events_in, tally.listeners[0].settled), (1, [0, 0, 0, 0, 1]));
}

#[test]
fn an_expired_event_is_not_delivered_late() {
    let mut node = Node::new("");
    let (sleeper, _) = node.lasting(0, "sleeper");
    node.subscribe(sleeper, "a", Q1);
    node.lose(sleeper);
    let sender = node.client("sender");
    for (payload, expiry) in [("short", Some(SECOND)), ("long", Some(10 * SECOND)), ("ever", None)] {
        let publication = Publication { expiry, ..publication("a", payload, Q1) };
        node.intent(sender, Intent::Publish(Publish { tag: Tag(1), again: false, publication }));
    }
    node.advance(5 * SECOND);
    let (sleeper, _) = node.lasting(0, "sleeper");
    assert_eq!(node.payloads(sleeper), ["long", "ever"]);
    assert_eq!(node.dropped("expired"), 1);
}

#[test]
fn the_sender_of_an_exactly_once_event_is_answered_before_it_gets_its_own_copy() {
    let mut node = Node::new("");
    let client = node.client("client");
    node.subscribe(client, "a", Q2);
    node.publish(client, 7, "a", "mine", Q2);
    let directives = node.said(client);
    let settled = directives.iter().position(|directive| matches!(directive, Directive::Settle { .. }));
    let delivered = directives.iter().position(|directive| matches!(directive, Directive::Deliver(_)));
    assert!(settled.is_some() && settled < delivered, "{directives:?}");
}
