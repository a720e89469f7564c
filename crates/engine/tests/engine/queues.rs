//! Queues: consumers that share the work, on one shard and on several; what goes back, what expires, what has no room.

use crate::consuming::address;
use crate::exchanges::{queue, text};
use crate::harness::*;
use std::time::Duration;
use windrose_event::{
    Arrangement, Consume, ConsumerId, DeclineCause, Directive, Disposition, ExchangeKind, Intent, Outcome,
    Overflow, Pulled, QueueDeclaration, QueueOptions, Source, Tag,
};

const EVERY: [u16; 3] = [1, 2, 3];

pub(crate) fn from(name: &str) -> Source {
    Source::Queue { name: text(name), or_new: None }
}

fn with(name: &str, options: QueueOptions) -> QueueDeclaration {
    QueueDeclaration { options, ..queue(name) }
}

impl Node {
    pub(crate) fn publish_all(&mut self, peer: Peer, address: &str, payloads: std::ops::Range<u32>) {
        for number in payloads {
            self.publish(peer, 1, address, &number.to_string(), Q1);
        }
    }

    fn pull(&mut self, peer: Peer, consumer: u32, name: &str, presettled: bool) -> Option<Box<Pulled>> {
        let consumer = ConsumerId(consumer);
        self.intent(peer, Intent::Pull { tag: Tag(3), consumer, queue: text(name), presettled });
        match self.said(peer).pop() {
            Some(Directive::Pulled { tag: Tag(3), result }) => result.expect("a queue"),
            other => panic!("not an answer to pull: {other:?}"),
        }
    }
}

#[test]
fn consumers_take_turns_wherever_they_are_and_order_is_kept() {
    for shards in EVERY {
        let mut node = Node::with_shards(shards, "");
        let last = usize::from(shards) - 1;
        let (one, two) = (node.amqp(0), node.amqp(last));
        node.declare(one, queue("jobs"));
        for consumer in [one, two] {
            node.consume(consumer, 1, from("jobs"), 3).unwrap();
        }
        let sender = node.client_at(last / 2, "sender");
        node.publish_all(sender, "jobs", 0..8);
        assert!(node.settled(sender).iter().all(|(_, outcome, heard)| outcome.is_accepted() && *heard));
        assert_eq!(node.brought(one), ["0", "2", "4"]);
        let second = node.supplies(two);
        assert_eq!(
            second.iter().map(|supply| payload(&supply.delivery)).collect::<Vec<_>>(),
            ["1", "3", "5"]
        );
        assert_eq!(node.waiting(one, "jobs"), 2);
        let tags: Vec<_> = second.iter().map(|supply| supply.delivery.tag).collect();
        node.dispose(two, 1, &tags, Disposition::Accepted);
        node.grant(two, 1, 5);
        assert_eq!(node.brought(two), ["6", "7"]);
        node.lose(one);
        node.grant(two, 1, 50);
        let again: Vec<_> = node
            .supplies(two)
            .iter()
            .map(|supply| (payload(&supply.delivery), supply.delivery.again))
            .collect();
        assert_eq!(again, ["0", "2", "4"].map(|payload| (payload.to_owned(), true)), "on {shards}");
        node.cancel(two, 1, true);
        assert_eq!(node.waiting(two, "jobs"), 5, "all that was not disposed of");
        let queued: u64 = (0..usize::from(shards)).map(|shard| node.tally(shard).queued).sum();
        assert_eq!(queued, 5);
    }
}

#[test]
fn what_waits_comes_when_somebody_consumes_and_credit_is_kept_to() {
    for shards in EVERY {
        let mut node = Node::with_shards(shards, "");
        let home = node.amqp(0);
        node.declare(home, queue("jobs"));
        node.publish_all(home, "jobs", 0..5);
        let consumer = node.amqp(usize::from(shards) - 1);
        node.consume(consumer, 1, from("jobs"), 2).unwrap();
        assert_eq!(node.brought(consumer), ["0", "1"]);
        node.drain(consumer, 1, 9);
        let said = node.said(consumer);
        assert_eq!(said.len(), 4, "{said:?}");
        assert!(matches!(said[3], Directive::Drained { limit: 5, .. }));
        node.publish_all(home, "jobs", 5..6);
        assert!(node.said(consumer).is_empty());
    }
}

