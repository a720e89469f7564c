//! PUBLISH from the client, and what it is acknowledged with.

use super::*;
use crate::mqtt::codec::Ack;
use windrose_event::{Cause, Outcome};

/// Settles a publication and returns its acknowledgement.
fn settle(link: &mut Link, tag: u16, outcome: Outcome) -> Packet {
    link.tell(Directive::Settle { tag: Tag(tag), outcome, heard: true });
    link.read_one()
}

fn properties_of(packet: &mut Publish) -> &mut Properties {
    packet.properties.get_or_insert_default()
}

#[test]
fn a_publication_reaches_the_engine_with_all_it_says() {
    let mut link = Link::open(Version::V5);
    let properties = with(|properties| {
        properties.content_type = Some("application/json".into());
        properties.payload_format_indicator = Some(1);
        properties.response_topic = Some("devices/car-7/replies".into());
        properties.correlation_data = Some(Bytes::from_static(&[0, 1]));
        properties.message_expiry_interval = Some(9);
        properties.user_properties = vec![("b".into(), "1".into()), ("a".into(), "2".into())];
    });
    let sent = Publish { dup: true, retain: true, properties, ..publish(Assurance::ExactlyOnce, 9) };
    link.send(Packet::Publish(sent));
    let publish = link.published();
    assert_eq!((publish.tag, publish.again), (Tag(9), true));
    let publication = publish.publication;
    assert_eq!(publication.address.as_str(), "devices/car-7/telemetry");
    assert_eq!(&publication.payload[..], b"{}");
    assert_eq!(publication.assurance, Assurance::ExactlyOnce);
    assert!(publication.retain);
    assert_eq!(publication.expiry, Some(Duration::from_secs(9)));
    let details = publication.details.unwrap();
    assert_eq!(details.content_type, Some("application/json".into()));
    assert_eq!(details.is_text, Some(true));
    assert_eq!(details.reply_to.unwrap().as_str(), "devices/car-7/replies");
    assert_eq!(details.correlation, Some(Bytes::from_static(&[0, 1])));
    assert_eq!(details.headers, [("b".into(), "1".into()), ("a".into(), "2".into())]);
}

#[test]
fn a_plain_publication_carries_no_details() {
    for version in BOTH {
        let mut link = Link::open(version);
        link.send(Packet::Publish(publish(Assurance::AtMostOnce, 0)));
        let publish = link.published();
        assert_eq!((publish.tag, publish.again), (Tag::NONE, false));
        assert!(publish.publication.details.is_none() && publish.publication.expiry.is_none());
        assert!(link.read().is_empty());
    }
}

#[test]
fn qos_1_is_acknowledged_once_the_engine_says_so() {
    for version in BOTH {
        let mut link = Link::open(version);
        link.send(Packet::Publish(publish(Assurance::AtLeastOnce, 5)));
        link.published();
        assert!(link.read().is_empty(), "not before");
        assert_eq!(settle(&mut link, 5, Outcome::Accepted), Packet::Puback(Ack::success(5)));
    }
}

#[test]
fn qos_2_takes_its_four_steps() {
    for version in BOTH {
        let mut link = Link::open(version);
        link.send(Packet::Publish(publish(Assurance::ExactlyOnce, 5)));
        link.published();
        assert_eq!(settle(&mut link, 5, Outcome::Accepted), Packet::Pubrec(Ack::success(5)));
        link.send(Packet::Pubrel(Ack::success(5)));
        assert!(matches!(link.intent(), Intent::Release { tag: Tag(5) }));
        link.tell(Directive::Released { tag: Tag(5), known: true });
        assert_eq!(link.read_one(), Packet::Pubcomp(Ack::success(5)));
    }
}

#[test]
fn an_unknown_pubrel_is_answered_all_the_same() {
    for version in BOTH {
        let mut link = Link::open(version);
        link.send(Packet::Pubrel(Ack::success(5)));
        link.intent();
        link.tell(Directive::Released { tag: Tag(5), known: false });
        assert_eq!(link.read_one(), Packet::Pubcomp(Ack::success(5)), "it recovers: no error");
    }
}

