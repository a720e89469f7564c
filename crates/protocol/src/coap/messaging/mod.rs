//! The message layer of datagrams (RFC 7252 §4), of all endpoints of one socket, both as server and as client.
//!
//! It sees that a message is taken once, that a confirmable one is acknowledged or reset, and that one of ours is sent until it
//! is acknowledged. What requests and responses mean is not its business: it hands them up with a number to answer by.

mod asks;
mod chance;
mod exchanges;
mod peers;
mod receive;
#[cfg(test)]
mod tests;

use super::codec::{Code, Kind, Message, option};
use super::{Counts, Datagrams, Mishap, Remote, Response, ServerConfig, Sources, Token};
use asks::{Ask, Asks};
use chance::EndpointHash;
pub(super) use chance::{Chance, Key};
use exchanges::{Answer, Exchanges};
use peers::{Due, Outgoing, Peers};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{Moment, Now};

/// EXCHANGE_LIFETIME less NON_LIFETIME (RFC 7252 §4.8.2).
const NON_LIFETIME_LESS: Duration = Duration::from_secs(102);

/// How large answers to messages that may have an effect may be in all, while they are kept for repetitions.
const ANSWER_BYTES: usize = 64 << 20;

/// What the layer is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// The one address that the socket has, if it has one.
    pub(super) address: Option<IpAddr>,
    /// The longest token that is taken (RFC 8974).
    pub(super) token_bytes: u16,
    /// How many exchanges are remembered.
    pub(super) exchanges: u32,
    /// How long (RFC 7252 §4.8.2, EXCHANGE_LIFETIME).
    pub(super) exchange_lifetime: Duration,
    /// How many confirmable messages may be under way to one endpoint (RFC 7252 §4.7).
    pub(super) nstart: usize,
    /// How many may wait for their turn.
    pub(super) waiting: usize,
}

impl From<&ServerConfig> for Settings {
    fn from(config: &ServerConfig) -> Self {
        Self {
            address: config.address,
            token_bytes: config.token_bytes,
            exchanges: config.exchanges,
            exchange_lifetime: config.exchange_lifetime,
            nstart: 1,
            waiting: 256,
        }
    }
}

/// What came. `T` is what those above gave along with a message of ours.
#[derive(Debug)]
pub(super) enum Received<'a, T> {
    /// Nothing that those above should know.
    Nothing,
    /// A request, for the first time. One of [`Messaging::respond`], [`Messaging::acknowledge`] and [`Messaging::reject`] must
    /// follow, at once or later.
    Request {
        /// The number to answer by.
        ask: u32,
        /// It.
        message: Message<'a>,
    },
    /// A response, for the first time.
    Response {
        /// The number by which it must be acknowledged or rejected, as its token is known or not; `None`: there is no need.
        ask: Option<u32>,
        /// What was given along with the message that it acknowledges, if it does.
        about: Option<T>,
        /// It.
        message: Message<'a>,
    },
    /// A message of ours was acknowledged, and nothing else.
    Acknowledged(T),
    /// A message of ours was reset.
    Reset(T),
    /// Something that should not have come; it is counted and dealt with.
    Mishap(Mishap, &'static str),
}

/// A confirmable message was sent as often as it may be, and never acknowledged (RFC 7252 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimedOut<T> {
    /// To whom.
    pub(super) remote: Remote,
    /// What was given along with it.
    pub(super) about: T,
}

/// Too many messages wait for an endpoint already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// The message layer.
#[derive(Debug)]
pub(super) struct Messaging<T> {
    address: Option<IpAddr>,
    token_bytes: u16,
    chance: Chance,
    key: Key,
    confirmable: Exchanges,
    non_confirmable: Exchanges,
    asks: Asks,
    peers: Peers<T>,
    sources: Arc<Sources>,
    datagrams: Datagrams,
    /// What was given up, until it is told.
    timed_out: VecDeque<TimedOut<T>>,
    counts: Counts,
}

