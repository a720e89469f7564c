//! The client's side of AMQP 0-9-1: one connection with one channel, in confirm mode.

mod consume;
mod message;
mod open;
mod publish;
mod receive;

use super::codec::{ConnectionClose, Method, QueueDelete, ReplyCode, heartbeat, method_frame};
use crate::Transmit;
use crate::amqp::client::{ClientConfig, ClientOutput};
use consume::{Asked, Incoming};
use publish::Outgoing;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{Event, Filter, Moment, Now};

/// The one channel.
const CHANNEL: u16 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// There is no transport.
    Away,
    /// The protocol header is sent.
    Greeting,
    /// connection.start-ok is sent.
    Authenticating,
    /// connection.open is sent.
    Opening,
    /// channel.open is sent, and what the channel begins with.
    Channel,
    /// Events can be published.
    Open,
    /// The transport is about to close; nothing more is read or said.
    Closed,
}

/// One session with a server.
pub struct Client {
    config: Arc<ClientConfig>,
    state: State,
    /// A partial frame.
    partial: Vec<u8>,
    outputs: VecDeque<ClientOutput>,
    transmit: Transmit,
    /// When the transport came up.
    since: Moment,
    last_heard: Moment,
    last_said: Moment,
    /// What both agreed on.
    heartbeat: Option<Duration>,
    /// The largest frame that the server takes; zero is no bound.
    frame_max: u32,
    /// Whether nothing is read, so that the server's silence says nothing.
    paused: bool,
    /// Whether the server takes no publications for now (connection.blocked).
    blocked: bool,
    /// Whether replies are consumed on this connection.
    hears_replies: bool,
    /// Publications that cannot be sent yet.
    waiting: VecDeque<(u64, Arc<Event>)>,
    /// Publications that are not confirmed, by their numbers: the first has number `first`.
    outgoing: VecDeque<Option<Outgoing>>,
    first: u64,
    /// What is answered in the order asked.
    asked: VecDeque<Asked>,
    /// Whether the server has a queue of ours, or may have one of an earlier process.
    cleared: bool,
    declared: bool,
    /// What is to be unbound when the connection is open again.
    stale: Vec<Filter>,
    /// The content that is coming.
    incoming: Option<Incoming>,
    /// Deliveries that are not settled: the caller's tags and the server's.
    unsettled: HashMap<u16, u64>,
    last_tag: u16,
}

impl Client {
    pub(crate) fn new(config: Arc<ClientConfig>) -> Self {
        Self {
            state: State::Away,
            partial: Vec::new(),
            outputs: VecDeque::new(),
            transmit: Transmit::default(),
            since: Moment::default(),
            last_heard: Moment::default(),
            last_said: Moment::default(),
            heartbeat: None,
            frame_max: 0,
            paused: false,
            blocked: false,
            hears_replies: false,
            waiting: VecDeque::new(),
            outgoing: VecDeque::new(),
            first: 1,
            asked: VecDeque::new(),
            cleared: false,
            declared: false,
            stale: Vec::new(),
            incoming: None,
            unsettled: HashMap::new(),
            last_tag: 0,
            config,
        }
    }

    pub(crate) fn handle_eof(&mut self, _now: Now) {
        self.state = State::Away;
        self.partial = Vec::new();
        self.transmit = Transmit::default();
        self.incoming = None;
        self.asked.clear();
        // The server delivers again what we have not acknowledged; answers to it come too late.
        self.unsettled.clear();
        self.give_back();
    }

    pub(crate) fn handle_timeout(&mut self, now: Now) {
        if self.next_timeout().is_none_or(|due| due > now.moment) {
            return;
        }
        match self.state {
            State::Away | State::Closed => {}
            State::Open => match self.heartbeat {
                Some(interval) if !self.paused && self.last_heard + interval * 2 <= now.moment => {
                    self.leave(Some("no heartbeat came in time".to_owned()));
                }
                _ => {
                    self.last_said = now.moment;
                    heartbeat(self.transmit.buffer());
                }
            },
            _ => self.leave(Some("the connection was not opened in time".to_owned())),
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Moment> {
        match self.state {
            State::Away | State::Closed => None,
            State::Open => {
                let interval = self.heartbeat?;
                let say = self.last_said + interval / 2;
                // AMQP 0-9-1 §4.2.7: two intervals of silence are the end.
                Some(if self.paused { say } else { say.min(self.last_heard + interval * 2) })
            }
            _ => Some(self.since + self.config.answer_timeout),
        }
    }

    /// Says good-bye (AMQP 0-9-1 §1.4.2.7). A server that gets no connection.close-ok read takes no harm.
    pub(crate) fn disconnect(&mut self, now: Now) {
        if self.state == State::Open {
            if self.declared {
                let queue = &*self.config.name.clone();
                let delete = QueueDelete { queue, if_unused: false, if_empty: false, no_wait: true };
                self.say(now, CHANNEL, delete);
            }
            let reply_code = ReplyCode::SUCCESS.0;
            let close =
                ConnectionClose { reply_code, reply_text: "the node ends it", class_id: 0, method_id: 0 };
            self.say(now, 0, close);
        }
        self.leave(Some("the node ends it".to_owned()));
    }

    pub(crate) fn set_paused(&mut self, now: Now, paused: bool) {
        self.paused = paused;
        // What the server said meanwhile is still to be read.
        self.last_heard = now.moment;
    }

    pub(crate) fn poll_output(&mut self) -> Option<ClientOutput> {
        self.outputs.pop_front()
    }

    pub(crate) fn put_all(&mut self, outputs: Vec<ClientOutput>) {
        self.outputs.extend(outputs);
    }

    pub(crate) fn transmit(&mut self) -> &mut Transmit {
        &mut self.transmit
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.state != State::Away
    }

    pub(crate) fn last_heard(&self) -> Moment {
        self.last_heard
    }

    fn put(&mut self, output: ClientOutput) {
        self.outputs.push_back(output);
    }

    fn say<'a>(&mut self, now: Now, channel: u16, method: impl Into<Method<'a>>) {
        method_frame(&method.into(), channel, self.transmit.buffer());
        self.last_said = now.moment;
    }

    /// Ends the connection, for a reason or to begin another at once.
    pub(crate) fn leave(&mut self, problem: Option<String>) {
        if !matches!(self.state, State::Away | State::Closed) {
            self.state = State::Closed;
            self.partial = Vec::new();
            self.put(ClientOutput::Close { problem });
        }
    }
}
