//! The thread that sends: each message when it is due.

use super::{DRAIN, Schedule, Shared, Work};
use crate::Result;
use crate::load::client::Client;
use crate::load::histogram::Histogram;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Sends messages, by one publisher after the other.
pub(super) struct Sender {
    publishers: Vec<Client>,
    payload: usize,
    schedule: Schedule,
    shared: Arc<Shared>,
    /// Messages that may be on their way.
    most: u64,
    sent: u64,
    late: Histogram,
}

impl Sender {
    pub(super) fn new(work: &Work, publishers: Vec<Client>, schedule: Schedule, shared: Arc<Shared>) -> Self {
        let most = (work.rate * DRAIN.as_secs_f64()) as u64 + 1_000;
        let payload = work.payload;
        Self { publishers, payload, schedule, shared, most, sent: 0, late: Histogram::new() }
    }

    /// How many it has sent.
    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }

    /// How late they were written.
    pub(super) const fn late(&self) -> &Histogram {
        &self.late
    }

    /// Sends up to a number of messages.
    pub(super) fn until(&mut self, end: u64) -> Result<()> {
        while self.sent < end {
            let due = self.schedule.due(self.sent);
            let now = self.schedule.now();
            if due > now {
                std::thread::sleep(Duration::from_nanos(due - now));
                continue;
            }
            let late = now - due;
            if due >= self.schedule.warm_up {
                self.late.add(late);
            }
            let turn = (self.sent % self.publishers.len() as u64) as usize;
            let publisher = self.publishers.get_mut(turn).ok_or("a publisher is missing")?;
            publisher.publish_stamped(self.payload, due)?;
            self.sent += 1;
            // What is counted as arrived may be ahead of what is counted as sent, for a moment.
            let on_their_way = self.sent.saturating_sub(self.shared.arrived.load(Ordering::Relaxed));
            if on_their_way > self.most {
                return Err(format!("it cannot keep up: {on_their_way} messages are on their way").into());
            }
            if u128::from(late) > DRAIN.as_nanos() {
                return Err("the load generator cannot keep up".into());
            }
        }
        Ok(())
    }

    /// Writes what sockets have not taken yet.
    pub(super) fn push(&mut self) -> Result<()> {
        self.publishers.iter_mut().try_for_each(Client::flush)
    }
}
