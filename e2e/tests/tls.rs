//! TLS: versions, certificates by server name, client certificates, resumption, and plain text kept off the network.

use windrose_e2e::binary::run;
use windrose_e2e::certs::Authority;
use windrose_e2e::clients::{https_service, mosquitto_pub, request, s_client, s_client_open, subscribe};
use windrose_e2e::documents::open;
use windrose_e2e::folder::Folder;
use windrose_e2e::mqtt::{Client, Options};
use windrose_e2e::node::Setup;
use windrose_e2e::ports::Port;
use windrose_e2e::{Node, Sink, wait_until};

const DOCUMENT: &str = r##"
node: {name: e2e, shards: 2}
admin: {bind: "127.0.0.1:${ADMIN}"}
tls:
  edge:
    certificates:
      - {certificate: first.pem, key: first.key}
      - {certificate: second.pem, key: second.key}
    client_ca: devices-ca.pem
    client_certificate: "${CLIENTS}"
    min_version: "${LEAST}"
  api: {certificate: first.pem, key: first.key}
listeners:
  - {name: mqtts, protocol: mqtt, bind: "127.0.0.1:${MQTTS}", tls: edge}
  - {name: rests, protocol: http, bind: "127.0.0.1:${RESTS}", tls: api}
identity: {devices: devices.yaml, anonymous: "${ANONYMOUS}"}
access:
  - {who: anonymous, may: [publish, subscribe, read], on: "#"}
  - {who: "device:*", may: [publish, subscribe], on: "devices/{device}/#"}
pools:
  service: {protocol: http, members: ["http://127.0.0.1:${SINK}/events"]}
routes:
  - {name: telemetry, match: "devices/+/telemetry", deliver: {pool: service}}
"##;

const DEVICES: &str = "
devices:
  - {id: car-7, owner: alice, credentials: [{certificate: {common_name: car-7}}]}
";

struct Secured {
    sink: Sink,
    node: Node,
    devices: Authority,
}

impl Secured {
    fn start(clients: &str, least: &str, anonymous: &str) -> Self {
        let (authority, devices) = (Authority::new("servers"), Authority::new("devices"));
        let first = authority.server(&["first.example", "127.0.0.1"]);
        let second = authority.server(&["second.example"]);
        let car = devices.client("car-7");
        let stranger = Authority::new("strangers").client("car-7");
        let sink = Sink::start();
        let node = Setup::new()
            .file("ca.pem", &authority.certificate)
            .file("devices-ca.pem", &devices.certificate)
            .file("first.pem", &first.certificate)
            .file("first.key", &first.key)
            .file("second.pem", &second.certificate)
            .file("second.key", &second.key)
            .file("car.pem", &car.certificate)
            .file("car.key", &car.key)
            .file("stranger.pem", &stranger.certificate)
            .file("stranger.key", &stranger.key)
            .file("devices.yaml", DEVICES)
            .set("SINK", sink.port())
            .set("CLIENTS", clients)
            .set("LEAST", least)
            .set("ANONYMOUS", anonymous)
            .start(DOCUMENT);
        Self { sink, node, devices }
    }

    fn file(&self, name: &str) -> String {
        self.node.folder().path().join(name).display().to_string()
    }
}

#[test]
fn tls_1_2_and_1_3_are_spoken_and_nothing_older() {
    let secured = Secured::start("optional", "1.2", "allow");
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let said = s_client(secured.node.mqtts(), &[version, "-CAfile", &secured.file("ca.pem")]);
        assert!(
            said.out.contains(name) && said.out.contains("Verify return code: 0"),
            "{version}: {}",
            said.out
        );
    }
    let said = s_client(secured.node.mqtts(), &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
    assert_ne!(said.code, 0, "{}", said.out);
    let version = "listener=\"mqtts\"";
    secured.node.wait_metric("windrose_connections_refused_total", &[version, "cause=\"tls\""], 1.0);
    for version in ["tlsv1.2", "tlsv1.3"] {
        let ca = secured.file("ca.pem");
        let arguments = ["--cafile", &ca, "--tls-version", version, "-t", "news", "-m", version, "-q", "1"];
        mosquitto_pub(secured.node.mqtts(), &arguments).fine();
    }
}

#[test]
fn the_least_version_is_kept() {
    let secured = Secured::start("optional", "1.3", "allow");
    assert_ne!(s_client(secured.node.mqtts(), &["-tls1_2"]).code, 0);
    assert!(s_client(secured.node.mqtts(), &["-tls1_3"]).out.contains("TLSv1.3"));
}

