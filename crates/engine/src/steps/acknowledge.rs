//! Step 7, acknowledge: the only place that answers a sender.

use crate::engine::Engine;
use crate::io::ShardMessage;
use crate::receipts::{Debtor, Receipt};
use windrose_event::{ConnectionId, Directive, Now, Outcome, Tag};

impl Engine {
    /// Settles a debt: the sender is told the worst that its event's targets said.
    #[inline]
    pub(crate) fn acknowledge(&mut self, now: Now, receipt: Receipt) {
        let (listener, promise, heard) = (receipt.listener, receipt.promise, receipt.heard);
        let took = now.moment.since(receipt.received);
        let (debtor, outcome) = receipt.settle();
        self.receipts.paid();
        self.counts.at(listener).settled[outcome.rank()] += 1;
        match debtor {
            Debtor::Nobody => {}
            Debtor::Connection { tag: Tag::NONE, .. } => {}
            Debtor::Connection { connection, tag } => {
                self.counts.acknowledged(promise, took);
                self.answer(now, connection, tag, outcome, heard);
            }
            Debtor::Session { session, connection, tag, ticket } => {
                self.counts.acknowledged(promise, took);
                let accepted = outcome.is_accepted();
                if let Some(present) = self.settle_taken(session, tag, ticket, accepted, heard) {
                    self.direct(present, Directive::Settle { tag, outcome, heard });
                }
                self.settled_one(now, connection);
            }
            Debtor::Elsewhere { shard, session, tag, ticket } => {
                self.tell(shard, ShardMessage::Settled { session, tag, ticket, outcome, heard });
            }
            Debtor::Request { connection, tag, token } => {
                self.settle_request(now, connection, tag, token, outcome, heard);
            }
        }
    }

    /// Answers the connection that published, if it is still here: its answer is nobody else's.
    fn answer(&mut self, now: Now, connection: ConnectionId, tag: Tag, outcome: Outcome, heard: bool) {
        if self.connections.get(connection).is_some() {
            self.direct(connection, Directive::Settle { tag, outcome, heard });
            self.settled_one(now, connection);
        }
    }

    /// A request that was accepted waits for its reply. If nobody heard it or it failed, no reply will come.
    fn settle_request(
        &mut self,
        now: Now,
        connection: ConnectionId,
        tag: Tag,
        token: u128,
        outcome: Outcome,
        heard: bool,
    ) {
        let hopeless = !outcome.is_accepted() || !heard;
        if hopeless && self.forget_request(token).is_some() {
            let outcome = if outcome.is_accepted() { Outcome::unavailable() } else { outcome };
            self.direct(connection, Directive::Settle { tag, outcome, heard });
        }
        if tag != Tag::NONE {
            self.settled_one(now, connection);
        }
    }

    fn settled_one(&mut self, now: Now, connection: ConnectionId) {
        self.count_settled(connection);
        self.leave_if_drained(now, connection);
    }
}
