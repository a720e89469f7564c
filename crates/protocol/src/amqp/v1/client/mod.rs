//! The client's side of AMQP 1.0: one connection with one session, a link to the anonymous terminus or one for each
//! address, and links from what is consumed.

mod fetch;
mod link;
mod message;
mod open;
mod receive;
mod send;

use super::codec::{Close, FrameKind, Performative, finish_frame, start_frame};
use crate::Transmit;
use crate::amqp::client::{ClientConfig, ClientOutput};
use fetch::{Arriving, Replies, Unsettled};
use link::Links;
use send::Outgoing;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{Event, Moment, Now};

/// The one channel.
const CHANNEL: u16 = 0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is no transport.
    Away,
    /// The header of SASL is sent.
    Greeting,
    /// The server's header of SASL came.
    Mechanisms,
    /// What proves us is sent.
    Outcome,
    /// The header of AMQP is sent, and open and begin.
    Header,
    /// The server's header of AMQP came.
    Opening,
    /// The server's open came.
    Beginning,
    /// The server's begin came.
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
    /// After what silence of ours the server gives up.
    idle: Option<Duration>,
    /// The largest frame that the server takes.
    frame_max: u32,
    /// Whether messages may say themselves where they go.
    relays: bool,
    /// The highest handle that the server takes.
    handle_max: u32,
    paused: bool,
    links: Links,
    /// Publications that cannot be sent yet, and have no link.
    waiting: VecDeque<(u64, Arc<Event>)>,
    /// Publications that are not settled, by their delivery-ids: the first has `first`.
    outgoing: VecDeque<Option<Outgoing>>,
    first: u32,
    /// The transfer-id of our next transfer, and how many the server takes.
    next_outgoing: u32,
    window: u32,
    /// The transfer-id that is expected, and how many the server may send still.
    next_incoming: u32,
    incoming_window: u32,
    /// Where answers come to.
    replies: Replies,
    /// The message that is coming in several transfers.
    arriving: Option<Arriving>,
    /// Messages that are not settled, by the caller's tags.
    unsettled: HashMap<u16, Unsettled>,
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
            idle: None,
            frame_max: 0,
            relays: false,
            handle_max: u32::MAX,
            paused: false,
            links: Links::default(),
            waiting: VecDeque::new(),
            outgoing: VecDeque::new(),
            first: 0,
            next_outgoing: 0,
            window: 0,
            next_incoming: 0,
            incoming_window: 0,
            replies: Replies::Unasked,
            arriving: None,
            unsettled: HashMap::new(),
            last_tag: 0,
            config,
        }
    }

    pub(crate) fn handle_eof(&mut self, _now: Now) {
        self.state = State::Away;
        self.partial = Vec::new();
        self.transmit = Transmit::default();
        self.arriving = None;
        self.replies = match self.replies {
            Replies::Nowhere => Replies::Nowhere,
            _ => Replies::Unasked,
        };
        // The server delivers again what we have not settled; answers to it come too late.
        self.unsettled.clear();
        self.give_back();
    }

    pub(crate) fn handle_timeout(&mut self, now: Now) {
        if self.next_timeout().is_none_or(|due| due > now.moment) {
            return;
        }
        match self.state {
            State::Away | State::Closed => {}
            State::Open if !self.paused && self.last_heard + self.config.heartbeat * 2 <= now.moment => {
                self.leave(Some("nothing came for longer than the idle time-out".to_owned()));
            }
            State::Open => {
                // Part 2 §2.4.5: an empty frame says that we are there.
                self.last_said = now.moment;
                let out = self.transmit.buffer();
                let start = start_frame(out, FrameKind::Amqp, CHANNEL);
                finish_frame(out, start, 0);
            }
            _ => self.leave(Some("the connection was not opened in time".to_owned())),
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Moment> {
        match self.state {
            State::Away | State::Closed => None,
            State::Open => {
                let say = self.idle.map(|idle| self.last_said + idle / 2);
                let hear = (!self.paused).then(|| self.last_heard + self.config.heartbeat * 2);
                say.into_iter().chain(hear).min()
            }
            _ => Some(self.since + self.config.answer_timeout),
        }
    }

    /// Says good-bye (part 2 §2.4.6).
    pub(crate) fn disconnect(&mut self, now: Now) {
        if self.state == State::Open {
            self.say(now, &Performative::Close(Close::default()));
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

    fn say(&mut self, now: Now, performative: &Performative<'_>) {
        performative.write(CHANNEL, self.transmit.buffer());
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
