//! In front of brokers: each message goes to one of them, and is acknowledged when that one has acknowledged it.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use windrose_e2e::certs::Authority;
use windrose_e2e::documents::open;
use windrose_e2e::fleet::{Fleet, Pace, assert_undisturbed};
use windrose_e2e::mosquitto::Mosquitto;
use windrose_e2e::mqtt::{Client, End, Options, Packet};
use windrose_e2e::node::Setup;
use windrose_e2e::wait::{SOON, within};
use windrose_e2e::{Node, wait_until};

/// A pool of brokers, and all telemetry delivered to it.
const POOL: &str = r#"
pools:
  brokers: {protocol: mqtt, members: [MEMBERS], timeout: 2s, OPTIONS}
routes:
  - {name: telemetry, match: "devices/#", deliver: {pool: brokers}, acknowledge: delivered, deadline: 30s}
"#;

fn document(members: &[String], options: &str) -> String {
    let members: Vec<_> = members.iter().map(|url| format!("{url:?}")).collect();
    open(&POOL.replace("MEMBERS", &members.join(", ")).replace("OPTIONS", options))
}

fn pair() -> [Mosquitto; 2] {
    [Mosquitto::start(), Mosquitto::start()]
}

fn node(brokers: &[Mosquitto; 2], options: &str) -> Node {
    let members: Vec<_> = brokers.iter().map(Mosquitto::url).collect();
    Setup::new().start(&document(&members, options))
}

/// A subscriber to everything at a broker.
fn listener(broker: &Mosquitto) -> Client {
    let mut client = Client::connect(broker.address(), &Options::v5("listener").persistent());
    assert!(client.subscribe("#", 2) < 3);
    client
}

/// Payloads that came so far.
fn payloads(client: &mut Client) -> Vec<String> {
    let mut payloads = Vec::new();
    while let Ok(Packet::Publish { payload, .. }) = client.delivery(Duration::from_millis(300)) {
        payloads.push(String::from_utf8_lossy(&payload).into_owned());
    }
    payloads
}

#[test]
fn messages_of_one_device_spread_over_both_brokers() {
    let brokers = pair();
    let node = node(&brokers, "");
    let mut listeners = brokers.each_ref().map(listener);
    for qos in 0..=2 {
        let mut device = Client::connect(node.mqtt(), &Options::v5("device"));
        for number in 0..20 {
            assert_eq!(device.publish("devices/device/telemetry", format!("{qos}/{number}"), qos), 0);
        }
        device.disconnect();
        let came = listeners.each_mut().map(payloads);
        assert!(came.iter().all(|payloads| payloads.len() >= 5), "both have a part: {came:?}");
        let all: BTreeSet<_> = came.iter().flatten().collect();
        assert_eq!((all.len(), came[0].len() + came[1].len()), (20, 20), "each once: {came:?}");
    }
    let url = brokers[0].url();
    node.wait_metric(
        "windrose_pool_attempts_total",
        &[&format!("member=\"{url}\""), "outcome=\"accepted\""],
        10.0,
    );
}

#[test]
fn an_event_arrives_as_it_was_published() {
    let broker = Mosquitto::start();
    for options in ["", r#"mqtt_version: "3.1.1""#] {
        let node = Setup::new().start(&document(&[broker.url()], options));
        let mut listener = listener(&broker);
        let mut device = Client::connect(node.mqtt(), &Options::v5("device"));
        // Message expiry, content type, response topic, correlation data, a user property.
        let properties = [
            &[0x02, 0, 0, 0, 100][..],
            &[0x03, 0, 1, b't'],
            &[0x08, 0, 2, b'r', b'e'],
            &[0x09, 0, 1, 7],
            &[0x26, 0, 1, b'k', 0, 1, b'v'],
        ]
        .concat();
        let id = device.publish_with("devices/a", "23", 2, false, &properties);
        assert_eq!(device.answer(5, id, SOON).0, 0);
        let Ok(Packet::Publish { topic, payload, qos, properties, .. }) = listener.delivery(SOON) else {
            panic!("nothing came");
        };
        assert_eq!((topic.as_str(), &payload[..], qos), ("devices/a", &b"23"[..], 2));
        let said = format!("{properties:?}");
        if options.is_empty() {
            for bytes in [&b"k=v"[..], b"windrose-via=e2e", b"re", &[7]] {
                assert!(said.contains(&format!("{bytes:?}")), "{bytes:?} is missing in {said}");
            }
        }
        listener.disconnect();
    }
}

