//! All requests of ours at the peers of one socket, without the message layer: what is to be sent comes out, what was
//! received and what became of what was sent goes in.

use super::call::{Call, Failure, Outgoing, Step};
use crate::coap::codec::{Code, Options};
use crate::coap::exchange::{Response, Token};
use crate::coap::remote::Remote;
use std::collections::{BTreeSet, HashMap, VecDeque};
use windrose_event::Moment;

/// Bytes of a message that are neither options nor payload: header, token, payload marker, and the options that blocks need.
const OVERHEAD: usize = 4 + 8 + 1 + 60;

/// Names a request of ours until its `Done`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub u32);

/// What is to be done.
#[derive(Debug)]
pub(in crate::coap) enum CallOutput {
    /// Send a confirmable message.
    Send {
        /// For which request.
        call: CallId,
        /// To whom.
        remote: Remote,
        /// What its response will bear.
        token: Token,
        /// The request, or a part of it.
        message: Outgoing,
    },
    /// Send the request's last message no more: its response is here, or nobody waits for it.
    Forget {
        /// Which.
        call: CallId,
        /// To whom it was sent.
        remote: Remote,
    },
    /// A request is over.
    Done {
        /// Which; the name is free.
        call: CallId,
        /// What came of it.
        result: Result<Response, Failure>,
    },
}

#[derive(Debug)]
struct Entry {
    remote: Remote,
    token: Token,
    deadline: Moment,
    call: Call,
}

/// All requests of ours.
#[derive(Debug)]
pub(in crate::coap) struct Calls {
    entries: HashMap<CallId, Entry>,
    deadlines: BTreeSet<(Moment, CallId)>,
    outputs: VecDeque<CallOutput>,
    random: u64,
    next: u32,
    /// The largest body of a response, in bytes.
    most: usize,
    datagram_bytes: usize,
}

impl Calls {
    /// No requests yet. `seed` must not be guessable: tokens come from it (RFC 7252 §5.3.1).
    pub(in crate::coap) fn new(seed: u64, payload_bytes: u32, datagram_bytes: u16) -> Self {
        Self {
            entries: HashMap::new(),
            deadlines: BTreeSet::new(),
            outputs: VecDeque::new(),
            random: seed,
            next: 0,
            most: payload_bytes as usize,
            datagram_bytes: datagram_bytes.into(),
        }
    }

    /// How many are under way.
    #[cfg(test)]
    pub(in crate::coap) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Asks a peer. There is a `Done` for it by the deadline.
    pub(in crate::coap) fn start(&mut self, remote: Remote, request: Outgoing, deadline: Moment) -> CallId {
        while self.entries.contains_key(&CallId(self.next)) {
            self.next = self.next.wrapping_add(1);
        }
        let id = CallId(self.next);
        self.next = self.next.wrapping_add(1);
        let options = request.options.as_options().as_bytes().len();
        let room = self.datagram_bytes.saturating_sub(OVERHEAD + options);
        let call = Call::new(request, room, self.random() as u32);
        self.deadlines.insert((deadline, id));
        self.entries.insert(id, Entry { remote, token: Token::new(), deadline, call });
        self.send(id);
        id
    }

    /// Nobody waits for that one any more: there is no `Done`.
    pub(in crate::coap) fn cancel(&mut self, id: CallId) {
        if let Some(entry) = self.remove(id) {
            self.outputs.push_back(CallOutput::Forget { call: id, remote: entry.remote });
        }
    }

    /// Whether a response with that token is waited for from that peer (RFC 7252 §5.3.2).
    pub(in crate::coap) fn knows(&self, remote: Remote, token: &[u8]) -> bool {
        self.find(remote, token).is_some()
    }

    /// Takes a response.
    pub(in crate::coap) fn handle_response(
        &mut self,
        remote: Remote,
        token: &[u8],
        code: Code,
        options: Options<'_>,
        payload: &[u8],
    ) {
        let Some(id) = self.find(remote, token) else { return };
        let most = self.most;
        let Some(entry) = self.entries.get_mut(&id) else { return };
        self.outputs.push_back(CallOutput::Forget { call: id, remote });
        // A critical option that is not understood makes a response worthless (RFC 7252 §5.4.1).
        let step = match options.unknown_critical() {
            Some(_) => Step::Failed(Failure::Nonsense("it has a critical option that is not known")),
            None => entry.call.respond(code, options, payload, most),
        };
        match step {
            Step::Again => self.send(id),
            Step::Done(response) => self.done(id, Ok(response)),
            Step::Failed(failure) => self.done(id, Err(failure)),
        }
    }

    /// What was sent last for a request is given up, or was rejected.
    pub(in crate::coap) fn handle_failure(&mut self, id: CallId, failure: Failure) {
        self.done(id, Err(failure));
    }

    /// Ends requests whose deadline has come.
    pub(in crate::coap) fn handle_timeout(&mut self, now: Moment) {
        while let Some((deadline, id)) = self.deadlines.first().copied()
            && deadline <= now
        {
            if let Some(entry) = self.entries.get(&id) {
                self.outputs.push_back(CallOutput::Forget { call: id, remote: entry.remote });
            }
            self.done(id, Err(Failure::TimedOut));
        }
    }

    /// When [`Calls::handle_timeout`] is due.
    pub(in crate::coap) fn next_timeout(&self) -> Option<Moment> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// What is to be done next.
    pub(in crate::coap) fn poll_output(&mut self) -> Option<CallOutput> {
        self.outputs.pop_front()
    }

    fn find(&self, remote: Remote, token: &[u8]) -> Option<CallId> {
        let id = token.first_chunk().map(|id| CallId(u32::from_be_bytes(*id)))?;
        let entry = self.entries.get(&id)?;
        (entry.remote == remote && entry.token.as_slice() == token).then_some(id)
    }

    /// Sends what a request goes on with, under a token of its own: a late response to an earlier part has another.
    fn send(&mut self, id: CallId) {
        let random = self.random() as u32;
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.token = [id.0.to_be_bytes(), random.to_be_bytes()].concat().into();
        self.outputs.push_back(CallOutput::Send {
            call: id,
            remote: entry.remote,
            token: entry.token.clone(),
            message: entry.call.message(),
        });
    }

    fn done(&mut self, id: CallId, result: Result<Response, Failure>) {
        if self.remove(id).is_some() {
            self.outputs.push_back(CallOutput::Done { call: id, result });
        }
    }

    fn remove(&mut self, id: CallId) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        self.deadlines.remove(&(entry.deadline, id));
        Some(entry)
    }

    /// A number that cannot be guessed: SplitMix64 (Steele, Lea, Flood 2014).
    pub(in crate::coap) fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
