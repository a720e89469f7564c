//! A client with a UDP socket of its own.

use super::message::{Kind, Message, code};
use crate::wait::SOON;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// An endpoint that speaks with one server.
#[derive(Debug)]
pub struct Client {
    socket: UdpSocket,
    next: u16,
}

impl Client {
    /// An endpoint at 127.0.0.1.
    pub fn new(server: SocketAddr) -> Self {
        Self::at(Ipv4Addr::LOCALHOST, server)
    }

    /// An endpoint at an address of the loopback network.
    pub fn at(address: Ipv4Addr, server: SocketAddr) -> Self {
        let socket = UdpSocket::bind((address, 0)).expect("a loopback address can be bound");
        socket.connect(server).expect("loopback is reachable");
        static FIRST: AtomicU32 = AtomicU32::new(1);
        Self { socket, next: (FIRST.fetch_add(997, Ordering::Relaxed) & 0xffff) as u16 }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("a bound socket has an address")
    }

    /// Sends bytes as one datagram.
    pub fn send_bytes(&self, bytes: &[u8]) {
        self.socket.send(bytes).expect("a datagram can be sent on loopback");
    }

    /// Sends a message as it is.
    pub fn send(&self, message: &Message) {
        self.send_bytes(&message.encode());
    }

    /// Sends a message with a fresh identifier, and a fresh token of two bytes unless it has one; returns it as sent.
    pub fn start(&mut self, mut message: Message) -> Message {
        self.next = self.next.wrapping_add(1);
        message.id = self.next;
        if message.token.is_empty() {
            message.token = self.next.to_be_bytes().to_vec();
        }
        self.send(&message);
        message
    }

    /// The next message, if one comes in time.
    pub fn next(&self, time: Duration) -> Option<Message> {
        self.next_bytes(time).map(|bytes| Message::decode(&bytes))
    }

    /// The next datagram, if one comes in time.
    pub fn next_bytes(&self, time: Duration) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 65_536];
        self.socket.set_read_timeout(Some(time.max(Duration::from_millis(1)))).expect("a timeout can be set");
        let length = self.socket.recv(&mut buffer).ok()?;
        buffer.truncate(length);
        Some(buffer)
    }

    /// The next message.
    pub fn expect(&self) -> Message {
        self.next(SOON).expect("the server sends a message")
    }

    /// Asserts that nothing comes.
    pub fn expect_nothing(&self, time: Duration) {
        let came = self.next(time);
        assert_eq!(came, None, "the server is silent");
    }

    /// Acknowledges a confirmable message.
    pub fn acknowledge(&self, message: &Message) {
        self.empty(Kind::Ack, message.id);
    }

    /// Rejects a message.
    pub fn reset(&self, message: &Message) {
        self.empty(Kind::Rst, message.id);
    }

    fn empty(&self, kind: Kind, id: u16) {
        let (token, options, payload) = Default::default();
        self.send(&Message { kind, code: code::EMPTY, id, token, options, payload });
    }

    /// Sends a request and returns its response, sent again as RFC 7252 §4.2 has it, separate ones acknowledged.
    pub fn ask(&mut self, request: Message) -> Message {
        let request = self.start(request);
        self.response(&request)
    }

    /// The response to a request that was sent.
    pub fn response(&self, request: &Message) -> Message {
        let start = Instant::now();
        let mut acknowledged = request.kind != Kind::Con;
        let mut wait = Duration::from_secs(2);
        loop {
            assert!(start.elapsed() < SOON, "no response within {SOON:?} to {request:?}");
            let Some(message) = self.next(wait) else {
                if !acknowledged {
                    self.send(request);
                    wait *= 2;
                }
                continue;
            };
            match message.kind {
                Kind::Ack if message.id != request.id => continue,
                Kind::Rst if message.id == request.id => return message,
                Kind::Ack if message.code == code::EMPTY => {
                    acknowledged = true;
                    continue;
                }
                Kind::Con => self.acknowledge(&message),
                _ => {}
            }
            if message.token == request.token && message.code != code::EMPTY {
                return message;
            }
        }
    }
}
