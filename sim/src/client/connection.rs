//! One connection of a client: CONNECT to DISCONNECT.

use super::{Client, Context, PATIENCE, Profile};
use crate::trace::{LinkId, Note, PacketNote};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;
use windrose_event::{Assurance, Moment, RetainedDelivery, Text};
use windrose_protocol::mqtt::ReasonCode;
use windrose_protocol::mqtt::codec::{
    Connack, Connect, Packet, Properties, Suback, Subscribe, SubscribeFilter, Version, decode,
};

/// The packet identifier of SUBSCRIBE: publications use lower ones.
const SUBSCRIBE_ID: u16 = 60_000;

/// What belongs to one connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) link: LinkId,
    /// Whether CONNACK came.
    pub(super) open: bool,
    /// Whether the session that it asks for may have ended meanwhile.
    pub(super) may_have_ended: bool,
    /// Whether it begins a new session.
    clean: bool,
    /// How often the client had been ended when it was opened.
    ends: u32,
    /// Whether the client is about to hang up.
    pub(super) closes: bool,
    /// What came and is no whole packet yet.
    pub(super) buffer: Vec<u8>,
    /// What waits to be written.
    pub(super) out: Vec<u8>,
    /// Acknowledgements that the application takes its time for, in order.
    pub(super) acks: VecDeque<(Moment, Packet, PacketNote)>,
    /// Deliveries whose last acknowledgement is not written.
    pub(super) taking: BTreeSet<u16>,
    /// Receive Maximum of the node.
    pub(super) room: usize,
    pub(super) last_sent: Moment,
    /// When an answer that has not come was asked for.
    asked: Option<Moment>,
}

impl Connection {
    pub(super) fn next_timeout(&self, keep_alive: u16) -> Option<Moment> {
        let patience = self.asked.map(|asked| asked + PATIENCE);
        let ack = self.acks.front().map(|(at, _, _)| *at);
        let ping = (self.open && self.asked.is_none() && keep_alive > 0)
            .then(|| self.last_sent + ping_after(keep_alive));
        [patience, ack, ping].into_iter().flatten().min()
    }

    pub(super) fn is_dead(&self, now: Moment) -> bool {
        self.asked.is_some_and(|asked| asked + PATIENCE <= now)
    }
}

/// How much the node's clock of a session's end may differ from the client's: each notices the end of a connection by
/// itself, and CONNECT takes its time.
const DOUBT: Duration = Duration::from_secs(1);

fn ping_after(keep_alive: u16) -> Duration {
    Duration::from_millis(u64::from(keep_alive) * 500)
}

impl Client {
    /// Its transport is up: it introduces itself.
    pub fn connect(&mut self, cx: &mut Context<'_>, link: LinkId) {
        let may_have_ended = self.known && self.may_have_ended(cx.now);
        let clean = !self.profile.lasting || self.in_doubt;
        self.connection = Some(Connection {
            link,
            open: false,
            may_have_ended,
            clean,
            ends: self.ends,
            closes: false,
            buffer: Vec::new(),
            out: Vec::new(),
            acks: VecDeque::new(),
            taking: BTreeSet::new(),
            room: usize::MAX,
            last_sent: cx.now,
            asked: Some(cx.now),
        });
        let expires = self.profile.expires.map_or(u32::MAX, |expires| expires.as_secs() as u32);
        let properties = (self.profile.version == Version::V5).then(|| {
            Box::new(Properties {
                session_expiry_interval: self.profile.lasting.then_some(expires),
                receive_maximum: Some(self.profile.receive_maximum),
                ..Properties::default()
            })
        });
        let connect = Packet::Connect(Box::new(Connect {
            version: self.profile.version,
            legacy: false,
            bridge: false,
            clean_start: clean,
            keep_alive: self.profile.keep_alive,
            client_id: Text::from(self.profile.id.name()),
            will: None,
            username: None,
            password: None,
            properties,
        }));
        self.send(cx, &connect, self.note("CONNECT"));
    }

    /// Whether the node may have ended the session by now.
    fn may_have_ended(&self, now: Moment) -> bool {
        let over = |expires| self.left_at.is_some_and(|left| left + expires <= now + DOUBT);
        self.in_doubt || self.profile.expires.is_some_and(over)
    }

    /// Leaves with a good-bye.
    pub fn leave(&mut self, cx: &mut Context<'_>) {
        if self.connection.as_ref().is_some_and(|connection| connection.open && !connection.closes) {
            let disconnect =
                windrose_protocol::mqtt::codec::Disconnect { code: ReasonCode::SUCCESS, properties: None };
            self.send(cx, &Packet::Disconnect(disconnect), self.note("DISCONNECT"));
            if let Some(connection) = &mut self.connection {
                connection.closes = true;
            }
        }
    }

    pub(super) fn next_packet(&mut self, cx: &mut Context<'_>) -> Option<Packet> {
        let version = self.profile.version;
        let connection = self.connection.as_mut().filter(|connection| !connection.closes)?;
        match decode(&connection.buffer, version) {
            Ok(None) => None,
            Ok(Some((packet, length))) => {
                connection.buffer.drain(..length);
                Some(packet)
            }
            Err(error) => {
                connection.closes = true;
                self.broken(cx, format!("the node sent what is no packet: {error}"));
                None
            }
        }
    }

