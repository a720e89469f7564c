//! Things that are servers: they register (RFC 9176, what of it a thing needs), and are asked what is published at
//! `devices/NAME/RESOURCE`.
//!
//! A registered thing is a session of the engine's that subscribes to the addresses of its resources. A delivery becomes a
//! POST to the thing; the response settles it, and is published where the event wants its answer.
//!
//! **Mutate once, then drain [`Things::poll_output`] until it has nothing, before mutating again.**

mod registrations;
#[cfg(test)]
mod tests;
mod thing;
mod wish;

use super::client::{self, CallId, CallOutput, Calls, Failure, Outgoing, asked};
use super::codec::{Code, Message};
use super::{Lane, Remote, Request, Response, ServerConfig, SessionId, Token};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use thing::{Stage, Thing};
use windrose_event::{Claim, Delivery, Directive, Event, Intent, Moment, Now, Tag};
use wish::Wish;

/// Registered things of one socket.
const MOST_THINGS: usize = 65_536;
/// How long a thing may take for its answer, unless the event expires before.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lanes of things have this bit: those of the binding do not.
const LANES: u32 = 1 << 31;

/// What is to be done.
#[derive(Debug)]
pub(super) enum Output {
    /// Answer a request for the directory. Each is answered once.
    Respond {
        /// Which.
        ask: u32,
        /// By what.
        response: Response,
    },
    /// Send a confirmable message.
    Send {
        /// Told with what became of it.
        call: CallId,
        /// To whom.
        remote: Remote,
        /// What its response will bear.
        token: Token,
        /// The request.
        message: Outgoing,
    },
    /// Send it no more.
    Forget {
        /// What it was sent for.
        call: CallId,
        /// To whom.
        remote: Remote,
    },
    /// Begin a connection to the engine.
    Connect {
        /// Its name, free until it is disconnected.
        lane: Lane,
        /// Whose it is alone.
        remote: Remote,
    },
    /// Tell the engine.
    Intent {
        /// By which connection.
        lane: Lane,
        /// What.
        intent: Intent,
    },
    /// A connection to the engine is over.
    Disconnect {
        /// Which.
        lane: Lane,
    },
}

/// What a request of ours is for.
#[derive(Debug)]
enum Errand {
    /// A thing's own links (RFC 9176 §5.1).
    Links(u64),
    /// An event that was delivered to a thing.
    Delivery(u64, Tag, Arc<Event>),
}

/// All registered things of one socket.
#[derive(Debug)]
pub(super) struct Things {
    config: Arc<ServerConfig>,
    calls: Calls,
    errands: HashMap<CallId, Errand>,
    things: HashMap<u64, Thing>,
    /// How many each endpoint has registered.
    endpoints: HashMap<Remote, u32>,
    /// By the names that they are known as.
    names: HashMap<String, u64>,
    lanes: HashMap<Lane, u64>,
    ends: BTreeSet<(Moment, u64)>,
    next_lane: u32,
    outputs: VecDeque<Output>,
}

impl Things {
    /// Nobody is registered. The seed is chance that nobody can guess: locations and tokens come from it.
    pub(super) fn new(config: Arc<ServerConfig>, seed: u64) -> Self {
        Self {
            calls: Calls::new(seed, config.payload_bytes, config.datagram_bytes),
            config,
            errands: HashMap::new(),
            things: HashMap::new(),
            endpoints: HashMap::new(),
            names: HashMap::new(),
            lanes: HashMap::new(),
            ends: BTreeSet::new(),
            next_lane: 0,
            outputs: VecDeque::new(),
        }
    }

    /// The node's policy has changed.
    pub(super) fn apply(&mut self, config: Arc<ServerConfig>) {
        self.config = config;
    }

    /// Whether a lane is one of theirs.
    pub(super) const fn is_lane(lane: Lane) -> bool {
        lane.0 & LANES != 0
    }

    /// Whether a request is for the directory.
    pub(super) fn is_meant(request: &Request<'_>) -> bool {
        wish::is_meant(request)
    }

    /// Takes a request for the directory, of somebody who claims to be that. It is answered once, maybe later.
    pub(super) fn handle_request(
        &mut self,
        now: Now,
        remote: Remote,
        claim: Claim,
        ask: u32,
        request: &Request<'_>,
    ) {
        let response = match wish::wish(request) {
            Err(response) => response,
            Ok(Wish::Register { name, lifetime, resources }) => {
                let is_asked = resources.is_none();
                let thing = Thing {
                    remote,
                    claim: Some(Box::new(claim)),
                    name,
                    lifetime,
                    end: now.moment + lifetime,
                    resources: resources.unwrap_or_default(),
                    stage: if is_asked { Stage::Asked } else { Stage::Opening { ask: Some(ask) } },
                    lane: None,
                };
                return self.register(now, ask, thing);
            }
            Ok(Wish::Renew { key, lifetime }) => self.renew(now, remote, key, lifetime),
            Ok(Wish::Remove { key }) => {
                match self.things.get(&key).is_some_and(|thing| thing.is_from(remote)) {
                    true => {
                        self.end(now, key);
                        Response::new(Code::DELETED)
                    }
                    false => Response::new(Code::NOT_FOUND),
                }
            }
        };
        self.outputs.push_back(Output::Respond { ask, response });
    }

