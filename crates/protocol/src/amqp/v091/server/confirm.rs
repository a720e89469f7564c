//! Class confirm: which publications are taken, told as they are settled (RabbitMQ: publisher confirms).

use super::Server;
use super::failure::Failure;
use super::unsettled::{Entry, Returnable};
use crate::amqp::v091::codec::{
    BasicAck, BasicNack, ConfirmSelect, ConfirmSelectOk, FRAME_END, ReplyCode, body_frames, content_header,
    method_frame, raw_method,
};
use std::collections::VecDeque;
use windrose_event::{Cause, Outcome, Rejection, Tag};

/// Bytes of a confirm's frame.
const ACK_FRAME: usize = 21;

/// A channel's publications since confirm.select that are not confirmed yet.
pub(super) struct Confirms {
    /// The number of the first of them.
    first: u64,
    /// For each how many of its copies are unsettled; [`REFUSED`] is added if one was refused; [`SAID`]: it is confirmed.
    waiting: VecDeque<u16>,
}

const REFUSED: u16 = 1 << 14;
const SAID: u16 = u16::MAX;

impl Confirms {
    /// A publication of so many copies came; its number.
    pub(super) fn expect(&mut self, copies: u16) -> u64 {
        self.waiting.push_back(copies.min(REFUSED - 1));
        self.first + self.waiting.len() as u64 - 1
    }

    /// A copy is settled. `Some`: the publication is, and is taken or not; and whether all before it are confirmed, too.
    fn settle(&mut self, number: u64, taken: bool) -> Option<(bool, bool)> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let state = self.waiting.get_mut(index)?;
        if *state == SAID {
            return None;
        }
        if !taken {
            *state |= REFUSED;
        }
        *state -= 1;
        if *state & (REFUSED - 1) > 0 {
            return None;
        }
        let taken = *state & REFUSED == 0;
        *state = SAID;
        let is_first = index == 0;
        while self.waiting.front() == Some(&SAID) {
            self.waiting.pop_front();
            self.first += 1;
        }
        if self.waiting.is_empty() && self.waiting.capacity() > 256 {
            self.waiting = VecDeque::new();
        }
        Some((taken, is_first))
    }
}

impl Server {
    pub(super) fn select_confirm(&mut self, number: u16, select: ConfirmSelect) -> Result<(), Failure> {
        let channel = self.open_one(number)?;
        if channel.tx.is_some() {
            let text = "cannot switch from tx to confirm mode";
            return Err(Failure::new(ReplyCode::PRECONDITION_FAILED, text));
        }
        channel.confirms.get_or_insert_with(|| Box::new(Confirms { first: 1, waiting: VecDeque::new() }));
        // What is durable is one of the things that a confirm changes.
        channel.route = None;
        if !select.no_wait {
            self.say(number, ConfirmSelectOk {});
        }
        Ok(())
    }

    /// The engine settled a publication.
    pub(super) fn settle(&mut self, tag: Tag, outcome: &Outcome, heard: bool) {
        let Some(entry) = self.unsettled.take(tag) else { return };
        let Entry { channel: number, epoch, number: confirm, is_committed, returnable, .. } = entry;
        if self.channel_of(number, epoch).is_some() {
            if let Some(returnable) = returnable
                && !heard
                && outcome.is_accepted()
            {
                self.give_back(number, &returnable);
            }
            if let Some(failure) = exception(outcome) {
                self.method = (60, 40);
                self.raise(number, &failure);
            } else if confirm > 0 {
                self.confirm(number, confirm, outcome.is_accepted());
            }
        }
        if is_committed {
            self.committed(number, epoch, outcome.is_accepted());
        }
    }

    /// A mandatory publication that nobody wants goes back (AMQP 0-9-1 §1.8.3.9, basic.return).
    fn give_back(&mut self, number: u16, returnable: &Returnable) {
        let original = &returnable.original[..];
        let exchange = original.first().copied().map_or(0, usize::from);
        let key = original.get(1 + exchange).copied().map_or(0, usize::from);
        let Some((route, properties)) = original.split_at_checked(2 + exchange + key) else { return };
        let out = self.transmit.buffer();
        raw_method(number, out, |out| {
            out.extend_from_slice(&[0, 60, 0, 50]);
            out.extend_from_slice(&ReplyCode::NO_ROUTE.0.to_be_bytes());
            out.extend_from_slice(b"\x08NO_ROUTE");
            out.extend_from_slice(route);
        });
        content_header(number, returnable.body.len() as u64, properties, out);
        let bodies = body_frames(number, &returnable.body, self.frame_max, &mut self.transmit);
        self.count(2 + bodies);
    }

    fn confirm(&mut self, number: u16, confirm: u64, taken: bool) {
        let Some(confirms) = self.channel(number).and_then(|channel| channel.confirms.as_mut()) else {
            return;
        };
        let Some((taken, is_first)) = confirms.settle(confirm, taken) else { return };
        let last = confirms.first - 1;
        if !taken {
            self.say(number, BasicNack { delivery_tag: confirm, multiple: false, requeue: false });
            return;
        }
        // The confirm before, if it was the last that was said and waits still, is made to mean this one as well.
        if is_first && self.last_ack.0 == self.said && self.last_ack.1 == number && self.widen_last_ack(last)
        {
            return;
        }
        let delivery_tag = if is_first { last } else { confirm };
        let multiple = is_first && last > confirm;
        method_frame(&BasicAck { delivery_tag, multiple }.into(), number, self.transmit.buffer());
        self.count(1);
        self.last_ack = (self.said, number, delivery_tag);
    }

    /// Rewrites the last frame, which is a confirm, to mean everything up to `last`.
    fn widen_last_ack(&mut self, last: u64) -> bool {
        let (_, _, tag) = self.last_ack;
        let Some(frame) = self.transmit.last_unsent(ACK_FRAME) else { return false };
        let Some((place, end)) = frame.get_mut(11..).and_then(|rest| rest.split_first_chunk_mut::<8>())
        else {
            return false;
        };
        if *place != tag.to_be_bytes() || end.last() != Some(&FRAME_END) {
            return false;
        }
        *place = last.max(tag).to_be_bytes();
        if let Some(multiple) = end.first_mut() {
            *multiple = 1;
        }
        self.last_ack.2 = last.max(tag);
        true
    }
}

/// The exception that a refused publication is; what is none is refused by basic.nack.
fn exception(outcome: &Outcome) -> Option<Failure> {
    let Outcome::Rejected(Rejection { cause, detail }) = outcome else { return None };
    let code = match cause {
        Cause::NotFound => ReplyCode::NOT_FOUND,
        Cause::NotPermitted => ReplyCode::ACCESS_REFUSED,
        Cause::TooLarge => ReplyCode::CONTENT_TOO_LARGE,
        Cause::Malformed | Cause::BadAddress => ReplyCode::PRECONDITION_FAILED,
        _ => return None,
    };
    let text = detail.as_deref().unwrap_or("the publication is refused");
    Some(Failure::new(code, text))
}
