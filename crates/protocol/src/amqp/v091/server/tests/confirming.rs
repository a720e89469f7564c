//! Confirms, in order and out of it, and what comes back.

use super::*;

fn confirming(count: usize) -> (Link, Vec<u16>) {
    let mut link = Link::channel();
    link.send(1, ConfirmSelect { no_wait: false });
    assert!(link.read_one().contains("ConfirmSelectOk"));
    for _ in 0..count {
        link.publish(to("k"), &Properties::default(), b"x");
    }
    let publications = link.publications();
    assert!(publications.iter().all(|(_, _, it)| it.assurance == Assurance::AtLeastOnce));
    (link, publications.into_iter().map(|(tag, _, _)| tag).collect())
}

fn ack(delivery_tag: u64, multiple: bool) -> String {
    format!("1 {:?}", Method::from(BasicAck { delivery_tag, multiple }))
}

#[test]
fn confirms_that_wait_together_are_one() {
    let (mut link, tags) = confirming(5);
    link.settle(tags[0], Outcome::Accepted, true);
    assert_eq!(link.read_one(), ack(1, false));
    for tag in &tags[1..4] {
        link.settle(*tag, Outcome::Accepted, true);
    }
    assert_eq!(link.read_one(), ack(4, true));
    link.settle(tags[4], Outcome::Accepted, false);
    assert_eq!(link.read_one(), ack(5, false), "nobody needs to hear it");
}

#[test]
fn confirms_out_of_order_are_said_one_by_one_and_never_early() {
    let (mut link, tags) = confirming(4);
    link.settle(tags[2], Outcome::Accepted, true);
    link.settle(tags[1], Outcome::Accepted, true);
    let heard = link.read();
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert_eq!(heard[0], Heard::Method(1, ack(3, false)[2..].into()));
    assert_eq!(heard[1], Heard::Method(1, ack(2, false)[2..].into()));
    link.settle(tags[0], Outcome::Accepted, true);
    assert_eq!(link.read_one(), ack(3, true), "which says again what was said");
    link.settle(tags[3], Outcome::Accepted, true);
    assert_eq!(link.read_one(), ack(4, false));
}

#[test]
fn what_is_not_taken_is_nacked() {
    let (mut link, tags) = confirming(4);
    let busy = Outcome::Busy { retry_after: None };
    for (tag, outcome) in
        tags.iter().zip([Outcome::Accepted, busy, Outcome::Accepted, Outcome::unavailable()])
    {
        link.settle(*tag, outcome, true);
    }
    let heard = format!("{:?}", link.read());
    assert!(heard.contains("BasicAck { delivery_tag: 1, multiple: false }"), "{heard}");
    assert!(heard.contains("BasicNack { delivery_tag: 2, multiple: false"), "{heard}");
    assert!(heard.contains("BasicNack { delivery_tag: 4, multiple: false"), "{heard}");
    assert!(heard.contains("BasicAck { delivery_tag: 3"), "{heard}");
}

#[test]
fn other_words_between_confirms_are_not_lost() {
    let (mut link, tags) = confirming(2);
    link.settle(tags[0], Outcome::Accepted, true);
    link.send(1, BasicQos::default());
    link.settle(tags[1], Outcome::Accepted, true);
    let heard = link.read();
    assert_eq!(heard.len(), 3, "{heard:?}");
    assert!(is(&heard[0], "BasicAck") && is(&heard[1], "BasicQosOk") && is(&heard[2], "BasicAck"));
}

#[test]
fn a_mandatory_publication_that_nobody_hears_comes_back_before_its_confirm() {
    let (mut link, _) = confirming(0);
    let properties = Properties { message_id: Some(b"m"), ..Properties::default() };
    link.publish(BasicPublish { exchange: "e", mandatory: true, ..to("k") }, &properties, b"body");
    link.publish(BasicPublish { mandatory: true, ..to("heard") }, &properties, b"body");
    let tags: Vec<_> = link.publications().into_iter().map(|(tag, _, _)| tag).collect();
    link.settle(tags[0], Outcome::Accepted, false);
    link.settle(tags[1], Outcome::Accepted, true);
    let heard = link.read();
    let returned = BasicReturn { reply_code: 312, reply_text: "NO_ROUTE", exchange: "e", routing_key: "k" };
    assert_eq!(heard[0], Heard::Method(1, format!("{:?}", Method::from(returned))));
    let mut list = Vec::new();
    properties.write(&mut list);
    assert_eq!(heard[1], Heard::Content(list, b"body".to_vec()));
    assert!(is(&heard[2], "BasicAck") && heard.len() == 3, "{heard:?}");
}

#[test]
fn a_publication_to_nowhere_is_confirmed_or_comes_back() {
    let (mut link, _) = confirming(0);
    link.publish(BasicPublish { mandatory: true, ..to("") }, &Properties::default(), b"x");
    assert!(link.intents.is_empty());
    let heard = link.read();
    assert!(is(&heard[0], "BasicReturn") && is(&heard[2], "BasicAck"), "{heard:?}");
}

#[test]
fn confirms_of_a_channel_that_is_gone_are_nobodys() {
    let (mut link, tags) = confirming(2);
    link.send(1, ChannelClose::default());
    link.send(1, ChannelOpen {});
    link.send(1, ConfirmSelect { no_wait: true });
    link.read();
    link.settle(tags[0], Outcome::Accepted, true);
    link.settle(tags[1], Outcome::Busy { retry_after: None }, true);
    assert!(link.read().is_empty());
}

#[test]
fn a_window_of_sixty_thousand_holds_the_rest() {
    let (mut link, _) = confirming(0);
    let one = publication(to("k"), &Properties::default(), b"x");
    for _ in 0..61 {
        link.send_bytes(&one.repeat(1_000));
    }
    let publications = link.publications();
    assert_eq!(publications.len(), 60_000);
    let mut tags: Vec<u16> = publications.iter().map(|(tag, _, _)| *tag).collect();
    for tag in &tags[..1_000] {
        link.settle(*tag, Outcome::Accepted, true);
    }
    assert_eq!(link.read_one(), ack(1_000, true));
    tags.extend(link.publications().into_iter().map(|(tag, _, _)| tag));
    assert_eq!(tags.len(), 61_000);
    for tag in &tags[1_000..] {
        link.settle(*tag, Outcome::Accepted, true);
    }
    assert_eq!(link.read_one(), ack(61_000, true));
}