#[test]
fn a_connection_with_too_much_to_write_is_passed_over() {
    for shards in EVERY {
        let mut node = Node::with_shards(shards, "");
        let (one, two) = (node.amqp(0), node.amqp(usize::from(shards) - 1));
        node.declare(one, queue("jobs"));
        for consumer in [one, two] {
            node.consume(consumer, 1, from("jobs"), 100).unwrap();
        }
        node.input(two.shard, windrose_engine::Input::Congested { connection: two.id });
        node.publish_all(one, "jobs", 0..4);
        assert_eq!(node.brought(one).len(), 4);
        node.lose(one);
        assert!(node.said(two).is_empty());
        node.input(two.shard, windrose_engine::Input::Cleared { connection: two.id });
        assert_eq!(node.brought(two).len(), 4);
    }
}

#[test]
fn what_a_consumer_cannot_use_goes_to_another() {
    let mut node = Node::new("");
    let (one, two) = (node.amqp(0), node.amqp(0));
    node.declare(one, queue("jobs"));
    node.publish_all(one, "jobs", 0..2);
    node.consume(one, 1, from("jobs"), 9).unwrap();
    let tag = node.supplies(one)[0].delivery.tag;
    node.dispose(one, 1, &[tag], Disposition::Modified { failed: true, undeliverable_here: true });
    assert!(node.supplies(one).is_empty(), "not to the same again");
    node.publish_all(one, "jobs", 2..3);
    assert_eq!(node.brought(one), ["2"], "and it holds nothing else up");
    node.consume(two, 1, from("jobs"), 9).unwrap();
    let supplies = node.supplies(two);
    assert_eq!((payload(&supplies[0].delivery), supplies[0].failures), ("0".to_owned(), 1));
}

#[test]
fn events_are_pulled_one_by_one_and_go_back_if_they_are_not_disposed_of() {
    for shards in EVERY {
        let mut node = Node::with_shards(shards, "");
        let home = node.amqp(0);
        for name in ["a", "b"] {
            node.declare(home, queue(name));
            node.publish_all(home, name, 0..3);
        }
        let peer = node.amqp(usize::from(shards) - 1);
        let first = node.pull(peer, 1, "a", false).unwrap();
        let second = node.pull(peer, 1, "b", false).unwrap();
        assert_eq!((first.remaining, payload(&first.supply.delivery)), (2, "0".to_owned()));
        assert_eq!(payload(&second.supply.delivery), "0");
        let (first, second) = (first.supply.delivery.tag, second.supply.delivery.tag);
        assert_ne!(first, second, "one consumer's tags are its own, whatever the queue");
        let third = node.pull(peer, 1, "a", true).unwrap();
        assert_eq!((third.supply.delivery.tag, third.remaining), (Tag::NONE, 1));
        node.dispose(peer, 1, &[first], Disposition::Accepted);
        node.cancel(peer, 1, true);
        assert!(matches!(node.said(peer)[..], [Directive::Canceled { because: None, .. }]));
        let again = node.pull(peer, 1, "b", false).unwrap();
        assert!(again.supply.delivery.again && payload(&again.supply.delivery) == "0");
        node.lose(peer);
        assert_eq!((node.waiting(home, "a"), node.waiting(home, "b")), (1, 3));
        for _ in 0..3 {
            node.pull(home, 1, "b", true).unwrap();
        }
        assert!(node.pull(home, 1, "b", true).is_none());
    }
}

