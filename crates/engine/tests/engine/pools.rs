//! Services: routes to them, attempts, deadlines, batches, reloads.

use crate::harness::*;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use windrose_engine::Input;
use windrose_event::{Cause, Intent, Outcome, Publication, Publish, Tag};

fn document(pool: &str, route: &str) -> String {
    format!(
        "pools:\n  api: {{protocol: http, members: [\"http://127.0.0.1:1/\", \"http://127.0.0.1:2/\"]{pool}}}\n\
         routes:\n  - {{name: r, match: \"a/#\", deliver: {{pool: api}}{route}}}\n"
    )
}

fn pools_node(pool: &str, route: &str) -> Node {
    Node::new(&document(pool, route))
}

#[test]
fn delivered_is_acknowledged_when_the_service_has_answered_and_received_at_once() {
    let mut node = pools_node("", "");
    let sender = node.client("sender");
    node.publish(sender, 1, "a/b", "x", Q1);
    assert!(node.settled(sender).is_empty(), "the service has not answered");
    let dispatch = node.answer(Outcome::Accepted);
    assert_eq!((dispatch.events.len(), dispatch.timeout), (1, 10 * SECOND));
    assert_eq!(node.settled(sender), [(1, Outcome::Accepted, true)]);
    node.publish(sender, 2, "a/b", "x", Q1);
    node.answer(Outcome::rejected_because(Cause::ByService, "no"));
    assert_eq!(node.settled(sender), [(2, Outcome::rejected_because(Cause::ByService, "no"), true)]);
    assert_eq!(node.tally(0).routes[0].events, [1, 0, 0, 0, 1]);

    let mut node = pools_node("", ", acknowledge: received");
    let sender = node.client("sender");
    node.publish(sender, 1, "a/b", "x", Q1);
    assert_eq!(node.settled(sender), [(1, Outcome::Accepted, true)]);
    assert!(!node.engines[0].is_idle(), "it is still on its way");
    node.answer(Outcome::rejected(Cause::ByService));
    assert_eq!(node.dropped("by_service"), 1);
}

#[test]
fn every_matching_route_applies_until_one_stops_and_the_worst_outcome_wins() {
    let mut node = Node::new(
        "pools:\n  one: {protocol: http, members: [\"http://127.0.0.1:1/\"]}\n  \
         two: {protocol: http, members: [\"http://127.0.0.1:2/\"]}\n  \
         three: {protocol: http, members: [\"http://127.0.0.1:3/\"]}\n\
         routes:\n  - {name: one, match: \"a/#\", deliver: {pool: one}}\n  \
         - {name: never, match: \"a/+\", when: 'event.size > 100', deliver: {pool: three}}\n  \
         - {name: two, match: \"a/b\", deliver: {pool: two}, stop: true, subscribers: false}\n  \
         - {name: three, match: \"#\", deliver: {pool: three}}\n",
    );
    let sender = node.client("sender");
    let listener = node.client("listener");
    node.subscribe(listener, "#", Q0);
    node.publish(sender, 1, "a/b", "x", Q1);
    let pools: Vec<_> = node.dispatches.iter().map(|(_, dispatch)| dispatch.pool.name.to_string()).collect();
    assert_eq!(pools, ["one", "two"]);
    assert!(node.payloads(listener).is_empty(), "a route said so");
    node.answer(Outcome::rejected(Cause::ByService));
    assert!(node.settled(sender).is_empty(), "one more is to answer");
    node.answer(Outcome::Accepted);
    assert_eq!(node.settled(sender), [(1, Outcome::rejected(Cause::ByService), true)]);
    node.publish(sender, 2, "b", "x", Q1);
    assert_eq!(node.dispatches.len(), 1);
    assert_eq!(node.payloads(listener), ["x"]);
}

