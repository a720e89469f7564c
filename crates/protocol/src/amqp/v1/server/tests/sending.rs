//! Links on which the peer sends: transfers, credit, outcomes.

use super::*;
use windrose_event::Cause;

#[test]
fn a_message_is_published_and_its_outcome_is_told() {
    let mut peer = Peer::open();
    peer.sender();
    peer.send(0, b"hello");
    let (tag, publication) = peer.published();
    assert_eq!((publication.address.as_str(), &publication.payload[..]), ("a/b", &b"hello"[..]));
    assert_eq!(publication.assurance, Assurance::AtLeastOnce);
    assert_eq!(publication.details.unwrap().original.unwrap().bytes, message(b"hello"));
    peer.nothing();
    peer.settle(tag, Outcome::Accepted);
    let disposition = peer.frame("disposition(");
    assert!(disposition.contains("accepted") && disposition.contains("settled: true"));
}

#[test]
fn outcomes_are_told_by_one_table() {
    for (outcome, state) in [
        (Outcome::Busy { retry_after: None }, "released"),
        (Outcome::unavailable(), "released"),
        (Outcome::TimedOut, "modified { delivery_failed: true"),
        (Outcome::rejected(Cause::NotPermitted), "amqp:unauthorized-access"),
        (Outcome::rejected(Cause::Malformed), "amqp:decode-error"),
        (Outcome::rejected(Cause::TooLarge), "amqp:link:message-size-exceeded"),
        (Outcome::rejected(Cause::ByService), "windrose:rejected"),
        (Outcome::rejected(Cause::NotFound), "amqp:not-found"),
        (Outcome::rejected_because(Cause::Quota, "full"), "description: some(\"full\")"),
    ] {
        let mut peer = Peer::open();
        peer.sender();
        peer.send(0, b"x");
        let (tag, _) = peer.published();
        peer.settle(tag, outcome);
        let disposition = peer.frame("disposition(");
        assert!(disposition.contains(state), "{state}: {disposition}");
    }
}

#[test]
fn an_outcome_that_the_sender_does_not_know_is_told_as_another() {
    let mut peer = Peer::open();
    let outcomes = Symbols::Slice(&["amqp:accepted:list", "amqp:rejected:list"]);
    let source = Some(Source { outcomes, ..Source::default() });
    peer.attach_sender(Attach { source, ..Attach::default() });
    peer.frame("attach(");
    peer.frame("flow(");
    peer.send(0, b"x");
    let (tag, _) = peer.published();
    peer.settle(tag, Outcome::TimedOut);
    assert!(peer.frame("disposition(").contains("rejected"));
}

#[test]
fn what_is_told_of_many_is_told_in_one_word() {
    let mut peer = Peer::open();
    peer.sender();
    for id in 0..4 {
        peer.send(id, b"x");
    }
    let tags: Vec<Tag> = peer
        .intents()
        .into_iter()
        .map(|intent| match intent {
            Intent::Publish(publish) => publish.tag,
            other => panic!("{other:?}"),
        })
        .collect();
    for index in [1, 0, 2, 3] {
        peer.settle(tags[index], Outcome::Accepted);
    }
    assert!(peer.server.waiting() > 0);
    let disposition = peer.frame("disposition(");
    assert!(disposition.contains("first: 0") && disposition.contains("last: some(3)"), "{disposition}");
    peer.nothing();
}

#[test]
fn credit_comes_back_when_half_of_it_is_used_and_settled() {
    let mut peer = Peer::open();
    peer.sender();
    for id in 0..5 {
        peer.send(id, b"x");
    }
    let tags: Vec<_> = peer.intents();
    peer.nothing();
    for intent in tags {
        let Intent::Publish(publish) = intent else { panic!() };
        peer.settle(publish.tag, Outcome::Accepted);
    }
    peer.frame("disposition(");
    let flow = peer.frame("flow(");
    assert!(flow.contains("delivery_count: some(5)") && flow.contains("link_credit: some(10)"), "{flow}");
}

#[test]
fn no_credit_comes_while_nothing_more_is_to_be_published() {
    let mut peer = Peer::open();
    peer.sender();
    assert!(peer.server.handle_pause(peer.now), "what it settles is read");
    for id in 0..10_u32 {
        let tag = id.to_be_bytes();
        let settled = Some(true);
        let transfer =
            Transfer { delivery_id: Some(id), delivery_tag: Some(&tag), settled, ..Transfer::default() };
        peer.transfer(transfer, &message(b"x"));
    }
    assert_eq!(peer.intents().len(), 10);
    peer.nothing();
    peer.server.handle_resume(peer.now);
    assert!(peer.frame("flow(").contains("link_credit: some(10)"));
}

