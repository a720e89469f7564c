//! Requests and replies.

use crate::harness::*;
use bytes::Bytes;
use windrose_engine::{Answer, Reply};
use windrose_event::{Address, Cause, Details, Directive, Intent, Outcome, Publication, Publish, Tag, Text};

fn ask(node: &mut Node, exchange: Peer, tag: u16, address: &str) {
    let publication = publication(address, "where?", Q1);
    node.intent(exchange, Intent::Request(Publish { tag: Tag(tag), again: false, publication }));
}

fn reply_of(node: &mut Node, exchange: Peer) -> String {
    match &node.said(exchange)[..] {
        [Directive::Reply { tag: Tag(3), event }] => String::from_utf8(event.payload.to_vec()).unwrap(),
        other => panic!("no reply: {other:?}"),
    }
}

#[test]
fn a_thing_answers_the_exchange_that_asked_it_whatever_their_shards() {
    for (thing_at, exchange_at) in [(0, 0), (0, 1), (1, 0)] {
        let mut node = Node::with_shards(2, "");
        let thing = node.client_at(thing_at, "car-7");
        node.subscribe(thing, "devices/car-7/commands/#", Q1);
        let exchange = node.exchange(exchange_at);
        ask(&mut node, exchange, 3, "devices/car-7/commands/locate");
        assert!(node.said(exchange).is_empty(), "it waits");
        let delivery = node.deliveries(thing).remove(0);
        let to = delivery.event.reply_to().expect("where the answer goes").as_str().to_owned();
        assert!(delivery.event.correlation().is_some_and(|correlation| correlation.len() == 16));
        node.publish(thing, 5, &to, "here!", Q1);
        assert!(matches!(node.settled(thing)[..], [(5, Outcome::Accepted, true)]));
        assert_eq!(reply_of(&mut node, exchange), "here!");
        node.publish(thing, 6, &to, "again!", Q1);
        assert!(node.said(exchange).is_empty(), "one reply a request");
    }
}

#[test]
fn nobody_there_is_said_at_once_and_so_is_a_rejection() {
    let mut node = Node::new("access: [{who: anyone, may: [request], on: \"allowed/#\"}]");
    let exchange = node.exchange(0);
    ask(&mut node, exchange, 3, "allowed/thing");
    assert_eq!(node.settled(exchange), [(3, Outcome::unavailable(), false)]);
    ask(&mut node, exchange, 4, "forbidden/thing");
    let settled = node.settled(exchange);
    assert!(matches!(&settled[0].1, Outcome::Rejected(rejection) if rejection.cause == Cause::NotPermitted));
}

#[test]
fn a_reply_that_nobody_waits_for_is_not_heard() {
    let mut node = Node::new("");
    let thing = node.client("thing");
    for to in
        ["$reply/0-00000000000000000000000000000001", "$reply/9-00000000000000000000000000000001", "$reply/x"]
    {
        node.publish(thing, 1, to, "x", Q1);
        assert_eq!(node.settled(thing), [(1, Outcome::Accepted, false)], "{to}");
    }
    node.subscribe(thing, "a", Q0);
    let exchange = node.exchange(0);
    ask(&mut node, exchange, 3, "a");
    let to = node.deliveries(thing)[0].event.reply_to().unwrap().as_str().to_owned();
    node.lose(exchange);
    node.publish(thing, 1, &to, "late", Q1);
    assert_eq!(node.settled(thing), [(1, Outcome::Accepted, false)]);
}

const ROUTE: &str = "pools: {api: {protocol: http, members: [\"http://127.0.0.1:1/\"]}}\n\
    routes: [{name: r, match: \"a/#\", deliver: {pool: api}, subscribers: false}]\n";

fn reply(text: &'static str) -> Option<Answer> {
    let reply =
        Reply { content_type: Some(Text::from("text/plain")), payload: Bytes::from_static(text.as_bytes()) };
    Some(Answer { outcome: Outcome::Accepted, reply: Some(reply) })
}

#[test]
fn a_service_can_answer_a_request() {
    let mut node = Node::new(ROUTE);
    node.service(|_| reply("from the service"));
    let exchange = node.exchange(0);
    ask(&mut node, exchange, 3, "a/b");
    assert_eq!(reply_of(&mut node, exchange), "from the service");
    node.service(|_| answered(Outcome::rejected(Cause::ByService)));
    ask(&mut node, exchange, 4, "a/b");
    assert!(matches!(&node.settled(exchange)[..], [(4, Outcome::Rejected(_), true)]));
}

#[test]
fn a_services_answer_goes_to_the_response_topic_if_the_asker_may_hear_of_it() {
    let rules = "access:\n  - {who: anyone, may: [publish], on: \"#\"}\n  \
                 - {who: anyone, may: [subscribe], on: \"mine/#\"}\n";
    let mut node = Node::new(&format!("{rules}{ROUTE}"));
    node.service(|_| reply("pong"));
    let thing = node.client("thing");
    node.subscribe(thing, "mine/answers", Q1);
    for to in ["mine/answers", "theirs/answers"] {
        let details = Details {
            reply_to: Some(Address::new(to).unwrap()),
            correlation: Some(Bytes::from_static(b"42")),
            ..Details::default()
        };
        let publication = Publication { details: Some(Box::new(details)), ..publication("a/x", "ping", Q1) };
        node.intent(thing, Intent::Publish(Publish { tag: Tag(1), again: false, publication }));
    }
    let deliveries = node.deliveries(thing);
    assert_eq!(deliveries.len(), 1);
    let event = &deliveries[0].event;
    assert_eq!(payload(&deliveries[0]), "pong");
    assert_eq!(event.correlation().map(|bytes| &bytes[..]), Some(&b"42"[..]));
    assert_eq!(event.content_type().map(Text::as_str), Some("text/plain"));
    assert_eq!(event.origin.identity.to_string(), "service:api");
    assert_eq!(node.dropped("reply_not_permitted"), 1);
}

#[test]
fn a_thing_that_will_not_answer_can_say_why_whatever_its_shard() {
    for (thing_at, exchange_at) in [(0, 0), (0, 1), (1, 0)] {
        let mut node = Node::with_shards(2, "");
        let thing = node.client_at(thing_at, "car-7");
        node.subscribe(thing, "devices/car-7/valve", Q1);
        let exchange = node.exchange(exchange_at);
        ask(&mut node, exchange, 3, "devices/car-7/valve");
        let reply_to = node.deliveries(thing).remove(0).event.reply_to().unwrap().clone();
        let outcome = Outcome::rejected_because(Cause::ByService, "it is stuck");
        for _ in 0..2 {
            node.intent(thing, Intent::Decline { reply_to: reply_to.clone(), outcome: outcome.clone() });
        }
        assert_eq!(node.settled(exchange), [(3, outcome, true)], "once");
        node.intent(
            thing,
            Intent::Decline { reply_to: Address::new("a/b").unwrap(), outcome: Outcome::TimedOut },
        );
    }
}