#[test]
fn the_certificate_fits_the_name_that_is_asked_for() {
    let secured = Secured::start("optional", "1.2", "allow");
    for (name, expected) in
        [("first.example", "first"), ("second.example", "second"), ("other.example", "first")]
    {
        let said = s_client(secured.node.mqtts(), &["-servername", name]);
        let subject =
            said.out.lines().find(|line| line.starts_with("subject=")).unwrap_or_default().to_owned();
        assert!(subject.contains(&format!("{expected}.example")), "{name}: {subject}");
    }
    let said = s_client(secured.node.mqtts(), &["-noservername"]);
    assert!(said.out.contains("first.example"), "the first is for clients that name none");
}

#[test]
fn a_client_certificate_says_who_a_device_is() {
    let secured = Secured::start("required", "1.2", "deny");
    let (ca, certificate, key) = (secured.file("ca.pem"), secured.file("car.pem"), secured.file("car.key"));
    let mut arguments = vec!["--cafile", &ca, "--cert", &certificate, "--key", &key, "-q", "1"];
    arguments.extend(["-t", "devices/car-7/telemetry", "-m", "81"]);
    mosquitto_pub(secured.node.mqtts(), &arguments).fine();
    let event = secured.sink.wait_for_text("81");
    assert_eq!(event.attribute("deviceid"), Some("car-7"));
    assert_eq!(event.attribute("ownerid"), Some("alice"));
}

#[test]
fn a_client_without_a_good_certificate_is_refused() {
    let secured = Secured::start("required", "1.2", "deny");
    let publish = ["-q", "1", "-t", "devices/car-7/telemetry", "-m", "81"];
    let ca = secured.file("ca.pem");
    let without = mosquitto_pub(secured.node.mqtts(), &[&["--cafile", &ca], &publish[..]].concat());
    assert_ne!(without.code, 0, "no certificate");
    let (certificate, key) = (secured.file("stranger.pem"), secured.file("stranger.key"));
    let arguments = [&["--cafile", &ca, "--cert", &certificate, "--key", &key], &publish[..]].concat();
    assert_ne!(mosquitto_pub(secured.node.mqtts(), &arguments).code, 0, "another authority's certificate");

    // Of the right authority, and nobody's.
    let nobody = secured.devices.client("car-8");
    secured.node.write_file("nobody.pem", &nobody.certificate);
    secured.node.write_file("nobody.key", &nobody.key);
    let (certificate, key) = (secured.file("nobody.pem"), secured.file("nobody.key"));
    let arguments = [&["--cafile", &ca, "--cert", &certificate, "--key", &key], &publish[..]].concat();
    assert_ne!(mosquitto_pub(secured.node.mqtts(), &arguments).code, 0, "a certificate of no device");

    assert_eq!(secured.sink.count(), 0);
    secured.node.wait_metric("windrose_connections_refused_total", &["cause=\"tls\""], 2.0);
    secured.node.wait_metric("windrose_connections_refused_total", &["cause=\"bad_credentials\""], 1.0);
}

#[test]
fn sessions_are_resumed_whichever_thread_takes_the_connection() {
    let secured = Secured::start("optional", "1.2", "allow");
    for version in ["-tls1_2", "-tls1_3"] {
        let session = secured.file(&format!("session{version}"));
        let mut first = s_client_open(secured.node.mqtts(), &[version, "-sess_out", &session]);
        wait_until("a session ticket", || std::fs::metadata(&session).is_ok_and(|file| file.len() > 0));
        first.close_input();
        first.wait();
        // Two threads accept: six connections reach both of them.
        for attempt in 0..6 {
            let said = s_client(secured.node.mqtts(), &[version, "-sess_in", &session]);
            assert!(said.out.contains("Reused, "), "{version}, attempt {attempt}: {}", said.out);
        }
    }
}

