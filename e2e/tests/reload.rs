//! Reloading under load: a new document takes force whole or not at all, and no connection and no event notices.

use std::time::Duration;
use windrose_e2e::certs::Authority;
use windrose_e2e::clients::{mosquitto_pub, s_client, subscribe};
use windrose_e2e::documents::{OPEN, delivered};
use windrose_e2e::fleet::{Fleet, Pace, assert_delivered, assert_undisturbed};
use windrose_e2e::mqtt::{Client, Options};
use windrose_e2e::node::Setup;
use windrose_e2e::{Node, Sink, wait_until};

const PACE: Pace = Pace { devices: 20, window: 8, pause: Duration::from_millis(10) };

/// The document with one more route.
fn with_notices() -> String {
    format!(
        "{}  - {{name: notices, match: notices, deliver: {{pool: service}}, acknowledge: delivered}}\n",
        delivered()
    )
}

/// Runs devices against a node while `change` happens, and checks that none of them noticed.
fn under_load(change: impl FnOnce(&Node, &Sink)) {
    let sink = Sink::start();
    let node = Node::start_with(&sink, &delivered());
    let fleet = Fleet::start(node.mqtt(), PACE);
    wait_until("traffic", || fleet.acknowledged() > 500);
    change(&node, &sink);
    let after = fleet.acknowledged();
    wait_until("traffic after the change", || fleet.acknowledged() > after + 500);
    let reports = fleet.stop();
    assert_undisturbed(&reports);
    assert_delivered(&reports, &sink.received());
}

/// Waits until a publication of a new client reaches the service by the new route.
fn assert_notices_reach(node: &Node, sink: &Sink) {
    mosquitto_pub(node.mqtt(), &["-t", "notices", "-m", "hello", "-q", "1"]).fine();
    sink.wait_for_text("hello");
}

#[test]
fn a_signal_under_load() {
    under_load(|node, sink| {
        // The signal and the change of the file each reload; one of them comes first.
        node.write_document(&with_notices());
        node.signal("HUP");
        node.wait_log(&["the document is reloaded"]);
        node.wait_metric("windrose_reloads_total", &["outcome=\"accepted\""], 1.0);
        assert_notices_reach(node, sink);
    });
}

#[test]
fn a_change_of_the_file_under_load() {
    under_load(|node, sink| {
        node.write_document(&with_notices());
        node.wait_log(&["the document is reloaded", "a file changed"]);
        assert_notices_reach(node, sink);
    });
}

#[test]
fn a_mistake_under_load_changes_nothing_and_is_said_with_its_position() {
    under_load(|node, sink| {
        node.write_document(&with_notices().replace("match: notices", "match: notices, whem: 'true'"));
        let line = node.wait_log(&["the document is not reloaded"]);
        let last = with_notices().lines().count();
        assert!(line.contains(&format!("windrose.yaml:{last}:")) && line.contains("whem"), "{line}");
        node.wait_metric("windrose_reloads_total", &["outcome=\"refused\""], 1.0);
        mosquitto_pub(node.mqtt(), &["-t", "notices", "-m", "into the void", "-q", "1"]).fine();
        assert!(
            !sink.received().iter().any(|received| received.text() == "into the void"),
            "the old document is in force"
        );
        // Mended, it takes force.
        node.write_document(&with_notices());
        node.wait_log(&["the document is reloaded"]);
        assert_notices_reach(node, sink);
    });
}

#[test]
fn a_pool_moves_to_another_service_under_load() {
    let (old, new) = (Sink::start(), Sink::start());
    let node = Setup::new().set("SINK", old.port()).set("NEW", new.port()).start(&delivered());
    let fleet = Fleet::start(node.mqtt(), PACE);
    wait_until("traffic", || fleet.acknowledged() > 200);
    // By another name, then by the same name with another member.
    let renamed = delivered().replace("service", "renamed");
    node.write_document(&renamed);
    node.wait_metric("windrose_reloads_total", &["outcome=\"accepted\""], 1.0);
    node.write_document(&renamed.replace("${SINK}", "${NEW}"));
    node.wait_metric("windrose_reloads_total", &["outcome=\"accepted\""], 2.0);
    wait_until("traffic at the new service", || new.count() > 200);
    let last = old.count();
    let after = fleet.acknowledged();
    wait_until("more traffic", || fleet.acknowledged() > after + 200);
    assert_eq!(old.count(), last, "the old service gets nothing any more");
    let reports = fleet.stop();
    assert_undisturbed(&reports);
    assert_delivered(&reports, &[old.received(), new.received()].concat());
}

