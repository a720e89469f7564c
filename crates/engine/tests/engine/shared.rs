//! Shared subscriptions.

use crate::harness::*;
use windrose_event::Open;

#[test]
fn each_event_goes_to_one_member_of_each_group() {
    let mut node = Node::with_shards(2, "");
    let sender = node.client("sender");
    let members: Vec<_> = (0..4).map(|index| node.client_at(index % 2, &format!("member-{index}"))).collect();
    for member in &members {
        node.share(*member, "g", "a/#", Q1);
    }
    let plain = node.client_at(1, "plain");
    node.subscribe(plain, "a/#", Q1);
    for number in 0..40 {
        node.publish(sender, 1, "a/b", &number.to_string(), Q1);
    }
    assert_eq!(node.payloads(plain).len(), 40);
    let counts: Vec<_> = members.iter().map(|member| node.payloads(*member).len()).collect();
    assert_eq!(counts.iter().sum::<usize>(), 40, "{counts:?}");
    assert!(counts.iter().all(|count| *count == 10), "{counts:?}");
}

#[test]
fn connected_members_come_before_those_that_are_away() {
    let mut node = Node::with_shards(2, "");
    let sender = node.client("sender");
    let (away, _) = node.lasting(0, "away");
    node.share(away, "g", "a", Q1);
    node.lose(away);
    node.publish(sender, 1, "a", "waits", Q1);
    let here = node.client_at(1, "here");
    node.share(here, "g", "a", Q1);
    for _ in 0..4 {
        node.publish(sender, 1, "a", "x", Q1);
    }
    assert_eq!(node.payloads(here).len(), 4);
    let (away, _) = node.lasting(0, "away");
    assert_eq!(node.payloads(away), ["waits"], "nobody was connected then");
}

#[test]
fn what_a_departed_member_did_not_get_goes_to_another() {
    for shard in [0, 1] {
        let mut node = Node::with_shards(2, "");
        let sender = node.client("sender");
        let leaving = node.open(0, Open { window: 1, ..open("leaving") });
        node.accepted(leaving);
        node.share(leaving, "g", "a", Q2);
        for (payload, assurance) in [("one", Q1), ("two", Q2), ("three", Q1)] {
            node.publish(sender, 1, "a", payload, assurance);
        }
        assert_eq!(node.payloads(leaving), ["one"], "its window is full");
        let staying = node.client_at(shard, "staying");
        node.share(staying, "g", "a", Q2);
        node.lose(leaving);
        assert_eq!(node.payloads(staying), ["one", "two", "three"], "on shard {shard}");
        assert_eq!(node.tally(0).queued + node.tally(1).queued, 3);
    }
}

#[test]
fn an_exactly_once_delivery_that_was_begun_goes_to_nobody_else() {
    let mut node = Node::new("");
    let sender = node.client("sender");
    let leaving = node.client("leaving");
    node.share(leaving, "g", "a", Q2);
    node.publish(sender, 1, "a", "begun", Q2);
    let staying = node.client("staying");
    node.share(staying, "g", "a", Q2);
    node.lose(leaving);
    assert!(node.payloads(staying).is_empty());
}

#[test]
fn members_take_turns_in_the_order_in_which_they_came_whatever_their_shards() {
    let mut node = Node::with_shards(3, "");
    let shards = [1, 0, 2, 1, 0].into_iter().enumerate();
    let members: Vec<_> =
        shards.map(|(index, shard)| node.client_at(shard, &format!("member-{index}"))).collect();
    for member in &members {
        node.share(*member, "g", "a", Q1);
    }
    let sender = node.client_at(2, "sender");
    for number in 0..10 {
        node.publish(sender, 1, "a", &number.to_string(), Q1);
    }
    for (index, member) in members.iter().enumerate() {
        assert_eq!(node.payloads(*member), [index.to_string(), (index + 5).to_string()]);
    }
}
