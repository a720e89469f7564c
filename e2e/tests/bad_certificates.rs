//! Clients' certificates that are no good, over TLS and DTLS: each is refused by an alert, and the log has the whole truth.

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyUsagePurpose, SanType, date_time_ymd};
use std::time::Duration;
use windrose_e2e::certs::{Authority, Pair};
use windrose_e2e::clients::{mosquitto_pub, s_client_open};
use windrose_e2e::node::Setup;
use windrose_e2e::{Node, Sink, wait_until};

const DOCUMENT: &str = r##"
node: {name: e2e, shards: 1}
admin: {bind: "127.0.0.1:${ADMIN}"}
tls:
  things: {certificate: server.pem, key: server.key, client_ca: devices-ca.pem, client_certificate: required}
listeners:
  - {name: coaps, protocol: coap, bind: "127.0.0.1:${COAPS}", dtls: things}
  - {name: mqtts, protocol: mqtt, bind: "127.0.0.1:${MQTTS}", tls: things}
identity: {devices: devices.yaml}
access:
  - {who: "device:*", may: [publish], on: "devices/{device}/#"}
pools:
  service: {protocol: http, members: ["http://127.0.0.1:${SINK}/events"]}
routes:
  - {name: telemetry, match: "devices/+/telemetry", deliver: {pool: service}}
"##;

const DEVICES: &str = "
devices:
  - {id: car-7, credentials: [{certificate: {common_name: car-7}}]}
";

/// A certificate, what alert it gets by TLS and by DTLS, and what the log says of it.
struct Bad {
    name: &'static str,
    pair: Pair,
    tls: &'static str,
    dtls: &'static str,
    told: &'static str,
    /// Where whose it is can be told.
    whose: &'static str,
}

fn names(count: usize, length: usize) -> impl FnOnce(&mut CertificateParams) {
    move |params| {
        let name = |number: usize| format!("{number:0length$}.example");
        params.subject_alt_names =
            (0..count).map(|number| SanType::DnsName(name(number).try_into().expect("ASCII"))).collect();
    }
}

fn bad(devices: &Authority) -> Vec<Bad> {
    let bad = |name, pair, tls, dtls, told: &'static str| {
        let whose = if told.is_empty() { "" } else { "CN=car-7" };
        Bad { name, pair, tls, dtls, told, whose }
    };
    let odd = |change: &dyn Fn(&mut CertificateParams)| devices.odd_client("car-7", change);
    vec![
        bad(
            "expired",
            devices.expired_client("car-7"),
            "certificate expired",
            "certificate expired",
            "expired",
        ),
        bad(
            "not valid yet",
            odd(&|params| params.not_before = date_time_ymd(2090, 1, 1)),
            "certificate expired",
            "certificate expired",
            "not valid yet",
        ),
        bad(
            "a chain with a gap",
            devices.below("issuing").client("car-7"),
            "unknown ca",
            "unknown ca",
            "UnknownIssuer",
        ),
        bad(
            "a server's",
            odd(&|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
            "unsupported certificate",
            "bad certificate",
            "does not allow extended key usage",
        ),
        bad(
            "for encryption only",
            odd(&|params| params.key_usages = vec![KeyUsagePurpose::KeyEncipherment]),
            "certificate unknown",
            "bad certificate",
            "does not allow signatures",
        ),
        bad(
            "an authority's",
            odd(&|params| params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained)),
            "alert",
            "bad certificate",
            "CaUsedAsEndEntity",
        ),
        bad(
            "a hundred names",
            devices.odd_client("car-7", names(100, 4)),
            "certificate unknown",
            "bad certificate",
            "more than 32 alternative names",
        ),
        bad("a thousand long names", devices.odd_client("car-7", names(1_000, 60)), "", "decode error", ""),
        bad(
            "a NUL in its name",
            odd(&|params| params.distinguished_name.push(DnType::CommonName, "car-7\0.example")),
            "certificate unknown",
            "bad certificate",
            "control characters",
        ),
    ]
}

