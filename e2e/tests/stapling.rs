//! OCSP stapling: the node shows clients its own authority's word about its certificates.

use std::process::Command;
use windrose_e2e::clients::s_client;
use windrose_e2e::node::Setup;
use windrose_e2e::{binary, wait_until};

const DOCUMENT: &str = r##"
node: {name: e2e, shards: 1}
admin: {bind: "127.0.0.1:${ADMIN}"}
tls:
  edge: {certificate: ca/server.pem, key: ca/server.key}
listeners:
  - {name: mqtts, protocol: mqtt, bind: "127.0.0.1:${MQTTS}", tls: edge}
identity: {registry: "sqlite:registry.db", anonymous: allow}
ca: {certificate: ca/issuing.pem, key: ca/issuing.key}
access:
  - {who: anonymous, may: [publish], on: "#"}
"##;

#[test]
fn a_certificate_of_our_authority_brings_its_word_along() {
    let setup = Setup::new();
    let made = Command::new(binary::windrose())
        .current_dir(setup.folder().path())
        .args(["ca", "init", "--server-name", "127.0.0.1"])
        .output()
        .expect("the binary can be started");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let node = setup.start(DOCUMENT);
    let root = node.folder().path().join("ca/root.pem").display().to_string();
    for version in ["-tls1_2", "-tls1_3"] {
        let show = || s_client(node.mqtts(), &[version, "-status", "-CAfile", &root]).out;
        wait_until("a word", || show().contains("OCSP Response Status: successful"));
        let shown = show();
        assert!(shown.contains("Cert Status: good") && shown.contains("Verify return code: 0"), "{shown}");
        // OpenSSL believes it, too.
        assert!(!shown.contains("Response Verify Failure"), "{shown}");
    }
}
