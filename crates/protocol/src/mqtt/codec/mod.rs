//! The codec: packets of MQTT 3.1, 3.1.1 and 5.0, decoded and encoded in both directions.
//!
//! Decoding shares: a packet's body is one buffer, and its texts and payload are slices of it.

mod connect;
mod packet;
mod properties;
mod publish;
mod read;
mod subscribe;
#[cfg(test)]
mod tests;
mod write;

pub(super) use connect::Dialect;
pub use connect::{Connack, Connect, LastWill};
pub(super) use packet::decode_body;
pub use packet::{Ack, Auth, Disconnect, Packet, decode, encode};
pub use properties::Properties;
pub use publish::Publish;
pub(crate) use publish::PublishView;
pub(super) use publish::{TopicAlias, can_say, seconds_left, write_publish};
pub use read::{CodecError, FixedHeader, fixed_header};
pub use subscribe::{Suback, Subscribe, SubscribeFilter, Unsubscribe};

use windrose_event::Assurance;

/// The versions of the protocol that differ on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 3.1.1 (protocol level 4), and 3.1 (level 3), whose packets are the same but for CONNECT.
    V3,
    /// 5.0 (protocol level 5).
    V5,
}

/// The kinds of packets (MQTT 5 §2.1.2), as the upper four bits of their first byte.
#[allow(missing_docs, reason = "the names are the specification's own")]
pub mod kind {
    pub const CONNECT: u8 = 1;
    pub const CONNACK: u8 = 2;
    pub const PUBLISH: u8 = 3;
    pub const PUBACK: u8 = 4;
    pub const PUBREC: u8 = 5;
    pub const PUBREL: u8 = 6;
    pub const PUBCOMP: u8 = 7;
    pub const SUBSCRIBE: u8 = 8;
    pub const SUBACK: u8 = 9;
    pub const UNSUBSCRIBE: u8 = 10;
    pub const UNSUBACK: u8 = 11;
    pub const PINGREQ: u8 = 12;
    pub const PINGRESP: u8 = 13;
    pub const DISCONNECT: u8 = 14;
    pub const AUTH: u8 = 15;
}

/// The assurance that a quality of service is, if the two bits are one.
fn assurance(bits: u8) -> Option<Assurance> {
    match bits {
        0 => Some(Assurance::AtMostOnce),
        1 => Some(Assurance::AtLeastOnce),
        2 => Some(Assurance::ExactlyOnce),
        _ => None,
    }
}
