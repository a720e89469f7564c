//! Counts of connections that ended before the engine heard of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use windrose_engine::{ListenerTally, Tally};
use windrose_policy::Listener;

/// Connections by listener, protocol and cause.
type Counts = BTreeMap<(Arc<str>, &'static str, &'static str), u64>;

/// Connections that were refused at the door, or ended badly before they asked for anything.
#[derive(Default)]
pub(crate) struct Handshakes {
    refused: Counts,
    closed: Counts,
}

impl Handshakes {
    /// Counts one refusal.
    pub(crate) fn refuse(&mut self, listener: &Listener, cause: &'static str) {
        count(&mut self.refused, listener, cause);
    }

    /// Counts one bad end.
    pub(crate) fn close(&mut self, listener: &Listener, cause: &'static str) {
        count(&mut self.closed, listener, cause);
    }

    /// Adds the counts to the engine's.
    pub(crate) fn add_to(&self, tally: &mut Tally) {
        add(&self.refused, tally, |listener| &mut listener.refused);
        add(&self.closed, tally, |listener| &mut listener.closed);
    }
}

fn count(counts: &mut Counts, listener: &Listener, cause: &'static str) {
    *counts.entry((Arc::clone(&listener.name), listener.protocol.name(), cause)).or_default() += 1;
}

fn add(counts: &Counts, tally: &mut Tally, field: fn(&mut ListenerTally) -> &mut Vec<(&'static str, u64)>) {
    for ((name, protocol, cause), count) in counts {
        let place = tally.listeners.iter().position(|listener| listener.name == *name);
        let place = place.unwrap_or_else(|| {
            let new = ListenerTally { name: Arc::clone(name), protocol, ..ListenerTally::default() };
            tally.listeners.push(new);
            tally.listeners.len() - 1
        });
        field(&mut tally.listeners[place]).push((cause, *count));
    }
}
