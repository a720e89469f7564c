//! Cuts at every byte of a QoS 1 and of a QoS 2 exchange, in both directions, between publisher and node and between node
//! and subscriber, in both versions: none is forgotten, because all are tried.

use std::time::Duration;
use windrose_event::{Assurance, Filter};
use windrose_protocol::mqtt::codec::Version;
use windrose_sim::client::{Message, Profile};
use windrose_sim::document::Document;
use windrose_sim::oracle::Topic;
use windrose_sim::trace::ClientId;
use windrose_sim::world::{Break, Conditions};
use windrose_sim::{Ending, Report, Scenario};

const PUBLISHER: ClientId = ClientId(0);
const SUBSCRIBER: ClientId = ClientId(1);

/// A publisher and a subscriber of one topic, and nothing that goes wrong but what is asked for.
fn exchange(qos: Assurance, version: Version, topic: &str, breaks: Vec<Break>) -> Report {
    let client = |id| Profile {
        id,
        version,
        lasting: true,
        expires: None,
        receive_maximum: 5,
        window: 2,
        keep_alive: 10,
        subscriptions: Vec::new(),
        group: None,
        shard: None,
        messages: Vec::new(),
        pace: 0,
        acknowledges_within: 0,
        reconnects_within: 1_000,
        reads_every: 0,
    };
    let message = Message { topic: 0, poison: false, size: 3, retain: false };
    let filter = Filter::new("#").expect("a filter");
    let scenario = Scenario {
        // Which shards clients connect to, and how much arrives of what a cut caught, differs from cut to cut.
        seed: breaks.iter().map(|cut| cut.after as u64).sum(),
        shards: 2,
        documents: vec![Document::default()],
        topics: vec![Topic {
            name: topic.to_owned(),
            sender: PUBLISHER,
            qos,
            delivered: topic.starts_with('d'),
        }],
        clients: vec![
            Profile { messages: vec![message; 3], ..client(PUBLISHER) },
            Profile { subscriptions: vec![(filter, qos)], ..client(SUBSCRIBER) },
        ],
        conditions: Conditions { breaks, ..Conditions::calm() },
        chaos: Duration::from_secs(60),
        ending: Ending::InPeace,
    };
    scenario.play(false).unwrap_or_else(|failure| panic!("{qos:?}, {version:?}, {topic}: {failure}"))
}

/// Cuts a client's first connection after each byte that it carries in a run without cuts, each way.
fn cut_everywhere(client: ClientId, qos: Assurance) {
    let mut cuts = 0;
    for version in [Version::V3, Version::V5] {
        for topic in ["d/x", "e/x"] {
            let whole = exchange(qos, version, topic, Vec::new());
            assert_eq!((whole.connections, whole.publications), (2, 3), "nothing went wrong");
            let (up, down) = whole.first_bytes[usize::from(client.0)];
            assert!(up > 30 && down > 10, "{up} bytes to the node, {down} from it");
            for (up, bytes) in [(true, up), (false, down)] {
                for after in 0..=bytes {
                    let cut = Break { client, connection: 0, up, after };
                    let report = exchange(qos, version, topic, vec![cut]);
                    assert!(report.deliveries >= 3);
                    assert!(report.connections >= 2);
                    cuts += u32::from(report.connections > 2);
                }
            }
        }
    }
    println!("{cuts} cuts");
    assert!(cuts > 300, "{cuts} cuts");
}

#[test]
fn a_qos_1_publisher_may_lose_its_connection_at_any_byte() {
    cut_everywhere(PUBLISHER, Assurance::AtLeastOnce);
}

#[test]
fn a_qos_2_publisher_may_lose_its_connection_at_any_byte() {
    cut_everywhere(PUBLISHER, Assurance::ExactlyOnce);
}

#[test]
fn a_qos_1_subscriber_may_lose_its_connection_at_any_byte() {
    cut_everywhere(SUBSCRIBER, Assurance::AtLeastOnce);
}

#[test]
fn a_qos_2_subscriber_may_lose_its_connection_at_any_byte() {
    cut_everywhere(SUBSCRIBER, Assurance::ExactlyOnce);
}

#[test]
fn both_may_lose_theirs_in_one_exchange() {
    for version in [Version::V3, Version::V5] {
        let whole = exchange(Assurance::ExactlyOnce, version, "d/x", Vec::new());
        let [(up, _), (_, down)] = whole.first_bytes[..] else { panic!("two clients") };
        // CONNECT and SUBSCRIBE are cut above: here the exchange itself is, at every third byte of each side.
        for published in (30..=up).step_by(3) {
            for delivered in (10..=down).step_by(3) {
                let breaks = vec![
                    Break { client: PUBLISHER, connection: 0, up: true, after: published },
                    Break { client: SUBSCRIBER, connection: 0, up: false, after: delivered },
                ];
                exchange(Assurance::ExactlyOnce, version, "d/x", breaks);
            }
        }
    }
}

/// Cuts a client's first connection at some bytes of the exchange, and the one that takes up its session at every other.
fn cut_twice(client: ClientId) {
    let mut cuts = 0;
    for version in [Version::V3, Version::V5] {
        let whole = exchange(Assurance::ExactlyOnce, version, "e/x", Vec::new());
        let (up, down) = whole.first_bytes[usize::from(client.0)];
        // Where what is under way differs: amid a message, and between PUBLISH, PUBREC, PUBREL and PUBCOMP.
        for (first_up, first) in
            (30..=up).step_by(6).map(|at| (true, at)).chain((10..=down).step_by(6).map(|at| (false, at)))
        {
            for (up, bytes) in [(true, up), (false, down)] {
                for after in (0..=bytes).step_by(2) {
                    let breaks = vec![
                        Break { client, connection: 0, up: first_up, after: first },
                        Break { client, connection: 1, up, after },
                    ];
                    let report = exchange(Assurance::ExactlyOnce, version, "e/x", breaks);
                    cuts += u32::from(report.connections > 3);
                }
            }
        }
    }
    println!("{cuts} second cuts");
    assert!(cuts > 300, "{cuts} second cuts");
}

#[test]
fn a_qos_2_publisher_may_lose_the_connection_that_takes_up_its_session() {
    cut_twice(PUBLISHER);
}

#[test]
fn a_qos_2_subscriber_may_lose_the_connection_that_takes_up_its_session() {
    cut_twice(SUBSCRIBER);
}
