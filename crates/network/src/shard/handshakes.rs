//! Counts of connections that ended before the engine heard of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use windrose_engine::{ListenerTally, Tally};

/// Connections refused at the door, by listener and cause.
#[derive(Default)]
pub(crate) struct Handshakes {
    refused: BTreeMap<(Arc<str>, &'static str, &'static str), u64>,
}

impl Handshakes {
    /// Counts one refusal.
    pub(crate) fn refuse(&mut self, listener: &windrose_policy::Listener, cause: &'static str) {
        *self.refused.entry((Arc::clone(&listener.name), listener.protocol.name(), cause)).or_default() += 1;
    }

    /// Adds the counts to the engine's.
    pub(crate) fn add_to(&self, tally: &mut Tally) {
        for ((name, protocol, cause), count) in &self.refused {
            let found = tally.listeners.iter_mut().find(|listener| listener.name == *name);
            let listener = match found {
                Some(listener) => listener,
                None => {
                    let new = ListenerTally { name: Arc::clone(name), protocol, ..ListenerTally::default() };
                    tally.listeners.push(new);
                    let Some(last) = tally.listeners.last_mut() else { continue };
                    last
                }
            };
            listener.refused.push((cause, *count));
        }
    }
}
