//! TD_COAP_OBS: observation (RFC 7641).

use crate::support::{QUIET, node, put, valued};
use std::time::Duration;
use windrose_e2e::Node;
use windrose_e2e::coap::{Client, Kind, Message, code, option};
use windrose_e2e::wait::SOON;

/// Observes a path; the response to that, and the token.
fn observe(client: &mut Client, path: &str) -> (Message, Vec<u8>) {
    let request = client.start(Message::get(path).uint(option::OBSERVE, 0));
    let response = client.response(&request);
    assert_eq!(response.code, code::CONTENT);
    assert!(response.number(option::OBSERVE).is_some(), "it is observed: {response:?}");
    (response, request.token)
}

/// The next notification, acknowledged.
fn notified(client: &Client, token: &[u8]) -> Message {
    let notification = client.next(SOON).expect("a notification comes");
    assert_eq!(notification.token, token);
    if notification.kind == Kind::Con {
        client.acknowledge(&notification);
    }
    notification
}

/// The number of observations that the node has.
fn observations(node: &Node) -> f64 {
    node.metric("windrose_subscriptions", &[])
}

#[test]
fn obs_01_02_changes_are_told_in_order() {
    let node = node();
    let (mut client, path) = valued(&node, "0");
    let mut other = Client::new(node.coap());
    let (first, token) = observe(&mut client, &path);
    assert_eq!(first.text(), "0");
    let mut last = first.number(option::OBSERVE).expect("a number");
    for value in ["1", "2", "3"] {
        put(&mut other, &path, value);
        let notification = notified(&client, &token);
        assert_eq!((notification.code, notification.text().as_str()), (code::CONTENT, value));
        let number = notification.number(option::OBSERVE).expect("a number");
        assert!(number > last && number < 1 << 24, "{number} after {last}");
        last = number;
    }
    // What is not to be told surely is told by a message that is not confirmable.
    other.ask(Message::put(&path, "4").format(0).non());
    let notification = notified(&client, &token);
    assert_eq!(notification.text(), "4");
}

#[test]
fn obs_03_a_get_with_observe_1_ends_it() {
    let node = node();
    let (mut client, path) = valued(&node, "0");
    let (_, token) = observe(&mut client, &path);
    let mut end = Message::get(&path).uint(option::OBSERVE, 1);
    end.token = token;
    let response = client.ask(end);
    assert_eq!((response.code, response.number(option::OBSERVE)), (code::CONTENT, None));
    put(&mut Client::new(node.coap()), &path, "1");
    client.expect_nothing(QUIET);
}

#[test]
fn obs_05_who_does_not_acknowledge_is_forgotten() {
    // 2 to 3 s, doubled four times: up to 93 s. Only the beginning is seen here; the machine's tests see the end.
    let node = node();
    let (mut client, path) = valued(&node, "0");
    let (_, token) = observe(&mut client, &path);
    put(&mut Client::new(node.coap()), &path, "1");
    let first = client.expect();
    assert_eq!((first.kind, &first.token), (Kind::Con, &token));
    let again = client.next(Duration::from_secs(4)).expect("it is sent again");
    assert_eq!(first, again);
    client.reset(&again);
}

#[test]
fn obs_06_a_reset_ends_it() {
    let node = Node::start(&windrose_e2e::documents::open_coap(""));
    let (mut client, path) = valued(&node, "0");
    observe(&mut client, &path);
    assert_eq!(observations(&node), 1.0);
    let mut other = Client::new(node.coap());
    put(&mut other, &path, "1");
    let notification = client.expect();
    client.reset(&notification);
    windrose_e2e::wait_until("the observation's end", || observations(&node) == 0.0);
    put(&mut other, &path, "2");
    client.expect_nothing(QUIET);
}

#[test]
fn obs_07_the_end_of_the_value_ends_it() {
    let node = node();
    let (mut client, path) = valued(&node, "0");
    let (_, token) = observe(&mut client, &path);
    let mut other = Client::new(node.coap());
    other.ask(Message::delete(&path));
    let notification = notified(&client, &token);
    assert_eq!((notification.code, notification.number(option::OBSERVE)), (code::NOT_FOUND, None));
    put(&mut other, &path, "1");
    client.expect_nothing(QUIET);
}

#[test]
fn obs_08_another_content_format_ends_it() {
    let node = node();
    let (mut client, path) = valued(&node, "0");
    let (_, token) = observe(&mut client, &path);
    let mut other = Client::new(node.coap());
    other.ask(Message::put(&path, "{}").format(50));
    let notification = notified(&client, &token);
    assert!(notification.code.0 >= 0x80, "{notification:?}");
    put(&mut other, &path, "1");
    client.expect_nothing(QUIET);
}

#[test]
fn obs_09_the_observer_may_set_the_value_itself() {
    let node = node();
    let (mut client, path) = valued(&node, "0");
    let (_, token) = observe(&mut client, &path);
    let request = client.start(Message::put(&path, "1").format(0));
    let (mut notification, mut response) = (None, None);
    while notification.is_none() || response.is_none() {
        let message = client.expect();
        if message.kind == Kind::Con {
            client.acknowledge(&message);
        }
        match &message.token {
            own if *own == token => notification = Some(message),
            own => {
                assert_eq!(*own, request.token);
                response = Some(message);
            }
        }
    }
    assert_eq!(response.map(|response| response.code), Some(code::CHANGED));
    assert_eq!(notification.map(|notification| notification.text()), Some("1".to_owned()));
}

#[test]
fn obs_10_a_get_without_observe_does_not_end_it() {
    let node = node();
    let (mut client, path) = valued(&node, "0");
    let (_, token) = observe(&mut client, &path);
    assert_eq!(client.ask(Message::get(&path)).number(option::OBSERVE), None);
    put(&mut Client::new(node.coap()), &path, "1");
    assert_eq!(notified(&client, &token).text(), "1");
}

#[test]
fn obs_13_a_large_notification_comes_in_blocks() {
    let node = node();
    let (mut client, path) = valued(&node, "0");
    let (_, token) = observe(&mut client, &path);
    let value = crate::support::long(1_500);
    let mut other = Client::new(node.coap());
    for (number, part) in value.as_bytes().chunks(1024).enumerate() {
        let more = number == 0;
        let part = Message::put(&path, part).format(0).block(option::BLOCK1, number as u32, more, 6);
        other.ask(part);
    }
    let notification = notified(&client, &token);
    let (block, more, szx) = notification.block_of(option::BLOCK2).expect("a block");
    assert_eq!((block, more), (0, true));
    let size = 16usize << szx;
    let mut all = notification.text();
    for block in 1..value.len().div_ceil(size) as u32 {
        let response = client.ask(Message::get(&path).block(option::BLOCK2, block, false, szx));
        assert_eq!(response.option(option::ETAG), notification.option(option::ETAG));
        all.push_str(&response.text());
    }
    assert_eq!(all, value);
}
