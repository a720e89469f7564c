//! Seeded chaos: connections are lost at any moment and sessions move between shards, and still nothing that was
//! promised is missing.

use crate::harness::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use windrose_event::{Cause, Directive, Intent, Outcome, Publish, Tag};

/// A publisher that keeps the rules of at least and exactly once.
struct Sender {
    name: String,
    peer: Peer,
    next: u32,
    /// Unsettled publications by tag: what, and whether the node has it already (exactly once).
    open: BTreeMap<u16, (u32, bool)>,
    acknowledged: BTreeSet<u32>,
}

/// A subscriber that keeps the rules of exactly once.
struct Receiver {
    peer: Peer,
    held: BTreeSet<u16>,
    got: Vec<String>,
}

#[derive(Clone, Debug)]
enum Step {
    Publish(usize),
    Lose { sender: usize, shard: usize },
    LoseReceiver { shard: usize },
    Settle,
    Carry(usize, usize),
    Run,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0usize..2).prop_map(Step::Publish),
        1 => (0usize..2, 0usize..3).prop_map(|(sender, shard)| Step::Lose { sender, shard }),
        1 => (0usize..3).prop_map(|shard| Step::LoseReceiver { shard }),
        4 => Just(Step::Settle),
        4 => (0usize..3, 0usize..3).prop_map(|(from, to)| Step::Carry(from, to)),
        1 => Just(Step::Run),
        1 => (1u64..3_000).prop_map(Step::Wait),
    ]
}

impl Sender {
    fn publish(&mut self, node: &mut Node) {
        let tag = (1..).find(|tag| !self.open.contains_key(tag)).unwrap();
        self.open.insert(tag, (self.next, false));
        self.next += 1;
        self.send(node, tag, false);
    }

    fn send(&self, node: &mut Node, tag: u16, again: bool) {
        let (number, _) = self.open[&tag];
        let publication = publication("t", &format!("{}-{number}", self.name), Q2);
        node.intent(self.peer, Intent::Publish(Publish { tag: Tag(tag), again, publication }));
    }

    fn listen(&mut self, node: &mut Node) {
        for directive in node.said(self.peer) {
            match directive {
                Directive::Settle { tag, outcome, .. } => {
                    assert!(outcome.is_accepted(), "{outcome:?}");
                    if let Some((number, held)) = self.open.get_mut(&tag.0) {
                        *held = true;
                        self.acknowledged.insert(*number);
                        node.intent(self.peer, Intent::Release { tag });
                    }
                }
                Directive::Released { tag, .. } => {
                    self.open.remove(&tag.0);
                }
                _ => {}
            }
        }
    }

    fn reconnect(&mut self, node: &mut Node, shard: usize) {
        node.lose(self.peer);
        self.peer = node.open(shard, lasting(&self.name));
        settle_opening(node, self.peer);
        let tags: Vec<_> = self.open.iter().map(|(tag, (_, held))| (*tag, *held)).collect();
        for (tag, held) in tags {
            if held {
                node.intent(self.peer, Intent::Release { tag: Tag(tag) });
            } else {
                self.send(node, tag, true);
            }
        }
    }
}

impl Receiver {
    fn listen(&mut self, node: &mut Node, settle: bool) {
        if !settle {
            return;
        }
        for directive in node.said(self.peer) {
            match directive {
                Directive::Deliver(delivery) => {
                    if self.held.insert(delivery.tag.0) {
                        self.got.push(payload(&delivery));
                    }
                    node.intent(self.peer, Intent::Receive { tag: delivery.tag });
                }
                Directive::Release { tag } => {
                    self.held.remove(&tag.0);
                    node.complete(self.peer, tag);
                }
                _ => {}
            }
        }
    }
}

