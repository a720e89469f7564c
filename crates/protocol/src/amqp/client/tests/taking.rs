//! What is subscribed to and consumed, in either version.

use super::pair::{Pair, config, event};
use crate::amqp::client::{ClientConfig, ClientOutput, ClientVersion};
use windrose_event::{Cause, Details, Disposition, Filter, Outcome};

const BOTH: [ClientVersion; 2] = [ClientVersion::V091, ClientVersion::V1];

fn filter(text: &str) -> Filter {
    Filter::new(text).unwrap()
}

#[test]
fn a_message_is_acknowledged_when_it_is_settled_and_as_it_is() {
    for version in BOTH {
        let mut pair = Pair::open(config(version));
        assert!(pair.client.subscribe(pair.now, &filter("a/+"), 5));
        pair.run();
        let granted = |output: &ClientOutput| {
            matches!(output, ClientOutput::Subscribed { identifier: 5, granted: true })
        };
        assert!(pair.said.iter().any(granted), "{version:?}: {:?}", pair.said);
        let consumer = pair.consumers[0].consumer;
        for number in 1..=3 {
            pair.supply(consumer, number, event(&format!("a/{number}"), "x", Details::default()));
        }
        let messages = pair.messages();
        let addresses: Vec<_> = messages.iter().map(|(_, message)| message.address.as_str()).collect();
        assert_eq!(addresses, ["a/1", "a/2", "a/3"], "{version:?}");
        assert_eq!(pair.disposed, [], "nothing is acknowledged before it is settled");
        let outcomes = [Outcome::Accepted, Outcome::rejected(Cause::NotPermitted), Outcome::unavailable()];
        for ((tag, _), outcome) in messages.iter().zip(&outcomes) {
            pair.client.settle(pair.now, *tag, outcome);
            pair.run();
        }
        let said: Vec<_> = pair.disposed.iter().map(|(_, tag, how)| (tag.0, *how)).collect();
        let expected = [(1, Disposition::Accepted), (2, Disposition::Rejected), (3, Disposition::Released)];
        assert_eq!(said, expected, "{version:?}");
    }
}

#[test]
fn queues_are_consumed_from_as_soon_as_the_connection_is_open() {
    for version in BOTH {
        let consume = vec!["orders".into()];
        let mut pair = Pair::open(ClientConfig { consume, ..config(version) });
        let consumer = pair.consumers[0].consumer;
        pair.supply(consumer, 1, event("orders", "1", Details::default()));
        assert_eq!(pair.messages()[0].1.address.as_str(), "orders", "{version:?}");
        pair.lose();
        pair.connect();
        assert_eq!(pair.consumers.len(), 1, "{version:?}: and again");
    }
}

#[test]
fn an_answer_to_a_message_of_an_earlier_connection_is_not_said() {
    for version in BOTH {
        let consume = vec!["orders".into()];
        let mut pair = Pair::open(ClientConfig { consume, ..config(version) });
        let consumer = pair.consumers[0].consumer;
        pair.supply(consumer, 1, event("orders", "1", Details::default()));
        let (tag, _) = pair.messages().remove(0);
        pair.lose();
        pair.connect();
        pair.client.settle(pair.now, tag, &Outcome::Accepted);
        pair.run();
        assert_eq!(pair.disposed, [], "{version:?}");
        assert!(pair.client.is_open());
    }
}
