//! Last values.

use crate::harness::*;
use windrose_event::{
    Address, Cause, Directive, Filter, Intent, Outcome, Publication, Publish, RetainedDelivery,
    SubscriptionRequest, Tag,
};

fn read(node: &mut Node, peer: Peer, address: &str) -> Option<String> {
    node.intent(peer, Intent::Read { tag: Tag(4), address: Address::new(address).unwrap() });
    match node.next(peer) {
        Some(Directive::Value { tag: Tag(4), value: Ok(value) }) => {
            value.map(|event| String::from_utf8(event.payload.to_vec()).unwrap())
        }
        other => panic!("no value: {other:?}"),
    }
}

#[test]
fn a_new_subscription_gets_the_last_values_that_it_matches() {
    let mut node = Node::with_shards(2, "");
    let sender = node.client("sender");
    node.retain(sender, "a/1", "old");
    node.retain(sender, "a/1", "one");
    node.retain(sender, "a/2", "two");
    node.retain(sender, "b", "three");
    for shard in [0, 1] {
        let listener = node.client_at(shard, &format!("listener-{shard}"));
        node.subscribe(listener, "a/+", Q0);
        let deliveries = node.deliveries(listener);
        assert!(deliveries.iter().all(|delivery| delivery.retain));
        assert_eq!(deliveries.iter().map(payload).collect::<Vec<_>>(), ["one", "two"], "shard {shard}");
        node.retain(sender, "a/1", "live");
        assert!(!node.deliveries(listener)[0].retain, "a live event is not told to be a last value");
        node.retain(sender, "a/1", "one");
    }
    node.retain(sender, "a/1", "");
    assert_eq!(read(&mut node, sender, "a/1"), None, "cleared");
    assert_eq!(read(&mut node, sender, "a/2"), Some("two".to_owned()));
    assert_eq!(node.tally(1).retained, 2);
}

#[test]
fn the_subscription_says_when_it_wants_last_values() {
    let mut node = Node::new("");
    let sender = node.client("sender");
    node.retain(sender, "a", "x");
    let listener = node.client("listener");
    let ask = |retained| SubscriptionRequest { retained, ..subscription("a", Q0) };
    node.subscribe_with(listener, ask(RetainedDelivery::Never));
    assert!(node.payloads(listener).is_empty());
    node.subscribe_with(listener, ask(RetainedDelivery::IfNew));
    assert!(node.payloads(listener).is_empty(), "it is not new");
    node.subscribe_with(listener, ask(RetainedDelivery::Always));
    assert_eq!(node.payloads(listener), ["x"]);
    node.share(listener, "g", "a", Q0);
    assert!(node.payloads(listener).is_empty(), "groups get none");
    let kept = SubscriptionRequest { retain_as_published: true, ..ask(RetainedDelivery::Never) };
    node.subscribe_with(listener, kept);
    let _ = node.said(listener);
    node.retain(sender, "a", "y");
    let told: Vec<_> = node.deliveries(listener).iter().map(|delivery| delivery.retain).collect();
    assert_eq!(told, [true, false], "as published by its own subscription, not by the group's");
}

#[test]
fn more_last_values_than_may_wait_all_arrive() {
    let mut node = Node::new("limits: {session_queue_events: 10}");
    let sender = node.client("sender");
    for number in 0..1_000 {
        let publication = Publication { retain: true, ..publication(&format!("v/{number}"), "x", Q1) };
        node.intent(sender, Intent::Publish(Publish { tag: Tag(1), again: false, publication }));
    }
    let fast = node.client("fast");
    node.subscribe(fast, "v/#", Q0);
    node.advance(MILLI);
    assert_eq!(node.deliveries(fast).len(), 1_000);
    let slow = node.open(0, windrose_event::Open { window: 5, ..open("slow") });
    node.accepted(slow);
    node.subscribe(slow, "v/#", Q1);
    let mut got = 0;
    loop {
        let deliveries = node.deliveries(slow);
        if deliveries.is_empty() {
            break;
        }
        assert!(deliveries.len() <= 5);
        got += deliveries.len();
        for delivery in deliveries {
            node.settle(slow, delivery.tag);
        }
    }
    assert_eq!(got, 1_000);
    assert_eq!(node.dropped("queue_full"), 0);
}

