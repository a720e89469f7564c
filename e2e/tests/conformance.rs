//! `docs/mqtt-conformance.md` is whole and true: every statement of both specifications is in it, and every test that it
//! names exists. So does every test that
//! `docs/coap-conformance.md` and `docs/amqp-1-0-conformance.md` name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Statements of MQTT 5.0, appendix B: section and how many.
const FIVE: &[(&str, &[u8])] = &[
    ("1.5.4", &[3]),
    ("1.5.5", &[1]),
    ("1.5.7", &[1]),
    ("2.1.3", &[1]),
    // There is no first one.
    ("2.2.1", &[2, 6]),
    ("2.2.2", &[1]),
    ("3.1.0", &[2]),
    ("3.1.2", &[30]),
    ("3.1.3", &[12]),
    ("3.1.4", &[6]),
    ("3.2.0", &[2]),
    ("3.2.2", &[22]),
    ("3.3.1", &[13]),
    ("3.3.2", &[20]),
    ("3.3.4", &[10]),
    ("3.4.2", &[3]),
    ("3.5.2", &[3]),
    ("3.6.1", &[1]),
    ("3.6.2", &[3]),
    ("3.7.2", &[3]),
    ("3.8.1", &[1]),
    ("3.8.3", &[5]),
    ("3.8.4", &[8]),
    ("3.9.2", &[2]),
    ("3.9.3", &[2]),
    ("3.10.1", &[1]),
    ("3.10.3", &[2]),
    ("3.10.4", &[6]),
    ("3.11.2", &[2]),
    ("3.11.3", &[2]),
    ("3.12.4", &[1]),
    ("3.14.0", &[1]),
    ("3.14.1", &[1]),
    ("3.14.2", &[4]),
    ("3.14.4", &[3]),
    ("3.15.1", &[1]),
    ("3.15.2", &[3]),
    ("4.1.0", &[2]),
    ("4.2.0", &[1]),
    ("4.3.1", &[1]),
    ("4.3.2", &[5]),
    ("4.3.3", &[13]),
    ("4.4.0", &[2]),
    ("4.5.0", &[2]),
    ("4.6.0", &[6]),
    ("4.7.0", &[1]),
    ("4.7.1", &[2]),
    ("4.7.2", &[1]),
    ("4.7.3", &[4]),
    ("4.8.2", &[6]),
    ("4.9.0", &[3]),
    ("4.12.0", &[7]),
    ("4.12.1", &[2]),
    ("4.13.1", &[1]),
    ("4.13.2", &[1]),
    ("6.0.0", &[4]),
];

/// Statements of MQTT 3.1.1, appendix B.
const THREE: &[(&str, &[u8])] = &[
    ("1.5.3", &[3]),
    ("2.2.2", &[2]),
    ("2.3.1", &[7]),
    ("3.1.0", &[2]),
    ("3.1.2", &[24]),
    ("3.1.3", &[11]),
    ("3.1.4", &[5]),
    ("3.2.0", &[1]),
    ("3.2.2", &[6]),
    ("3.3.1", &[12]),
    ("3.3.2", &[3]),
    ("3.3.4", &[1]),
    ("3.3.5", &[2]),
    ("3.6.1", &[1]),
    ("3.8.1", &[1]),
    ("3.8.3", &[4]),
    ("3.8.4", &[6]),
    ("3.9.3", &[2]),
    ("3.10.1", &[1]),
    ("3.10.3", &[2]),
    ("3.10.4", &[6]),
    ("3.12.4", &[1]),
    ("3.14.1", &[1]),
    ("3.14.4", &[3]),
    ("4.1.0", &[2]),
    ("4.3.1", &[1]),
    ("4.3.2", &[2]),
    ("4.3.3", &[2]),
    ("4.4.0", &[1]),
    ("4.5.0", &[2]),
    ("4.6.0", &[6]),
    ("4.7.1", &[3]),
    ("4.7.2", &[1]),
    ("4.7.3", &[4]),
    ("4.8.0", &[2]),
    ("6.0.0", &[4]),
    ("7.0.0", &[2]),
    ("7.1.1", &[1]),
    ("7.1.2", &[1]),
];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

const MQTT: &str = "docs/mqtt-conformance.md";
const COAP: &str = "docs/coap-conformance.md";
const AMQP_1_0: &str = "docs/amqp-1-0-conformance.md";
const AMQP_0_9_1: &str = "docs/amqp-0-9-1-conformance.md";

fn document(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect("the table is there")
}

/// The statements of a specification, written out.
fn statements(list: &[(&str, &[u8])]) -> BTreeSet<String> {
    let of = |(section, range): &(&str, &[u8])| {
        let (first, last) = if let [first, last] = range { (*first, *last) } else { (1, range[0]) };
        let section = (*section).to_owned();
        (first..=last).map(move |number| format!("{section}-{number}")).collect::<Vec<_>>()
    };
    list.iter().flat_map(of).collect()
}

