//! The documents that a run's node acts by.

use std::fmt::Write;
use std::sync::Arc;
use windrose_policy::{Snapshot, compile};

/// What differs between documents.
#[derive(Clone, Debug)]
pub struct Document {
    /// Numbers of the pool's members: those that stay keep their number over reloads.
    pub members: Vec<usize>,
    /// How a member is picked.
    pub balance: &'static str,
    /// Events of a request; more than one is batch mode.
    pub batch: usize,
    /// `pools.*.timeout`, in milliseconds.
    pub timeout: u64,
    /// `pools.*.queue`.
    pub queue: u32,
    /// `pools.*.max_in_flight`.
    pub max_in_flight: u32,
    /// `routes.*.deadline`, in milliseconds.
    pub deadline: u64,
    /// `limits.receive_maximum`.
    pub receive_maximum: u16,
    /// `limits.session_in_flight`.
    pub session_in_flight: u16,
    /// `limits.session_queue_events`.
    pub session_queue_events: u32,
    /// `limits.shard_queue`.
    pub shard_queue: u32,
    /// `limits.output_bytes`.
    pub output_bytes: usize,
    /// Whether there are routes that match nothing, before those that do: indices move.
    pub idle_routes: usize,
}

impl Default for Document {
    fn default() -> Self {
        Self {
            members: vec![0, 1],
            balance: "least-outstanding",
            batch: 1,
            timeout: 1_000,
            queue: 1_000,
            max_in_flight: 16,
            deadline: 10_000,
            receive_maximum: 16,
            session_in_flight: 16,
            session_queue_events: 100_000,
            shard_queue: 64,
            output_bytes: 4_096,
            idle_routes: 0,
        }
    }
}

impl Document {
    /// The document's text, in YAML.
    pub fn text(&self) -> String {
        let members: Vec<String> =
            self.members.iter().map(|number| format!("\"http://member-{number}:80/events\"")).collect();
        let members = members.join(", ");
        let mode = match self.batch {
            0 | 1 => String::new(),
            events => format!("    mode: batch\n    batch: {{events: {events}, wait: 5ms}}\n"),
        };
        let mut text = format!(
            "node: {{name: sim}}\n\
             listeners:\n  - {{name: mqtt, protocol: mqtt, bind: \"127.0.0.1:1883\", \
             mqtt: {{overlapping_subscriptions: once}}}}\n\
             access:\n  - {{who: anyone, may: [publish, subscribe], on: \"#\"}}\n\
             pools:\n  api:\n    members: [{members}]\n    balance: {}\n    timeout: {}ms\n    backoff: 20ms\n    \
             backoff_max: 1s\n    queue: {}\n    max_in_flight: {}\n{mode}routes:\n",
            self.balance, self.timeout, self.queue, self.max_in_flight
        );
        for number in 0..self.idle_routes {
            let _ = writeln!(text, "  - {{name: idle-{number}, match: \"nobody/{number}\"}}");
        }
        let deadline = self.deadline;
        for (topics, promise) in [("d", "delivered"), ("r", "received")] {
            let _ = writeln!(
                text,
                "  - {{name: {promise}, match: \"{topics}/#\", deliver: {{pool: api}}, acknowledge: {promise}, \
                 deadline: {deadline}ms}}"
            );
        }
        let _ = writeln!(
            text,
            "limits: {{receive_maximum: {}, session_in_flight: {}, session_queue_events: {}, \
             session_queue_bytes: 67108864, shard_queue: {}, output_bytes: {}}}",
            self.receive_maximum,
            self.session_in_flight,
            self.session_queue_events,
            self.shard_queue,
            self.output_bytes
        );
        text
    }

    /// The document, compiled.
    ///
    /// # Panics
    /// If it has a mistake.
    pub fn compile(&self) -> Arc<Snapshot> {
        match compile("sim.yaml", &self.text(), &|_| None) {
            Ok(snapshot) => Arc::new(snapshot),
            Err(mistakes) => panic!("{mistakes}"),
        }
    }
}

/// The number of the member that a URL of [`Document::text`] names.
pub fn member_number(url: &str) -> usize {
    let digits = url.trim_start_matches("http://member-").split(':').next();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_compiles_and_names_its_members() {
        let plain = Document::default().compile();
        assert_eq!(plain.pools[0].members.len(), 2);
        let other = Document { members: vec![7], batch: 10, idle_routes: 3, ..Document::default() }.compile();
        assert_eq!(member_number(&other.pools[0].members[0].url), 7);
        assert_eq!(other.routes.len(), 5);
    }
}
