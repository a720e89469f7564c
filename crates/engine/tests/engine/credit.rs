//! Brakes: who is not read from, and when again.

use crate::harness::*;
use windrose_event::Outcome;

#[test]
fn more_unsettled_publications_than_allowed_pause_the_connection() {
    let mut node = Node::new(
        "pools: {api: {protocol: http, members: [\"http://127.0.0.1:1/\"]}}\n\
         routes: [{name: r, match: \"#\", deliver: {pool: api}}]\n\
         limits: {receive_maximum: 4}",
    );
    let sender = node.client("sender");
    for tag in 1..=4 {
        node.publish(sender, tag, "a", "x", Q1);
    }
    assert!(node.paused.is_empty(), "as many as were allowed");
    node.publish(sender, 5, "a", "x", Q1);
    assert!(node.paused.contains(&sender));
    assert_eq!(node.tally(0).paused, 1);
    for _ in 0..3 {
        node.answer(Outcome::Accepted);
    }
    assert!(node.paused.is_empty(), "half of the window is free again");
    assert_eq!(node.tally(0).paused, 0);
}

#[test]
fn a_full_pool_brakes_senders_and_releases_them_in_turn() {
    let mut node = Node::new(
        "pools: {api: {protocol: http, members: [\"http://127.0.0.1:1/\"], queue: 3, max_in_flight: 1}}\n\
         routes: [{name: r, match: \"#\", deliver: {pool: api}, acknowledge: received}]\n",
    );
    let senders: Vec<_> = (0..6).map(|index| node.client(&format!("sender-{index}"))).collect();
    for sender in &senders {
        node.publish(*sender, 1, "a", "x", Q1);
    }
    assert!(!node.paused.contains(&senders[0]) && !node.paused.contains(&senders[1]));
    assert!(senders[2..].iter().all(|sender| node.paused.contains(sender)), "three permits are all");
    for _ in 0..3 {
        node.answer(Outcome::Accepted);
        assert_eq!(node.paused.len(), 4, "still overdrawn");
    }
    let mut released = Vec::new();
    while !node.dispatches.is_empty() {
        node.answer(Outcome::Accepted);
        released.extend(
            senders
                .iter()
                .filter(|sender| !node.paused.contains(sender) && !released.contains(*sender))
                .copied()
                .collect::<Vec<_>>(),
        );
    }
    assert!(node.paused.is_empty(), "nobody is left behind");
    assert_eq!(released[2..4], senders[2..4], "in the order of waiting");
    assert_eq!(node.tally(0).pools[0].credit_used, 0);
}

#[test]
fn a_braked_connection_that_goes_away_does_not_hold_up_the_others() {
    let mut node = Node::new(
        "pools: {api: {protocol: http, members: [\"http://127.0.0.1:1/\"], queue: 1, max_in_flight: 1}}\n\
         routes: [{name: r, match: \"#\", deliver: {pool: api}}]\n",
    );
    let gone = node.client("gone");
    let stays = node.client("stays");
    node.publish(gone, 1, "a", "x", Q1);
    node.publish(stays, 1, "a", "x", Q1);
    assert_eq!(node.paused.len(), 2);
    node.lose(gone);
    node.paused.remove(&gone);
    node.answer(Outcome::Accepted);
    node.answer(Outcome::Accepted);
    assert!(node.paused.is_empty());
    assert!(node.said(gone).is_empty(), "its answer is nobody else's");
    assert_eq!(node.tally(0).paused, 0);
}

#[test]
fn a_reload_with_more_room_releases_at_once() {
    let document = |queue: u32| {
        format!(
            "pools: {{api: {{protocol: http, members: [\"http://127.0.0.1:1/\"], queue: {queue}}}}}\n\
             routes: [{{name: r, match: \"#\", deliver: {{pool: api}}}}]\n"
        )
    };
    let mut node = Node::new(&document(1));
    let sender = node.client("sender");
    node.publish(sender, 1, "a", "x", Q1);
    assert!(node.paused.contains(&sender));
    node.input(0, windrose_engine::Input::Snapshot(snapshot(&document(10))));
    assert!(node.paused.is_empty());
}

#[test]
fn a_shard_that_does_not_keep_up_brakes_those_who_send_to_it() {
    let mut node = Node::with_shards(2, "limits: {shard_queue: 4}");
    let sender = node.client("sender");
    let listener = node.client_at(1, "listener");
    node.subscribe(listener, "a", Q0);
    node.wires_held = true;
    for _ in 0..4 {
        node.publish(sender, 0, "a", "x", Q0);
    }
    assert!(node.paused.contains(&sender));
    node.wires_held = false;
    node.run();
    assert!(node.paused.is_empty());
    assert_eq!(node.payloads(listener).len(), 4);
    for _ in 0..3 {
        node.retain(sender, "elsewhere", "x");
    }
    assert!(node.paused.is_empty(), "last values give their credit back as well");
}