#[test]
fn a_failed_attempt_is_repeated_on_another_member_after_a_wait() {
    let mut node = pools_node("", "");
    let sender = node.client("sender");
    node.publish(sender, 1, "a/b", "x", Q1);
    let first = node.answer(Outcome::unavailable()).member;
    assert!(node.dispatches.is_empty(), "not at once");
    node.advance(250 * MILLI);
    let second = node.answer(Outcome::Accepted).member;
    assert_ne!(first, second);
    assert_eq!(node.settled(sender), [(1, Outcome::Accepted, true)]);
    let members = &node.tally(0).pools[0].members;
    assert_eq!(members[first].1, [0, 0, 0, 1, 0]);
    assert_eq!(members[second].1, [1, 0, 0, 0, 0]);
}

#[test]
fn trying_ends_at_the_deadline() {
    for (failure, verdict) in
        [(Outcome::unavailable(), Outcome::unavailable()), (Outcome::TimedOut, Outcome::TimedOut)]
    {
        let mut node = pools_node("", ", deadline: 5s");
        let attempts = Rc::new(Cell::new(0));
        let seen = attempts.clone();
        node.service(move |_| {
            seen.set(seen.get() + 1);
            answered(failure.clone())
        });
        let sender = node.client("sender");
        node.publish(sender, 1, "a/b", "x", Q1);
        node.advance(6 * SECOND);
        assert_eq!(node.settled(sender), [(1, verdict, true)]);
        assert!((3..30).contains(&attempts.get()), "{} attempts", attempts.get());
        assert_eq!(node.tally(0).pools[0].credit_used, 0);
    }
}

#[test]
fn an_attempt_may_not_outlast_the_deadline() {
    let mut node = pools_node(", timeout: 4s", ", deadline: 6s");
    let sender = node.client("sender");
    node.publish(sender, 1, "a/b", "x", Q1);
    node.advance(3 * SECOND);
    assert_eq!(node.answer(Outcome::TimedOut).timeout, 4 * SECOND);
    node.advance(SECOND);
    let (_, second) = &node.dispatches[0];
    assert!(second.timeout < 3 * SECOND, "{:?}", second.timeout);
}

#[test]
fn retry_after_is_heeded_up_to_the_longest_wait() {
    let mut node = pools_node(", backoff_max: 3s", "");
    let sender = node.client("sender");
    node.publish(sender, 1, "a/b", "x", Q1);
    node.answer(Outcome::Busy { retry_after: Some(3600 * SECOND) });
    node.advance(2_900 * MILLI);
    assert!(node.dispatches.is_empty());
    node.advance(200 * MILLI);
    assert_eq!(node.dispatches.len(), 1);
}

#[test]
fn a_dead_service_is_probed_with_one_message_and_traffic_resumes_quickly() {
    let mut node = Node::new(
        "pools: {api: {protocol: http, members: [\"http://127.0.0.1:1/\"], max_in_flight: 16}}\n\
         routes: [{name: r, match: \"#\", deliver: {pool: api}, deadline: 60s}]\n\
         limits: {receive_maximum: 1000}",
    );
    let alive = Rc::new(Cell::new(false));
    let attempts = Rc::new(Cell::new(0));
    let (service_alive, seen) = (alive.clone(), attempts.clone());
    node.service(move |_| {
        seen.set(seen.get() + 1);
        answered(if service_alive.get() { Outcome::Accepted } else { Outcome::unavailable() })
    });
    let sender = node.client("sender");
    for tag in 1..=200 {
        node.publish(sender, tag, "a", "x", Q1);
    }
    node.advance(10 * SECOND);
    assert!(attempts.get() < 60, "a dead service is left alone: {} attempts", attempts.get());
    assert!(node.settled(sender).is_empty());
    alive.set(true);
    node.advance(2 * SECOND);
    assert_eq!(node.settled(sender).len(), 200, "all of it, within two seconds");
}

#[test]
fn one_dead_member_of_two_costs_nothing_but_its_probes() {
    let mut node = pools_node("", "");
    node.service(|dispatch| {
        answered(if dispatch.member == 0 { Outcome::unavailable() } else { Outcome::Accepted })
    });
    let sender = node.client("sender");
    for tag in 1..=100 {
        node.publish(sender, tag, "a/b", "x", Q1);
        node.advance(20 * MILLI);
    }
    node.advance(SECOND);
    assert_eq!(node.settled(sender).len(), 100);
    let failed = node.tally(0).pools[0].members[0].1[3];
    assert!((3..20).contains(&failed), "{failed} attempts failed");
}

