//! Routes that say `as: json`.

use crate::harness::*;
use bytes::Bytes;
use std::cell::RefCell;
use std::rc::Rc;
use windrose_engine::{Answer, Dispatch, Input, Reply};
use windrose_event::{Cause, Details, Directive, Intent, Outcome, Publication, Publish, Tag, Text};

const DOCUMENT: &str = "pools:\n  one: {protocol: http, members: [\"http://127.0.0.1:1/\"]}\n  \
    two: {protocol: http, members: [\"http://127.0.0.1:2/\"]}\n\
    routes:\n  - {name: json, match: \"a/#\", deliver: {pool: one}, as: json}\n  \
    - {name: plain, match: \"a/both\", deliver: {pool: two}}\n";

/// `{"kwh": 3}`
const CBOR: &[u8] = b"\xa1\x63kwh\x03";

fn in_cbor(address: &str, payload: &'static [u8]) -> Publication {
    let details = Details { content_type: Some("application/cbor".into()), ..Details::default() };
    Publication {
        payload: Bytes::from_static(payload),
        details: Some(Box::new(details)),
        ..publication(address, "", Q1)
    }
}

/// Pool, payload and content type of what was dispatched.
type Seen = Rc<RefCell<Vec<(String, Vec<u8>, String)>>>;

fn note(seen: &Seen, dispatch: &Dispatch) {
    let event = &dispatch.events[0];
    let content_type = event.content_type().map_or("", Text::as_str).to_owned();
    seen.borrow_mut().push((dispatch.pool.name.to_string(), event.payload.to_vec(), content_type));
}

#[test]
fn a_pool_gets_json_and_others_and_subscribers_what_was_sent() {
    let mut node = Node::new(DOCUMENT);
    let seen = Seen::default();
    node.service({
        let seen = seen.clone();
        move |dispatch| {
            note(&seen, dispatch);
            answered(Outcome::Accepted)
        }
    });
    let (sender, listener) = (node.client("sender"), node.client("listener"));
    node.subscribe(listener, "a/#", Q1);
    let publication = in_cbor("a/both", CBOR);
    node.intent(sender, Intent::Publish(Publish { tag: Tag(1), again: false, publication }));
    assert_eq!(node.settled(sender), [(1, Outcome::Accepted, true)]);
    let json = ("one".to_owned(), b"{\"kwh\":3}".to_vec(), "application/json".to_owned());
    let cbor = ("two".to_owned(), CBOR.to_vec(), "application/cbor".to_owned());
    assert_eq!(*seen.borrow(), [json, cbor]);
    let deliveries = node.deliveries(listener);
    assert_eq!(deliveries[0].event.payload, CBOR);
    assert_eq!(deliveries[0].event.content_type().map(Text::as_str), Some("application/cbor"));
    seen.borrow_mut().clear();
    node.publish(sender, 2, "a/x", "21.5", Q1);
    assert_eq!(*seen.borrow(), [("one".to_owned(), b"21.5".to_vec(), String::new())], "no type, no change");
}

#[test]
fn what_is_not_the_cbor_that_it_says_is_refused_and_others_get_it_all_the_same() {
    let mut node = Node::new(DOCUMENT);
    let (sender, listener) = (node.client("sender"), node.client("listener"));
    node.subscribe(listener, "a/#", Q1);
    let publication = in_cbor("a/both", b"\xa1\x01\x02");
    node.intent(sender, Intent::Publish(Publish { tag: Tag(1), again: false, publication }));
    assert_eq!(node.answer(Outcome::Accepted).pool.name.as_ref(), "two");
    match &node.settled(sender)[..] {
        [(1, Outcome::Rejected(rejection), true)] => {
            assert_eq!(rejection.cause, Cause::BadPayload);
            assert!(rejection.detail.as_ref().unwrap().contains("no text"), "{rejection}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(node.deliveries(listener).len(), 1);
    assert_eq!((node.dropped("bad_payload"), node.tally(0).routes[0].events), (1, [0, 0, 0, 0, 1]));
    let publication = in_cbor("a/x", b"");
    node.intent(sender, Intent::Publish(Publish { tag: Tag(2), again: false, publication }));
    assert!(node.answer(Outcome::Accepted).events[0].payload.is_empty(), "nothing is in no representation");
}

#[test]
fn a_reply_in_json_goes_back_in_cbor_to_whom_asked_in_it() {
    let mut node = Node::new(DOCUMENT);
    for (kind, text, expected, back) in [
        ("application/json", "{\"limit\":1.5}", "application/cbor", &b"\xa1\x65limit\xf9\x3e\x00"[..]),
        ("application/senml+json", "[{\"n\":\"a\"}]", "application/senml+cbor", b"\x81\xa1\x00\x61a"),
        ("text/plain", "fine", "text/plain", b"fine"),
        ("application/json", "broken", "application/json", b"broken"),
    ] {
        node.service(move |_| {
            let reply = Reply { content_type: Some(kind.into()), payload: text.into() };
            Some(Answer { outcome: Outcome::Accepted, reply: Some(reply) })
        });
        let exchange = node.exchange(0);
        let publication = in_cbor("a/x", CBOR);
        node.intent(exchange, Intent::Request(Publish { tag: Tag(3), again: false, publication }));
        match &node.said(exchange)[..] {
            [Directive::Reply { event, .. }] => {
                assert_eq!(event.content_type().map(Text::as_str), Some(expected), "{kind}");
                assert_eq!(event.payload, back, "{kind}");
            }
            other => panic!("no reply: {other:?}"),
        }
        let publication = crate::harness::publication("a/x", "{}", Q1);
        node.intent(exchange, Intent::Request(Publish { tag: Tag(4), again: false, publication }));
        match &node.said(exchange)[..] {
            [Directive::Reply { event, .. }] => assert_eq!(event.payload, text, "whoever asked otherwise"),
            other => panic!("no reply: {other:?}"),
        }
    }
}

#[test]
fn an_answer_that_comes_after_the_acknowledgement_goes_where_the_route_says_in_the_askers_form() {
    let mut node = Node::new(&DOCUMENT.replace("as: json", "as: json, reply_to: \"{address}/reply\""));
    let (sender, listener) = (node.client("sender"), node.client("listener"));
    node.subscribe(listener, "a/x/reply", Q1);
    let publication = in_cbor("a/x", CBOR);
    node.intent(sender, Intent::Publish(Publish { tag: Tag(1), again: false, publication }));
    let Dispatch { pool, mut events, form, .. } = node.answer(Outcome::Accepted);
    assert_eq!(node.settled(sender), [(1, Outcome::Accepted, true)]);
    assert!(node.deliveries(listener).is_empty());
    let event = events.pop().unwrap();
    assert_eq!(event.reply_to().map(|address| address.as_str()), Some("a/x/reply"));
    let reply =
        Reply { content_type: Some("application/json".into()), payload: Bytes::from_static(b"{\"kwh\":3}") };
    node.input(0, Input::Replied { pool: pool.name.clone(), event, form, reply });
    let deliveries = node.deliveries(listener);
    assert_eq!((deliveries[0].event.address.as_str(), &deliveries[0].event.payload[..]), ("a/x/reply", CBOR));
}
