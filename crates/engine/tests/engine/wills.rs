//! Wills.

use crate::harness::*;
use std::time::Duration;
use windrose_event::{Directive, Open, RefusalCause};

fn watched(node: &mut Node) -> Peer {
    let watcher = node.client("watcher");
    node.subscribe(watcher, "wills/#", Q1);
    watcher
}

#[test]
fn a_lost_connections_will_is_published_and_a_good_byes_is_not() {
    let mut node = Node::new("");
    let watcher = watched(&mut node);
    let thing = node.open(0, with_will(open("thing"), "wills/thing", Duration::ZERO));
    node.lose(thing);
    assert_eq!(node.payloads(watcher), ["will"]);
    let thing = node.open(0, with_will(open("thing"), "wills/thing", Duration::ZERO));
    node.leave(thing);
    assert!(node.payloads(watcher).is_empty());
}

#[test]
fn a_delayed_will_waits_for_the_session_to_be_taken_up_again() {
    let mut node = Node::new("");
    let watcher = watched(&mut node);
    let delayed = || with_will(lasting("thing"), "wills/thing", 10 * SECOND);
    let thing = node.open(0, delayed());
    node.lose(thing);
    node.advance(9 * SECOND);
    let thing = node.open(0, delayed());
    node.advance(60 * SECOND);
    assert!(node.payloads(watcher).is_empty(), "it came back in time");
    node.lose(thing);
    node.advance(11 * SECOND);
    assert_eq!(node.payloads(watcher), ["will"]);
    node.advance(7_200 * SECOND);
    assert!(node.payloads(watcher).is_empty(), "once");
}

#[test]
fn the_end_of_the_session_publishes_a_delayed_will_early() {
    let mut node = Node::new("");
    let watcher = watched(&mut node);
    let thing =
        node.open(0, Open { keep: 5 * SECOND, ..with_will(lasting("thing"), "wills/thing", 60 * SECOND) });
    node.lose(thing);
    node.advance(6 * SECOND);
    assert_eq!(node.payloads(watcher), ["will"], "with the session's end");
    let thing = node.open(0, with_will(lasting("thing"), "wills/thing", 60 * SECOND));
    node.lose(thing);
    node.open(0, Open { resume: false, ..lasting("thing") });
    assert_eq!(node.payloads(watcher), ["will"], "a clean start ends the session");
}

#[test]
fn a_take_over_publishes_the_will_unless_it_is_delayed_and_the_session_goes_on() {
    let mut node = Node::new("");
    let watcher = watched(&mut node);
    node.open(0, with_will(lasting("thing"), "wills/thing", Duration::ZERO));
    node.open(0, with_will(lasting("thing"), "wills/thing", 10 * SECOND));
    assert_eq!(node.payloads(watcher), ["will"]);
    node.open(0, lasting("thing"));
    node.advance(20 * SECOND);
    assert!(node.payloads(watcher).is_empty());
}

#[test]
fn a_will_that_may_not_be_published_is_refused_with_its_session() {
    let mut node = Node::new("access: [{who: anyone, may: [publish, subscribe], on: \"wills/#\"}]");
    let thing = node.open(0, with_will(open("thing"), "elsewhere", Duration::ZERO));
    assert_eq!(node.refused(thing), RefusalCause::NotAllowed);
    let thing = node.open(0, with_will(open("thing"), "wills/x", Duration::ZERO));
    assert!(matches!(node.said(thing)[..], [Directive::Accept(_)]));
}