#[test]
fn what_cannot_change_while_the_node_runs_is_said() {
    let node = Node::start(OPEN);
    node.write_document(&OPEN.replace("shards: 2", "shards: 3"));
    node.wait_log(&["the document is not reloaded", "node.shards", "restart"]);
    assert!(Client::connect(node.mqtt(), &Options::v5("thing")).ping().is_ok());
}

#[test]
fn a_listener_comes_and_goes_while_its_neighbour_stays() {
    let node = Node::start(OPEN);
    let mut stays = Client::connect(node.mqtt(), &Options::v5("stays"));
    let more = OPEN
        .replace("identity:", "  - {name: second, protocol: mqtt, bind: \"127.0.0.1:${MQTTS}\"}\nidentity:");
    // Each change comes as soon as the one before shows, which is before that reload is done.
    for _ in 0..5 {
        node.write_document(&more);
        wait_until("the new listener", || Client::try_connect(node.mqtts(), &Options::v5("second")).is_ok());
        node.write_document(OPEN);
        wait_until("the listener's end", || {
            Client::try_connect(node.mqtts(), &Options::v5("second")).is_err()
        });
    }
    assert!(stays.ping().is_ok(), "its neighbour's connection stays");
}

#[test]
fn new_access_rules_apply_to_connections_that_exist() {
    let node = Node::start(OPEN);
    let mut thing = Client::connect(node.mqtt(), &Options::v5("thing"));
    assert!(thing.publish("devices/car-7/telemetry", "81", 1) < 0x80);
    node.write_document(&OPEN.replace("on: \"#\"", "on: \"public/#\""));
    node.wait_log(&["the document is reloaded"]);
    assert_eq!(thing.publish("devices/car-7/telemetry", "82", 1), 0x87);
    assert!(thing.publish("public/car-7", "83", 1) < 0x80);
}

#[test]
fn a_new_certificate_is_for_new_handshakes_and_old_connections_stay() {
    let authority = Authority::new("e2e authority");
    let first = authority.server(&["first.example", "127.0.0.1"]);
    let second = authority.server(&["second.example", "127.0.0.1"]);
    let document = OPEN.replace(
        "listeners:\n",
        "tls: {edge: {certificate: server.pem, key: server.key}}\nlisteners:\n  - {name: mqtts, protocol: mqtt, bind: \"127.0.0.1:${MQTTS}\", tls: edge}\n",
    );
    let node = Setup::new()
        .file("ca.pem", &authority.certificate)
        .file("server.pem", &first.certificate)
        .file("server.key", &first.key)
        .start(&document);
    let ca = node.folder().path().join("ca.pem").display().to_string();
    let mut old = subscribe(node.mqtts(), &["--cafile", &ca, "-t", "news/#", "-q", "1"]);
    assert!(s_client(node.mqtts(), &[]).out.replace(" = ", "=").contains("CN=first.example"));

    // A key that does not fit its certificate changes nothing.
    node.write_file("server.key", &second.key);
    node.wait_log(&["the document is not reloaded"]);
    assert!(s_client(node.mqtts(), &[]).out.replace(" = ", "=").contains("CN=first.example"));

    node.write_file("server.pem", &second.certificate);
    node.wait_log(&["the document is reloaded"]);
    assert!(s_client(node.mqtts(), &[]).out.replace(" = ", "=").contains("CN=second.example"));
    mosquitto_pub(node.mqtts(), &["--cafile", &ca, "-t", "news/today", "-m", "changed", "-q", "1"]).fine();
    old.line("news over the old connection", |line| line == "changed");
    assert!(old.ended().is_none());
}
