//! The shutdown.

use crate::harness::*;
use std::time::Duration;
use windrose_engine::Input;
use windrose_event::{CloseReason, Directive, Outcome, RefusalCause};

const ROUTE: &str = "pools: {api: {protocol: http, members: [\"http://127.0.0.1:1/\"]}}\n";

#[test]
fn a_drain_finishes_what_was_sent_then_tells_the_peers_and_lets_nobody_in() {
    let mut node = Node::new(&format!("{ROUTE}routes: [{{name: r, match: \"a\", deliver: {{pool: api}}}}]"));
    let busy = node.open(0, with_will(lasting("busy"), "wills/busy", Duration::ZERO));
    node.accepted(busy);
    let idle = node.client("idle");
    node.subscribe(idle, "wills/#", Q1);
    let late = node.connect(0, 0);
    node.publish(busy, 1, "a", "x", Q1);
    node.input(0, Input::Drain);
    assert!(matches!(node.said(idle)[..], [Directive::Close(CloseReason::ShuttingDown)]));
    assert!(node.paused.contains(&busy), "nothing new is read");
    assert!(node.said(busy).is_empty() && !node.engines[0].is_idle());
    assert!(
        matches!(node.said(late)[..], [Directive::Close(CloseReason::ShuttingDown)]),
        "it is not read from, so nothing would ever come of it"
    );
    node.answer(Outcome::Accepted);
    let said = node.said(busy);
    assert!(
        matches!(said[..], [Directive::Settle { .. }, Directive::Close(CloseReason::ShuttingDown)]),
        "{said:?}"
    );
    assert!(node.engines[0].is_idle());
    assert_eq!(node.tally(0).listeners[0].events_in, 1, "no will was published");
    let peer = node.open(0, open("new"));
    assert_eq!(node.refused(peer), RefusalCause::ShuttingDown);
}

#[test]
fn a_drain_waits_for_events_that_were_promised_as_received() {
    let mut node = Node::new(&format!(
        "{ROUTE}routes: [{{name: r, match: \"a\", deliver: {{pool: api}}, acknowledge: received}}]"
    ));
    let sender = node.client("sender");
    node.publish(sender, 1, "a", "x", Q1);
    assert_eq!(node.settled(sender).len(), 1);
    node.input(0, Input::Drain);
    assert!(!node.engines[0].is_idle());
    node.answer(Outcome::unavailable());
    assert!(!node.engines[0].is_idle(), "it will be tried again");
    node.advance(SECOND);
    node.answer(Outcome::Accepted);
    assert!(node.engines[0].is_idle());
}

#[test]
fn a_session_that_opens_amid_the_drain_is_refused() {
    let mut node = Node::new("");
    node.hold_directory();
    let peer = node.open(0, lasting("s"));
    node.input(0, Input::Drain);
    node.answer_directory();
    node.run();
    assert_eq!(node.refused(peer), RefusalCause::ShuttingDown);
    assert!(node.engines[0].is_idle());
}
