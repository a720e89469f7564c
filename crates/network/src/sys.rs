//! What the node tells of itself under `$SYS/`, by the names that Mosquitto gave these values and that tools know.

use crate::node::Shards;
use bytes::Bytes;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use windrose_engine::Tally;
use windrose_event::Address;

/// Tells every shard, every `node.sys_interval`, what all of them together have counted. Runs for as long as the node.
pub(crate) async fn keep_told(shards: Shards, mut interval: watch::Receiver<Duration>) {
    let started = Instant::now();
    let mut peak = 0;
    loop {
        let every = *interval.borrow_and_update();
        if every.is_zero() {
            // Nothing is told any more, until a document says otherwise.
            shards.tell(&[]).await;
            if interval.changed().await.is_err() {
                return;
            }
            continue;
        }
        let totals = Totals::of(&shards.tallies().await);
        peak = totals.connected.max(peak);
        shards.tell(&totals.values(started.elapsed(), peak)).await;
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            changed = interval.changed() => if changed.is_err() { return },
        }
    }
}

/// All shards' counts, as far as they are told.
#[derive(Default)]
struct Totals {
    connected: u64,
    sessions: u64,
    received: u64,
    sent: u64,
    dropped: u64,
    queued: u64,
    retained: u64,
    subscriptions: u64,
    packets_in: u64,
    packets_out: u64,
    bytes_in: u64,
    bytes_out: u64,
}

impl Totals {
    fn of(tallies: &[Tally]) -> Self {
        let mut totals = Self::default();
        let mut exchanges = 0;
        for tally in tallies {
            for listener in &tally.listeners {
                match listener.protocol {
                    "http" => exchanges += listener.connections,
                    _ => totals.connected += listener.connections,
                }
                totals.received += listener.events_in;
                totals.sent += listener.events_out.iter().sum::<u64>();
            }
            totals.dropped += tally.dropped.iter().map(|(_, count)| count).sum::<u64>();
            totals.sessions += tally.sessions;
            totals.queued += tally.queued;
            // Every shard holds all of them.
            totals.retained = totals.retained.max(tally.retained);
            totals.subscriptions += tally.subscriptions;
            totals.packets_in += tally.packets_in;
            totals.packets_out += tally.packets_out;
            totals.bytes_in += tally.bytes_in;
            totals.bytes_out += tally.bytes_out;
        }
        // A request of HTTP is a session while it lasts, and no client of the broker.
        totals.sessions = totals.sessions.saturating_sub(exchanges).max(totals.connected);
        totals
    }

    fn values(&self, uptime: Duration, peak: u64) -> Vec<(Address, Bytes)> {
        let numbers = [
            ("clients/connected", self.connected),
            ("clients/disconnected", self.sessions - self.connected),
            ("clients/total", self.sessions),
            ("clients/maximum", peak),
            ("messages/received", self.packets_in),
            ("messages/sent", self.packets_out),
            ("publish/messages/received", self.received),
            ("publish/messages/sent", self.sent),
            ("publish/messages/dropped", self.dropped),
            ("messages/stored", self.queued + self.retained),
            ("retained messages/count", self.retained),
            ("subscriptions/count", self.subscriptions),
            ("bytes/received", self.bytes_in),
            ("bytes/sent", self.bytes_out),
        ];
        let texts = [
            ("version", concat!("windrose ", env!("CARGO_PKG_VERSION")).to_owned()),
            ("uptime", format!("{} seconds", uptime.as_secs())),
        ];
        let numbers = numbers.into_iter().map(|(name, number)| (name, number.to_string()));
        let value = |(name, value): (&str, String)| {
            Some((Address::new(format!("$SYS/broker/{name}")).ok()?, Bytes::from(value)))
        };
        texts.into_iter().chain(numbers).filter_map(value).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use windrose_engine::ListenerTally;

    fn tally(protocol: &'static str, connections: u64, sessions: u64) -> Tally {
        let listener = ListenerTally {
            protocol,
            connections,
            events_in: 5,
            events_out: [3, 0, 0, 0, 1],
            ..ListenerTally::default()
        };
        Tally { listeners: vec![listener], sessions, retained: 7, ..Tally::default() }
    }

    #[test]
    fn shards_add_up_and_requests_of_http_are_no_clients() {
        let totals = Totals::of(&[tally("mqtt", 2, 6), tally("http", 1, 1)]);
        let values = totals.values(Duration::from_secs(61), 4);
        let told = |name: &str| {
            let found = values.iter().find(|(address, _)| address.as_str() == format!("$SYS/broker/{name}"));
            String::from_utf8(found.unwrap().1.to_vec()).unwrap()
        };
        let clients = ["connected", "disconnected", "total", "maximum"];
        assert_eq!(clients.map(|name| told(&format!("clients/{name}"))), ["2", "4", "6", "4"]);
        assert_eq!(
            (told("publish/messages/received"), told("publish/messages/sent")),
            ("10".into(), "8".into())
        );
        assert_eq!(told("retained messages/count"), "7", "every shard holds all of them");
        assert_eq!(told("uptime"), "61 seconds");
        assert!(told("version").starts_with("windrose "));
    }
}
