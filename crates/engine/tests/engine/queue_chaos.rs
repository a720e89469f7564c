//! Seeded chaos around one queue: consumers come, go, move and misbehave on all shards, and every event is accounted for.

use crate::exchanges::{queue, text};
use crate::harness::*;
use crate::queues::from;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use windrose_engine::Input;
use windrose_event::{
    Consume, ConsumerId, Directive, Disposition, Intent, Open, QueueDeclaration, QueueOptions, Tag,
};

const CONSUMERS: usize = 4;

#[derive(Default)]
struct Consumer {
    peer: Option<Peer>,
    granted: u64,
    /// What it has not disposed of, by tag.
    has: BTreeMap<u16, u32>,
    /// The last that it got for the first time.
    last: Option<u32>,
}

#[derive(Clone, Debug)]
enum Step {
    Publish {
        shard: usize,
        surely: bool,
    },
    Consume {
        consumer: usize,
        shard: usize,
        limit: u64,
    },
    Grant {
        consumer: usize,
        more: u64,
        drain: bool,
    },
    Dispose {
        consumer: usize,
        most: usize,
        disposition: Disposition,
    },
    Cancel {
        consumer: usize,
        release: bool,
    },
    Lose {
        consumer: usize,
    },
    Congest {
        consumer: usize,
        clear: bool,
    },
    Carry(usize, usize),
    /// The disk stores what may be stored, if there is one.
    Store,
    Run,
}