/// A machine says nothing before it is accepted: let the shards talk until it is.
fn settle_opening(node: &mut Node, peer: Peer) {
    let held = std::mem::replace(&mut node.wires_held, false);
    node.run();
    node.wires_held = held;
    let accepted = node.accepted(peer);
    assert!(accepted.resumed, "the session is never lost");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn exactly_once_holds_over_lost_connections_and_moving_sessions(steps in prop::collection::vec(step(), 1..120)) {
        let mut node = Node::with_shards(3, "limits: {session_in_flight: 5}");
        let (peer, _) = node.lasting(0, "receiver");
        node.subscribe(peer, "t", Q2);
        let mut receiver = Receiver { peer, held: BTreeSet::new(), got: Vec::new() };
        let mut senders: Vec<_> = (0..2).map(|index| {
            let name = format!("sender{index}");
            let (peer, _) = node.lasting(index, &name);
            Sender { name, peer, next: 0, open: BTreeMap::new(), acknowledged: BTreeSet::new() }
        }).collect();
        node.wires_held = true;
        for step in steps {
            match step {
                Step::Publish(sender) => senders[sender].publish(&mut node),
                Step::Lose { sender, shard } => senders[sender].reconnect(&mut node, shard),
                Step::LoseReceiver { shard } => {
                    node.lose(receiver.peer);
                    receiver.peer = node.open(shard, lasting("receiver"));
                    settle_opening(&mut node, receiver.peer);
                }
                Step::Settle => {
                    senders.iter_mut().for_each(|sender| sender.listen(&mut node));
                    receiver.listen(&mut node, true);
                }
                Step::Carry(from, to) => { node.carry(from, to); }
                Step::Run => {
                    node.wires_held = false;
                    node.run();
                    node.wires_held = true;
                }
                // Messages between shards take less time than ghosts stay.
                Step::Wait(millis) => {
                    node.wires_held = false;
                    node.run();
                    node.advance(std::time::Duration::from_millis(millis));
                    node.wires_held = true;
                }
            }
        }
        node.wires_held = false;
        node.run();
        for _ in 0..500 {
            senders.iter_mut().for_each(|sender| sender.listen(&mut node));
            receiver.listen(&mut node, true);
        }
        for sender in &senders {
            prop_assert!(sender.open.is_empty(), "{} waits for {:?}", sender.name, sender.open);
        }
        let unique: BTreeSet<_> = receiver.got.iter().cloned().collect();
        prop_assert_eq!(unique.len(), receiver.got.len(), "nothing twice: {:?}", receiver.got);
        for sender in &senders {
            for number in &sender.acknowledged {
                let payload = format!("{}-{number}", sender.name);
                prop_assert!(unique.contains(&payload), "{payload} was acknowledged and is missing");
            }
        }
        for engine in &node.engines {
            prop_assert_eq!(engine.ledger().in_flight, 0);
            prop_assert_eq!(engine.tally().queued, 0);
        }
    }

    #[test]
    fn every_event_for_a_failing_service_is_settled_and_none_before_its_answer(
        answers in prop::collection::vec(0u8..5, 1..60),
        batch in any::<bool>(),
    ) {
        let mode = if batch { ", mode: batch, batch: {events: 4, wait: 20ms}" } else { "" };
        let mut node = Node::new(&format!(
            "pools: {{api: {{protocol: http, members: [\"http://127.0.0.1:1/\", \"http://127.0.0.1:2/\"], max_in_flight: 3, queue: 10{mode}}}}}\n\
             routes: [{{name: r, match: \"#\", deliver: {{pool: api}}, deadline: 5s}}]\n"
        ));
        let sender = node.client("sender");
        let mut settled = BTreeMap::new();
        let mut accepted = BTreeSet::new();
        for (index, answer) in answers.iter().enumerate() {
            node.publish(sender, index as u16 + 1, "a", &index.to_string(), Q1);
            if !node.dispatches.is_empty() {
                let outcome = match answer {
                    0 => Outcome::TimedOut,
                    1 => Outcome::unavailable(),
                    2 => Outcome::Busy { retry_after: Some(SECOND) },
                    3 => Outcome::rejected(Cause::ByService),
                    _ => Outcome::Accepted,
                };
                let is_accepted = outcome.is_accepted();
                let dispatch = node.answer(outcome);
                if is_accepted {
                    accepted.extend(dispatch.events.iter().map(|event| event.payload.clone()));
                }
            }
            node.advance(40 * MILLI);
            for (tag, outcome, _) in node.settled(sender) {
                if outcome.is_accepted() {
                    prop_assert!(accepted.contains((tag - 1).to_string().as_bytes()), "{tag} before its answer");
                }
                prop_assert!(settled.insert(tag, outcome).is_none(), "settled twice");
            }
        }
        // The network answers every dispatch in its time.
        for _ in 0..400 {
            while !node.dispatches.is_empty() {
                node.answer(Outcome::TimedOut);
            }
            node.advance(50 * MILLI);
        }
        for (tag, outcome, _) in node.settled(sender) {
            prop_assert!(settled.insert(tag, outcome).is_none(), "settled twice");
        }
        prop_assert_eq!(settled.len(), answers.len());
        let tally = node.tally(0);
        prop_assert_eq!(tally.pools[0].credit_used, 0);
        prop_assert_eq!(tally.paused, 0);
        prop_assert_eq!(node.engines[0].ledger().in_flight, 0);
    }
}
