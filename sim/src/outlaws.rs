//! Outlaws: clients that are revoked for a while. Once all shards have heard of it, nothing of theirs may be taken.

use crate::client::Profile;
use crate::trace::{ClientId, Note};
use crate::world::{Step, World};
use std::collections::BTreeMap;
use std::time::Duration;
use windrose_engine::Input;
use windrose_event::{Event, IdentityChange, Moment, Standing, Subject, Timestamp};
use windrose_protocol::mqtt::codec::Version;

/// How long a client is revoked at most, in microseconds, from when all shards have heard of it.
const LONGEST: u64 = 3_000_000;

/// The longest time until a shard hears of it, in microseconds.
const HEARD_WITHIN: u64 = 250_000;

/// Times of events may run ahead of the clock, lest two be the same.
const AHEAD: Duration = Duration::from_millis(1);

/// Whom the registry does not let in, and did not.
#[derive(Debug, Default)]
pub(crate) struct Outlaws {
    /// By their names; how many shards have not heard of it.
    revoked: BTreeMap<String, usize>,
    /// When all shards knew, until when it lasted, by name.
    times: BTreeMap<String, Vec<(Timestamp, Option<Timestamp>)>>,
    /// When each shard hears of the last one. All hear of them in the same order.
    heard: BTreeMap<usize, Moment>,
}

impl Outlaws {
    /// Whether the registry lets somebody in.
    pub(crate) fn is_revoked(&self, name: &str) -> bool {
        self.revoked.contains_key(name)
    }

    /// Whether an event was taken when its sender was known to be revoked.
    fn is_unlawful(&self, sender: &str, at: Timestamp) -> bool {
        let during =
            |(from, to): &(Timestamp, Option<Timestamp>)| *from + AHEAD < at && to.is_none_or(|to| at <= to);
        self.times.get(sender).is_some_and(|times| times.iter().any(during))
    }
}

impl World {
    /// The registry revokes a client. Members of groups stay: what waits for one of them goes to another. So do clients of
    /// 3.1.1 whose sessions last: they cannot ask for a new one that does.
    pub(crate) fn revoke(&mut self, client: ClientId) {
        let known = &mut self.clients[usize::from(client.0)];
        let Profile { group, lasting, version, .. } = &known.profile;
        let stays = group.is_some() || *lasting && *version == Version::V3;
        if stays || self.outlaws.is_revoked(&client.name()) {
            return;
        }
        known.revoked();
        self.oracle.session_ended(client);
        self.note(Note::Revoked { client, revoked: true });
        self.outlaws.revoked.insert(client.name(), self.shards.len());
        for shard in 0..self.shards.len() {
            let wait = self.rng.micros(0, HEARD_WITHIN);
            let now = self.now();
            let last = self.outlaws.heard.entry(shard).or_insert(now);
            *last = (*last).max(now + wait);
            self.agenda.at(*last, Step::Changed { shard, client });
        }
        let wait = self.rng.micros(HEARD_WITHIN + 1, LONGEST);
        self.agenda.after(wait, Step::Reinstate(client));
    }

    /// A shard hears of it.
    pub(crate) fn changed(&mut self, shard: usize, client: ClientId) {
        let subject = Subject::Device(client.name().into());
        self.note(Note::Ended { client, shard: shard as u16 });
        let changes = [IdentityChange { subject, standing: Standing::Ended }];
        self.input(shard, Input::IdentitiesChanged(changes.into()));
        let name = client.name();
        let now = self.agenda.now().wall;
        if let Some(missing) = self.outlaws.revoked.get_mut(&name) {
            *missing -= 1;
            if *missing == 0 {
                self.outlaws.times.entry(name).or_default().push((now, None));
            }
        }
    }

    /// The registry lets a client in again.
    pub(crate) fn reinstate(&mut self, client: ClientId) {
        self.note(Note::Revoked { client, revoked: false });
        let name = client.name();
        let now = self.agenda.now().wall;
        self.outlaws.revoked.remove(&name);
        if let Some((_, to)) = self.outlaws.times.get_mut(&name).and_then(|times| times.last_mut()) {
            *to = to.or(Some(now));
        }
    }

    /// An event is on its way to those who want it.
    pub(crate) fn check_lawful(&mut self, event: &Event) {
        let Some(sender) =
            event.origin.identity.device().filter(|id| self.outlaws.is_unlawful(id, event.time))
        else {
            return;
        };
        let what = format!("the node took an event of {sender} when all shards knew that it is revoked");
        self.oracle.fail(what, None, &[]);
    }
}
