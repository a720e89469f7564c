//! A correct MQTT client, 3.1.1 or 5.0, with a session that lasts: bytes in, bytes out, and a word to the oracle about
//! everything that its application is told.

mod connection;
mod deliveries;
mod publications;

use crate::oracle::{Oracle, TopicId};
use crate::rng::Rng;
use crate::trace::{ClientId, LinkId, Note, PacketNote, PubId};
use connection::Connection;
use publications::Outgoing;
pub(crate) use publications::read_payload;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use windrose_event::{Assurance, Filter, Moment};
use windrose_protocol::mqtt::ReasonCode;
use windrose_protocol::mqtt::codec::{Packet, Version, encode};

/// How long a client waits for an answer to CONNECT or PINGREQ.
const PATIENCE: Duration = Duration::from_secs(8);

/// What an application wants published.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// Where.
    pub topic: TopicId,
    /// Whether the service refuses it for good.
    pub poison: bool,
    /// Bytes of payload, beside those that name the publication.
    pub size: usize,
    /// Whether it is its topic's last value (RETAIN).
    pub retain: bool,
}

/// What a client is like.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Who it is.
    pub id: ClientId,
    /// The version spoken.
    pub version: Version,
    /// Whether its session outlives connections; otherwise every connection begins a new one.
    pub lasting: bool,
    /// How long a session that lasts outlives its connections (MQTT 5 §3.1.2.11.2); `None`: for ever.
    pub expires: Option<Duration>,
    /// Receive Maximum of its CONNECT; 3.1.1 has none.
    pub receive_maximum: u16,
    /// Publications that it has unacknowledged at once.
    pub window: usize,
    /// Keep Alive, in seconds.
    pub keep_alive: u16,
    /// Its subscriptions.
    pub subscriptions: Vec<(Filter, Assurance)>,
    /// The number of the group that shares the work of its subscriptions, if any.
    pub group: Option<u8>,
    /// The shard that it connects to; `None`: any.
    pub shard: Option<usize>,
    /// What its application publishes, in order.
    pub messages: Vec<Message>,
    /// The longest time between two messages, in microseconds.
    pub pace: u64,
    /// The longest time that it takes to acknowledge a delivery, in microseconds.
    pub acknowledges_within: u64,
    /// The longest time before it connects again, in microseconds.
    pub reconnects_within: u64,
    /// How long it waits before it reads again, in microseconds.
    pub reads_every: u64,
}

/// A client: what it remembers, and its connection.
#[derive(Debug)]
pub struct Client {
    /// What it is like.
    pub profile: Profile,
    /// What is still to be published.
    todo: VecDeque<Message>,
    /// When its application publishes next; `None`: not yet.
    publishes_at: Option<Moment>,
    /// Publications without their last acknowledgement, in the order in which they were first sent.
    outgoing: VecDeque<Outgoing>,
    /// Exactly-once deliveries that the node has not released.
    received: BTreeMap<u16, PubId>,
    /// Whether the node has said that it opened the session.
    known: bool,
    /// When its last connection ended.
    left_at: Option<Moment>,
    /// A session that may have ended was asked for, and the answer was lost: nobody knows which one the node has.
    in_doubt: bool,
    /// How often it was revoked.
    ends: u32,
    subscribed: bool,
    connection: Option<Connection>,
    reconnects_at: Moment,
    /// Whether the node has been told to shut down: a good-bye is no surprise, and nobody connects again.
    pub draining: bool,
    /// Why the node closed the last connection that it closed with a word (DISCONNECT, MQTT 5).
    pub dismissed: Option<ReasonCode>,
}

/// What every handler of a client is given.
pub struct Context<'a> {
    /// The time.
    pub now: Moment,
    /// Chance.
    pub rng: &'a mut Rng,
    /// Who is told.
    pub oracle: &'a mut Oracle,
}

impl Client {
    /// A client that has never connected.
    pub fn new(profile: Profile) -> Self {
        Self {
            todo: profile.messages.iter().copied().collect(),
            profile,
            publishes_at: None,
            outgoing: VecDeque::new(),
            received: BTreeMap::new(),
            known: false,
            left_at: None,
            in_doubt: false,
            ends: 0,
            subscribed: false,
            connection: None,
            reconnects_at: Moment::from_micros(0),
            draining: false,
            dismissed: None,
        }
    }

    /// Whether it wants a connection now.
    pub fn wants_connection(&self, now: Moment) -> bool {
        self.connection.is_none() && self.reconnects_at <= now && !self.draining
    }

    /// Whether all its subscriptions are granted.
    pub fn is_ready(&self) -> bool {
        self.known && (self.subscribed || self.profile.subscriptions.is_empty())
    }

    /// Lets its application begin to publish.
    pub fn start(&mut self, now: Moment) {
        self.publishes_at = Some(now);
    }

