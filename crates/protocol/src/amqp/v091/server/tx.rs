//! Class tx: publications and acknowledgements that wait for their commit (AMQP 0-9-1 §1.9).

use super::Server;
use super::acks::Unacked;
use super::ask::{Pending, Question};
use super::failure::Failure;
use super::publish::Understood;
use crate::amqp::v091::codec::{ReplyCode, TxCommitOk};
use windrose_event::Disposition;

/// What one transaction may hold, in bytes and as many of each.
const MOST_BYTES: usize = 64 * 1024 * 1024;
const MOST: usize = 32_768;

/// What a publication is counted for besides its payload.
pub(super) const OVERHEAD: usize = 512;

/// What waits for a commit.
#[derive(Default)]
pub(super) struct Transaction {
    publications: Vec<Understood>,
    bytes: usize,
    settlements: Vec<(Vec<Unacked>, Disposition)>,
}

impl Transaction {
    pub(super) fn keep(&mut self, understood: Understood) -> Result<(), Failure> {
        self.bytes += understood.weight();
        if self.bytes > MOST_BYTES || self.publications.len() >= MOST {
            let text = format!("a transaction holds more than {MOST} publications or {MOST_BYTES} bytes");
            return Err(Failure::new(ReplyCode::PRECONDITION_FAILED, text));
        }
        self.publications.push(understood);
        Ok(())
    }

    pub(super) fn settle(&mut self, taken: Vec<Unacked>, disposition: Disposition) {
        self.settlements.push((taken, disposition));
    }
}

fn not_transactional() -> Failure {
    Failure::new(ReplyCode::PRECONDITION_FAILED, "channel is not transactional")
}

impl Server {
    pub(super) fn select_tx(&mut self, number: u16) -> Result<(), Failure> {
        let channel = self.open_one(number)?;
        if channel.confirms.is_some() {
            let text = "cannot switch from confirm to tx mode";
            return Err(Failure::new(ReplyCode::PRECONDITION_FAILED, text));
        }
        channel.tx.get_or_insert_default();
        Ok(())
    }

    /// Does what waits; whether that is all there is to wait for.
    pub(super) fn commit(&mut self, number: u16) -> Result<bool, Failure> {
        let transaction = self.open_one(number)?.tx.as_mut().ok_or_else(not_transactional)?;
        let Transaction { publications, settlements, .. } = std::mem::take(&mut **transaction);
        for (taken, disposition) in settlements {
            self.dispose(number, &taken, disposition);
        }
        self.tell_stirred();
        let mut left = 0;
        for understood in publications {
            left += self.send(number, understood, true);
        }
        if left > 0 {
            self.await_answer(number, Question::Commit { left, refused: false });
        }
        Ok(left == 0)
    }

    /// One publication of a commit is settled.
    pub(super) fn committed(&mut self, number: u16, epoch: u32, taken: bool) {
        let Some(pending) = &mut self.pending else { return };
        if pending.channel != number || pending.epoch != epoch {
            return;
        }
        let Pending { question: Question::Commit { left, refused }, .. } = &mut **pending else { return };
        *left -= 1;
        *refused |= !taken;
        if *left > 0 {
            return;
        }
        let refused = *refused;
        self.pending = None;
        if self.channel_of(number, epoch).is_none() {
            return;
        }
        if refused {
            self.method = (90, 20);
            self.raise(number, &Failure::new(ReplyCode::PRECONDITION_FAILED, "partial tx completion"));
        } else {
            self.say(number, TxCommitOk {});
        }
    }

    /// Forgets what waits: publications are not made, and what was acknowledged is unacknowledged again.
    pub(super) fn rollback(&mut self, number: u16) -> Result<(), Failure> {
        let channel = self.open_one(number)?;
        let transaction = channel.tx.as_mut().ok_or_else(not_transactional)?;
        let settlements = std::mem::take(&mut **transaction).settlements;
        let mut back: Vec<Unacked> = settlements.into_iter().flat_map(|(taken, _)| taken).collect();
        if !back.is_empty() {
            channel.outstanding += back.iter().filter(|one| one.is_consumed).count() as u32;
            back.extend(channel.unacked.drain(..).filter(|one| one.is_live));
            back.sort_unstable_by_key(|one| one.delivery);
            channel.unacked = back.into();
            channel.settled = 0;
        }
        Ok(())
    }
}