#[test]
fn a_delivery_without_credit_ends_the_link() {
    let mut peer = Peer::open();
    peer.sender();
    for id in 0..11 {
        peer.send(id, b"x");
    }
    assert!(peer.frame("detach(").contains("amqp:link:transfer-limit-exceeded"));
    assert_eq!(peer.intents().len(), 10);
}

#[test]
fn settled_messages_are_answered_by_nothing() {
    let mut peer = Peer::open();
    peer.sender();
    let transfer = Transfer {
        delivery_id: Some(0),
        delivery_tag: Some(b"t"),
        settled: Some(true),
        ..Transfer::default()
    };
    peer.transfer(transfer, &message(b"x"));
    let (tag, publication) = peer.published();
    assert_eq!((tag, publication.assurance), (Tag::NONE, Assurance::AtMostOnce));
    let transfer = Transfer { delivery_id: Some(1), ..transfer };
    peer.transfer(transfer, &[b"\0\x53\x70\xc0\x02\x01\x41", &message(b"x")[..]].concat());
    assert_eq!(peer.published().1.assurance, Assurance::AtLeastOnce, "it is durable");
    peer.nothing();
}

#[test]
fn a_message_comes_in_many_transfers() {
    for bytewise in [false, true] {
        let mut peer = Peer::open();
        peer.bytewise = bytewise;
        peer.sender();
        let data: Vec<u8> = (0..20_000_u32).map(|n| n as u8).collect();
        let whole = message(&data);
        let parts: Vec<_> = whole.chunks(3_000).collect();
        for (index, part) in parts.iter().enumerate() {
            let first = index == 0;
            peer.transfer(
                Transfer {
                    delivery_id: first.then_some(0),
                    delivery_tag: first.then_some(b"t"),
                    more: index + 1 < parts.len(),
                    ..Transfer::default()
                },
                part,
            );
        }
        assert_eq!(peer.published().1.payload, data);
    }
}

#[test]
fn a_delivery_that_is_aborted_is_none() {
    let mut peer = Peer::open();
    peer.sender();
    let transfer =
        Transfer { delivery_id: Some(0), delivery_tag: Some(b"t"), more: true, ..Transfer::default() };
    peer.transfer(transfer, b"half");
    peer.transfer(Transfer { aborted: true, ..Transfer::default() }, b"");
    peer.send(1, b"next");
    assert_eq!(peer.published().1.payload, "next");
    peer.nothing();
}

#[test]
fn fragments_that_never_end_are_bounded() {
    let mut peer = Peer::open();
    peer.sender();
    let transfer =
        Transfer { delivery_id: Some(0), delivery_tag: Some(b"t"), more: true, ..Transfer::default() };
    peer.transfer(transfer, &[0; 8_000]);
    for _ in 0..20 {
        peer.transfer(Transfer { delivery_id: None, delivery_tag: None, ..transfer }, &[0; 8_000]);
    }
    assert!(peer.frame("detach(").contains("amqp:link:message-size-exceeded"));
    peer.nothing();
    assert!(peer.intents().is_empty());
}

#[test]
fn a_message_that_is_too_large_ends_the_link() {
    let mut peer = Peer::open();
    peer.sender();
    let whole = message(&[7; 50_001]);
    let half = whole.len() / 8;
    for (index, part) in whole.chunks(half).enumerate() {
        let transfer = Transfer { delivery_id: Some(0), delivery_tag: Some(b"t"), ..Transfer::default() };
        peer.transfer(Transfer { more: (index + 1) * half < whole.len(), ..transfer }, part);
    }
    assert!(peer.frame("detach(").contains("amqp:link:message-size-exceeded"));
}

#[test]
fn what_is_no_message_is_rejected_and_counted() {
    let mut peer = Peer::open();
    peer.sender();
    let transfer = Transfer { delivery_id: Some(0), delivery_tag: Some(b"t"), ..Transfer::default() };
    peer.transfer(transfer, b"hello");
    assert!(matches!(peer.intent(), Intent::Refused { cause: Cause::Malformed, .. }));
    assert!(peer.frame("disposition(").contains("amqp:decode-error"));
    peer.transfer(Transfer { delivery_id: Some(1), message_format: Some(7), ..transfer }, &message(b"x"));
    peer.intent();
    assert!(peer.frame("disposition(").contains("amqp:not-implemented"));
}

#[test]
fn delivery_ids_that_are_used_again_end_the_session() {
    let mut peer = Peer::open();
    peer.sender();
    peer.send(5, b"x");
    peer.intents();
    peer.send(5, b"x");
    assert!(peer.frame("end(").contains("amqp:not-allowed"));
    assert!(peer.intents().is_empty());
}

