//! Servers that say anything at all.

use super::pair::{Pair, asking, config, event, start, written};
use crate::amqp::client::{Client, ClientConfig, ClientOutput, ClientVersion};
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{Details, Filter, Now};

const BOTH: [ClientVersion; 2] = [ClientVersion::V091, ClientVersion::V1];

fn client(version: ClientVersion) -> Client {
    let mut client = Client::new(Arc::new(config(version)));
    client.handle_connected(start());
    written(client.transmit());
    client
}

fn closes(client: &mut Client) -> Option<String> {
    std::iter::from_fn(|| client.poll_output()).find_map(|output| match output {
        ClientOutput::Close { problem } => problem,
        _ => None,
    })
}

#[test]
fn nonsense_ends_the_connection_with_a_reason() {
    for version in BOTH {
        for bytes in
            [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &[0xff; 64], b"AMQP\x00\x00\x08\x00", &[0; 64]]
        {
            let mut client = client(version);
            client.handle_bytes(start(), bytes);
            assert!(closes(&mut client).is_some(), "{version:?} {bytes:?}");
        }
    }
}

#[test]
fn a_server_that_says_nothing_is_left() {
    for version in BOTH {
        let mut client = client(version);
        let due = client.next_timeout().unwrap();
        client.handle_timeout(Now { moment: due, ..start() });
        assert!(closes(&mut client).unwrap().contains("in time"));
        let mut pair = Pair::open(config(version));
        for _ in 0..8 {
            pair.now.moment = pair.client.next_timeout().unwrap();
            pair.client.handle_timeout(pair.now);
            if let Some(problem) = closes(&mut pair.client) {
                assert!(problem.contains("heartbeat") || problem.contains("idle"), "{problem}");
                break;
            }
            assert!(!written(pair.client.transmit()).is_empty(), "it says that it is there");
        }
        assert_eq!(pair.client.next_timeout(), None, "{version:?}: it has given up");
        assert!(pair.now.moment.since(start().moment) <= Duration::from_secs(60));
    }
}

/// Every byte of a server's words, changed in turn: the client may close, and must not panic.
#[test]
fn no_byte_of_a_server_is_relied_on() {
    for version in BOTH {
        let consume = vec!["orders".into()];
        let options = ClientConfig { consume, ..config(version) };
        for place in 0..1_200 {
            for change in [0x01, 0x80, 0xff] {
                let mut pair = Pair::new(options.clone());
                pair.client.handle_connected(pair.now);
                pair.client.publish(pair.now, 1, event("a", "1", asking()));
                pair.spoil = Some((place, change));
                pair.run();
                pair.client.subscribe(pair.now, &Filter::new("a/#").unwrap(), 1);
                pair.run();
                if let Some(consume) = pair.consumers.first() {
                    let consumer = consume.consumer;
                    pair.supply(consumer, 1, event("orders", "1", Details::default()));
                }
                pair.lose();
            }
        }
    }
}
