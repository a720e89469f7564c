//! The client's side of MQTT: a session with a server that outlives its connections.
//!
//! It holds what the specification gives to a client's session (MQTT 5 §4.1): publications that are not acknowledged yet,
//! and exactly-once messages whose handshakes are not over. The caller makes the transport: it says that one is up
//! ([`Client::handle_connected`]), feeds it, and says that it is gone ([`Client::handle_eof`]), as often as needed. The
//! first connection clears what the server may know of an earlier process; those after it take the session up again.
//!
//! **Mutate once, then drain [`Client::poll_output`] until it has nothing, before mutating again.**

mod connect;
mod message;
mod publish;
mod receive;
mod subscribe;
#[cfg(test)]
mod tests;

use super::ReasonCode;
use super::codec::{CodecError, Disconnect, Packet, Properties, Version, encode};
use crate::Transmit;
use bytes::Bytes;
use message::Incoming;
use publish::{Outgoing, Waiting};
use smallvec::SmallVec;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use subscribe::Asked;
use windrose_event::{Moment, Now, Outcome, Publication, Tag, Text};

/// How a client connects, and what it takes.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The version spoken.
    pub version: Version,
    /// Client identifier.
    pub client_id: Text,
    /// User name.
    pub username: Option<Text>,
    /// Password.
    pub password: Option<Bytes>,
    /// How long the server keeps the session without a connection (MQTT 5 §3.1.2.11.2).
    pub session_expiry: Duration,
    /// Seconds between packets at most; zero: no bound.
    pub keep_alive: u16,
    /// How long CONNACK, and the answer to PINGREQ, may take.
    pub answer_timeout: Duration,
    /// Messages that may be unacknowledged at once; announced in MQTT 5.
    pub receive_maximum: u16,
    /// The largest packet that is taken, in bytes; announced in MQTT 5.
    pub packet_bytes: u32,
    /// Levels of a topic.
    pub address_levels: u16,
    /// Topic aliases that are set at most, if the server takes as many.
    pub topic_aliases: u16,
    /// Written to each publication as the user property `windrose-via` (MQTT 5): the node's name.
    pub via: Option<Text>,
    /// Whether another server may take what this one did not acknowledge: an at-least-once publication is then given up
    /// with its connection. Otherwise it is sent again on the next one.
    pub others: bool,
}