#[test]
fn outcomes_have_their_codes_in_mqtt_5() {
    let rejected = Outcome::rejected;
    let cases = [
        (Outcome::Busy { retry_after: None }, 0x97),
        (Outcome::unavailable(), 0x83),
        (Outcome::TimedOut, 0x80),
        (rejected(Cause::NotPermitted), 0x87),
        (rejected(Cause::ByService), 0x83),
        (rejected(Cause::Malformed), 0x99),
        (rejected(Cause::BadPayload), 0x99),
        (rejected(Cause::BadAddress), 0x90),
        (rejected(Cause::Quota), 0x97),
    ];
    let mut link = Link::open(Version::V5);
    for (outcome, code) in cases {
        link.send(Packet::Publish(publish(Assurance::AtLeastOnce, 1)));
        link.send(Packet::Publish(publish(Assurance::ExactlyOnce, 2)));
        let Packet::Puback(puback) = settle(&mut link, 1, outcome.clone()) else { panic!("{outcome:?}") };
        let Packet::Pubrec(pubrec) = settle(&mut link, 2, outcome.clone()) else { panic!("{outcome:?}") };
        assert_eq!((puback.code.0, pubrec.code.0), (code, code), "{outcome:?}");
    }
    assert!(link.server.is_open());
}

#[test]
fn nobody_listening_is_told_in_mqtt_5() {
    let mut link = Link::open(Version::V5);
    link.send(Packet::Publish(publish(Assurance::AtLeastOnce, 1)));
    link.tell(Directive::Settle { tag: Tag(1), outcome: Outcome::Accepted, heard: false });
    assert_eq!(link.unread, [0x40, 3, 0, 1, 0x10]);
    let mut old = Link::open(Version::V3);
    old.send(Packet::Publish(publish(Assurance::AtLeastOnce, 1)));
    old.tell(Directive::Settle { tag: Tag(1), outcome: Outcome::Accepted, heard: false });
    assert_eq!(old.unread, [0x40, 2, 0, 1]);
}

#[test]
fn the_service_s_reason_reaches_whoever_wants_and_takes_it() {
    let outcome = || Outcome::rejected_because(Cause::ByService, "no such car");
    let reason = |change: fn(&mut Properties)| {
        let mut link = Link::open_with(Version::V5, config(), |connect| connect.properties = with(change));
        link.send(Packet::Publish(publish(Assurance::AtLeastOnce, 1)));
        let Packet::Puback(puback) = settle(&mut link, 1, outcome()) else { panic!() };
        reason_string(&puback.properties).cloned()
    };
    assert_eq!(reason(|_| {}), Some("no such car".into()));
    assert_eq!(reason(|properties| properties.request_problem_information = Some(0)), None);
    // CONNACK has 16 bytes, PUBACK would have 20.
    assert_eq!(reason(|properties| properties.maximum_packet_size = Some(18)), None);
}

#[test]
fn an_old_client_hears_of_no_rejection() {
    let mut link = Link::open(Version::V3);
    link.send(Packet::Publish(publish(Assurance::AtLeastOnce, 1)));
    let rejected = Outcome::rejected_because(Cause::NotPermitted, "no rule");
    assert_eq!(settle(&mut link, 1, rejected), Packet::Puback(Ack::success(1)));
}

#[test]
fn an_old_client_is_hung_up_on_so_that_it_sends_again() {
    for outcome in [Outcome::Busy { retry_after: None }, Outcome::unavailable(), Outcome::TimedOut] {
        let mut link = Link::open(Version::V3);
        link.send(Packet::Publish(publish(Assurance::AtLeastOnce, 1)));
        link.intents();
        link.tell(Directive::Settle { tag: Tag(1), outcome, heard: true });
        assert!(link.read().is_empty(), "no acknowledgement");
        let close = link.closed_with();
        assert_eq!(close.cause, CloseCause::Ours);
        assert!(close.with_will);
    }
}

#[test]
fn a_publication_that_is_too_large_ends_the_connection() {
    for version in BOTH {
        let mut link = Link::open(version);
        link.send(Packet::Publish(Publish {
            payload: vec![0; 1_024].into(),
            ..publish(Assurance::AtLeastOnce, 1)
        }));
        assert_eq!(link.published().publication.payload.len(), 1_024, "the limit itself is allowed");
        link.send(Packet::Publish(Publish {
            payload: vec![0; 1_025].into(),
            ..publish(Assurance::AtLeastOnce, 2)
        }));
        link.assert_broken(ReasonCode::PACKET_TOO_LARGE);
    }
    for version in BOTH {
        let mut link = Link::open(version);
        link.send(Packet::Publish(publish(Assurance::AtLeastOnce, 1)));
        link.tell(Directive::Settle {
            tag: Tag(1),
            outcome: Outcome::rejected(Cause::TooLarge),
            heard: true,
        });
        link.assert_broken(ReasonCode::PACKET_TOO_LARGE);
    }
}

#[test]
fn a_packet_that_is_too_large_is_refused_before_it_is_there() {
    for version in BOTH {
        let mut link = Link::open(version);
        link.send_bytes(&[0x32, 0xff, 0xff, 0xff, 0x7f]);
        link.assert_broken(ReasonCode::PACKET_TOO_LARGE);
    }
}

