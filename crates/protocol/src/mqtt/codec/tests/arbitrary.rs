//! Packets of every kind, as a peer that keeps to the specification may send them.

use super::super::properties::{self, Allowed};
use super::*;
use crate::mqtt::ReasonCode;
use proptest::collection::vec;
use proptest::option;
use windrose_event::{RetainedDelivery, Text};

pub(super) fn any_version() -> impl Strategy<Value = Version> {
    prop_oneof![Just(Version::V3), Just(Version::V5)]
}

pub(super) fn any_text() -> impl Strategy<Value = Text> {
    "[^\\p{Cc}\u{fdd0}-\u{fdef}]{0,12}"
        .prop_filter("noncharacters", |text| !text.chars().any(|c| c as u32 & 0xfffe == 0xfffe))
        .prop_map(Text::from)
}

fn any_filter() -> impl Strategy<Value = Text> {
    any_text().prop_map(|text| if text.is_empty() { Text::from_static("f") } else { text })
}

pub(super) fn any_data() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..20).prop_map(Bytes::from)
}

fn any_assurance() -> impl Strategy<Value = Assurance> {
    prop_oneof![Just(Assurance::AtMostOnce), Just(Assurance::AtLeastOnce), Just(Assurance::ExactlyOnce)]
}

/// Properties among those that are allowed; in 3.1.1 none.
fn some_properties(version: Version, allowed: Allowed) -> BoxedStrategy<Option<Box<Properties>>> {
    if version == Version::V3 {
        return Just(None).boxed();
    }
    let flag = || option::weighted(0.3, 0..=1u8);
    let text = || option::weighted(0.3, any_text());
    let number = || option::weighted(0.3, any::<u32>());
    let short = || option::weighted(0.3, 1..=u16::MAX);
    let data = || option::weighted(0.3, any_data());
    let flags = (flag(), flag(), flag(), flag(), flag(), flag(), flag(), flag());
    let texts = (text(), text(), text(), text(), text(), text(), text());
    let numbers = (number(), number(), number(), option::weighted(0.3, 1..=u32::MAX));
    let shorts = (short(), short(), short(), short());
    let lists = (vec(1..=268_435_455u32, 0..3), vec((any_text(), any_text()), 0..3));
    let all = (flags, texts, numbers, shorts, (data(), data()), lists);
    all.prop_map(move |(flags, texts, numbers, shorts, data, lists)| {
        let has = |identifier: u8| allowed & (1 << identifier) != 0;
        fn only<T>(has: bool, value: Option<T>) -> Option<T> {
            value.filter(|_| has)
        }
        let properties = Properties {
            payload_format_indicator: only(has(0x01), flags.0),
            message_expiry_interval: only(has(0x02), numbers.0),
            content_type: only(has(0x03), texts.0),
            response_topic: only(has(0x08), texts.1),
            correlation_data: only(has(0x09), data.0),
            // SUBSCRIBE has one at most, PUBLISH any number.
            subscription_identifiers: if !has(0x0b) {
                Default::default()
            } else if allowed == properties::SUBSCRIBE {
                lists.0.into_iter().take(1).collect()
            } else {
                lists.0.into()
            },
            session_expiry_interval: only(has(0x11), numbers.1),
            assigned_client_identifier: only(has(0x12), texts.2),
            server_keep_alive: only(has(0x13), shorts.0),
            // CONNECT may not have data without a method.
            authentication_data: only(has(0x16) && texts.3.is_some(), data.1),
            authentication_method: only(has(0x15), texts.3),
            request_problem_information: only(has(0x17), flags.1),
            will_delay_interval: only(has(0x18), numbers.2),
            request_response_information: only(has(0x19), flags.2),
            response_information: only(has(0x1a), texts.4),
            server_reference: only(has(0x1c), texts.5),
            reason_string: only(has(0x1f), texts.6),
            receive_maximum: only(has(0x21), shorts.1),
            topic_alias_maximum: only(has(0x22), shorts.2),
            topic_alias: only(has(0x23), shorts.3),
            maximum_qos: only(has(0x24), flags.3),
            retain_available: only(has(0x25), flags.4),
            user_properties: if has(0x26) { lists.1 } else { Vec::new() },
            maximum_packet_size: only(has(0x27), numbers.3),
            wildcard_subscription_available: only(has(0x28), flags.5),
            subscription_identifiers_available: only(has(0x29), flags.6),
            shared_subscription_available: only(has(0x2a), flags.7),
        };
        (properties != Properties::default()).then(|| Box::new(properties))
    })
    .boxed()
}