/// What the client wants, or has to say.
#[derive(Debug)]
pub enum ClientOutput {
    /// The session is open. If it is not resumed, the server knows of no subscription.
    Opened {
        /// Whether the server has the session of the connection before.
        resumed: bool,
    },
    /// A publication of at most once is among what waits to be written: the server says nothing of it.
    Sent {
        /// The caller's name for it.
        token: u64,
    },
    /// What became of any other publication, or of one that was not sent.
    Settled {
        /// The caller's name for it.
        token: u64,
        /// What the server said of it, or why it said nothing.
        outcome: Outcome,
    },
    /// A message from the server. Answered by [`Client::settle`], unless its tag is zero.
    Message {
        /// Pairs the answer.
        tag: Tag,
        /// The message.
        publication: Publication,
        /// Whether the server may have sent it before.
        again: bool,
        /// The numbers of the subscriptions that it was sent for.
        subscriptions: SmallVec<[u32; 2]>,
    },
    /// An exactly-once message's handshake is over: its tag can be forgotten.
    Released {
        /// The message's tag.
        tag: Tag,
    },
    /// The answer to [`Client::subscribe`].
    Subscribed {
        /// The subscription's number.
        identifier: u32,
        /// Whether the server granted it.
        granted: bool,
    },
    /// Write what waits, then close the transport, then call [`Client::handle_eof`].
    Close {
        /// Why, for the log. `None`: all is well, and the session goes on with the next connection at once.
        problem: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is no transport.
    Away,
    /// CONNECT is sent.
    Connecting,
    /// CONNACK came.
    Open,
    /// The transport is about to close; nothing more is read or said.
    Closed,
}

/// What the server said in CONNACK that it can and cannot (MQTT 5 §3.2.2.3).
#[derive(Clone, Copy, Debug)]
struct Server {
    receive_maximum: u16,
    maximum_packet_size: u32,
    maximum_qos: u8,
    retain_available: bool,
    topic_aliases: u16,
    subscription_identifiers: bool,
    /// Seconds.
    keep_alive: u16,
}

/// One session with a server.
pub struct Client {
    config: Arc<ClientConfig>,
    state: State,
    /// Whether the server knows of nothing but this session.
    cleared: bool,
    server: Server,
    /// A partial packet.
    partial: Vec<u8>,
    outputs: VecDeque<ClientOutput>,
    transmit: Transmit,
    /// When the connection began, then when the last packet came.
    last_heard: Moment,
    last_said: Moment,
    /// When PINGREQ was sent that is not answered yet.
    pinged: Option<Moment>,
    /// Whether nothing is read, so that the server's silence says nothing.
    paused: bool,
    /// Publications that cannot be sent yet.
    waiting: VecDeque<Waiting>,
    /// Publications that are not acknowledged, in the order sent.
    outgoing: VecDeque<Outgoing>,
    /// Packet identifiers in use.
    identifiers: HashSet<u16>,
    last_identifier: u16,
    /// Topics that the server knows by an alias.
    aliases: HashMap<Text, u16>,
    asked: Vec<Asked>,
    /// Messages that are not settled, and exactly-once ones that are not released.
    incoming: Vec<Incoming>,
    last_tag: u16,
}

impl Client {
    /// A session that has no connection yet.
    pub fn new(config: Arc<ClientConfig>) -> Self {
        Self {
            state: State::Away,
            cleared: false,
            server: Server::unsaid(&config),
            partial: Vec::new(),
            outputs: VecDeque::new(),
            transmit: Transmit::default(),
            last_heard: Moment::default(),
            last_said: Moment::default(),
            pinged: None,
            paused: false,
            waiting: VecDeque::new(),
            outgoing: VecDeque::new(),
            identifiers: HashSet::new(),
            last_identifier: 0,
            aliases: HashMap::new(),
            asked: Vec::new(),
            incoming: Vec::new(),
            last_tag: 0,
            config,
        }
    }

    /// The transport has ended, or could not be had. What was never sent, or can be sent elsewhere, is given back.
    pub fn handle_eof(&mut self, _now: Now) {
        self.state = State::Away;
        self.partial = Vec::new();
        self.transmit = Transmit::default();
        self.pinged = None;
        self.aliases.clear();
        for asked in self.asked.drain(..) {
            self.identifiers.remove(&asked.packet_id);
        }
        self.give_back();
        self.orphan();
    }

    /// Acts on [`Client::next_timeout`].
    pub fn handle_timeout(&mut self, now: Now) {
        if self.next_timeout().is_none_or(|due| due > now.moment) {
            return;
        }
        match (self.state, self.pinged) {
            (State::Connecting, _) => self.close("no CONNACK came in time".to_owned()),
            (State::Open, Some(_)) if !self.is_deaf() => {
                self.close("no answer to PINGREQ came in time".to_owned())
            }
            (State::Open, _) => {
                self.pinged = (!self.is_deaf()).then_some(now.moment);
                self.say(now, &Packet::Pingreq);
            }
            (State::Away | State::Closed, _) => {}
        }
    }

    /// When [`Client::handle_timeout`] is due: for CONNACK, for PINGREQ after a silence of either side, for its answer.
    pub fn next_timeout(&self) -> Option<Moment> {
        match (self.state, self.pinged) {
            (State::Connecting, _) => Some(self.last_said + self.config.answer_timeout),
            (State::Open, Some(pinged)) if !self.is_deaf() => Some(pinged + self.config.answer_timeout),
            (State::Open, _) if self.server.keep_alive > 0 => {
                let silent =
                    if self.is_deaf() { self.last_said } else { self.last_heard.min(self.last_said) };
                Some(silent + Duration::from_secs(self.server.keep_alive.into()))
            }
            (State::Open | State::Away | State::Closed, _) => None,
        }
    }