#[test]
fn topics_with_too_many_levels_are_rejected_one_by_one() {
    for version in BOTH {
        let mut link = Link::open(version);
        for (qos, id) in
            [(Assurance::AtMostOnce, 0), (Assurance::AtLeastOnce, 1), (Assurance::ExactlyOnce, 2)]
        {
            link.send(Packet::Publish(Publish { topic: "1/2/3/4/5/6/7/8/9".into(), ..publish(qos, id) }));
        }
        let refused = |intent: &Intent| matches!(intent, Intent::Refused { cause: Cause::BadAddress, .. });
        let intents = link.intents();
        assert!(
            intents.len() == 3 && intents.iter().all(refused),
            "the engine only hears of them: {intents:?}"
        );
        let packets = link.read();
        let [Packet::Puback(puback), Packet::Pubrec(pubrec)] = &packets[..] else { panic!("{packets:?}") };
        let code = if version == Version::V5 { ReasonCode::TOPIC_NAME_INVALID } else { ReasonCode::SUCCESS };
        assert_eq!((puback.packet_id, puback.code), (1, code));
        assert_eq!((pubrec.packet_id, pubrec.code), (2, code));
        link.send(Packet::Publish(Publish {
            topic: "1/2/3/4/5/6/7/8".into(),
            ..publish(Assurance::AtMostOnce, 0)
        }));
        link.published();
    }
}

#[test]
fn text_that_is_not_utf_8_is_rejected() {
    let mut link = Link::open(Version::V5);
    for (qos, id) in [(Assurance::AtMostOnce, 0), (Assurance::AtLeastOnce, 1), (Assurance::ExactlyOnce, 2)] {
        let mut packet = Publish { payload: Bytes::from_static(&[0xff]), ..publish(qos, id) };
        properties_of(&mut packet).payload_format_indicator = Some(1);
        link.send(Packet::Publish(packet));
    }
    let refused = |intent: &Intent| matches!(intent, Intent::Refused { cause: Cause::BadPayload, .. });
    assert!(link.intents().iter().all(refused));
    let packets = link.read();
    let [Packet::Puback(puback), Packet::Pubrec(pubrec)] = &packets[..] else { panic!("{packets:?}") };
    assert_eq!(puback.code, ReasonCode::PAYLOAD_FORMAT_INVALID);
    assert_eq!(pubrec.code, ReasonCode::PAYLOAD_FORMAT_INVALID);
    assert!(link.server.is_open());
}

#[test]
fn topic_names_and_properties_keep_to_their_rules() {
    type Mistake = fn(&mut Publish);
    let cases: [(Mistake, ReasonCode); 7] = [
        (|publish| publish.topic = "a/+".into(), ReasonCode::MALFORMED_PACKET),
        (|publish| publish.topic = "#".into(), ReasonCode::MALFORMED_PACKET),
        (|publish| publish.topic = "".into(), ReasonCode::MALFORMED_PACKET),
        (|publish| properties_of(publish).response_topic = Some("a/+".into()), ReasonCode::PROTOCOL_ERROR),
        (|publish| properties_of(publish).subscription_identifiers.push(1), ReasonCode::PROTOCOL_ERROR),
        (|publish| properties_of(publish).topic_alias = Some(0), ReasonCode::TOPIC_ALIAS_INVALID),
        (|publish| properties_of(publish).topic_alias = Some(4), ReasonCode::TOPIC_ALIAS_INVALID),
    ];
    for (change, code) in cases {
        for version in BOTH {
            let mut packet = publish(Assurance::AtLeastOnce, 1);
            change(&mut packet);
            if version == Version::V3 && packet.properties.is_some() {
                continue;
            }
            let mut link = Link::open(version);
            link.send(Packet::Publish(packet));
            link.assert_broken(code);
        }
    }
}

#[test]
fn an_alias_stands_for_the_topic_it_was_last_set_to() {
    let mut link = Link::open(Version::V5);
    let mut say = |topic: &str, alias: u16| {
        let mut packet = Publish { topic: topic.into(), ..publish(Assurance::AtMostOnce, 0) };
        properties_of(&mut packet).topic_alias = Some(alias);
        link.send(Packet::Publish(packet));
        link.published().publication.address.as_str().to_owned()
    };
    assert_eq!(say("a", 1), "a");
    assert_eq!(say("b", 3), "b");
    assert_eq!(say("", 1), "a");
    assert_eq!(say("", 3), "b");
    assert_eq!(say("c", 1), "c");
    assert_eq!(say("", 1), "c");
    let mut packet = Publish { topic: "".into(), ..publish(Assurance::AtMostOnce, 0) };
    properties_of(&mut packet).topic_alias = Some(2);
    link.send(Packet::Publish(packet));
    link.assert_broken(ReasonCode::PROTOCOL_ERROR);
}

