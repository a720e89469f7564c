//! TD_COAP_CORE: requests and responses (RFC 7252).

use crate::support::{QUIET, client, name, node, put, valued};
use std::time::Duration;
use windrose_e2e::coap::{Client, Kind, Message, code, option};
use windrose_e2e::documents::{DELIVERED, open_coap};
use windrose_e2e::{Answer, Node, Sink};

/// Every request of a case: the response has its token, and if it is an ACK its identifier, too.
fn ask(client: &mut Client, request: Message) -> Message {
    let request = client.start(request);
    let response = client.expect();
    assert_eq!(response.token, request.token, "the response has the request's token");
    match request.kind {
        Kind::Con => assert_eq!((response.kind, response.id), (Kind::Ack, request.id), "piggybacked"),
        _ => assert_eq!(response.kind, Kind::Non, "a NON is answered by a NON"),
    }
    response
}

#[test]
fn core_01_05_get() {
    let node = node();
    let (mut client, path) = valued(&node, "hello");
    for request in [Message::get(&path), Message::get(&path).non()] {
        let response = ask(&mut client, request);
        assert_eq!(response.code, code::CONTENT);
        assert_eq!(response.number(option::CONTENT_FORMAT), Some(0));
        assert_eq!(response.text(), "hello");
    }
}

#[test]
fn core_02_06_delete() {
    let node = node();
    let (mut client, path) = client(&node);
    for non in [false, true] {
        put(&mut client, &path, "hello");
        let request = Message::delete(&path);
        let response = ask(&mut client, if non { request.non() } else { request });
        assert_eq!(response.code, code::DELETED);
        assert_eq!(ask(&mut client, Message::get(&path)).code, code::NOT_FOUND);
    }
}

#[test]
fn core_03_07_put() {
    let node = node();
    let (mut client, path) = client(&node);
    let response = ask(&mut client, Message::put(&path, "one").format(0));
    assert_eq!(response.code, code::CREATED, "there was no value");
    let response = ask(&mut client, Message::put(&path, "two").format(0).non());
    assert_eq!(response.code, code::CHANGED, "there was one");
    assert_eq!(ask(&mut client, Message::get(&path)).text(), "two");
}

#[test]
fn core_04_08_post() {
    let node = node();
    let (mut client, path) = client(&node);
    for request in [Message::post(&path, "event").format(0), Message::post(&path, "event").format(0).non()] {
        assert_eq!(ask(&mut client, request).code, code::CHANGED);
    }
}

#[test]
fn core_09_11_17_a_response_that_takes_longer_comes_separately() {
    let sink = Sink::start();
    sink.answer(Answer::OK.after(Duration::from_secs(3)));
    let node = Node::start(&start_with(&sink));
    let mut client = Client::new(node.coap());
    let request = client.start(Message::post("devices/m/telemetry", "{}"));
    let first = client.expect();
    assert_eq!(
        (first.kind, first.code, first.id),
        (Kind::Ack, code::EMPTY, request.id),
        "an empty ACK first"
    );
    assert!(first.token.is_empty() && first.options.is_empty(), "and nothing in it: {first:?}");
    let response = client.expect();
    assert_eq!((response.kind, response.code), (Kind::Con, code::CHANGED), "then the response, confirmable");
    assert_eq!(response.token, request.token);
    client.acknowledge(&response);
    client.expect_nothing(Duration::from_secs(4));

    let request = client.start(Message::post("devices/m/telemetry", "{}").non());
    let response = client.expect();
    assert_eq!((response.kind, response.code), (Kind::Non, code::CHANGED), "a NON is not acknowledged");
    assert_eq!(response.token, request.token);
    assert_eq!(sink.count(), 2, "each event came once");
}

#[test]
fn core_16_a_separate_response_is_repeated_until_it_is_acknowledged() {
    let sink = Sink::start();
    sink.answer(Answer::OK.after(Duration::from_secs(2)));
    let node = Node::start(&start_with(&sink));
    let mut client = Client::new(node.coap());
    let request = client.start(Message::post("devices/m/telemetry", "{}"));
    assert_eq!(client.expect().kind, Kind::Ack);
    let response = client.expect();
    let again = client.expect();
    assert_eq!(response, again, "the same message, for it was not acknowledged");
    // The request once more, as if the empty ACK were lost: it is acknowledged again, and not done again.
    client.acknowledge(&response);
    client.send(&request);
    let repeated = client.expect();
    assert_eq!((repeated.kind, repeated.id), (Kind::Ack, request.id));
    client.expect_nothing(QUIET);
    assert_eq!(sink.count(), 1);
}

fn start_with(sink: &Sink) -> String {
    open_coap(&DELIVERED.replace("${SINK}", &sink.port().to_string()))
}

#[test]
fn core_10_12_tokens_of_any_length() {
    let node = node();
    let (client, path) = valued(&node, "hello");
    for length in 0..=8 {
        let token: Vec<u8> = (0..length).map(|byte| 0xa0 + byte).collect();
        let request = Message { token: token.clone(), id: 0x7000 + u16::from(length), ..Message::get(&path) };
        client.send(&request);
        let response = client.expect();
        assert_eq!((response.code, response.token), (code::CONTENT, token));
    }
}

