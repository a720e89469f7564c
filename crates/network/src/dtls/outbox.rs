//! What the machine has for its driver, in order, in one buffer.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use windrose_event::Claim;
use windrose_protocol::coap::SessionId;

/// Between whom datagrams go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Route {
    pub(super) peer: SocketAddr,
    /// Our address that it sends to, if the driver knows: it is answered from there.
    pub(super) local: Option<IpAddr>,
}

impl Route {
    /// The flow label of IPv6 says nothing about who sends.
    pub(super) fn new(mut peer: SocketAddr, local: Option<IpAddr>) -> Self {
        if let SocketAddr::V6(peer) = &mut peer {
            peer.set_flowinfo(0);
        }
        Self { peer, local }
    }
}

/// What the driver is told or has to do.
#[derive(Debug)]
pub enum Output<'a> {
    /// Send a datagram.
    Datagram {
        /// To whom.
        peer: SocketAddr,
        /// From which of our addresses.
        local: Option<IpAddr>,
        /// What.
        bytes: &'a [u8],
    },
    /// Find out the pre-shared key of an identity, and [hand it in](super::Dtls::handle_key).
    Key {
        /// Who asks.
        question: KeyQuestion,
        /// The identity.
        identity: Box<[u8]>,
    },
    /// A session began: this is who is there.
    Opened {
        /// The session.
        session: SessionId,
        /// What its handshake proved.
        claim: Box<Claim>,
    },
    /// Application data of a session, one record.
    Plain {
        /// The session.
        session: SessionId,
        /// What it says.
        bytes: &'a [u8],
    },
    /// A session is over.
    Closed {
        /// The session.
        session: SessionId,
    },
    /// Something went wrong that an operator may want to know; it has been counted under its cause.
    Mishap {
        /// With whom.
        peer: SocketAddr,
        /// Which class of thing, in metrics and logs.
        cause: &'static str,
        /// What, and what to do.
        detail: Cow<'static, str>,
    },
}

/// A handshake that waits for a key.
#[derive(Clone, Copy, Debug)]
pub struct KeyQuestion {
    pub(super) route: Route,
    /// Of the client: tells its handshakes apart.
    pub(super) random: [u8; 32],
}

#[derive(Debug)]
enum Queued {
    Key(Box<(KeyQuestion, Box<[u8]>)>),
    Datagram(Route, Range<usize>),
    Plain(SessionId, Range<usize>),
    Opened(SessionId, Box<Claim>),
    Closed(SessionId),
    Mishap(SocketAddr, &'static str, Cow<'static, str>),
}

/// What waits for the driver.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    queue: VecDeque<Queued>,
}

/// Room that is kept for the next time.
const KEEP: usize = 64 * 1024;

impl Outbox {
    /// The next one. The buffer is free again once all have been taken.
    pub(super) fn poll(&mut self) -> Option<Output<'_>> {
        let Some(queued) = self.queue.pop_front() else {
            self.bytes.clear();
            self.bytes.shrink_to(KEEP);
            return None;
        };
        let bytes = |range: Range<usize>| self.bytes.get(range).unwrap_or_default();
        Some(match queued {
            Queued::Datagram(Route { peer, local }, range) => {
                Output::Datagram { peer, local, bytes: bytes(range) }
            }
            Queued::Key(asked) => {
                let (question, identity) = *asked;
                Output::Key { question, identity }
            }
            Queued::Plain(session, range) => Output::Plain { session, bytes: bytes(range) },
            Queued::Opened(session, claim) => Output::Opened { session, claim },
            Queued::Closed(session) => Output::Closed { session },
            Queued::Mishap(peer, cause, detail) => Output::Mishap { peer, cause, detail },
        })
    }

    /// Begins a datagram; it is there once it is [cut](Datagram::cut).
    pub(super) fn datagram(&mut self, route: Route) -> Datagram<'_> {
        let start = self.bytes.len();
        Datagram { outbox: self, route, start }
    }

    pub(super) fn plain(&mut self, session: SessionId, bytes: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.queue.push_back(Queued::Plain(session, start..self.bytes.len()));
    }

    pub(super) fn key(&mut self, question: KeyQuestion, identity: &[u8]) {
        self.queue.push_back(Queued::Key(Box::new((question, identity.into()))));
    }

    pub(super) fn opened(&mut self, session: SessionId, claim: Box<Claim>) {
        self.queue.push_back(Queued::Opened(session, claim));
    }

    pub(super) fn closed(&mut self, session: SessionId) {
        self.queue.push_back(Queued::Closed(session));
    }

    pub(super) fn mishap(
        &mut self,
        peer: SocketAddr,
        cause: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) {
        self.queue.push_back(Queued::Mishap(peer, cause, detail.into()));
    }
}

/// A datagram that is being written.
pub(super) struct Datagram<'o> {
    outbox: &'o mut Outbox,
    route: Route,
    start: usize,
}

impl Datagram<'_> {
    /// Where to write.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.outbox.bytes
    }

    /// Bytes of it so far.
    pub(super) fn len(&self) -> usize {
        self.outbox.bytes.len() - self.start
    }

    /// Ends it, if there is anything in it; what is written next is another one.
    pub(super) fn cut(&mut self) {
        let end = self.outbox.bytes.len();
        if end > self.start {
            self.outbox.queue.push_back(Queued::Datagram(self.route, self.start..end));
            self.start = end;
        }
    }
}