    pub(super) fn connack(&mut self, cx: &mut Context<'_>, connack: &Connack) {
        let note = PacketNote { code: connack.code.0, ..self.note("CONNACK") };
        cx.oracle.note(cx.now, Note::Got(note));
        let Some(connection) = &mut self.connection else { return };
        connection.asked = None;
        if connack.code != ReasonCode::SUCCESS {
            connection.closes = true;
            let unavailable =
                [ReasonCode::SERVER_UNAVAILABLE, ReasonCode(3), ReasonCode::SERVER_SHUTTING_DOWN];
            let banned = [ReasonCode::BANNED, ReasonCode(5)].contains(&connack.code) && self.ends > 0;
            if !unavailable.contains(&connack.code) && !banned {
                self.broken(cx, format!("CONNACK says {:#04x}", connack.code.0));
            }
            return;
        }
        connection.open = true;
        let told = connack.properties.as_ref().and_then(|properties| properties.receive_maximum);
        connection.room = told.map_or(usize::MAX, usize::from);
        let (clean, may_have_ended) = (connection.clean, connection.may_have_ended);
        let ended_since = connection.ends != self.ends;
        match (self.profile.lasting, connack.session_present) {
            (_, true) if clean => return self.broken(cx, "a clean start found a session".into()),
            (true, false) if self.known && !may_have_ended => {
                return self.broken(cx, "the node has lost the session".into());
            }
            (true, false) if self.known => {
                self.forget();
                cx.oracle.session_ended(self.profile.id);
            }
            (true, false) => self.subscribed = false,
            _ => {}
        }
        (self.known, self.in_doubt) = (true, ended_since);
        if !self.subscribed && !self.profile.subscriptions.is_empty() {
            self.subscribe(cx);
        }
    }

    fn subscribe(&mut self, cx: &mut Context<'_>) {
        let share = self.profile.group.map(|group| format!("$share/group-{group}/")).unwrap_or_default();
        let filters = self.profile.subscriptions.iter().map(|(filter, qos)| SubscribeFilter {
            filter: Text::from(format!("{share}{filter}")),
            qos: *qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainedDelivery::Always,
        });
        let subscribe = Subscribe { packet_id: SUBSCRIBE_ID, properties: None, filters: filters.collect() };
        let note = PacketNote { packet_id: SUBSCRIBE_ID, ..self.note("SUBSCRIBE") };
        self.send(cx, &Packet::Subscribe(subscribe), note);
    }

    pub(super) fn suback(&mut self, cx: &mut Context<'_>, suback: &Suback) {
        let note = PacketNote { packet_id: suback.packet_id, ..self.note("SUBACK") };
        cx.oracle.note(cx.now, Note::Got(note));
        let wanted: Vec<ReasonCode> =
            self.profile.subscriptions.iter().map(|(_, qos)| ReasonCode(*qos as u8)).collect();
        if suback.packet_id != SUBSCRIBE_ID || suback.codes != wanted {
            return self.broken(cx, format!("SUBACK says {:?} to {wanted:?}", suback.codes));
        }
        self.subscribed = true;
        if self.connection.as_ref().is_some_and(|connection| connection.ends != self.ends) {
            return;
        }
        let Profile { id, lasting, group, .. } = self.profile;
        for (filter, qos) in self.profile.subscriptions.clone() {
            cx.oracle.subscribed(id, filter, qos, lasting && qos != Assurance::AtMostOnce, group);
        }
    }

    pub(super) fn ping(&mut self, cx: &mut Context<'_>) {
        let keep_alive = self.profile.keep_alive;
        let Some(connection) = &mut self.connection else { return };
        let due = connection.open
            && connection.asked.is_none()
            && keep_alive > 0
            && connection.last_sent + ping_after(keep_alive) <= cx.now;
        if due {
            connection.asked = Some(cx.now);
            self.send(cx, &Packet::Pingreq, self.note("PINGREQ"));
        }
    }

    pub(super) fn pingresp(&mut self, cx: &mut Context<'_>) {
        cx.oracle.note(cx.now, Note::Got(self.note("PINGRESP")));
        if let Some(connection) = &mut self.connection {
            connection.asked = None;
        }
    }

    pub(super) fn disconnected(&mut self, cx: &mut Context<'_>, code: ReasonCode) {
        let note = PacketNote { code: code.0, ..self.note("DISCONNECT") };
        cx.oracle.note(cx.now, Note::Got(note));
        self.dismissed = Some(code);
        if let Some(connection) = &mut self.connection {
            connection.out.clear();
            connection.closes = true;
        }
        // An earlier connection of this client that came late takes the session over: that is the network's doing.
        let expected = code == ReasonCode::SESSION_TAKEN_OVER
            || code == ReasonCode::SERVER_SHUTTING_DOWN && self.draining
            || code == ReasonCode::ADMINISTRATIVE_ACTION && self.ends > 0;
        if !expected {
            self.broken(cx, format!("the node says DISCONNECT {:#04x}", code.0));
        }
    }
}
