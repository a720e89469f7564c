//! The server's side of one socket of datagrams, plain or of DTLS sessions: all its endpoints in one machine.
//!
//! It joins the message layer, which knows of no meaning, and the binding, which knows of no messages.
//!
//! **Mutate (a batch of datagrams at most), then drain [`Server::poll_output`] until it has nothing, and send
//! [`Server::datagrams`].**

#[cfg(test)]
mod tests;

use super::binding::{self, Asker, Binding, Fate, Notice};
use super::client::{CallId, Failure, Outgoing};
use super::codec::{Code, Kind, Message, option};
use super::messaging::{Chance, Messaging, Received, Settings, TimedOut};
use super::things::{self, Things};
use super::{
    Counts, Datagrams, Lane, Mishap, Output, Remote, Request, Response, ServerConfig, SessionId, Sources,
};
use std::collections::VecDeque;
use std::sync::Arc;
use windrose_event::{Claim, Directive, Moment, Now};

/// What a response has besides its payload and token, at most, as far as it is counted on.
const RESPONSE_OVERHEAD: usize = 40;

/// The largest payload of a block (RFC 7959 §2.2).
const BLOCK_MAX: usize = 1_024;

/// The server's side of one socket.
#[derive(Debug)]
pub struct Server {
    messaging: Messaging<About>,
    binding: Binding,
    things: Things,
    /// What was wrong, until it is told.
    mishaps: VecDeque<Output>,
    /// When it was mutated last.
    now: Now,
}

/// What a message of ours is about.
#[derive(Clone, Copy, Debug)]
enum About {
    /// It notifies an observer.
    Notice(Notice),
    /// It asks a registered thing.
    Call(CallId),
}

impl Server {
    /// A machine without endpoints. `sources` is shared by all that sources may be met at; the seed is chance that peers cannot
    /// know.
    pub fn new(config: Arc<ServerConfig>, sources: Arc<Sources>, seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let messaging = Messaging::new(Settings::from(&*config), sources, chance.next());
        Self {
            messaging,
            things: Things::new(config.clone(), chance.next()),
            binding: Binding::new(config, chance.next()),
            mishaps: VecDeque::new(),
            now: Now::default(),
        }
    }

    /// The node's policy has changed; the socket is the same.
    pub fn apply(&mut self, config: &Arc<ServerConfig>) {
        self.messaging.apply(Settings::from(&**config));
        self.binding.apply(config.clone());
        self.things.apply(config.clone());
    }

    /// Takes a datagram; of a session what was in it, decrypted.
    pub fn handle_datagram(&mut self, now: Now, remote: Remote, bytes: &[u8]) {
        self.now = now;
        match self.messaging.receive(now, remote, bytes) {
            Received::Nothing => {}
            Received::Request { ask, message } => self.handle_request(now, remote, ask, &message),
            Received::Response { ask, about, message } => {
                self.handle_response(now, remote, ask, about, &message);
            }
            Received::Acknowledged(About::Notice(notice)) => {
                self.binding.handle_notified(now, remote, notice, Fate::Acknowledged);
            }
            // Its response comes in a message of its own (RFC 7252 §5.2.2).
            Received::Acknowledged(About::Call(_)) => {}
            Received::Reset(About::Notice(notice)) => {
                self.binding.handle_notified(now, remote, notice, Fate::Reset);
            }
            Received::Reset(About::Call(call)) => self.things.handle_failure(now, call, Failure::Reset),
            Received::Mishap(mishap, detail) => self.tell(remote, mishap, detail),
        }
    }

    fn handle_request(&mut self, now: Now, remote: Remote, ask: u32, message: &Message<'_>) {
        let confirmable = message.kind == Kind::Con;
        if let Some(number) = message.options.unknown_critical() {
            // RFC 7252 §5.4.1: answered if confirmable, rejected otherwise.
            match confirmable {
                true => self.messaging.respond(now, ask, bad_option(number)),
                false => self.messaging.reject(now, ask),
            }
            return self.mishap(
                remote,
                Mishap::Option,
                "a critical option is not known, or not as it may be",
            );
        }
        if let Some(echo) = message.options.get(option::ECHO) {
            self.messaging.handle_echo(now, &remote, echo);
        }
        let overhead = RESPONSE_OVERHEAD + message.token.len();
        // What answers an event that nobody is asked about is short.
        let is_event = message.code == Code::POST && !message.options.has(option::URI_QUERY);
        let enough = if is_event { 0 } else { overhead + BLOCK_MAX };
        let credit = self.messaging.credit(now, ask, enough);
        let room = credit.saturating_sub(overhead).min(BLOCK_MAX) as u32;
        let request = Request {
            code: message.code,
            token: message.token,
            options: message.options,
            payload: message.payload,
            confirmable,
        };
        if Things::is_meant(&request) {
            self.messaging.expect_more(now, ask);
            let claim = self.binding.claim(remote);
            return self.things.handle_request(now, remote, claim, ask, &request);
        }
        self.binding.handle_request(now, Asker { remote, ask, room }, &request);
    }

    fn handle_response(
        &mut self,
        now: Now,
        remote: Remote,
        ask: Option<u32>,
        about: Option<About>,
        message: &Message<'_>,
    ) {
        let is_known = self.things.knows(remote, message.token);
        match ask {
            Some(ask) if is_known => self.messaging.acknowledge(now, ask),
            Some(ask) => self.messaging.reject(now, ask),
            None => {}
        }
        // A notification may be acknowledged by what is no acknowledgement alone.
        if let Some(About::Notice(notice)) = about {
            self.binding.handle_notified(now, remote, notice, Fate::Acknowledged);
        }
        match is_known {
            true => self.things.handle_response(now, remote, message),
            false => self.mishap(remote, Mishap::Token, "a response to what was not asked"),
        }
    }

