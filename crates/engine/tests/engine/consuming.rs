//! Consumers with subscriptions of their own, and what they all have in common: credit, tags, drain, cancel.

use crate::harness::*;
use windrose_event::{
    Consume, ConsumerId, Consuming, DeclineCause, Declined, Directive, Disposition, HeadersTest, Intent,
    Outcome, RetainedDelivery, Source, SubscriptionRequest, Supply, Tag, Text,
};

impl Node {
    /// Consumes; returns the answer.
    pub(crate) fn consume(
        &mut self,
        peer: Peer,
        consumer: u32,
        from: Source,
        limit: u64,
    ) -> Result<Consuming, Declined> {
        let consume =
            Consume { consumer: ConsumerId(consumer), from, exclusive: false, presettled: false, limit };
        self.consume_with(peer, consume)
    }

    /// The same, with all that can be said.
    pub(crate) fn consume_with(&mut self, peer: Peer, consume: Consume) -> Result<Consuming, Declined> {
        self.intent(peer, Intent::Consume(Box::new(consume)));
        loop {
            match self.next(peer).expect("an answer") {
                Directive::Consuming { result, .. } => return result,
                Directive::Settle { .. } | Directive::Canceled { .. } => {}
                other => panic!("not an answer to consume: {other:?}"),
            }
        }
    }

    pub(crate) fn grant(&mut self, peer: Peer, consumer: u32, limit: u64) {
        self.intent(peer, Intent::Grant { consumer: ConsumerId(consumer), limit, drain: false });
    }

    pub(crate) fn drain(&mut self, peer: Peer, consumer: u32, limit: u64) {
        self.intent(peer, Intent::Grant { consumer: ConsumerId(consumer), limit, drain: true });
    }

    pub(crate) fn dispose(&mut self, peer: Peer, consumer: u32, tags: &[Tag], disposition: Disposition) {
        let tags = tags.iter().copied().collect();
        self.intent(peer, Intent::Dispose { consumer: ConsumerId(consumer), tags, disposition });
    }

    pub(crate) fn cancel(&mut self, peer: Peer, consumer: u32, release: bool) {
        self.intent(peer, Intent::Cancel { consumer: ConsumerId(consumer), release });
    }

    /// What a connection's consumers were brought since the last look.
    pub(crate) fn supplies(&mut self, peer: Peer) -> Vec<Supply> {
        let supplies = self.said(peer).into_iter().filter_map(|directive| match directive {
            Directive::Supply(supply) => Some(supply),
            _ => None,
        });
        supplies.collect()
    }

    /// Their payloads.
    pub(crate) fn brought(&mut self, peer: Peer) -> Vec<String> {
        self.supplies(peer).iter().map(|supply| payload(&supply.delivery)).collect()
    }
}

pub(crate) fn address(filter: &str) -> Source {
    Source::Address { request: subscription(filter, Q1), headers: None, kept: None }
}

#[test]
fn a_consumer_gets_no_more_than_it_granted_and_the_rest_waits() {
    for publisher in [0, 1] {
        let mut node = Node::with_shards(2, "");
        let consumer = node.amqp(0);
        assert_eq!(node.consume(consumer, 7, address("a/+"), 2), Ok(Consuming::default()));
        let sender = node.client_at(publisher, "sender");
        for number in 0..5 {
            let assurance = if number % 2 == 0 { Q0 } else { Q1 };
            node.publish(sender, 1, "a/b", &number.to_string(), assurance);
        }
        let supplies = node.supplies(consumer);
        assert_eq!(supplies.iter().map(|supply| payload(&supply.delivery)).collect::<Vec<_>>(), ["0", "1"]);
        assert!(supplies.iter().all(|supply| supply.consumer == ConsumerId(7) && supply.failures == 0));
        assert!(
            supplies.iter().all(|supply| supply.delivery.tag != Tag::NONE),
            "also of what is sent at most once"
        );
        node.dispose(consumer, 7, &[supplies[0].delivery.tag], Disposition::Accepted);
        assert!(node.brought(consumer).is_empty(), "to be done with one is no wish for another");
        node.grant(consumer, 7, 4);
        assert_eq!(node.brought(consumer), ["2", "3"]);
        assert_eq!(node.tally(0).queued, 4, "three are unsettled, one waits");
        node.lose(consumer);
        assert_eq!((node.tally(0).queued, node.tally(0).subscriptions), (0, 0));
        node.publish(sender, 1, "a/b", "x", Q1);
        assert!(matches!(node.settled(sender)[..], [.., (1, Outcome::Accepted, false)]), "nobody is left");
    }
}

#[test]
fn presettled_deliveries_have_no_tags_and_are_done_with() {
    let mut node = Node::new("");
    let consumer = node.amqp(0);
    let consume = Consume {
        consumer: ConsumerId(1),
        from: address("#"),
        exclusive: false,
        presettled: true,
        limit: u64::MAX,
    };
    assert!(node.consume_with(consumer, consume).is_ok());
    let sender = node.client("sender");
    for _ in 0..100 {
        node.publish(sender, 1, "a", "x", Q1);
    }
    let supplies = node.supplies(consumer);
    assert_eq!(supplies.len(), 100);
    assert!(supplies.iter().all(|supply| supply.delivery.tag == Tag::NONE));
    assert_eq!(node.tally(0).queued, 0);
    assert_eq!(node.tally(0).listeners[0].events_out[0], 100);
}

