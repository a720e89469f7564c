//! §4.7: topic names and filters.

use crate::support::{assert_quiet, broken, client, name, next, node, subscriber};
use windrose_e2e::mqtt::{End, Packet, packet, string};
use windrose_e2e::wait::SOON;

/// Which of the topics a filter matches; `~` stands for a name of the test's own.
fn matched(filter: &str, topics: &[&str]) -> Vec<String> {
    let node = node();
    let own = name();
    let mut listener = subscriber(&node, &filter.replace('~', &own), 1);
    let mut publisher = client(&node);
    for topic in topics {
        publisher.publish(&topic.replace('~', &own), topic, 1);
    }
    publisher.publish(&format!("{own}/end"), "end", 1);
    let mut end = subscriber(&node, &format!("{own}/end"), 1);
    publisher.publish(&format!("{own}/end"), "end", 1);
    next(&mut end);
    let mut got = Vec::new();
    while let Ok(windrose_e2e::mqtt::Packet::Publish { topic, payload, .. }) =
        listener.delivery(crate::support::QUIET)
    {
        let payload = String::from_utf8_lossy(&payload).into_owned();
        if topic.starts_with(&own) || topic.starts_with(&format!("/{own}")) {
            got.push(payload);
        }
    }
    got.retain(|payload| payload != "end");
    got
}

#[test]
fn a_multi_level_wildcard_matches_its_parent_and_all_below() {
    assert_eq!(matched("~/#", &["~", "~/a", "~/a/b", "~/", "~x"]), ["~", "~/a", "~/a/b", "~/"]);
    assert_eq!(matched("#", &["~", "~/a", "/~"]), ["~", "~/a", "/~"]);
}

#[test]
fn a_single_level_wildcard_matches_one_level() {
    assert_eq!(matched("~/+", &["~", "~/a", "~/a/b", "~/"]), ["~/a", "~/"]);
    assert_eq!(matched("~/+/c", &["~/b/c", "~//c", "~/b", "~/b/d", "~/b/c/d"]), ["~/b/c", "~//c"]);
    assert_eq!(matched("+/~/+", &["~/a"]), [""; 0]);
    assert_eq!(matched("/+", &["/~", "~", "/~/a"]), ["/~"]);
    assert_eq!(matched("+/+", &["/~", "~/a", "~"]), ["/~", "~/a"]);
    assert_eq!(matched("~/+/#", &["~", "~/a", "~/a/b"]), ["~/a", "~/a/b"]);
}

#[test]
fn a_multi_level_wildcard_is_the_last_character() {
    let node = node();
    let mut client = client(&node);
    for filter in ["a/#/b", "a#", "#/a", "a/b#", "##", "a/##"] {
        assert_eq!(client.subscribe(filter, 0), 0x8f, "{filter}");
    }
}

#[test]
fn a_single_level_wildcard_is_a_whole_level() {
    let node = node();
    let mut client = client(&node);
    for filter in ["a+", "+a", "a/b+", "a/+b/c", "++", "+#"] {
        assert_eq!(client.subscribe(filter, 0), 0x8f, "{filter}");
    }
    for filter in ["+", "+/a", "a/+", "a/+/+/#", "/+", "+/", "#", "/", "//", "/#"] {
        assert_eq!(client.subscribe(filter, 0), 0, "{filter}");
    }
}

#[test]
fn wildcards_do_not_match_dollars() {
    let node = node();
    for filter in ["#", "+/#", "+/broker/#"] {
        let mut listener = subscriber(&node, filter, 0);
        let mut until = std::time::Instant::now() + crate::support::QUIET;
        while let Ok(windrose_e2e::mqtt::Packet::Publish { topic, .. }) =
            listener.delivery(crate::support::QUIET)
        {
            assert!(!topic.starts_with('$'), "{filter} matches {topic}");
            if std::time::Instant::now() > until + SOON {
                break;
            }
            until = std::time::Instant::now();
        }
    }
}

#[test]
fn a_name_has_a_character() {
    let node = node();
    // An empty filter is refused, or the whole packet is malformed.
    let mut client = client(&node);
    client.send(&packet(0x82, &[vec![0, 1, 0], string(""), vec![0]].concat()));
    match client.next(SOON) {
        Ok(Packet::Suback { codes, .. }) => assert_eq!(codes, [0x8f]),
        Ok(Packet::Disconnect { code, .. }) => assert!(matches!(code, 0x81 | 0x82 | 0x8f), "{code:#x}"),
        other => assert_eq!(other, Err(End::Closed)),
    }
    let said = broken(&node, &packet(0x30, &[string(""), vec![0]].concat()));
    assert!(matches!(said, None | Some(0x81 | 0x82 | 0x90)), "{said:?}");
}

#[test]
fn a_name_has_no_null() {
    let node = node();
    let said = broken(&node, &packet(0x30, &[string("a\0b"), vec![0]].concat()));
    assert!(matches!(said, Some(0x81 | 0x82 | 0x90)), "{said:?}");
}

#[test]
fn a_name_may_have_65535_bytes() {
    let node = node();
    let topic = format!("{}/{}", name(), "x".repeat(65_535));
    let topic = &topic[..65_535];
    let mut listener = subscriber(&node, topic, 1);
    assert!(client(&node).publish(topic, "long", 1) < 0x80);
    assert_eq!(next(&mut listener).topic, topic);
}

#[test]
fn names_are_not_normalised() {
    let node = node();
    let own = name();
    let pairs = [
        ("a", "A"),
        ("a", "a/"),
        ("a", "/a"),
        ("a/b", "a//b"),
        ("\u{e9}", "e\u{301}"),
        ("\u{212b}", "\u{c5}"),
        ("a b", "a%20b"),
        ("a", "a "),
        (".", "./"),
        ("a/../b", "b"),
    ];
    for (one, other) in pairs {
        let mut listener = subscriber(&node, &format!("{own}/{one}"), 1);
        let mut publisher = client(&node);
        publisher.publish(&format!("{own}/{other}"), "other", 1);
        publisher.publish(&format!("{own}/{one}"), "one", 1);
        let message = next(&mut listener);
        assert_eq!((message.payload.as_str(), message.topic), ("one", format!("{own}/{one}")), "{other}");
    }
}

#[test]
fn strange_names_are_names() {
    let node = node();
    let own = name();
    for topic in [" ", "/", "//", "a b/c d", "$in/the/middle", "'\"\\;--", "💡"] {
        let topic = format!("{own}{topic}");
        let mut listener = subscriber(&node, &topic, 1);
        client(&node).publish(&topic, "x", 1);
        assert_eq!(next(&mut listener).topic, topic);
    }
}

#[test]
fn a_topic_of_many_levels_is_carried_or_refused() {
    let node = node();
    let topic = format!("{}{}", name(), "/l".repeat(10_000));
    let mut client = client(&node);
    let granted = client.subscribe(&topic, 1);
    let published = client.publish(&topic, "x", 1);
    assert_eq!(granted >= 0x80, published >= 0x80, "{granted:#x} {published:#x}");
    if published < 0x80 {
        assert_eq!(client.message().0, topic);
    }
    assert!(client.ping().is_ok());
}

#[test]
fn system_topics_are_for_those_who_ask() {
    let node = node();
    let mut client = client(&node);
    assert!(client.subscribe("$SYS/#", 0) < 0x80);
    assert_ne!(client.next(crate::support::QUIET), Err(End::Closed));
    let mut other = subscriber(&node, &name(), 0);
    assert_quiet(&mut other, "not for others");
}
