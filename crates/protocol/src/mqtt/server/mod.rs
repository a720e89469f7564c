//! The server's side of one MQTT connection: bytes and directives in, bytes and intents out.
//!
//! It holds what belongs to the connection alone: the codec's state, topic aliases, keep alive, and which publications it
//! still owes an acknowledgement. What belongs to the session (subscriptions, deliveries in flight, the memory of
//! exactly-once publications) is the engine's, so that a session outlives its connection without this machine's help.
//!
//! **Mutate once, then drain [`Server::poll_output`] until it has nothing, before mutating again.**

mod accept;
mod aliases;
mod auth;
mod close;
mod connect;
mod deliver;
mod publish;
mod receive;
mod subscribe;
#[cfg(test)]
mod tests;
mod unsettled;

use super::ReasonCode;
use super::codec::{Ack, Version, kind};
use crate::Transmit;
use aliases::{Aliases, Given};
use auth::Authentication;
pub(super) use connect::{describe, says_truly};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use subscribe::AskedList;
use unsettled::Unsettled;
use windrose_event::{Assurance, Claim, Close, CloseCause, Directive, Intent, Moment, Now, Outcome};

/// What the machine is told of the node's policy.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The largest packet that is taken, in bytes; announced in MQTT 5.
    pub packet_bytes: u32,
    /// The largest application message that is taken, in bytes.
    pub payload_bytes: u32,
    /// Unsettled publications at once; announced in MQTT 5.
    pub receive_maximum: u16,
    /// The longest keep alive; `None`: no bound.
    pub keep_alive_max: Option<Duration>,
    /// How long CONNECT may take from the transport's start.
    pub connect_timeout: Duration,
    /// Topic aliases that a client may set; announced.
    pub topic_alias_maximum: u16,
    /// Whether last values are kept; announced if not (MQTT 5 §3.2.2.3.5).
    pub retain_available: bool,
    /// Levels of a topic or filter.
    pub address_levels: u16,
    /// What odd clients of this listener need.
    pub quirks: Quirks,
    /// Another server that clients are told of when this one sends them away (MQTT 5 §4.11).
    pub server_reference: Option<Arc<str>>,
    /// What clients that ask get as Response Information (MQTT 5 §3.2.2.3.15); `{session}` stands for the session's name.
    pub response_information: Option<Arc<str>>,
    /// Whether an event comes once for each of a session's matching subscriptions with wildcards (MQTT 5 §3.3.4), and
    /// not once for all of them.
    pub overlapping_each: bool,
}

/// Departures from the specifications that a fleet's clients need. All of them are off by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quirks {
    /// A client of MQTT 3.1 may have no client identifier; with clean session off, too.
    pub empty_client_id: bool,
    /// A client of MQTT 3.1 may have a client identifier of more than 23 characters.
    pub long_client_id: bool,
    /// `keep_alive_max` is for clients of MQTT 3.1 and 3.1.1, too, though they cannot be told.
    pub cap_keep_alive: bool,
    /// The highest QoS that is taken and granted (MQTT 5 §3.2.2.3.4); `None`: all are.
    pub maximum_qos: Option<Assurance>,
}

/// Counts of control packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packets {
    /// From the client, malformed ones too.
    pub received: u32,
    /// To the client.
    pub sent: u32,
}

/// What the machine wants.
#[derive(Debug)]
pub enum Output {
    /// Tell the engine.
    Intent(Intent),
    /// Write what waits, then close the transport.
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing but CONNECT may come.
    Fresh,
    /// CONNECT came; the engine has not answered. What comes is held.
    Opening,
    /// The client is to answer AUTH; nothing else may come but DISCONNECT (MQTT 5 §4.12).
    Challenged,
    /// The session is open.
    Open,
    /// Nothing more is read or said.
    Closed,
}

