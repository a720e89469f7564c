//! Observation.

use super::*;
use windrose_event::{Cause, CloseReason, Details};

fn observe(path: &str) -> Wish {
    get(path).uint(option::OBSERVE, 0)
}

#[test]
fn an_observer_is_told_what_is_there_and_what_follows() {
    let mut world = World::new();
    world.ask(&put("/a", "one"));
    let first = world.ask(&observe("/a").token("tok"));
    assert_eq!((first.code, &first.payload[..]), (Code::CONTENT, &b"one"[..]));
    let mut last = uint(&first, option::OBSERVE).unwrap();
    for (assurance, confirmable) in [(Q1, true), (Q0, false)] {
        world.publish("a", "two", assurance);
        let told = world.one_told();
        assert_eq!((&told.token[..], told.confirmable), (&b"tok"[..], confirmable));
        assert_eq!((told.response.code, &told.response.payload[..]), (Code::CONTENT, &b"two"[..]));
        let sequence = uint(&told.response, option::OBSERVE).unwrap();
        assert_eq!(sequence, (last + 1) & 0xff_ffff);
        assert!(values(&told.response, option::LOCATION_PATH).is_empty(), "it knows what it observes");
        last = sequence;
        world.notified(&told, Fate::Acknowledged);
    }
    assert_eq!(world.settled.len(), 1);
    assert_eq!(world.settled[0].2, Outcome::Accepted);
}

#[test]
fn what_has_no_value_yet_is_observed_all_the_same() {
    let mut world = World::new();
    let first = world.ask(&observe("/a"));
    assert_eq!((first.code, first.payload.len()), (Code::CONTENT, 0));
    assert!(uint(&first, option::OBSERVE).is_some());
    world.publish("a", "x", Q0);
    assert_eq!(world.one_told().response.payload, "x");
}

#[test]
fn an_observer_of_a_filter_is_told_the_addresses() {
    let mut world = World::new();
    let first = world.ask(&observe("/devices/+/telemetry/#"));
    assert!(uint(&first, option::OBSERVE).is_some());
    world.publish("devices/7/telemetry/engine", "x", Q0);
    let told = world.one_told();
    assert_eq!(values(&told.response, option::LOCATION_PATH), ["devices", "7", "telemetry", "engine"]);
    world.publish("devices/7/other", "x", Q0);
    assert!(world.told.is_empty());
    let cancelled = world.ask(&get("/devices/+/telemetry/#").uint(option::OBSERVE, 1));
    assert_eq!((cancelled.code, uint(&cancelled, option::OBSERVE)), (Code::CONTENT, None));
    world.publish("devices/7/telemetry/engine", "x", Q0);
    assert!(world.told.is_empty());
}

#[test]
fn an_observer_learns_where_a_reply_is_wanted_and_gives_it_by_post() {
    let mut world = World::new();
    world.ask(&observe("/devices/7/commands/#"));
    let details = Details {
        reply_to: Address::new("$reply/0-abc").ok(),
        correlation: Some(Bytes::from_static(&[0, 0xab])),
        ..Details::default()
    };
    let event = publication("devices/7/commands/lock", "now", Q1);
    world.happen(Publication { details: Some(Box::new(details)), ..event });
    world.run();
    let told = world.one_told();
    assert_eq!(
        values(&told.response, option::LOCATION_QUERY),
        ["windrose-reply-to=$reply/0-abc", "windrose-correlation=00ab"]
    );
    let reply = post("/$reply/0-abc", "done").query("windrose-correlation=00ab");
    assert_eq!(world.ask(&reply).code, Code::CHANGED);
    let publication = &world.published[0].1.publication;
    assert_eq!(publication.address.as_str(), "$reply/0-abc");
    assert_eq!(publication.details.as_ref().unwrap().correlation.as_deref(), Some(&[0, 0xab][..]));
}

#[test]
fn an_observer_ends_its_observation_or_its_silence_does() {
    let mut world = World::new();
    world.ask(&observe("/a").token("one"));
    world.ask(&observe("/a").token("two"));
    world.ask(&observe("/b").token("three"));
    assert_eq!(world.subscriptions.len(), 2, "one for both that observe the same");
    assert_eq!(world.opened.len(), 1, "the observer's own");
    world.publish("a", "x", Q1);
    assert_eq!(world.told.len(), 2);
    let told = world.told.pop_back().unwrap();
    world.told.clear();
    world.notified(&told, Fate::Reset);
    world.publish("a", "x", Q0);
    assert_ne!(world.one_told().token, told.token);
    let plain = world.ask(&get("/a").uint(option::OBSERVE, 1).token("three"));
    assert_eq!(plain.code, Code::NOT_FOUND, "it is a GET, too");
    assert_eq!(world.unsubscribed, [Filter::new("b").unwrap()]);
    world.publish("a", "x", Q1);
    let told = world.one_told();
    world.notified(&told, Fate::TimedOut);
    assert!(world.subscriptions.is_empty(), "its lane went with its last observation");
    world.notified(&told, Fate::TimedOut);
    assert_eq!(world.binding.owners.len(), 0);
}

