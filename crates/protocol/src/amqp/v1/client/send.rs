//! Publications to the server, and what becomes of them (part 2 §2.6.12, §2.7.5, §2.7.6; part 3 §3.4).

use super::fetch::Replies;
use super::link::{Link, Purpose};
use super::{CHANNEL, Client, State, message};
use crate::amqp::client::ClientOutput;
use crate::amqp::v1::codec::{
    Attach, DeliveryState, Detach, Disposition, ErrorInfo, Flow, FrameKind, Performative, Role,
    SenderSettleMode, Source, Target, Terminus, Transfer, condition, finish_frame, start_frame,
};
use std::collections::VecDeque;
use std::sync::Arc;
use windrose_event::{Cause, Event, Now, Outcome};

/// The most links to addresses; then the least recently used one is given up.
const MOST_SENDERS: usize = 256;

/// Room for a transfer's performative in a frame.
const TRANSFER: usize = 64;

/// A publication that is not settled.
pub(super) struct Outgoing {
    /// The caller's name for it, as long as it waits for the outcome.
    token: Option<u64>,
    handle: u32,
}

impl Client {
    pub(crate) fn publish(&mut self, now: Now, token: u64, event: Arc<Event>) {
        self.waiting.push_back((token, event));
        self.send_waiting(now);
    }

    pub(crate) fn abandon(&mut self, token: u64) {
        self.waiting.retain(|(waiting, _)| *waiting != token);
        let handles: Vec<_> = self.links.senders().collect();
        for handle in handles {
            if let Some(Link { purpose: Purpose::Send { waiting, .. }, .. }) = self.links.get_mut(handle) {
                waiting.retain(|(waiting, _)| *waiting != token);
            }
        }
        let known = |outgoing: &&mut Outgoing| outgoing.token == Some(token);
        if let Some(outgoing) = self.outgoing.iter_mut().flatten().find(known) {
            outgoing.token = None;
        }
    }

    /// What has no link yet.
    pub(crate) fn take_waiting(&mut self) -> Vec<(u64, Arc<Event>)> {
        self.waiting.drain(..).collect()
    }

    /// Finds a link for what waits, and sends what has credit.
    pub(super) fn send_waiting(&mut self, now: Now) {
        if self.state != State::Open {
            return;
        }
        let mut held = VecDeque::new();
        while let Some((token, event)) = self.waiting.pop_front() {
            if event.reply_to().is_some() && !self.hears_replies(now) {
                held.push_back((token, event));
                continue;
            }
            let address = (!self.relays).then(|| self.config.address.of(&event));
            match self.sender(now, address.as_deref()) {
                Some(handle) => {
                    if let Some(Link { purpose: Purpose::Send { waiting, .. }, .. }) =
                        self.links.get_mut(handle)
                    {
                        waiting.push_back((token, event));
                    }
                    self.send_on(now, handle);
                }
                None => self.settled(token, Outcome::Busy { retry_after: None }),
            }
        }
        self.waiting = held;
    }

    /// The link to an address, made if need be.
    fn sender(&mut self, now: Now, address: Option<&str>) -> Option<u32> {
        if let Some(handle) = self.links.sender(address) {
            return Some(handle);
        }
        let handles: Vec<_> = self.links.senders().collect();
        if handles.len() >= MOST_SENDERS {
            let in_use =
                |handle: u32| self.outgoing.iter().flatten().any(|outgoing| outgoing.handle == handle);
            let idle = handles.into_iter().find(|handle| {
                let waits = matches!(
                    self.links.get_mut(*handle),
                    Some(Link { purpose: Purpose::Send { waiting, .. }, .. }) if !waiting.is_empty()
                );
                !waits && !in_use(*handle)
            })?;
            self.detach(now, idle);
        }
        if self.links.len() > self.handle_max as usize {
            return None;
        }
        let purpose = Purpose::Send { address: address.map(str::to_owned), waiting: VecDeque::new() };
        let (handle, link) = self.links.open(&self.config.name, purpose);
        let name = link.name.clone();
        let attach = Attach {
            name: &name,
            handle,
            role: Role::Sender,
            snd_settle_mode: SenderSettleMode::Unsettled,
            source: Some(Source { address: Some(&name), ..Source::default() }),
            target: Some(Terminus::Target(Target { address, ..Target::default() })),
            initial_delivery_count: Some(0),
            ..Attach::default()
        };
        self.say(now, &Performative::Attach(attach));
        Some(handle)
    }