/// The server's side of one connection.
pub struct Server {
    config: Arc<ServerConfig>,
    state: State,
    version: Version,
    /// Whether CONNECT has said which version to answer in.
    version_known: bool,
    /// MQTT 3.1, of which `version` knows no difference.
    legacy: bool,
    /// Whether the client forwards for others and wants nothing back that came from itself.
    bridge: bool,
    /// Whether reason strings and user properties may be sent anywhere (MQTT 5 §3.1.2.11.7).
    problem_information: bool,
    /// Whether the client asked for them in so many words. The property's absence permits them too, but small things
    /// are then better served by a code alone than by a sentence.
    explains: bool,
    /// CONNECT's Session Expiry Interval was zero: DISCONNECT may not change that (MQTT 5 §3.14.2.2.2).
    expires_at_once: bool,
    /// CONNECT asked for another keep alive than it gets.
    keep_alive_capped: bool,
    /// Whether CONNECT asked for Response Information (MQTT 5 §3.1.2.11.6).
    asks_response_information: bool,
    /// The expiry that CONNECT asked for, in seconds; `u32::MAX`: none.
    asked_keep: u32,
    /// Seconds; zero: no bound.
    keep_alive: u16,
    /// The largest packet that the client takes.
    maximum_packet_size: u32,
    /// Unsettled publications at once, as announced.
    receive_maximum: u16,
    /// When the last packet came; until CONNECT, when the transport began.
    last_heard: Moment,
    /// Taken by CONNECT.
    claim: Option<Box<Claim>>,
    /// A partial packet, or what came before CONNECT was answered.
    partial: Vec<u8>,
    outputs: VecDeque<Output>,
    transmit: Transmit,
    /// Publications that are not acknowledged yet, in order of arrival.
    unsettled: Unsettled,
    packets: Packets,
    aliases: Option<Box<Aliases>>,
    /// Of a client that named an authentication method.
    authentication: Option<Box<Authentication>>,
    /// Topic aliases towards a client that takes some.
    given: Option<Box<Given>>,
    /// Subscribes whose own part of the answer waits for the engine's.
    asked: Option<Box<AskedList>>,
    close_cause: Option<Box<CloseCause>>,
}

impl Server {
    /// A machine for a transport that came up `now`. `claim` says what the transport knows of the peer.
    pub fn new(config: Arc<ServerConfig>, claim: Claim, now: Now) -> Self {
        Self {
            config,
            state: State::Fresh,
            version: Version::V5,
            version_known: false,
            legacy: false,
            bridge: false,
            problem_information: true,
            explains: false,
            expires_at_once: true,
            keep_alive_capped: false,
            asks_response_information: false,
            asked_keep: 0,
            keep_alive: 0,
            maximum_packet_size: u32::MAX,
            receive_maximum: u16::MAX,
            last_heard: now.moment,
            claim: Some(Box::new(claim)),
            partial: Vec::new(),
            outputs: VecDeque::new(),
            transmit: Transmit::default(),
            unsettled: Unsettled::default(),
            packets: Packets::default(),
            aliases: None,
            authentication: None,
            given: None,
            asked: None,
            close_cause: None,
        }
    }

    /// Takes a whole read.
    pub fn handle_bytes(&mut self, now: Now, bytes: &[u8]) {
        match self.state {
            State::Closed => {}
            State::Opening => self.hold(bytes),
            State::Fresh | State::Challenged | State::Open if self.partial.is_empty() => {
                let taken = self.parse(now, bytes);
                self.keep_rest(bytes.get(taken..).unwrap_or_default());
            }
            State::Fresh | State::Challenged | State::Open => {
                self.partial.extend_from_slice(bytes);
                self.parse_partial(now);
            }
        }
    }

    /// Takes a whole read like [`Server::handle_bytes`], and puts what there is to poll into `outputs`, which must be empty:
    /// whoever drives many machines spares each of them a queue of its own.
    pub fn handle_bytes_into(&mut self, now: Now, bytes: &[u8], outputs: &mut VecDeque<Output>) {
        if !self.outputs.is_empty() {
            // Not drained before: what it said then comes first.
            outputs.append(&mut self.outputs);
        }
        std::mem::swap(&mut self.outputs, outputs);
        self.handle_bytes(now, bytes);
        std::mem::swap(&mut self.outputs, outputs);
    }

    /// Takes the engine's word.
    pub fn handle_directive(&mut self, now: Now, directive: Directive) {
        if self.state == State::Closed {
            return self.acknowledge_late(directive);
        }
        match directive {
            Directive::Accept(accepted) => {
                self.accept(now, &accepted);
                self.parse_partial(now);
            }
            Directive::Refuse(refusal) => self.refuse(&refusal),
            Directive::Challenge { data } => self.challenge(now, data),
            Directive::Reidentified { data } => self.reidentified(data),
            Directive::Settle { tag, outcome, heard } => self.settle(tag, &outcome, heard),
            Directive::Released { tag, .. } => self.released(tag),
            Directive::Subscribed { tag, results } => {
                if let Err(error) = self.subscribed(tag, results) {
                    self.fail(error);
                }
            }
            Directive::Unsubscribed { tag, results } => {
                if let Err(error) = self.unsubscribed(tag, &results) {
                    self.fail(error);
                }
            }
            Directive::Deliver(delivery) => self.deliver(now, &delivery),
            Directive::Release { tag } => self.write_ack(kind::PUBREL, Ack::success(tag.0)),
            Directive::Close(reason) => self.closed_by_engine(&reason),
            // Answers to questions that this machine never asks.
            Directive::Value { .. }
            | Directive::Enrolled { .. }
            | Directive::Listed { .. }
            | Directive::Synced { .. }
            | Directive::Reply { .. }
            | Directive::Arranged { .. }
            | Directive::Consuming { .. }
            | Directive::Supply(_)
            | Directive::Drained { .. }
            | Directive::Canceled { .. }
            | Directive::Pulled { .. } => {}
        }
    }