#[test]
fn a_consumer_may_have_a_queue_for_itself() {
    for shards in EVERY {
        let mut node = Node::with_shards(shards, "");
        let (one, two) = (node.amqp(0), node.amqp(usize::from(shards) - 1));
        node.declare(one, queue("jobs"));
        let consume = |exclusive, number| Consume {
            consumer: ConsumerId(number),
            from: from("jobs"),
            exclusive,
            presettled: false,
            limit: 1,
        };
        node.consume_with(two, consume(true, 1)).unwrap();
        let declined = node.consume_with(one, consume(false, 1)).unwrap_err();
        assert_eq!(declined.cause, DeclineCause::NotPermitted);
        assert_eq!(declined.detail, "queue 'jobs' in vhost '/' in exclusive use");
        node.lose(two);
        node.consume_with(one, consume(false, 1)).unwrap();
        assert!(node.consume_with(one, consume(true, 2)).is_err(), "somebody is there already");
    }
}

#[test]
fn queues_of_a_connection_go_with_it_and_those_of_consumers_with_the_last() {
    for shards in EVERY {
        let mut node = Node::with_shards(shards, "");
        let (owner, other) = (node.amqp(0), node.amqp(usize::from(shards) - 1));
        node.declare(owner, QueueDeclaration { exclusive: true, ..queue("mine") });
        node.declare(owner, QueueDeclaration { auto_delete: true, ..queue("ours") });
        let locked = node.consume(other, 1, from("mine"), 1).unwrap_err();
        assert_eq!(locked.cause, DeclineCause::Locked);
        node.consume(owner, 1, from("ours"), 1).unwrap();
        node.consume(other, 1, from("ours"), 1).unwrap();
        node.cancel(owner, 1, true);
        node.said(owner);
        assert_eq!(node.waiting(owner, "ours"), 0);
        node.lose(other);
        let gone = node.consume(owner, 1, from("ours"), 1).unwrap_err();
        assert_eq!(
            (gone.cause, gone.detail.as_str()),
            (DeclineCause::NotFound, "no queue 'ours' in vhost '/'")
        );
        node.lose(owner);
        let other = node.amqp(usize::from(shards) - 1);
        assert_eq!(node.consume(other, 1, from("mine"), 1).unwrap_err().cause, DeclineCause::NotFound);
    }
}

#[test]
fn consumers_hear_when_their_queue_is_deleted() {
    for shards in EVERY {
        let mut node = Node::with_shards(shards, "");
        let (one, two) = (node.amqp(0), node.amqp(usize::from(shards) - 1));
        node.declare(one, queue("jobs"));
        for consumer in [one, two] {
            node.consume(consumer, 1, from("jobs"), 9).unwrap();
        }
        node.publish_all(one, "jobs", 0..4);
        let tag = node.supplies(two)[0].delivery.tag;
        let delete = |if_unused| Arrangement::DeleteQueue { name: text("jobs"), if_unused, if_empty: false };
        let declined = node.arrange(one, delete(true)).unwrap_err();
        assert_eq!(declined.detail, "queue 'jobs' in vhost '/' in use");
        node.intent(one, Intent::Arrange { tag: Tag(7), arrangement: Box::new(delete(false)) });
        for consumer in [one, two] {
            let said = node.said(consumer);
            let is_canceled = |directive: &Directive| {
                matches!(directive, Directive::Canceled { consumer: ConsumerId(1), because: Some(_) })
            };
            assert!(said.iter().any(is_canceled), "{said:?}");
        }
        node.dispose(two, 1, &[tag], Disposition::Accepted);
        let queued: u64 = (0..usize::from(shards)).map(|shard| node.tally(shard).queued).sum();
        assert_eq!(queued, 0);
    }
}

