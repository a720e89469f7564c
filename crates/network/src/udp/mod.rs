//! Datagrams, many at a time.

#[cfg(target_os = "linux")]
mod arrivals;
#[cfg(not(target_os = "linux"))]
#[path = "arrivals_each.rs"]
mod arrivals;
mod socket;

pub(crate) use arrivals::Arrivals;
pub(crate) use socket::UdpPort;

/// Datagrams of one system call.
pub(crate) const BATCH: usize = 32;

/// Bytes of the largest datagram that is taken whole: more than RFC 7252 §4.6 has for a message, and no multiple of a page,
/// so that the beginnings of many do not compete for the same places in the processor's caches.
const ROOM: usize = 4_096 + 192;

/// One datagram that arrived.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    peer: std::net::SocketAddr,
    /// Which of our addresses it was sent to, if the socket has several.
    local: Option<std::net::IpAddr>,
    length: usize,
    /// It was larger than its room.
    is_cut: bool,
}
