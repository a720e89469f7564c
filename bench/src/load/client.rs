//! One MQTT client of the load generator: a publisher or a subscriber, on a socket that never blocks.

use super::packet::{self, Packet};
use super::websocket::{self, Frames};
use super::wire::{Opening, Wire};
use crate::Result;
use rustls::ClientConfig;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long a server may take to answer CONNECT or SUBSCRIBE.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longer than any run.
const KEEP_ALIVE: u16 = 3_600;

/// What one read brought.
#[derive(Clone, Copy, Default)]
pub(super) struct Arrived {
    /// PUBLISH packets.
    pub(super) publications: u64,
    /// PUBACK packets.
    pub(super) acknowledgements: u64,
}

/// How clients reach a server.
#[derive(Clone, Copy, Default)]
pub(super) struct Via<'c> {
    /// Over WebSocket.
    pub(super) websocket: bool,
    /// With TLS.
    pub(super) tls: Option<&'c Arc<ClientConfig>>,
}

/// A connected client.
pub(super) struct Client {
    /// The group that it belongs to.
    pub(super) group: usize,
    /// What it publishes, if it does.
    pub(super) publisher: Option<Publisher>,
    /// Its connection.
    pub(super) wire: Wire,
    /// What its WebSocket has to do, if it has one.
    frames: Option<Frames>,
    /// The beginning of a packet whose end has not arrived.
    partial: Vec<u8>,
    /// What the socket has not taken yet.
    output: Vec<u8>,
    written: usize,
}

/// What a publisher keeps.
pub(super) struct Publisher {
    frame: Vec<u8>,
    /// Where the packet identifier is, with QoS 1.
    id_at: Option<usize>,
    next_id: u16,
    /// At most how many may wait for their PUBACK.
    window: u32,
    unacknowledged: u32,
}

impl Client {
    /// Connects and, given a SUBSCRIBE packet, subscribes; waits for the answers.
    pub(super) fn open(
        address: SocketAddr,
        via: Via<'_>,
        connect: &[u8],
        subscribe: Option<&[u8]>,
    ) -> Result<Self> {
        let mut stream = Opening::to(address, via.tls, PATIENCE)?;
        let mut frames = via.websocket.then(Frames::default);
        if via.websocket {
            websocket::handshake(&mut stream)?;
        }
        stream.write_all(&said(&frames, connect))?;
        match answer(&mut stream, &mut frames)? {
            Packet::ConnAck(0) => {}
            other => return Err(format!("the server answered CONNECT with {other:?}").into()),
        }
        if let Some(subscribe) = subscribe {
            stream.write_all(&said(&frames, subscribe))?;
            match answer(&mut stream, &mut frames)? {
                Packet::SubAck(0..=2) => {}
                other => return Err(format!("the server answered SUBSCRIBE with {other:?}").into()),
            }
        }
        Ok(Self {
            group: 0,
            publisher: None,
            wire: stream.unblock()?,
            frames,
            partial: Vec::new(),
            output: Vec::new(),
            written: 0,
        })
    }

    /// A client that writes what this one would publish, on the same connection; this one only reads from now on.
    pub(super) fn writing_half(&mut self) -> Result<Self> {
        Ok(Self {
            group: self.group,
            publisher: self.publisher.take(),
            wire: self.wire.writing_half()?,
            frames: None,
            partial: Vec::new(),
            output: Vec::new(),
            written: 0,
        })
    }

    /// Makes it a publisher that sends the same PUBLISH again and again, with `window` of them unacknowledged at most.
    pub(super) fn publish_as(&mut self, (packet, id_at): (Vec<u8>, Option<usize>), window: u32) {
        let (frame, head) = match &self.frames {
            Some(_) => websocket::frame(&packet),
            None => (packet, 0),
        };
        let id_at = id_at.map(|at| head + at);
        self.publisher = Some(Publisher { frame, id_at, next_id: 1, window, unacknowledged: 0 });
    }

    /// A CONNECT packet for client number `index`; `lasting`: with a session that outlives the connection.
    pub(super) fn connect(level: u8, index: usize, lasting: bool) -> Vec<u8> {
        packet::connect_with(level, &format!("bench-{index}"), KEEP_ALIVE, lasting)
    }

    /// Reads until the socket is empty, counts, and acknowledges what wants it.
    pub(super) fn read(&mut self, scratch: &mut [u8]) -> Result<Arrived> {
        self.read_each(scratch, |_, _| ())
    }

