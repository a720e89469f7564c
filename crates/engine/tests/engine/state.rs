//! What the node tells of itself, under `$SYS/`.

use crate::harness::*;
use bytes::Bytes;
use windrose_engine::Input;
use windrose_event::{Address, Cause, Outcome, SubscriptionRequest, Text};

const OPEN: &str = "access:\n  - {who: anyone, may: [publish, subscribe, read], on: \"#\"}\n  \
                    - {who: anyone, may: [publish, subscribe, read], on: \"$SYS/#\"}\n";

fn tell(node: &mut Node, values: &[(&str, &str)]) {
    for shard in 0..node.engines.len() {
        let values = values
            .iter()
            .map(|(address, value)| {
                (Address::new(*address).unwrap(), Bytes::copy_from_slice(value.as_bytes()))
            })
            .collect();
        node.input(shard, Input::State(values));
    }
}

#[test]
fn state_is_told_to_those_who_ask_for_it_by_name_and_only_when_it_changed() {
    let mut node = Node::with_shards(2, OPEN);
    let early = node.client_at(1, "early");
    node.subscribe(early, "$SYS/#", Q1);
    let everything = node.client_at(0, "everything");
    node.subscribe(everything, "#", Q1);
    node.subscribe(everything, "+/up", Q1);
    tell(&mut node, &[("$SYS/up", "1"), ("$SYS/clients", "2")]);
    tell(&mut node, &[("$SYS/up", "2"), ("$SYS/clients", "2")]);
    let told = node.deliveries(early);
    assert_eq!(told.iter().map(payload).collect::<Vec<_>>(), ["1", "2", "2"]);
    assert!(told.iter().all(|delivery| !delivery.retain && delivery.assurance == Q1), "as surely as asked");
    let late = node.client_at(0, "late");
    node.subscribe(late, "$SYS/up", Q0);
    let told = node.deliveries(late);
    assert_eq!(told.iter().map(payload).collect::<Vec<_>>(), ["2"]);
    assert!(told[0].retain, "a last value");
    assert!(node.payloads(everything).is_empty(), "wildcards do not match the node's own (MQTT 5 §4.7.2)");
    let tally = node.tally(0);
    assert_eq!((tally.retained, tally.listeners[0].events_in), (0, 0), "nobody published that");
}

#[test]
fn one_member_of_a_group_gets_each_value_wherever_it_is() {
    let mut node = Node::with_shards(2, OPEN);
    let members = [node.client_at(0, "a"), node.client_at(1, "b")];
    for member in members {
        node.share(member, "g", "$SYS/up", Q0);
    }
    tell(&mut node, &[("$SYS/up", "1")]);
    tell(&mut node, &[("$SYS/up", "2")]);
    let got: Vec<_> = members.iter().map(|member| node.payloads(*member).len()).collect();
    assert_eq!(got, [1, 1]);
}

#[test]
fn nobody_publishes_state_and_nobody_hears_it_without_a_rule() {
    let mut node = Node::new(OPEN);
    let client = node.client("client");
    node.subscribe(client, "$SYS/#", Q0);
    node.publish(client, 1, "$SYS/up", "mine", Q1);
    let settled = node.settled(client);
    assert!(matches!(&settled[0].1, Outcome::Rejected(rejection) if rejection.cause == Cause::NotPermitted));
    assert!(node.payloads(client).is_empty());
    let mut node = Node::new("");
    let client = node.client("client");
    let ask = |group| SubscriptionRequest { group, ..subscription("$SYS/#", Q0) };
    for group in [None, Some(Text::from("g"))] {
        let results = node.subscribe_with(client, ask(group));
        assert!(matches!(&results[0], Err(rejection) if rejection.cause == Cause::NotPermitted));
    }
}

#[test]
fn state_that_is_told_no_more_is_forgotten() {
    let mut node = Node::new(OPEN);
    tell(&mut node, &[("$SYS/up", "1")]);
    tell(&mut node, &[]);
    let client = node.client("client");
    node.subscribe(client, "$SYS/#", Q0);
    assert!(node.payloads(client).is_empty());
}

#[test]
fn a_bridge_may_announce_itself_and_nobody_hears_of_it() {
    let mut node = Node::new("");
    let bridge = node.client("bridge");
    node.publish(bridge, 1, "$SYS/broker/connection/b/state", "1", Q1);
    node.publish(bridge, 2, "$SYS/broker/connection/state", "1", Q1);
    node.publish(bridge, 3, "$SYS/broker/uptime", "1", Q1);
    let accepted: Vec<_> = node.settled(bridge).iter().map(|(_, outcome, _)| outcome.is_accepted()).collect();
    assert_eq!(accepted, [true, false, false]);
}