    /// Acts on [`Server::next_timeout`].
    pub fn handle_timeout(&mut self, now: Now) {
        if self.next_timeout().is_none_or(|due| due > now.moment) {
            return;
        }
        match self.state {
            State::Fresh => self.close_transport(CloseCause::NoOpen),
            State::Open => {
                self.say_disconnect(ReasonCode::KEEP_ALIVE_TIMEOUT, None);
                self.end(CloseCause::KeepAlive, true, None);
            }
            State::Challenged => self.end(CloseCause::NoOpen, false, None),
            State::Opening | State::Closed => {}
        }
    }

    /// The transport is read again after it was not: a client that nobody listened to was not silent, so its keep alive
    /// counts from now.
    pub fn handle_resume(&mut self, now: Now) {
        self.last_heard = now.moment;
    }

    /// The transport has ended without a word.
    pub fn handle_eof(&mut self, _now: Now) {
        if self.state != State::Closed {
            self.end(CloseCause::Lost, true, None);
        }
    }

    /// The client broke the rules of what carries MQTT, such as WebSocket's: there is no MQTT to answer with.
    pub fn handle_violation(&mut self, _now: Now, problem: &'static str) {
        if self.state != State::Closed {
            self.end(CloseCause::Protocol(problem.into()), true, None);
        }
    }

    /// Whether there is something to poll.
    #[inline]
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// The next output, if any.
    #[inline]
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        if output.is_none() && self.outputs.capacity() > 0 {
            // An idle connection owns no memory that it does not need.
            self.outputs = VecDeque::new();
        }
        output
    }

    /// Control packets since this was last asked.
    #[inline]
    pub fn take_packets(&mut self) -> Packets {
        std::mem::take(&mut self.packets)
    }

    /// What waits to be written.
    #[inline]
    pub fn transmit(&mut self) -> &mut Transmit {
        &mut self.transmit
    }

    /// When [`Server::handle_timeout`] is due: CONNECT's time and that of each AUTH before CONNACK, then one and a half keep alives after the last packet
    /// (MQTT 5 §3.1.2.10). Only reading moves it, so it is asked for when it comes, not with every packet.
    pub fn next_timeout(&self) -> Option<Moment> {
        match self.state {
            State::Fresh | State::Challenged => Some(self.last_heard + self.config.connect_timeout),
            State::Open if self.keep_alive > 0 => {
                Some(self.last_heard + Duration::from_millis(u64::from(self.keep_alive) * 1_500))
            }
            State::Opening | State::Open | State::Closed => None,
        }
    }

    /// Whether the session is open.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// The protocol's version, for logs and metrics.
    pub fn version(&self) -> &'static str {
        match self.version {
            Version::V3 if self.legacy => "3.1",
            Version::V3 => "3.1.1",
            Version::V5 => "5.0",
        }
    }

    /// How the connection ended, once it has.
    #[inline]
    pub fn close_cause(&self) -> Option<&CloseCause> {
        self.close_cause.as_deref()
    }

    /// A client that said good-bye right after its publications may still get the acknowledgements that were settled in
    /// the same turn: they are written before the transport is closed.
    fn acknowledge_late(&mut self, directive: Directive) {
        if self.close_cause() != Some(&CloseCause::Goodbye) {
            return;
        }
        match directive {
            Directive::Settle { tag, outcome: outcome @ Outcome::Accepted, heard } => {
                self.settle(tag, &outcome, heard);
            }
            Directive::Released { tag, .. } => self.released(tag),
            _ => {}
        }
    }

    fn intend(&mut self, intent: Intent) {
        self.outputs.push_back(Output::Intent(intent));
    }

    /// Ends the connection after what has been said is written, and tells the engine if it knows of the session.
    fn end(&mut self, cause: CloseCause, with_will: bool, keep: Option<Duration>) {
        if matches!(self.state, State::Opening | State::Challenged | State::Open) {
            self.intend(Intent::Close(Close { cause: cause.clone(), with_will, keep }));
        }
        self.close_transport(cause);
    }

    fn close_transport(&mut self, cause: CloseCause) {
        self.state = State::Closed;
        self.close_cause = Some(Box::new(cause));
        self.partial = Vec::new();
        self.outputs.push_back(Output::Close);
    }
}
