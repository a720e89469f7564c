//! Our codec beside two that others wrote: rmqtt-codec and mqtt-protocol-core.
//!
//! What we encode they decode, and what they encode of it we decode to the same packet: so all three agree about its
//! content. Of bytes that were damaged all say alike whether they are a packet, but for the differences that are listed.

use super::{any_packet, any_version, bytes_of, normal};
use crate::mqtt::ReasonCode;
use crate::mqtt::codec::{Packet, Properties, Version, decode, fixed_header, kind};
use bytes::BytesMut;
use mqtt_protocol_core::mqtt::packet::{v3_1_1, v5_0};
use proptest::prelude::*;
use rmqtt_codec::{v3, v5};
use std::sync::Arc;
use tokio_util::codec::{Decoder as _, Encoder as _};

/// The bytes of the packet that rmqtt-codec decodes; `None` if it refuses.
fn rmqtt(bytes: &[u8], version: Version) -> Option<Vec<u8>> {
    let mut source = BytesMut::from(bytes);
    let mut out = BytesMut::new();
    match version {
        Version::V3 => {
            let mut codec = v3::Codec::new(0);
            let (packet, _) = codec.decode(&mut source).ok()??;
            codec.encode(packet, &mut out).ok()?;
        }
        Version::V5 => {
            let mut codec = v5::Codec::new(0, 0);
            let (packet, _) = codec.decode(&mut source).ok()??;
            codec.encode(packet, &mut out).ok()?;
        }
    }
    Some(out.to_vec())
}

/// The bytes of the packet that mqtt-protocol-core decodes; `None` if it refuses.
fn core(bytes: &[u8], version: Version) -> Option<Vec<u8>> {
    let header = fixed_header(bytes).ok()??;
    let body = bytes.get(header.length..header.length + header.remaining)?;
    macro_rules! parse {
        ($packet:ty) => {{
            let (packet, length) = <$packet>::parse(body).ok()?;
            (length == body.len()).then(|| packet.to_continuous_buffer())
        }};
    }
    macro_rules! version {
        ($version:ident) => {
            match header.kind() {
                1 => parse!($version::Connect),
                2 => parse!($version::Connack),
                3 => {
                    let (packet, _) = $version::Publish::parse(header.flags(), Arc::from(body)).ok()?;
                    Some(packet.to_continuous_buffer())
                }
                4 => parse!($version::Puback),
                5 => parse!($version::Pubrec),
                6 => parse!($version::Pubrel),
                7 => parse!($version::Pubcomp),
                8 => parse!($version::Subscribe),
                9 => parse!($version::Suback),
                10 => parse!($version::Unsubscribe),
                11 => parse!($version::Unsuback),
                12 => parse!($version::Pingreq),
                13 => parse!($version::Pingresp),
                14 => parse!($version::Disconnect),
                _ => None,
            }
        };
    }
    match (version, header.kind()) {
        (Version::V5, 15) => parse!(v5_0::Auth),
        (Version::V5, _) => version!(v5_0),
        (Version::V3, _) => version!(v3_1_1),
    }
}

/// What we make of the bytes of a packet.
fn ours(bytes: &[u8], version: Version) -> Option<Packet> {
    match decode(bytes, version) {
        Ok(Some((packet, taken))) if taken == bytes.len() => Some(normal(packet)),
        _ => None,
    }
}

/// Reason codes that a packet of this kind may have (MQTT 5 §2.4), and return codes of 3.1.1. Our codec leaves them to the
/// machines, which know who sent the packet.
fn codes(kind: u8, version: Version) -> &'static [u8] {
    match (version, kind) {
        (Version::V3, kind::CONNACK) => &[0, 1, 2, 3, 4, 5],
        (Version::V3, _) => &[0, 1, 2, 0x80],
        (_, kind::CONNACK) => &[
            0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97,
            0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9f,
        ],
        (_, kind::PUBACK | kind::PUBREC) => &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
        (_, kind::PUBREL | kind::PUBCOMP) => &[0x00, 0x92],
        (_, kind::SUBACK) => &[0, 1, 2, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2],
        (_, kind::UNSUBACK) => &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91],
        (_, kind::AUTH) => &[0x00, 0x18, 0x19],
        _ => &[
            0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95,
            0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
        ],
    }
}

/// Every reason code of a packet.
fn codes_of(packet: &mut Packet) -> Vec<&mut ReasonCode> {
    match packet {
        Packet::Connack(connack) => vec![&mut connack.code],
        Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
            vec![&mut ack.code]
        }
        Packet::Suback(suback) | Packet::Unsuback(suback) => suback.codes.iter_mut().collect(),
        Packet::Disconnect(disconnect) => vec![&mut disconnect.code],
        Packet::Auth(auth) => vec![&mut auth.code],
        _ => Vec::new(),
    }
}

