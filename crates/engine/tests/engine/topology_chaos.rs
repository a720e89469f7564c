//! Seeded chaos: peers on three shards arrange exchanges, queues and bindings all at once, and whatever the order in which
//! shards hear of it, in the end all of them lead an event to the same queues.

use crate::exchanges::{binding, exchange, queue, text};
use crate::harness::{Node, Peer};
use proptest::prelude::*;
use windrose_event::{
    Arrangement, Binding, Destination, Directive, ExchangeKind, Intent, QueueDeclaration, Tag,
};

const SHARDS: usize = 3;
const KEYS: [&str; 4] = ["a", "a.b", "b.a", "a.c.b"];
const PATTERNS: [&str; 5] = ["a", "*.b", "a.#", "#.b", "#"];

#[derive(Clone, Debug)]
enum Step {
    Arrange(usize, Box<Arrangement>),
    Carry(usize, usize),
    Lose(usize),
    Run,
}

fn queue_name() -> impl Strategy<Value = String> {
    (0..3u8).prop_map(|number| format!("q{number}"))
}

fn exchange_name() -> impl Strategy<Value = String> {
    (0..3u8).prop_map(|number| format!("e{number}"))
}

fn bound() -> impl Strategy<Value = Binding> {
    let to = prop_oneof![
        3 => queue_name().prop_map(|name| Destination::Queue(text(&name))),
        1 => exchange_name().prop_map(|name| Destination::Exchange(text(&name))),
    ];
    (exchange_name(), prop::sample::select(&PATTERNS[..]), to)
        .prop_map(|(source, key, destination)| Binding { destination, ..binding(&source, key, "") })
}

fn arrangement() -> impl Strategy<Value = Arrangement> {
    let kinds = [ExchangeKind::Direct, ExchangeKind::Fanout, ExchangeKind::Topic];
    prop_oneof![
        3 => (queue_name(), any::<bool>()).prop_map(|(name, exclusive)| {
            Arrangement::DeclareQueue(QueueDeclaration { exclusive, ..queue(&name) })
        }),
        3 => (exchange_name(), prop::sample::select(kinds.to_vec()))
            .prop_map(|(name, kind)| Arrangement::DeclareExchange(exchange(&name, kind))),
        6 => bound().prop_map(Arrangement::Bind),
        1 => bound().prop_map(Arrangement::Unbind),
        1 => (queue_name(), any::<bool>(), any::<bool>()).prop_map(|(name, if_unused, if_empty)| {
            Arrangement::DeleteQueue { name: text(&name), if_unused, if_empty }
        }),
        1 => (exchange_name(), any::<bool>())
            .prop_map(|(name, if_unused)| Arrangement::DeleteExchange { name: text(&name), if_unused }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..SHARDS, arrangement()).prop_map(|(peer, what)| Step::Arrange(peer, Box::new(what))),
        8 => (0..SHARDS, 0..SHARDS).prop_map(|(from, to)| Step::Carry(from, to)),
        1 => (0..SHARDS).prop_map(Step::Lose),
        1 => Just(Step::Run),
    ]
}

/// How many of each queue's events an event adds, published at a shard.
fn reached(node: &mut Node, peer: Peer, to: &str, key: &str) -> Vec<Option<u32>> {
    let count = |node: &mut Node| -> Vec<Option<u32>> {
        let passive = |name: String| QueueDeclaration { passive: true, ..queue(&name) };
        let names = (0..3).map(|number| format!("q{number}"));
        names
            .map(|name| node.arrange(peer, Arrangement::DeclareQueue(passive(name))).ok())
            .map(|answer| answer.map(|arranged| arranged.messages))
            .collect()
    };
    let before = count(node);
    node.through(peer, to, key, &[]);
    let after = count(node);
    before.into_iter().zip(after).map(|(before, after)| Some(after? - before?)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn all_shards_come_to_the_same(steps in prop::collection::vec(step(), 1..120)) {
        let mut node = Node::with_shards(SHARDS as u16, "");
        let mut peers: Vec<Peer> = (0..SHARDS).map(|shard| node.amqp(shard)).collect();
        let mut asked = [0usize; SHARDS];
        let mut answered = [0usize; SHARDS];
        let listen = |node: &mut Node, peers: &[Peer], answered: &mut [usize; SHARDS]| {
            for (peer, answered) in peers.iter().zip(answered) {
                let is_answer = |said: &Directive| matches!(said, Directive::Arranged { .. });
                *answered += node.said(*peer).iter().filter(|said| is_answer(said)).count();
            }
        };
        node.wires_held = true;
        for step in steps {
            match step {
                Step::Arrange(peer, arrangement) => {
                    asked[peer] += 1;
                    node.intent(peers[peer], Intent::Arrange { tag: Tag(1), arrangement });
                }
                Step::Carry(from, to) => drop(node.carry(from, to)),
                Step::Lose(peer) => {
                    node.lose(peers[peer]);
                    peers[peer] = node.amqp(peer);
                    (asked[peer], answered[peer]) = (0, 0);
                }
                Step::Run => {
                    node.wires_held = false;
                    node.run();
                    node.wires_held = true;
                }
            }
            listen(&mut node, &peers, &mut answered);
        }
        node.wires_held = false;
        node.run();
        listen(&mut node, &peers, &mut answered);
        prop_assert_eq!(answered, asked, "each wish has one answer");
        let counts: Vec<_> = (0..SHARDS)
            .map(|shard| node.tally(shard))
            .map(|tally| (tally.exchanges, tally.queues, tally.bindings))
            .collect();
        prop_assert!(counts.iter().all(|count| *count == counts[0]), "{:?}", counts);
        // Exclusive queues would hide from those who look.
        for peer in peers {
            node.lose(peer);
        }
        let peers: Vec<Peer> = (0..SHARDS).map(|shard| node.amqp(shard)).collect();
        for number in 0..3 {
            let name = format!("e{number}");
            let passive = windrose_event::ExchangeDeclaration {
                passive: true,
                ..exchange(&name, ExchangeKind::Direct)
            };
            if node.arrange(peers[0], Arrangement::DeclareExchange(passive)).is_err() {
                continue;
            }
            for key in KEYS {
                let reached: Vec<_> =
                    peers.iter().map(|peer| reached(&mut node, *peer, &name, key)).collect();
                prop_assert!(reached.iter().all(|one| *one == reached[0]), "{} {}: {:?}", name, key, reached);
                prop_assert!(reached[0].iter().flatten().all(|count| *count <= 1), "{:?}", reached);
            }
        }
        for number in 0..3 {
            let delete = Arrangement::DeleteQueue {
                name: text(&format!("q{number}")),
                if_unused: false,
                if_empty: false,
            };
            node.arrange(peers[1], delete).unwrap();
            let name = text(&format!("e{number}"));
            node.arrange(peers[2], Arrangement::DeleteExchange { name, if_unused: false }).unwrap();
        }
        for shard in 0..SHARDS {
            let tally = node.tally(shard);
            prop_assert_eq!((tally.exchanges, tally.queues, tally.bindings), (0, 0, 0));
        }
    }
}
