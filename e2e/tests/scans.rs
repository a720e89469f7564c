//! What a scanner says of a listener of TLS: nothing that is weak.

use std::process::Command;
use windrose_e2e::Node;
use windrose_e2e::certs::Authority;
use windrose_e2e::node::Setup;

const DOCUMENT: &str = r##"
node: {name: e2e, shards: 1}
admin: {bind: "127.0.0.1:${ADMIN}"}
tls:
  edge: {certificate: server.pem, key: server.key}
listeners:
  - {name: mqtts, protocol: mqtt, bind: "127.0.0.1:${MQTTS}", tls: edge}
identity: {anonymous: allow}
access:
  - {who: anonymous, may: [publish], on: "#"}
"##;

fn node() -> Node {
    let server = Authority::new("servers").server(&["127.0.0.1"]);
    Setup::new().file("server.pem", &server.certificate).file("server.key", &server.key).start(DOCUMENT)
}

#[test]
fn sslscan_finds_nothing_weak() {
    let node = node();
    let output = Command::new("sslscan").args(["--no-colour", &node.mqtts().to_string()]).output();
    let output = output.expect("install the package sslscan (`scripts/setup`)");
    let said = String::from_utf8_lossy(&output.stdout);
    for (name, state) in [
        ("SSLv2", "disabled"),
        ("SSLv3", "disabled"),
        ("TLSv1.0", "disabled"),
        ("TLSv1.1", "disabled"),
        ("TLSv1.2", "enabled"),
        ("TLSv1.3", "enabled"),
    ] {
        let line = said.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        assert!(line.contains(state), "{name} is not {state}:\n{said}");
    }
    assert!(said.contains("Session renegotiation not supported"), "{said}");
    assert_eq!(said.matches("not vulnerable to heartbleed").count(), 2, "{said}");
    let ciphers: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("Accepted") || line.starts_with("Preferred"))
        .filter_map(|line| line.split_whitespace().nth(4))
        .collect();
    assert!(ciphers.len() >= 6, "{said}");
    for cipher in ciphers {
        let is_strong = cipher.contains("GCM") || cipher.contains("POLY1305");
        let is_forward_secret = cipher.starts_with("TLS_") || cipher.starts_with("ECDHE-");
        assert!(is_strong && is_forward_secret, "{cipher} is weak:\n{said}");
    }
}