/// A packet that all three may say: with codes of its own kind, and with the texts that machines insist on.
fn sayable(mut packet: Packet, version: Version) -> Packet {
    let kind = bytes_of(&packet, version)[0] >> 4;
    let allowed = codes(kind, version);
    for code in codes_of(&mut packet) {
        *code = ReasonCode(allowed[usize::from(code.0) % allowed.len()]);
    }
    match &mut packet {
        Packet::Auth(auth) => {
            // Its method is always there (MQTT 5 §3.15.2.2.2).
            let properties = auth.properties.get_or_insert_default();
            properties.authentication_method.get_or_insert_with(|| "method".into());
        }
        Packet::Connect(connect) => {
            // Levels of bridges, and of 3.1, are beyond the others.
            (connect.legacy, connect.bridge) = (false, false);
            if connect.client_id.is_empty() {
                connect.client_id = "c".into();
            }
        }
        Packet::Publish(publish) if publish.topic.is_empty() && version == Version::V3 => {
            publish.topic = "t".into()
        }
        _ => {}
    }
    packet
}

/// A packet without properties that say what is so anyway: rmqtt-codec leaves them out.
fn plain(mut packet: Packet) -> Packet {
    let drop_defaults = |properties: &mut Option<Box<Properties>>| {
        let Some(properties) = properties else { return };
        let default = |value: &mut Option<u8>, default: u8| {
            if *value == Some(default) {
                *value = None;
            }
        };
        default(&mut properties.payload_format_indicator, 0);
        default(&mut properties.request_problem_information, 1);
        default(&mut properties.request_response_information, 0);
        default(&mut properties.retain_available, 1);
        default(&mut properties.wildcard_subscription_available, 1);
        default(&mut properties.subscription_identifiers_available, 1);
        default(&mut properties.shared_subscription_available, 1);
        if properties.session_expiry_interval == Some(0) {
            properties.session_expiry_interval = None;
        }
    };
    match &mut packet {
        Packet::Connect(connect) => {
            drop_defaults(&mut connect.properties);
            connect.will.iter_mut().for_each(|will| drop_defaults(&mut will.properties));
        }
        Packet::Connack(connack) => drop_defaults(&mut connack.properties),
        Packet::Publish(publish) => drop_defaults(&mut publish.properties),
        _ => {}
    }
    normal(packet)
}

/// A packet and its bytes.
fn any_sayable() -> impl Strategy<Value = (Version, Packet, Vec<u8>)> {
    let packets = any_version().prop_flat_map(|version| (Just(version), any_packet(version)));
    packets.prop_map(|(version, packet)| {
        let packet = sayable(packet, version);
        let bytes = bytes_of(&packet, version);
        (version, packet, bytes)
    })
}

proptest! {
    #[test]
    fn all_agree_about_what_a_packet_says((version, packet, bytes) in any_sayable()) {
        let packet = plain(packet);
        let theirs = rmqtt(&bytes, version);
        let same = theirs.as_deref().map(|bytes| ours(bytes, version).map(plain));
        prop_assert_eq!(same, Some(Some(packet.clone())), "rmqtt-codec: {:02x?}", theirs);
        // MQTT 5 §3.1.2.9 lets a password come alone; mqtt-protocol-core does not.
        if matches!(&packet, Packet::Connect(connect) if connect.password.is_some() && connect.username.is_none()) {
            return Ok(());
        }
        let theirs = core(&bytes, version);
        let same = theirs.as_deref().map(|bytes| ours(bytes, version).map(plain));
        prop_assert_eq!(same, Some(Some(packet)), "mqtt-protocol-core: {:02x?}", theirs);
    }
}

/// Why we refuse packets that at least one of the others takes. In each case the specification is with us.
const LAXER: &[(&str, &str)] = &[
    (
        "a packet's reserved flags are not as they must be",
        "MQTT 5 §2.1.3; mqtt-protocol-core looks at them elsewhere",
    ),
    (
        "a string contains a control character or a noncharacter",
        "MQTT 5 §1.5.4 lets a receiver choose; Mosquitto refuses",
    ),
    ("a string contains U+0000", "MQTT 5 §1.5.4"),
    ("a variable byte integer is longer than it need be", "MQTT 5 §1.5.5"),
    ("the packet is longer than its fields", "MQTT 5 §2.1.4: the length is that of the packet's fields"),
    ("PING with a body", "MQTT 5 §3.12: no more than its fixed header"),
    ("an acknowledgement has a wrong number of codes", "MQTT 5 §3.9.3: a code for each filter"),
    ("CONNACK has reserved flags set", "MQTT 5 §3.2.2.1"),
    ("CONNECT has its reserved flag set", "MQTT 5 §3.1.2.3"),
    ("CONNECT has a password without a user name", "MQTT 3.1.1 §3.1.2.9"),
    ("CONNECT has will QoS 3", "MQTT 5 §3.1.2.6"),
    ("CONNECT has will flags without a will", "MQTT 5 §3.1.2.6, §3.1.2.7"),
    (
        "CONNECT names a version other than 3.1, 3.1.1 and 5.0",
        "MQTT 5 §3.1.2.2: rmqtt-codec takes MQTT with level 3",
    ),
    (
        "a property that is 0 or 1 has another value",
        "MQTT 5 §3.2.2.3.4: rmqtt-codec knows a Maximum QoS of 2",
    ),
    ("PUBLISH has DUP with QoS 0", "MQTT 5 §3.3.1.1"),
    ("a packet identifier is zero", "MQTT 5 §2.2.1"),
    ("a topic filter is empty", "MQTT 5 §4.7.3"),
    ("SUBSCRIBE has reserved options set", "MQTT 5 §3.8.3.1"),
];

