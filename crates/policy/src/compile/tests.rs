#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]
use super::*;
use crate::document::Json;
use crate::snapshot::*;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn empty(_: &str) -> Option<String> {
    None
}

pub(super) fn compiled(text: &str) -> Snapshot {
    compile("edge.yaml", text, &empty).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// Each mistake as `line:column path: message (help)`.
pub(super) fn mistakes(text: &str) -> Vec<String> {
    let mistakes = compile("edge.yaml", text, &empty).expect_err("the document has a mistake");
    mistakes
        .iter()
        .map(|it| {
            let help = it.help.as_ref().map_or(String::new(), |help| format!(" ({help})"));
            format!("{}:{} {}: {}{help}", it.line, it.column, it.path, it.message)
        })
        .collect()
}

/// The only mistake of a document.
pub(super) fn mistake(text: &str) -> String {
    let list = mistakes(text);
    assert_eq!(list.len(), 1, "{list:#?}");
    list.into_iter().next().unwrap()
}

const EVERYTHING: &str = r#"
node: {name: edge-1, data_dir: data, shards: 4, shutdown_deadline: 15s}
admin: {bind: "127.0.0.1:9090"}
tls:
  edge:
    certificate: certs/edge.pem
    key: certs/edge.key
    client_ca: certs/devices-ca.pem
    client_certificate: required
    min_version: 1.3
  names: {certificates: [{certificate: a.pem, key: a.key}, {certificate: b.pem, key: b.key}]}
listeners:
  - {name: mqtt, protocol: mqtt, bind: "127.0.0.1:1883"}
  - {name: mqtts, protocol: mqtt, bind: "0.0.0.0:8883", tls: edge}
  - name: rest
    protocol: http
    bind: "[::]:8080"
    plaintext: allow
identity: {devices: devices.yaml, api_keys: /etc/windrose/keys.yaml, anonymous: allow}
access:
  - {who: "device:*", may: [publish, subscribe], on: "devices/{device}/#"}
  - {who: "owner:*", may: [publish, request], on: ["devices/{owned}/#", "owners/{owner}"]}
  - {who: "service:ops", may: administer}
pools:
  telemetry-api:
    protocol: http
    members: ["http://127.0.0.1:9000/events?from=edge", "https://[::1]:9443", "https://api.example"]
    balance: round-robin
    mode: batch
    batch: {events: 50, wait: 20ms}
    version: 2
    timeout: 5s
    backoff: 200ms
    backoff_max: 1m
    max_in_flight: 64
    queue: 5_000
    ca: certs/ca.pem
    headers: {Authorization: Bearer s3cret}
routes:
  - name: telemetry
    match: "devices/+/telemetry/#"
    when: 'event.size < 65536'
    deliver: {pool: telemetry-api}
    acknowledge: received
    deadline: 1h
    subscribers: false
    stop: true
  - {name: commands, match: "devices/+/commands/#"}
limits: {payload_bytes: 64KiB, session_expiry: 1d, keep_alive_max: 5m, receive_maximum: 10}
"#;

#[test]
fn everything_that_can_be_written_is_understood() {
    let snapshot = compiled(EVERYTHING);
    assert_eq!(
        snapshot.node,
        Node {
            name: "edge-1".into(),
            data_dir: "data".into(),
            shards: Some(4),
            shutdown_deadline: Duration::from_secs(15),
            ..Node::default()
        }
    );
    assert_eq!(snapshot.admin, Some(Admin { bind: "127.0.0.1:9090".parse().unwrap() }));
    let edge = &snapshot.tls["edge"];
    assert_eq!(edge.certificates.len(), 1);
    assert_eq!(edge.client_certificate, ClientCertificate::Required);
    assert_eq!(edge.min_version, TlsVersion::Tls13, "a number without quotes is what it looks like");
    assert_eq!(snapshot.tls["names"].certificates[1].key, Path::new("b.key"));
    assert_eq!(snapshot.listeners.len(), 3);
    assert_eq!(snapshot.listeners[1].tls.as_deref(), Some("edge"));
    assert_eq!(snapshot.listeners[2].protocol, Protocol::Http);
    assert!(snapshot.identity.allow_anonymous);

    let pool = &snapshot.pools[0];
    let member = |url: &str, tls, host: &str, port, path: &str| Member {
        url: url.into(),
        tls,
        host: host.into(),
        port,
        path: path.into(),
    };
    assert_eq!(
        pool.members,
        [
            member("http://127.0.0.1:9000/events?from=edge", false, "127.0.0.1", 9000, "/events?from=edge"),
            member("https://[::1]:9443", true, "::1", 9443, "/"),
            member("https://api.example", true, "api.example", 443, "/"),
        ]
    );
    assert_eq!((pool.balance, pool.mode), (Balance::RoundRobin, CloudEventsMode::Batch));
    assert_eq!((pool.batch_events, pool.batch_wait), (50, Duration::from_millis(20)));
    assert_eq!(pool.http_version, HttpVersion::Http2);
    assert_eq!((pool.backoff, pool.backoff_max), (Duration::from_millis(200), Duration::from_secs(60)));
    assert_eq!((pool.max_in_flight, pool.queue), (64, 5_000));
    assert_eq!(pool.headers, [("Authorization".to_owned(), PoolHeader("Bearer s3cret".to_owned()))]);
    assert!(!format!("{snapshot:?}").contains("s3cret"));

    let route = &snapshot.routes[0];
    assert_eq!((route.pool, route.acknowledge), (Some(0), Promise::Received));
    assert_eq!(route.condition.as_ref().unwrap().as_str(), "event.size < 65536");
    assert!(route.stop && !route.subscribers);
    assert_eq!(route.deadline, Duration::from_secs(3600));
    let expected = Limits {
        payload_bytes: 65_536,
        packet_bytes: 65_536 + 131_072,
        session_expiry: Duration::from_secs(86_400),
        keep_alive_max: Some(Duration::from_secs(300)),
        receive_maximum: 10,
        ..Limits::default()
    };
    assert_eq!(snapshot.limits, expected);
}

#[test]
fn what_is_left_out_has_a_default() {
    let snapshot = compiled("{}");
    assert_eq!((&*snapshot.node.name, &*snapshot.node.data_dir), ("windrose", Path::new("./data")));
    assert_eq!(snapshot.node.shards, None);
    assert_eq!(snapshot.admin, None);
    assert!(!snapshot.identity.allow_anonymous);
    assert_eq!(snapshot.limits, Limits::default());
    let snapshot = compiled(
        "{pools: {api: {members: ['http://a']}}, routes: [{name: a, match: '#', deliver: {pool: api}}, {name: b, match: a}],
          tls: {t: {certificate: c, key: k}}, limits: {}}",
    );
    let pool = &snapshot.pools[0];
    assert_eq!((pool.balance, pool.mode), (Balance::LeastOutstanding, CloudEventsMode::Binary));
    assert_eq!((pool.timeout, pool.backoff_max), (Duration::from_secs(10), Duration::from_secs(2)));
    assert_eq!((pool.max_in_flight, pool.queue, pool.batch_events), (256, 10_000, 100));
    let promises: Vec<_> = snapshot.routes.iter().map(|route| route.acknowledge).collect();
    assert_eq!(promises, [Promise::Delivered, Promise::Received]);
    assert!(snapshot.routes[0].subscribers && !snapshot.routes[0].stop);
    assert_eq!(snapshot.tls["t"].client_certificate, ClientCertificate::Optional);
    assert_eq!(snapshot.limits, Limits::default());
}