#[test]
fn an_observer_that_asks_again_by_its_token_is_registered_once() {
    let mut world = World::new();
    world.ask(&put("/a", "x"));
    world.ask(&observe("/a"));
    let again = world.ask(&observe("/a"));
    assert!(uint(&again, option::OBSERVE).is_some());
    world.publish("a", "y", Q0);
    world.one_told();
    world.ask(&observe("/b"));
    world.publish("a", "y", Q0);
    assert!(world.told.is_empty(), "the token is for something else now");
    let etag = etag_of(&world.ask(&get("/a")));
    let valid = world.ask(&observe("/a").with(option::ETAG, &etag));
    assert_eq!(valid.code, Code::VALID);
    assert!(uint(&valid, option::OBSERVE).is_some());
}

#[test]
fn an_observation_ends_when_its_resource_does_or_becomes_something_else() {
    let mut world = World::new();
    world.ask(&put("/a", "{}").uint(option::CONTENT_FORMAT, 50));
    world.ask(&observe("/a").token("a"));
    world.ask(&observe("/#").token("b"));
    world.ask(&Wish::new(Code::DELETE, "/a"));
    let codes: Vec<_> = world.told.drain(..).map(|told| (told.token, told.response.code)).collect();
    assert!(codes.contains(&(b"a".to_vec(), Code::NOT_FOUND)));
    assert!(codes.contains(&(b"b".to_vec(), Code::CONTENT)), "a filter goes on");
    world.ask(&put("/a", "{}").uint(option::CONTENT_FORMAT, 50));
    world.told.clear();
    world.ask(&observe("/a").token("c"));
    world.ask(&put("/a", "text").uint(option::CONTENT_FORMAT, 0));
    let told = world.told.iter().find(|told| told.token == b"c").unwrap();
    assert_eq!(told.response.code, Code::NOT_ACCEPTABLE);
    assert_eq!(uint(&told.response, option::OBSERVE), None);
    assert!(told.confirmable);
    world.told.clear();
    world.ask(&put("/a", "text").uint(option::CONTENT_FORMAT, 0));
    assert!(world.told.iter().all(|told| told.token == b"b"));
}

#[test]
fn silent_observers_are_asked_now_and_then_whether_they_are_there() {
    let mut world = World::new();
    world.ask(&observe("/a"));
    let mut confirmed = Vec::new();
    for index in 0..40 {
        world.publish("a", "x", Q0);
        let told = world.one_told();
        if told.confirmable {
            confirmed.push(index);
            world.notified(&told, Fate::Acknowledged);
        }
    }
    assert_eq!(confirmed, [15, 31]);
    world.advance(Duration::from_secs(61));
    world.told.clear();
    world.publish("a", "x", Q0);
    assert!(world.one_told().confirmable);
}

#[test]
fn observations_are_bounded() {
    let mut world = World::with(|config| config.observations_per_endpoint = 2);
    world.ask(&put("/a", "x"));
    for token in ["1", "2"] {
        assert!(uint(&world.ask(&observe("/a").token(token)), option::OBSERVE).is_some());
    }
    let third = world.ask(&observe("/a").token("3"));
    assert_eq!((third.code, uint(&third, option::OBSERVE)), (Code::CONTENT, None), "RFC 7641 §4.1");
    assert_eq!(world.ask(&observe("/#").token("3")).code, Code::TOO_MANY_REQUESTS);
    assert!(uint(&world.ask_from(2, &observe("/a")), option::OBSERVE).is_some());
}

#[test]
fn what_may_not_be_observed_is_not() {
    let mut world = World::new();
    world.forbidden = Some(Rejection { cause: Cause::NotPermitted, detail: None });
    assert_eq!(world.ask(&observe("/a")).code, Code::FORBIDDEN);
    assert_eq!(world.binding.owners.len(), 0);
    world.forbidden = Some(Rejection { cause: Cause::Quota, detail: None });
    assert_eq!(world.ask(&observe("/#")).code, Code::TOO_MANY_REQUESTS);
    world.forbidden = None;
    world.ask(&put("/a", "{}").uint(option::CONTENT_FORMAT, 50));
    assert_eq!(world.ask(&observe("/a").uint(option::ACCEPT, 0)).code, Code::NOT_ACCEPTABLE);
    world.publish("a", "x", Q0);
    assert!(world.told.is_empty());
}

