//! What a subscriber gets.

use crate::harness::*;
use windrose_engine::Input;
use windrose_event::{
    Cause, CloseReason, Directive, Intent, Outcome, Publication, Publish, SubscriptionRequest, Tag,
};

#[test]
fn a_delivery_is_as_sure_as_the_lesser_of_event_and_subscription() {
    let mut node = Node::new("");
    let sender = node.client("sender");
    let listener = node.client("listener");
    node.subscribe(listener, "a", Q1);
    for (tag, assurance) in [(0, Q0), (1, Q1), (2, Q2)] {
        node.publish(sender, tag, "a", "x", assurance);
    }
    let assurances: Vec<_> = node.deliveries(listener).iter().map(|delivery| delivery.assurance).collect();
    assert_eq!(assurances, [Q0, Q1, Q1]);
}

#[test]
fn an_exactly_once_delivery_goes_its_three_ways_and_survives_the_connection_at_each() {
    let mut node = Node::new("");
    let sender = node.client("sender");
    let (listener, _) = node.lasting(0, "listener");
    node.subscribe(listener, "a", Q2);
    node.publish(sender, 1, "a", "x", Q2);
    let first = node.deliveries(listener).remove(0);
    assert!(!first.again);
    node.lose(listener);
    let (listener, accepted) = node.lasting(0, "listener");
    assert!(accepted.resumed);
    let second = node.deliveries(listener).remove(0);
    assert_eq!((second.tag, second.again), (first.tag, true), "sent again as it was");
    node.intent(listener, Intent::Receive { tag: first.tag });
    assert!(matches!(node.said(listener)[..], [Directive::Release { tag }] if tag == first.tag));
    node.lose(listener);
    let (listener, _) = node.lasting(0, "listener");
    assert!(
        matches!(node.said(listener)[..], [Directive::Release { tag }] if tag == first.tag),
        "the event itself is not sent again once it was received"
    );
    node.complete(listener, first.tag);
    node.lose(listener);
    let (listener, _) = node.lasting(0, "listener");
    assert!(node.said(listener).is_empty(), "done");
    assert_eq!(node.tally(0).listeners[0].events_out, [1, 0, 0, 0, 0]);
    assert_eq!(node.tally(0).queued, 0);
}

#[test]
fn a_receipt_of_an_unknown_delivery_is_answered_so_that_the_peer_stops_asking() {
    let mut node = Node::new("");
    let listener = node.client("listener");
    node.intent(listener, Intent::Receive { tag: Tag(77) });
    assert!(matches!(node.said(listener)[..], [Directive::Release { tag: Tag(77) }]));
    node.settle(listener, Tag(77));
    assert!(node.said(listener).is_empty());
}

#[test]
fn a_delivery_that_is_answered_out_of_order_ends_the_connection() {
    let accepts = |tag| Intent::Settle { tag, outcome: Outcome::Accepted };
    type Answer = fn(Tag) -> Intent;
    let receives: Answer = |tag| Intent::Receive { tag };
    let completes: Answer = |tag| Intent::Complete { tag };
    for (assurance, before, wrong) in [
        (Q1, None, receives),
        (Q1, None, completes),
        (Q2, None, accepts as Answer),
        (Q2, None, completes),
        (Q2, Some(receives), accepts),
    ] {
        let mut node = Node::new("");
        let sender = node.client("sender");
        let (listener, _) = node.lasting(0, "listener");
        node.subscribe(listener, "a", assurance);
        node.publish(sender, 1, "a", "x", assurance);
        let tag = node.deliveries(listener).remove(0).tag;
        if let Some(before) = before {
            node.intent(listener, before(tag));
            let _ = node.said(listener);
        }
        node.intent(listener, wrong(tag));
        assert!(matches!(node.said(listener)[..], [Directive::Close(CloseReason::OutOfOrder)]));
        let (listener, _) = node.lasting(0, "listener");
        assert_eq!(node.said(listener).len(), 1, "its next connection takes up where it was");
    }
}