/// What a chapter of the table names: in its rows, and in its line of statements that bind clients alone.
fn named(document: &str, chapter: &str) -> Vec<String> {
    let heading = format!("\n## {chapter}\n");
    let (_, rest) = document.split_once(&heading).unwrap_or_else(|| panic!("there is no chapter {chapter}"));
    let chapter = rest.split("\n## ").next().unwrap_or(rest);
    let clients =
        chapter.lines().find_map(|line| line.strip_prefix("These bind clients alone: ")).unwrap_or("");
    let clients = clients.trim_end_matches('.').split(", ").map(str::to_owned);
    let rows =
        chapter.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next()).map(str::to_owned);
    clients
        .chain(rows.filter(|cell| cell.contains('-') && cell.starts_with(|c: char| c.is_ascii_digit())))
        .collect()
}

#[test]
fn every_statement_is_in_the_table_once() {
    let document = document(MQTT);
    for (chapter, list, count) in [("MQTT 5.0", FIVE, 251), ("MQTT 3.1.1", THREE, 141)] {
        let expected = statements(list);
        assert_eq!(expected.len(), count, "{chapter}: the list here");
        let named = named(&document, chapter);
        let known: BTreeSet<_> = named.iter().cloned().collect();
        assert_eq!(known, expected, "{chapter}");
        assert_eq!(named.len(), known.len(), "{chapter} names something twice");
    }
}

/// The file of a test that a table names.
fn file(table: &str, name: &str) -> PathBuf {
    let mut parts = name.split("::");
    let (kind, module) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let folder = match (table, kind) {
        (_, "e2e") => "e2e/tests",
        (MQTT, "mqtt5") => "e2e/tests/mqtt5",
        (MQTT, "mqtt311") => "e2e/tests/mqtt311",
        (MQTT, "machine") => "crates/protocol/src/mqtt/server/tests",
        (MQTT, "client") => "crates/protocol/src/mqtt/client/tests",
        (MQTT, "codec") => "crates/protocol/src/mqtt/codec/tests",
        (MQTT, "ws") => "crates/protocol/src/websocket/tests",
        (COAP, "plugtests") => "e2e/tests/coap_plugtests",
        (COAP, "codec") => "crates/protocol/src/coap/codec/tests",
        (COAP, "messaging") => "crates/protocol/src/coap/messaging/tests",
        (COAP, "binding") => "crates/protocol/src/coap/binding/tests",
        (COAP, "stream") => "crates/protocol/src/coap/stream/tests",
        (COAP, "client") => "crates/protocol/src/coap/client/tests",
        (COAP, "coap") => "crates/protocol/src/coap",
        (COAP, "dtls") => "crates/network/src/dtls/tests",
        (AMQP_0_9_1, "codec") => "crates/protocol/src/amqp/v091/codec/tests",
        (AMQP_0_9_1, "machine") => "crates/protocol/src/amqp/v091/server/tests",
        (AMQP_0_9_1, "fuzz") => "fuzz/tests",
        (AMQP_1_0, "codec") => "crates/protocol/src/amqp/v1/codec/tests",
        (AMQP_1_0, "machine") => "crates/protocol/src/amqp/v1/server/tests",
        (AMQP_1_0, "message") => "crates/protocol/src/amqp/v1/message",
        (AMQP_1_0, "v1") => "crates/protocol/src/amqp/v1",
        _ => panic!("{name} is of no kind that the table explains"),
    };
    root().join(folder).join(module).with_extension("rs")
}

#[test]
fn every_test_that_is_named_exists_and_every_row_names_one() {
    let missing: Vec<_> = [MQTT, COAP, AMQP_1_0, AMQP_0_9_1].into_iter().flat_map(missing).collect();
    assert!(missing.is_empty(), "the tables name tests that do not exist: {missing:#?}");
}

/// The tests that a table names and that do not exist.
fn missing(table: &str) -> Vec<String> {
    let document = document(table);
    let mut files: BTreeMap<PathBuf, String> = BTreeMap::new();
    let mut missing = Vec::new();
    let rows = document.lines().filter(|line| line.starts_with("| ") && line.matches(" | ").count() == 2);
    let headings = ["| statement |", "| section |", "| difference |"];
    for row in rows.filter(|row| !headings.iter().any(|heading| row.starts_with(heading))) {
        let tests = row.trim_end_matches(" |").rsplit(" | ").next().unwrap_or("");
        let names: Vec<_> =
            tests.split(", ").filter_map(|name| name.strip_prefix('`')?.strip_suffix('`')).collect();
        assert!(!names.is_empty(), "a row names no test: {row}");
        for name in names {
            let text = files
                .entry(file(table, name))
                .or_insert_with_key(|path| std::fs::read_to_string(path).unwrap_or_default());
            let function = name.rsplit("::").next().unwrap_or("");
            // Property tests take arguments; a test of the suites takes none.
            if !text.contains(&format!("fn {function}(")) {
                missing.push(name.to_owned());
            }
        }
    }
    missing
}
