//! Things enrol: they make a key of their own and get a certificate for it, with curl, openssl and libcoap as the clients; and
//! the authority says what it has revoked.

use std::path::PathBuf;
use std::process::Command;
use windrose_e2e::binary::windrose;
use windrose_e2e::certs::{Authority, Pair};
use windrose_e2e::clients::{Answered, Said, curl, mosquitto_pub, request};
use windrose_e2e::folder::Folder;
use windrose_e2e::libcoap::{Build, coap_client};
use windrose_e2e::node::Setup;
use windrose_e2e::{Node, Sink, wait_until};

const DOCUMENT: &str = r##"
node: {name: e2e, shards: 2}
admin: {bind: "127.0.0.1:${ADMIN}"}
tls:
  edge: {certificate: "${CA}/server.pem", key: "${CA}/server.key", client_ca: things.pem}
listeners:
  - {name: mqtts, protocol: mqtt, bind: "127.0.0.1:${MQTTS}", tls: edge}
  - {name: rest, protocol: http, bind: "127.0.0.1:${REST}"}
  - {name: rests, protocol: http, bind: "127.0.0.1:${RESTS}", tls: edge}
  - {name: coaps, protocol: coap, bind: "127.0.0.1:${COAPS}", dtls: edge}
identity:
  registry: "sqlite:registry.db"
  certificates: [{name: maker, ca: maker.pem, device: "{common_name}", enrol_only: true, registered: false}]
ca: {certificate: "${CA}/issuing.pem", key: "${CA}/issuing.key", validity: 1h, url: "http://127.0.0.1:${REST}"}
access:
  - {who: "device:*", may: enrol}
  - {who: "device:*", may: [publish], on: "devices/{device}/#"}
pools:
  service: {protocol: http, members: ["http://127.0.0.1:${SINK}/events"]}
routes:
  - {name: telemetry, match: "devices/+/telemetry", deliver: {pool: service}, acknowledge: delivered}
"##;

/// What the command line works on while the node runs: the same registry.
const REGISTRY: &str = r##"
listeners: [{name: mqtt, protocol: mqtt, bind: "127.0.0.1:1883"}]
identity: {registry: "sqlite:registry.db"}
"##;

struct Enrolling {
    authority: Folder,
    maker: Authority,
    sink: Sink,
    node: Node,
}

impl Enrolling {
    fn start() -> Self {
        let authority = Folder::new();
        windrose_run(&["ca", "init", "--directory", &authority.path().join("ca").display().to_string()])
            .fine();
        let issuing = std::fs::read_to_string(authority.path().join("ca/clients.pem")).expect("it was made");
        let maker = Authority::new("Maker");
        let sink = Sink::start();
        let node = Setup::new()
            .file("things.pem", &(issuing + &maker.certificate))
            .file("maker.pem", &maker.certificate)
            .file("registry.yaml", REGISTRY)
            .set("CA", authority.path().join("ca").display())
            .set("SINK", sink.port())
            .start(DOCUMENT);
        Self { authority, maker, sink, node }
    }

    fn file(&self, name: &str) -> String {
        self.node.folder().path().join(name).display().to_string()
    }

    fn ca(&self, name: &str) -> String {
        self.authority.path().join("ca").join(name).display().to_string()
    }

    fn est(&self, operation: &str) -> String {
        format!("https://127.0.0.1:{}/.well-known/est/{operation}", self.node.rests().port())
    }

    fn command(&self, arguments: &[&str]) -> Said {
        let document = self.file("registry.yaml");
        windrose_run(&[arguments, &["--document", &document]].concat())
    }

    /// A device that is registered, with a one-time code.
    fn code(&self, device: &str) -> String {
        self.command(&["device", "add", device, "--owner", "household-7"]).fine();
        let code = self.command(&["device", "enrol-code", device]).fine().out.trim().to_owned();
        assert!(code.starts_with("wre_"), "{code}");
        code
    }

