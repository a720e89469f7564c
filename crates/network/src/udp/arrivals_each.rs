//! Receiving datagrams one by one, where no system call receives many.

use super::{Arrival, BATCH, ROOM, UdpPort};
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Room for what is received at once. All sockets of a shard share it.
pub(crate) struct Arrivals {
    bytes: Box<[u8]>,
    arrived: Vec<Arrival>,
}

impl Arrivals {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; BATCH * ROOM].into_boxed_slice(), arrived: Vec::with_capacity(BATCH) }
    }

    /// Receives what there is, as far as there is room; returns how many. `WouldBlock`: there is nothing.
    pub(crate) fn receive(&mut self, port: &UdpPort) -> io::Result<usize> {
        self.arrived.clear();
        for room in self.bytes.chunks_exact_mut(ROOM) {
            match port.socket.try_recv_from(room) {
                Ok((length, peer)) => {
                    let is_cut = length == ROOM;
                    self.arrived.push(Arrival { peer, local: None, length, is_cut });
                }
                Err(error) if self.arrived.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(self.arrived.len())
    }

    /// Likewise: here the runtime has to hear of what there is.
    pub(crate) fn receive_more(&mut self, port: &UdpPort) -> io::Result<usize> {
        self.receive(port)
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
