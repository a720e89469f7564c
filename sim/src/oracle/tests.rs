//! The oracle is tried with promises that are broken.

use super::*;
use windrose_event::{Filter, Timestamp};

const SENDER: ClientId = ClientId(0);
const LISTENER: ClientId = ClientId(1);
const TOPIC: &str = "d/x";

/// An oracle of one topic with one lasting subscriber.
fn oracle(qos: Assurance, delivered: bool) -> Oracle {
    let mut oracle = Oracle::default();
    oracle.topics.push(Topic { name: TOPIC.to_owned(), sender: SENDER, qos, delivered });
    oracle.subscribed(LISTENER, Filter::new("#").expect("a filter"), qos, true, None);
    oracle
}

fn publish(oracle: &mut Oracle) -> PubId {
    let id = oracle.publish(0, false, false);
    oracle.written(id);
    id
}

fn complaint(oracle: &Oracle) -> &str {
    oracle.violation.as_ref().map_or("none", |violation| &violation.what)
}

#[test]
fn an_acknowledgement_ahead_of_the_service_is_noticed() {
    let mut oracle = oracle(Assurance::AtLeastOnce, true);
    let id = publish(&mut oracle);
    oracle.taken(id);
    oracle.acknowledged(id, 0x83, true);
    assert_eq!(complaint(&oracle), "none", "it says no");
    oracle.acknowledged(id, 0, true);
    assert!(complaint(&oracle).contains("before the service"));
}

#[test]
fn a_second_event_or_delivery_of_an_exactly_once_publication_is_noticed() {
    let event = |count| EventId::new(Timestamp::from_micros(0), 1, count);
    let mut taken_twice = oracle(Assurance::ExactlyOnce, true);
    let id = publish(&mut taken_twice);
    taken_twice.sent(id, event(1));
    taken_twice.sent(id, event(1));
    taken_twice.sent(id, event(2));
    assert_eq!(complaint(&taken_twice), "none", "the first may have failed");
    taken_twice.answered(id, &Outcome::Accepted);
    taken_twice.sent(id, event(3));
    assert!(complaint(&taken_twice).contains("took an exactly-once publication twice"));

    let mut delivered_twice = oracle(Assurance::ExactlyOnce, false);
    let id = publish(&mut delivered_twice);
    for _ in 0..2 {
        delivered_twice.delivered(LISTENER, id, TOPIC, Assurance::ExactlyOnce, false);
    }
    assert!(complaint(&delivered_twice).contains("delivered twice"));
}

#[test]
fn lost_and_overtaken_deliveries_are_noticed() {
    let mut oracle = oracle(Assurance::AtLeastOnce, false);
    let [first, second] = [publish(&mut oracle), publish(&mut oracle)];
    oracle.acknowledged(first, 0, true);
    oracle.delivered(LISTENER, second, TOPIC, Assurance::AtLeastOnce, false);
    let mut without = std::mem::take(&mut oracle);
    without.finish();
    assert!(complaint(&without).contains("never delivered"));

    let mut oracle = self::oracle(Assurance::AtLeastOnce, false);
    let [first, second] = [publish(&mut oracle), publish(&mut oracle)];
    oracle.delivered(LISTENER, second, TOPIC, Assurance::AtLeastOnce, false);
    oracle.delivered(LISTENER, second, TOPIC, Assurance::AtLeastOnce, true);
    assert_eq!(complaint(&oracle), "none", "at least once is more than once at times");
    oracle.delivered(LISTENER, first, TOPIC, Assurance::AtLeastOnce, false);
    assert!(complaint(&oracle).contains("delivered after publication 1"));
}