#[test]
fn an_exactly_once_delivery_may_be_rejected_before_it_is_received() {
    let mut node = Node::new("");
    let sender = node.client("sender");
    let listener = node.client("listener");
    node.subscribe(listener, "a", Q2);
    node.publish(sender, 1, "a", "x", Q2);
    let tag = node.deliveries(listener).remove(0).tag;
    node.intent(listener, Intent::Settle { tag, outcome: Outcome::rejected(Cause::ByService) });
    assert!(node.said(listener).is_empty());
    assert_eq!(node.tally(0).queued, 0);
}

#[test]
fn the_peers_window_holds_and_order_is_kept() {
    let mut node = Node::new("");
    let sender = node.client("sender");
    let listener = node.open(0, windrose_event::Open { window: 2, ..open("listener") });
    node.accepted(listener);
    node.subscribe(listener, "a", Q1);
    for payload in ["1", "2", "3", "4", "5"] {
        node.publish(sender, 1, "a", payload, Q1);
    }
    let mut got = Vec::new();
    while let Some(Directive::Deliver(delivery)) = node.next(listener) {
        got.push(delivery);
    }
    assert_eq!(got.iter().map(payload).collect::<Vec<_>>(), ["1", "2"]);
    node.settle(listener, got[1].tag);
    assert_eq!(node.payloads(listener), ["3"]);
    node.settle(listener, got[0].tag);
    assert_eq!(node.payloads(listener), ["4"]);
    assert_eq!(node.tally(0).queued, 3, "3 and 4 in flight, 5 waits");
}

#[test]
fn overlapping_subscriptions_give_one_delivery_with_all_numbers() {
    let mut node = Node::new("");
    let sender = node.client("sender");
    let listener = node.client("listener");
    let numbered = |filter, assurance, number| SubscriptionRequest {
        identifier: Some(number),
        ..subscription(filter, assurance)
    };
    node.subscribe_with(listener, numbered("a/#", Q0, 1));
    node.subscribe_with(listener, numbered("a/+", Q2, 2));
    node.subscribe_with(listener, numbered("b", Q2, 3));
    node.publish(sender, 1, "a/x", "x", Q1);
    let deliveries = node.deliveries(listener);
    assert_eq!(deliveries.len(), 1);
    assert_eq!(deliveries[0].assurance, Q1);
    let mut numbers = deliveries[0].subscriptions.to_vec();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2]);
}

#[test]
fn own_events_are_left_out_if_asked() {
    let mut node = Node::new("");
    let client = node.client("client");
    node.subscribe_with(client, SubscriptionRequest { no_local: true, ..subscription("a", Q1) });
    node.publish(client, 1, "a", "mine", Q1);
    assert_eq!(node.settled(client), [(1, Outcome::Accepted, true)], "it listens all the same");
    let other = node.client("other");
    node.publish(other, 1, "a", "theirs", Q1);
    assert_eq!(node.payloads(client), ["theirs"]);
}

#[test]
fn subscribing_again_replaces_and_unsubscribing_ends() {
    let mut node = Node::new("");
    let sender = node.client("sender");
    let listener = node.client("listener");
    node.subscribe(listener, "a", Q0);
    node.subscribe(listener, "a", Q1);
    assert_eq!(node.tally(0).subscriptions, 1);
    node.publish(sender, 1, "a", "x", Q1);
    let deliveries = node.deliveries(listener);
    assert_eq!((deliveries.len(), deliveries[0].assurance), (1, Q1));
    let filter = windrose_event::Filter::new("a").unwrap();
    let filters = vec![(None, filter.clone()), (None, filter)];
    node.intent(listener, Intent::Unsubscribe { tag: Tag(3), filters });
    let said = node.said(listener);
    assert!(
        matches!(&said[..], [Directive::Unsubscribed { tag: Tag(3), results }] if results[..] == [true, false]),
        "{said:?}"
    );
    node.publish(sender, 2, "a", "y", Q1);
    assert!(node.payloads(listener).is_empty());
    assert_eq!(node.tally(0).subscriptions, 0);
}