    /// A key, and a request for a certificate in DER.
    fn csr(&self, name: &str, subject: &str, key: &[&str]) -> String {
        let csr = self.file(&format!("{name}.csr"));
        let key_file = self.file(&format!("{name}.key"));
        let made = [
            "req", "-new", "-nodes", "-keyout", &key_file, "-subj", subject, "-outform", "DER", "-out", &csr,
        ];
        openssl(&[&made, key].concat()).fine();
        csr
    }

    fn good_csr(&self, device: &str) -> String {
        self.csr(device, &format!("/CN={device}"), P256)
    }

    fn enrol(&self, operation: &str, csr: &str, arguments: &[&str]) -> Answered {
        let (root, url, body) = (self.ca("root.pem"), self.est(operation), format!("@{csr}"));
        let by = ["--cacert", &root, "-H", "Content-Type: application/pkcs10", "--data-binary", &body];
        request(&[&by, arguments, &[&*url]].concat())
    }

    /// Enrols, and keeps the certificate as `NAME.pem`.
    fn certificate(&self, name: &str, operation: &str, csr: &str, arguments: &[&str]) {
        let answer = self.enrol(operation, csr, arguments);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.field("content-type"), Some("application/pkcs7-mime; smime-type=certs-only"));
        self.node.write_file(&format!("{name}.b64"), &answer.body);
        let (text, der, pem) = (
            self.file(&format!("{name}.b64")),
            self.file(&format!("{name}.p7")),
            self.file(&format!("{name}.pem")),
        );
        openssl(&["base64", "-d", "-in", &text, "-out", &der]).fine();
        openssl(&["pkcs7", "-inform", "DER", "-in", &der, "-print_certs", "-out", &pem]).fine();
    }

    fn publish(&self, device: &str, certificate: &str, key: &str, text: &str) -> Said {
        let (root, topic) = (self.ca("root.pem"), format!("devices/{device}/telemetry"));
        let (certificate, key) = (self.file(certificate), self.file(key));
        let by =
            ["--cafile", &root, "--cert", &certificate, "--key", &key, "-q", "1", "-t", &topic, "-m", text];
        mosquitto_pub(self.node.mqtts(), &by)
    }

    fn makers(&self, device: &str) {
        let Pair { certificate, key } = self.maker.client(device);
        self.node.write_file("made.pem", &certificate);
        self.node.write_file("made.key", &key);
    }
}

const P256: &[&str] = &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];

fn windrose_run(arguments: &[&str]) -> Said {
    Command::new(windrose()).args(arguments).output().expect("the windrose binary can be started").into()
}

fn openssl(arguments: &[&str]) -> Said {
    Command::new("openssl").args(arguments).output().expect("openssl can be started").into()
}

#[test]
fn a_thing_enrols_by_a_code_and_publishes_over_mutual_tls() {
    let world = Enrolling::start();
    let code = world.code("car-7");
    let csr = world.good_csr("car-7");
    let user = format!("car-7:{code}");
    world.certificate("car-7", "simpleenroll", &csr, &["-u", &user]);
    let shown =
        openssl(&["x509", "-in", &world.file("car-7.pem"), "-noout", "-subject", "-ext", "extendedKeyUsage"]);
    assert!(
        shown.out.contains("CN = car-7") && shown.out.contains("TLS Web Client Authentication"),
        "{shown:?}"
    );
    world.publish("car-7", "car-7.pem", "car-7.key", "enrolled").fine();
    world.sink.wait_for_text("enrolled");
    // A code is good once, and for nothing but enrolling.
    let again = world.enrol("simpleenroll", &csr, &["-u", &user]);
    assert!(matches!(again.status, 401 | 403), "{again:?}");
    world.node.wait_log(&["household-7", "a certificate was issued"]);
}