    /// The same, and hands on each packet with what follows its length.
    pub(super) fn read_each(
        &mut self,
        scratch: &mut [u8],
        mut each: impl FnMut(Packet, &[u8]),
    ) -> Result<Arrived> {
        let mut arrived = Arrived::default();
        loop {
            // What is left of the last read goes in front, so that packets are always in one piece.
            let left = self.partial.len();
            scratch.get_mut(..left).ok_or("the server sent a huge packet")?.copy_from_slice(&self.partial);
            let space = scratch.get_mut(left..).unwrap_or_default();
            let got = match self.wire.read(space) {
                Ok(got) => got,
                Err(error) if error.kind() == ErrorKind::UnexpectedEof && !space.is_empty() => {
                    return Err("the server closed a connection".into());
                }
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Err("the server sent a huge packet".into());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(format!("reading from the server: {error}").into()),
            };
            let fresh = match &mut self.frames {
                Some(frames) => frames.unwrap(space.get_mut(..got.bytes).unwrap_or_default())?,
                None => got.bytes,
            };
            let bytes = scratch.get(..left + fresh).unwrap_or_default();
            let (output, framed) = (&mut self.output, self.frames.is_some());
            let mut unexpected = None;
            let consumed = packet::scan_bodies(bytes, |packet, body| match packet {
                Packet::Publish(id) => {
                    each(packet, body);
                    arrived.publications += 1;
                    if let Some(id) = id {
                        let puback = packet::puback(id);
                        if framed {
                            output.extend(websocket::frame(&puback).0)
                        } else {
                            output.extend(puback)
                        }
                    }
                }
                Packet::PubAck => {
                    each(packet, body);
                    arrived.acknowledgements += 1;
                }
                other => unexpected = Some(other),
            })?;
            if let Some(packet) = unexpected {
                return Err(format!("the server sent {packet:?} amid the load").into());
            }
            self.partial.clear();
            self.partial.extend(bytes.get(consumed..).unwrap_or_default());
            if !got.more {
                break;
            }
        }
        if let Some(publisher) = &mut self.publisher {
            let settled = u32::try_from(arrived.acknowledgements).unwrap_or(u32::MAX);
            publisher.unacknowledged = publisher.unacknowledged.saturating_sub(settled);
        }
        self.flush()?;
        Ok(arrived)
    }

    /// How many more messages this publisher may write now.
    pub(super) fn room(&self) -> u32 {
        match &self.publisher {
            Some(publisher) if self.output.is_empty() && !self.wire.is_behind() => match publisher.id_at {
                Some(_) => publisher.window.saturating_sub(publisher.unacknowledged),
                None => u32::MAX,
            },
            _ => 0,
        }
    }

    /// Publishes so many messages, with one write if the socket takes it.
    pub(super) fn publish(&mut self, messages: u32) -> Result<()> {
        let Some(publisher) = &mut self.publisher else { return Ok(()) };
        for _ in 0..messages {
            let start = self.output.len();
            self.output.extend_from_slice(&publisher.frame);
            let Some(id_at) = publisher.id_at else { continue };
            if let Some(place) = self.output.get_mut(start + id_at..start + id_at + 2) {
                place.copy_from_slice(&publisher.next_id.to_be_bytes());
            }
            publisher.next_id = publisher.next_id.checked_add(1).unwrap_or(1);
            publisher.unacknowledged += 1;
        }
        self.flush()
    }

    /// Publishes one message with a number in its payload of so many bytes.
    pub(super) fn publish_stamped(&mut self, payload: usize, number: u64) -> Result<()> {
        let Some(publisher) = &mut self.publisher else { return Err("a subscriber cannot publish".into()) };
        packet::stamp(&mut publisher.frame, payload, number);
        self.publish(1)
    }

    /// Writes what the socket takes.
    pub(super) fn flush(&mut self) -> Result<()> {
        while let Some(rest) = self.output.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.wire.write(rest) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("writing to the server: {error}").into()),
            }
        }
        self.output.clear();
        self.written = 0;
        match self.wire.push() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => {
                Err(format!("writing to the server: {error}").into())
            }
            _ => Ok(()),
        }
    }
}

/// A packet as it is said: in a frame, if there is a WebSocket.
fn said(frames: &Option<Frames>, packet: &[u8]) -> Vec<u8> {
    if frames.is_some() { websocket::frame(packet).0 } else { packet.to_vec() }
}

/// Waits for one packet on a socket that blocks.
fn answer(stream: &mut Opening, frames: &mut Option<Frames>) -> Result<Packet> {
    let mut bytes = Vec::new();
    let mut found = None;
    while found.is_none() {
        let mut byte = [0];
        stream.read_exact(&mut byte).map_err(|error| format!("the server does not answer: {error}"))?;
        let length = frames.as_mut().map_or(Ok(1), |frames| frames.unwrap(&mut byte))?;
        bytes.extend(byte.get(..length).unwrap_or_default());
        packet::scan(&bytes, |packet| found = Some(packet))?;
    }
    found.ok_or_else(|| "the server does not answer".into())
}
