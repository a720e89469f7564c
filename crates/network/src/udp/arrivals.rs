//! Receiving many datagrams with one system call (recvmmsg(2)).

use super::{Arrival, BATCH, ROOM, UdpPort};
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrIn, SockaddrIn6, SockaddrLike, recvmmsg,
};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use tokio::io::Interest;

/// Room for what one system call receives. All sockets of a shard share it.
pub(crate) struct Arrivals {
    bytes: Box<[u8]>,
    v4: Headers<SockaddrIn>,
    v6: Headers<SockaddrIn6>,
    arrived: Vec<Arrival>,
}

/// What the system fills in beside the bytes; made when it is needed first.
struct Headers<S>(Option<MultiHeaders<S>>);

/// A socket's name in the system's form.
trait Name: SockaddrLike + Copy {
    fn address(self) -> SocketAddr;
}

impl Name for SockaddrIn {
    fn address(self) -> SocketAddr {
        SocketAddr::V4(self.into())
    }
}

impl Name for SockaddrIn6 {
    fn address(self) -> SocketAddr {
        SocketAddr::V6(self.into())
    }
}

impl Arrivals {
    pub(crate) fn new() -> Self {
        Self {
            bytes: vec![0; BATCH * ROOM].into_boxed_slice(),
            v4: Headers(None),
            v6: Headers(None),
            arrived: Vec::with_capacity(BATCH),
        }
    }

    /// Receives what there is, as far as there is room; returns how many. `WouldBlock`: there is nothing.
    pub(crate) fn receive(&mut self, port: &UdpPort) -> io::Result<usize> {
        let mut received = Err(Errno::EAGAIN);
        let _ = port.socket.try_io(Interest::READABLE, || {
            received = self.ask(port);
            match received {
                Ok(BATCH) => Ok(()),
                Err(error) if error != Errno::EAGAIN => Ok(()),
                // With room to spare the socket is empty: the runtime waits for it without asking it once more.
                _ => Err(io::Error::from(io::ErrorKind::WouldBlock)),
            }
        });
        Ok(received?)
    }

    /// Likewise, whether the runtime has heard of anything or not.
    pub(crate) fn receive_more(&mut self, port: &UdpPort) -> io::Result<usize> {
        Ok(self.ask(port)?)
    }

    fn ask(&mut self, port: &UdpPort) -> nix::Result<usize> {
        self.arrived.clear();
        let Self { bytes, v4, v6, arrived } = self;
        match port.address {
            SocketAddr::V4(_) => v4.receive(port, bytes, arrived),
            SocketAddr::V6(_) => v6.receive(port, bytes, arrived),
        }?;
        Ok(arrived.len())
    }

    /// What was received, each whole: its peer, which of our addresses it was sent to if the socket has several, its bytes.
    pub(crate) fn datagrams(&mut self) -> impl Iterator<Item = (SocketAddr, Option<IpAddr>, &mut [u8])> {
        self.arrived.iter().zip(self.bytes.chunks_exact_mut(ROOM)).filter(|(arrival, _)| !arrival.is_cut).map(
            |(arrival, room)| {
                (arrival.peer, arrival.local, room.get_mut(..arrival.length).unwrap_or_default())
            },
        )
    }

    /// How many were larger than their room.
    pub(crate) fn cut(&self) -> usize {
        self.arrived.iter().filter(|arrival| arrival.is_cut).count()
    }
}

impl<S: Name> Headers<S> {
    fn receive(&mut self, port: &UdpPort, bytes: &mut [u8], arrived: &mut Vec<Arrival>) -> nix::Result<()> {
        let space = || nix::cmsg_space!(libc::in6_pktinfo, u32);
        let headers = self.0.get_or_insert_with(|| MultiHeaders::preallocate(BATCH, Some(space())));
        let mut rooms = bytes.chunks_exact_mut(ROOM);
        let mut slices: [_; BATCH] =
            std::array::from_fn(|_| [IoSliceMut::new(rooms.next().unwrap_or_default())]);
        let fd = port.socket.as_raw_fd();
        let mut is_short = false;
        for message in recvmmsg(fd, headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None)? {
            let Some(peer) = message.address.map(Name::address) else { return Err(Errno::EAFNOSUPPORT) };
            let mut local = None;
            match told(&message, port) {
                Ok(told) => local = told,
                Err(_) => is_short = true,
            }
            let is_cut = message.flags.contains(MsgFlags::MSG_TRUNC);
            arrived.push(Arrival { peer, local, length: message.bytes.min(ROOM), is_cut });
        }
        if is_short {
            // Each header has as much room for what the system tells as was used of it the last time: it has more to tell
            // now (that it dropped some), so all have room anew.
            self.0 = None;
        }
        Ok(())
    }
}

/// What the system tells of a datagram: to which of our addresses it was sent. How many it dropped goes to the port.
fn told<S>(message: &RecvMsg<'_, '_, S>, port: &UdpPort) -> nix::Result<Option<IpAddr>> {
    let mut local = None;
    for word in message.cmsgs()? {
        match word {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                local = Some(Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()).into());
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                local = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
            }
            ControlMessageOwned::RxqOvfl(dropped) => port.overflowed(dropped),
            _ => {}
        }
    }
    Ok(local)
}
