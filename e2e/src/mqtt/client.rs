//! The client: blocking, one packet at a time.

use super::options::Options;
use super::property::{self, Properties};
use super::wire::{Packet, Version, packet, string};
use crate::documents::over_websocket;
use crate::relay::Relay;
use crate::wait::SOON;
use crate::websocket::{Cut, relay};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Why there is no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// None came in time; the connection is still open.
    Timeout,
    /// The server closed the connection.
    Closed,
}

/// A connection to a server.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    version: Version,
    buffer: Vec<u8>,
    /// Packets that came while something else was waited for.
    aside: VecDeque<Packet>,
    last: u16,
}

/// Where to connect, to get there over the transport that is asked for.
fn way(address: SocketAddr) -> SocketAddr {
    static RELAYS: Mutex<BTreeMap<SocketAddr, Relay>> = Mutex::new(BTreeMap::new());
    if !over_websocket() {
        return address;
    }
    let mut relays = RELAYS.lock().unwrap_or_else(PoisonError::into_inner);
    relays.entry(address).or_insert_with(|| relay(address, "/mqtt", Cut::Reads)).address()
}

impl Client {
    /// Opens the transport, and says nothing yet.
    pub fn open(address: SocketAddr, version: Version) -> io::Result<Self> {
        let stream = TcpStream::connect(way(address))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, version, buffer: Vec::new(), aside: VecDeque::new(), last: 0 })
    }

    /// Connects, and returns the client with the server's CONNACK: whether a session was present, code, properties.
    pub fn try_connect(address: SocketAddr, options: &Options) -> Result<(Self, bool, u8, Properties), End> {
        let mut client = Self::open(address, options.version).map_err(|_| End::Closed)?;
        client.send(&options.packet());
        match client.next(SOON)? {
            Packet::Connack { present, code, properties } => Ok((client, present, code, properties)),
            other => panic!("the server answers CONNECT with {other:?}"),
        }
    }

    /// Connects.
    ///
    /// # Panics
    /// If the server does not accept.
    pub fn connect(address: SocketAddr, options: &Options) -> Self {
        Self::resume(address, options).0
    }

    /// Connects, and says whether a session was taken up again.
    ///
    /// # Panics
    /// If the server does not accept.
    pub fn resume(address: SocketAddr, options: &Options) -> (Self, bool) {
        match Self::try_connect(address, options) {
            Ok((client, present, 0, _)) => (client, present),
            other => panic!("{} is not accepted: {other:?}", options.id),
        }
    }

    /// The next bytes as they stand on the wire.
    ///
    /// # Panics
    /// If there are not as many in time.
    pub fn raw<const COUNT: usize>(&mut self) -> [u8; COUNT] {
        let mut bytes = [0; COUNT];
        self.stream.set_read_timeout(Some(SOON)).expect("a time limit is allowed");
        self.stream.read_exact(&mut bytes).expect("there are as many bytes");
        bytes
    }

    /// Sends bytes, whatever they are. What the other side does with the connection shows in [`Client::next`].
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Publishes and waits for the answer: PUBACK, or PUBREC and PUBCOMP. Returns its code.
    ///
    /// # Panics
    /// If there is none.
    pub fn publish(&mut self, topic: &str, payload: impl AsRef<[u8]>, qos: u8) -> u8 {
        let id = self.publish_only(topic, payload, qos);
        if qos == 0 {
            return 0;
        }
        let (code, _) = self.answer(if qos == 1 { 4 } else { 5 }, id, SOON);
        if qos == 2 && code < 0x80 {
            self.send(&packet(0x62, &id.to_be_bytes()));
            self.answer(7, id, SOON);
        }
        code
    }

    /// Publishes without waiting; returns the packet identifier.
    pub fn publish_only(&mut self, topic: &str, payload: impl AsRef<[u8]>, qos: u8) -> u16 {
        self.publish_with(topic, payload, qos, false, &[])
    }

    /// Publishes with the retain flag and waits for the answer.
    pub fn retain(&mut self, topic: &str, payload: impl AsRef<[u8]>) -> u8 {
        let id = self.publish_with(topic, payload, 1, true, &[]);
        self.answer(4, id, SOON).0
    }

    /// Publishes with properties as they stand on the wire; returns the packet identifier.
    pub fn publish_with(
        &mut self,
        topic: &str,
        payload: impl AsRef<[u8]>,
        qos: u8,
        retain: bool,
        properties: &[u8],
    ) -> u16 {
        let mut body = string(topic);
        let id = if qos > 0 { self.next_id() } else { 0 };
        if qos > 0 {
            body.extend(id.to_be_bytes());
        }
        if self.version == Version::V5 {
            body.extend(property::block(properties));
        }
        body.extend_from_slice(payload.as_ref());
        self.send(&packet(0x30 | qos << 1 | u8::from(retain), &body));
        id
    }

    /// Waits for an answer of a kind (4 is PUBACK) to a packet: its code and properties.
    ///
    /// # Panics
    /// If there is none in time.
    pub fn answer(&mut self, kind: u8, id: u16, time: Duration) -> (u8, Properties) {
        let fits = |packet: &Packet| matches!(packet, Packet::Answer { kind: k, id: i, .. } if (*k, *i) == (kind, id));
        match self.wait(time, fits) {
            Ok(Packet::Answer { code, properties, .. }) => (code, properties),
            other => panic!("no answer of kind {kind} to packet {id}: {other:?}"),
        }
    }

    /// Subscribes and waits for the answer: its code. `options` is the QoS and, in MQTT 5, the other bits of §3.8.3.1.
    pub fn subscribe(&mut self, filter: &str, options: u8) -> u8 {
        self.subscribe_all(&[(filter, options)], &[]).0[0]
    }

    /// Subscribes to several filters in one packet and waits for the answer: its codes and properties.
    ///
    /// # Panics
    /// If there is none.
    pub fn subscribe_all(&mut self, filters: &[(&str, u8)], properties: &[u8]) -> (Vec<u8>, Properties) {
        let (id, mut body) = self.request(properties);
        for (filter, options) in filters {
            body.extend(string(filter));
            body.push(*options);
        }
        self.send(&packet(0x82, &body));
        match self.wait(SOON, |packet| matches!(packet, Packet::Suback { id: known, .. } if *known == id)) {
            Ok(Packet::Suback { codes, properties, .. }) => (codes, properties),
            other => panic!("no SUBACK: {other:?}"),
        }
    }

    /// Unsubscribes and waits for the answer: its code; MQTT 3.1.1 has none.
    pub fn unsubscribe(&mut self, filter: &str) -> Option<u8> {
        self.unsubscribe_all(&[filter], &[]).0.first().copied()
    }

    /// Unsubscribes from several filters in one packet and waits for the answer: its codes and properties.
    ///
    /// # Panics
    /// If there is none.
    pub fn unsubscribe_all(&mut self, filters: &[&str], properties: &[u8]) -> (Vec<u8>, Properties) {
        let (id, mut body) = self.request(properties);
        for filter in filters {
            body.extend(string(filter));
        }
        self.send(&packet(0xa2, &body));
        match self.wait(SOON, |packet| matches!(packet, Packet::Unsuback { id: known, .. } if *known == id)) {
            Ok(Packet::Unsuback { codes, properties, .. }) => (codes, properties),
            other => panic!("no UNSUBACK: {other:?}"),
        }
    }

    /// A new packet identifier and the beginning of a SUBSCRIBE or UNSUBSCRIBE with it.
    fn request(&mut self, properties: &[u8]) -> (u16, Vec<u8>) {
        let id = self.next_id();
        let mut body = id.to_be_bytes().to_vec();
        if self.version == Version::V5 {
            body.extend(property::block(properties));
        }
        (id, body)
    }

    /// Says good-bye and waits until the server has heard it.
    pub fn disconnect(mut self) {
        self.send(&[0xe0, 0]);
        while self.next(SOON).is_ok() {}
    }

    /// Asks for a sign of life and waits for it.
    pub fn ping(&mut self) -> Result<(), End> {
        self.send(&[0xc0, 0]);
        self.wait(SOON, |packet| *packet == Packet::Pingresp).map(drop)
    }

    /// The next PUBLISH, acknowledged as its QoS asks: topic and payload.
    ///
    /// # Panics
    /// If none comes in time.
    pub fn message(&mut self) -> (String, String) {
        match self.delivery(SOON) {
            Ok(Packet::Publish { topic, payload, .. }) => {
                (topic, String::from_utf8_lossy(&payload).into_owned())
            }
            other => panic!("no message: {other:?}"),
        }
    }

    /// The next PUBLISH, whole and acknowledged as its QoS asks.
    pub fn delivery(&mut self, time: Duration) -> Result<Packet, End> {
        let publish = self.wait(time, |packet| matches!(packet, Packet::Publish { .. }))?;
        if let Packet::Publish { qos, id, .. } = publish {
            match qos {
                0 => {}
                1 => self.send(&packet(0x40, &id.to_be_bytes())),
                _ => {
                    self.send(&packet(0x50, &id.to_be_bytes()));
                    self.answer(6, id, time);
                    self.send(&packet(0x70, &id.to_be_bytes()));
                }
            }
        }
        Ok(publish)
    }

    /// Waits for a packet that fits; others are kept for later.
    pub fn wait(&mut self, time: Duration, fits: impl Fn(&Packet) -> bool) -> Result<Packet, End> {
        if let Some(index) = self.aside.iter().position(&fits) {
            return self.aside.remove(index).ok_or(End::Timeout);
        }
        let until = Instant::now() + time;
        loop {
            let packet = self.read(until.saturating_duration_since(Instant::now()))?;
            if fits(&packet) {
                return Ok(packet);
            }
            self.aside.push_back(packet);
        }
    }

    /// The next packet, whatever it is.
    pub fn next(&mut self, time: Duration) -> Result<Packet, End> {
        match self.aside.pop_front() {
            Some(packet) => Ok(packet),
            None => self.read(time),
        }
    }

    /// Reads until the server closes the connection; returns the code of its DISCONNECT, if it sent one.
    ///
    /// # Panics
    /// If it does not close in time.
    pub fn closed(&mut self) -> Option<u8> {
        self.closed_within(SOON)
    }

    /// [`Client::closed`] with another time limit.
    ///
    /// # Panics
    /// If it does not close in time.
    pub fn closed_within(&mut self, time: Duration) -> Option<u8> {
        let until = Instant::now() + time;
        let mut code = None;
        loop {
            match self.next(until.saturating_duration_since(Instant::now())) {
                Ok(Packet::Disconnect { code: said, .. }) => code = Some(said),
                Ok(_) => {}
                Err(End::Closed) => return code,
                Err(End::Timeout) => panic!("the server has not closed the connection in {time:?}"),
            }
        }
    }

    fn read(&mut self, time: Duration) -> Result<Packet, End> {
        let until = Instant::now() + time;
        loop {
            if let Some(packet) = Packet::take(&mut self.buffer, self.version) {
                return Ok(packet);
            }
            let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(left)).map_err(|_| End::Closed)?;
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(End::Closed),
                Ok(read) => self.buffer.extend_from_slice(&chunk[..read]),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    if Instant::now() >= until {
                        return Err(End::Timeout);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(End::Closed),
            }
        }
    }

    /// A packet identifier that this client has not used lately.
    pub fn next_id(&mut self) -> u16 {
        self.last = if self.last == u16::MAX { 1 } else { self.last + 1 };
        self.last
    }
}