#[test]
fn receive_maximum_is_the_one_that_was_announced() {
    let mut link = Link::new(Version::V5, ServerConfig { receive_maximum: 100, ..config() });
    link.send(Packet::Connect(Box::new(connect(Version::V5))));
    link.opened();
    link.accept(Accepted { window: 2, ..accepted() });
    assert_eq!(link.connack().properties.unwrap().receive_maximum, Some(2));
    link.send(Packet::Publish(publish(Assurance::AtLeastOnce, 1)));
    link.send(Packet::Publish(publish(Assurance::ExactlyOnce, 2)));
    link.send(Packet::Publish(publish(Assurance::AtMostOnce, 0)));
    assert_eq!(link.intents().len(), 3, "QoS 0 does not count");
    settle(&mut link, 1, Outcome::Accepted);
    link.send(Packet::Publish(publish(Assurance::AtLeastOnce, 3)));
    link.published();
    link.send(Packet::Publish(publish(Assurance::AtLeastOnce, 4)));
    link.assert_broken(ReasonCode::RECEIVE_MAXIMUM_EXCEEDED);
}

#[test]
fn qos_2_counts_until_pubcomp_or_until_it_is_rejected() {
    let mut link = Link::open(Version::V5);
    for id in 1..=4 {
        link.send(Packet::Publish(publish(Assurance::ExactlyOnce, id)));
        settle(&mut link, id, Outcome::Accepted);
    }
    let again = Publish { dup: true, ..publish(Assurance::ExactlyOnce, 4) };
    link.intents();
    link.send(Packet::Publish(again));
    assert!(link.published().again, "sent again, it counts once");
    settle(&mut link, 4, Outcome::rejected(Cause::Quota));
    link.send(Packet::Pubrel(Ack::success(1)));
    link.tell(Directive::Released { tag: Tag(1), known: true });
    link.read();
    for id in [4, 5] {
        link.send(Packet::Publish(publish(Assurance::ExactlyOnce, id)));
        assert!(link.server.is_open());
    }
    link.send(Packet::Publish(publish(Assurance::ExactlyOnce, 6)));
    link.assert_broken(ReasonCode::RECEIVE_MAXIMUM_EXCEEDED);
}

#[test]
fn an_old_client_has_no_receive_maximum() {
    let mut link = Link::open(Version::V3);
    for id in 1..=50 {
        link.send(Packet::Publish(publish(Assurance::AtLeastOnce, id)));
    }
    assert_eq!(link.intents().len(), 50);
    for id in (1..=50).rev() {
        assert_eq!(settle(&mut link, id, Outcome::Accepted), Packet::Puback(Ack::success(id)));
    }
}

#[test]
fn what_the_session_s_last_connection_brought_is_acknowledged_once_when_it_is_sent_again() {
    for version in BOTH {
        let mut link = Link::open(version);
        link.tell(Directive::Settle { tag: Tag(8), outcome: Outcome::Accepted, heard: true });
        assert!(link.read().is_empty(), "an answer ahead of what it answers would be followed by another");
        link.send(Packet::Publish(Publish { dup: true, ..publish(Assurance::ExactlyOnce, 8) }));
        assert!(link.published().again);
        assert_eq!(settle(&mut link, 8, Outcome::Accepted), Packet::Pubrec(Ack::success(8)));
        link.send(Packet::Pubrel(Ack::success(8)));
        link.intent();
        link.tell(Directive::Released { tag: Tag(8), known: true });
        assert_eq!(link.read_one(), Packet::Pubcomp(Ack::success(8)));
    }
}

#[test]
fn a_failure_of_the_last_connection_s_does_not_end_an_old_client_s_new_one() {
    let mut link = Link::open(Version::V3);
    link.tell(Directive::Settle { tag: Tag(8), outcome: Outcome::TimedOut, heard: true });
    assert!(link.server.is_open() && link.read().is_empty());
}

#[test]
fn an_acknowledgement_is_said_once() {
    let mut link = Link::open(Version::V5);
    link.send(Packet::Publish(publish(Assurance::ExactlyOnce, 5)));
    settle(&mut link, 5, Outcome::Accepted);
    link.tell(Directive::Settle { tag: Tag(5), outcome: Outcome::Accepted, heard: true });
    assert!(link.read().is_empty());
}
