//! Servers that say anything at all.

use super::*;
use crate::mqtt::codec::{Ack, Suback};
use proptest::prelude::*;

#[test]
fn what_only_clients_send_and_what_was_not_asked_ends_the_connection() {
    let unasked = Suback { packet_id: 1, properties: None, codes: vec![ReasonCode(0)] };
    for packet in [
        Packet::Pingreq,
        Packet::Suback(unasked.clone()),
        Packet::Unsuback(unasked),
        Packet::Connack(Connack { session_present: false, code: ReasonCode::SUCCESS, properties: None }),
    ] {
        let mut link = Link::open();
        link.send(packet.clone());
        assert!(matches!(link.read_one(), Packet::Disconnect(_)), "{packet:?}");
        link.closed();
        link.send(Packet::Pingresp);
        assert!(link.outputs().is_empty(), "nothing more is read");
    }
}

#[test]
fn an_acknowledgement_of_another_kind_settles_nothing() {
    let mut link = Link::open();
    link.publish(1, event("a", "x", Assurance::ExactlyOnce));
    let packet_id = link.published().packet_id;
    link.send(Packet::Puback(Ack::success(packet_id)));
    assert!(link.closed().contains("not the one that is due"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever comes in whatever pieces: no panic, and nothing after the end but a new beginning.
    #[test]
    fn anything_may_come(
        before in any::<bool>(),
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..12),
        waits in prop::collection::vec(0_u64..40, 12),
    ) {
        let mut link = if before { Link::new(config(Version::V5)) } else { Link::open() };
        link.publish(1, event("a", "x", Assurance::ExactlyOnce));
        for (piece, wait) in pieces.iter().zip(waits) {
            link.send_bytes(piece);
            link.wait(Duration::from_secs(wait));
        }
        link.lose();
        link.connect();
        prop_assert!(matches!(link.read_one(), Packet::Connect(_)));
    }

    /// Packets that are well-formed, in any order.
    #[test]
    fn any_packet_may_come(kinds in prop::collection::vec((0_u8..16, 0_u8..16, 0_u16..4, 0_u8..0xa0), 0..30)) {
        let mut link = Link::open();
        link.publish(1, event("a", "x", Assurance::ExactlyOnce));
        link.publish(2, event("a", "x", Assurance::AtLeastOnce));
        for (kind, flags, id, code) in kinds {
            let [high, low] = id.to_be_bytes();
            link.send_bytes(&[kind << 4 | flags, 4, high, low, code, 0]);
            let tags: Vec<_> = link.outputs().into_iter().filter_map(|output| match output {
                ClientOutput::Message { tag, .. } => Some(tag),
                _ => None,
            }).collect();
            for tag in tags {
                link.settle(tag, &Outcome::Accepted);
            }
        }
        link.lose();
        link.connect();
    }
}