#[test]
fn core_13_several_segments_of_a_path() {
    let node = node();
    let path = format!("{}/seg2/seg3", name());
    let mut client = Client::new(node.coap());
    put(&mut client, &path, "deep");
    assert_eq!(ask(&mut client, Message::get(&path)).text(), "deep");
}

#[test]
fn core_14_several_queries() {
    let node = node();
    let (mut client, path) = valued(&node, "hello");
    let request = ["first=1", "second=2", "third=3"]
        .iter()
        .fold(Message::get(&path), |request, query| request.with(option::URI_QUERY, *query));
    assert_eq!(ask(&mut client, request).code, code::CONTENT);
}

#[test]
fn core_15_a_request_that_is_repeated_has_the_same_answer_and_is_done_once() {
    let sink = Sink::start();
    let node = Node::start(&start_with(&sink));
    let mut client = Client::new(node.coap());
    let request = client.start(Message::post("devices/m/telemetry", "{}"));
    let response = client.expect();
    for _ in 0..3 {
        client.send(&request);
        assert_eq!(client.expect(), response, "byte for byte");
    }
    assert_eq!(sink.count(), 1, "the event came once");
}

#[test]
fn core_20_accept() {
    let node = node();
    let (mut client, path) = client(&node);
    let value = Message::put(&path, "{\"a\":1}").format(50);
    ask(&mut client, value);
    let response = ask(&mut client, Message::get(&path).uint(option::ACCEPT, 50));
    assert_eq!((response.code, response.number(option::CONTENT_FORMAT)), (code::CONTENT, Some(50)));
    let response = ask(&mut client, Message::get(&path).uint(option::ACCEPT, 41));
    assert_eq!(response.code, code::NOT_ACCEPTABLE);
}

#[test]
fn core_21_etag() {
    let node = node();
    let (mut client, path) = valued(&node, "one");
    let first = ask(&mut client, Message::get(&path));
    let etag = first.option(option::ETAG).expect("a value has an ETag").to_vec();
    assert!((1..=8).contains(&etag.len()));
    let valid = ask(&mut client, Message::get(&path).with(option::ETAG, etag.clone()));
    assert_eq!((valid.code, valid.option(option::ETAG)), (code::VALID, Some(&etag[..])));
    assert!(valid.payload.is_empty());
    put(&mut client, &path, "two");
    let changed = ask(&mut client, Message::get(&path).with(option::ETAG, etag.clone()));
    assert_eq!((changed.code, changed.text().as_str()), (code::CONTENT, "two"));
    assert_ne!(changed.option(option::ETAG), Some(&etag[..]));
}

#[test]
fn core_22_if_match() {
    let node = node();
    let (mut client, path) = valued(&node, "one");
    let etag = ask(&mut client, Message::get(&path)).option(option::ETAG).expect("an ETag").to_vec();
    let conditional = |value: &str| Message::put(&path, value).format(0).with(option::IF_MATCH, etag.clone());
    assert_eq!(ask(&mut client, conditional("two")).code, code::CHANGED);
    assert_eq!(
        ask(&mut client, conditional("three")).code,
        code::PRECONDITION_FAILED,
        "it has changed since"
    );
    assert_eq!(ask(&mut client, Message::get(&path)).text(), "two");
    let any = Message::put(&path, "four").with(option::IF_MATCH, "");
    assert_eq!(ask(&mut client, any).code, code::CHANGED, "an empty If-Match: if it exists");
    let none = Message::put(&format!("{path}/none"), "x").with(option::IF_MATCH, "");
    assert_eq!(ask(&mut client, none).code, code::PRECONDITION_FAILED);
}

#[test]
fn core_23_if_none_match() {
    let node = node();
    let (mut client, path) = client(&node);
    let create = || Message::put(&path, "one").format(0).with(option::IF_NONE_MATCH, "");
    assert_eq!(ask(&mut client, create()).code, code::CREATED);
    assert_eq!(ask(&mut client, create()).code, code::PRECONDITION_FAILED);
}

#[test]
fn core_25_to_30_nobody_is_proxied_for() {
    let node = node();
    let (mut client, path) = valued(&node, "hello");
    let request = Message::get("").with(option::PROXY_URI, format!("coap://127.0.0.1/{path}"));
    assert_eq!(ask(&mut client, request).code, code::NO_PROXY);
    let request = Message::get(&path).with(option::PROXY_SCHEME, "coap");
    assert_eq!(ask(&mut client, request).code, code::NO_PROXY);
}

#[test]
fn core_31_a_ping_is_answered_by_a_reset() {
    let node = node();
    let (mut client, _) = client(&node);
    let ping = Message { token: Vec::new(), ..Message::request(code::EMPTY, "") };
    let ping = Message { id: 0x1234, ..ping };
    client.send(&ping);
    let answer = client.expect();
    assert_eq!((answer.kind, answer.id, answer.code), (Kind::Rst, 0x1234, code::EMPTY));
    assert_eq!(ask(&mut client, Message::get("nothing/here")).code, code::NOT_FOUND);
}