#[test]
fn a_congested_connections_deliveries_wait_until_it_is_clear() {
    let mut node = Node::new("limits: {session_queue_events: 2}");
    let sender = node.client("sender");
    let listener = node.client("listener");
    node.subscribe(listener, "a", Q0);
    node.input(0, Input::Congested { connection: listener.id });
    for payload in ["1", "2", "3"] {
        node.publish(sender, 0, "a", payload, Q0);
    }
    assert!(node.payloads(listener).is_empty());
    node.input(0, Input::Cleared { connection: listener.id });
    assert_eq!(node.payloads(listener), ["1", "2"], "as many as may wait");
    assert_eq!(node.dropped("queue_full"), 1);
}

#[test]
fn an_offline_sessions_queue_is_bounded_and_takes_only_what_must_arrive() {
    let mut node = Node::new("limits: {session_queue_events: 3}");
    let sender = node.client("sender");
    let (listener, _) = node.lasting(0, "listener");
    node.subscribe(listener, "a", Q1);
    node.lose(listener);
    node.publish(sender, 0, "a", "fleeting", Q0);
    for payload in ["1", "2", "3", "4"] {
        node.publish(sender, 1, "a", payload, Q1);
    }
    assert_eq!(node.dropped("queue_full"), 1);
    let (listener, _) = node.lasting(0, "listener");
    assert_eq!(node.payloads(listener), ["1", "2", "3"], "the newest was dropped");
}

#[test]
fn the_oldest_make_room_for_the_newest_where_the_document_says_so() {
    let mut node = Node::new("limits: {session_queue_events: 3, session_queue_full: drop-oldest}");
    let sender = node.client("sender");
    let (listener, _) = node.lasting(0, "listener");
    node.subscribe(listener, "a", Q2);
    node.publish(sender, 1, "a", "in flight", Q1);
    assert_eq!(node.payloads(listener), ["in flight"]);
    node.lose(listener);
    for payload in ["1", "2", "3", "4", "5"] {
        node.publish(sender, 1, "a", payload, Q1);
    }
    assert_eq!((node.dropped("queue_full"), node.tally(0).queued), (2, 4));
    let (listener, _) = node.lasting(0, "listener");
    assert_eq!(node.payloads(listener), ["in flight", "3", "4", "5"], "what was sent before is not dropped");
}

#[test]
fn bytes_bound_a_queue_too_and_one_event_too_large_for_it_drops_no_other() {
    let limits = "limits: {session_queue_bytes: 2000, session_queue_full: drop-oldest}";
    let mut node = Node::new(limits);
    let sender = node.client("sender");
    let (listener, _) = node.lasting(0, "listener");
    node.subscribe(listener, "a", Q1);
    node.lose(listener);
    let texts = ["a", "b", "c"].map(|letter| letter.repeat(700));
    for payload in &texts {
        node.publish(sender, 1, "a", payload, Q1);
    }
    node.publish(sender, 1, "a", &"x".repeat(3_000), Q1);
    assert_eq!(node.dropped("queue_full"), 2);
    let (listener, _) = node.lasting(0, "listener");
    assert_eq!(node.payloads(listener), texts[1..]);
}

#[test]
fn what_has_expired_in_a_full_queue_makes_room_first() {
    let mut node = Node::new("limits: {session_queue_events: 2}");
    let sender = node.client("sender");
    let (listener, _) = node.lasting(0, "listener");
    node.subscribe(listener, "a", Q1);
    node.lose(listener);
    let publication = Publication { expiry: Some(SECOND), ..publication("a", "short-lived", Q1) };
    node.intent(sender, Intent::Publish(Publish { tag: Tag(1), again: false, publication }));
    node.publish(sender, 1, "a", "1", Q1);
    node.publish(sender, 1, "a", "refused", Q1);
    node.advance(2 * SECOND);
    node.publish(sender, 1, "a", "2", Q1);
    assert_eq!((node.dropped("queue_full"), node.dropped("expired")), (1, 1));
    let (listener, _) = node.lasting(0, "listener");
    assert_eq!(node.payloads(listener), ["1", "2"]);
}

