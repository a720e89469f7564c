//! Who is at the other end: an address, or a session whose address may change.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// A DTLS session, by a key that is not its peer's address: that may change while the session lasts (RFC 9146).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// An endpoint as the message layer tells endpoints apart (RFC 7252 §1.2, §4.2): message identifiers and tokens are its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Remote {
    /// An address, without security.
    Udp {
        /// Where its datagrams come from.
        peer: SocketAddr,
        /// Which of our addresses they were sent to, if the socket has several: answers leave from there (RFC 7252 §5.3.2).
        local: Option<IpAddr>,
    },
    /// A DTLS session (RFC 7252 §9.1.1).
    Session(SessionId),
}

impl Remote {
    /// An address that talks to a socket which has only one of ours.
    pub const fn udp(peer: SocketAddr) -> Self {
        Self::Udp { peer, local: None }
    }

    /// The address, unless it is a session.
    pub const fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Udp { peer, .. } => Some(*peer),
            Self::Session(_) => None,
        }
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp { peer, .. } => write!(f, "{peer}"),
            Self::Session(SessionId(id)) => write!(f, "session {id}"),
        }
    }
}

/// One of the engine's connections that a machine speaks through: many endpoints may share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane(pub u32);