/// Whether a packet that we take may be refused by another codec, and why that is fine.
fn may_be_refused(packet: &Packet, kind: u8, version: Version) -> bool {
    let mut copy = packet.clone();
    if codes_of(&mut copy).iter().any(|code| !codes(kind, version).contains(&code.0)) {
        return true;
    }
    match packet {
        // MQTT 5 §3.1.2.9 lets a password come alone; mqtt-protocol-core does not. An empty client identifier without
        // a clean session (MQTT 3.1.1 §3.1.3.1) is answered by the machine; rmqtt-codec refuses it in MQTT 5, too.
        Packet::Connect(connect) => {
            connect.username.is_none() && connect.password.is_some() || connect.client_id.is_empty()
        }
        // An empty topic is the machine's to refuse, which knows whether an alias stands for it. Nothing forbids to expire
        // at once (MQTT 5 §3.3.2.3.3); rmqtt-codec does.
        Packet::Publish(publish) => {
            let expires = |properties: &Properties| properties.message_expiry_interval == Some(0);
            publish.topic.is_empty() || publish.properties.as_deref().is_some_and(expires)
        }
        // So is an AUTH without a method (MQTT 5 §3.15.2.2.2).
        Packet::Auth(auth) => {
            auth.properties.as_ref().is_none_or(|properties| properties.authentication_method.is_none())
        }
        _ => false,
    }
}

/// Bytes of a packet, damaged: some are changed, and the end may be cut off or grown. The length is right again afterwards.
fn any_damaged() -> impl Strategy<Value = (Version, Vec<u8>)> {
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (any_sayable(), changes, -4..3i32).prop_map(|((version, _, mut bytes), changes, grow)| {
        for (place, value) in changes {
            // Not the length, which would make a stream of another packet.
            let place = place.index(bytes.len());
            if place != 1 {
                bytes[place] = value;
            }
        }
        // Of packets whose length has one byte.
        if bytes.len() < 120 {
            let length = bytes.len().saturating_add_signed(grow as isize).max(2);
            bytes.resize(length, 0);
            bytes[1] = (length - 2) as u8;
        }
        (version, bytes)
    })
}

proptest! {
    // The same bytes each time: a difference that nobody has found yet fails for whoever looks for longer, not for others.
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(1), ..ProptestConfig::default() })]
    #[test]
    fn all_say_alike_of_damaged_packets_but_for_what_is_known((version, bytes) in any_damaged()) {
        let decoded = match decode(&bytes, version) {
            Ok(Some((packet, taken))) if taken == bytes.len() => Ok(packet),
            Ok(_) => return Ok(()),
            Err(error) => Err(error.problem),
        };
        // A CONNECT says itself which version it is of.
        if matches!(&decoded, Ok(Packet::Connect(connect)) if connect.version != version || connect.legacy || connect.bridge) {
            return Ok(());
        }
        for (name, theirs) in [("rmqtt-codec", rmqtt(&bytes, version)), ("mqtt-protocol-core", core(&bytes, version))] {
            match (&decoded, theirs) {
                (Err(_), None) => {}
                (Ok(packet), Some(theirs)) => {
                    let same = ours(&theirs, version).map(plain);
                    prop_assert_eq!(same, Some(plain(packet.clone())), "{} reads something else in {:02x?}", name, bytes);
                }
                (Ok(packet), None) => prop_assert!(
                    may_be_refused(packet, bytes[0] >> 4, version),
                    "only {name} refuses {bytes:02x?}: {packet:?}"
                ),
                // mqtt-protocol-core takes a PUBLISH that ends where the length of its properties should be (MQTT 5 §3.3.2.3.1).
                (Err("the packet ends before its fields do"), Some(_)) if bytes[0] >> 4 == kind::PUBLISH => {}
                (Err(problem), Some(_)) => prop_assert!(
                    LAXER.iter().any(|(known, _)| known == problem),
                    "only {name} takes {bytes:02x?}, of which we say: {problem}"
                ),
            }
        }
    }
}