#[test]
fn a_consumer_may_bring_its_queue_with_it() {
    for shards in EVERY {
        let mut node = Node::with_shards(shards, "");
        let (one, two) = (node.amqp(usize::from(shards) - 1), node.amqp(0));
        let durable = QueueDeclaration { durable: true, ..QueueDeclaration::default() };
        let source = || Source::Queue { name: text("jobs"), or_new: Some(Box::new(durable.clone())) };
        node.consume(one, 1, source(), 1).unwrap();
        node.consume(two, 1, source(), 1).unwrap();
        node.publish_all(two, "jobs", 0..2);
        assert_eq!((node.brought(one), node.brought(two)), (vec!["0".to_owned()], vec!["1".to_owned()]));
        // What it says before its queue is there counts.
        let consume = Consume {
            consumer: ConsumerId(2),
            from: Source::Queue { name: text("more"), or_new: Some(Box::new(durable.clone())) },
            exclusive: false,
            presettled: false,
            limit: 0,
        };
        node.wires_held = true;
        node.intent(one, Intent::Consume(Box::new(consume)));
        node.grant(one, 2, 1);
        node.cancel(one, 2, true);
        node.wires_held = false;
        node.run();
        let said = node.said(one);
        assert!(
            matches!(
                said[..],
                [Directive::Consuming { result: Ok(_), .. }, Directive::Canceled { because: None, .. }]
            ),
            "{said:?}"
        );
    }
}

#[test]
fn events_expire_without_readers_and_go_by_the_dead_letter_exchange() {
    for shards in EVERY {
        let mut node = Node::with_shards(shards, "");
        let peer = node.amqp(usize::from(shards) - 1);
        node.declare_exchange(peer, "dead", ExchangeKind::Fanout);
        node.declare(peer, queue("graves"));
        node.bind(peer, "dead", "", "graves");
        let options = QueueOptions {
            message_ttl: Some(2 * SECOND),
            dead_letter_exchange: Some(text("dead")),
            ..QueueOptions::default()
        };
        node.declare(peer, with("short", options));
        node.publish_all(peer, "short", 0..2);
        node.advance(SECOND);
        node.publish_all(peer, "short", 2..3);
        node.advance(SECOND);
        assert_eq!((node.waiting(peer, "short"), node.waiting(peer, "graves")), (1, 2));
        node.advance(SECOND);
        node.consume(peer, 1, from("graves"), 9).unwrap();
        let dead = node.supplies(peer);
        assert_eq!(dead.len(), 3);
        for supply in dead {
            let deaths =
                supply.delivery.event.details.as_ref().map(|details| details.deaths.clone()).unwrap();
            let stations: Vec<_> =
                deaths.iter().map(|death| (death.queue.as_str(), death.reason, death.count)).collect();
            assert_eq!(stations, [("short", "expired", 1)]);
            assert_eq!((deaths[0].exchange.as_str(), deaths[0].key.as_str()), ("amq.topic", "short"));
        }
    }
}

#[test]
fn an_event_that_goes_round_unrejected_is_dropped_and_one_that_was_rejected_is_counted() {
    let mut node = Node::new("");
    let peer = node.amqp(0);
    let round = |name: &str, to: &str, ttl: Option<Duration>| {
        let options = QueueOptions {
            message_ttl: ttl,
            dead_letter_exchange: Some(text("")),
            dead_letter_routing_key: Some(text(to)),
            ..QueueOptions::default()
        };
        with(name, options)
    };
    node.declare(peer, round("a", "b", Some(SECOND)));
    node.declare(peer, round("b", "a", Some(SECOND)));
    node.publish_all(peer, "a", 0..1);
    node.advance(10 * SECOND);
    assert_eq!(node.dropped("dead_letter_cycle"), 1);
    assert_eq!(node.tally(0).queued, 0);
    node.declare(peer, round("work", "later", None));
    node.declare(peer, round("later", "work", Some(SECOND)));
    node.consume(peer, 1, from("work"), 99).unwrap();
    node.publish_all(peer, "work", 0..1);
    for count in 1..4 {
        let supplies = node.supplies(peer);
        let [supply] = &supplies[..] else { panic!("{supplies:?}") };
        let deaths = supply.delivery.event.details.as_ref().map_or(0, |details| details.deaths.len());
        assert_eq!(deaths, if count == 1 { 0 } else { 2 });
        if let Some(details) = &supply.delivery.event.details {
            assert_eq!(details.deaths[0].count, count - 1);
        }
        node.dispose(peer, 1, &[supply.delivery.tag], Disposition::Rejected);
        node.advance(SECOND);
    }
}

