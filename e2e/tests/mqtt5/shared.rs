//! §4.8.2: shared subscriptions.

use crate::support::{answer, assert_quiet, client, name, next, node, subscriber, unanswered, wait_retained};
use std::collections::BTreeMap;
use windrose_e2e::mqtt::{Client, Options, Packet, packet};
use windrose_e2e::wait::SOON;

#[test]
fn each_message_goes_to_one_member() {
    let node = node();
    let topic = name();
    let shared = format!("$share/group/{topic}/#");
    let mut members: Vec<_> = (0..3).map(|_| subscriber(&node, &shared, 1)).collect();
    let mut everyone = subscriber(&node, &format!("{topic}/#"), 1);
    let mut publisher = client(&node);
    for number in 0..30 {
        publisher.publish(&format!("{topic}/a"), number.to_string(), 1);
    }
    for number in 0..30 {
        assert_eq!(next(&mut everyone).payload, number.to_string(), "an ordinary subscription gets all");
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for member in &mut members {
        while let Ok(Packet::Publish { payload, .. }) = member.delivery(crate::support::QUIET) {
            *counts.entry(String::from_utf8_lossy(&payload).into_owned()).or_default() += 1;
        }
    }
    assert_eq!(counts.len(), 30);
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
}

#[test]
fn groups_are_apart() {
    let node = node();
    let topic = name();
    let mut one = subscriber(&node, &format!("$share/one/{topic}"), 1);
    let mut two = subscriber(&node, &format!("$share/two/{topic}"), 1);
    client(&node).publish(&topic, "x", 1);
    assert_eq!([next(&mut one).payload, next(&mut two).payload], ["x", "x"]);
}

#[test]
fn a_member_may_have_an_ordinary_subscription_too() {
    let node = node();
    let topic = name();
    let mut both = subscriber(&node, &format!("$share/g/{topic}"), 1);
    both.subscribe(&topic, 1);
    client(&node).publish(&topic, "x", 1);
    assert_eq!(next(&mut both).payload, "x");
    // For each of the two a copy, or one copy for both: either is fine.
    while both.delivery(crate::support::QUIET).is_ok() {}
    assert!(both.ping().is_ok());
}

#[test]
fn a_name_that_is_none_is_refused() {
    let node = node();
    let mut client = client(&node);
    for filter in [
        "$share",
        "$share/",
        "$share//a",
        "$share/g",
        "$share/g/",
        "$share/+/a",
        "$share/g+/a",
        "$share/#/a",
        "$share/g/a/#/b",
    ] {
        let code = client.subscribe(filter, 0);
        assert!(code == 0x8f, "{filter}: {code:#x}");
    }
    assert_eq!(client.subscribe("$share/g//a", 0), 0, "a filter may begin with a slash");
    assert_eq!(client.subscribe("$share/g/#", 0), 0);
}

#[test]
fn each_member_has_its_qos() {
    let node = node();
    for granted in 0..=2 {
        let topic = name();
        let mut member = subscriber(&node, &format!("$share/g/{topic}"), granted);
        client(&node).publish(&topic, "x", 2);
        assert_eq!(next(&mut member).qos, granted);
    }
}

#[test]
fn a_qos_2_exchange_is_finished_with_its_member() {
    let node = node();
    let topic = name();
    let shared = format!("$share/g/{topic}");
    let options = Options::v5(&name()).persistent();
    let mut member = Client::connect(node.mqtt(), &options);
    member.subscribe(&shared, 2);
    client(&node).publish(&topic, "x", 2);
    let (id, ..) = unanswered(&mut member);
    let mut other = subscriber(&node, &shared, 2);
    drop(member);
    assert_quiet(&mut other, "it is not another member's");
    let mut member = Client::connect(node.mqtt(), &options);
    assert_eq!(unanswered(&mut member).0, id);
    member.send(&answer(5, id));
    member.answer(6, id, SOON);
    member.send(&answer(7, id));
    assert!(member.ping().is_ok());
}

#[test]
fn a_qos_2_message_of_a_session_that_ended_goes_to_nobody_else() {
    let node = node();
    let topic = name();
    let shared = format!("$share/g/{topic}");
    let mut member = Client::connect(node.mqtt(), &Options::v5(&name()));
    member.subscribe(&shared, 2);
    client(&node).publish(&topic, "x", 2);
    let (id, ..) = unanswered(&mut member);
    let mut other = subscriber(&node, &shared, 2);
    member.send(&answer(5, id));
    member.answer(6, id, SOON);
    drop(member);
    assert_quiet(&mut other, "[MQTT-4.8.2-5]");
}

#[test]
fn what_a_member_rejects_goes_to_nobody_else() {
    let node = node();
    let topic = name();
    let shared = format!("$share/g/{topic}");
    let mut members = [subscriber(&node, &shared, 2), subscriber(&node, &shared, 2)];
    for (qos, kind) in [(1, 0x40), (2, 0x50)] {
        client(&node).publish(&topic, "x", qos);
        let (index, id) = members
            .iter_mut()
            .enumerate()
            .find_map(|(index, member)| {
                let fits = |packet: &Packet| matches!(packet, Packet::Publish { .. });
                match member.wait(crate::support::QUIET, fits) {
                    Ok(Packet::Publish { id, .. }) => Some((index, id)),
                    _ => None,
                }
            })
            .expect("one of them gets it");
        members[index].send(&packet(kind, &[&id.to_be_bytes()[..], &[0x80]].concat()));
        assert_quiet(&mut members[1 - index], "[MQTT-4.8.2-6]");
        assert_quiet(&mut members[index], "nor to itself");
    }
}

#[test]
fn a_new_member_gets_no_retained_messages() {
    let node = node();
    let topic = name();
    client(&node).retain(&topic, "x");
    wait_retained(&node, &topic, true);
    assert_quiet(&mut subscriber(&node, &format!("$share/g/{topic}"), 1), "§4.8.2");
}

#[test]
fn the_last_member_leaves_nothing_behind() {
    let node = node();
    let topic = name();
    let shared = format!("$share/g/{topic}");
    let mut member = subscriber(&node, &shared, 1);
    member.unsubscribe(&shared);
    assert_eq!(client(&node).publish(&topic, "x", 1), 0x10, "nobody listens");
    let mut member = subscriber(&node, &shared, 1);
    client(&node).publish(&topic, "y", 1);
    assert_eq!(next(&mut member).payload, "y");
}

#[test]
fn a_connected_member_is_preferred() {
    let node = node();
    let topic = name();
    let shared = format!("$share/g/{topic}");
    let mut away = Client::connect(node.mqtt(), &Options::v5(&name()).persistent());
    away.subscribe(&shared, 1);
    away.disconnect();
    let mut here = subscriber(&node, &shared, 1);
    let mut publisher = client(&node);
    for number in 0..10 {
        publisher.publish(&topic, number.to_string(), 1);
        assert_eq!(next(&mut here).payload, number.to_string());
    }
}