/// A broker that acknowledges a message only when it is told to.
fn slow_broker() -> (String, mpsc::Sender<()>) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mqtt://{}", socket.local_addr().unwrap());
    let (go, gone) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = socket.accept().unwrap();
        assert_eq!(read_packet(&mut stream).0 >> 4, 1, "CONNECT is first");
        stream.write_all(&[0x20, 3, 0, 0, 0]).unwrap();
        while let Ok(()) = gone.recv() {
            let (first, body) = read_packet(&mut stream);
            assert_eq!(first & 0xf6, 0x32, "PUBLISH of QoS 1");
            let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
            assert!(gone.recv().is_ok());
            stream.write_all(&[0x40, 2, body[2 + topic], body[3 + topic]]).unwrap();
        }
    });
    (url, go)
}

fn read_packet(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    assert!(head[1] < 128, "the test's packets are short");
    let mut body = vec![0; head[1].into()];
    stream.read_exact(&mut body).unwrap();
    (head[0], body)
}

#[test]
fn an_acknowledgement_waits_for_the_brokers() {
    let (url, go) = slow_broker();
    let node = Setup::new().start(&document(&[url], "keep_alive: 60s"));
    let mut device = Client::connect(node.mqtt(), &Options::v5("device"));
    let id = device.publish_only("devices/a", "x", 1);
    go.send(()).unwrap();
    let early = device.wait(Duration::from_millis(500), |packet| matches!(packet, Packet::Answer { .. }));
    assert_eq!(early, Err(End::Timeout), "the broker has not acknowledged it");
    go.send(()).unwrap();
    assert_eq!(device.answer(4, id, SOON).0, 0);
}

/// Reads messages until the broker is gone, or long silent.
fn read_all(mut client: Client) -> JoinHandle<BTreeSet<String>> {
    std::thread::spawn(move || {
        let mut came = BTreeSet::new();
        while let Ok(Packet::Publish { payload, .. }) = client.delivery(Duration::from_secs(15)) {
            came.insert(String::from_utf8_lossy(&payload).into_owned());
        }
        came
    })
}

/// Lets one of two brokers fail amid traffic, and come back if `recover` says so: whatever was acknowledged is at one of
/// them.
fn fails_under_load(fail: impl FnOnce(&mut Mosquitto), recover: Option<fn(&Mosquitto)>) {
    let [mut fails, stays] = pair();
    let node = Setup::new().start(&document(&[fails.url(), stays.url()], ""));
    let readers = [&fails, &stays].map(|broker| read_all(listener(broker)));
    let fleet = Fleet::start(node.mqtt(), Pace { devices: 20, window: 16, pause: Duration::from_millis(20) });
    within(Duration::from_secs(30), "steady traffic", || (fleet.acknowledged() >= 500).then_some(()));
    fail(&mut fails);
    let held = fleet.acknowledged();
    let since = Instant::now();
    within(Duration::from_secs(30), "traffic without it", || {
        (fleet.acknowledged() >= held + 1_000).then_some(())
    });
    println!("1,000 events were acknowledged {} ms after it failed", since.elapsed().as_millis());
    if let Some(recover) = recover {
        recover(&fails);
        let member = format!("member=\"{}\"", fails.url());
        let labels = [member.as_str(), "outcome=\"accepted\""];
        let before = node.metric("windrose_pool_attempts_total", &labels);
        node.wait_metric("windrose_pool_attempts_total", &labels, before + 100.0);
    }
    let reports = fleet.stop();
    assert_undisturbed(&reports);
    let came: BTreeSet<_> = readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect();
    let accepted = || reports.iter().flat_map(|report| report.accepted());
    let missing: Vec<_> = accepted().filter(|(payload, _)| !came.contains(*payload)).collect();
    println!("{} events", accepted().count());
    assert!(missing.is_empty(), "{} were acknowledged and are lost: {missing:?}", missing.len());
}

#[test]
fn a_broker_that_is_stopped_under_load_loses_nothing() {
    fails_under_load(Mosquitto::stop, None);
}

