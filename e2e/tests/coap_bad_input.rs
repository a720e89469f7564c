//! What breaks the rules of CoAP over UDP: the right code or silence, a counter, a line that names the cause, and nothing
//! lost for others.

use std::net::Ipv4Addr;
use std::time::Duration;
use windrose_e2e::coap::{Client, Kind, Message, code, option};
use windrose_e2e::documents::open_coap;
use windrose_e2e::{Node, wait_until};

/// How long is waited for what must not come.
const QUIET: Duration = Duration::from_millis(300);

fn start() -> (Node, Client) {
    let node = Node::start(&open_coap(""));
    let client = Client::new(node.coap());
    (node, client)
}

/// Bytes that are no message: a confirmable one is reset, any other ignored.
fn assert_malformed(client: &Client, tail: &[u8], why: &str) {
    let id = [0x11, tail.len() as u8];
    client.send_bytes(&[&[0x40, 1], &id[..], tail].concat());
    let answer = client.next(windrose_e2e::wait::SOON).unwrap_or_else(|| panic!("{why}: no RST"));
    assert_eq!((answer.kind, answer.code), (Kind::Rst, code::EMPTY), "{why}");
    assert_eq!(answer.id, u16::from_be_bytes(id), "{why}");
    client.send_bytes(&[&[0x50, 1, 0x22, 0x22], tail].concat());
}

#[test]
fn malformed_messages_are_reset_or_ignored_and_counted() {
    let (node, mut client) = start();
    for (tail, why) in [
        (&[0xff][..], "a payload marker without a payload"),
        (&[0xb5, b'a'], "an option longer than the datagram"),
        (&[0xf0], "an option delta of 15"),
        (&[0x0f], "an option length of 15"),
        (&[0xd0], "an option delta without its second byte"),
        (&[0xe0, 0xff, 0xff], "an option number past 65,535"),
        (&[0xbe, 0xff, 0xff, b'a'], "an option of 65,804 bytes"),
    ] {
        assert_malformed(&client, tail, why);
    }
    // Versions and shorter things than a header are nobody's.
    for silent in [&[0x80, 1, 0, 1][..], &[0x00, 1, 0, 1], &[0xc0, 1, 0, 1], &[0x40, 1, 0], &[0x40], &[]] {
        client.send_bytes(silent);
    }
    // Classes of codes that are reserved: 1, 6 and 7.
    for reserved in [0x20, 0xc1, 0xe0] {
        client.send_bytes(&[0x40, reserved, 0x33, reserved]);
        let answer = client.expect();
        assert_eq!((answer.kind, answer.id), (Kind::Rst, u16::from_be_bytes([0x33, reserved])));
    }
    client.expect_nothing(QUIET);
    assert_eq!(client.ask(Message::put("still/here", "yes")).code, code::CREATED, "nothing else is lost");
    node.wait_log(&["datagram", "cause"]);
    wait_until("that it is counted", || node.metric("windrose_coap_mishaps_total", &[]) >= 10.0);
}

#[test]
fn options_that_must_be_understood_and_are_not_refuse_the_request() {
    let (_node, mut client) = start();
    client.ask(Message::put("a/value", "1").format(0));
    let critical = client.ask(Message::get("a/value").with(2_049, "x"));
    assert_eq!((critical.kind, critical.code), (Kind::Ack, code::BAD_OPTION));
    let request = client.start(Message::get("a/value").with(2_049, "x").non());
    let answer = client.next(QUIET);
    let rejected = answer.is_none_or(|answer| (answer.kind, answer.id) == (Kind::Rst, request.id));
    assert!(rejected, "a NON is rejected: a RST or silence");
    let elective = client.ask(Message::get("a/value").with(2_050, "x"));
    assert_eq!((elective.code, elective.text().as_str()), (code::CONTENT, "1"), "an elective one is ignored");
    // Lengths that an option cannot have, and values too many of it, count as options that are not known.
    let long = client.ask(Message::get("a/value").with(option::ACCEPT, [0, 0, 50]));
    assert_eq!(long.code, code::BAD_OPTION);
    let twice = client
        .ask(Message::put("a/value", "2").with(option::IF_NONE_MATCH, "").with(option::IF_NONE_MATCH, ""));
    assert_eq!(twice.code, code::BAD_OPTION);
    let unknown = client.ask(Message::request(windrose_e2e::coap::Code(31), "a/value"));
    assert_eq!(unknown.code, code::METHOD_NOT_ALLOWED);
    assert_eq!(client.ask(Message::get("a/value")).text(), "1", "nothing of it was done");
}

#[test]
fn who_has_not_shown_itself_is_sent_three_times_what_it_sent_at_most() {
    let (node, mut local) = start();
    let value = "x".repeat(1_000);
    local.ask(Message::put("large/value", value.clone()).format(0));
    // Another address of the loopback network than the node's own: it could be anybody's.
    let mut stranger = Client::at(Ipv4Addr::new(127, 66, 6, 6), node.coap());
    let request = stranger.start(Message::get("large/value"));
    let sent = request.encode().len();
    let mut came = 0;
    let mut first = None;
    // Unanswered repetitions of ours would count, too.
    while let Some(bytes) = stranger.next_bytes(Duration::from_secs(4)) {
        came += bytes.len();
        first = first.or(Some(Message::decode(&bytes)));
    }
    assert!(came <= 3 * sent, "{came} bytes for {sent}");
    let first = first.expect("it is told what to do");
    if first.code == code::UNAUTHORIZED {
        let echo = first.option(option::ECHO).expect("an Echo to repeat").to_vec();
        let whole = stranger.ask(Message::get("large/value").with(option::ECHO, echo.clone()));
        assert_eq!((whole.code, whole.text()), (code::CONTENT, value), "it has shown itself");
        assert_eq!(stranger.ask(Message::get("large/value")).code, code::CONTENT, "and has for a while");
        let mut thief = Client::at(Ipv4Addr::new(127, 66, 6, 7), node.coap());
        let stolen = thief.ask(Message::get("large/value").with(option::ECHO, echo));
        assert!(stolen.payload.len() < 200, "an Echo is for its address: {stolen:?}");
    } else {
        let (_, more, szx) =
            first.block_of(option::BLOCK2).unwrap_or_else(|| panic!("a smaller block: {first:?}"));
        assert!(more && szx < 6);
    }
}

#[test]
fn a_flood_of_observations_is_bounded() {
    let (node, mut client) = start();
    let mut observed = 0;
    for number in 0..3_000 {
        let request = client.start(Message::get(&format!("flood/{number}")).uint(option::OBSERVE, 0));
        let response = client.response(&request);
        if response.number(option::OBSERVE).is_some() {
            observed += 1;
        } else {
            break;
        }
    }
    assert!((1..3_000).contains(&observed), "{observed} observations of one endpoint");
    assert_eq!(node.metric("windrose_subscriptions", &[]), f64::from(observed));
    let mut other = Client::new(node.coap());
    assert_eq!(other.ask(Message::put("still/here", "yes")).code, code::CREATED);
}
