//! What a datagram comes to.

use super::asks::Ask;
use super::exchanges::{Answer, Exchanges};
use super::{Messaging, Received};
use crate::coap::codec::{Code, Kind, Message, MessageError};
use crate::coap::{Mishap, Remote, Token};
use windrose_event::Now;

impl<T: Copy> Messaging<T> {
    /// Takes a datagram.
    pub(in crate::coap) fn receive<'a>(
        &mut self,
        now: Now,
        remote: Remote,
        bytes: &'a [u8],
    ) -> Received<'a, T> {
        self.counts.received += 1;
        let message = match Message::parse(bytes, self.token_bytes) {
            Ok(message) => message,
            Err(error) => {
                self.bank(now, &remote, bytes.len());
                return self.receive_malformed(now, remote, error);
            }
        };
        if matches!(message.kind, Kind::Con | Kind::Non)
            && (message.code.is_request() || message.code.is_response())
        {
            return self.receive_message(now, remote, message, bytes.len());
        }
        self.bank(now, &remote, bytes.len());
        match message.kind {
            Kind::Con => {
                // An empty one is a ping (RFC 7252 §4.3), and no mishap.
                self.send_empty(now, remote, Kind::Rst, message.id);
                match message.code {
                    Code::EMPTY => Received::Nothing,
                    _ => self.mishap(Mishap::Code, "a confirmable message has a code of a reserved class"),
                }
            }
            Kind::Non => self
                .mishap(Mishap::Code, "a non-confirmable message is empty or has a code of a reserved class"),
            Kind::Ack => self.receive_acknowledgement(now, remote, message),
            Kind::Rst => self.receive_reset(now, remote, message),
        }
    }

    fn mishap<'a>(&mut self, mishap: Mishap, detail: &'static str) -> Received<'a, T> {
        self.counts.note(mishap);
        Received::Mishap(mishap, detail)
    }

    fn receive_malformed<'a>(&mut self, now: Now, remote: Remote, error: MessageError) -> Received<'a, T> {
        match error {
            MessageError::Version => self.mishap(Mishap::Version, "the version is not 1"),
            MessageError::TooShort => self.mishap(Mishap::Malformed, "it is shorter than a header"),
            MessageError::Malformed(header, problem) => {
                if header.kind == Kind::Con {
                    self.send_empty(now, remote, Kind::Rst, header.id);
                }
                self.mishap(Mishap::Malformed, problem.describe())
            }
        }
    }

    /// A request or a response in a message of its own.
    fn receive_message<'a>(
        &mut self,
        now: Now,
        remote: Remote,
        message: Message<'a>,
        length: usize,
    ) -> Received<'a, T> {
        let endpoint = self.key.hash(&remote);
        let confirmable = message.kind == Kind::Con;
        let exchanges = if confirmable { &mut self.confirmable } else { &mut self.non_confirmable };
        let known = exchanges.find(now.moment, endpoint, message.id);
        if let Some(position) = known {
            self.counts.duplicates += 1;
            self.bank(now, &remote, length);
            let exchanges = if confirmable { &self.confirmable } else { &self.non_confirmable };
            match exchanges.answer(position) {
                Some(Answer::Afresh) => {}
                Some(Answer::Awaited(number)) => {
                    if let Some(ask) = self.asks.get(*number)
                        && ask.acknowledged
                    {
                        self.send_empty(now, remote, Kind::Ack, message.id);
                    }
                    return Received::Nothing;
                }
                answer => {
                    let bytes = answer.map(Answer::bytes).unwrap_or_default();
                    if !bytes.is_empty() {
                        self.datagrams.push(remote, |out| out.extend_from_slice(bytes));
                        self.pay_or_retract(now, &remote);
                    }
                    return Received::Nothing;
                }
            }
        }
        let is_request = message.code.is_request();
        // Nobody waits for the answer to a response that needs none.
        let is_asked = confirmable || is_request;
        // What a POST is good for is most often not needed: its answer is short. Others may be followed by more than one.
        let is_spared = known.is_none() && message.code == Code::POST;
        if known.is_none() && !is_spared {
            self.bank(now, &remote, length);
        }
        let answer = if is_asked { Answer::Awaited(self.asks.next_number()) } else { Answer::of(&[]) };
        let exchanges: &mut Exchanges =
            if confirmable { &mut self.confirmable } else { &mut self.non_confirmable };
        let position = match known {
            Some(position) => {
                exchanges.set_answer(position, answer);
                position
            }
            None => exchanges.insert(now.moment, endpoint, message.id, answer),
        };
        let mut ask = || {
            let ask = Ask {
                remote,
                endpoint,
                token: Token::from_slice(message.token),
                id: message.id,
                confirmable,
                unbanked: if is_spared { length as u32 } else { 0 },
                acknowledged: false,
                safe: message.code == Code::GET,
                position,
            };
            self.asks.insert(now.moment, ask)
        };
        match is_request {
            true => {
                let ask = ask();
                self.counts.requests += 1;
                Received::Request { ask, message }
            }
            false => Received::Response { ask: is_asked.then(ask), about: None, message },
        }
    }

    /// RFC 7252 §4.2: it ends the repetition of our message, whatever else it brings.
    fn receive_acknowledgement<'a>(
        &mut self,
        now: Now,
        remote: Remote,
        message: Message<'a>,
    ) -> Received<'a, T> {
        if message.code != Code::EMPTY && !message.code.is_response() {
            return self.mishap(Mishap::Code, "an acknowledgement brings neither nothing nor a response");
        }
        let endpoint = self.key.hash(&remote);
        let Some(about) = self.peers.settle(now.moment, endpoint, &remote, message.id) else {
            return self.mishap(
                Mishap::Unmatched,
                "an acknowledgement of what was not sent, or was acknowledged before",
            );
        };
        self.show(now, &remote);
        self.send_next(now, endpoint, &remote);
        match about {
            _ if message.code != Code::EMPTY => Received::Response { ask: None, about, message },
            Some(about) => Received::Acknowledged(about),
            None => Received::Nothing,
        }
    }

    /// RFC 7252 §4.2, §4.3. One that is not empty is ignored.
    fn receive_reset<'a>(&mut self, now: Now, remote: Remote, message: Message<'a>) -> Received<'a, T> {
        if message.code != Code::EMPTY {
            return self.mishap(Mishap::Code, "a reset is not empty");
        }
        let endpoint = self.key.hash(&remote);
        if let Some(about) = self.peers.settle(now.moment, endpoint, &remote, message.id) {
            self.show(now, &remote);
            self.send_next(now, endpoint, &remote);
            return about.map_or(Received::Nothing, Received::Reset);
        }
        match self.peers.reset_recent(endpoint, &remote, message.id) {
            Some(about) => Received::Reset(about),
            None => {
                self.mishap(Mishap::Unmatched, "a reset of what was not sent, or was acknowledged before")
            }
        }
    }

    /// It has answered something of ours: it receives what is sent to its address.
    fn show(&self, now: Now, remote: &Remote) {
        if let Some(source) = self.unproven(remote) {
            self.sources.show(now.moment, source);
        }
    }
}