#[test]
fn what_is_released_goes_back_to_its_place_and_says_so() {
    let mut node = Node::new("");
    let consumer = node.amqp(0);
    node.consume(consumer, 1, address("a"), 3).unwrap();
    let sender = node.client("sender");
    for number in 0..5 {
        node.publish(sender, 1, "a", &number.to_string(), Q1);
    }
    let tags: Vec<_> = node.supplies(consumer).iter().map(|supply| supply.delivery.tag).collect();
    let failed = Disposition::Modified { failed: true, undeliverable_here: false };
    node.dispose(consumer, 1, &tags[1..2], failed);
    node.dispose(consumer, 1, &[tags[2], tags[0]], Disposition::Released);
    node.grant(consumer, 1, 8);
    let again: Vec<_> = node
        .supplies(consumer)
        .iter()
        .map(|supply| (payload(&supply.delivery), supply.delivery.again, supply.failures))
        .collect();
    let expected = [("0", true, 0), ("1", true, 1), ("2", true, 0), ("3", false, 0), ("4", false, 0)];
    assert_eq!(again, expected.map(|(payload, again, failures)| (payload.to_owned(), again, failures)));
}

#[test]
fn drain_gives_up_what_is_left_once_nothing_more_waits() {
    let mut node = Node::new("");
    let consumer = node.amqp(0);
    node.consume(consumer, 1, address("a"), 0).unwrap();
    let sender = node.client("sender");
    for number in 0..2 {
        node.publish(sender, 1, "a", &number.to_string(), Q1);
    }
    node.drain(consumer, 1, 10);
    let said = node.said(consumer);
    assert!(matches!(said[2], Directive::Drained { consumer: ConsumerId(1), limit: 2 }), "{said:?}");
    node.publish(sender, 1, "a", "later", Q1);
    assert!(node.said(consumer).is_empty(), "its credit is gone");
    node.drain(consumer, 1, 3);
    assert!(matches!(node.said(consumer)[..], [Directive::Supply(_), Directive::Drained { limit: 3, .. }]));
    node.drain(consumer, 1, 3);
    assert!(
        matches!(node.said(consumer)[..], [Directive::Drained { limit: 3, .. }]),
        "nothing is left to give up"
    );
}

#[test]
fn who_is_canceled_may_still_dispose_of_what_it_has() {
    let mut node = Node::new("");
    let consumer = node.amqp(0);
    node.consume(consumer, 1, address("a"), 10).unwrap();
    let sender = node.client("sender");
    node.publish(sender, 1, "a", "x", Q1);
    let tag = node.supplies(consumer)[0].delivery.tag;
    node.cancel(consumer, 1, false);
    assert!(matches!(node.said(consumer)[..], [Directive::Canceled { because: None, .. }]));
    node.publish(sender, 1, "a", "y", Q1);
    assert!(node.said(consumer).is_empty());
    assert_eq!((node.tally(0).queued, node.tally(0).subscriptions), (1, 0));
    node.dispose(consumer, 1, &[tag], Disposition::Accepted);
    assert_eq!(node.tally(0).queued, 0);
    node.consume(consumer, 1, address("b"), 1).unwrap();
    node.cancel(consumer, 2, true);
    assert!(matches!(node.said(consumer)[..], [Directive::Canceled { because: None, .. }]), "never heard of");
}

#[test]
fn a_full_connection_holds_its_consumers() {
    let mut node = Node::new("");
    let consumer = node.amqp(0);
    node.consume(consumer, 1, address("a"), 10).unwrap();
    let sender = node.client("sender");
    node.input(0, windrose_engine::Input::Congested { connection: consumer.id });
    node.publish(sender, 1, "a", "x", Q0);
    assert!(node.said(consumer).is_empty());
    node.input(0, windrose_engine::Input::Cleared { connection: consumer.id });
    assert_eq!(node.brought(consumer), ["x"]);
}

#[test]
fn last_values_come_first_as_far_as_credit_goes_and_only_those_that_are_wanted() {
    let mut node = Node::with_shards(2, "");
    let sender = node.client("sender");
    for number in 0..600 {
        node.retain(sender, &format!("a/{number:03}"), &number.to_string());
    }
    let consumer = node.amqp(1);
    node.consume(consumer, 1, address("a/#"), 2).unwrap();
    node.advance(MILLI);
    let supplies = node.supplies(consumer);
    assert_eq!(supplies.iter().map(|supply| payload(&supply.delivery)).collect::<Vec<_>>(), ["0", "1"]);
    assert!(supplies.iter().all(|supply| supply.delivery.retain));
    node.drain(consumer, 1, 10_000);
    node.advance(MILLI);
    let said = node.said(consumer);
    assert_eq!(said.len(), 599);
    assert!(matches!(said[598], Directive::Drained { limit: 600, .. }), "{:?}", said[598]);
    let never = SubscriptionRequest { retained: RetainedDelivery::Never, ..subscription("a/#", Q1) };
    node.consume(consumer, 2, Source::Address { request: never, headers: None, kept: None }, 9).unwrap();
    let wanted = vec![(Text::from_static("x"), None)];
    let headers = Some(HeadersTest { any: true, wanted });
    let source = Source::Address { request: subscription("a/#", Q1), headers, kept: None };
    node.consume(consumer, 3, source, 9).unwrap();
    node.advance(MILLI);
    assert!(node.said(consumer).is_empty());
}

