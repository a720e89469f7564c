//! The node's own state, told as last values under `$SYS/`: nobody publishes there, whoever may subscribes.

use crate::engine::Engine;
use crate::retained::{Bounds, Retained};
use crate::steps::private::takes_at_once;
use bytes::Bytes;
use std::sync::Arc;
use windrose_event::{Address, Assurance, Event, Identity, Now, Origin, Principal, Publication, is_system};

/// What the node tells of itself is not counted among the last values that peers set.
const UNBOUNDED: Bounds = Bounds { events: u32::MAX, bytes: u64::MAX };

/// Whether a bridge announces there that it is connected, as Mosquitto's do. It is taken and told to nobody: the node
/// knows better who is connected, and a bridge that is refused tries for ever.
pub(crate) fn is_announcement(address: &Address) -> bool {
    let name = address.as_bytes().strip_prefix(b"$SYS/broker/connection/");
    let name = name.and_then(|rest| rest.strip_suffix(b"/state"));
    name.is_some_and(|name| !name.is_empty() && !name.contains(&b'/'))
}

impl Engine {
    /// Takes all that the node tells of itself now. What has changed goes to this shard's subscribers: every shard is told
    /// the same. None at all ends what was told before.
    pub(crate) fn state(&mut self, now: Now, values: Vec<(Address, Bytes)>) {
        if values.is_empty() {
            self.own = Retained::default();
        }
        let origin = Arc::new(Origin {
            identity: Identity {
                principal: Principal::Service { name: self.snapshot.node.name.clone() },
                ..Identity::anonymous()
            },
            session: "".into(),
            protocol: "node",
            listener: "".into(),
        });
        for (address, payload) in values {
            let known = self.own.get(address.as_str(), now.wall);
            if !address.is_system() || known.is_some_and(|known| known.payload == payload) {
                continue;
            }
            let publication = Publication {
                address,
                payload,
                // Each subscriber is told as surely as it asks.
                assurance: Assurance::ExactlyOnce,
                retain: true,
                expiry: None,
                details: None,
            };
            let event = self.make_event(now, origin.clone(), publication);
            self.own.remember(now, &event, UNBOUNDED);
            self.tell_state(now, &event);
        }
    }

    /// Gives a value to this shard's subscribers. The first shard, and it alone, gives it to groups, whose one member may
    /// be anywhere.
    fn tell_state(&mut self, now: Now, event: &Arc<Event>) {
        let mut matches = std::mem::take(&mut self.matches);
        self.subscriptions.collect(event.address.as_bytes(), &mut matches);
        self.deliver_here(now, event, &matches, None);
        if self.shards.here().0 == 0 {
            for group in &matches.groups {
                let Some(group) = self.subscriptions.group_mut(*group) else { continue };
                let key = group.key.clone();
                let picked = group.pick(|key| takes_at_once(&self.sessions, &self.queues, key));
                self.deliver_to_member(now, event, picked, &key, None);
            }
        }
        self.matches = matches;
    }

    /// Where the last values are kept that an address or filter is about: the node's own are kept apart.
    pub(crate) fn last_values(&self, path: &str) -> &Retained {
        if is_system(path) { &self.own } else { &self.retained }
    }
}