#[test]
fn a_receiver_that_settles_second_waits_for_the_sender() {
    let mut peer = Peer::open();
    peer.attach_sender(Attach { rcv_settle_mode: ReceiverSettleMode::Second, ..Attach::default() });
    peer.frame("attach(");
    peer.frame("flow(");
    for id in 0..5 {
        peer.send(id, b"x");
        let (tag, _) = peer.published();
        peer.settle(tag, Outcome::Accepted);
    }
    let disposition = peer.frame("disposition(");
    assert!(disposition.contains("settled: false") && disposition.contains("accepted"));
    peer.nothing();
    peer.say(Performative::Disposition(Disposition {
        role: Role::Sender,
        first: 0,
        last: Some(4),
        settled: true,
        ..Disposition::default()
    }));
    assert!(peer.frame("flow(").contains("link_credit: some(10)"), "now they are done with");
}

#[test]
fn a_message_may_say_itself_where_it_is_to() {
    let mut peer = Peer::open();
    let target = Some(Terminus::Target(Target::default()));
    peer.attach_sender(Attach { target, ..Attach::default() });
    peer.frame("attach(");
    peer.frame("flow(");
    for (id, to, address) in
        [(0, "x/y", "x/y"), (1, "/queue/a.b", "a/b"), (2, "/topic/a.b", "a/b"), (3, "q", "q")]
    {
        let mut bytes = Vec::new();
        Properties { to: Some(to), ..Properties::default() }.write(&mut bytes);
        bytes.extend_from_slice(&message(b"x"));
        let transfer = Transfer { delivery_id: Some(id), delivery_tag: Some(b"t"), ..Transfer::default() };
        peer.transfer(transfer, &bytes);
        assert_eq!(peer.published().1.address.as_str(), address);
    }
    peer.send(4, b"nowhere");
    assert!(matches!(peer.intent(), Intent::Refused { cause: Cause::BadAddress, .. }));
    assert!(peer.frame("disposition(").contains("rejected"));
}

#[test]
fn an_exchange_is_published_through_by_subject() {
    let mut peer = Peer::open();
    let target = Some(Terminus::Target(Target { address: Some("/exchange/logs"), ..Target::default() }));
    peer.attach_sender(Attach { target, ..Attach::default() });
    let Arrangement::DeclareExchange(exchange) = peer.arranged(Ok(Arranged::default())) else { panic!() };
    assert!(exchange.passive);
    peer.frame("attach(");
    peer.frame("flow(");
    let mut bytes = Vec::new();
    Properties { subject: Some("kern.warn"), ..Properties::default() }.write(&mut bytes);
    bytes.extend_from_slice(&message(b"x"));
    let transfer = Transfer { delivery_id: Some(0), delivery_tag: Some(b"t"), ..Transfer::default() };
    peer.transfer(transfer, &bytes);
    let Intent::PublishThrough { exchange, publish } = peer.intent() else { panic!() };
    assert_eq!((&*exchange, publish.publication.address.as_str()), ("logs", "logs/kern/warn"));
}

#[test]
fn a_link_that_is_attached_again_hears_what_became_of_its_deliveries() {
    let mut peer = Peer::open();
    peer.sender();
    peer.send(0, b"x");
    peer.send(1, b"y");
    let intents = peer.intents();
    let [Intent::Publish(first), Intent::Publish(second)] = &intents[..] else { panic!() };
    let (first, second) = (first.tag, second.tag);
    peer.say(Performative::Detach(Detach { handle: 0, closed: false, error: None }));
    peer.frame("detach(");
    peer.settle(first, Outcome::Accepted);
    let mut unsettled = MapWriter::new();
    unsettled.raw(b"\xa0\x04\0\0\0\0", b"\x40").raw(b"\xa0\x04\0\0\0\x01", b"\x40");
    peer.attach_sender(Attach { unsettled: Some(unsettled.map()), ..Attach::default() });
    assert!(peer.frame("attach(").contains("unsettled: some(map { count: 4"));
    peer.frame("flow(");
    let resume = |id: u32, tag: &'static [u8]| Transfer {
        delivery_id: Some(id),
        delivery_tag: Some(tag),
        resume: true,
        ..Transfer::default()
    };
    peer.transfer(resume(2, b"\0\0\0\0"), &message(b"x"));
    peer.transfer(resume(3, b"\0\0\0\x01"), &message(b"y"));
    assert!(peer.intents().is_empty(), "both were published already");
    let disposition = peer.frame("disposition(");
    assert!(disposition.contains("first: 2") && disposition.contains("accepted"));
    peer.settle(second, Outcome::Accepted);
    assert!(peer.frame("disposition(").contains("first: 3"));
}