pub(super) fn any_packet(version: Version) -> BoxedStrategy<Packet> {
    let code = any::<u8>().prop_map(ReasonCode);
    let acks = || {
        ack(version).prop_flat_map(|ack| {
            prop_oneof![
                Just(Packet::Puback(ack.clone())),
                Just(Packet::Pubrec(ack.clone())),
                Just(Packet::Pubrel(ack.clone())),
                Just(Packet::Pubcomp(ack)),
            ]
        })
    };
    let last_words = (reason(version), some_properties(version, properties::DISCONNECT))
        .prop_map(|(code, properties)| Packet::Disconnect(Disconnect { code, properties }));
    let connack = (any::<bool>(), code, some_properties(version, properties::CONNACK)).prop_map(
        |(session_present, code, properties)| Packet::Connack(Connack { session_present, code, properties }),
    );
    let shared = prop_oneof![
        connect(version),
        connack,
        publish(version),
        acks(),
        subscribe(version),
        unsubscribe(version),
        suback(version, true),
        suback(version, false),
        last_words,
        Just(Packet::Pingreq),
        Just(Packet::Pingresp),
    ];
    match version {
        Version::V3 => shared.boxed(),
        Version::V5 => {
            let auth = (reason(version), some_properties(version, properties::AUTH))
                .prop_map(|(code, properties)| Packet::Auth(Auth { code, properties }));
            prop_oneof![10 => shared, 1 => auth].boxed()
        }
    }
}

fn reason(version: Version) -> BoxedStrategy<ReasonCode> {
    match version {
        Version::V3 => Just(ReasonCode::SUCCESS).boxed(),
        Version::V5 => any::<u8>().prop_map(ReasonCode).boxed(),
    }
}

fn ack(version: Version) -> impl Strategy<Value = Ack> {
    (1..=u16::MAX, reason(version), some_properties(version, properties::ACK))
        .prop_map(|(packet_id, code, properties)| Ack { packet_id, code, properties })
}

fn connect(version: Version) -> impl Strategy<Value = Packet> {
    let will =
        (any_assurance(), any::<bool>(), any_text(), any_data(), some_properties(version, properties::WILL))
            .prop_map(|(qos, retain, topic, payload, properties)| LastWill {
                qos,
                retain,
                topic,
                payload,
                properties,
            });
    let credentials = (option::of(any_text()), option::of(any_data()));
    let rest = some_properties(version, properties::CONNECT);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (flags, any::<u16>(), any_text(), option::of(will), credentials, rest).prop_map(
        move |((clean_start, legacy, bridge), keep_alive, client_id, will, credentials, properties)| {
            let (username, password) = credentials;
            // 3.1.1 has no password without a user name.
            let password = password.filter(|_| version == Version::V5 || username.is_some());
            Packet::Connect(Box::new(Connect {
                version,
                legacy: legacy && version == Version::V3,
                bridge: bridge && version == Version::V3,
                clean_start,
                keep_alive,
                client_id,
                will,
                username,
                password,
                properties,
            }))
        },
    )
}

fn publish(version: Version) -> impl Strategy<Value = Packet> {
    let flags = (any::<bool>(), any_assurance(), any::<bool>());
    let rest = (any_text(), 1..=u16::MAX, some_properties(version, properties::PUBLISH));
    let payload = prop_oneof![8 => vec(any::<u8>(), 0..40), 1 => vec(any::<u8>(), 100..300), 1 => Just(vec![7; 20_000])];
    (flags, rest, payload).prop_map(|((dup, qos, retain), (topic, packet_id, properties), payload)| {
        let acknowledged = qos != Assurance::AtMostOnce;
        Packet::Publish(Publish {
            dup: dup && acknowledged,
            qos,
            retain,
            topic,
            packet_id: if acknowledged { packet_id } else { 0 },
            properties,
            payload: payload.into(),
        })
    })
}

fn subscribe(version: Version) -> impl Strategy<Value = Packet> {
    let handling = prop_oneof![
        Just(RetainedDelivery::Always),
        Just(RetainedDelivery::IfNew),
        Just(RetainedDelivery::Never),
    ];
    let filter = (any_filter(), any_assurance(), any::<bool>(), any::<bool>(), handling).prop_map(
        move |(filter, qos, no_local, retain_as_published, retain_handling)| match version {
            Version::V3 => SubscribeFilter {
                filter,
                qos,
                no_local: false,
                retain_as_published: false,
                retain_handling: RetainedDelivery::Always,
            },
            Version::V5 => SubscribeFilter { filter, qos, no_local, retain_as_published, retain_handling },
        },
    );
    (1..=u16::MAX, some_properties(version, properties::SUBSCRIBE), vec(filter, 1..5)).prop_map(
        |(packet_id, properties, filters)| Packet::Subscribe(Subscribe { packet_id, properties, filters }),
    )
}

fn unsubscribe(version: Version) -> impl Strategy<Value = Packet> {
    (1..=u16::MAX, some_properties(version, properties::UNSUBSCRIBE), vec(any_filter(), 1..5)).prop_map(
        |(packet_id, properties, filters)| {
            Packet::Unsubscribe(Unsubscribe { packet_id, properties, filters })
        },
    )
}

fn suback(version: Version, subscribed: bool) -> impl Strategy<Value = Packet> {
    let codes = if subscribed || version == Version::V5 { 1..5 } else { 0..1 };
    let codes = vec(any::<u8>().prop_map(ReasonCode), codes);
    (1..=u16::MAX, some_properties(version, properties::ACK), codes).prop_map(
        move |(packet_id, properties, codes)| {
            let suback = Suback { packet_id, properties, codes };
            if subscribed { Packet::Suback(suback) } else { Packet::Unsuback(suback) }
        },
    )
}