impl<T: Copy> Messaging<T> {
    pub(super) fn new(settings: Settings, sources: Arc<Sources>, seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let key = Key::new(&mut chance);
        let exchanges = |lifetime| Exchanges::new(lifetime, settings.exchanges as usize, ANSWER_BYTES);
        Self {
            address: settings.address,
            token_bytes: settings.token_bytes,
            chance,
            key,
            confirmable: exchanges(settings.exchange_lifetime),
            non_confirmable: exchanges(settings.exchange_lifetime.saturating_sub(NON_LIFETIME_LESS)),
            asks: Asks::default(),
            peers: Peers::new(settings.nstart, settings.waiting),
            sources,
            datagrams: Datagrams::default(),
            timed_out: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// The settings have changed: what is known stays, as far as there is room for it.
    pub(super) fn apply(&mut self, settings: Settings) {
        self.address = settings.address;
        self.token_bytes = settings.token_bytes;
        self.confirmable.apply(settings.exchange_lifetime, settings.exchanges as usize);
        let lifetime = settings.exchange_lifetime.saturating_sub(NON_LIFETIME_LESS);
        self.non_confirmable.apply(lifetime, settings.exchanges as usize);
    }

    /// What waits to be sent.
    pub(super) const fn datagrams(&mut self) -> &mut Datagrams {
        &mut self.datagrams
    }

    /// What was counted.
    pub(super) fn counts(&self) -> Counts {
        let forgotten = self.confirmable.forgotten() + self.non_confirmable.forgotten();
        Counts { forgotten, ..self.counts.clone() }
    }

    /// Counts a mishap that those above found.
    pub(super) fn note(&mut self, mishap: Mishap) {
        self.counts.note(mishap);
    }

    /// What is remembered: exchanges, messages that wait for an answer, endpoints to which something is under way.
    pub(super) fn held(&self) -> [usize; 3] {
        [self.confirmable.len() + self.non_confirmable.len(), self.asks.len(), self.peers.len()]
    }

    /// How many bytes a response may have for its source to get it now. What the request itself is good for is known at once;
    /// whether it is good for more is asked only if that is not `enough`.
    pub(super) fn credit(&self, now: Now, number: u32, enough: usize) -> usize {
        let Some(ask) = self.asks.get(number) else { return 0 };
        let own = Sources::worth(ask.unbanked as usize);
        if own >= enough {
            return own;
        }
        match self.unproven(&ask.remote) {
            Some(source) => self.sources.credit(now.moment, source).saturating_add(own),
            None => usize::MAX,
        }
    }

    /// Its source will be sent more than one answer.
    pub(super) fn expect_more(&mut self, now: Now, number: u32) {
        if let Some(ask) = self.asks.get_mut(number) {
            let (remote, length) = (ask.remote, std::mem::take(&mut ask.unbanked));
            self.bank(now, &remote, length as usize);
        }
    }

    #[cfg(test)]
    fn source_credit(&self, now: Now, remote: &Remote) -> usize {
        self.unproven(remote).map_or(usize::MAX, |source| self.sources.credit(now.moment, source))
    }

    /// A source has shown that it receives what we send, if this Echo value is ours (RFC 9175 §2.3).
    pub(super) fn handle_echo(&mut self, now: Now, remote: &Remote, echo: &[u8]) {
        if let Some(source) = self.unproven(remote)
            && self.sources.verify(now.moment, source, echo)
        {
            self.sources.show(now.moment, source);
        }
    }

    /// Answers: in the acknowledgement, if that was not sent yet; otherwise by a message of its own (RFC 7252 §5.2).
    pub(super) fn respond(&mut self, now: Now, number: u32, response: Response) {
        let Some(mut ask) = self.asks.take(number) else { return };
        if ask.confirmable && !ask.acknowledged {
            let answer = self.respond_at_once(now, &mut ask, &response);
            self.confirmable.set_answer(ask.position, answer);
            return;
        }
        let id = self.peers.next_id(&mut self.chance, ask.endpoint);
        let kind = if ask.confirmable { Kind::Con } else { Kind::Non };
        let message = Outgoing { kind, id, token: ask.token.clone(), content: response, about: None };
        if ask.confirmable {
            self.bank_for(now, &mut ask);
            // Its endpoint has too much to fetch already if this fails: the response is lost, as by a time-out.
            let _ = self.peers.enqueue(now.moment, ask.remote, ask.endpoint, message);
            self.send_next(now, ask.endpoint, &ask.remote);
            return;
        }
        self.datagrams.push(ask.remote, |out| message.encode(out));
        if !self.pay_for(now, &mut ask) {
            self.datagrams.retract();
            self.withhold(now, &ask, kind, id);
        }
        self.non_confirmable.set_answer(ask.position, Answer::of(&[]));
    }

    /// Answers in the acknowledgement. What a repetition is to be answered with.
    fn respond_at_once(&mut self, now: Now, ask: &mut Ask, response: &Response) -> Answer {
        let message = Message {
            kind: Kind::Ack,
            code: response.code,
            id: ask.id,
            token: &ask.token,
            options: response.options.as_options(),
            payload: &response.payload,
        };
        self.datagrams.push(ask.remote, |out| message.encode(out));
        let bytes = self.datagrams.last();
        let is_afresh = ask.safe && !Answer::is_short(bytes.len());
        let answer = if is_afresh { Answer::Afresh } else { Answer::of(bytes) };
        if self.pay_for(now, ask) {
            return answer;
        }
        self.datagrams.retract();
        match self.withhold(now, ask, Kind::Ack, ask.id) {
            true => Answer::of(self.datagrams.last()),
            // A repetition brings credit of its own.
            false => answer,
        }
    }

    fn is_unshown(&self, now: Now, remote: &Remote) -> bool {
        self.unproven(remote).is_some_and(|source| !self.sources.is_shown(now.moment, source))
    }

    /// There is nothing to answer: a confirmable message is acknowledged, if it was not yet.
    pub(super) fn acknowledge(&mut self, now: Now, number: u32) {
        self.settle_silently(now, number, Kind::Ack);
    }

    /// It cannot be processed: a confirmable message is reset (RFC 7252 §4.2), another is ignored (RFC 7252 §4.3).
    pub(super) fn reject(&mut self, now: Now, number: u32) {
        self.settle_silently(now, number, Kind::Rst);
    }

    fn settle_silently(&mut self, now: Now, number: u32, kind: Kind) {
        let Some(mut ask) = self.asks.take(number) else { return };
        self.bank_for(now, &mut ask);
        match ask.confirmable {
            true if ask.acknowledged => {}
            true => {
                self.send_empty(now, ask.remote, kind, ask.id);
                self.confirmable.set_answer(ask.position, Answer::of(&empty(kind, ask.id)));
            }
            false => self.non_confirmable.set_answer(ask.position, Answer::of(&[])),
        }
    }

    /// Sends a message of ours: a request, a notification. What it is about is told if it is reset, and of a confirmable one if
    /// it is acknowledged, or given up.
    ///
    /// # Errors
    /// Too many confirmable messages wait for that endpoint already.
    pub(super) fn send(
        &mut self,
        now: Now,
        remote: Remote,
        confirmable: bool,
        token: Token,
        content: Response,
        about: Option<T>,
    ) -> Result<(), Full> {
        let endpoint = self.key.hash(&remote);
        let id = self.peers.next_id(&mut self.chance, endpoint);
        // Who acknowledges it has shown itself.
        let confirmable = confirmable || self.is_unshown(now, &remote);
        let kind = if confirmable { Kind::Con } else { Kind::Non };
        let message = Outgoing { kind, id, token, content, about };
        if confirmable {
            self.peers.enqueue(now.moment, remote, endpoint, message).map_err(|_| Full)?;
            self.send_next(now, endpoint, &remote);
            return Ok(());
        }
        self.datagrams.push(remote, |out| message.encode(out));
        if !self.pay(now, &remote) {
            self.datagrams.retract();
            self.counts.withheld += 1;
        } else if let Some(about) = about {
            self.peers.remember(now.moment, remote, endpoint, id, about);
        }
        Ok(())
    }

    /// Does not send messages any more that are about something.
    pub(super) fn forget(&mut self, now: Now, remote: &Remote, is_it: impl Fn(T) -> bool) {
        let endpoint = self.key.hash(remote);
        self.peers.forget(now.moment, endpoint, remote, is_it);
        self.send_next(now, endpoint, remote);
    }

    /// Does not send an endpoint anything any more.
    pub(super) fn forget_endpoint(&mut self, remote: &Remote) {
        self.peers.forget_endpoint(self.key.hash(remote), remote);
    }

    /// Time has passed: call it until it has nothing to tell.
    pub(super) fn poll_timeout(&mut self, now: Now) -> Option<TimedOut<T>> {
        while let Some(ask) = self.asks.poll_silent(now.moment) {
            let (remote, id, position) = (ask.remote, ask.id, ask.position);
            let length = std::mem::take(&mut ask.unbanked);
            self.bank(now, &remote, length as usize);
            self.send_empty(now, remote, Kind::Ack, id);
            self.confirmable.set_answer(position, Answer::of(&empty(Kind::Ack, id)));
        }
        loop {
            let (remote, endpoint, about) = match self.peers.poll_due(now.moment) {
                None => break,
                Some(Due::GivenUp(remote, endpoint, about)) => (remote, endpoint, about),
                Some(Due::Again(remote, message)) => {
                    self.datagrams.push(remote, |out| message.encode(out));
                    self.counts.retransmissions += 1;
                    self.pay_or_retract(now, &remote);
                    continue;
                }
            };
            self.counts.timeouts += 1;
            self.timed_out.extend(about.map(|about| TimedOut { remote, about }));
            for message in self.peers.give_up_waiting(endpoint, &remote) {
                self.timed_out.extend(message.about.map(|about| TimedOut { remote, about }));
            }
            self.send_next(now, endpoint, &remote);
        }
        self.confirmable.expire(now.moment);
        self.non_confirmable.expire(now.moment);
        self.peers.expire(now.moment);
        self.timed_out.pop_front()
    }

    /// When [`Messaging::poll_timeout`] has something to do.
    pub(super) fn next_timeout(&self) -> Option<Moment> {
        [
            self.asks.next_timeout(),
            self.peers.next_timeout(),
            self.confirmable.next_timeout(),
            self.non_confirmable.next_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Sends what waits for an endpoint, as far as it is its turn.
    fn send_next(&mut self, now: Now, endpoint: EndpointHash, remote: &Remote) {
        while let Some(message) = self.peers.next_to_send(now.moment, &mut self.chance, endpoint, remote) {
            self.datagrams.push(*remote, |out| message.encode(out));
            self.pay_or_retract(now, remote);
        }
    }

    fn send_empty(&mut self, now: Now, remote: Remote, kind: Kind, id: u16) {
        self.datagrams.push(remote, |out| out.extend_from_slice(&empty(kind, id)));
        self.pay_or_retract(now, &remote);
    }

    /// In the place of a response that is more than its source may be sent: a small one by which it can show itself
    /// (RFC 9175 §2.4), or nothing. Whether it is sent.
    fn withhold(&mut self, now: Now, ask: &Ask, kind: Kind, id: u16) -> bool {
        self.counts.withheld += 1;
        let Some(source) = self.unproven(&ask.remote) else { return false };
        let echo = self.sources.echo(now.moment, source);
        let response = Response::new(Code::UNAUTHORIZED).with(option::ECHO, &echo);
        let message = Outgoing::<T> { kind, id, token: ask.token.clone(), content: response, about: None };
        self.datagrams.push(ask.remote, |out| message.encode(out));
        self.pay_or_retract(now, &ask.remote)
    }

    /// The source that what is sent to it may flood, as long as it has not shown that it wants it: anybody may have forged its
    /// address. Nobody outside can forge our own.
    fn unproven(&self, remote: &Remote) -> Option<IpAddr> {
        match remote {
            Remote::Udp { peer, local } if local.or(self.address) != Some(peer.ip()) => Some(peer.ip()),
            _ => None,
        }
    }

    /// A source gets credit for what came from it.
    fn bank(&mut self, now: Now, remote: &Remote, length: usize) {
        if let Some(source) = self.unproven(remote) {
            self.sources.received(now.moment, source, length);
        }
    }

    fn bank_for(&mut self, now: Now, ask: &mut Ask) {
        let length = std::mem::take(&mut ask.unbanked) as usize;
        if length > 0 {
            self.bank(now, &ask.remote, length);
        }
    }

    /// Counts the last datagram as sent, if its source may be sent so much: at once if what it answers is good for that alone.
    fn pay_for(&mut self, now: Now, ask: &mut Ask) -> bool {
        if self.datagrams.last().len() <= Sources::worth(ask.unbanked as usize) {
            self.counts.sent += 1;
            return true;
        }
        self.bank_for(now, ask);
        self.pay(now, &ask.remote)
    }

    /// Counts the last datagram as sent, if its source may be sent so much.
    fn pay(&mut self, now: Now, remote: &Remote) -> bool {
        let is_paid = match self.unproven(remote) {
            Some(source) => self.sources.spend(now.moment, source, self.datagrams.last().len()),
            None => true,
        };
        self.counts.sent += u64::from(is_paid);
        is_paid
    }

    fn pay_or_retract(&mut self, now: Now, remote: &Remote) -> bool {
        let is_paid = self.pay(now, remote);
        if !is_paid {
            self.datagrams.retract();
            self.counts.withheld += 1;
        }
        is_paid
    }
}

/// An empty message's bytes (RFC 7252 §4.1).
const fn empty(kind: Kind, id: u16) -> [u8; 4] {
    let [high, low] = id.to_be_bytes();
    [0x40 | (kind as u8) << 4, 0, high, low]
}
