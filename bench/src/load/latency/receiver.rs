//! The thread that takes the time of what arrives.

use super::{Schedule, Shared, Work};
use crate::Result;
use crate::load::client::Client;
use crate::load::histogram::Histogram;
use crate::load::packet::{self, Packet};
use mio::{Events, Interest, Poll, Token};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often it looks whether it is over.
const TICK: Duration = Duration::from_millis(20);

/// Packet identifiers go from 1 to this, and begin again.
const IDENTIFIERS: u64 = 65_535;

/// Reads what clients get.
pub(super) struct Receiver {
    poll: Poll,
    /// Publishers first.
    clients: Vec<Client>,
    publishers: u64,
    /// Whether time is taken where subscribers receive.
    subscribers: bool,
    payload: usize,
    schedule: Schedule,
    shared: Arc<Shared>,
    /// How many messages of each publisher have been acknowledged.
    acknowledged: Vec<u64>,
    took: Histogram,
}

impl Receiver {
    pub(super) fn new(
        work: &Work,
        mut clients: Vec<Client>,
        schedule: Schedule,
        shared: Arc<Shared>,
    ) -> Result<Self> {
        let poll = Poll::new()?;
        for (index, client) in clients.iter_mut().enumerate() {
            let both = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut client.wire.stream, Token(index), both)?;
        }
        Ok(Self {
            poll,
            clients,
            publishers: work.publishers as u64,
            subscribers: work.subscribers,
            payload: work.payload,
            schedule,
            shared,
            acknowledged: vec![0; work.publishers],
            took: Histogram::new(),
        })
    }

    /// Receives until it is over; how long messages took.
    pub(super) fn run(mut self) -> Result<Histogram> {
        let mut events = Events::with_capacity(1_024);
        let mut scratch = vec![0; 1 << 16];
        while !self.shared.over.load(Ordering::Relaxed) {
            match self.poll.poll(&mut events, Some(TICK)) {
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
            for event in &events {
                let Token(index) = event.token();
                if event.is_writable()
                    && let Some(client) = self.clients.get_mut(index)
                {
                    client.flush()?;
                }
                if event.is_readable() {
                    self.read(index, &mut scratch)?;
                }
            }
        }
        Ok(self.took)
    }

    fn read(&mut self, index: usize, scratch: &mut [u8]) -> Result<()> {
        let (schedule, payload, publishers) = (self.schedule, self.payload, self.publishers);
        let mut acknowledged = self.acknowledged.get_mut(index).filter(|_| !self.subscribers);
        let Some(client) = self.clients.get_mut(index) else { return Ok(()) };
        let (took, mut arrived) = (&mut self.took, 0);
        client.read_each(scratch, |packet, body| {
            let due = match (packet, body, &mut acknowledged) {
                (Packet::Publish(_), body, _) => packet::stamped(body, payload),
                (Packet::PubAck, [high, low, ..], Some(acknowledged)) => {
                    let identifier = u64::from(u16::from_be_bytes([*high, *low]));
                    let number = number_of(identifier, **acknowledged);
                    **acknowledged += 1;
                    Some(schedule.due(number * publishers + index as u64))
                }
                _ => None,
            };
            let Some(due) = due else { return };
            arrived += 1;
            if due >= schedule.warm_up {
                took.add(schedule.now().saturating_sub(due));
            }
        })?;
        self.shared.arrived.fetch_add(arrived, Ordering::Relaxed);
        Ok(())
    }
}

/// Which of a publisher's messages, counted from 0, a packet identifier stands for, when about so many have been
/// acknowledged: the nearest one that had it.
fn number_of(identifier: u64, acknowledged: u64) -> u64 {
    let first = identifier.saturating_sub(1);
    let half = IDENTIFIERS / 2;
    first + (acknowledged + half).saturating_sub(first) / IDENTIFIERS * IDENTIFIERS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_stands_for_the_nearest_message_that_had_it() {
        assert_eq!(number_of(1, 0), 0);
        assert_eq!(number_of(65_535, 65_534), 65_534);
        assert_eq!(number_of(1, 65_535), 65_535);
        assert_eq!(number_of(3, 65_530), 65_537, "ahead of its turn");
        assert_eq!(number_of(65_530, 65_540), 65_529, "late");
        assert_eq!(number_of(10, 10 * IDENTIFIERS), 10 * IDENTIFIERS + 9);
    }
}
