//! The command line: check, schema, version, help.

use windrose_e2e::Node;
use windrose_e2e::binary::{output, run};
use windrose_e2e::documents::OPEN;
use windrose_e2e::folder::Folder;

/// Checks a document: whether it is fine, and what was said.
fn check(document: &str) -> (bool, String) {
    let folder = Folder::new();
    let path = folder.write("document.yaml", document);
    let checked = run(&["check", &path.display().to_string()], "");
    let said = [checked.stdout, checked.stderr].concat();
    (checked.status.success(), String::from_utf8_lossy(&said).into_owned())
}

fn ports(document: &str) -> String {
    document.replace("${ADMIN}", "9090").replace("${MQTT}", "1883").replace("${REST}", "8080")
}

#[test]
fn a_good_document_is_fine() {
    let (fine, said) = check(&ports(OPEN));
    assert!(fine, "{said}");
}

#[test]
fn the_examples_are_fine() {
    for example in ["quickstart.yaml", "fleet.yaml", "conformance.yaml", "mqtt-front.yaml", "amqp-front.yaml"]
    {
        let path = format!("{}/../examples/{example}", env!("CARGO_MANIFEST_DIR"));
        let checked = run(&["check", &path], "");
        assert!(checked.status.success(), "{example}: {}", String::from_utf8_lossy(&checked.stderr));
    }
}

#[test]
fn ten_mistakes_are_reported_at_once_each_with_line_and_column() {
    let document = r#"
node: {name: e2e, sharts: 2}
listeners:
  - {name: mqtt, protocol: mqqt, bind: "127.0.0.1:1883"}
  - {name: rest, protocol: http, bind: "127.0.0.1"}
  - {name: open, protocol: mqtt, bind: "0.0.0.0:1884"}
identity: {anonymous: maybe}
access:
  - {who: "robot:*", may: [publish], on: "devices/#/x"}
pools:
  api: {protocol: http, members: ["ftp://127.0.0.1/x"], timeout: soon}
routes:
  - name: telemetry
    match: "devices/+/telemetry/#"
    when: 'event.sise < 10'
    deliver: {pool: apy}
"#;
    let (fine, said) = check(document);
    assert!(!fine, "the document has mistakes");
    let expected = [
        ("2:", "sharts"),
        ("4:", "mqqt"),
        ("5:", "127.0.0.1"),
        ("6:", "plaintext"),
        ("7:", "maybe"),
        ("9:", "robot"),
        ("9:", "devices/#/x"),
        ("11:", "ftp"),
        ("11:", "soon"),
        ("15:", "sise"),
        ("16:", "apy"),
    ];
    for (line, word) in expected {
        assert!(said.contains(&format!("document.yaml:{line}")), "no position {line} in:\n{said}");
        assert!(said.contains(word), "nothing about {word} in:\n{said}");
    }
    assert!(said.contains("shards"), "what was meant is suggested:\n{said}");
}

#[test]
fn a_document_that_is_no_yaml_is_reported_with_its_position() {
    let (fine, said) = check("node: {name: e2e\nlisteners: [\n");
    assert!(!fine);
    assert!(said.contains("document.yaml:"), "{said}");
}

#[test]
fn a_document_that_does_not_exist_is_reported() {
    let checked = run(&["check", "/nowhere/windrose.yaml"], "");
    assert!(!checked.status.success());
    assert!(String::from_utf8_lossy(&checked.stderr).contains("/nowhere/windrose.yaml"));
}

#[test]
fn a_missing_variable_is_a_mistake_and_a_default_helps() {
    let with =
        |bind: &str| format!("listeners:\n  - {{name: mqtt, protocol: mqtt, bind: \"127.0.0.1:{bind}\"}}\n");
    let (fine, said) = check(&with("${WINDROSE_E2E_NOWHERE}"));
    assert!(!fine && said.contains("WINDROSE_E2E_NOWHERE") && said.contains("document.yaml:2:"), "{said}");
    let (fine, said) = check(&with("${WINDROSE_E2E_NOWHERE:-1883}"));
    assert!(fine, "{said}");
}

#[test]
fn a_port_that_is_taken_is_said_and_nothing_is_left_running() {
    let node = Node::start(OPEN);
    let taken = node.mqtt().to_string();
    let folder = Folder::new();
    let path = folder
        .write("second.yaml", &format!("listeners: [{{name: mqtt, protocol: mqtt, bind: \"{taken}\"}}]\n"));
    let second = run(&["run", &path.display().to_string()], "");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(
        said.contains("listener mqtt") && said.contains(&taken) && said.contains("another process"),
        "{said}"
    );
}

#[test]
fn every_log_line_is_a_json_object() {
    let node = Node::start(OPEN);
    node.write_document("nonsense");
    node.wait_log(&["not reloaded"]);
    for line in node.log().all() {
        let line: serde_json::Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(
            line["level"].is_string() && line["message"].is_string() && line["timestamp"].is_string(),
            "{line}"
        );
    }
}

#[test]
fn the_schema_describes_the_document() {
    let schema: serde_json::Value = serde_json::from_str(&output(&["schema"], ""))
        .unwrap_or_else(|error| panic!("the schema is JSON: {error}"));
    assert!(schema["$schema"].as_str().is_some_and(|uri| uri.contains("json-schema.org")), "{schema}");
    for key in ["node", "admin", "tls", "listeners", "identity", "access", "pools", "routes", "limits"] {
        assert!(schema["properties"][key].is_object(), "{key} is described");
    }
}

#[test]
fn version_and_help() {
    assert!(output(&["version"], "").starts_with("windrose "));
    assert!(output(&["--version"], "").starts_with("windrose "));
    let help = output(&["--help"], "");
    for command in ["run", "check", "schema", "version", "hash-password", "sample-service", "sample-thing"] {
        assert!(help.contains(command), "{command} is in the help:\n{help}");
        assert!(output(&[command, "--help"], "").contains("Usage:"), "{command} has help of its own");
    }
    let wrong = run(&["chekc"], "");
    assert!(
        !wrong.status.success() && String::from_utf8_lossy(&wrong.stderr).contains("check"),
        "what was meant is suggested"
    );
}

#[test]
fn a_hashed_password_is_argon2id_and_never_the_same_twice() {
    let hash = output(&["hash-password"], "secret\n");
    assert!(hash.starts_with("$argon2id$"), "{hash}");
    assert_ne!(hash, output(&["hash-password"], "secret\n"), "each hash has its own salt");
}