#[test]
fn groups_of_consumers_and_of_subscribers_share_the_work() {
    let mut node = Node::with_shards(2, "");
    let sender = node.client("sender");
    let subscriber = node.client_at(1, "subscriber");
    node.share(subscriber, "g", "a", Q1);
    let consumers = [node.amqp(0), node.amqp(1)];
    for consumer in consumers {
        let request = SubscriptionRequest { group: Some(Text::from_static("g")), ..subscription("a", Q1) };
        let source = Source::Address { request, headers: None, kept: None };
        node.consume(consumer, 1, source, 2).unwrap();
    }
    for number in 0..9 {
        node.publish(sender, 1, "a", &number.to_string(), Q1);
    }
    assert_eq!(consumers.map(|consumer| node.supplies(consumer).len()), [2, 2]);
    node.lose(consumers[0]);
    node.grant(consumers[1], 1, 20);
    let others = 2 + node.brought(consumers[1]).len() + node.payloads(subscriber).len();
    assert_eq!(others, 9, "what the lost one had not disposed of goes to others, and what waited for it");
}

#[test]
fn replies_come_to_an_address_that_nobody_can_guess() {
    for shard in [0, 1] {
        let mut node = Node::with_shards(2, "access: [{who: anyone, may: [subscribe], on: \"x\"}]\n");
        let asker = node.amqp(0);
        let consuming = node.consume(asker, 1, Source::Replies, 9).unwrap();
        let address = consuming.address.expect("an address");
        let other = node.consume(asker, 2, Source::Replies, 9).unwrap();
        assert_ne!(other.address, Some(address.clone()));
        let service = node.client_at(shard, "service");
        for reply in ["one", "two"] {
            node.publish(service, 1, address.as_str(), reply, Q1);
        }
        assert!(node.settled(service).iter().all(|(_, outcome, heard)| outcome.is_accepted() && *heard));
        assert_eq!(node.brought(asker), ["one", "two"]);
        node.cancel(asker, 1, true);
        node.publish(service, 1, address.as_str(), "late", Q1);
        assert!(node.supplies(asker).is_empty());
    }
}

#[test]
fn who_may_not_subscribe_may_not_consume() {
    let mut node = Node::new("access: [{who: anyone, may: [subscribe], on: \"open/#\"}]\n");
    let consumer = node.amqp(0);
    for filter in ["secret", "#", "$reply/#"] {
        let declined = node.consume(consumer, 1, address(filter), 1).unwrap_err();
        assert_eq!(declined.cause, DeclineCause::NotPermitted, "{filter}");
    }
    node.consume(consumer, 1, address("open/x"), 1).unwrap();
    let declined = node.consume(consumer, 1, address("open/x"), 1).unwrap_err();
    assert_eq!(declined.cause, DeclineCause::Precondition, "the number is in use");
}

#[test]
fn many_consumers_come_and_go_and_nothing_stays() {
    let mut node = Node::with_shards(2, "");
    let sender = node.client("sender");
    for round in 0..50 {
        let consumer = node.amqp(round % 2);
        for number in 0..20 {
            node.consume(consumer, number, address("a/#"), 1).unwrap();
        }
        node.publish(sender, 1, "a/b", "x", Q1);
        node.publish(sender, 1, "a/b", "y", Q1);
        assert_eq!(node.supplies(consumer).len(), 20);
        if round % 3 == 0 {
            for number in 0..20 {
                node.cancel(consumer, number, number % 2 == 0);
            }
        }
        node.lose(consumer);
    }
    for shard in 0..2 {
        let tally = node.tally(shard);
        assert_eq!((tally.queued, tally.subscriptions, tally.sessions), (0, 0, u64::from(shard == 0)));
    }
}

#[test]
fn what_is_denied_is_kept_from_those_who_consume_more() {
    let rules = "access:\n  - {who: anyone, may: [publish, subscribe], on: \"#\"}\n  \
                 - {who: anyone, deny: subscribe, on: [secret, \"private/#\"]}\n";
    let mut node = Node::new(rules);
    let publisher = node.client("p");
    node.retain(publisher, "private/last", "kept");
    node.retain(publisher, "open/last", "last");
    let consumer = node.amqp(0);
    node.consume(consumer, 1, address("#"), 9).unwrap();
    for (tag, address) in (1..).zip(["secret", "private/a", "private", "open"]) {
        node.publish(publisher, tag, address, "event", Q1);
    }
    let supplies = node.supplies(consumer);
    let got: Vec<_> = supplies.iter().map(|supply| supply.delivery.event.address.as_str()).collect();
    assert_eq!(got, ["open/last", "open"]);
}