#[test]
fn paths_are_meant_from_the_documents_folder() {
    let mut snapshot = compiled(EVERYTHING);
    snapshot.resolve_paths(Path::new("/etc/windrose"));
    assert_eq!(snapshot.node.data_dir, Path::new("/etc/windrose/data"));
    assert_eq!(snapshot.tls["edge"].certificates[0].key, Path::new("/etc/windrose/certs/edge.key"));
    assert_eq!(snapshot.tls["edge"].client_ca, Some(PathBuf::from("/etc/windrose/certs/devices-ca.pem")));
    assert_eq!(snapshot.identity.devices, Some(PathBuf::from("/etc/windrose/devices.yaml")));
    assert_eq!(snapshot.identity.api_keys, Some(PathBuf::from("/etc/windrose/keys.yaml")), "absolute stays");
    assert_eq!(snapshot.pools[0].ca, Some(PathBuf::from("/etc/windrose/certs/ca.pem")));
}

#[test]
fn a_file_without_a_name_is_none() {
    let snapshot = compiled("identity: {devices: \"${DEVICES:-}\", anonymous: allow}");
    assert_eq!(snapshot.identity.devices, None);
}

#[test]
fn every_mistake_is_shown_in_its_place() {
    let text = include_str!("tests/ten_mistakes.yaml");
    let mistakes = compile("edge.yaml", text, &empty).unwrap_err();
    assert_eq!(mistakes.to_string(), include_str!("tests/ten_mistakes.txt").trim_end());
    assert!(mistakes.render(true).contains('\u{1b}'), "in colour on a terminal");
}

#[test]
fn files_that_are_no_documents_are_told_from_each_other() {
    assert_eq!(mistake(""), "1:1 : the document is empty");
    assert_eq!(mistake("# nothing\n"), "1:1 : the document is empty");
    assert_eq!(mistake("a list"), "1:1 : expected keys with values, found text");
    assert_eq!(mistake("node: {}\n---\nnode: {}\n"), "3:1 : a second document begins here");
    assert!(
        mistake("node: {name: a\nadmin: {}\n")
            .starts_with("2:6 : this is not YAML: while parsing a flow mapping")
    );
    assert!(mistake("node:\n  name: a\n bad: b\n").starts_with("3:"));
}