    /// Gives a link up.
    pub(super) fn detach(&mut self, now: Now, handle: u32) {
        self.links.remove(handle);
        self.say(now, &Performative::Detach(Detach { handle, closed: true, error: None }));
    }

    /// Sends what waits for a link's credit, as far as link and session let it.
    pub(super) fn send_on(&mut self, now: Now, handle: u32) {
        while self.window > 0
            && let Some(link) = self.links.get_mut(handle)
            && link.attached
            && link.credit > 0
            && let Purpose::Send { waiting, .. } = &mut link.purpose
            && let Some((token, event)) = waiting.pop_front()
        {
            if event.is_expired(now.wall) {
                self.settled(token, Outcome::rejected(Cause::Expired));
                continue;
            }
            link.credit -= 1;
            link.count = link.count.wrapping_add(1);
            self.transfer(now, handle, token, &event);
        }
    }

    fn transfer(&mut self, now: Now, handle: u32, token: u64, event: &Event) {
        let config = self.config.clone();
        let reply_to = match &self.replies {
            Replies::At(address) if event.reply_to().is_some() => Some(address.as_str()),
            _ => None,
        };
        let to = config.address.of(event);
        let content = message::write(event, now, &to, reply_to.map(|address| (address, token)), &config.via);
        let delivery_id = self.first.wrapping_add(self.outgoing.len() as u32);
        let tag = delivery_id.to_be_bytes();
        let room = (self.frame_max as usize).saturating_sub(TRANSFER).max(1);
        let mut parts = content.chunks(room).peekable();
        while let Some(part) = parts.next() {
            let transfer = Transfer {
                handle,
                delivery_id: Some(delivery_id),
                delivery_tag: Some(&tag),
                message_format: Some(0),
                settled: Some(false),
                more: parts.peek().is_some(),
                ..Transfer::default()
            };
            let out = self.transmit.buffer();
            let start = start_frame(out, FrameKind::Amqp, CHANNEL);
            transfer.write(out);
            out.extend_from_slice(part);
            finish_frame(out, start, 0);
            self.next_outgoing = self.next_outgoing.wrapping_add(1);
            // A message that was begun is sent to its end: servers with windows smaller than that are none.
            self.window = self.window.saturating_sub(1);
        }
        self.last_said = now.moment;
        self.outgoing.push_back(Some(Outgoing { token: Some(token), handle }));
    }

    /// The server has taken transfers, and gives credit (part 2 §2.6.7).
    pub(super) fn flow(&mut self, now: Now, flow: &Flow<'_>) {
        let expected = flow.next_incoming_id.unwrap_or(0);
        self.window = expected.wrapping_add(flow.incoming_window).wrapping_sub(self.next_outgoing);
        if self.window > u32::MAX / 2 {
            // More is on its way than it takes.
            self.window = 0;
        }
        let handle = flow.handle.and_then(|theirs| self.links.ours(theirs));
        if let Some(handle) = handle
            && let Some(link) = self.links.get_mut(handle)
            && matches!(link.purpose, Purpose::Send { .. })
            && let Some(credit) = flow.link_credit
        {
            let since = link.count.wrapping_sub(flow.delivery_count.unwrap_or(0));
            link.credit = credit.saturating_sub(since);
            self.send_on(now, handle);
            if flow.drain {
                self.drain(now, handle);
            }
        } else {
            let handles: Vec<_> = self.links.senders().collect();
            handles.into_iter().for_each(|handle| self.send_on(now, handle));
        }
        if flow.echo {
            let flow = self.session_flow();
            self.say(now, &Performative::Flow(flow));
        }
    }