#[test]
fn tickets_are_worth_nothing_once_other_authorities_are_trusted() {
    let secured = Secured::start("required", "1.2", "deny");
    let (certificate, key) = (secured.file("car.pem"), secured.file("car.key"));
    for version in ["-tls1_2", "-tls1_3"] {
        secured.node.write_file("devices-ca.pem", &secured.devices.certificate);
        secured.node.signal("HUP");
        let session = secured.file(&format!("session{version}"));
        let with = [version, "-cert", &certificate, "-key", &key];
        wait_until("a session ticket", || {
            let mut first =
                s_client_open(secured.node.mqtts(), &[&with[..], &["-sess_out", &session]].concat());
            let has_ticket = within(|| std::fs::metadata(&session).is_ok_and(|file| file.len() > 0));
            first.close_input();
            first.wait();
            has_ticket
        });
        let again = || s_client(secured.node.mqtts(), &[&with[..], &["-sess_in", &session]].concat());
        assert!(again().out.contains("Reused, "), "{version}");
        secured.node.write_file("devices-ca.pem", &Authority::new("others").certificate);
        secured.node.signal("HUP");
        wait_until("the new authority", || !again().out.contains("Reused, "));
    }
}

/// Whether something comes true within a second or two.
fn within(is_true: impl Fn() -> bool) -> bool {
    (0..20).any(|_| {
        let is_true = is_true();
        std::thread::sleep(std::time::Duration::from_millis(if is_true { 0 } else { 100 }));
        is_true
    })
}

#[test]
fn big_messages_cross_tls_both_ways() {
    let secured = Secured::start("optional", "1.2", "allow");
    let ca = secured.file("ca.pem");
    let subscriber = subscribe(secured.node.mqtts(), &["--cafile", &ca, "-t", "big", "-q", "1", "-F", "%l"]);
    secured.node.write_file("big.bin", &"windrose ".repeat(22_000));
    let big = secured.file("big.bin");
    mosquitto_pub(secured.node.mqtts(), &["--cafile", &ca, "-t", "big", "-q", "1", "-f", &big]).fine();
    subscriber.line("198,000 bytes", |line| line == "198000");
}

#[test]
fn rest_is_spoken_over_tls() {
    let secured = Secured::start("optional", "1.2", "allow");
    let url = format!("https://{}/v1/events/devices/car-7/telemetry", secured.node.rests());
    for version in ["--http1.1", "--http2"] {
        let answer = request(&["--cacert", &secured.file("ca.pem"), version, "-d", version, &url]);
        assert_eq!(answer.status, 202, "{version}: {answer:?}");
        assert!(
            answer.header.starts_with(if version == "--http2" { "http/2" } else { "http/1.1" }),
            "{answer:?}"
        );
        secured.sink.wait_for_text(version);
    }
}

#[test]
fn services_behind_tls_are_verified() {
    let (authority, stranger) = (Authority::new("services"), Authority::new("strangers"));
    let server = authority.server(&["127.0.0.1"]);
    let folder = Folder::new();
    let write = |name: &str, text: &str| folder.write(name, text).display().to_string();
    let (certificate, key) = (write("service.pem", &server.certificate), write("service.key", &server.key));
    let port = Port::free();
    let service = https_service(port.address(), &certificate, &key);
    let document = open(
        r#"
pools:
  service: {protocol: http, members: ["https://127.0.0.1:${SINK}/events"], ca: "${CA}", backoff: 50ms}
routes:
  - {name: telemetry, match: "devices/+/telemetry", deliver: {pool: service}, deadline: 1s}
"#,
    );
    let start = |ca: &Authority| {
        let ca = write("ca.pem", &ca.certificate);
        let node = Setup::new().set("SINK", port.number()).set("CA", ca).start(&document);
        let code =
            Client::connect(node.mqtt(), &Options::v5("thing")).publish("devices/car-7/telemetry", "81", 1);
        (node, code)
    };
    let (_node, code) = start(&authority);
    assert_eq!(code, 0);
    service.line("the event", |line| line == "81");
    let (node, code) = start(&stranger);
    assert_eq!(code, 0x83, "whom nobody vouches for gets nothing");
    node.wait_log(&["WARN", "certificate"]);
    assert_eq!(service.out.count(|line| line == "81"), 1);
}

#[test]
fn plain_text_off_loopback_must_be_asked_for() {
    let folder = Folder::new();
    let check = |listener: &str| {
        let path = folder.write("document.yaml", &format!("listeners:\n  - {listener}\n"));
        run(&["check", &path.display().to_string()], "")
    };
    let refused = check("{name: mqtt, protocol: mqtt, bind: \"0.0.0.0:1883\"}");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success());
    assert!(said.contains("document.yaml:2:") && said.contains("plaintext: allow"), "{said}");
    let allowed = check("{name: mqtt, protocol: mqtt, bind: \"0.0.0.0:1883\", plaintext: allow}");
    assert!(allowed.status.success(), "{}", String::from_utf8_lossy(&allowed.stderr));
}
