//! CoAP over DTLS: pre-shared keys and certificates, with libcoap's and OpenSSL's clients; who is refused, and what it costs.

use std::net::UdpSocket;
use std::time::Duration;
use windrose_e2e::certs::Authority;
use windrose_e2e::clients::{Said, mosquitto_pub, s_client, s_client_open};
use windrose_e2e::libcoap::{Build, coap_client};
use windrose_e2e::node::Setup;
use windrose_e2e::{Node, Sink, wait_until};

const DOCUMENT: &str = r##"
node: {name: e2e, shards: 2}
admin: {bind: "127.0.0.1:${ADMIN}"}
tls:
  things: {certificate: server.pem, key: server.key, client_ca: devices-ca.pem, client_certificate: "${CLIENTS}"}
listeners:
  - {name: coaps, protocol: coap, bind: "127.0.0.1:${COAPS}", dtls: "${DTLS}"}
  - {name: mqtt, protocol: mqtt, bind: "127.0.0.1:${MQTT}"}
identity: {devices: devices.yaml, anonymous: allow}
access:
  - {who: anonymous, may: [publish], on: "commands/#"}
  - {who: "device:*", may: [publish, subscribe, read], on: "devices/{device}/#"}
  - {who: "device:*", may: [subscribe, read], on: "commands/#"}
pools:
  service: {protocol: http, members: ["http://127.0.0.1:${SINK}/events"]}
routes:
  - {name: telemetry, match: "devices/+/telemetry", deliver: {pool: service}, acknowledge: delivered}
limits: {dtls_idle: "${IDLE}"}
"##;

const DEVICES: &str = "
devices:
  - {id: meter-1, credentials: [{psk_identity: meter-1, psk_file: meter-1.key}, {certificate: {common_name: meter-1}}]}
";
const KEY: &str = "0123456789abcdef";
/// The same in hex, as OpenSSL wants it.
const KEY_HEX: &str = "30313233343536373839616263646566";

struct Secured {
    sink: Sink,
    node: Node,
}

impl Secured {
    fn with_keys() -> Self {
        Self::start("psk", "optional", "1h")
    }

    fn start(dtls: &str, clients: &str, idle: &str) -> Self {
        let (servers, devices) = (Authority::new("servers"), Authority::new("devices"));
        let sink = Sink::start();
        let mut setup = Setup::new()
            .file("ca.pem", &servers.certificate)
            .file("devices-ca.pem", &devices.certificate)
            .file("devices.yaml", DEVICES)
            .file("meter-1.key", KEY)
            .set("SINK", sink.port())
            .set("DTLS", dtls)
            .set("CLIENTS", clients)
            .set("IDLE", idle);
        for (name, pair) in [
            ("server", servers.server(&["127.0.0.1", "localhost"])),
            ("meter", devices.client("meter-1")),
            ("expired", devices.expired_client("meter-1")),
            ("foreign", Authority::new("strangers").client("meter-1")),
        ] {
            setup =
                setup.file(&format!("{name}.pem"), &pair.certificate).file(&format!("{name}.key"), &pair.key);
        }
        Self { sink, node: setup.start(DOCUMENT) }
    }

    fn file(&self, name: &str) -> String {
        self.node.folder().path().join(name).display().to_string()
    }

    fn url(&self, path: &str) -> String {
        format!("coaps://127.0.0.1:{}/{path}", self.node.coaps().port())
    }