#[test]
fn wrong_kinds_of_values_are_told() {
    assert_eq!(mistake("node: [1]"), "1:7 node: expected keys with values, found a list");
    assert_eq!(mistake("node: {name: [a]}"), "1:14 node.name: expected a name, found a list");
    assert_eq!(mistake("node: {name: }"), "1:12 node.name: a value is missing: expected a name");
    assert_eq!(mistake("node: {shards: many}"), "1:16 node.shards: expected a whole number, found `many`");
    assert_eq!(
        mistake("node: {shards: '4'}"),
        "1:16 node.shards: expected a whole number, found text (take the quotes away)"
    );
    assert_eq!(
        mistake("node: {shards: 0}"),
        "1:16 node.shards: 0 is out of range (write a number from 1 to 1024)"
    );
    assert_eq!(mistake("node: {shards: 1.5}"), "1:16 node.shards: expected a whole number, found `1.5`");
    assert_eq!(
        mistake("node: {name: a, name: b}"),
        "1:17 node.name: `name` is there twice (keep one of the two)"
    );
    assert_eq!(mistake("listeners: {a: 1}"), "1:12 listeners: expected a list, found keys and values");
    assert_eq!(
        mistake("routes: [{name: r, match: a, stop: 'true'}]"),
        "1:36 routes[0].stop: expected `true` or `false`, found `true`"
    );
}

#[test]
fn durations_and_sizes_have_units() {
    let wait = |text: &str| mistake(&format!("limits: {{write_timeout: {text}}}"));
    assert_eq!(
        wait("2 weeks"),
        "1:25 limits.write_timeout: `2 weeks` is not a duration \
         (write a whole number and its unit: `500ms`, `2s`, `5m`, `1h` or `7d`)"
    );
    assert_eq!(
        wait("30"),
        "1:25 limits.write_timeout: `30` is not a duration (write the unit: `30s` or `30ms`)"
    );
    assert_eq!(wait("0s"), "1:25 limits.write_timeout: `0s` is too short (write `1ms` or more)");
    assert_eq!(
        wait("99999999999999999999s").split(" (").next(),
        Some("1:25 limits.write_timeout: `99999999999999999999s` is not a duration")
    );
    assert_eq!(
        wait("9999999999999999999d"),
        "1:25 limits.write_timeout: `9999999999999999999d` is longer than 136 years"
    );
    let size = |text: &str| mistake(&format!("limits: {{output_bytes: {text}}}"));
    assert_eq!(
        size("64KB"),
        "1:24 limits.output_bytes: `64KB` is not a size (write bytes as a number, or such as `64KiB`, `1MiB`, `2GiB`)"
    );
    assert_eq!(
        size("1"),
        "1:24 limits.output_bytes: 1 is out of range (write a number from 1024 to 1073741824)"
    );
    assert_eq!(size("99999999999999GiB"), "1:24 limits.output_bytes: `99999999999999GiB` is not a size");
    assert_eq!(compiled("limits: {packet_bytes: 64}").limits.payload_bytes, 64, "no payload can be larger");
    assert!(mistake("limits: {payload_bytes: 1MiB, packet_bytes: 64KiB}").contains("cannot hold a payload"));
}