#[test]
fn a_broker_that_hangs_under_load_loses_nothing_and_is_used_again() {
    fails_under_load(|broker| broker.freeze(), Some(Mosquitto::thaw));
}

#[test]
fn exactly_once_waits_for_the_broker_that_may_have_it() {
    let brokers = pair();
    let node = node(&brokers, "");
    let mut listeners = brokers.each_ref().map(listener);
    let mut device = Client::connect(node.mqtt(), &Options::v5("device"));
    for number in 0..4 {
        assert_eq!(device.publish("devices/a", format!("before/{number}"), 2), 0);
    }
    brokers.iter().for_each(Mosquitto::freeze);
    let ids: Vec<_> =
        (0..10).map(|number| device.publish_only("devices/a", format!("{number}"), 2)).collect();
    // Longer than an attempt may take: the connections are given up meanwhile.
    std::thread::sleep(Duration::from_secs(4));
    brokers.iter().for_each(Mosquitto::thaw);
    for id in ids {
        assert_eq!(device.answer(5, id, SOON).0, 0);
    }
    let mut came: Vec<_> = listeners.iter_mut().flat_map(payloads).collect();
    came.retain(|payload| !payload.starts_with("before"));
    came.sort();
    assert_eq!(came, (0..10).map(|number| number.to_string()).collect::<Vec<_>>(), "each exactly once");
}

#[test]
fn a_broker_that_comes_late_is_found() {
    let mut broker = Mosquitto::start();
    broker.stop();
    let node = Setup::new().start(&document(&[broker.url()], ""));
    let mut device = Client::connect(node.mqtt(), &Options::v5("device"));
    let id = device.publish_only("devices/a", "x", 1);
    node.wait_log(&["trouble with a broker", "cannot connect"]);
    broker.restart();
    let back = Instant::now();
    assert_eq!(device.answer(4, id, SOON).0, 0);
    println!("acknowledged {} ms after the broker's return", back.elapsed().as_millis());
    wait_until("the member's success", || node.metric("windrose_pool_attempts_total", &["accepted"]) >= 1.0);
}

#[test]
fn brokers_are_reached_by_tls_if_their_certificate_is_vouched_for() {
    let authority = Authority::new("the right one");
    let broker = Mosquitto::start_secure(&authority.server(&["127.0.0.1"]));
    let start = |authority: &Authority| {
        let document = document(&[broker.url()], "ca: ca.pem, backoff: 50ms");
        let node = Setup::new().file("ca.pem", &authority.certificate).start(&document);
        let mut device = Client::connect(node.mqtt(), &Options::v5("device"));
        let id = device.publish_only("devices/a", "x", 2);
        (node, device, id)
    };
    let (_node, mut device, id) = start(&authority);
    assert_eq!(device.answer(5, id, SOON).0, 0);
    let (node, mut device, _) = start(&Authority::new("another"));
    node.wait_log(&["trouble with a broker", "TLS"]);
    let early = device.wait(Duration::from_millis(500), |packet| matches!(packet, Packet::Answer { .. }));
    assert_eq!(early, Err(End::Timeout));
}

#[test]
fn nodes_that_deliver_to_one_another_stop_at_what_they_know() {
    let joined = |name: &str, other: &Node| {
        let url = format!("mqtt://{}", other.mqtt());
        document(&[url], "").replace("name: e2e", &format!("name: {name}"))
    };
    let right = Setup::new().start(&open("").replace("name: e2e", "name: right"));
    let left = Setup::new().start(&joined("left", &right));
    right.write_document(&joined("right", &left));
    right.signal("HUP");
    right.wait_log(&["reload"]);
    let mut subscribers = [&left, &right].map(|node| {
        let mut subscriber = Client::connect(node.mqtt(), &Options::v5("subscriber"));
        subscriber.subscribe("devices/#", 2);
        subscriber
    });
    let mut device = Client::connect(left.mqtt(), &Options::v5("device"));
    for qos in 0..=2 {
        assert_eq!(device.publish("devices/a", format!("{qos}"), qos), 0);
    }
    for subscriber in &mut subscribers {
        let mut came = payloads(subscriber);
        came.sort();
        assert_eq!(came, ["0", "1", "2"]);
    }
    left.wait_metric("windrose_events_dropped_total", &["cause=\"looped\""], 3.0);
}