#[test]
fn events_that_wait_past_their_time_are_not_sent() {
    let mut node = pools_node(", max_in_flight: 1", ", deadline: 5s");
    let sender = node.client("sender");
    for tag in 1..=2 {
        node.publish(sender, tag, "a/b", "x", Q1);
    }
    assert_eq!(node.dispatches.len(), 2, "one at each member");
    node.publish(sender, 3, "a/b", "x", Q1);
    let publication = Publication { expiry: Some(SECOND), ..publication("a/b", "x", Q1) };
    node.intent(sender, Intent::Publish(Publish { tag: Tag(4), again: false, publication }));
    node.advance(2 * SECOND);
    node.publish(sender, 5, "a/b", "x", Q1);
    node.advance(3_500 * MILLI);
    assert_eq!(node.settled(sender), [(3, Outcome::unavailable(), true), (4, Outcome::unavailable(), true)]);
    node.answer(Outcome::Accepted);
    node.answer(Outcome::Accepted);
    assert_eq!(node.dispatches.len(), 1, "only the last goes out");
}

#[test]
fn an_event_that_expired_while_it_waited_is_not_sent() {
    let mut node = pools_node(", max_in_flight: 1", "");
    let sender = node.client("sender");
    node.publish(sender, 1, "a/b", "x", Q1);
    node.publish(sender, 2, "a/b", "x", Q1);
    let publication = Publication { expiry: Some(SECOND), ..publication("a/b", "x", Q1) };
    node.intent(sender, Intent::Publish(Publish { tag: Tag(3), again: false, publication }));
    node.advance(2 * SECOND);
    node.answer(Outcome::Accepted);
    let settled = node.settled(sender);
    assert_eq!(
        settled,
        [(3, Outcome::rejected(Cause::Expired), true), (1, Outcome::Accepted, true)]
            .into_iter()
            .rev()
            .collect::<Vec<_>>()
    );
    assert_eq!(node.dispatches.len(), 1);
}

#[test]
fn order_is_kept_at_the_first_attempt() {
    let mut node = Node::new(
        "pools: {api: {protocol: http, members: [\"http://127.0.0.1:1/\"], max_in_flight: 1}}\n\
         routes: [{name: r, match: \"#\", deliver: {pool: api}}]\n",
    );
    let order = Rc::new(RefCell::new(Vec::new()));
    let sender = node.client("sender");
    for tag in 1..=20u16 {
        node.publish(sender, tag, "a", &tag.to_string(), Q1);
    }
    while !node.dispatches.is_empty() {
        let dispatch = node.answer(Outcome::Accepted);
        order.borrow_mut().push(String::from_utf8(dispatch.events[0].payload.to_vec()).unwrap());
    }
    assert_eq!(*order.borrow(), (1..=20).map(|number| number.to_string()).collect::<Vec<_>>());
}

const BATCH: &str = ", mode: batch, batch: {events: 3, wait: 50ms}";

#[test]
fn a_batch_goes_when_it_is_full_or_has_waited() {
    let mut node = pools_node(BATCH, "");
    let sender = node.client("sender");
    for tag in 1..=4 {
        node.publish(sender, tag, "a/b", "x", Q1);
    }
    assert_eq!(node.dispatches.len(), 1);
    assert_eq!(node.answer(Outcome::Accepted).events.len(), 3);
    assert_eq!(node.settled(sender).len(), 3, "all settle with their batch");
    node.advance(49 * MILLI);
    assert!(node.dispatches.is_empty());
    node.advance(2 * MILLI);
    assert_eq!(node.answer(Outcome::Accepted).events.len(), 1);
}

