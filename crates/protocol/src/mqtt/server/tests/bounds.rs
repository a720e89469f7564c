//! What a connection costs while it is idle, and at most.

use super::*;
use crate::mqtt::codec::Ack;
use windrose_event::Outcome;

/// Nothing but the machine itself is kept: a shard holds tens of thousands of these.
fn assert_idle(server: &Server) {
    assert_eq!(server.partial.capacity(), 0);
    assert_eq!(server.outputs.capacity(), 0);
    assert!(server.asked.is_none());
    assert!(server.unsettled.is_small());
    assert!(server.claim.is_none() && server.aliases.is_none());
}

#[test]
fn a_machine_is_small() {
    assert!(size_of::<Server>() <= 360, "{} bytes", size_of::<Server>());
}

#[test]
fn an_idle_connection_owns_no_buffers() {
    for version in BOTH {
        let mut link = Link::open_with(version, ServerConfig { receive_maximum: 100, ..config() }, |_| {});
        assert_idle(&link.server);
        for id in 1..=4 {
            let mut bytes = Vec::new();
            encode(&Packet::Publish(publish(Assurance::AtLeastOnce, id)), version, &mut bytes);
            link.send_bytes(&bytes[..5]);
            link.send_bytes(&bytes[5..]);
            link.tell(Directive::Settle { tag: Tag(id), outcome: Outcome::Accepted, heard: true });
        }
        let filters = vec![subscription("a"), subscription("b#")];
        link.send(Packet::Subscribe(Subscribe { packet_id: 9, properties: None, filters }));
        link.tell(Directive::Subscribed { tag: Tag(9), results: vec![Ok(Assurance::AtMostOnce)] });
        link.send(Packet::Puback(Ack::success(1)));
        link.send(Packet::Pingreq);
        assert_idle(&link.server);
    }
}

#[test]
fn a_burst_s_memory_is_given_back() {
    let mut link = Link::open(Version::V3);
    let mut bytes = Vec::new();
    for id in 1..=1_000 {
        encode(&Packet::Publish(publish(Assurance::AtLeastOnce, id)), Version::V3, &mut bytes);
    }
    link.send_bytes(&bytes);
    assert_eq!(link.intents().len(), 1_000);
    for id in 1..=1_000 {
        link.tell(Directive::Settle { tag: Tag(id), outcome: Outcome::Accepted, heard: true });
    }
    assert_eq!(link.read().len(), 1_000);
    assert_idle(&link.server);
}

#[test]
fn what_is_only_claimed_is_not_allocated() {
    let mut link = Link::open(Version::V5);
    // A packet of 4,000 bytes, of which three are there.
    link.send_bytes(&[0x30, 0xa0, 0x1f, 0, 1, b't']);
    assert!(link.server.partial.capacity() < 64);
    let mut fresh = Link::new(Version::V5, config());
    fresh.send_bytes(&[0x10, 0xa0, 0x1f, 0, 4, b'M']);
    assert!(fresh.server.partial.capacity() < 64);
}

#[test]
fn a_closed_connection_keeps_no_bytes() {
    let mut link = Link::open(Version::V5);
    link.send_bytes(&[0x30, 0xa0]);
    link.send_bytes(&[0xff, 0xff, 0xff]);
    assert!(link.closed);
    assert_eq!(link.server.partial.capacity(), 0);
}

#[test]
fn every_identifier_may_be_half_way_at_once_and_each_handshake_ends() {
    let mut link = Link::open(Version::V3);
    let mut acknowledgements = 0;
    for id in 1..=u16::MAX {
        link.send(Packet::Publish(publish(Assurance::ExactlyOnce, id)));
        link.tell(Directive::Settle { tag: Tag(id), outcome: Outcome::Accepted, heard: true });
        acknowledgements += link.read().len();
    }
    assert_eq!(link.server.unsettled.len(), usize::from(u16::MAX));
    let _ = link.intents();
    for id in (1..=u16::MAX).rev() {
        link.send(Packet::Pubrel(Ack::success(id)));
        link.tell(Directive::Released { tag: Tag(id), known: true });
        acknowledgements += link.read().len();
    }
    assert_eq!(acknowledgements, 2 * usize::from(u16::MAX));
    let _ = link.intents();
    assert_idle(&link.server);
}

#[test]
fn packets_are_counted_in_both_directions() {
    let mut link = Link::open(Version::V5);
    let opened = link.server.take_packets();
    assert_eq!((opened.received, opened.sent), (1, 1), "CONNECT and CONNACK");
    link.send(Packet::Pingreq);
    link.send(Packet::Publish(publish(Assurance::AtLeastOnce, 1)));
    link.tell(Directive::Settle { tag: Tag(1), outcome: Outcome::Accepted, heard: true });
    link.send_bytes(&[0x30]);
    let counted = link.server.take_packets();
    assert_eq!((counted.received, counted.sent), (2, 2), "half a packet is none");
}
