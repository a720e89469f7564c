//! Floods of what is well-formed: each ends at its limit with its reason code, a count and few lines, in bounded memory,
//! and slows nobody else.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use windrose_e2e::Node;
use windrose_e2e::documents::open;
use windrose_e2e::mqtt::{Client, Options, Packet, packet, string};
use windrose_e2e::wait::SOON;

/// A flood must not grow the node by more than this: enough for buffers and for a quarter of a million half-done
/// handshakes, too little for a leak.
const GROWTH: u64 = 96 << 20;

/// Whoever does nothing wrong is answered within this, whatever the others do, on any machine.
const PATIENCE: Duration = Duration::from_secs(2);

/// A node, a client that must never notice anything, and what the node weighed before.
struct Watched {
    node: Node,
    bystander: Client,
    before: u64,
}

impl Watched {
    fn start(limits: &str) -> Self {
        let node = Node::start(&open(limits));
        let bystander = Client::connect(node.mqtt(), &Options::v5("bystander"));
        let before = node.resident_bytes();
        Self { node, bystander, before }
    }

    fn client(&self, options: &Options) -> Client {
        Client::connect(self.node.mqtt(), options)
    }

    /// The bystander is answered in time.
    fn check(&mut self) {
        let start = Instant::now();
        assert!(self.bystander.ping().is_ok());
        assert!(start.elapsed() < PATIENCE, "the bystander waited {:?}", start.elapsed());
    }

    /// The node has not grown, and has not filled its log.
    fn finish(mut self) {
        self.check();
        let grown = self.node.resident_bytes().saturating_sub(self.before);
        assert!(grown < GROWTH, "the node has grown by {} KiB", grown >> 10);
        assert!(self.node.log().all().len() < 200, "one line for many of a kind");
    }
}

/// PUBLISH of MQTT 3.1.1 or 5, without properties.
fn publish(first: u8, topic: &str, id: u16, five: bool) -> Vec<u8> {
    let properties: &[u8] = if five { &[0] } else { &[] };
    packet(first, &[&string(topic)[..], &id.to_be_bytes(), properties, b"x"].concat())
}

#[test]
fn half_done_handshakes_by_the_hundred_thousand() {
    let mut watched = Watched::start("");
    let mut flooders = Vec::new();
    for number in 0..4 {
        let mut flooder = watched.client(&Options::v3(&format!("flooder-{number}")));
        for ids in (1..=u16::MAX).collect::<Vec<_>>().chunks(4_000) {
            let burst: Vec<u8> = ids.iter().flat_map(|id| publish(0x34, "half", *id, false)).collect();
            flooder.send(&burst);
            for id in ids {
                let (code, _) = flooder.answer(5, *id, SOON);
                assert_eq!(code, 0, "PUBREC, and PUBREL never follows");
            }
            watched.check();
        }
        flooders.push(flooder);
    }
    watched.finish();
}

#[test]
fn an_mqtt_5_client_with_more_half_done_handshakes_than_announced_is_told_so() {
    let watched = Watched::start("limits: {receive_maximum: 10}");
    let mut flooder = watched.client(&Options::v5("flooder"));
    for id in 1..=10 {
        flooder.send(&publish(0x34, "half", id, true));
        assert_eq!(flooder.answer(5, id, SOON).0, 0);
    }
    flooder.send(&publish(0x34, "half", 11, true));
    assert_eq!(flooder.closed(), Some(0x93), "Receive Maximum exceeded");
    watched.node.wait_metric("windrose_connections_closed_total", &["cause=\"protocol\""], 1.0);
    watched.finish();
}

#[test]
fn last_values_past_their_limit() {
    let mut watched = Watched::start("limits: {retained_events: 1000}");
    let mut flooder = watched.client(&Options::v5("flooder"));
    let mut codes = BTreeMap::new();
    for round in 0..50 {
        for number in 0..200 {
            *codes.entry(flooder.retain(&format!("r/{round}/{number}"), "x")).or_insert(0) += 1;
        }
        watched.check();
    }
    assert_eq!(codes.get(&0x97), Some(&9_000), "Quota exceeded: {codes:?}");
    assert_eq!(watched.node.metric("windrose_events_dropped_total", &["cause=\"retained_full\""]), 9_000.0);
    assert_eq!(watched.node.metric("windrose_retained", &[]), 1_000.0);
    watched.finish();
}

#[test]
fn subscriptions_past_their_limit() {
    let mut watched = Watched::start("limits: {subscriptions_per_session: 100}");
    let mut flooder = watched.client(&Options::v5("flooder"));
    let filters: Vec<String> = (0..2_000).map(|number| format!("f/{number}/+/#")).collect();
    for some in filters.chunks(500) {
        let some: Vec<(&str, u8)> = some.iter().map(|filter| (filter.as_str(), 0)).collect();
        let (codes, _) = flooder.subscribe_all(&some, &[]);
        assert!(codes.iter().all(|code| matches!(code, 0 | 0x97)));
        watched.check();
    }
    let refused = watched.node.metric("windrose_subscriptions_refused_total", &["cause=\"quota\""]);
    assert_eq!(refused, 1_900.0);
    assert_eq!(watched.node.metric("windrose_subscriptions", &[]), 100.0);
    watched.finish();
}