#[test]
fn subscriptions_past_a_limit_are_refused_one_by_one() {
    let mut node = Node::new("limits: {subscriptions_per_session: 2, address_levels: 3}");
    let client = node.client("client");
    let requests = ["a", "a/b/c/d", "b", "c", "a"].map(|filter| subscription(filter, Q1)).to_vec();
    node.intent(client, Intent::Subscribe { tag: Tag(1), requests });
    let Some(Directive::Subscribed { results, .. }) = node.next(client) else { panic!("no answer") };
    let causes: Vec<_> =
        results.iter().map(|result| result.as_ref().err().map(|error| error.cause)).collect();
    assert_eq!(causes, [None, Some(Cause::BadAddress), None, Some(Cause::Quota), None]);
    assert_eq!(node.tally(0).subscriptions_refused, [("bad_address", 1), ("quota", 1)]);
}

#[test]
fn overlapping_subscriptions_share_a_delivery_unless_they_want_copies_of_their_own() {
    let mut node = Node::new("");
    let (sender, listener) = (node.client("sender"), node.client("listener"));
    let ask = |filter, assurance, identifier, own_copy| SubscriptionRequest {
        identifier: Some(identifier),
        own_copy,
        ..subscription(filter, assurance)
    };
    let subscribe = |node: &mut Node, request| assert!(node.subscribe_with(listener, request)[0].is_ok());
    let mut tag = 0;
    let mut seen = |node: &mut Node| {
        tag += 1;
        node.publish(sender, tag, "a/b", "x", Q2);
        let mut seen: Vec<_> = node
            .deliveries(listener)
            .iter()
            .map(|delivery| (delivery.assurance, delivery.subscriptions.iter().sum::<u32>()))
            .collect();
        seen.sort_unstable();
        seen
    };
    subscribe(&mut node, ask("a/b", Q0, 1, false));
    subscribe(&mut node, ask("a/#", Q1, 10, true));
    assert_eq!(seen(&mut node), [(Q1, 11)], "one delivery, as sure as the surest");
    subscribe(&mut node, ask("a/+", Q2, 100, true));
    let two = seen(&mut node);
    assert_eq!(two.len(), 2);
    assert_eq!(two.iter().map(|(_, identifiers)| identifiers).sum::<u32>(), 111, "{two:?}");
    subscribe(&mut node, ask("a/+", Q2, 100, false));
    assert_eq!(seen(&mut node), [(Q2, 111)]);
}

#[test]
fn what_was_too_large_to_be_sent_is_counted() {
    let mut node = Node::new("");
    let sender = node.client("sender");
    let listener = node.client("listener");
    node.subscribe(listener, "a", Q1);
    let too_large = || Outcome::rejected(Cause::TooLarge);
    node.publish(sender, 0, "a", "x", windrose_event::Assurance::AtMostOnce);
    node.publish(sender, 1, "a", "x", Q1);
    for delivery in node.deliveries(listener) {
        node.intent(listener, Intent::Settle { tag: delivery.tag, outcome: too_large() });
    }
    let tally = node.tally(0);
    assert_eq!(
        tally.dropped.iter().find(|(cause, _)| *cause == "too_large").map(|(_, count)| *count),
        Some(2)
    );
    assert_eq!(tally.listeners[0].events_out.iter().sum::<u64>(), 2);
    assert_eq!(tally.listeners[0].events_out[0], 0);
    assert_eq!(tally.queued, 0);
}
