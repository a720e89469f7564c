//! What brokers are asked for, and what they send.

use crate::harness::*;
use std::sync::Arc;
use windrose_engine::Input;
use windrose_event::{
    ConnectionId, Details, Identity, Intent, Open, Origin, Outcome, Principal, Publication, Publish, Tag, VIA,
};
use windrose_policy::Listener;

const DOCUMENT: &str = "node: {name: here}\npools:\n  brokers: {protocol: mqtt, members: [\"mqtt://127.0.0.1:1\"], \
     subscribe: [\"weather/#\"]}\n  api: {protocol: http, members: [\"http://127.0.0.1:2/\"]}\n\
     routes:\n  - {name: up, match: \"weather/#\", deliver: {pool: brokers}}\n  \
     - {name: api, match: \"weather/#\", deliver: {pool: api}}\n";

/// The connection by which the network brings what a pool's members send.
fn bring(node: &mut Node) -> Peer {
    let peer = Peer { shard: 0, id: ConnectionId { slot: 1_000, generation: 0 } };
    let listener = Listener { name: "brokers".into(), ..(*node.snapshot.listeners[0]).clone() };
    node.input(0, Input::Connect { connection: peer.id, listener: Arc::new(listener), peer: None });
    let open = Open { protocol: Origin::FETCHED, ..open("brokers/1") };
    node.identify_next(Identity {
        principal: Principal::Service { name: "brokers".into() },
        ..Identity::anonymous()
    });
    node.intent(peer, Intent::Open(Box::new(open)));
    node.accepted(peer);
    peer
}

fn retained(address: &str, payload: &str) -> Intent {
    let publication = Publication { retain: true, ..publication(address, payload, Q1) };
    Intent::Publish(Publish { tag: Tag(9), again: false, publication })
}

#[test]
fn every_shard_says_once_what_anybody_wants_of_what_is_allowed() {
    let mut node = Node::with_shards(2, DOCUMENT);
    let (first, second) = (node.client_at(0, "first"), node.client_at(1, "second"));
    node.subscribe(first, "other/#", Q0);
    node.subscribe(first, "weather/north", Q0);
    node.subscribe(second, "weather/north", Q0);
    node.share(second, "group", "#", Q0);
    assert_eq!(node.fetched(0), ["+weather/north", "+weather/#"]);
    assert_eq!(node.fetched(1), ["+weather/north", "+weather/#"]);
    node.leave(first);
    node.advance(10 * SECOND);
    assert!(node.fetched(0).is_empty(), "the other shard's session wants it still");
    node.leave(second);
    assert!(node.fetched(0).is_empty(), "sessions that move are nowhere for a moment");
    node.advance(10 * SECOND);
    for shard in 0..2 {
        let mut words = node.fetched(shard);
        words.sort();
        assert_eq!(words, ["-weather/#", "-weather/north"]);
    }
}

#[test]
fn brokers_are_asked_for_what_queues_are_bound_to() {
    let mut node = Node::with_shards(2, DOCUMENT);
    let peer = node.amqp(1);
    let name = node.declare(peer, windrose_event::QueueDeclaration::default());
    node.bind(peer, "amq.topic", "weather.*", name.as_str());
    for shard in 0..2 {
        assert_eq!(node.fetched(shard), ["+weather/+"]);
    }
    let brought = bring(&mut node);
    node.publish(brought, 1, "weather/north", "rain", Q1);
    assert_eq!(node.waiting(peer, name.as_str()), 1);
    let delete = windrose_event::Arrangement::DeleteQueue { name, if_unused: false, if_empty: false };
    node.arrange(peer, delete).unwrap();
    node.advance(10 * SECOND);
    for shard in 0..2 {
        assert_eq!(node.fetched(shard), ["-weather/+"]);
    }
}

#[test]
fn what_is_fetched_reaches_subscribers_and_other_pools_and_does_not_go_back() {
    let mut node = Node::with_shards(2, DOCUMENT);
    let listener = node.client_at(1, "listener");
    node.subscribe(listener, "weather/#", Q1);
    let broker = bring(&mut node);
    node.publish(broker, 1, "weather/north", "rain", Q1);
    assert_eq!(node.payloads(listener), ["rain"]);
    let pools: Vec<_> = node.dispatches.iter().map(|(_, dispatch)| dispatch.pool.name.to_string()).collect();
    assert_eq!(pools, ["api"]);
    assert!(node.settled(broker).is_empty(), "the other pool has not answered");
    node.answer(Outcome::Accepted);
    assert_eq!(node.settled(broker), [(1, Outcome::Accepted, true)]);
    node.publish(broker, 2, "private", "x", Q1);
    assert!(matches!(node.settled(broker)[..], [(2, Outcome::Rejected(_), _)]), "nobody asked for it");
}

#[test]
fn what_this_node_sent_on_is_not_taken_again() {
    let mut node = Node::new(DOCUMENT);
    let listener = node.client("listener");
    node.subscribe(listener, "weather/#", Q1);
    let from_broker = bring(&mut node);
    let from_node = node.client("other-node");
    for (peer, via) in [(from_broker, "here"), (from_node, "here"), (from_broker, "there")] {
        let details = Details {
            headers: vec![(VIA.into(), "x".into()), (VIA.into(), via.into())],
            ..Details::default()
        };
        let publication =
            Publication { details: Some(Box::new(details)), ..publication("weather/north", via, Q1) };
        node.intent(peer, Intent::Publish(Publish { tag: Tag(1), again: false, publication }));
        if via == "here" {
            assert!(
                matches!(node.settled(peer)[..], [(1, Outcome::Accepted, _)]),
                "its sender is done with it"
            );
        }
    }
    assert_eq!(node.payloads(listener), ["there"]);
    assert_eq!(node.dropped("looped"), 2);
}

#[test]
fn last_values_are_forgotten_when_nobody_keeps_them_true() {
    let mut node = Node::with_shards(2, DOCUMENT);
    let listener = node.client_at(1, "listener");
    node.subscribe(listener, "weather/#", Q1);
    let broker = bring(&mut node);
    node.intent(broker, retained("weather/north", "rain"));
    let local = node.client("local");
    node.retain(local, "weather/local", "sun");
    assert_eq!(node.tally(1).retained, 2);
    let late = node.client("late");
    node.subscribe(late, "weather/north", Q0);
    let deliveries = node.deliveries(late);
    assert!(deliveries.len() == 1 && deliveries[0].retain, "it is a last value like any other");
    node.leave(listener);
    node.advance(10 * SECOND);
    assert_eq!(node.tally(1).retained, 2, "it is still wanted");
    node.leave(late);
    node.advance(10 * SECOND);
    for shard in 0..2 {
        assert_eq!(node.tally(shard).retained, 1, "only what was published here is kept");
    }
}
