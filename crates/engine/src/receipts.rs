//! Receipts: what we owe the senders of events.

use crate::counts::ListenerIndex;
use crate::io::ShardId;
use crate::sessions::{SessionKey, Ticket};
use slab::Slab;
use smallvec::SmallVec;
use std::sync::Arc;
use windrose_event::{ConnectionId, Moment, Outcome, Tag};
use windrose_policy::Promise;

/// Who is to be told what became of an event.
#[derive(Debug)]
pub(crate) enum Debtor {
    /// Nobody: a will.
    Nobody,
    /// The connection that it came by, while it lasts.
    Connection { connection: ConnectionId, tag: Tag },
    /// The session, by whichever connection it then has: exactly once.
    Session { session: SessionKey, connection: ConnectionId, tag: Tag, ticket: Ticket },
    /// A session that was handed to another shard since.
    Elsewhere { shard: ShardId, session: Arc<str>, tag: Tag, ticket: Ticket },
    /// An exchange that waits for a reply, which is told only if none can come.
    Request { connection: ConnectionId, tag: Tag, token: u128 },
}

/// Our debt to the sender of one event. It cannot be copied and must be settled: dropping one unsettled is a bug.
#[derive(Debug)]
#[must_use = "a receipt must be settled"]
pub(crate) struct Receipt {
    pub(crate) debtor: Debtor,
    pub(crate) listener: ListenerIndex,
    pub(crate) received: Moment,
    pub(crate) promise: Promise,
    pub(crate) heard: bool,
    worst: Outcome,
    outstanding: u32,
    settled: bool,
}

impl Receipt {
    /// Takes the answer; the debt is paid by telling it to the debtor.
    pub(crate) fn settle(mut self) -> (Debtor, Outcome) {
        self.settled = true;
        let debtor = std::mem::replace(&mut self.debtor, Debtor::Nobody);
        (debtor, std::mem::replace(&mut self.worst, Outcome::Accepted))
    }

    /// Whether the event is told apart from its repetitions: it was sent exactly once.
    pub(crate) fn is_told_apart(&self) -> bool {
        matches!(self.debtor, Debtor::Session { .. })
    }

    /// Whether nobody hears what becomes of the event.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self.debtor, Debtor::Nobody | Debtor::Connection { tag: Tag::NONE, .. })
    }

    /// Notes what one target said; the worst wins.
    pub(crate) fn note(&mut self, outcome: Outcome) {
        let worst = std::mem::replace(&mut self.worst, Outcome::Accepted);
        self.worst = worst.worst(outcome);
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        debug_assert!(
            self.settled || std::thread::panicking(),
            "a receipt was dropped unsettled: {:?}",
            self.debtor
        );
    }
}

/// One target's share in a receipt. Not `Clone`: each target settles once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ReceiptId(usize);

impl ReceiptId {
    /// The share as a number, by which another shard says what becomes of it.
    pub(crate) fn into_number(self) -> u64 {
        self.0 as u64
    }

    /// The share that was given away as a number. Each is answered once.
    pub(crate) fn from_number(number: u64) -> Self {
        Self(usize::try_from(number).unwrap_or(usize::MAX))
    }
}

/// All receipts that wait for targets.
#[derive(Debug, Default)]
pub(crate) struct Receipts {
    waiting: Slab<Receipt>,
    issued: u64,
    settled: u64,
}

impl Receipts {
    /// A new debt.
    pub(crate) fn issue(&mut self, debtor: Debtor, listener: ListenerIndex, received: Moment) -> Receipt {
        self.issued += 1;
        Receipt {
            debtor,
            listener,
            received,
            promise: Promise::Received,
            heard: false,
            worst: Outcome::Accepted,
            outstanding: 0,
            settled: false,
        }
    }

    /// Keeps a receipt until `targets` of them have settled.
    pub(crate) fn keep(&mut self, mut receipt: Receipt, targets: usize) -> SmallVec<[ReceiptId; 2]> {
        receipt.outstanding = u32::try_from(targets).unwrap_or(u32::MAX);
        let key = self.waiting.insert(receipt);
        (0..targets).map(|_| ReceiptId(key)).collect()
    }

    /// One target has settled. Gives the receipt back when it was the last.
    pub(crate) fn target_settled(&mut self, id: ReceiptId, outcome: Outcome) -> Option<Receipt> {
        let receipt = self.waiting.get_mut(id.0)?;
        receipt.note(outcome);
        receipt.outstanding -= 1;
        (receipt.outstanding == 0).then(|| self.waiting.remove(id.0))
    }

    /// Whether the sender of a waiting receipt's event gets no answer.
    pub(crate) fn is_silent(&self, id: &ReceiptId) -> bool {
        match self.waiting.get(id.0).map(|receipt| &receipt.debtor) {
            Some(Debtor::Connection { tag, .. }) => *tag == Tag::NONE,
            Some(Debtor::Nobody) | None => true,
            Some(_) => false,
        }
    }

    /// Readdresses what is owed to a session that is handed to another shard, and takes those tickets from `pending`.
    pub(crate) fn readdress(
        &mut self,
        from: SessionKey,
        shard: ShardId,
        name: &Arc<str>,
        pending: &mut Vec<Ticket>,
    ) {
        for (_, receipt) in &mut self.waiting {
            if let Debtor::Session { session, tag, ticket, .. } = receipt.debtor
                && session == from
            {
                receipt.debtor = Debtor::Elsewhere { shard, session: name.clone(), tag, ticket };
                pending.retain(|known| *known != ticket);
            }
        }
    }

    /// Counts a settled debt.
    pub(crate) fn paid(&mut self) {
        self.settled += 1;
    }

    /// Debts so far, debts paid, debts that wait: the first is the sum of the others unless one was lost.
    pub(crate) fn ledger(&self) -> (u64, u64, u64) {
        (self.issued, self.settled, self.waiting.len() as u64)
    }
}

impl Drop for Receipts {
    /// The end of the node ends its debts: peers that were not answered will send again.
    fn drop(&mut self) {
        for receipt in self.waiting.drain() {
            let _ = receipt.settle();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windrose_event::Cause;

    #[test]
    fn the_last_target_gives_the_receipt_back_with_the_worst_outcome() {
        let mut receipts = Receipts::default();
        let receipt = receipts.issue(Debtor::Nobody, 0, Moment::default());
        let mut ids = receipts.keep(receipt, 3);
        let (a, b, c) = (ids.remove(0), ids.remove(0), ids.remove(0));
        assert!(receipts.target_settled(a, Outcome::Accepted).is_none());
        assert!(receipts.target_settled(b, Outcome::rejected(Cause::ByService)).is_none());
        let receipt = receipts.target_settled(c, Outcome::TimedOut);
        let outcome = receipt.map(|receipt| receipt.settle().1);
        assert_eq!(outcome, Some(Outcome::rejected(Cause::ByService)));
        receipts.paid();
        assert_eq!(receipts.ledger(), (1, 1, 0));
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "dropped unsettled")]
    fn dropping_a_receipt_unsettled_is_caught() {
        drop(Receipts::default().issue(Debtor::Nobody, 0, Moment::default()));
    }
}
