#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use std::collections::{HashMap, HashSet};
use windrose_engine::{KeeperFigures, ListenerTally, PoolTally, RouteTally, SocketTally};

fn histogram(counts: &[(usize, u64)], sum_micros: u64) -> Histogram {
    let mut histogram = Histogram { sum_micros, ..Histogram::default() };
    for (bucket, count) in counts {
        histogram.buckets[*bucket] = *count;
    }
    histogram
}

fn tally() -> Tally {
    Tally {
        listeners: vec![ListenerTally {
            name: "mqtt".into(),
            protocol: "mqtt",
            connections: 2,
            opened: 5,
            refused: vec![("bad_credentials", 1)],
            closed: vec![("goodbye", 2), ("lost", 1)],
            events_in: 10,
            settled: [7, 1, 0, 0, 2],
            events_out: [4, 0, 0, 0, 0],
        }],
        routes: vec![RouteTally { name: "telemetry".into(), events: [7, 0, 0, 1, 0] }],
        pools: vec![PoolTally {
            name: "api".into(),
            credit_used: 3,
            credit_limit: 100,
            members: vec![("http://127.0.0.1:9000/events".into(), [7, 0, 0, 2, 0])],
            seconds: histogram(&[(0, 1), (1, 2), (19, 1)], 1_500_000),
        }],
        dropped: vec![("queue_full", 6)],
        subscriptions_refused: vec![("quota", 2)],
        paused: 1,
        sessions: 3,
        subscriptions: 4,
        retained: 9,
        exchanges: 12,
        queues: 13,
        bindings: 14,
        declined: vec![("not_found", 5)],
        consumers: 15,
        queue_waiting: 16,
        queue_unsettled: 17,
        dead_letters: vec![("expired", 18)],
        queued: 8,
        bytes_in: 10,
        bytes_out: 11,
        acknowledge: vec![("delivered", histogram(&[(2, 3)], 450))],
        ..Tally::default()
    }
}

const RELOADS: Reloads = Reloads { accepted: 2, refused: 1 };

const FIGURES: KeeperFigures = KeeperFigures {
    records: 100,
    commits: 4,
    commit_micros: 2_500_000,
    failures: 1,
    waiting: 7,
    file_bytes: 4096,
    skipped: 2,
    failed: false,
};

const ASKED: IdentityFigures = IdentityFigures {
    has_database: true,
    away: true,
    hits: 11,
    negatives: 12,
    stale: 13,
    misses: 14,
    remembered: 15,
    passwords_verified: 16,
    passwords_waiting: 17,
    throttled: 18,
    blocks: 19,
};

#[test]
fn it_is_told_how_the_registry_is_asked() {
    let text = exposition("0.1.0", &[tally()], RELOADS, None, None, Some(ASKED)).unwrap();
    for line in [
        r#"windrose_identity_lookups_total{result="hit"} 11"#,
        r#"windrose_identity_lookups_total{result="negative"} 12"#,
        r#"windrose_identity_lookups_total{result="stale"} 13"#,
        r#"windrose_identity_lookups_total{result="miss"} 14"#,
        "windrose_identity_database_away 1",
        "windrose_identity_remembered_records 15",
        "windrose_identity_passwords_verified_total 16",
        "windrose_identity_passwords_waiting 17",
        "windrose_identity_throttled_total 18",
        "windrose_identity_blocks_total 19",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}\nis not in\n{text}");
    }
    let files_only = IdentityFigures { has_database: false, ..ASKED };
    let text = exposition("0.1.0", &[tally()], RELOADS, None, None, Some(files_only)).unwrap();
    assert!(!text.contains("windrose_identity_database_away"), "{text}");
}

#[test]
fn a_journal_is_told_where_there_is_one() {
    let stored = Tally { unstored: 5, held: 3, ..tally() };
    let text = exposition("0.1.0", &[stored.clone(), stored], RELOADS, None, Some(FIGURES), None).unwrap();
    let expected = [
        ("windrose_journal_records_total", "100"),
        ("windrose_journal_commits_total", "4"),
        ("windrose_journal_commit_seconds_total", "2.5"),
        ("windrose_journal_failures_total", "1"),
        ("windrose_journal_unstored_records", "10"),
        ("windrose_journal_held", "6"),
        ("windrose_journal_file_bytes", "4096"),
        ("windrose_journal_skipped_entries", "2"),
    ];
    for (series, expected) in expected {
        assert_eq!(value(&text, series), Some(expected), "{series}");
    }
    let without = exposition("0.1.0", &[tally()], RELOADS, None, None, None).unwrap();
    assert!(!without.contains("journal"));
}

/// The value of one line, found by everything before its last space.
fn value<'t>(text: &'t str, series: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
}