#[test]
fn the_environment_fills_in_values() {
    let environment = |name: &str| match name {
        "PORT" => Some("1884".to_owned()),
        "SHARDS" => Some("3".to_owned()),
        "STOP" => Some("true".to_owned()),
        "EMPTY" => Some(String::new()),
        "SLY" => Some("x, anonymous: allow}\nnode: {name: y".to_owned()),
        _ => None,
    };
    let text = r#"
node: {name: "${NAME:-edge}-${EMPTY:-1}", shards: "${SHARDS}", data_dir: "$${HOME}"}
listeners: [{name: mqtt, protocol: "${PROTOCOL:-mqtt}", bind: "127.0.0.1:${PORT:-1883}"}]
identity: {devices: "${SLY}"}
routes: [{name: r, match: a, stop: "${STOP}"}]
"#;
    let snapshot = compile("edge.yaml", text, &environment).unwrap();
    assert_eq!((&*snapshot.node.name, snapshot.node.shards), ("edge-1", Some(3)));
    assert_eq!(snapshot.node.data_dir, Path::new("${HOME}"));
    assert_eq!(snapshot.listeners[0].bind.port(), 1884);
    assert!(snapshot.routes[0].stop);
    assert!(!snapshot.identity.allow_anonymous, "a variable cannot add keys");
    assert_eq!(
        mistake(r#"node: {name: "edge-${NODE}"}"#),
        "1:20 node.name: the environment variable `NODE` is not set (set it, or give a default: `${NODE:-default}`)"
    );
    assert!(mistake(r#"node: {name: "${NODE"}"#).starts_with("1:15 node.name: `${` has no `}`"));
    assert!(mistake(r#"node: {name: "${a b}"}"#).contains("`a b` is no name of an environment variable"));
    let shown = compile("f", "node: {shards: '${SLY}'}", &environment).unwrap_err();
    assert_eq!(shown.len(), 1);
}

#[test]
fn aliases_repeat_what_was_written() {
    let text = "pools:\n  a: &a {members: ['http://a'], timeout: 3s}\n  b: *a\n";
    let snapshot = compiled(text);
    assert_eq!(snapshot.pools[1].timeout, Duration::from_secs(3));
    assert!(mistake("access: &a [*a]").contains("this alias refers to what it is part of"));
}

#[test]
fn listeners_are_safe_and_apart() {
    let listeners =
        |list: &str| mistakes(&format!("tls: {{t: {{certificate: c, key: k}}}}\nlisteners: [{list}]"));
    let two = listeners(
        "{name: a, protocol: mqtt, bind: '127.0.0.1:1', tls: t}, {name: b, protocol: mqtt, bind: '0.0.0.0:1', tls: t}",
    );
    assert_eq!(
        two,
        ["2:101 listeners[1].bind: port 1 is taken by a on 127.0.0.1:1 \
         (choose another port: listeners share a port only if `bind` is the same to the letter)"]
    );
    assert_eq!(
        listeners("{name: a, protocol: mqtt, bind: 'localhost:1'}"),
        ["2:45 listeners[0].bind: `localhost:1` is not an IP address with a port \
          (write such as `127.0.0.1:1883`, `0.0.0.0:8883` or `[::]:8883`)"]
    );
    assert_eq!(listeners("{name: a b, protocol: mqt, bind: '127.0.0.1:1'}").len(), 2);
    assert_eq!(
        listeners("{name: a, tls: t, plaintext: allow, protocol: mqtt, bind: '127.0.0.1:1'}").len(),
        1
    );
    assert_eq!(
        listeners("{protocol: mqtt}"),
        ["2:13 listeners[0]: the key `name` is missing", "2:13 listeners[0]: the key `bind` is missing",]
    );
    assert!(
        mistake("admin: {bind: '127.0.0.1:1'}\nlisteners: [{name: a, protocol: mqtt, bind: '127.0.0.1:1'}]")
            .contains("taken by the admin API")
    );
}

#[test]
fn listeners_share_an_address_if_something_tells_them_apart() {
    let listeners = |list: &[&str]| {
        let tls = "tls: {t: {certificate: c, key: k}, u: {certificate: c, key: k}}";
        let list: Vec<_> =
            (0..).zip(list).map(|(n, keys)| format!("{{name: l{n}, bind: '127.0.0.1:1', {keys}}}")).collect();
        compile("edge.yaml", &format!("{tls}\nlisteners: [{}]", list.join(", ")), &empty)
    };
    let apart = [
        "protocol: mqtt",
        "protocol: http",
        "protocol: mqtt, transport: websocket",
        "protocol: mqtt, transport: websocket, path: /other",
        "protocol: amqp, amqp: {queues: ['jobs/+'], redirect: 'b.example:5671', heartbeat: 0s}",
        "protocol: amqp, transport: websocket",
    ];
    let shared = listeners(&apart).expect("they are told apart by their first bytes and paths").listeners;
    assert_eq!(shared[2].path.as_deref(), Some("/mqtt"));
    assert_eq!(shared[0].path, None);
    assert_eq!(shared[5].path.as_deref(), Some("/amqp"));
    assert_eq!(shared[4].amqp.queues[0].as_str(), "jobs/+");
    assert_eq!((shared[4].amqp.heartbeat, shared[5].amqp.heartbeat), (None, Some(Duration::from_secs(60))));
    let named = [
        "protocol: mqtt, tls: t, server_names: [A.example]",
        "protocol: mqtt, tls: u, server_names: ['*.example']",
        "protocol: mqtt, tls: u",
    ];
    let named = listeners(&named).expect("they are told apart by the server's name").listeners;
    assert_eq!(*named[0].server_names[0], *"a.example");
    for (one, other, why) in [
        ("protocol: mqtt", "protocol: mqtt", "nothing tells their clients apart"),
        ("protocol: amqp", "protocol: amqp", "nothing tells their clients apart"),
        ("protocol: http", "protocol: http", "nothing tells their clients apart"),
        (
            "protocol: mqtt, transport: websocket",
            "protocol: mqtt, transport: websocket, path: /mqtt",
            "another `path`",
        ),
        ("protocol: mqtt", "protocol: http, tls: t", "have TLS all, or none"),
        ("protocol: mqtt", "protocol: http, proxy_protocol: required", "agree on `proxy_protocol`"),
        ("protocol: mqtt, tls: t", "protocol: http, tls: u", "have the same entry of `tls`"),
    ] {
        let mistakes = listeners(&[one, other]).expect_err("they cannot be told apart");
        assert!(mistakes.to_string().contains(why), "{one} and {other}: {mistakes}");
    }
    for (keys, why) in [
        ("protocol: http, transport: websocket", "HTTP has no choice of transports"),
        ("protocol: mqtt, path: /x", "only WebSocket has a path"),
        ("protocol: mqtt, transport: websocket, path: x", "`x` is not a path"),
        ("protocol: mqtt, server_names: [a]", "without TLS a client does not say"),
        ("protocol: mqtt, tls: t, server_names: ['a b']", "`a b` is not the name of a server"),
        ("protocol: amqp, transport: udp", "AMQP needs a stream"),
        ("protocol: mqtt, amqp: {}", "does not speak AMQP"),
        ("protocol: amqp, amqp: {redirect: b.example}", "not a host and a port"),
        ("protocol: amqp, amqp: {queues: ['a/#/b']}", "not a filter"),
        ("protocol: amqp, amqp: {queues: ['$SYS/#']}", "the node's own"),
        ("protocol: http, mqtt: {quirks: {maximum_qos: 1}}", "does not speak MQTT"),
        ("protocol: mqtt, mqtt: {quirks: {maximum_qos: 2}}", "from 0 to 1"),
        ("protocol: mqtt, mqtt: {server_reference: ''}", "1 to 1024 bytes"),
    ] {
        let mistakes = listeners(&[keys]).expect_err("there is a mistake");
        assert!(mistakes.to_string().contains(why), "{keys}: {mistakes}");
    }
}

#[test]
fn coap_is_on_udp_and_beside_tcp() {
    let compiled = |list: &str| {
        let tls = "tls: {t: {certificate: c, key: k}}";
        compile("edge.yaml", &format!("{tls}\nlisteners: [{list}]"), &empty)
    };
    let listeners = compiled(
        "{name: a, protocol: coap, bind: '127.0.0.1:1'}, \
         {name: b, protocol: coap, transport: tcp, bind: '127.0.0.1:1'}, \
         {name: c, protocol: coap, dtls: psk, bind: '0.0.0.0:2'}, \
         {name: d, protocol: coap, dtls: t, bind: '0.0.0.0:3'}, \
         {name: e, protocol: coap, transport: websocket, bind: '127.0.0.1:1'}, \
         {name: f, protocol: http, bind: '127.0.0.1:1'}, \
         {name: g, protocol: coap, transport: tcp, tls: t, bind: '0.0.0.0:3'}",
    );
    let listeners = listeners.expect("datagrams and connections do not meet").listeners;
    assert!(listeners[0].is_udp() && !listeners[1].is_udp());
    assert_eq!(listeners[2].dtls, Some(Dtls::Psk));
    assert_eq!(listeners[3].dtls, Some(Dtls::Entry("t".into())));
    assert_eq!(listeners[4].path.as_deref(), Some("/.well-known/coap"));
    for (keys, why) in [
        ("protocol: coap, tls: t, bind: '127.0.0.1:1'", "write `dtls: t`"),
        ("protocol: coap, bind: '0.0.0.0:1'", "add `dtls: NAME` or `dtls: psk`"),
        ("protocol: coap, dtls: u, bind: '0.0.0.0:1'", "there is no entry of `tls` named `u`"),
        ("protocol: coap, transport: tcp, dtls: t, bind: '0.0.0.0:1'", "DTLS is for UDP only"),
        ("protocol: mqtt, dtls: t, bind: '127.0.0.1:1'", "DTLS is for UDP only"),
        ("protocol: mqtt, transport: udp, bind: '127.0.0.1:1'", "MQTT needs a stream"),
        ("protocol: coap, proxy_protocol: required, bind: '127.0.0.1:1'", "UDP has none of"),
        ("protocol: coap, dtls: t, plaintext: allow, bind: '127.0.0.1:1'", "nothing is in plain text"),
        (
            "protocol: coap, dtls: psk, server_names: [a], bind: '127.0.0.1:1'",
            "`server_names` is for connections",
        ),
    ] {
        let mistakes = compiled(&format!("{{name: a, {keys}}}")).expect_err("there is a mistake");
        assert!(mistakes.to_string().contains(why), "{keys}: {mistakes}");
    }
    let twice =
        "{name: a, protocol: coap, bind: '127.0.0.1:1'}, {name: b, protocol: coap, bind: '127.0.0.1:1'}";
    assert!(compiled(twice).expect_err("they clash").to_string().contains("nothing tells their datagrams"));
    let streams = "{name: a, protocol: coap, transport: tcp, bind: '127.0.0.1:1'}, {name: b, protocol: mqtt, bind: '127.0.0.1:1'}";
    assert!(compiled(streams).expect_err("they clash").to_string().contains("nothing tells their clients"));
    let psk = "tls: {psk: {certificate: c, key: k}}\nlisteners: [{name: a, protocol: coap, dtls: psk, bind: '0.0.0.0:1'}]";
    assert!(mistake(psk).contains("give the entry another name"));
}

#[test]
fn a_pool_of_brokers_has_keys_of_its_own() {
    let pool =
        |keys: &str| compile("edge.yaml", &format!("node: {{name: n}}\npools: {{b: {{{keys}}}}}"), &empty);
    let broker = "protocol: mqtt, members: ['mqtt://a', 'mqtts://b:9']";
    let plain = pool(broker).unwrap().pools[0].clone();
    assert_eq!((plain.members[0].port, plain.members[1].port, plain.members[1].tls), (1883, 9, true));
    assert_eq!(&*plain.mqtt.as_ref().unwrap().client_id, "windrose-n");
    for (keys, why) in [
        (format!("{broker}, mode: batch"), "only for pools with `protocol: http`"),
        ("members: ['http://a'], subscribe: [a]".to_owned(), "only for pools with `protocol: mqtt`"),
        (format!("{broker}, subscribe: [a], mqtt_version: '3.1.1'"), "needs MQTT 5"),
        (format!("{broker}, password: s3cret, mqtt_version: '3.1.1'"), "has no user name"),
        (format!("{broker}, subscribe: ['a#']"), "this is not a filter"),
        (format!("{broker}, subscribe: ['$SYS/#']"), "each broker's own"),
        (format!("{broker}, client_id: ''"), "1 to 65535 bytes"),
        ("protocol: mqtt, members: ['mqtt://a/b']".to_owned(), "no use for a path"),
        ("protocol: mqtt, members: ['http://a']".to_owned(), "neither `mqtt` nor `mqtts`"),
        ("protocol: mqtt, members: ['mqtt://u:s3cret@a']".to_owned(), "write `username: NAME`"),
    ] {
        let mistakes = pool(&keys).expect_err("there is a mistake").to_string();
        assert!(mistakes.contains(why) && !mistakes.contains("s3cret"), "{keys}: {mistakes}");
    }
}

#[test]
fn a_pool_of_amqp_brokers_says_how_events_are_addressed_there() {
    let pool =
        |keys: &str| compile("edge.yaml", &format!("node: {{name: n}}\npools: {{b: {{{keys}}}}}"), &empty);
    let broker = "protocol: amqp, members: ['amqp://a', 'amqps://b:9/vhost']";
    let plain = pool(broker).unwrap().pools[0].clone();
    assert_eq!((plain.members[0].port, plain.members[1].port, plain.members[1].tls), (5672, 9, true));
    assert_eq!(&*plain.members[1].path, "/vhost");
    let amqp = plain.amqp.as_ref().unwrap();
    let said = (&*amqp.client_id, &*amqp.exchange, amqp.address.to_string(), amqp.routing_key.to_string());
    assert_eq!(said, ("windrose-n", "amq.topic", "{address}".into(), "{key}".into()));
    assert!(!plain.may_bring("a"));
    let fetches = pool(&format!("{broker}, subscribe: [a], consume: [q, 'r.s']")).unwrap().pools[0].clone();
    assert_eq!(fetches.amqp.as_ref().unwrap().consume, ["q".into(), "r.s".into()]);
    assert!(fetches.may_bring("a") && fetches.may_bring("b"), "queues have what they have");
    for (keys, why) in [
        (format!("{broker}, mode: batch"), "only for pools with `protocol: http`"),
        (format!("{broker}, mqtt_version: '5'"), "only for pools with `protocol: mqtt`"),
        ("members: ['http://a'], subscribe: [a]".to_owned(), "`protocol: mqtt` or `protocol: amqp`"),
        ("protocol: mqtt, members: ['mqtt://a'], consume: q".to_owned(), "`protocol: amqp`"),
        (format!("{broker}, amqp_version: '1.0', exchange: e"), "AMQP 1.0 has no use for `exchange`"),
        (format!("{broker}, amqp_version: '0-9-1', address: e"), "AMQP 0-9-1 has no use for `address`"),
        (format!("{broker}, routing_key: 'a.{{x}}'"), "`{x}` stands for nothing"),
        (format!("{broker}, consume: ''"), "a queue has a name"),
        (format!("{broker}, password: s3cret"), "has no user name"),
        ("protocol: amqp, members: ['mqtt://a']".to_owned(), "neither `amqp` nor `amqps`"),
        ("protocol: amqp, members: ['amqp://u:s3cret@a']".to_owned(), "write `username: NAME`"),
    ] {
        let mistakes = pool(&keys).expect_err("there is a mistake").to_string();
        assert!(mistakes.contains(why) && !mistakes.contains("s3cret"), "{keys}: {mistakes}");
    }
}

#[test]
fn a_route_may_say_where_answers_go() {
    let route = |reply: &str| {
        let text = format!("routes: [{{name: r, match: 'a/#', reply_to: '{reply}'}}]");
        compile("edge.yaml", &text, &empty)
    };
    let template = route("{address}/reply").unwrap().routes[0].reply_to.clone();
    assert_eq!(template.unwrap().to_string(), "{address}/reply");
    assert!(route("{addres}").unwrap_err().to_string().contains("`{addres}` stands for nothing"));
}

#[test]
fn a_pool_of_coap_services_has_urls_and_few_requests_under_way() {
    let pool =
        |keys: &str| compile("edge.yaml", &format!("pools: {{b: {{protocol: coap, {keys}}}}}"), &empty);
    let plain = pool("members: ['coap://10.0.0.5/events?a=b', 'coap://[::1]:9']").unwrap().pools[0].clone();
    assert_eq!((plain.members[0].port, &*plain.members[0].path), (5683, "/events?a=b"));
    assert_eq!((plain.members[1].port, &*plain.members[1].host, plain.max_in_flight), (9, "::1", 16));
    for (keys, why) in [
        ("members: ['coap://a'], mode: batch", "only for pools with `protocol: http`"),
        ("members: ['coap://a'], keep_alive: 5s", "only for pools with `protocol: mqtt`"),
        ("members: ['coaps://a']", "DTLS to members arrives later"),
        ("members: ['http://a']", "neither `coap` nor `coaps`"),
    ] {
        let mistakes = pool(keys).expect_err("there is a mistake").to_string();
        assert!(mistakes.contains(why), "{keys}: {mistakes}");
    }
}

#[test]
fn certificates_come_with_keys() {
    let tls = |keys: &str| mistake(&format!("tls: {{edge: {{{keys}}}}}"));
    assert!(tls("certificate: c.pem").contains("the certificate has no key"));
    assert!(tls("key: c.pem").contains("the key has no certificate"));
    assert!(tls("min_version: '1.2'").contains("there is no certificate"));
    assert!(tls("certificates: []").contains("the list of certificates is empty"));
    assert!(
        tls("certificate: c, key: k, certificates: [{certificate: c, key: k}]").contains("are there both")
    );
    assert!(tls("certificate: c, key: k, client_certificate: required").contains("without `client_ca`"));
    assert!(tls("certificate: c, key: k, min_version: 1.1").contains("`1.1` is not a version of TLS"));
}

#[test]
fn pools_are_services_that_can_be_reached() {
    let pool = |keys: &str| mistake(&format!("pools: {{api: {{{keys}}}}}"));
    assert!(pool("timeout: 1s").contains("the key `members` is missing"));
    assert!(pool("members: []").contains("the pool has no members"));
    assert!(pool("members: ['http://a', 'http://a']").contains("there twice"));
    for bad in
        ["a:80", "/a", "http://", "http://a:0", "http://a:99999", "http://a/#x", "http://a b", "http://[::1"]
    {
        assert!(pool(&format!("members: ['{bad}']")).contains("this is not the URL of a service"), "{bad}");
    }
    let leaky = pool("members: ['http://user:s3cret@a']");
    assert!(leaky.contains("credentials") && !leaky.contains("s3cret"), "{leaky}");
    let http = "members: ['http://a']";
    assert!(pool(&format!("{http}, ca: ca.pem")).contains("no member of the pool has TLS"));
    assert!(pool(&format!("{http}, batch: {{events: 5}}")).contains("only in batch mode"));
    assert!(pool(&format!("{http}, mode: batched")).contains("did you mean `batch`?"));
    assert!(pool(&format!("{http}, health: {{path: /}}")).contains("not in this version"));
    assert!(pool(&format!("{http}, backoff: 5s, backoff_max: 1s")).contains("shorter than the first"));
    assert!(pool(&format!("{http}, headers: {{'bad name': x}}")).contains("not the name of a header"));
    assert!(pool(&format!("{http}, headers: {{Content-Type: x}}")).contains("cannot be set"));
    let secret = pool(&format!("{http}, headers: {{X: \"s3cret\\n\"}}"));
    assert!(secret.contains("cannot have") && !secret.contains("s3cret"), "{secret}");
    assert!(mistake("pools: {'a b': {members: ['http://a']}}").contains("`a b` is not a name"));
    assert!(pool(&format!("{http}, protocol: kafka")).contains("not in this version"));
}

#[test]
fn routes_lead_somewhere() {
    let route = |keys: &str| mistake(&format!("routes: [{{name: r, {keys}}}]"));
    assert!(route("stop: true").contains("the key `match` is missing"));
    assert!(route("match: a, deliver: {pool: api}").contains("the document has no pool at all"));
    assert!(route("match: a, acknowledge: delivered").contains("nobody whose answer"));
    assert!(route("match: a, acknowledge: deliverd").contains("did you mean `delivered`?"));
    assert!(route("match: a, as: json").contains("only pools get them otherwise"));
    assert!(route("match: a, as: xml").contains("choice for `as`"));
    assert!(route("match: ''").contains("it is empty"));
    assert_eq!(
        mistake("routes:\n  - name: r\n    match: a\n    when: event.retain && sise > 4\n"),
        "4:27 routes[0].when: there is no variable `sise` \
         (the only variable is `event`, such as in `event.size < 65536`)"
    );
    assert!(
        mistake("routes: [{name: r, match: a}, {name: r, match: b}]").contains("another route named `r`")
    );
}

#[test]
fn access_rules_say_who_and_where() {
    let rule = |keys: &str| mistake(&format!("access: [{{{keys}}}]"));
    assert!(rule("who: anyone, may: publish").contains("does not say on which addresses"));
    assert!(rule("who: anyone, may: [], on: a").contains("the list is empty"));
    assert!(rule("who: anyone, may: pubish, on: a").contains("did you mean `publish`?"));
    assert!(rule("who: 'devise:*', may: publish, on: a").contains("did you mean `device:*`?"));
    assert!(rule("who: evryone, may: publish, on: a").contains("is nobody"));
    assert!(
        rule("who: 'device:*', may: publish, on: 'a/{devise}'").contains("`{devise}` is not a placeholder")
    );
    assert_eq!(
        rule("who: 'owner:*', may: publish, on: [a, 'a/{device}/#']"),
        "1:52 access[0].on[1]: those of this rule have no `{device}`: it would never apply \
         (`{device}` and its `{owner}` are of devices, `{owner}` and `{owned}` of owners, \
         `{group}` and `{claim.NAME}` of all that are not anonymous)"
    );
    assert!(rule("who: anonymous, may: publish, on: '{group}'").contains("no `{group}`"));
    assert!(rule("who: 'service:*', may: publish, on: '{owned}'").contains("no `{owned}`"));
    assert!(rule("who: 'claim:role', may: publish, on: a").contains("is nobody"));
    compiled("access: [{who: 'claim:role=ops', may: [publish, enrol], on: 'a/{claim.site}/{group}'}]");
    let snapshot = compiled("access:\n  - {who: anyone, may: read, on: a}\n  - {who: anyone, may: enrol}");
    let lines: Vec<_> = snapshot.access.rules().iter().map(|rule| rule.line()).collect();
    assert_eq!(lines, [2, 3], "rules know their places");
    assert!(rule("may: publish, on: a").contains("the key `who` is missing"));
    assert!(rule("who: anyone, on: a").contains("add `may: [...]`, or `deny: [...]`"));
    assert!(rule("who: anyone, on: a, may: read, deny: publish").contains("either allows or denies"));
    assert!(rule("who: anyone, deny: publish").contains("does not say on which addresses"));
}

#[test]
fn secrets_are_not_shown() {
    for text in [
        "pools: {a: {members: ['http://b'], headers: {Authorization: s3cret, Host: x}, wrong: 1}}",
        "pools: {a: {members: ['http://b'], headers: {Authorization: \"s3cret é\\n\"}}}",
        "pools: {a: {members: ['http://user:s3cret@b']}}",
        "identity: {registry: 'postgres://user:s3cret@b'}",
        "identity: {registry: 'mysql://user:s3cret@b/c'}",
        "identity: {hook: {url: 'https://user:s3cret@b'}}",
        "identity: {hook: {url: 'https://b', headers: {Authorization: s3cret, Host: x}}}",
    ] {
        let mistakes = compile("f", text, &empty).unwrap_err();
        assert!(!mistakes.to_string().contains("s3cret"), "{mistakes}");
        assert!(!format!("{:?}", mistakes.iter().collect::<Vec<_>>()).contains("s3cret"));
        assert!(mistakes.to_string().contains("****"), "{mistakes}");
    }
}

#[test]
fn a_flood_of_mistakes_is_bounded() {
    let text = format!("routes: [{}]", "{}, ".repeat(500));
    let mistakes = compile("f", &text, &empty).unwrap_err();
    assert_eq!(mistakes.len(), 1000);
    assert_eq!(mistakes.iter().count(), 100);
    assert!(mistakes.to_string().ends_with("and 900 more"));
}

/// Calls `visit` with the path and schema of every object that has named keys.
fn records(schema: &Json, path: &str, visit: &mut dyn FnMut(&str, &Json)) {
    if let Some(properties) = schema.get("properties").and_then(Json::as_object) {
        visit(path, schema);
        for (key, value) in properties {
            records(value, &format!("{path}.{key}"), visit);
        }
    }
    for part in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get(part) {
            records(inner, &format!("{path}.{part}"), visit);
        }
    }
}

#[test]
fn the_schema_describes_every_key_and_allows_no_other() {
    let schema = schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let mut seen = Vec::new();
    records(&schema, "", &mut |path, record| {
        assert_eq!(record["additionalProperties"], false, "{path}");
        for (key, value) in record["properties"].as_object().unwrap() {
            assert!(value["description"].as_str().is_some_and(|text| text.len() > 5), "{path}.{key}");
            seen.push(format!("{path}.{key}"));
        }
    });
    for key in [
        ".node.name",
        ".tls.additionalProperties.certificates.items.key",
        ".routes.items.match",
        ".pools.additionalProperties.batch.wait",
        ".limits.write_timeout",
    ] {
        assert!(seen.iter().any(|seen| seen == key), "{key} is not in {seen:#?}");
    }
    assert_eq!(schema["properties"]["routes"]["items"]["required"], serde_json::json!(["name", "match"]));
    // Every key of `Limits` can be written.
    let limits = schema["properties"]["limits"]["properties"].as_object().unwrap();
    let fields = format!("{:#?}", Limits::default());
    let fields: Vec<_> =
        fields.lines().filter_map(|line| line.strip_prefix("    ")?.split_once(':')).collect();
    assert_eq!(limits.len(), fields.len());
    assert!(fields.iter().all(|(field, _)| limits.contains_key(*field)), "{fields:?}");
}

#[test]
fn the_reader_takes_the_keys_of_the_schema() {
    let complaints = |text: &str| {
        let mistakes = compile("f", text, &empty);
        let list = mistakes.err().map(|mistakes| mistakes.to_string()).unwrap_or_default();
        list.contains("there is no key")
    };
    // One document for each record, with all of its keys: `[null]` fits none of them, but the key is known.
    records(&schema(), "", &mut |path, record| {
        let keys = record["properties"].as_object().unwrap().keys();
        let keys: Vec<_> = keys.map(|key| format!("{key}: [null]")).collect();
        let within = |inner: String| {
            path.split('.').skip(1).collect::<Vec<_>>().into_iter().rev().fold(
                inner,
                |inner, part| match part {
                    "items" => format!("[{inner}]"),
                    "additionalProperties" => format!("{{any: {inner}}}"),
                    key => format!("{{{key}: {inner}}}"),
                },
            )
        };
        assert!(!complaints(&within(format!("{{{}}}", keys.join(", ")))), "{path}");
        assert!(complaints(&within("{surely_not: 1}".to_owned())), "{path}");
    });
}

#[test]
fn the_examples_compile() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Devices and keys are files of the registry; the rest are documents.
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        if name.ends_with(".yaml") && !text.contains("\ndevices:") && !text.contains("\napi_keys:") {
            compile(&name, &text, &empty).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        }
    }
}
