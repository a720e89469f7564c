//! `/metrics`, `/healthz` and `/readyz` tell what happened and how the node is.

use windrose_e2e::documents::{delivered, open};
use windrose_e2e::mqtt::{Client, Options};
use windrose_e2e::{Answer, Node, Sink};

#[test]
fn metrics_count_what_happened() {
    let sink = Sink::start();
    sink.script(|request| match request.text().as_str() {
        "bad" => Answer::problem(404, "No such device", "car-9 was never built"),
        _ => Answer::OK,
    });
    let node = Node::start_with(&sink, &delivered());
    let mut listener = Client::connect(node.mqtt(), &Options::v5("listener"));
    listener.subscribe("notices/#", 1);
    let mut thing = Client::connect(node.mqtt(), &Options::v5("thing"));
    for _ in 0..3 {
        assert_eq!(thing.publish("devices/car-7/telemetry", "good", 1), 0);
    }
    assert_eq!(thing.publish("devices/car-7/telemetry", "bad", 1), 0x83);
    assert_eq!(thing.publish("notices/today", "sunny", 1), 0);
    listener.message();

    let mqtt = "listener=\"mqtt\"";
    node.wait_metric("windrose_events_out_total", &[mqtt, "outcome=\"accepted\""], 1.0);
    assert_eq!(node.metric("windrose_events_in_total", &[mqtt, "protocol=\"mqtt\""]), 5.0);
    assert_eq!(node.metric("windrose_events_settled_total", &[mqtt, "outcome=\"accepted\""]), 4.0);
    assert_eq!(node.metric("windrose_events_settled_total", &[mqtt, "outcome=\"rejected\""]), 1.0);
    assert_eq!(
        node.metric("windrose_route_events_total", &["route=\"telemetry\"", "outcome=\"accepted\""]),
        3.0
    );
    assert_eq!(
        node.metric("windrose_route_events_total", &["route=\"telemetry\"", "outcome=\"rejected\""]),
        1.0
    );
    assert_eq!(
        node.metric("windrose_pool_attempts_total", &["pool=\"service\"", "outcome=\"accepted\""]),
        3.0
    );
    assert_eq!(
        node.metric("windrose_pool_attempts_total", &["pool=\"service\"", "outcome=\"rejected\""]),
        1.0
    );
    assert_eq!(node.metric("windrose_pool_credit_used", &["pool=\"service\""]), 0.0);
    assert!(node.metric("windrose_pool_credit_limit", &["pool=\"service\""]) > 0.0);
    assert_eq!(node.metric("windrose_connections", &[mqtt]), 2.0);
    assert_eq!(node.metric("windrose_sessions", &[]), 2.0);
    assert_eq!(node.metric("windrose_subscriptions", &[]), 1.0);
    assert_eq!(node.metric("windrose_acknowledge_seconds_count", &["promise=\"delivered\""]), 4.0);
    assert_eq!(node.metric("windrose_pool_seconds_count", &["pool=\"service\""]), 4.0);
    thing.disconnect();
    listener.disconnect();
    node.wait_metric("windrose_connections_closed_total", &[mqtt, "cause=\"goodbye\""], 2.0);
    assert_eq!(node.metric("windrose_connections", &[mqtt]), 0.0);
}

#[test]
fn metrics_are_valid_openmetrics() {
    let sink = Sink::start();
    let node = Node::start_with(&sink, &delivered());
    Client::connect(node.mqtt(), &Options::v5("thing")).publish("devices/car-7/telemetry", "81", 1);
    let answer = node.admin("/metrics");
    assert_eq!(answer.status(), 200);
    let media = answer.header("content-type").unwrap_or_default();
    assert!(media.starts_with("application/openmetrics-text"), "{media}");
    let text = answer.text();
    assert!(text.ends_with("# EOF\n"), "OpenMetrics ends with # EOF");

    let mut types = std::collections::BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or_else(|| panic!("no type: {line}"));
            assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} is described twice");
        }
        if line.starts_with('#') {
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
        assert!(value.parse::<f64>().is_ok(), "no number: {line}");
        let name = series.split('{').next().unwrap_or_default();
        let known = types.iter().any(|(family, kind)| match kind.as_str() {
            "counter" => name == format!("{family}_total"),
            "histogram" => ["_bucket", "_sum", "_count"].iter().any(|end| name == format!("{family}{end}")),
            "info" => name == format!("{family}_info"),
            _ => name == family,
        });
        assert!(known, "a sample of no family, or without its suffix: {line}");
    }
    for family in ["windrose_build", "windrose_events_in", "windrose_acknowledge_seconds", "windrose_reloads"]
    {
        assert!(types.contains_key(family), "{family} is missing");
    }
}

#[test]
fn health_and_readiness() {
    let node = Node::start(&open(""));
    assert_eq!(node.admin("/healthz").status(), 200);
    assert_eq!(node.admin("/readyz").status(), 200);
    assert_eq!(node.admin("/nothing").status(), 404);
}