    /// A session has ended, and with it the things that registered by it.
    pub(super) fn handle_session_end(&mut self, now: Now, session: SessionId) {
        let remote = Remote::Session(session);
        let gone: Vec<u64> =
            self.things.iter().filter(|(_, thing)| thing.remote == remote).map(|(key, _)| *key).collect();
        gone.into_iter().for_each(|key| self.end(now, key));
    }

    /// Takes the engine's word for a lane of theirs.
    pub(super) fn handle_directive(&mut self, now: Now, lane: Lane, directive: Directive) {
        let Some(key) = self.lanes.get(&lane).copied() else { return };
        match directive {
            Directive::Accept(_) => self.subscribe(key),
            Directive::Refuse(refusal) => self.refused(now, key, &refusal),
            Directive::Subscribed { results, .. } => self.subscribed(now, key, &results),
            Directive::Deliver(delivery) => self.deliver(now, key, delivery),
            Directive::Close(_) => self.disconnected(now, key),
            _ => {}
        }
    }

    /// Whether a response with that token is waited for from that peer.
    pub(super) fn knows(&self, remote: Remote, token: &[u8]) -> bool {
        self.calls.knows(remote, token)
    }

    /// Takes a thing's response.
    pub(super) fn handle_response(&mut self, now: Now, remote: Remote, message: &Message<'_>) {
        let Message { token, code, options, payload, .. } = *message;
        self.calls.handle_response(remote, token, code, options, payload);
        self.run(now);
    }

    /// A message of ours was reset, or given up.
    pub(super) fn handle_failure(&mut self, now: Now, call: CallId, failure: Failure) {
        self.calls.handle_failure(call, failure);
        self.run(now);
    }

    /// Acts on [`Things::next_timeout`].
    pub(super) fn handle_timeout(&mut self, now: Now) {
        while let Some((end, key)) = self.ends.first().copied()
            && end <= now.moment
        {
            self.end(now, key);
        }
        self.calls.handle_timeout(now.moment);
        self.run(now);
    }

    /// When [`Things::handle_timeout`] is due.
    pub(super) fn next_timeout(&self) -> Option<Moment> {
        let end = self.ends.first().map(|(end, _)| *end);
        [end, self.calls.next_timeout()].into_iter().flatten().min()
    }

    /// What is to be done next.
    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Asks the thing what was published at one of its resources.
    fn deliver(&mut self, now: Now, key: u64, delivery: Delivery) {
        let Some(thing) = self.things.get(&key) else { return };
        let Delivery { tag, event, subscriptions, .. } = delivery;
        let Some(resource) = thing.resource(&subscriptions) else { return };
        let left = event.expires.map(|expires| expires.since(now.wall));
        let deadline = now.moment + left.map_or(PATIENCE, |left| left.min(PATIENCE));
        let call = self.calls.start(thing.remote, asked(resource, &event), deadline);
        self.errands.insert(call, Errand::Delivery(key, tag, event));
        self.run(now);
    }

    /// Carries on what the requests of ours came to.
    fn run(&mut self, now: Now) {
        while let Some(output) = self.calls.poll_output() {
            match output {
                CallOutput::Send { call, remote, token, message } => {
                    self.outputs.push_back(Output::Send { call, remote, token, message });
                }
                CallOutput::Forget { call, remote } => {
                    self.outputs.push_back(Output::Forget { call, remote });
                }
                CallOutput::Done { call, result } => match self.errands.remove(&call) {
                    Some(Errand::Links(key)) => self.told(now, key, result),
                    Some(Errand::Delivery(key, tag, event)) => self.answered(key, tag, &event, result),
                    None => {}
                },
            }
        }
    }

    /// A thing has answered, or will not.
    fn answered(&mut self, key: u64, tag: Tag, event: &Event, result: Result<Response, Failure>) {
        let Some(lane) = self.things.get(&key).and_then(|thing| thing.lane) else { return };
        for intent in client::settle(tag, event, result) {
            self.intent(lane, intent);
        }
    }

    fn answer(&mut self, ask: Option<u32>, response: Response) {
        if let Some(ask) = ask {
            self.outputs.push_back(Output::Respond { ask, response });
        }
    }

    fn intent(&mut self, lane: Lane, intent: Intent) {
        self.outputs.push_back(Output::Intent { lane, intent });
    }
}
