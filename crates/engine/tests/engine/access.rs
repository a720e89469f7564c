//! Who may do what.

use crate::harness::*;
use windrose_event::{Cause, Directive, Intent, Outcome, Tag};

const RULES: &str =
    "access:\n  - {who: \"device:*\", may: [publish, subscribe], on: \"devices/{device}/#\"}\n";

#[test]
fn a_device_may_do_what_the_rules_allow_and_nothing_else() {
    let mut node = Node::new(RULES);
    let car = node.open(0, as_device(open("car-7"), "car-7"));
    node.accepted(car);
    node.publish(car, 1, "devices/car-7/telemetry", "x", Q1);
    node.publish(car, 2, "devices/car-8/telemetry", "x", Q1);
    let settled = node.settled(car);
    assert_eq!(settled[0].1, Outcome::Accepted);
    assert!(matches!(&settled[1].1, Outcome::Rejected(rejection) if rejection.cause == Cause::NotPermitted));
    let requests = ["devices/car-7/commands/#", "devices/+/commands", "#", "$reply/#", "$SYS/#"];
    let requests = requests.map(|filter| subscription(filter, Q1)).to_vec();
    node.intent(car, Intent::Subscribe { tag: Tag(1), requests });
    let Some(Directive::Subscribed { results, .. }) = node.next(car) else { panic!("no answer") };
    let allowed: Vec<_> = results.iter().map(Result::is_ok).collect();
    assert_eq!(allowed, [true, false, false, false, false]);
}

#[test]
fn a_reload_changes_what_is_allowed_between_two_events() {
    let mut node = Node::new("");
    let sender = node.client("sender");
    node.publish(sender, 1, "a", "x", Q1);
    node.input(0, windrose_engine::Input::Snapshot(snapshot(RULES)));
    node.publish(sender, 2, "a", "x", Q1);
    let settled = node.settled(sender);
    assert!(settled[0].1.is_accepted() && !settled[1].1.is_accepted(), "{settled:?}");
}

/// What is remembered of an address that somebody may publish to is nobody else's permission.
#[test]
fn one_that_may_publish_to_an_address_lets_nobody_else() {
    let mut node = Node::new(RULES);
    let owner = node.open(0, as_device(open("car-7"), "car-7"));
    let other = node.open(0, as_device(open("car-8"), "car-8"));
    node.accepted(owner);
    node.accepted(other);
    for tag in 1..4 {
        for (sender, may) in [(owner, true), (other, false), (owner, true)] {
            node.publish(sender, tag, "devices/car-7/telemetry", "x", Q1);
            let settled = node.settled(sender);
            assert_eq!(settled[0].1.is_accepted(), may, "{settled:?}");
        }
    }
}

#[test]
fn nobody_listens_in_on_replies_whatever_the_rules() {
    let mut node = Node::new("access: [{who: anyone, may: [subscribe], on: [\"#\", \"$reply/#\"]}]");
    let spy = node.client("spy");
    let results = node.subscribe_with(spy, subscription("$reply/#", Q0));
    assert!(matches!(&results[..], [Err(rejection)] if rejection.cause == Cause::NotPermitted));
}

#[test]
fn what_is_denied_is_kept_from_those_who_subscribe_to_more() {
    let rules = "access:\n  - {who: anyone, may: [publish, subscribe], on: \"#\"}\n  \
                 - {who: anyone, deny: subscribe, on: [secret, \"private/#\"]}\n";
    let mut node = Node::new(rules);
    let (publisher, subscriber) = (node.client("p"), node.client("s"));
    node.retain(publisher, "private/last", "kept");
    node.retain(publisher, "open/last", "last");
    let results = node.subscribe_with(subscriber, subscription("secret", Q1));
    assert!(results[0].is_err(), "all of the filter is denied");
    node.subscribe(subscriber, "#", Q1);
    for (tag, address) in (1..).zip(["secret", "private/a", "private", "open"]) {
        node.publish(publisher, tag, address, "event", Q1);
    }
    let deliveries = node.deliveries(subscriber);
    let got: Vec<_> = deliveries.iter().map(|delivery| delivery.event.address.as_str()).collect();
    assert_eq!(got, ["open/last", "open"]);
}