    fn post(&self, build: Build, credentials: &[&str]) -> Said {
        let url = self.url("devices/meter-1/telemetry");
        let request = ["-m", "post", "-t", "50", "-e", r#"{"kwh":3}"#];
        coap_client(build, &[&request, credentials, &[&url]].concat())
    }

    fn certificate(&self, name: &str) -> Vec<String> {
        let (certificate, key) = (self.file(&format!("{name}.pem")), self.file(&format!("{name}.key")));
        vec!["-c".into(), certificate, "-j".into(), key, "-C".into(), self.file("ca.pem")]
    }

    /// What OpenSSL says of a session with the key.
    fn openssl(&self, arguments: &[&str]) -> Said {
        let key = ["-dtls1_2", "-psk", KEY_HEX, "-psk_identity", "meter-1"];
        s_client(self.node.coaps(), &[&key, arguments].concat())
    }
}

/// libcoap warns on one of its outputs and fails on the other.
fn all(said: &Said) -> String {
    format!("{}{}", said.out, said.err)
}

fn texts(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

#[test]
fn a_meter_with_a_key_posts_to_the_service() {
    let secured = Secured::with_keys();
    for build in Build::ALL {
        let said = secured.post(build, &["-u", "meter-1", "-k", KEY]).fine();
        // 2.04 has no payload, and comes after the service's 2xx only.
        assert_eq!((said.out.trim(), said.err.trim()), ("", ""), "{build:?}");
        let events = secured.sink.accepted();
        let event = events.last().expect("the service had it before the answer");
        assert_eq!(event.text(), r#"{"kwh":3}"#);
        for (name, value) in
            [("deviceid", "meter-1"), ("subject", "devices/meter-1/telemetry"), ("protocol", "coap")]
        {
            assert_eq!(event.attribute(name), Some(value), "{build:?}");
        }
    }
    assert_eq!(secured.sink.count(), 2);
}

#[test]
fn a_wrong_key_and_an_unknown_identity_are_refused_alike_and_told() {
    let secured = Secured::with_keys();
    for (build, identity, key) in [
        (Build::OpenSsl, "meter-1", "fedcba9876543210"),
        (Build::OpenSsl, "meter-2", KEY),
        (Build::GnuTls, "meter-1", "fedcba9876543210"),
        (Build::GnuTls, "meter-2", KEY),
    ] {
        let said = secured.post(build, &["-u", identity, "-k", key]);
        assert!(all(&said).to_lowercase().contains("decrypt error"), "{build:?} {identity}: {said:?}");
    }
    let failed = ["listener=\"coaps\"", "cause=\"wrong_key\""];
    secured.node.wait_metric("windrose_dtls_failed_total", &failed, 4.0);
    secured.node.wait_log(&["wrong_key", "meter-1", "nobody has that identity"]);
    assert_eq!(secured.sink.count(), 0);
}

#[test]
fn a_thing_with_a_certificate_is_who_it_says() {
    let secured = Secured::start("things", "required", "1h");
    for build in Build::ALL {
        let said = secured.post(build, &texts(&secured.certificate("meter"))).fine();
        assert_eq!(said.err.trim(), "", "{build:?}");
        let event = secured.sink.accepted().pop().expect("the service had it before the answer");
        assert_eq!(event.attribute("deviceid"), Some("meter-1"));
    }
    // The same port takes keys.
    secured.post(Build::OpenSsl, &["-u", "meter-1", "-k", KEY]).fine();
    assert_eq!(secured.sink.count(), 3);
}

#[test]
fn a_certificate_that_has_ended_or_is_of_others_is_refused_and_told() {
    let secured = Secured::start("things", "required", "1h");
    for build in Build::ALL {
        for (name, word) in [("expired", "expired"), ("foreign", "CA")] {
            let said = secured.post(build, &texts(&secured.certificate(name)));
            assert!(all(&said).contains(word), "{build:?} {name}: {said:?}");
        }
    }
    let failed = ["listener=\"coaps\"", "cause=\"bad_certificate\""];
    secured.node.wait_metric("windrose_dtls_failed_total", &failed, 4.0);
    secured.node.wait_log(&["bad_certificate", "its certificate is refused"]);
    assert_eq!(secured.sink.count(), 0);
}

#[test]
fn a_client_that_does_not_trust_the_node_leaves_and_that_is_told() {
    let secured = Secured::start("things", "optional", "1h");
    let strange = secured.file("devices-ca.pem");
    let arguments =
        ["-dtls1_2", "-CAfile", &strange, "-verify_return_error", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"];
    assert_ne!(s_client(secured.node.coaps(), &arguments).code, 0);
    secured.node.wait_log(&["given_up", "unknown_ca"]);
}

#[test]
fn every_suite_is_spoken() {
    let secured = Secured::start("things", "optional", "1h");
    for suite in [
        "PSK-AES128-CCM8",
        "PSK-AES128-CCM",
        "PSK-AES128-GCM-SHA256",
        "PSK-CHACHA20-POLY1305",
        "ECDHE-PSK-CHACHA20-POLY1305",
    ] {
        let said = secured.openssl(&["-cipher", suite]);
        assert!(said.out.contains(&format!("Cipher is {suite}")), "{suite}: {}", said.out);
    }
    let ca = secured.file("ca.pem");
    for suite in [
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES128-CCM8",
        "ECDHE-ECDSA-AES128-CCM",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
    ] {
        let said = s_client(secured.node.coaps(), &["-dtls1_2", "-CAfile", &ca, "-cipher", suite]);
        assert!(said.out.contains(&format!("Cipher is {suite}")), "{suite}: {}", said.out);
        assert!(said.out.contains("Verify return code: 0"), "{suite}: {}", said.out);
    }
}

#[test]
fn what_is_not_spoken_is_refused_with_a_word() {
    let secured = Secured::with_keys();
    let said = secured.openssl(&["-cipher", "PSK-AES128-CBC-SHA"]);
    assert!(said.err.contains("handshake failure"), "{}", said.err);
    secured.node.wait_log(&["no_common_suite", "008c"]);
}

#[test]
fn a_session_is_taken_up_again_with_a_ticket() {
    let secured = Secured::with_keys();
    let ticket = secured.file("session.pem");
    let first = secured.openssl(&["-sess_out", &ticket]);
    assert!(first.out.contains("New, "), "{}", first.out);
    let again = secured.openssl(&["-sess_in", &ticket]);
    assert!(again.out.contains("Reused, "), "{}", again.out);
    secured.node.wait_metric("windrose_dtls_handshakes_total", &["step=\"resumed\""], 1.0);
    // Its key was withdrawn: the ticket is worth nothing, and so is the key.
    secured.node.write_file("meter-1.key", "another key of the meter's");
    secured.node.signal("HUP");
    wait_until("the new key", || {
        let said = secured.openssl(&["-sess_in", &ticket]);
        !said.out.contains("Reused, ") && said.err.contains("decrypt error")
    });
}

#[test]
fn a_session_with_a_certificate_is_taken_up_again_until_others_are_trusted() {
    let secured = Secured::start("things", "required", "1h");
    let (certificate, key) = (secured.file("meter.pem"), secured.file("meter.key"));
    let ticket = secured.file("session.pem");
    let with = |more: &[&str]| {
        let suite = ["-dtls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"];
        let pair = ["-cert", &certificate, "-key", &key];
        s_client(secured.node.coaps(), &[&suite[..], &pair, more].concat())
    };
    assert!(with(&["-sess_out", &ticket]).out.contains("New, "));
    assert!(with(&["-sess_in", &ticket]).out.contains("Reused, "));
    secured.node.write_file("devices-ca.pem", &Authority::new("others").certificate);
    secured.node.signal("HUP");
    wait_until("the new authority", || {
        let said = with(&["-sess_in", &ticket]);
        !said.out.contains("Reused, ") && said.err.contains("unknown ca")
    });
}

#[test]
fn a_new_certificate_is_for_the_next_handshake_and_disturbs_no_session() {
    let secured = Secured::start("things", "optional", "1h");
    let serial = || {
        let said = s_client(secured.node.coaps(), &["-dtls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"]);
        let certificate = said.out.split("-----BEGIN CERTIFICATE-----").nth(1).unwrap_or_default().to_owned();
        assert!(!certificate.is_empty(), "{said:?}");
        certificate
    };
    let before = serial();
    let key = ["-dtls1_2", "-psk", KEY_HEX, "-psk_identity", "meter-1"];
    let mut open = s_client_open(secured.node.coaps(), &key);
    let closed = || secured.node.metric("windrose_dtls_closed_total", &["cause=\"shutdown\""]);
    let next = Authority::new("servers").server(&["127.0.0.1"]);
    secured.node.write_file("server.pem", &next.certificate);
    secured.node.write_file("server.key", &next.key);
    secured.node.signal("HUP");
    wait_until("the new certificate", || serial() != before);
    assert!(open.ended().is_none() && closed() == 0.0, "{}", open.said());
}

#[test]
fn what_is_published_over_mqtt_is_observed_over_dtls() {
    let secured = Secured::with_keys();
    let url = secured.url("commands/+");
    let node = &secured.node;
    let said = std::thread::scope(|scope| {
        let observer =
            scope.spawn(|| coap_client(Build::OpenSsl, &["-s", "3", "-u", "meter-1", "-k", KEY, &url]));
        node.wait_metric("windrose_dtls_handshakes_total", &["step=\"completed\""], 1.0);
        while !observer.is_finished() {
            mosquitto_pub(node.mqtt(), &["-t", "commands/all", "-m", "open the valve"]).fine();
            std::thread::sleep(Duration::from_millis(200));
        }
        observer.join().expect("it ran")
    });
    assert!(said.out.contains("open the valve"), "out: {}\nerr: {}", said.out, said.err);
}

#[test]
fn a_session_that_says_nothing_ends() {
    let secured = Secured::start("psk", "optional", "1s");
    let key = ["-dtls1_2", "-psk", KEY_HEX, "-psk_identity", "meter-1"];
    let mut quiet = s_client_open(secured.node.coaps(), &key);
    secured.node.wait_metric("windrose_dtls_closed_total", &["cause=\"idle\""], 1.0);
    assert!(quiet.wait_for(Duration::from_secs(10)).success(), "it was told: {}", quiet.said());
}

#[test]
fn a_node_that_stops_says_goodbye() {
    let mut secured = Secured::with_keys();
    let key = ["-dtls1_2", "-psk", KEY_HEX, "-psk_identity", "meter-1"];
    let mut client = s_client_open(secured.node.coaps(), &key);
    secured.node.wait_metric("windrose_dtls_handshakes_total", &["step=\"completed\""], 1.0);
    secured.node.signal("TERM");
    assert!(client.wait_for(Duration::from_secs(10)).success(), "it was told: {}", client.said());
    assert!(secured.node.wait_end(Duration::from_secs(10)).success());
}

#[test]
fn a_storm_of_hellos_without_cookies_takes_no_memory() {
    let secured = Secured::with_keys();
    secured.post(Build::OpenSsl, &["-u", "meter-1", "-k", KEY]).fine();
    let before = secured.node.resident_bytes();
    let hello = hello();
    let asked = || secured.node.metric("windrose_dtls_handshakes_total", &["step=\"asked\""]);
    for _ in 0..100 {
        // Each from a port of its own; nobody reads the answers.
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
        for _ in 0..500 {
            socket.send_to(&hello, secured.node.coaps()).expect("it can be sent");
        }
    }
    wait_until("most of them", || asked() > 5_000.0);
    let after = secured.node.resident_bytes();
    assert!(after < before + (4 << 20), "from {before} to {after} bytes");
    assert_eq!(secured.node.metric("windrose_dtls_handshakes_total", &["step=\"begun\""]), 1.0);
    secured.post(Build::GnuTls, &["-u", "meter-1", "-k", KEY]).fine();
}

/// A ClientHello (RFC 6347 §4.2.1) that offers TLS_PSK_WITH_AES_128_CCM_8, without a cookie.
fn hello() -> Vec<u8> {
    let mut body = vec![0xfe, 0xfd];
    body.extend([7; 32]);
    body.extend([0, 0, 0, 2, 0xc0, 0xa8, 1, 0]);
    let length = u8::try_from(body.len()).expect("it is short");
    let mut hello = vec![22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, length + 12];
    hello.extend([1, 0, 0, length, 0, 0, 0, 0, 0, 0, 0, length]);
    hello.extend(body);
    hello
}
