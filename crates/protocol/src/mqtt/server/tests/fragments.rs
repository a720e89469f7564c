//! However the network cuts the bytes, the same is understood and the same is said.

use super::*;
use crate::mqtt::codec::Ack;
use proptest::prelude::*;

/// What a server made of a client's bytes, cut in these places: intents, the bytes that it said, whether it closed. The
/// engine accepts the session as soon as it is asked, and is silent else: what it says depends on when it is asked.
fn told(version: Version, bytes: &[u8], cuts: &[usize]) -> (Vec<String>, Vec<u8>, bool) {
    let mut link = Link::new(version, config());
    let mut intents = Vec::new();
    let mut from = 0;
    for &to in cuts.iter().chain([&bytes.len()]) {
        link.send_bytes(&bytes[from..to]);
        from = to;
        for intent in link.intents() {
            intents.push(format!("{intent:?}"));
            if let Intent::Open(open) = intent {
                link.accept(Accepted { keep: open.keep, ..accepted() });
                intents.extend(link.intents().iter().map(|intent| format!("{intent:?}")));
            }
        }
    }
    (intents, link.unread, link.closed)
}

/// A client's whole life in bytes.
fn life(version: Version) -> Vec<u8> {
    let mut large = publish(Assurance::AtLeastOnce, 3);
    large.payload = vec![b'x'; 900].into();
    // One that is none has a code in MQTT 5.
    let other = if version == Version::V5 { "b#" } else { "b" };
    let filters = vec![subscription("a/#"), subscription(other)];
    let packets = [
        Packet::Connect(Box::new(connect(version))),
        Packet::Subscribe(Subscribe { packet_id: 1, properties: None, filters }),
        Packet::Publish(publish(Assurance::AtMostOnce, 0)),
        Packet::Publish(publish(Assurance::AtLeastOnce, 1)),
        Packet::Publish(publish(Assurance::ExactlyOnce, 2)),
        Packet::Pingreq,
        Packet::Pubrel(Ack::success(2)),
        Packet::Publish(large),
        Packet::Puback(Ack::success(9)),
        Packet::Disconnect(Disconnect { code: ReasonCode::SUCCESS, properties: None }),
    ];
    let mut bytes = Vec::new();
    packets.iter().for_each(|packet| encode(packet, version, &mut bytes));
    bytes
}

#[test]
fn a_life_cut_in_two_anywhere_is_the_same_life() {
    for version in BOTH {
        let bytes = life(version);
        let whole = told(version, &bytes, &[]);
        assert_eq!(whole.0.len(), 9, "{:#?}", whole.0);
        assert!(whole.2);
        for cut in 0..bytes.len() {
            assert_eq!(told(version, &bytes, &[cut]), whole, "cut at {cut}");
        }
    }
}

#[test]
fn a_life_byte_by_byte_is_the_same_life() {
    for version in BOTH {
        let bytes = life(version);
        let cuts: Vec<_> = (1..bytes.len()).collect();
        assert_eq!(told(version, &bytes, &cuts), told(version, &bytes, &[]));
    }
}

proptest! {
    #[test]
    fn damage_is_understood_alike_however_it_is_cut(
        five in any::<bool>(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let version = if five { Version::V5 } else { Version::V3 };
        let mut bytes = life(version);
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.sort_unstable();
        prop_assert_eq!(told(version, &bytes, &cuts), told(version, &bytes, &[]));
    }

    #[test]
    fn a_server_takes_any_bytes_calmly(
        open in any::<bool>(),
        reads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 1..5),
    ) {
        let mut link = if open { Link::open(Version::V5) } else { Link::new(Version::V5, config()) };
        for read in &reads {
            link.send_bytes(read);
        }
        link.lose();
        let closes = link.intents().iter().filter(|intent| matches!(intent, Intent::Close(_))).count();
        prop_assert!(link.closed);
        if open {
            prop_assert_eq!(closes, 1);
        }
    }
}
