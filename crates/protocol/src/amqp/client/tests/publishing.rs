//! Publications, their confirms and their answers, in either version.

use super::pair::{Pair, asking, config, event, large};
use crate::amqp::client::{ClientOutput, ClientVersion};
use windrose_event::{Cause, Details, Outcome, Text, VIA};

const BOTH: [ClientVersion; 2] = [ClientVersion::V091, ClientVersion::V1];

#[test]
fn an_event_is_settled_as_the_server_settles_it() {
    for version in BOTH {
        let mut pair = Pair::open(config(version));
        let headers = vec![(Text::from("room"), Text::from("7")), (Text::from("ce-type"), Text::from("t"))];
        let content_type = Some(Text::from("text/plain"));
        let details = Details { content_type: content_type.clone(), headers, ..Details::default() };
        pair.publish(1, &event("a.b/c", "first", details));
        pair.publish(2, &event("a", &large(), Details::default()));
        pair.publish(3, &event("a", "", Details::default()));
        assert_eq!(pair.settled(), [], "{version:?}: nothing is settled before the server says so");
        let publication = pair.settle(Outcome::Accepted, true);
        assert_eq!((publication.address.as_str(), &publication.payload[..]), ("a.b/c", &b"first"[..]));
        let details = publication.details.unwrap();
        assert_eq!(details.content_type, content_type);
        for (name, value) in [("room", "7"), ("ce-type", "t"), (VIA, "here")] {
            assert!(details.headers.contains(&(name.into(), value.into())), "{name}: {details:?}");
        }
        assert_eq!(pair.settle(Outcome::Busy { retry_after: None }, true).payload.len(), large().len());
        assert!(pair.settle(Outcome::Accepted, true).payload.is_empty());
        let settled = pair.settled();
        assert_eq!((settled[0], settled[2]), ((1, "accepted"), (3, "accepted")), "{version:?}");
        assert!(settled[1].1 == "busy" || settled[1].1 == "unavailable", "{version:?}: {settled:?}");
    }
}

#[test]
fn what_was_not_confirmed_when_the_connection_ends_goes_back() {
    for version in BOTH {
        let mut pair = Pair::open(config(version));
        pair.publish(1, &event("a", "1", Details::default()));
        pair.publish(2, &event("a", "2", Details::default()));
        pair.settle(Outcome::Accepted, true);
        pair.lose();
        assert_eq!(pair.settled(), [(1, "accepted"), (2, "unavailable")], "{version:?}");
        pair.client.publish(pair.now, 3, event("a", "3", Details::default()));
        pair.published.clear();
        pair.connect();
        assert_eq!(pair.settle(Outcome::Accepted, true).payload, "3");
        assert_eq!(pair.settled(), [(3, "accepted")], "{version:?}");
    }
}

#[test]
fn what_nobody_hears_is_in_no_queue() {
    let mut pair = Pair::open(config(ClientVersion::V091));
    pair.publish(1, &event("a", "1", Details::default()));
    pair.publish(2, &event("b", "2", Details::default()));
    pair.settle(Outcome::Accepted, true);
    pair.settle(Outcome::Accepted, false);
    assert_eq!(pair.settled(), [(1, "accepted"), (2, "unavailable")]);
}

#[test]
fn an_answer_is_told_to_who_asked() {
    for version in BOTH {
        let mut pair = Pair::open(config(version));
        pair.publish(7, &event("ask", "?", asking()));
        let asked = pair.settle(Outcome::Accepted, true);
        let details = asked.details.unwrap();
        let (reply_to, correlation) = (details.reply_to.unwrap(), details.correlation.unwrap());
        assert_eq!(reply_to.as_str(), "$reply/0-00000000000000000000000000000abc", "{version:?}");
        let answer = Details {
            content_type: Some("text/plain".into()),
            correlation: Some(correlation),
            ..Details::default()
        };
        let consumer = pair.consumers[0].consumer;
        let tag = u16::from(!pair.consumers[0].presettled);
        pair.supply(consumer, tag, event(reply_to.as_str(), "!", answer));
        let replied = |output: &ClientOutput| match output {
            ClientOutput::Replied { token, content_type, payload } => {
                Some((*token, content_type.clone(), payload.clone()))
            }
            _ => None,
        };
        let answers: Vec<_> = pair.said.iter().filter_map(replied).collect();
        assert_eq!(answers, [(7, Some("text/plain".into()), "!".into())], "{version:?}");
        // The next request needs no new address.
        pair.publish(8, &event("ask", "?", asking()));
        assert_eq!(pair.consumers.len(), 1);
    }
}

#[test]
fn bytes_may_come_one_by_one() {
    for version in BOTH {
        let mut pair = Pair::new(config(version));
        pair.step = 1;
        pair.connect();
        pair.publish(1, &event("a", &large(), asking()));
        pair.settle(Outcome::rejected(Cause::NotPermitted), true);
        assert!(pair.client.is_open() || version == ClientVersion::V091, "{:?}", pair.said);
    }
}

#[test]
fn the_server_decides_on_the_version_where_the_document_does_not() {
    let mut pair = Pair::new(config(ClientVersion::Auto));
    pair.connect();
    assert!(pair.client.is_open());
    pair.publish(1, &event("a", "1", Details::default()));
    pair.settle(Outcome::Accepted, true);
    pair.lose();
    // One that knows 1.0 only answers with its header.
    let mut pair = Pair::new(config(ClientVersion::Auto));
    pair.client.publish(pair.now, 1, event("a", "1", Details::default()));
    pair.client.handle_connected(pair.now);
    super::pair::written(pair.client.transmit());
    pair.client.handle_bytes(pair.now, b"AMQP\x03\x01\x00\x00");
    assert!(matches!(pair.client.poll_output(), Some(ClientOutput::Close { problem: None })));
    pair.lose();
    pair.connect();
    assert!(pair.client.is_open());
    pair.settle(Outcome::Accepted, true);
    assert_eq!(pair.settled(), [(1, "accepted")], "what waited is sent by the other version");
    // One that closes without a word, too; and one that knows neither is no reason to call it in a loop.
    let mut pair = Pair::new(config(ClientVersion::Auto));
    for _ in 0..2 {
        pair.client.handle_connected(pair.now);
        pair.lose();
    }
    let problem = |pair: &mut Pair, header: &[u8]| {
        pair.client.handle_connected(pair.now);
        pair.client.handle_bytes(pair.now, header);
        let said = pair.client.poll_output();
        pair.lose();
        match said {
            Some(ClientOutput::Close { problem }) => problem,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        problem(&mut pair, b"AMQP\x01\x01\x00\x0a").as_deref().map(|text| text.contains("neither")),
        Some(true)
    );
}