    /// Whether everything is published and acknowledged.
    pub fn is_done(&self) -> bool {
        self.todo.is_empty() && self.outgoing.is_empty()
    }

    /// Its connection, if it has one.
    pub fn link(&self) -> Option<LinkId> {
        self.connection.as_ref().map(|connection| connection.link)
    }

    /// It is revoked: the node ends its session, and may say so. When it is let in again it begins a new one.
    pub fn revoked(&mut self) {
        self.ends += 1;
        self.in_doubt = true;
    }

    /// What it wants written.
    pub fn output(&mut self) -> Option<&mut Vec<u8>> {
        self.connection.as_mut().map(|connection| &mut connection.out)
    }

    /// Ends its connection from its side, if it has decided to.
    pub fn take_close(&mut self, cx: &mut Context<'_>) -> Option<LinkId> {
        let connection =
            self.connection.as_ref().filter(|connection| connection.closes && connection.out.is_empty())?;
        let link = connection.link;
        self.gone(cx);
        Some(link)
    }

    /// The transport is gone.
    pub fn gone(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = self.connection.take() {
            self.in_doubt |= connection.may_have_ended && !connection.open;
            self.left_at = Some(cx.now);
        }
        self.reconnects_at = cx.now + cx.rng.micros(0, self.profile.reconnects_within);
        if !self.profile.lasting {
            self.forget();
        }
    }

    /// What a session that ends with its connection forgets; the application sends again what was not acknowledged.
    fn forget(&mut self) {
        self.subscribed = false;
        self.received.clear();
        let unsettled: Vec<Outgoing> = self.outgoing.drain(..).collect();
        for outgoing in unsettled.into_iter().rev() {
            if !outgoing.is_released() {
                self.todo.push_front(outgoing.message);
            }
        }
    }

    /// When [`Client::wake`] is due.
    pub fn next_timeout(&self) -> Option<Moment> {
        let Some(connection) = &self.connection else {
            return (!self.draining).then_some(self.reconnects_at);
        };
        let publishes =
            self.publishes_at.filter(|_| connection.open && !self.todo.is_empty() && self.can_publish());
        [publishes, connection.next_timeout(self.profile.keep_alive)].into_iter().flatten().min()
    }

    /// Acts on the time.
    pub fn wake(&mut self, cx: &mut Context<'_>) {
        let Some(connection) = &mut self.connection else { return };
        if connection.is_dead(cx.now) {
            // Its network has swallowed something: it hangs up, and whatever is still to be written is lost.
            connection.out.clear();
            connection.closes = true;
            return;
        }
        self.acknowledge(cx);
        self.publish(cx);
        self.ping(cx);
    }

    /// Bytes from the node.
    pub fn bytes(&mut self, cx: &mut Context<'_>, bytes: &[u8]) {
        if let Some(connection) = &mut self.connection {
            connection.buffer.extend_from_slice(bytes);
        }
        while let Some(packet) = self.next_packet(cx) {
            self.packet(cx, packet);
        }
        self.acknowledge(cx);
        self.publish(cx);
    }

    fn packet(&mut self, cx: &mut Context<'_>, packet: Packet) {
        match packet {
            Packet::Connack(connack) => self.connack(cx, &connack),
            Packet::Publish(publish) => self.delivery(cx, &publish),
            Packet::Pubrel(ack) => self.release(cx, ack.packet_id),
            Packet::Puback(ack) => self.settled(cx, "PUBACK", ack.packet_id, ack.code.0),
            Packet::Pubrec(ack) => self.settled(cx, "PUBREC", ack.packet_id, ack.code.0),
            Packet::Pubcomp(ack) => self.completed(cx, ack.packet_id, ack.code.0),
            Packet::Suback(suback) => self.suback(cx, &suback),
            Packet::Pingresp => self.pingresp(cx),
            Packet::Disconnect(disconnect) => self.disconnected(cx, disconnect.code),
            other => self.broken(cx, format!("the node sent {other:?}")),
        }
    }

    /// Writes a packet.
    fn send(&mut self, cx: &mut Context<'_>, packet: &Packet, note: PacketNote) {
        let version = self.profile.version;
        if let Some(connection) = &mut self.connection {
            encode(packet, version, &mut connection.out);
            connection.last_sent = cx.now;
            cx.oracle.note(cx.now, Note::Sent(note));
        }
    }

    fn note(&self, name: &'static str) -> PacketNote {
        PacketNote {
            client: self.profile.id,
            link: self.link().unwrap_or(LinkId(u32::MAX)),
            name,
            packet_id: 0,
            code: 0,
            dup: false,
            publication: None,
        }
    }

    /// The node has broken the protocol.
    fn broken(&mut self, cx: &mut Context<'_>, what: String) {
        let what = format!("{}: {what}", self.profile.id.name());
        cx.oracle.fail(what, None, &[self.profile.id]);
    }
}
