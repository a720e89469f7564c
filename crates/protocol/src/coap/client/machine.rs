//! A client of one server, by a socket of its own.

use super::call::{Failure, Outgoing};
use super::calls::{CallId, CallOutput, Calls};
use crate::coap::messaging::{Messaging, Received, Settings, TimedOut};
use crate::coap::{Counts, Datagrams, Remote, Response, SessionId, Sources};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{Moment, Now};

/// Message identifiers may not be used again within this time (RFC 7252 §4.8.2, EXCHANGE_LIFETIME).
const EXCHANGE_LIFETIME: Duration = Duration::from_secs(247);
/// Messages that one socket may send: fewer than there are message identifiers.
const MESSAGES: u32 = 60_000;
/// The largest datagram that is sent (RFC 7252 §4.6).
const DATAGRAM_BYTES: u16 = 1_152;
/// The longest token that a response may have; ours have eight bytes.
const TOKEN_BYTES: u16 = 8;
/// Exchanges of the server's that are remembered: its separate responses.
const EXCHANGES: u32 = 65_536;

/// How a client asks.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The largest body of a response that is taken, in bytes.
    pub payload_bytes: u32,
    /// How many requests may be under way at once (RFC 7252 §4.7, NSTART).
    pub in_flight: u32,
}

/// A client of one server. Its socket hears that server only.
///
/// **Mutate, then drain [`Client::poll_output`] until it has nothing, and send [`Client::datagrams`].**
#[derive(Debug)]
pub struct Client {
    messaging: Messaging<CallId>,
    calls: Calls,
    sent: u32,
    /// What is over.
    outputs: VecDeque<(CallId, Result<Response, Failure>)>,
}

impl Client {
    /// The server: whoever the socket is connected to. It has shown itself by being written into the document.
    const SERVER: Remote = Remote::Session(SessionId(0));

    /// A client that has asked nothing. The seed is chance that nobody can guess (RFC 7252 §5.3.1).
    pub fn new(config: &ClientConfig, seed: u64) -> Self {
        let settings = Settings {
            token_bytes: TOKEN_BYTES,
            exchanges: EXCHANGES,
            exchange_lifetime: EXCHANGE_LIFETIME,
            nstart: config.in_flight as usize,
            waiting: usize::MAX,
            address: None,
        };
        Self {
            messaging: Messaging::new(settings, Arc::new(Sources::new(0, [0; 32])), seed),
            calls: Calls::new(seed, config.payload_bytes, DATAGRAM_BYTES),
            sent: 0,
            outputs: VecDeque::new(),
        }
    }

    /// Whether its message identifiers are used up (RFC 7252 §4.4): another client, by another socket, is to ask the rest.
    pub fn is_spent(&self) -> bool {
        self.sent >= MESSAGES
    }

    /// Asks. The response, or why there is none, comes by the deadline.
    pub fn request(&mut self, now: Now, request: Outgoing, deadline: Moment) -> CallId {
        let call = self.calls.start(Self::SERVER, request, deadline);
        self.join(now);
        call
    }

    /// Takes a datagram of the server's.
    pub fn handle_datagram(&mut self, now: Now, bytes: &[u8]) {
        match self.messaging.receive(now, Self::SERVER, bytes) {
            // It is no server: RFC 7252 §4.2 has a reset for what cannot be processed.
            Received::Request { ask, .. } => self.messaging.reject(now, ask),
            Received::Response { ask, message, .. } => {
                let is_known = self.calls.knows(Self::SERVER, message.token);
                match ask {
                    Some(ask) if is_known => self.messaging.acknowledge(now, ask),
                    Some(ask) => self.messaging.reject(now, ask),
                    None => {}
                }
                self.calls.handle_response(
                    Self::SERVER,
                    message.token,
                    message.code,
                    message.options,
                    message.payload,
                );
            }
            Received::Reset(call) => self.calls.handle_failure(call, Failure::Reset),
            Received::Nothing | Received::Acknowledged(_) | Received::Mishap(..) => {}
        }
        self.join(now);
    }

    /// Acts on [`Client::next_timeout`].
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(TimedOut { about, .. }) = self.messaging.poll_timeout(now) {
            self.calls.handle_failure(about, Failure::TimedOut);
        }
        self.calls.handle_timeout(now.moment);
        self.join(now);
    }

    /// When [`Client::handle_timeout`] is due.
    pub fn next_timeout(&self) -> Option<Moment> {
        [self.messaging.next_timeout(), self.calls.next_timeout()].into_iter().flatten().min()
    }

    /// The next request that is over, and what came of it.
    pub fn poll_output(&mut self) -> Option<(CallId, Result<Response, Failure>)> {
        self.outputs.pop_front()
    }

    /// What waits to be sent.
    pub fn datagrams(&mut self) -> &mut Datagrams {
        self.messaging.datagrams()
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        self.messaging.counts()
    }

    /// Carries what the calls want to the message layer.
    fn join(&mut self, now: Now) {
        while let Some(output) = self.calls.poll_output() {
            match output {
                CallOutput::Send { call, remote, token, message } => {
                    self.sent = self.sent.saturating_add(1);
                    let Outgoing { code, options, payload } = message;
                    let content = Response { code, options, payload };
                    if self.messaging.send(now, remote, true, token, content, Some(call)).is_err() {
                        self.calls.handle_failure(call, Failure::TimedOut);
                    }
                }
                CallOutput::Forget { call, remote } => {
                    self.messaging.forget(now, &remote, |about| about == call);
                }
                CallOutput::Done { call, result } => self.outputs.push_back((call, result)),
            }
        }
    }
}