#[test]
fn a_small_tally_reads_as_written_here() {
    let process = ProcessFacts { resident_bytes: 4096, cpu_seconds: 1.5, open_fds: 7, start_seconds: 100.0 };
    let text = exposition("0.1.0", &[tally()], RELOADS, Some(process), None, None).unwrap();
    assert_eq!(text, include_str!("tests/small.txt"));
}

#[test]
fn shards_add_up_except_for_what_each_of_them_holds_whole() {
    let text = exposition("0.1.0", &[tally(), tally(), Tally::default()], RELOADS, None, None, None).unwrap();
    let events = r#"windrose_events_in_total{listener="mqtt",protocol="mqtt"}"#;
    assert_eq!(value(&text, events), Some("20"));
    let refused = r#"windrose_connections_refused_total{listener="mqtt",cause="bad_credentials"}"#;
    assert_eq!(value(&text, refused), Some("2"));
    assert_eq!(value(&text, r#"windrose_pool_seconds_count{pool="api"}"#), Some("8"));
    assert_eq!(value(&text, "windrose_sessions"), Some("6"));
    assert_eq!(value(&text, "windrose_retained"), Some("9"), "every shard holds all last values");
    assert_eq!(value(&text, "windrose_queues"), Some("13"), "every shard knows all queues");
}

#[test]
fn sockets_of_datagrams_are_told_where_there_are_some() {
    let counts = vec![("windrose_coap_datagrams", "in", 5), ("windrose_coap_requests", "", 3)];
    let socket = SocketTally { listener: "coap".into(), counts };
    let told = Tally { sockets: vec![socket], ..tally() };
    let text = exposition("0.1.0", &[told.clone(), told], RELOADS, None, None, None).unwrap();
    let datagrams = r#"windrose_coap_datagrams_total{listener="coap",direction="in"}"#;
    assert_eq!(value(&text, datagrams), Some("10"));
    assert_eq!(value(&text, r#"windrose_coap_requests_total{listener="coap"}"#), Some("6"));
    assert!(!text.contains("windrose_coap_mishaps"));
}

#[test]
fn names_from_the_document_cannot_break_the_text() {
    let mut hostile = tally();
    hostile.routes[0].name = "a\"} 1\nwindrose_forged 1 \\".into();
    let text = exposition("0.1.0", &[hostile], RELOADS, None, None, None).unwrap();
    let line = r#"windrose_route_events_total{route="a\"} 1\nwindrose_forged 1 \\",outcome="accepted"} 7"#;
    assert!(text.lines().any(|found| found == line), "{text}");
    assert!(!text.lines().any(|found| found.starts_with("windrose_forged")));
}

#[test]
fn the_text_keeps_the_rules_that_a_linter_would_check() {
    let text = exposition(
        "0.1.0",
        &[tally(), tally()],
        RELOADS,
        Some(ProcessFacts::default()),
        Some(FIGURES),
        Some(ASKED),
    )
    .unwrap();
    assert!(text.ends_with("# EOF\n"));
    let (mut kinds, mut helped, mut series) = (HashMap::new(), HashSet::new(), HashSet::new());
    let mut family = "";
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, sentence) = help.split_once(' ').expect("a name and a sentence");
            assert!(!sentence.trim().is_empty(), "{name} is not explained");
            assert!(helped.insert(name), "{name} appears twice");
            family = name;
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a name and a type");
            assert_eq!(name, family, "TYPE follows its HELP");
            kinds.insert(name, kind);
        } else {
            let (key, number) = line.rsplit_once(' ').expect("a series and a value");
            assert!(number.parse::<f64>().is_ok_and(|number| number >= 0.0), "{line}");
            assert!(series.insert(key), "{key} appears twice");
            let name = key.split('{').next().unwrap_or(key);
            let suffix = name.strip_prefix(family).expect("a series stands under its family");
            let allowed: &[&str] = match kinds[family] {
                "counter" => &["_total"],
                "gauge" => &[""],
                "info" => &["_info"],
                "histogram" => &["_sum", "_count", "_bucket"],
                other => panic!("{family} is a {other}"),
            };
            assert!(allowed.contains(&suffix), "{name} is no {}", kinds[family]);
            assert!(!family.ends_with("_total"), "{family}: the encoder adds the suffix");
        }
    }
    assert!(kinds.len() > 20, "only {} families", kinds.len());
}

#[test]
fn buckets_never_fall_and_end_at_the_count() {
    let text = exposition("0.1.0", &[tally()], RELOADS, None, None, None).unwrap();
    let buckets: Vec<u64> = text
        .lines()
        .filter(|line| line.starts_with("windrose_pool_seconds_bucket"))
        .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
        .collect();
    assert_eq!(buckets.len(), 20);
    assert!(buckets.is_sorted());
    assert_eq!(buckets.last(), Some(&4));
    assert!(text.contains(r#"windrose_pool_seconds_bucket{le="+Inf",pool="api"} 4"#), "{text}");
}