#[test]
fn a_full_queue_drops_its_oldest_or_refuses_as_it_says() {
    for shards in EVERY {
        let mut node = Node::with_shards(shards, "");
        let peer = node.amqp(0);
        node.declare(peer, queue("graves"));
        let bounded = |overflow| QueueOptions {
            max_length: Some(2),
            overflow,
            dead_letter_exchange: Some(text("")),
            dead_letter_routing_key: Some(text("graves")),
            ..QueueOptions::default()
        };
        node.declare(peer, with("drops", bounded(None)));
        node.declare(peer, with("refuses", bounded(Some(Overflow::RejectPublish))));
        node.declare(peer, with("buries", bounded(Some(Overflow::RejectPublishDlx))));
        let sender = node.client_at(usize::from(shards) - 1, "sender");
        for (name, accepted, left, graves) in
            [("drops", 3, ["1", "2"], 1), ("refuses", 2, ["0", "1"], 1), ("buries", 2, ["0", "1"], 2)]
        {
            node.publish_all(sender, name, 0..3);
            let outcomes = node.settled(sender);
            let is_accepted = |settled: &&(u16, Outcome, bool)| settled.1.is_accepted();
            assert_eq!(
                outcomes.iter().filter(is_accepted).count(),
                accepted,
                "{name} on {shards}: {outcomes:?}"
            );
            assert_eq!(node.waiting(peer, "graves"), graves, "{name}");
            let rest: Vec<_> =
                (0..2).map(|_| payload(&node.pull(peer, 1, name, true).unwrap().supply.delivery)).collect();
            assert_eq!(rest, left);
        }
    }
}

#[test]
fn a_queue_that_is_not_used_ends_in_time() {
    for shards in EVERY {
        let mut node = Node::with_shards(shards, "");
        let peer = node.amqp(usize::from(shards) - 1);
        let options = QueueOptions { expires: Some(5 * SECOND), ..QueueOptions::default() };
        node.declare(peer, with("brief", options));
        node.consume(peer, 1, from("brief"), 1).unwrap();
        node.advance(9 * SECOND);
        node.cancel(peer, 1, true);
        node.said(peer);
        node.advance(4 * SECOND);
        assert!(node.pull(peer, 2, "brief", true).is_none(), "which is use");
        node.advance(4 * SECOND);
        assert_eq!(node.waiting(peer, "brief"), 0);
        node.advance(5 * SECOND);
        assert_eq!(node.consume(peer, 1, from("brief"), 1).unwrap_err().cause, DeclineCause::NotFound);
    }
}

#[test]
fn one_active_consumer_at_a_time_if_the_queue_says_so() {
    for shards in EVERY {
        let mut node = Node::with_shards(shards, "");
        let (one, two) = (node.amqp(0), node.amqp(usize::from(shards) - 1));
        let options = QueueOptions { single_active_consumer: true, ..QueueOptions::default() };
        node.declare(one, with("one", options));
        for consumer in [one, two] {
            node.consume(consumer, 1, from("one"), 9).unwrap();
        }
        node.publish_all(one, "one", 0..4);
        assert_eq!((node.brought(one).len(), node.brought(two).len()), (4, 0));
        node.lose(one);
        assert_eq!(node.brought(two), ["0", "1", "2", "3"]);
    }
}