    /// A DTLS session begins: its requests bear this claim.
    pub fn handle_session(&mut self, now: Now, session: SessionId, claim: Claim) {
        self.now = now;
        self.binding.handle_session(now, session, claim);
    }

    /// A DTLS session has ended.
    pub fn handle_session_end(&mut self, now: Now, session: SessionId) {
        self.now = now;
        self.messaging.forget_endpoint(&Remote::Session(session));
        self.things.handle_session_end(now, session);
        self.binding.handle_session_end(now, session);
    }

    /// Takes the engine's word for a lane.
    pub fn handle_directive(&mut self, now: Now, lane: Lane, directive: Directive) {
        self.now = now;
        match Things::is_lane(lane) {
            true => self.things.handle_directive(now, lane, directive),
            false => self.binding.handle_directive(now, lane, directive),
        }
    }

    /// Credit for what a lane publishes is gone, or back: meanwhile its requests are answered by 4.29 (RFC 8516).
    pub fn handle_brake(&mut self, now: Now, lane: Lane, paused: bool) {
        self.now = now;
        // Things publish nothing but their answers.
        if !Things::is_lane(lane) {
            self.binding.handle_brake(now, lane, paused);
        }
    }

    /// The node shuts down: what is under way is answered, what is new gets 5.03.
    pub fn drain(&mut self) {
        self.binding.drain();
    }

    /// Acts on [`Server::next_timeout`].
    pub fn handle_timeout(&mut self, now: Now) {
        self.now = now;
        while let Some(TimedOut { remote, about }) = self.messaging.poll_timeout(now) {
            match about {
                About::Notice(notice) => self.binding.handle_notified(now, remote, notice, Fate::TimedOut),
                About::Call(call) => self.things.handle_failure(now, call, Failure::TimedOut),
            }
        }
        self.binding.handle_timeout(now);
        self.things.handle_timeout(now);
    }

    /// When [`Server::handle_timeout`] is due.
    pub fn next_timeout(&self) -> Option<Moment> {
        [self.messaging.next_timeout(), self.binding.next_timeout(), self.things.next_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The next output, if any.
    pub fn poll_output(&mut self) -> Option<Output> {
        let now = self.now;
        while let Some(output) = self.binding.poll_output() {
            match output {
                binding::Output::Respond { ask, response: Some(response) } => {
                    self.messaging.respond(now, ask, response);
                }
                binding::Output::Respond { ask, response: None } => self.messaging.acknowledge(now, ask),
                binding::Output::Notify { remote, token, response, confirmable, notice } => {
                    let about = Some(About::Notice(notice));
                    let sent = self.messaging.send(now, remote, confirmable, token, response, about);
                    if sent.is_err() {
                        self.binding.handle_notified(now, remote, notice, Fate::TimedOut);
                    }
                }
                binding::Output::Connect { lane, remote } => return Some(Output::Connect { lane, remote }),
                binding::Output::Intent { lane, intent } => return Some(Output::Intent { lane, intent }),
                binding::Output::Disconnect { lane } => return Some(Output::Disconnect { lane }),
            }
        }
        self.poll_things().or_else(|| self.mishaps.pop_front())
    }

    fn poll_things(&mut self) -> Option<Output> {
        let now = self.now;
        while let Some(output) = self.things.poll_output() {
            match output {
                things::Output::Respond { ask, response } => self.messaging.respond(now, ask, response),
                things::Output::Send { call, remote, token, message } => {
                    let Outgoing { code, options, payload } = message;
                    let content = Response { code, options, payload };
                    let about = Some(About::Call(call));
                    if self.messaging.send(now, remote, true, token, content, about).is_err() {
                        self.things.handle_failure(now, call, Failure::TimedOut);
                    }
                }
                things::Output::Forget { call, remote } => {
                    let is_it = |about| matches!(about, About::Call(its) if its == call);
                    self.messaging.forget(now, &remote, is_it);
                }
                things::Output::Connect { lane, remote } => {
                    return Some(Output::Connect { lane, remote: Some(remote) });
                }
                things::Output::Intent { lane, intent } => return Some(Output::Intent { lane, intent }),
                things::Output::Disconnect { lane } => return Some(Output::Disconnect { lane }),
            }
        }
        None
    }

    /// What waits to be sent.
    pub fn datagrams(&mut self) -> &mut Datagrams {
        self.messaging.datagrams()
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        self.messaging.counts()
    }

    /// What is remembered now: exchanges, messages that wait for an answer, endpoints to which something is under way.
    pub fn held(&self) -> [usize; 3] {
        self.messaging.held()
    }

    fn mishap(&mut self, remote: Remote, mishap: Mishap, detail: &'static str) {
        self.messaging.note(mishap);
        self.tell(remote, mishap, detail);
    }

    fn tell(&mut self, remote: Remote, mishap: Mishap, detail: &'static str) {
        self.mishaps.push_back(Output::Mishap { remote, cause: mishap.name(), detail });
    }
}

/// 4.02, which names the option (RFC 7252 §5.4.1).
fn bad_option(number: u16) -> Response {
    Response::diagnostic(Code::BAD_OPTION, format!("option {number} is not known, or not as it may be"))
}