    /// Says good-bye and ends the session, so that the server keeps nothing of it (MQTT 5 §3.14.2.2.2).
    pub fn disconnect(&mut self, now: Now) {
        if self.state == State::Open {
            let expiry = (!self.config.session_expiry.is_zero()).then_some(0);
            let properties = expiry.map(|expiry| {
                Box::new(Properties { session_expiry_interval: Some(expiry), ..Properties::default() })
            });
            self.say(now, &Packet::Disconnect(Disconnect { code: ReasonCode::SUCCESS, properties }));
        }
        self.close("the node ends it".to_owned());
    }

    /// The transport is not read any more, or is read again: a server that nobody listens to is not silent, and hears from
    /// us all the same.
    pub fn set_paused(&mut self, now: Now, paused: bool) {
        self.paused = paused;
        self.listen_again(now);
    }

    /// What the server said meanwhile is still to be read.
    fn listen_again(&mut self, now: Now) {
        self.pinged = None;
        self.last_heard = now.moment;
    }

    fn is_deaf(&self) -> bool {
        self.paused || self.is_full()
    }

    /// The server has not answered for too long: the connection ends, and what is in doubt is known with the next one.
    pub fn give_up(&mut self, _now: Now) {
        self.close("no answer came in time".to_owned());
    }

    /// The next output, if any.
    pub fn poll_output(&mut self) -> Option<ClientOutput> {
        self.outputs.pop_front()
    }

    /// What waits to be written.
    pub fn transmit(&mut self) -> &mut Transmit {
        &mut self.transmit
    }

    /// Whether the session is open.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// When the last packet came.
    pub fn last_heard(&self) -> Moment {
        self.last_heard
    }

    fn put(&mut self, output: ClientOutput) {
        self.outputs.push_back(output);
    }

    /// Appends a packet. `false`, and nothing appended, if it is larger than the server takes (MQTT 5 §3.2.2.3.6).
    fn say(&mut self, now: Now, packet: &Packet) -> bool {
        let out = self.transmit.buffer();
        let before = out.len();
        encode(packet, self.config.version, out);
        if out.len() - before > self.server.maximum_packet_size as usize {
            out.truncate(before);
            return false;
        }
        self.last_said = now.moment;
        true
    }

    /// The server broke the protocol (MQTT 5 §4.13).
    fn fail(&mut self, now: Now, error: CodecError) {
        if self.state == State::Open && self.config.version == Version::V5 {
            let reason_string = Some(Text::from_static(error.problem));
            let properties = Some(Box::new(Properties { reason_string, ..Properties::default() }));
            self.say(now, &Packet::Disconnect(Disconnect { code: error.code, properties }));
        }
        self.close(format!("the server broke the protocol: {}", error.problem));
    }

    fn close(&mut self, problem: String) {
        self.end(Some(problem));
    }

    fn end(&mut self, problem: Option<String>) {
        if !matches!(self.state, State::Away | State::Closed) {
            self.state = State::Closed;
            self.partial = Vec::new();
            self.put(ClientOutput::Close { problem });
        }
    }

    /// A packet identifier that is not in use, if there is one (MQTT 5 §2.2.1).
    fn next_identifier(&mut self) -> Option<u16> {
        if self.identifiers.len() >= usize::from(u16::MAX) {
            return None;
        }
        loop {
            self.last_identifier = self.last_identifier.checked_add(1).unwrap_or(1);
            if self.identifiers.insert(self.last_identifier) {
                return Some(self.last_identifier);
            }
        }
    }
}