#[test]
fn a_million_events_without_a_reader_stay_within_the_bounds() {
    let mut node = Node::new("limits: {queue_events: 1000, queue_full: drop-oldest}\n");
    let peer = node.amqp(0);
    node.declare(peer, queue("lonely"));
    for number in 0..1_000_000_u32 {
        let publication = publication("lonely", &number.to_string(), Q0);
        let publish = windrose_event::Publish { tag: Tag::NONE, again: false, publication };
        let intent = Intent::Publish(publish);
        node.input_quietly(0, windrose_engine::Input::Intent { connection: peer.id, intent });
    }
    assert_eq!((node.tally(0).queued, node.dropped("queue_full")), (1_000, 999_000));
    let first = node.pull(peer, 1, "lonely", true).unwrap();
    assert_eq!(payload(&first.supply.delivery), "999000");
}

#[test]
fn the_address_of_a_queue_is_heard_by_subscribers_and_consumers_of_addresses_as_well() {
    let mut node = Node::with_shards(2, "");
    let (one, two) = (node.amqp(0), node.amqp(1));
    node.declare(one, queue("jobs"));
    node.consume(two, 1, address("jobs"), 9).unwrap();
    let thing = node.client_at(1, "thing");
    node.subscribe(thing, "+", Q1);
    node.publish_all(one, "jobs", 0..1);
    assert_eq!((node.brought(two).len(), node.payloads(thing).len(), node.waiting(one, "jobs")), (1, 1, 1));
}

#[test]
fn what_waits_in_durable_queues_outlives_the_process_and_what_was_seen_says_so() {
    for shards in EVERY {
        let mut node = Node::durable(shards, "");
        let last = usize::from(shards) - 1;
        let peer = node.amqp(0);
        let durable = || QueueDeclaration { durable: true, ..queue("jobs") };
        node.declare(peer, durable());
        node.declare(peer, queue("fleeting"));
        let consumer = node.amqp(last);
        node.consume(consumer, 1, from("jobs"), 3).unwrap();
        let sender = node.client_at(last, "sender");
        node.publish_all(sender, "jobs", 0..5);
        node.publish(sender, 0, "jobs", "at most once", Q0);
        node.publish_all(sender, "fleeting", 0..1);
        let tags: Vec<_> = node.supplies(consumer).iter().map(|supply| supply.delivery.tag).collect();
        node.dispose(consumer, 1, &tags[1..2], Disposition::Accepted);
        node.crash();
        let consumer = node.amqp(last);
        node.consume(consumer, 1, from("jobs"), 9).unwrap();
        let supplies = node.supplies(consumer);
        let rest: Vec<_> =
            supplies.iter().map(|supply| (payload(&supply.delivery), supply.delivery.again)).collect();
        let expected = [("0", true), ("2", true), ("3", false), ("4", false)];
        assert_eq!(rest, expected.map(|(payload, again)| (payload.to_owned(), again)), "on {shards}");
        assert_eq!(node.consume(consumer, 2, from("fleeting"), 1).unwrap_err().cause, DeclineCause::NotFound);
        let tags: Vec<_> = supplies.iter().map(|supply| supply.delivery.tag).collect();
        node.dispose(consumer, 1, &tags[..3], Disposition::Accepted);
        node.dispose(consumer, 1, &tags[3..], Disposition::Rejected);
        node.publish_all(consumer, "jobs", 5..7);
        node.cancel(consumer, 1, true);
        node.pull(consumer, 2, "jobs", true).unwrap();
        node.crash();
        let peer = node.amqp(0);
        assert_eq!(node.waiting(peer, "jobs"), 1);
        node.arrange(peer, Arrangement::PurgeQueue { name: text("jobs") }).unwrap();
        node.crash();
        let peer = node.amqp(0);
        assert_eq!(node.waiting(peer, "jobs"), 0);
    }
}

