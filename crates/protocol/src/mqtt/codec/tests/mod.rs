//! The codec held to its promises: what is encoded decodes to itself, and nothing that a peer sends does harm.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod arbitrary;
mod deliveries;
mod malformed;
mod oracles;

use super::*;
use arbitrary::{any_packet, any_version};
use bytes::Bytes;
use proptest::prelude::*;

/// The packet's bytes.
pub(super) fn bytes_of(packet: &Packet, version: Version) -> Vec<u8> {
    let mut out = Vec::new();
    encode(packet, version, &mut out);
    out
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_itself(
        (version, packet) in any_version().prop_flat_map(|version| (Just(version), any_packet(version))),
    ) {
        let bytes = bytes_of(&packet, version);
        let (decoded, taken) = decode(&bytes, version).expect("valid").expect("complete");
        prop_assert_eq!(taken, bytes.len());
        prop_assert_eq!(decoded, packet);
    }

    #[test]
    fn what_follows_a_packet_is_left_alone(
        (version, packet) in any_version().prop_flat_map(|version| (Just(version), any_packet(version))),
        rest in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut bytes = bytes_of(&packet, version);
        let length = bytes.len();
        bytes.extend_from_slice(&rest);
        prop_assert_eq!(decode(&bytes, version), Ok(Some((packet, length))));
    }

    #[test]
    fn the_beginning_of_a_packet_is_no_packet(
        (version, packet) in any_version().prop_flat_map(|version| (Just(version), any_packet(version))),
    ) {
        let bytes = bytes_of(&packet, version);
        for end in 0..bytes.len() {
            prop_assert_eq!(decode(&bytes[..end], version), Ok(None), "of {} bytes the first {}", bytes.len(), end);
        }
    }

    /// A body cut short inside a frame that says so is an error, or a shorter packet of the same kind: one whose payload
    /// or list ends earlier. It is never another kind and never reads beyond its frame.
    #[test]
    fn a_body_cut_short_never_becomes_another_packet(
        (version, packet) in any_version().prop_flat_map(|version| (Just(version), any_packet(version))),
    ) {
        let bytes = bytes_of(&packet, version);
        let header = fixed_header(&bytes).unwrap().unwrap();
        let body = &bytes[header.length..];
        for end in 0..body.len() {
            let header = FixedHeader { remaining: end, ..header };
            let Ok(short) = decode_body(header, &body[..end], version) else { continue };
            prop_assert_eq!(std::mem::discriminant(&short), std::mem::discriminant(&packet));
            let mut again = Vec::new();
            encode(&short, version, &mut again);
            let (same, _) = decode(&again, version).expect("valid").expect("complete");
            prop_assert_eq!(same, short);
        }
    }

    #[test]
    fn any_bytes_are_taken_calmly(bytes in proptest::collection::vec(any::<u8>(), 0..200), version in any_version()) {
        let _ = decode(&bytes, version);
    }

    #[test]
    fn any_body_of_any_kind_is_taken_calmly(
        first in any::<u8>(), body in proptest::collection::vec(any::<u8>(), 0..120), version in any_version(),
    ) {
        let mut bytes = vec![first, body.len() as u8];
        bytes.extend_from_slice(&body);
        if let Ok(Some((_, taken))) = decode(&bytes, version) {
            prop_assert_eq!(taken, bytes.len());
        }
    }

    #[test]
    fn damaged_packets_are_taken_calmly(
        (version, packet) in any_version().prop_flat_map(|version| (Just(version), any_packet(version))),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = bytes_of(&packet, version);
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if let Ok(Some((decoded, taken))) = decode(&bytes, version) {
            prop_assert!(taken <= bytes.len());
            // Whatever was made of it can be said again, and means the same.
            let version = if let Packet::Connect(connect) = &decoded { connect.version } else { version };
            let again = bytes_of(&decoded, version);
            let (same, _) = decode(&again, version).expect("valid").expect("complete");
            prop_assert_eq!(same, normal(decoded));
        }
    }
}

/// A packet as it reads when it comes back: properties that say nothing are none.
fn normal(mut packet: Packet) -> Packet {
    let none = |properties: &mut Option<Box<Properties>>| {
        if properties.as_deref() == Some(&Properties::default()) {
            *properties = None;
        }
    };
    match &mut packet {
        Packet::Connect(connect) => {
            none(&mut connect.properties);
            if let Some(will) = &mut connect.will {
                none(&mut will.properties);
            }
        }
        Packet::Connack(connack) => none(&mut connack.properties),
        Packet::Publish(publish) => none(&mut publish.properties),
        Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
            none(&mut ack.properties);
        }
        Packet::Subscribe(subscribe) => none(&mut subscribe.properties),
        Packet::Unsubscribe(unsubscribe) => none(&mut unsubscribe.properties),
        Packet::Suback(suback) | Packet::Unsuback(suback) => none(&mut suback.properties),
        Packet::Disconnect(disconnect) => none(&mut disconnect.properties),
        Packet::Auth(auth) => none(&mut auth.properties),
        Packet::Pingreq | Packet::Pingresp => {}
    }
    packet
}