fn disposition() -> impl Strategy<Value = Disposition> {
    prop_oneof![
        6 => Just(Disposition::Accepted),
        1 => Just(Disposition::Rejected),
        2 => Just(Disposition::Released),
        1 => any::<(bool, bool)>()
            .prop_map(|(failed, undeliverable_here)| Disposition::Modified { failed, undeliverable_here }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let consumer = 0..CONSUMERS;
    prop_oneof![
        8 => (0usize..3, any::<bool>()).prop_map(|(shard, surely)| Step::Publish { shard, surely }),
        2 => (consumer.clone(), 0usize..3, 0u64..5)
            .prop_map(|(consumer, shard, limit)| Step::Consume { consumer, shard, limit }),
        4 => (consumer.clone(), 0u64..4, any::<bool>())
            .prop_map(|(consumer, more, drain)| Step::Grant { consumer, more, drain }),
        5 => (consumer.clone(), 1usize..4, disposition())
            .prop_map(|(consumer, most, disposition)| Step::Dispose { consumer, most, disposition }),
        1 => (consumer.clone(), any::<bool>()).prop_map(|(consumer, release)| Step::Cancel { consumer, release }),
        1 => consumer.clone().prop_map(|consumer| Step::Lose { consumer }),
        1 => (consumer, any::<bool>()).prop_map(|(consumer, clear)| Step::Congest { consumer, clear }),
        6 => (0usize..3, 0usize..3).prop_map(|(from, to)| Step::Carry(from, to)),
        2 => Just(Step::Store),
        1 => Just(Step::Run),
    ]
}

struct World {
    node: Node,
    senders: Vec<Peer>,
    consumers: Vec<Consumer>,
    published: u32,
    accepted: BTreeSet<u32>,
    /// What senders were told is taken.
    confirmed: BTreeSet<u32>,
}

impl World {
    fn new(durable: bool) -> Self {
        let mut node = if durable { Node::durable(3, "") } else { Node::with_shards(3, "") };
        let owner = node.amqp(1);
        node.declare(owner, QueueDeclaration { durable, ..queue("graves") });
        let options = QueueOptions {
            dead_letter_exchange: Some(text("")),
            dead_letter_routing_key: Some(text("graves")),
            ..QueueOptions::default()
        };
        node.declare(owner, QueueDeclaration { options, durable, ..queue("jobs") });
        let senders = (0..3).map(|shard| node.client_at(shard, &format!("sender-{shard}"))).collect();
        let consumers = (0..CONSUMERS).map(|_| Consumer::default()).collect();
        node.wires_held = true;
        if durable {
            node.hold_disk();
        }
        let (accepted, confirmed) = Default::default();
        Self { node, senders, consumers, published: 0, accepted, confirmed }
    }

    fn listen(&mut self) {
        for sender in self.senders.clone() {
            for (tag, outcome, _) in self.node.settled(sender) {
                assert!(outcome.is_accepted());
                self.confirmed.insert(u32::from(tag) - 1);
            }
        }
        for consumer in &mut self.consumers {
            let Some(peer) = consumer.peer else { continue };
            for directive in self.node.said(peer) {
                match directive {
                    Directive::Supply(supply) => {
                        let number = payload(&supply.delivery).parse().unwrap();
                        let tag = supply.delivery.tag.0;
                        assert!(
                            tag != 0 && consumer.has.insert(tag, number).is_none(),
                            "tag {tag} is in use"
                        );
                        assert!(consumer.has.len() as u64 <= consumer.granted);
                        if !supply.delivery.again {
                            assert!(consumer.last.is_none_or(|last| last < number || last % 3 != number % 3));
                            consumer.last = Some(number);
                        }
                    }
                    Directive::Consuming { result, .. } => assert!(result.is_ok()),
                    _ => {}
                }
            }
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Publish { shard, surely } => {
                // The numbers of one sender are those with the same rest.
                let number = self.published * 3 + shard as u32;
                self.published += 1;
                let (tag, assurance) = if surely { (number as u16 + 1, Q1) } else { (0, Q0) };
                self.node.publish(self.senders[shard], tag, "jobs", &number.to_string(), assurance);
            }
            Step::Consume { consumer, shard, limit } => {
                if self.consumers[consumer].peer.is_some() {
                    return;
                }
                let peer = self.node.open(shard, Open { protocol: "amqp", session: None, ..open("") });
                if !matches!(self.node.next(peer), Some(Directive::Accept(_))) {
                    // Its word waits for the disk: it tries another time.
                    return self.node.lose(peer);
                }
                self.consumers[consumer] =
                    Consumer { peer: Some(peer), granted: limit, ..Consumer::default() };
                let (consumer, from) = (ConsumerId(1), from("jobs"));
                let consume = Consume { consumer, from, exclusive: false, presettled: false, limit };
                self.node.intent(peer, Intent::Consume(Box::new(consume)));
            }
            Step::Grant { consumer, more, drain } => {
                let consumer = &mut self.consumers[consumer];
                let Some(peer) = consumer.peer else { return };
                consumer.granted += more;
                let limit = consumer.granted;
                self.node.intent(peer, Intent::Grant { consumer: ConsumerId(1), limit, drain });
            }
            Step::Dispose { consumer, most, disposition } => {
                self.listen();
                let consumer = &mut self.consumers[consumer];
                let Some(peer) = consumer.peer else { return };
                let tags: Vec<_> = consumer.has.keys().copied().take(most).collect();
                for tag in &tags {
                    let number = consumer.has.remove(tag).unwrap();
                    if disposition == Disposition::Accepted {
                        assert!(self.accepted.insert(number), "{number} was accepted twice");
                    }
                }
                let tags: Vec<_> = tags.into_iter().map(Tag).collect();
                self.node.dispose(peer, 1, &tags, disposition);
            }
            Step::Cancel { consumer, release } => {
                self.listen();
                let Some(peer) = self.consumers[consumer].peer else { return };
                if release {
                    self.consumers[consumer].has.clear();
                }
                self.node.cancel(peer, 1, release);
                if release {
                    // It is not asked for anything again.
                    self.node.said(peer);
                    self.node.lose(peer);
                    self.consumers[consumer].peer = None;
                }
            }
            Step::Lose { consumer } => {
                if let Some(peer) = self.consumers[consumer].peer.take() {
                    self.node.lose(peer);
                }
            }
            Step::Congest { consumer, clear } => {
                let Some(peer) = self.consumers[consumer].peer else { return };
                let connection = peer.id;
                let input =
                    if clear { Input::Cleared { connection } } else { Input::Congested { connection } };
                self.node.input(peer.shard, input);
            }
            Step::Store => drop(self.node.store()),
            Step::Carry(from, to) => drop(self.node.carry(from, to)),
            Step::Run => {
                self.node.wires_held = false;
                self.node.run();
                self.node.wires_held = true;
            }
        }
        self.listen();
    }

    /// What is left in a queue.
    fn rest(&mut self, name: &str) -> Vec<u32> {
        let peer = self.node.amqp(2);
        let (consumer, from) = (ConsumerId(1), from(name));
        let consume = Consume { consumer, from, exclusive: false, presettled: true, limit: u64::MAX };
        self.node.consume_with(peer, consume).unwrap();
        self.node.brought(peer).iter().map(|payload| payload.parse().unwrap()).collect()
    }
}

#[test]
fn what_one_sender_sends_to_a_durable_queue_stays_in_order() {
    let mut world = World::new(true);
    for step in [
        Step::Consume { consumer: 0, shard: 2, limit: 3 },
        Step::Publish { shard: 2, surely: true },
        Step::Run,
        Step::Publish { shard: 2, surely: true },
        Step::Publish { shard: 1, surely: false },
        Step::Carry(1, 2),
        Step::Store,
        Step::Publish { shard: 0, surely: false },
        Step::Publish { shard: 1, surely: false },
        Step::Run,
        Step::Store,
    ] {
        // It looks at the order of what each consumer gets.
        world.step(step);
    }
    assert_eq!(world.consumers[0].has.len(), 3);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]
    #[test]
    fn every_event_is_used_once_or_rejected_or_still_there(steps in prop::collection::vec(step(), 1..200)) {
        let mut world = World::new(false);
        for step in steps {
            world.step(step);
        }
        world.step(Step::Run);
        for consumer in 0..CONSUMERS {
            world.step(Step::Lose { consumer });
        }
        world.node.wires_held = false;
        world.node.run();
        let (jobs, graves) = (world.rest("jobs"), world.rest("graves"));
        let mut all: Vec<u32> = world.accepted.iter().copied().chain(jobs).chain(graves).collect();
        all.sort_unstable();
        let before = all.len();
        all.dedup();
        prop_assert_eq!((all.len(), before), (world.published as usize, world.published as usize));
        let queued: u64 = (0..3).map(|shard| world.node.tally(shard).queued).sum();
        let held: u64 = (0..3).map(|shard| world.node.tally(shard).queue_unsettled).sum();
        prop_assert_eq!((queued, held), (0, 0));
    }

    #[test]
    fn what_was_confirmed_is_used_or_still_there_after_a_crash(steps in prop::collection::vec(step(), 1..150)) {
        let mut world = World::new(true);
        for step in steps {
            world.step(step);
        }
        world.node.crash();
        let (jobs, graves) = (world.rest("jobs"), world.rest("graves"));
        let rest: BTreeSet<u32> = jobs.iter().chain(&graves).copied().collect();
        prop_assert_eq!(rest.len(), jobs.len() + graves.len(), "nothing is there twice");
        let lost: Vec<_> =
            world.confirmed.iter().filter(|number| !rest.contains(number) && !world.accepted.contains(number)).collect();
        prop_assert!(lost.is_empty(), "{:?} of {:?}: {:?} {:?}", lost, world.confirmed, jobs, graves);
    }
}