    /// Gives back credit that nothing waits for.
    fn drain(&mut self, now: Now, handle: u32) {
        let Some(link) = self.links.get_mut(handle) else { return };
        link.count = link.count.wrapping_add(std::mem::take(&mut link.credit));
        let delivery_count = Some(link.count);
        let flow = Flow {
            handle: Some(handle),
            delivery_count,
            link_credit: Some(0),
            drain: true,
            ..self.session_flow()
        };
        self.say(now, &Performative::Flow(flow));
    }

    /// What has become of publications.
    pub(super) fn disposed(&mut self, now: Now, disposition: &Disposition<'_>) {
        if disposition.role != Role::Receiver {
            return;
        }
        let outcome = match &disposition.state {
            Some(state) if state.is_terminal() => outcome_of(state),
            _ if disposition.settled => Outcome::unavailable(),
            _ => return,
        };
        let last = disposition.last.unwrap_or(disposition.first);
        let place = |id: u32| i64::from(id.wrapping_sub(self.first) as i32);
        let (from, to) = (place(disposition.first).max(0), place(last).min(self.outgoing.len() as i64 - 1));
        for place in from..=to {
            let taken = usize::try_from(place).ok().and_then(|place| self.outgoing.get_mut(place));
            if let Some(Outgoing { token: Some(token), .. }) = taken.and_then(Option::take) {
                self.settled(token, outcome.clone());
            }
        }
        while let Some(None) = self.outgoing.front() {
            self.outgoing.pop_front();
            self.first = self.first.wrapping_add(1);
        }
        if !disposition.settled {
            let Disposition { first, last, .. } = *disposition;
            let state = Some(DeliveryState::Accepted);
            let settled =
                Disposition { role: Role::Sender, first, last, settled: true, state, batchable: false };
            self.say(now, &Performative::Disposition(settled));
        }
    }

    /// A link to an address is gone, or was never let in: what it had goes back to the caller.
    pub(super) fn sender_ended(
        &mut self,
        handle: u32,
        waiting: VecDeque<(u64, Arc<Event>)>,
        error: Option<&ErrorInfo<'_>>,
    ) {
        let refused = error.is_some_and(|error| {
            matches!(error.condition, condition::UNAUTHORIZED_ACCESS | condition::NOT_ALLOWED)
        });
        let outcome = match error {
            Some(error) if refused => rejected(Some(error)),
            _ => Outcome::unavailable(),
        };
        let mut tokens: Vec<_> = waiting.into_iter().map(|(token, _)| token).collect();
        for slot in &mut self.outgoing {
            if let Some(outgoing) = slot.take_if(|outgoing| outgoing.handle == handle) {
                tokens.extend(outgoing.token);
            }
        }
        for token in tokens {
            self.settled(token, outcome.clone());
        }
    }

    /// The transport is gone: what is not settled may or may not have arrived, and another server may take it.
    pub(super) fn give_back(&mut self) {
        let mut tokens: Vec<_> = self.outgoing.drain(..).flatten().filter_map(|out| out.token).collect();
        for link in self.links.take() {
            if let Purpose::Send { waiting, .. } = link.purpose {
                tokens.extend(waiting.into_iter().map(|(token, _)| token));
            }
        }
        tokens.extend(self.waiting.drain(..).map(|(token, _)| token));
        for token in tokens {
            self.settled(token, Outcome::unavailable());
        }
    }

    pub(super) fn settled(&mut self, token: u64, outcome: Outcome) {
        self.put(ClientOutput::Settled { token, outcome });
    }
}

/// What a terminal state means for the sender.
fn outcome_of(state: &DeliveryState<'_>) -> Outcome {
    match state {
        DeliveryState::Accepted => Outcome::Accepted,
        DeliveryState::Rejected(error) => rejected(error.as_ref()),
        DeliveryState::Modified { delivery_failed: true, undeliverable_here: false, .. } => Outcome::TimedOut,
        _ => Outcome::unavailable(),
    }
}

fn rejected(error: Option<&ErrorInfo<'_>>) -> Outcome {
    match error {
        Some(error) => {
            let description = error.description.unwrap_or_default();
            Outcome::rejected_because(Cause::ByService, format!("{}: {description}", error.condition))
        }
        None => Outcome::rejected(Cause::ByService),
    }
}
