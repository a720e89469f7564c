//! Dead letters: what got out of queues without anybody's using it goes by their dead-letter exchanges.

use crate::engine::Engine;
use crate::queues::Lost;
use windrose_event::{Death, Event, Now, TOPIC_EXCHANGE, Text, key_of};

/// Stations of an event's way through dead-letter exchanges; then it is dropped.
const MOST_DEATHS: usize = 32;

/// Dead letters that are sent on at the end of one input; then others have their turn.
const BURY_AT_ONCE: usize = 1_000;

impl Engine {
    /// The end of an input: what got out of queues without anybody's using it goes by their dead-letter exchanges.
    pub(crate) fn bury(&mut self, now: Now) {
        for _ in 0..BURY_AT_ONCE {
            let Some(Lost { event, loss, queue, declaration }) = self.lost.pop_front() else { return };
            let options = &declaration.options;
            let Some(exchange) = &options.dead_letter_exchange else { continue };
            let deaths = event.details.as_ref().map_or(&[][..], |details| &details.deaths);
            let reason = loss.reason();
            if is_cycle(deaths, &queue, reason) || deaths.len() >= MOST_DEATHS {
                self.counts.drop("dead_letter_cycle");
                continue;
            }
            crate::counts::bump(&mut self.counts.dead_letters, reason);
            let deaths = with_death(deaths, &event, queue, reason, now);
            self.publish_dead(now, &event, exchange, options.dead_letter_routing_key.as_ref(), deaths);
        }
    }

    /// Whether dead letters wait for the next input.
    pub(crate) fn has_dead_letters(&self) -> bool {
        !self.lost.is_empty()
    }
}

/// Whether an event has come round to a queue without anybody's having rejected it on its way: it is dropped, or it would
/// go round for ever.
fn is_cycle(deaths: &[Death], queue: &Text, reason: &str) -> bool {
    reason != "rejected"
        && deaths.iter().any(|death| death.queue == *queue && death.reason == reason)
        && deaths.iter().all(|death| death.reason != "rejected")
}

/// An event's way through dead-letter exchanges, with one more station. One for each queue and reason, the latest first.
fn with_death(deaths: &[Death], event: &Event, queue: Text, reason: &'static str, now: Now) -> Vec<Death> {
    let original = event.details.as_ref().and_then(|details| details.original.as_ref());
    let (exchange, key) = match original.and_then(|original| original.route()) {
        Some((exchange, key)) => (text(exchange), text(key)),
        None => (text(TOPIC_EXCHANGE), text(&key_of(event.address.as_str()))),
    };
    let known = deaths.iter().position(|death| death.queue == queue && death.reason == reason);
    let first = match known {
        Some(index) => {
            let mut death = deaths[index].clone();
            death.count = death.count.saturating_add(1);
            death
        }
        None => Death { queue, reason, count: 1, time: now.wall, exchange, key },
    };
    let others = deaths.iter().enumerate().filter(|(index, _)| Some(*index) != known);
    std::iter::once(first).chain(others.map(|(_, death)| death.clone())).collect()
}

fn text(text: &str) -> Text {
    Text::copy_from_utf8(text.as_bytes()).unwrap_or_default()
}
