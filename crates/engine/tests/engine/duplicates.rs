//! Two things with one identity, and session names that are bound to identities.

use crate::harness::*;
use std::net::SocketAddr;
use windrose_event::{Identity, Open, Principal, Proof, RefusalCause};

const TWICE: &str = "identity: {anonymous: allow, duplicates: {takeovers: 4, within: 1m}}\n";
const HERE: &str = "192.0.2.1:1";
const THERE: &str = "192.0.2.2:1";

fn come(node: &mut Node, shard: usize, from: &str) -> Peer {
    node.from = Some(from.parse::<SocketAddr>().unwrap());
    node.open(shard, as_device(lasting("car-7"), "car-7"))
}

#[test]
fn things_that_take_over_each_other_are_told_of_on_whatever_shards_they_are() {
    for shards in [1, 2] {
        let mut node = Node::with_shards(shards, TWICE);
        for turn in 0..4_usize {
            come(&mut node, turn % usize::from(shards), if turn % 2 == 0 { HERE } else { THERE });
            assert!(node.suspicions.is_empty(), "three takeovers are no four");
        }
        come(&mut node, 0, HERE);
        let [suspicion] = &node.suspicions[..] else { panic!("{:?}", node.suspicions) };
        assert_eq!((&*suspicion.session, suspicion.takeovers), ("car-7", 4));
        assert_eq!(suspicion.peers.len(), 2);
    }
}

#[test]
fn one_that_comes_back_from_where_it_was_is_not_told_of_soon() {
    let mut node = Node::with_shards(2, TWICE);
    for turn in 0..15 {
        come(&mut node, turn % 2, HERE);
    }
    assert!(node.suspicions.is_empty());
}

#[test]
fn a_device_names_its_sessions_after_itself() {
    let mut node = Node::new("identity: {anonymous: allow, client_id: device}\n");
    let names = [
        ("car-7", true),
        ("car-7/2", true),
        ("car-7-x", true),
        ("car-70", false),
        ("car-8", false),
        ("x", false),
    ];
    for (name, may) in names {
        let peer = node.open(0, as_device(open(name), "car-7"));
        if may {
            node.accepted(peer);
        } else {
            assert_eq!(node.refused(peer), RefusalCause::BadSession, "{name}");
        }
    }
    let unnamed = node.open(0, as_device(Open { session: None, ..open("") }, "car-7"));
    node.accepted(unnamed);
    let nobody = node.open(0, open("anything"));
    node.accepted(nobody);
}

#[test]
fn what_is_good_for_enrolling_opens_no_session() {
    let mut node = Node::new("");
    let principal = Principal::Device { id: "car-7".into(), owner: None };
    let proof = Proof { enrols_only: true, ..Proof::default() };
    let identity = Identity { principal, proof: Some(proof.into()), ..Identity::anonymous() };
    node.identify_next(identity.clone());
    let session = node.open(0, open("car-7"));
    assert_eq!(node.refused(session), RefusalCause::NotAllowed);
    node.identify_next(identity);
    let exchange = node.exchange(0);
    let open_to_all = ["a", "$reply/x", "amq/gen-x"];
    for (tag, address) in (1..).zip(open_to_all) {
        node.publish(exchange, tag, address, "x", Q1);
        let settled = node.settled(exchange);
        assert!(!settled[0].1.is_accepted(), "{address}: {settled:?}");
    }
    assert!(node.subscribe_with(exchange, subscription("a", Q0))[0].is_err());
}
