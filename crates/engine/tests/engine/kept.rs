//! Subscriptions of consumers that outlive them.

use crate::exchanges::text;
use crate::harness::*;
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{
    Arranged, Arrangement, CloseReason, Directive, Disposition, Identity, Open, Principal, Source, Standing,
    Subject,
};

const EVERY: [u16; 3] = [1, 2, 3];

fn kept(filter: &str, name: &str, keep: Duration) -> Source {
    Source::Address { request: subscription(filter, Q1), headers: None, kept: Some((text(name), keep)) }
}

#[test]
fn what_came_meanwhile_waits_for_who_takes_it_up_again_wherever() {
    for shards in EVERY {
        let mut node = Node::with_shards(shards, "");
        let last = usize::from(shards) - 1;
        let first = node.amqp(0);
        let consuming = node.consume(first, 1, kept("a/#", "mine", 9 * SECOND), 1).unwrap();
        assert!(!consuming.resumed);
        let sender = node.client_at(last / 2, "sender");
        node.publish_all(sender, "a/b", 0..3);
        assert_eq!(node.brought(first), ["0"]);
        node.lose(first);
        node.advance(8 * SECOND);
        node.publish_all(sender, "a/b", 3..4);
        let second = node.amqp(last);
        let consuming = node.consume(second, 5, kept("a/#", "mine", 9 * SECOND), 9).unwrap();
        assert!(consuming.resumed);
        let supplies = node.supplies(second);
        assert_eq!(
            supplies.iter().map(|supply| payload(&supply.delivery)).collect::<Vec<_>>(),
            ["0", "1", "2", "3"]
        );
        assert!(supplies[0].delivery.again && !supplies[1].delivery.again);
        // Another one of that name takes it over.
        let third = node.amqp(0);
        assert!(node.consume(third, 1, kept("a/#", "mine", 9 * SECOND), 9).unwrap().resumed);
        let said = node.said(second);
        assert!(matches!(said[..], [Directive::Canceled { because: Some(_), .. }]), "{said:?}");
        let tags: Vec<_> = node.supplies(third).iter().map(|supply| supply.delivery.tag).collect();
        node.dispose(third, 1, &tags, Disposition::Accepted);
        node.cancel(third, 1, true);
        node.said(third);
        node.advance(10 * SECOND);
        node.publish_all(sender, "a/b", 4..5);
        for shard in 0..usize::from(shards) {
            assert_eq!(
                (node.tally(shard).queued, node.tally(shard).subscriptions),
                (0, 0),
                "its time was over"
            );
        }
        assert!(!node.consume(third, 2, kept("a/#", "mine", SECOND), 9).unwrap().resumed);
        node.lose(third);
    }
}

#[test]
fn it_is_given_up_by_keeping_it_for_no_time_and_others_have_names_of_their_own() {
    for shards in EVERY {
        let mut node = Node::with_shards(shards, "");
        let last = usize::from(shards) - 1;
        let peer = node.amqp(0);
        node.consume(peer, 1, kept("a", "mine", 9 * SECOND), 0).unwrap();
        node.publish_all(peer, "a", 0..1);
        node.lose(peer);
        let open = as_device(Open { protocol: "amqp", session: None, ..open("") }, "7");
        let other = node.open(last, open);
        node.accepted(other);
        assert!(!node.consume(other, 1, kept("a", "mine", SECOND), 9).unwrap().resumed);
        let peer = node.amqp(last);
        let delete = Arrangement::DeleteQueue { name: text("mine"), if_unused: false, if_empty: false };
        assert_eq!(node.arrange(peer, delete), Ok(Arranged::default()), "it is no queue for clients");
        assert!(node.consume(peer, 1, kept("a", "mine", Duration::ZERO), 0).unwrap().resumed);
        node.cancel(peer, 1, true);
        node.said(peer);
        assert!(!node.consume(peer, 1, kept("a", "mine", Duration::ZERO), 9).unwrap().resumed);
        assert!(node.supplies(peer).is_empty());
    }
}

#[test]
fn a_shared_one_is_taken_from_by_all_who_know_its_name_and_another_filter_replaces_it() {
    let mut node = Node::with_shards(2, "");
    let peers = [node.amqp(0), node.amqp(1)];
    for peer in peers {
        let mut source = kept("a", "ours", SECOND);
        if let Source::Address { request, .. } = &mut source {
            request.group = Some(text("g"));
        }
        node.consume(peer, 1, source, 9).unwrap();
    }
    node.publish_all(peers[0], "a", 0..4);
    assert_eq!(peers.map(|peer| node.brought(peer).len()), [2, 2]);
    node.lose(peers[0]);
    node.said(peers[1]);
    assert!(node.consume(peers[1], 2, kept("b", "ours", SECOND), 9).unwrap().resumed);
    node.said(peers[1]);
    node.publish_all(peers[1], "a", 4..5);
    node.publish_all(peers[1], "b", 5..6);
    assert_eq!(node.brought(peers[1]), ["5"]);
}

