//! Messages from the server: acknowledged when they are settled, exactly once where that was promised.

use super::*;
use crate::mqtt::codec::Ack;
use windrose_event::{Cause, Filter};

fn message(packet_id: u16, qos: Assurance, dup: bool) -> Packet {
    Packet::Publish(Publish {
        dup,
        qos,
        retain: false,
        topic: "a/b".into(),
        packet_id,
        properties: None,
        payload: Bytes::from_static(b"x"),
    })
}

fn tags(link: &mut Link) -> Vec<Tag> {
    let tag = |output| match output {
        ClientOutput::Message { tag, .. } => Some(tag),
        _ => None,
    };
    link.outputs().into_iter().filter_map(tag).collect()
}

#[test]
fn a_message_is_acknowledged_once_it_is_settled_and_not_before() {
    let mut link = Link::open();
    link.send(message(5, Assurance::AtLeastOnce, false));
    let [tag] = tags(&mut link)[..] else { panic!("one message") };
    assert!(link.read().is_empty());
    link.settle(tag, &Outcome::Accepted);
    assert_eq!(link.read_one(), Packet::Puback(Ack::success(5)));
    link.send(message(6, Assurance::AtLeastOnce, false));
    let [tag] = tags(&mut link)[..] else { panic!("one message") };
    link.settle(tag, &Outcome::rejected(Cause::NotPermitted));
    let code = ReasonCode::NOT_AUTHORIZED;
    assert_eq!(link.read_one(), Packet::Puback(Ack { packet_id: 6, code, properties: None }));
}

#[test]
fn exactly_once_is_told_once_over_repetitions_and_connections() {
    let mut link = Link::open();
    link.send(message(5, Assurance::ExactlyOnce, false));
    let [tag] = tags(&mut link)[..] else { panic!("one message") };
    link.resume();
    link.send(message(5, Assurance::ExactlyOnce, true));
    assert!(tags(&mut link).is_empty(), "it is known");
    assert!(link.read().is_empty(), "and not settled");
    link.settle(tag, &Outcome::Accepted);
    assert_eq!(link.read_one(), Packet::Pubrec(Ack::success(5)));
    link.resume();
    link.send(message(5, Assurance::ExactlyOnce, true));
    assert!(tags(&mut link).is_empty());
    assert_eq!(link.read_one(), Packet::Pubrec(Ack::success(5)));
    link.send(Packet::Pubrel(Ack::success(5)));
    assert_eq!(link.read_one(), Packet::Pubcomp(Ack::success(5)));
    assert!(matches!(link.outputs()[..], [ClientOutput::Released { tag: released }] if released == tag));
    link.send(message(5, Assurance::ExactlyOnce, false));
    assert_eq!(tags(&mut link).len(), 1, "the identifier has a new meaning");
}

#[test]
fn an_answer_that_comes_late_acknowledges_nothing_else() {
    let mut link = Link::open();
    link.send(message(5, Assurance::AtLeastOnce, false));
    let [before] = tags(&mut link)[..] else { panic!("one message") };
    link.resume();
    link.send(message(5, Assurance::AtLeastOnce, false));
    let [after] = tags(&mut link)[..] else { panic!("one message") };
    link.settle(before, &Outcome::Accepted);
    assert!(link.read().is_empty(), "the identifier is another message's now");
    link.settle(after, &Outcome::Accepted);
    assert_eq!(link.read_one(), Packet::Puback(Ack::success(5)));
}

#[test]
fn what_cannot_be_taken_now_is_asked_for_again() {
    for assurance in [Assurance::AtLeastOnce, Assurance::ExactlyOnce] {
        let mut link = Link::open();
        link.send(message(5, assurance, false));
        let [tag] = tags(&mut link)[..] else { panic!("one message") };
        link.settle(tag, &Outcome::TimedOut);
        assert!(link.read().is_empty(), "no acknowledgement");
        assert!(link.closed().contains("again"));
        link.resume();
        link.send(message(5, assurance, true));
        assert_eq!(tags(&mut link).len(), 1);
    }
}

#[test]
fn a_server_that_sends_as_much_as_it_may_is_not_read_until_something_is_settled() {
    let mut link = Link::open();
    for packet_id in 1..=8 {
        assert!(!link.client.is_full());
        link.send(message(packet_id, Assurance::ExactlyOnce, false));
    }
    assert!(link.client.is_full());
    link.read();
    link.wait(Duration::from_secs(30));
    assert_eq!(link.read_one(), Packet::Pingreq);
    link.wait(Duration::from_secs(5));
    link.wait(Duration::from_secs(25));
    assert_eq!(link.read_one(), Packet::Pingreq, "its answer is not read, and not missed");
    let tag = tags(&mut link)[0];
    link.settle(tag, &Outcome::Accepted);
    link.read();
    link.wait(Duration::from_secs(5));
    assert!(link.outputs().is_empty(), "it is given time to be heard");
    assert!(!link.client.is_full(), "what is ours needs no settling, though it is not released yet");
    link.send(message(9, Assurance::AtLeastOnce, false));
    link.send(message(10, Assurance::AtLeastOnce, false));
    assert_eq!(tags(&mut link).len(), 2, "one more than was announced does no harm");
}

#[test]
fn subscriptions_leave_out_our_own_and_have_a_number() {
    let mut link = Link::open();
    let filter = Filter::new("a/#").unwrap();
    assert!(link.client.subscribe(link.now, &filter, 9));
    let Packet::Subscribe(subscribe) = link.read_one() else { panic!("no SUBSCRIBE") };
    assert_eq!(subscribe.properties.unwrap().subscription_identifiers[..], [9]);
    let asked = &subscribe.filters[0];
    assert!(asked.no_local && asked.retain_as_published && asked.qos == Assurance::ExactlyOnce);
    let suback = crate::mqtt::codec::Suback {
        packet_id: subscribe.packet_id,
        properties: None,
        codes: vec![ReasonCode(2)],
    };
    link.send(Packet::Suback(suback.clone()));
    assert!(matches!(link.outputs()[..], [ClientOutput::Subscribed { identifier: 9, granted: true }]));
    link.send(Packet::Suback(suback));
    assert!(link.closed().contains("SUBACK"), "nothing was asked");
}