#[test]
fn topics_and_filters_of_every_depth() {
    let mut watched = Watched::start("");
    let deep = |levels: usize| ["a"].repeat(levels).join("/");
    let topics = [(deep(128), true), (deep(129), false), (deep(10_000), false), ("/".repeat(65_535), false)];
    for (topic, fine) in topics {
        let mut five = watched.client(&Options::v5("five"));
        assert_eq!(five.publish(&topic, "x", 1) == 0x90, !fine, "Topic Name invalid");
        assert_eq!(five.subscribe(&topic, 0), if fine { 0 } else { 0x8f }, "Topic Filter invalid");
        let mut old = watched.client(&Options::v3("old"));
        assert_eq!(old.publish(&topic, "x", 1), 0, "MQTT 3.1.1 cannot say no");
        assert_eq!(old.subscribe(&topic, 0), if fine { 0 } else { 0x80 });
        watched.check();
    }
    assert_eq!(watched.node.metric("windrose_events_dropped_total", &["cause=\"bad_address\""]), 6.0);
    assert_eq!(watched.node.metric("windrose_subscriptions_refused_total", &["cause=\"bad_address\""]), 6.0);
    watched.finish();
}

#[test]
fn two_clients_that_fight_for_a_session() {
    let mut watched = Watched::start("");
    let options = Options::v5("twin").persistent().will("wills/twin", "gone");
    let mut witness = watched.client(&Options::v5("witness"));
    witness.subscribe("wills/#", 0);
    let (mut old, _) = Client::resume(watched.node.mqtt(), &options);
    for _ in 0..300 {
        let (new, resumed) = Client::resume(watched.node.mqtt(), &options);
        assert!(resumed, "one session all the time");
        assert_eq!(old.closed(), Some(0x8e), "Session taken over");
        old = new;
    }
    for _ in 0..300 {
        assert_eq!(witness.message().1, "gone", "each lost connection's will, for none was delayed");
    }
    watched.check();
    assert_eq!(watched.node.metric("windrose_connections_closed_total", &["cause=\"taken_over\""]), 300.0);
    watched.finish();
}

#[test]
fn wills_where_they_are_forbidden() {
    let rules = "  - {who: anyone, deny: [publish], on: \"forbidden/#\"}\n";
    let watched = Watched::start(rules);
    for topic in ["forbidden/x", "$SYS/broker/uptime"] {
        let refused = Client::try_connect(watched.node.mqtt(), &Options::v5("willing").will(topic, "x"));
        assert!(matches!(refused, Ok((_, false, 0x87, _))), "Not authorized, before anybody relies on it");
        let refused = Client::try_connect(watched.node.mqtt(), &Options::v3("willing").will(topic, "x"));
        assert!(matches!(refused, Ok((_, false, 5, _))));
    }
    let refused = watched.node.metric("windrose_connections_refused_total", &["cause=\"not_allowed\""]);
    assert_eq!(refused, 4.0);
    watched.finish();
}

#[test]
fn a_queue_that_is_full_drops_what_the_document_says() {
    for (policy, kept) in [("refuse-newest", ["0", "1", "2"]), ("drop-oldest", ["7", "8", "9"])] {
        let limits = format!("limits: {{session_queue_events: 3, session_queue_full: {policy}}}");
        let watched = Watched::start(&limits);
        let away = Options::v5("away").persistent();
        let mut client = watched.client(&away);
        client.subscribe("q", 1);
        client.disconnect();
        let mut sender = watched.client(&Options::v5("sender"));
        for number in 0..10 {
            sender.publish("q", number.to_string(), 1);
        }
        // The last may still be on their way from the sender's shard.
        watched.node.wait_metric("windrose_events_dropped_total", &["cause=\"queue_full\""], 7.0);
        let (mut client, _) = Client::resume(watched.node.mqtt(), &away);
        for expected in kept {
            assert_eq!(client.message().1, expected, "{policy}");
        }
        watched.node.wait_log(&["session_queue_full"]);
        watched.finish();
    }
}

/// Nothing but acknowledgements, for as long as nobody subscribes.
#[test]
fn a_publisher_to_nobody_is_only_acknowledged() {
    let watched = Watched::start("");
    let mut sender = watched.client(&Options::v5("sender"));
    assert_eq!(sender.publish("nobody/listens", "x", 1), 0x10, "No matching subscribers");
    assert!(!matches!(sender.next(Duration::from_millis(100)), Ok(Packet::Publish { .. })));
}
