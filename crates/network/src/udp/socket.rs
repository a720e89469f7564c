//! One shard's socket of datagrams on one address.

use crate::listen;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use tokio::net::UdpSocket;

/// Bytes that may wait because the system takes no more now. What is beyond is dropped, as the network itself might.
const BACKLOG: usize = 1 << 20;

/// A socket of datagrams, and what waits to be sent by it.
pub(crate) struct UdpPort {
    pub(super) socket: UdpSocket,
    /// Where it is bound.
    pub(super) address: SocketAddr,
    backlog: RefCell<Backlog>,
    figures: Cell<UdpFigures>,
    /// What the system last said that it dropped.
    overflow: Cell<u32>,
}

/// Counts of one socket since it was bound.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UdpFigures {
    /// Datagrams that came while the system had no room for them.
    pub(crate) overflowed: u64,
    /// Datagrams that were too large.
    pub(crate) cut: u64,
    /// Datagrams that could not be sent.
    pub(crate) unsent: u64,
}

#[derive(Default)]
struct Backlog {
    datagrams: VecDeque<(SocketAddr, Option<IpAddr>, Vec<u8>)>,
    bytes: usize,
}

impl UdpPort {
    /// Takes a bound, non-blocking socket.
    pub(crate) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        let address = socket.local_addr()?;
        Ok(Self {
            socket: UdpSocket::from_std(socket)?,
            address,
            backlog: RefCell::default(),
            figures: Cell::default(),
            overflow: Cell::new(0),
        })
    }

    /// The one address that all its datagrams are sent to, unless it is bound to all that there are.
    pub(crate) fn only_address(&self) -> Option<IpAddr> {
        Some(self.address.ip()).filter(|ip| !ip.is_unspecified())
    }

    /// Where it is bound.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until there is something to receive, or room for what waits to be sent.
    pub(crate) async fn ready(&self) -> io::Result<()> {
        if self.backlog.borrow().datagrams.is_empty() {
            return self.socket.readable().await;
        }
        tokio::select! {
            ready = self.socket.readable() => ready,
            ready = self.socket.writable() => {
                self.send_backlog();
                ready
            }
        }
    }

    /// Sends a datagram, from `local` if it is given; keeps it for later if the system takes no more now.
    pub(crate) fn send(&self, peer: SocketAddr, local: Option<IpAddr>, bytes: &[u8]) {
        if self.backlog.borrow().datagrams.is_empty() {
            match self.send_now(peer, local, bytes) {
                Ok(()) => return,
                Err(error) if is_full(&error) => {}
                Err(_) => return self.count(|figures| figures.unsent += 1),
            }
        }
        let mut backlog = self.backlog.borrow_mut();
        if backlog.bytes + bytes.len() > BACKLOG {
            return self.count(|figures| figures.unsent += 1);
        }
        backlog.bytes += bytes.len();
        backlog.datagrams.push_back((peer, local, bytes.to_vec()));
    }

    fn send_backlog(&self) {
        let mut backlog = self.backlog.borrow_mut();
        while let Some((peer, local, bytes)) = backlog.datagrams.front() {
            match self.send_now(*peer, *local, bytes) {
                Err(error) if is_full(&error) => return,
                Err(_) => self.count(|figures| figures.unsent += 1),
                Ok(()) => {}
            }
            backlog.bytes -= bytes.len();
            backlog.datagrams.pop_front();
        }
        *backlog = Backlog::default();
    }

    fn send_now(&self, peer: SocketAddr, local: Option<IpAddr>, bytes: &[u8]) -> io::Result<()> {
        let sent = self.send_once(peer, local, bytes);
        #[cfg(target_os = "linux")]
        if let Err(error) = &sent
            && error.raw_os_error() == Some(libc::EMSGSIZE)
        {
            // Some path is narrower than our datagrams: better in fragments than not at all.
            listen::allow_fragments(&self.socket)?;
            return self.send_once(peer, local, bytes);
        }
        sent
    }

    fn send_once(&self, peer: SocketAddr, local: Option<IpAddr>, bytes: &[u8]) -> io::Result<()> {
        match local.filter(|_| self.address.ip().is_unspecified()) {
            None => self.socket.try_send_to(bytes, peer).map(drop),
            Some(local) => self.send_from(local, peer, bytes),
        }
    }

    /// Sends from one of our addresses (RFC 7252 §5.3.2: that which the request was sent to).
    #[cfg(target_os = "linux")]
    fn send_from(&self, local: IpAddr, peer: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};
        use std::os::fd::AsRawFd;
        let (fd, name) = (self.socket.as_raw_fd(), SockaddrStorage::from(peer));
        let send = |word: ControlMessage<'_>| {
            let slices = [io::IoSlice::new(bytes)];
            sendmsg(fd, &slices, &[word], MsgFlags::MSG_DONTWAIT, Some(&name)).map_err(io::Error::from)
        };
        let sent = self.socket.try_io(tokio::io::Interest::WRITABLE, || match local {
            IpAddr::V4(local) => {
                let ipi_spec_dst = libc::in_addr { s_addr: u32::from_ne_bytes(local.octets()) };
                let ipi_addr = libc::in_addr { s_addr: 0 };
                send(ControlMessage::Ipv4PacketInfo(&libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst,
                    ipi_addr,
                }))
            }
            IpAddr::V6(local) => {
                let ipi6_addr = libc::in6_addr { s6_addr: local.octets() };
                send(ControlMessage::Ipv6PacketInfo(&libc::in6_pktinfo { ipi6_addr, ipi6_ifindex: 0 }))
            }
        });
        sent.map(drop)
    }

    #[cfg(not(target_os = "linux"))]
    fn send_from(&self, _: IpAddr, peer: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        self.socket.try_send_to(bytes, peer).map(drop)
    }

    /// The system says that it has dropped so many in all.
    pub(super) fn overflowed(&self, dropped: u32) {
        let new = dropped.wrapping_sub(self.overflow.replace(dropped));
        self.count(|figures| figures.overflowed += u64::from(new));
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut UdpFigures)) {
        let mut figures = self.figures.get();
        change(&mut figures);
        self.figures.set(figures);
    }

    pub(crate) fn figures(&self) -> UdpFigures {
        self.figures.get()
    }
}