#[test]
fn a_code_gets_a_certificate_for_its_device_and_nothing_else() {
    let world = Enrolling::start();
    let user = format!("car-7:{}", world.code("car-7"));
    let rsa = |bits: &'static str| ["-newkey", bits];
    for (name, subject, key, status) in [
        ("foreign", "/CN=car-8", P256, 403),
        ("weak", "/CN=car-7", &rsa("rsa:1024")[..], 400),
        ("curve", "/CN=car-7", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"], 400),
        ("signs", "/CN=car-7", &[P256, &["-addext", "basicConstraints=critical,CA:TRUE"]].concat(), 400),
        ("names", "/CN=car-7", &[P256, &["-addext", "subjectAltName=DNS:localhost"]].concat(), 403),
    ] {
        let csr = world.csr(name, subject, key);
        let answer = world.enrol("simpleenroll", &csr, &["-u", &user]);
        assert_eq!(answer.status, status, "{name}: {answer:?}");
        assert!(
            answer.field("content-type").is_some_and(|kind| kind.starts_with("text/plain")),
            "{answer:?}"
        );
        assert!(answer.body.ends_with('\n') && answer.body.len() > 20, "a sentence for people: {answer:?}");
    }
    let csr = world.good_csr("car-7");
    for (user, status) in [("car-7:wre_00000000000000000000000000", 401), ("car-7:wrong", 401)] {
        assert_eq!(world.enrol("simpleenroll", &csr, &["-u", user]).status, status, "{user}");
    }
    let nobody = world.enrol("simpleenroll", &csr, &[]);
    assert_eq!(nobody.status, 401);
    assert!(nobody.header.contains("www-authenticate: basic"), "{nobody:?}");
    assert_eq!(world.enrol("serverkeygen", &csr, &["-u", &user]).status, 501);
    assert_eq!(world.enrol("simplereenroll", &csr, &["-u", &user]).status, 403, "there is nothing to renew");
    let short = world.command(&["device", "enrol-code", "car-7", "--valid", "1s"]).fine().out;
    let short = format!("car-7:{}", short.trim());
    wait_until("the code's end", || world.enrol("simpleenroll", "/dev/null", &["-u", &short]).status == 401);
    world.node.wait_log(&["car-7", "code"]);
    // None of that used the code up; and a request comes as PEM and as base64, too.
    let pem = world.file("car-7.csr.pem");
    openssl(&["req", "-inform", "DER", "-in", &csr, "-out", &pem]).fine();
    world.certificate("car-7", "simpleenroll", &pem, &["-u", &user]);
}

#[test]
fn what_anybody_may_know_is_told_to_anybody() {
    let world = Enrolling::start();
    let root = world.ca("root.pem");
    let authorities = request(&["--cacert", &root, &world.est("cacerts")]);
    assert_eq!(authorities.status, 200, "{authorities:?}");
    assert_eq!(authorities.field("content-transfer-encoding"), Some("base64"));
    world.node.write_file("cacerts.b64", &authorities.body);
    let (text, der) = (world.file("cacerts.b64"), world.file("cacerts.p7"));
    openssl(&["base64", "-d", "-in", &text, "-out", &der]).fine();
    let shown = openssl(&["pkcs7", "-inform", "DER", "-in", &der, "-print_certs"]).fine().out;
    assert!(shown.contains("CN = Windrose issuing 1") && shown.contains("CN = Windrose root"), "{shown}");
    let attributes = request(&["--cacert", &root, &world.est("csrattrs")]);
    assert_eq!((attributes.status, attributes.field("content-type")), (200, Some("application/csrattrs")));
    world.node.write_file("csrattrs.b64", &attributes.body);
    let parsed = openssl(&["asn1parse", "-inform", "PEM", "-in", &world.file("csrattrs.b64")]);
    let parsed = if parsed.code == 0 {
        parsed
    } else {
        openssl(&["base64", "-d", "-in", &world.file("csrattrs.b64"), "-out", &world.file("csrattrs.der")])
            .fine();
        openssl(&["asn1parse", "-inform", "DER", "-in", &world.file("csrattrs.der")]).fine()
    };
    assert!(parsed.out.contains("ecdsa-with-SHA256") && parsed.out.contains("prime256v1"), "{parsed:?}");
}

#[test]
fn a_thing_renews_by_itself_and_both_certificates_are_good_meanwhile() {
    let world = Enrolling::start();
    let user = format!("car-7:{}", world.code("car-7"));
    let csr = world.good_csr("car-7");
    world.certificate("car-7", "simpleenroll", &csr, &["-u", &user]);
    let (certificate, key) = (world.file("car-7.pem"), world.file("car-7.key"));
    let next = world.csr("next", "/CN=car-7", P256);
    world.certificate("next", "simplereenroll", &next, &["--cert", &certificate, "--key", &key]);
    world.publish("car-7", "car-7.pem", "car-7.key", "by the old one").fine();
    world.publish("car-7", "next.pem", "next.key", "by the new one").fine();
    world.sink.wait_for_text("by the new one");
    let other = world.csr("other", "/CN=car-8", P256);
    let refused = world.enrol("simplereenroll", &other, &["--cert", &certificate, "--key", &key]);
    assert_eq!(refused.status, 403, "{refused:?}");
}

#[test]
fn a_manufacturers_certificate_enrols_and_does_nothing_else() {
    let world = Enrolling::start();
    world.makers("meter-1");
    let (made, made_key) = (world.file("made.pem"), world.file("made.key"));
    let refused = world.publish("meter-1", "made.pem", "made.key", "not yet");
    assert_ne!(refused.code, 0, "{refused:?}");
    let csr = world.good_csr("meter-1");
    world.certificate("meter-1", "simpleenroll", &csr, &["--cert", &made, "--key", &made_key]);
    world.publish("meter-1", "meter-1.pem", "meter-1.key", "enrolled").fine();
    world.sink.wait_for_text("enrolled");
    let listed = world.command(&["device", "show", "meter-1"]).fine();
    assert!(listed.out.contains("meter-1"), "{listed:?}");
    let foreign = world.csr("foreign", "/CN=meter-2", P256);
    let refused = world.enrol("simpleenroll", &foreign, &["--cert", &made, "--key", &made_key]);
    assert_eq!(refused.status, 403, "{refused:?}");
}

#[test]
fn openssl_hears_what_was_revoked() {
    let world = Enrolling::start();
    let user = format!("car-7:{}", world.code("car-7"));
    let csr = world.good_csr("car-7");
    world.certificate("car-7", "simpleenroll", &csr, &["-u", &user]);
    let (issuer, root, certificate) =
        (world.ca("issuing.pem"), world.ca("root.pem"), world.file("car-7.pem"));
    let url = world.node.url("/ca/ocsp");
    let ask = || {
        let by = [
            "ocsp",
            "-issuer",
            &issuer,
            "-cert",
            &certificate,
            "-url",
            &url,
            "-CAfile",
            &root,
            "-verify_other",
            &issuer,
        ];
        openssl(&by)
    };
    let good = ask().fine();
    assert!(good.out.contains(": good") && good.err.contains("Response verify OK"), "{good:?}");
    let list = || {
        let der = world.file("list.crl");
        curl(&["-o", &der, &world.node.url("/ca/crl")]).fine();
        openssl(&["crl", "-inform", "DER", "-in", &der, "-noout", "-text", "-CAfile", &issuer]).fine()
    };
    let before = list();
    assert!(before.out.contains("No Revoked Certificates") && before.err.contains("verify OK"), "{before:?}");
    world.command(&["device", "revoke", "car-7"]).fine();
    wait_until("the revocation to be told", || ask().out.contains(": revoked"));
    let after = list();
    assert!(after.out.contains("Serial Number:") && after.err.contains("verify OK"), "{after:?}");
    let refused = world.publish("car-7", "car-7.pem", "car-7.key", "stolen");
    assert_ne!(refused.code, 0, "{refused:?}");
    let refused =
        world.enrol("simplereenroll", &csr, &["--cert", &certificate, "--key", &world.file("car-7.key")]);
    assert!(matches!(refused.status, 401 | 403), "{refused:?}");
}

#[test]
fn a_thing_enrols_by_coap_over_dtls() {
    let world = Enrolling::start();
    world.makers("meter-1");
    let csr = world.good_csr("meter-1");
    let (made, key, trust, der) =
        (world.file("made.pem"), world.file("made.key"), world.ca("root.pem"), world.file("meter-1.der"));
    let url = |operation: &str| {
        format!("coaps://127.0.0.1:{}/.well-known/est/{operation}", world.node.coaps().port())
    };
    let by = ["-c", &made, "-j", &key, "-C", &trust];
    // In blocks, both ways.
    let asked = ["-m", "post", "-t", "286", "-A", "287", "-b", "64", "-f", &csr, "-o", &der];
    let said = coap_client(Build::OpenSsl, &[&by, &asked[..], &[&*url("sen")]].concat());
    assert!(PathBuf::from(&der).exists(), "{said:?}");
    openssl(&["x509", "-inform", "DER", "-in", &der, "-out", &world.file("meter-1.pem")]).fine();
    world.publish("meter-1", "meter-1.pem", "meter-1.key", "enrolled by coap").fine();
    world.sink.wait_for_text("enrolled by coap");
    let authorities = world.file("crts.p7");
    coap_client(Build::OpenSsl, &[&by, &["-A", "281", "-o", &authorities][..], &[&*url("crts")]].concat());
    let shown = openssl(&["pkcs7", "-inform", "DER", "-in", &authorities, "-print_certs"]).fine();
    assert!(shown.out.contains("CN = Windrose root"), "{shown:?}");
}

#[test]
fn what_signed_before_stays_trusted_when_another_signs() {
    let world = Enrolling::start();
    let user = format!("car-7:{}", world.code("car-7"));
    let csr = world.good_csr("car-7");
    world.certificate("car-7", "simpleenroll", &csr, &["-u", &user]);
    let seen = world.node.log().all().len();
    windrose_run(&["ca", "rotate", "--directory", &world.ca("")]).fine();
    world.node.wait_log_after(seen, &["the document is reloaded"]);
    let again = windrose_run(&["ca", "init", "--directory", &world.ca("")]);
    assert!(again.code != 0 && again.err.contains("is there already"), "{again:?}");
    world.publish("car-7", "car-7.pem", "car-7.key", "by the one before").fine();
    let (certificate, key) = (world.file("car-7.pem"), world.file("car-7.key"));
    let next = world.csr("next", "/CN=car-7", P256);
    world.certificate("next", "simplereenroll", &next, &["--cert", &certificate, "--key", &key]);
    let issuer = openssl(&["x509", "-in", &world.file("next.pem"), "-noout", "-issuer"]).fine().out;
    assert!(issuer.contains("Windrose issuing 2"), "{issuer}");
    // What listeners trust is in a file of the operator's here.
    let issuing = std::fs::read_to_string(world.ca("clients.pem")).expect("it was made");
    let seen = world.node.log().all().len();
    world.node.write_file("things.pem", &issuing);
    world.node.wait_log_after(seen, &["the document is reloaded"]);
    world.publish("car-7", "next.pem", "next.key", "by the new one").fine();
    world.sink.wait_for_text("by the new one");
    // Each is asked about what it signed.
    let (root, old) = (world.ca("root.pem"), world.file("old.pem"));
    let all = std::fs::read_to_string(world.ca("issuing.pem")).expect("it was made");
    let second = all.match_indices("-----BEGIN").nth(1).map_or(0, |(at, _)| at);
    std::fs::write(&old, &all[second..]).expect("it can be written");
    let by = [
        "ocsp",
        "-issuer",
        &old,
        "-cert",
        &certificate,
        "-url",
        &world.node.url("/ca/ocsp"),
        "-CAfile",
        &root,
    ];
    let good = openssl(&[&by[..], &["-verify_other", &old]].concat()).fine();
    assert!(good.out.contains(": good") && good.err.contains("Response verify OK"), "{good:?}");
}

#[test]
fn of_several_that_bring_the_same_code_at_once_one_gets_a_certificate() {
    let world = Enrolling::start();
    let user = format!("car-7:{}", world.code("car-7"));
    let csrs: Vec<String> = (0..4).map(|one| world.csr(&format!("try-{one}"), "/CN=car-7", P256)).collect();
    let enrol = |csr: &str| world.enrol("simpleenroll", csr, &["-u", &user]).status;
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let tries: Vec<_> = csrs.iter().map(|csr| scope.spawn(|| enrol(csr))).collect();
        tries.into_iter().map(|one| one.join().expect("curl answers")).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 401 | 403)), "{statuses:?}");
}