#[test]
fn one_bad_event_does_not_have_its_batch_rejected() {
    let mut node = pools_node(BATCH, "");
    let largest = Rc::new(Cell::new(0));
    let seen = largest.clone();
    node.service(move |dispatch| {
        seen.set(seen.get().max(dispatch.events.len()));
        let poisoned = dispatch.events.iter().any(|event| event.payload == "poison");
        answered(if poisoned { Outcome::rejected(Cause::ByService) } else { Outcome::Accepted })
    });
    let sender = node.client("sender");
    for (tag, payload) in [(1, "good"), (2, "poison"), (3, "good")] {
        node.publish(sender, tag, "a/b", payload, Q1);
    }
    node.advance(SECOND);
    let mut settled = node.settled(sender);
    settled.sort_by_key(|(tag, ..)| *tag);
    let accepted: Vec<_> = settled.iter().map(|(_, outcome, _)| outcome.is_accepted()).collect();
    assert_eq!(accepted, [true, false, true]);
    assert_eq!(largest.get(), 3);
}

#[test]
fn a_batch_that_failed_is_tried_again_whole() {
    let mut node = pools_node(BATCH, "");
    let sender = node.client("sender");
    for tag in 1..=3 {
        node.publish(sender, tag, "a/b", "x", Q1);
    }
    assert_eq!(node.answer(Outcome::unavailable()).events.len(), 3);
    node.advance(250 * MILLI);
    assert_eq!(node.answer(Outcome::Accepted).events.len(), 3);
    assert_eq!(node.settled(sender).len(), 3);
}

#[test]
fn a_reload_takes_along_what_waits_and_a_removed_pool_finishes() {
    let mut node = pools_node(", max_in_flight: 1", "");
    let sender = node.client("sender");
    for tag in 1..=3 {
        node.publish(sender, tag, "a/b", "x", Q1);
    }
    let moved = "pools:\n  api: {protocol: http, members: [\"http://127.0.0.1:2/\", \"http://127.0.0.1:3/\"], \
        max_in_flight: 1}\nroutes:\n  - {name: r, match: \"a/#\", deliver: {pool: api}}\n";
    node.input(0, Input::Snapshot(snapshot(moved)));
    let first = node.answer(Outcome::Accepted);
    assert_eq!(
        &*first.pool.members[first.member].url, "http://127.0.0.1:1/",
        "it was under way to the old one"
    );
    assert!(
        node.dispatches
            .iter()
            .any(|(_, dispatch)| { &*dispatch.pool.members[dispatch.member].url == "http://127.0.0.1:3/" }),
        "the third goes to the new member"
    );
    node.input(0, Input::Snapshot(snapshot("")));
    node.publish(sender, 4, "a/b", "x", Q1);
    node.answer(Outcome::Accepted);
    node.answer(Outcome::Accepted);
    let mut tags: Vec<_> = node.settled(sender).iter().map(|(tag, ..)| *tag).collect();
    tags.sort_unstable();
    assert_eq!(tags, [1, 2, 3, 4]);
    assert_eq!(node.tally(0).routes[0].events, [3, 0, 0, 0, 0], "counts stay");
    node.input(0, Input::Snapshot(snapshot("")));
    assert!(node.tally(0).pools.is_empty(), "the removed pool is forgotten once it is done");
}

#[test]
fn a_stale_or_repeated_answer_changes_nothing() {
    let mut node = pools_node("", "");
    let sender = node.client("sender");
    node.publish(sender, 1, "a/b", "x", Q1);
    let dispatch = node.answer(Outcome::Accepted);
    node.dispatches.push_front((0, dispatch));
    node.answer(Outcome::rejected(Cause::ByService));
    assert_eq!(node.settled(sender).len(), 1);
}

#[test]
fn at_most_once_to_a_dead_service_is_dropped_and_counted() {
    let mut node = pools_node("", ", deadline: 1s");
    node.service(|_| answered(Outcome::unavailable()));
    let sender = node.client("sender");
    node.publish(sender, 0, "a/b", "x", Q0);
    node.advance(Duration::from_secs(2));
    assert_eq!(node.dropped("unavailable"), 1);
    assert!(node.said(sender).is_empty());
    assert!(node.engines[0].ledger().in_flight == 0);
}