#[test]
fn who_goes_before_its_subscription_is_there_leaves_nothing() {
    let mut node = Node::with_shards(3, "");
    let peer = node.amqp(1);
    let consume = windrose_event::Consume {
        consumer: windrose_event::ConsumerId(1),
        from: kept("a", "mine", SECOND),
        exclusive: false,
        presettled: false,
        limit: 1,
    };
    node.wires_held = true;
    node.intent(peer, windrose_event::Intent::Consume(Box::new(consume)));
    node.lose(peer);
    node.wires_held = false;
    node.run();
    node.advance(20 * SECOND);
    let peer = node.amqp(2);
    assert!(!node.consume(peer, 1, kept("a", "mine", SECOND), 1).unwrap().resumed);
    assert_eq!(node.tally(2).subscriptions, 1, "its home is here");
}

#[test]
fn what_a_canceled_consumer_kept_goes_back_when_it_is_canceled_once_more() {
    for shards in EVERY {
        let mut node = Node::with_shards(shards, "");
        let (home, peer) = (node.amqp(0), node.amqp(usize::from(shards) - 1));
        node.declare(home, crate::exchanges::queue("jobs"));
        node.publish_all(home, "jobs", 0..3);
        node.consume(peer, 1, crate::queues::from("jobs"), 2).unwrap();
        node.cancel(peer, 1, false);
        assert_eq!(node.waiting(home, "jobs"), 1);
        node.cancel(peer, 1, true);
        assert_eq!(node.waiting(home, "jobs"), 3);
        let canceled = |directive: &Directive| matches!(directive, Directive::Canceled { because: None, .. });
        assert_eq!(node.said(peer).iter().filter(|directive| canceled(directive)).count(), 2);
    }
}

/// A connection of AMQP of a device.
fn device(node: &mut Node, shard: usize, id: &str, owner: &str) -> Peer {
    let principal = Principal::Device { id: id.into(), owner: Some(owner.into()) };
    node.identify_next(Identity { principal, ..Identity::anonymous() });
    let peer = node.open(shard, Open { protocol: "amqp", session: None, ..open("") });
    node.accepted(peer);
    peer
}

#[test]
fn whoever_is_ended_finds_nothing_of_what_was_kept_on_whatever_shard() {
    for shards in EVERY {
        for connected in [true, false] {
            let mut node = Node::with_shards(shards, "");
            let last = usize::from(shards) - 1;
            let (car, other) = (device(&mut node, last, "7", "ann"), device(&mut node, 0, "8", "ann"));
            for peer in [car, other] {
                node.consume(peer, 1, kept("a", "mine", 60 * SECOND), 0).unwrap();
            }
            let sender = node.client_at(0, "sender");
            node.publish_all(sender, "a", 0..2);
            if !connected {
                node.lose(car);
            }
            node.change(Subject::Device("7".into()), Standing::Ended);
            let subscriptions: u64 = (0..=last).map(|shard| node.tally(shard).subscriptions).sum();
            let queued: u64 = (0..=last).map(|shard| node.tally(shard).queued).sum();
            assert_eq!((subscriptions, queued), (1, 2), "{shards} shards");
            let car = device(&mut node, 0, "7", "ann");
            assert!(!node.consume(car, 1, kept("a", "mine", SECOND), 9).unwrap().resumed);
            node.lose(other);
            let other = device(&mut node, last, "8", "ann");
            assert!(node.consume(other, 1, kept("a", "mine", SECOND), 9).unwrap().resumed);
        }
    }
}

#[test]
fn what_was_kept_for_a_device_of_one_owner_is_not_brought_to_that_of_another() {
    let mut node = Node::new("");
    let car = device(&mut node, 0, "7", "ann");
    node.consume(car, 1, kept("a", "mine", 60 * SECOND), 0).unwrap();
    let sender = node.client("sender");
    node.publish_all(sender, "a", 0..2);
    node.lose(car);
    let car = device(&mut node, 0, "7", "bob");
    node.consume(car, 1, kept("a", "mine", SECOND), 9).unwrap();
    assert!(node.brought(car).is_empty());
    node.publish_all(sender, "a", 2..3);
    assert_eq!(node.brought(car), ["2"]);
}

#[test]
fn a_connection_that_loses_something_is_closed_and_one_that_wins_stays() {
    let mut node = Node::new("");
    let car = device(&mut node, 0, "7", "ann");
    let with = |groups: &[&str]| {
        let principal = Principal::Device { id: "7".into(), owner: Some("ann".into()) };
        let groups = groups.iter().map(|group| Arc::from(*group)).collect();
        Standing::Is(Box::new(Identity { principal, groups, ..Identity::anonymous() }))
    };
    node.change(Subject::Device("7".into()), with(&["fleet", "trucks"]));
    assert!(node.said(car).is_empty());
    node.change(Subject::Device("7".into()), with(&["trucks"]));
    assert!(matches!(node.said(car)[..], [Directive::Close(CloseReason::NotPermitted)]));
}