#[test]
fn last_values_are_bounded_and_expire() {
    let mut node = Node::new("limits: {retained_events: 1}");
    let sender = node.client("sender");
    let listener = node.client("listener");
    node.subscribe(listener, "#", Q0);
    let publication = Publication { retain: true, expiry: Some(SECOND), ..publication("a", "x", Q0) };
    node.intent(sender, Intent::Publish(Publish { tag: Tag::NONE, again: false, publication }));
    node.retain(sender, "b", "y");
    assert_eq!(node.payloads(listener), ["x", "y"], "delivered live all the same");
    assert_eq!(read(&mut node, sender, "b"), None);
    assert_eq!(node.dropped("retained_full"), 1);
    let publication = Publication { retain: true, ..crate::harness::publication("b", "y", Q1) };
    node.intent(sender, Intent::Publish(Publish { tag: Tag(1), again: false, publication }));
    let settled = node.settled(sender);
    assert!(
        matches!(&settled[..], [(1, Outcome::Rejected(rejection), _)] if rejection.cause == Cause::Quota),
        "who waits for an answer is told: {settled:?}"
    );
    assert_eq!(node.payloads(listener), ["y"]);
    node.advance(2 * SECOND);
    assert_eq!(read(&mut node, sender, "a"), None, "expired");
    node.retain(sender, "b", "z");
    assert_eq!(read(&mut node, sender, "b"), Some("z".to_owned()), "there is room again");
}

#[test]
fn last_values_come_after_the_answer_to_the_subscribe() {
    let mut node = Node::with_shards(2, "");
    let sender = node.client("sender");
    node.retain(sender, "a", "x");
    let listener = node.client_at(0, "listener");
    node.intent(listener, Intent::Subscribe { tag: Tag(1), requests: vec![subscription("a", Q1)] });
    let said = node.said(listener);
    assert!(matches!(&said[..], [Directive::Subscribed { .. }, Directive::Deliver(_)]), "{said:?}");
}

#[test]
fn a_connection_that_ends_before_its_answer_leaves_no_session_without_last_values() {
    let mut node = Node::with_shards(2, "");
    let sender = node.client("sender");
    node.retain(sender, "a", "x");
    let (listener, _) = node.lasting(0, "listener");
    node.wires_held = true;
    node.intent(listener, Intent::Subscribe { tag: Tag(1), requests: vec![subscription("a", Q1)] });
    node.lose(listener);
    node.wires_held = false;
    node.run();
    let (again, accepted) = node.lasting(0, "listener");
    assert!(accepted.resumed);
    assert_eq!(node.payloads(again), ["x"]);
}

/// Addresses that are listed, some at a time.
fn list(node: &mut Node, peer: Peer, filter: &str, limit: u16) -> Vec<Vec<String>> {
    let (mut pages, mut after) = (Vec::new(), None);
    loop {
        let filter = Filter::new(filter).unwrap();
        node.intent(peer, Intent::List { tag: Tag(4), filter, after, limit });
        let Some(Directive::Listed { tag: Tag(4), events, after: next }) = node.next(peer) else {
            panic!("nothing is listed")
        };
        pages.push(events.iter().map(|event| event.address.to_string()).collect());
        after = next;
        if after.is_none() {
            return pages;
        }
    }
}

#[test]
fn last_values_are_listed_some_at_a_time_and_only_those_that_may_be_read() {
    let access =
        "access: [{who: anyone, may: [publish], on: \"#\"}, {who: anyone, may: [read], on: \"open/#\"}]\n";
    let mut node = Node::new(access);
    let peer = node.client("peer");
    for address in ["open/1", "closed/1", "closed/2", "open/2", "open/3/x"] {
        node.retain(peer, address, "x");
    }
    assert_eq!(list(&mut node, peer, "#", 100), [["open/1", "open/2", "open/3/x"]]);
    assert_eq!(list(&mut node, peer, "#", 2), [vec![], vec!["open/1", "open/2"], vec!["open/3/x"]]);
    assert_eq!(list(&mut node, peer, "open/+", 100), [["open/1", "open/2"]]);
    assert_eq!(list(&mut node, peer, "$SYS/#", 100), [Vec::<String>::new()]);
}

#[test]
fn who_set_a_value_can_wait_until_it_is_read_wherever_somebody_asks() {
    let mut node = Node::with_shards(3, "");
    let writer = node.client_at(0, "writer");
    let readers: Vec<_> = (1..3).map(|shard| node.client_at(shard, &format!("reader-{shard}"))).collect();
    node.wires_held = true;
    node.retain(writer, "a/b", "x");
    node.intent(writer, Intent::Sync { tag: Tag(7) });
    let synced =
        |said: &[Directive]| said.iter().any(|word| matches!(word, Directive::Synced { tag: Tag(7) }));
    assert!(!synced(&node.said(writer)), "the others do not have it yet");
    node.wires_held = false;
    node.run();
    assert!(synced(&node.said(writer)));
    for reader in readers {
        node.intent(reader, Intent::Read { tag: Tag(1), address: Address::new("a/b").unwrap() });
        let said = node.said(reader);
        let read = said.iter().any(|word| matches!(word, Directive::Value { value: Ok(Some(_)), .. }));
        assert!(read, "{said:?}");
    }
}