fn is_full(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(libc::ENOBUFS) {
        return true;
    }
    error.kind() == io::ErrorKind::WouldBlock
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::Arrivals;
    use super::*;
    use crate::listen::bind_udp;
    use std::net::Ipv4Addr;

    fn port(address: &str) -> UdpPort {
        let mut bound = bind_udp(address.parse().unwrap(), 1).unwrap();
        UdpPort::new(bound.remove(0)).unwrap()
    }

    async fn received(port: &UdpPort, arrivals: &mut Arrivals) -> Vec<(SocketAddr, Option<IpAddr>, Vec<u8>)> {
        port.ready().await.unwrap();
        arrivals.receive(port).unwrap();
        arrivals.datagrams().map(|(peer, local, bytes)| (peer, local, bytes.to_vec())).collect()
    }

    #[tokio::test]
    async fn many_arrive_at_once_each_with_its_peer() {
        let (port, mut arrivals) = (port("127.0.0.1:0"), Arrivals::new());
        let clients: Vec<_> = (0..5).map(|_| std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        for (number, client) in (0_u8..).zip(&clients) {
            client.send_to(&vec![number; usize::from(number) * 7], port.address).unwrap();
        }
        let arrived = received(&port, &mut arrivals).await;
        assert_eq!(arrived.len(), 5);
        for ((number, client), (peer, local, bytes)) in (0_u8..).zip(&clients).zip(&arrived) {
            assert_eq!((*peer, *local), (client.local_addr().unwrap(), None));
            assert_eq!(*bytes, vec![number; usize::from(number) * 7]);
            port.send(*peer, *local, b"answer");
            let mut answer = [0; 16];
            let (length, from) = client.recv_from(&mut answer).unwrap();
            assert_eq!((&answer[..length], from), (&b"answer"[..], port.address));
        }
        assert_eq!(arrivals.receive(&port).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[tokio::test]
    async fn one_that_is_too_large_is_not_taken_for_its_beginning() {
        let (port, mut arrivals) = (port("127.0.0.1:0"), Arrivals::new());
        let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(&[1; 9_000], port.address).unwrap();
        client.send_to(&[2; 3], port.address).unwrap();
        let arrived = received(&port, &mut arrivals).await;
        assert_eq!(arrived.iter().map(|(_, _, bytes)| bytes.len()).collect::<Vec<_>>(), [3]);
        assert_eq!(arrived[0].2, [2; 3]);
        assert_eq!(arrivals.cut(), 1);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn answers_leave_from_the_address_that_was_asked() {
        for (bind, ask) in
            [("0.0.0.0:0", IpAddr::V4(Ipv4Addr::new(127, 0, 0, 7))), ("[::]:0", "::1".parse().unwrap())]
        {
            let (port, mut arrivals) = (port(bind), Arrivals::new());
            let own = if ask.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
            let client = std::net::UdpSocket::bind(own).unwrap();
            let asked = SocketAddr::new(ask, port.address.port());
            client.send_to(b"question", asked).unwrap();
            let arrived = received(&port, &mut arrivals).await;
            assert_eq!(arrived[0].1, Some(ask));
            port.send(arrived[0].0, arrived[0].1, b"answer");
            let (_, from) = client.recv_from(&mut [0; 16]).unwrap();
            assert_eq!(from, asked);
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn what_the_system_drops_is_counted() {
        let (port, mut arrivals) = (port("127.0.0.1:0"), Arrivals::new());
        socket2::SockRef::from(&port.socket).set_recv_buffer_size(4_096).unwrap();
        let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for round in 0..3 {
            for _ in 0..100 {
                client.send_to(&[round; 64], port.address).unwrap();
            }
            received(&port, &mut arrivals).await;
        }
        assert!(port.figures().overflowed > 100, "{:?}", port.figures());
    }
}