#[test]
fn nobody_is_told_that_a_durable_queue_has_an_event_before_it_is_stored() {
    for shards in EVERY {
        let mut node = Node::durable(shards, "");
        let peer = node.amqp(0);
        for (name, overflow) in [("jobs", None), ("refuses", Some(Overflow::RejectPublish))] {
            let options = QueueOptions { overflow, ..QueueOptions::default() };
            node.declare(peer, QueueDeclaration { durable: true, ..with(name, options) });
        }
        let sender = node.amqp(usize::from(shards) - 1);
        node.hold_disk();
        for name in ["jobs", "refuses"] {
            node.publish(sender, 1, name, "x", Q1);
            assert!(node.settled(sender).is_empty(), "{name} on {shards}");
        }
        for _ in 0..3 {
            node.store();
            node.run();
        }
        assert_eq!(node.settled(sender).len(), 2);
        node.publish(sender, 3, "jobs", "lost", Q1);
        node.crash();
        let peer = node.amqp(0);
        assert_eq!((node.waiting(peer, "jobs"), node.waiting(peer, "refuses")), (1, 1));
    }
}

#[test]
fn consumers_that_take_and_keep_make_a_queue_no_larger() {
    let mut node = Node::new("limits: {queue_events: 100}\n");
    let peer = node.amqp(0);
    node.declare(peer, queue("jobs"));
    for number in 0..5 {
        node.consume(peer, number, from("jobs"), u64::MAX).unwrap();
    }
    let sender = node.client("sender");
    node.publish_all(sender, "jobs", 0..150);
    let accepted = node.settled(sender).iter().filter(|(_, outcome, _)| outcome.is_accepted()).count();
    let supplies = node.supplies(peer);
    assert_eq!((accepted, supplies.len(), node.dropped("queue_full")), (100, 100, 50));
    let (tag, consumer) = (supplies[0].delivery.tag, supplies[0].consumer.0);
    node.dispose(peer, consumer, &[tag], Disposition::Accepted);
    node.publish_all(sender, "jobs", 150..151);
    assert_eq!(node.brought(peer), ["150"]);
}

#[test]
fn nobody_is_told_that_a_full_queue_has_an_event_wherever_it_is() {
    for shards in EVERY {
        let mut node = Node::with_shards(shards, "limits: {queue_events: 100}\n");
        let peer = node.amqp(0);
        node.declare(peer, queue("jobs"));
        let sender = node.client_at(usize::from(shards) - 1, "sender");
        for round in 0..2 {
            node.publish_all(sender, "jobs", 0..150);
            let accepted =
                node.settled(sender).iter().filter(|(_, outcome, _)| outcome.is_accepted()).count();
            assert_eq!(node.waiting(peer, "jobs") as usize, accepted, "round {round} on {shards}");
            assert_eq!(accepted, 100);
            node.arrange(peer, Arrangement::PurgeQueue { name: text("jobs") }).unwrap();
        }
        // What is on its way when it becomes full is kept, for its sender was told so.
        node.publish_all(sender, "jobs", 0..70);
        node.settled(sender);
        node.wires_held = true;
        node.publish_all(sender, "jobs", 0..40);
        let accepted = node.settled(sender).iter().filter(|(_, outcome, _)| outcome.is_accepted()).count();
        node.wires_held = false;
        node.run();
        assert_eq!(node.waiting(peer, "jobs"), 70 + accepted as u32);
    }
}

#[test]
fn a_shard_that_is_behind_is_brought_no_more_than_it_has_room_for() {
    let mut node = Node::with_shards(2, "limits: {shard_queue: 16, queue_events: 1000000}\n");
    let (home, far) = (node.amqp(0), node.amqp(1));
    node.declare(home, queue("jobs"));
    let consume = Consume {
        consumer: ConsumerId(1),
        from: from("jobs"),
        exclusive: false,
        presettled: true,
        limit: u64::MAX,
    };
    node.consume_with(far, consume).unwrap();
    node.wires_held = true;
    node.publish_all(home, "jobs", 0..1_000);
    assert!(node.tally(0).queue_waiting > 900, "it is not sent what the other shard does not take");
    node.wires_held = false;
    node.run();
    let brought = node.brought(far);
    assert_eq!(brought, (0..1_000).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(node.tally(0).queued, 0);
}