#[test]
fn a_large_notification_is_the_first_block_and_the_rest_is_asked_for() {
    let mut world = World::new();
    world.ask(&observe("/a/#"));
    let text: String = (0..2_500).map(|index| char::from(b'a' + (index % 26) as u8)).collect();
    world.publish("a/b", &text, Q1);
    let told = world.one_told();
    let block = block_of(&told.response, option::BLOCK2).unwrap();
    assert!(block.more);
    assert_eq!(uint(&told.response, option::SIZE2), Some(2_500));
    let mut found = told.response.payload.to_vec();
    let mut number = 1;
    loop {
        let next = Block { number, more: false, exponent: block.exponent };
        let part = world.ask(&get("/a/#").token("other").block(option::BLOCK2, next));
        assert_eq!(etag_of(&part), etag_of(&told.response));
        found.extend_from_slice(&part.payload);
        number += 1;
        if !block_of(&part, option::BLOCK2).unwrap().more {
            break;
        }
    }
    assert_eq!(found, text.as_bytes());
    world.publish("a/b", "short", Q1);
    let next = Block { number: 1, more: false, exponent: 6 };
    let gone = world.ask(&get("/a/#").block(option::BLOCK2, next));
    assert_eq!(gone.code, Code::BAD_REQUEST, "the rest of what is old is not told any more");
}

#[test]
fn what_no_notification_can_say_is_rejected() {
    let mut world = World::new();
    world.ask(&observe("/#"));
    world.publish(&"long".repeat(100), "x", Q1);
    assert!(world.told.is_empty());
    assert!(
        matches!(&world.settled[0].2, Outcome::Rejected(rejection) if rejection.cause == Cause::TooLarge)
    );
}

#[test]
fn the_engine_ends_observations() {
    let mut world = World::new();
    world.ask(&observe("/a"));
    let lane = world.subscriptions[0].0;
    world.direct(lane, Directive::Close(CloseReason::ShuttingDown));
    let told = world.one_told();
    assert_eq!(told.response.code, Code::SERVICE_UNAVAILABLE);
    assert_eq!(uint(&told.response, option::OBSERVE), None);
    assert!(world.closed.contains(&lane));
    assert_eq!(world.binding.owners.len(), 0);
}

#[test]
fn observers_that_are_gone_are_found_though_nothing_happens() {
    let mut world = World::new();
    for port in 1..=3 {
        world.ask_from(port, &observe("/a"));
    }
    world.advance(Duration::from_secs(30));
    world.publish("a", "x", Q1);
    let told: Vec<_> = world.told.drain(..).filter(|told| told.remote == endpoint(1)).collect();
    world.notified(&told[0], Fate::Acknowledged);
    world.advance(Duration::from_secs(30));
    let pings: Vec<_> = world.told.drain(..).collect();
    assert_eq!(pings.len(), 2, "one has just shown that it is there");
    assert!(pings.iter().all(|ping| ping.confirmable && ping.response == Response::new(Code::EMPTY)));
    let (alive, gone): (Vec<_>, Vec<_>) = pings.iter().partition(|ping| ping.remote == endpoint(2));
    world.notified(alive[0], Fate::Reset);
    world.notified(gone[0], Fate::TimedOut);
    assert_eq!(world.subscriptions.len(), 2);
    world.advance(Duration::from_secs(3_600));
    assert_eq!(world.told.len(), 2, "all that are left, now and then");
}

#[test]
fn an_observer_that_is_behind_is_told_in_order_and_not_flooded() {
    let mut world = World::new();
    world.ask(&observe("/a"));
    world.publish("a", "sure", Q1);
    for index in 0..40 {
        world.publish("a", &format!("{index}"), Q0);
    }
    let told: Vec<_> = world.told.drain(..).collect();
    assert_eq!(told.len(), 17, "what is published at most once does not wait without bound");
    assert!(told.iter().all(|told| told.confirmable), "what is sent later must not overtake what waits");
    let sequences: Vec<_> = told.iter().map(|told| uint(&told.response, option::OBSERVE).unwrap()).collect();
    assert!(sequences.is_sorted());
    let busy = world.settled.iter().filter(|(_, tag, outcome)| *tag == Tag::NONE && outcome.is_retriable());
    assert_eq!(busy.count(), 24);
    for told in &told {
        world.notified(told, Fate::Acknowledged);
    }
    world.publish("a", "again", Q0);
    assert!(!world.one_told().confirmable);
}

#[test]
fn notifications_have_blocks_of_the_size_that_was_asked_for() {
    let mut world = World::new();
    let small = Block { number: 0, more: false, exponent: 2 };
    world.ask(&observe("/a").block(option::BLOCK2, small));
    world.publish("a", &"x".repeat(100), Q1);
    let told = world.one_told();
    assert_eq!(block_of(&told.response, option::BLOCK2), Some(Block { more: true, ..small }));
    assert_eq!(told.response.payload.len(), 64);
    world.publish("a", "short", Q1);
    assert_eq!(block_of(&world.one_told().response, option::BLOCK2), None);
}