struct Doors {
    node: Node,
    sink: Sink,
}

impl Doors {
    fn open(devices: &Authority, pairs: &[(&str, &Pair)]) -> Self {
        let servers = Authority::new("servers");
        let server = servers.server(&["127.0.0.1"]);
        let sink = Sink::start();
        let mut setup = Setup::new()
            .file("ca.pem", &servers.certificate)
            .file("devices-ca.pem", &devices.certificate)
            .file("server.pem", &server.certificate)
            .file("server.key", &server.key)
            .file("devices.yaml", DEVICES)
            .set("SINK", sink.port());
        for (name, pair) in pairs {
            setup =
                setup.file(&format!("{name}.pem"), &pair.certificate).file(&format!("{name}.key"), &pair.key);
        }
        Self { node: setup.start(DOCUMENT), sink }
    }

    fn file(&self, name: &str) -> String {
        self.node.folder().path().join(name).display().to_string()
    }

    /// Has OpenSSL come with a certificate: it is sent away, and hears that alert.
    fn is_refused(&self, file: &str, name: &str, protocol: &str, alert: &str) {
        let address = if protocol == "-dtls1_2" { self.node.coaps() } else { self.node.mqtts() };
        let (certificate, key) = (self.file(&format!("{file}.pem")), self.file(&format!("{file}.key")));
        let mut client = s_client_open(address, &[protocol, "-cert", &certificate, "-key", &key]);
        assert!(!client.wait_for(Duration::from_secs(20)).success(), "{name} {protocol}: {}", client.said());
        // Whoever is still writing when it is sent away may not hear why.
        if !alert.is_empty() {
            wait_until(&format!("{alert}, for {name} by {protocol}"), || {
                let heard = client.said();
                heard.contains("alert") && heard.contains(alert)
            });
        }
    }
}

#[test]
fn each_is_refused_by_an_alert_and_the_log_says_why() {
    let devices = Authority::new("devices");
    let bad = bad(&devices);
    let files: Vec<String> = (0..bad.len()).map(|number| format!("bad-{number}")).collect();
    let pairs: Vec<(&str, &Pair)> =
        files.iter().map(String::as_str).zip(bad.iter().map(|bad| &bad.pair)).collect();
    let doors = Doors::open(&devices, &pairs);
    for (file, bad) in files.iter().zip(&bad) {
        for (protocol, alert) in [("-tls1_2", bad.tls), ("-tls1_3", bad.tls), ("-dtls1_2", bad.dtls)] {
            doors.is_refused(file, bad.name, protocol, alert);
            doors.node.wait_log(&[bad.told, bad.whose]);
        }
    }
    assert_eq!(doors.sink.count(), 0);
}

#[test]
fn a_certificate_that_is_good_and_nobodys_is_refused_by_the_protocol() {
    let devices = Authority::new("devices");
    let nobody = devices.odd_client("", |params| params.distinguished_name = rcgen::DistinguishedName::new());
    let slash = devices.client("car-7/../car-8");
    let good = devices.client("car-7");
    let doors = Doors::open(&devices, &[("nobody", &nobody), ("slash", &slash), ("good", &good)]);
    for (name, fine) in [("nobody", false), ("slash", false), ("good", true)] {
        let (certificate, key) = (doors.file(&format!("{name}.pem")), doors.file(&format!("{name}.key")));
        let arguments = ["--cafile", &doors.file("ca.pem"), "--cert", &certificate, "--key", &key];
        let publish = ["-t", "devices/car-7/telemetry", "-m", "81", "-q", "1"];
        let said = mosquitto_pub(doors.node.mqtts(), &[&arguments[..], &publish].concat());
        assert_eq!(said.code == 0, fine, "{name}: {said:?}");
    }
    doors.sink.wait_for_text("81");
}
