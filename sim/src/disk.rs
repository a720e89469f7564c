//! The disk: what the node's journal has stored, and the crashes that lose all the rest.

use crate::node::Shard;
use crate::trace::{ClientId, Note};
use crate::world::{Step, World};
use std::collections::BTreeMap;
use std::time::Duration;
use windrose_engine::{Assembly, Batch, Input, Record, ShardId, Shelf};
use windrose_event::Moment;
use windrose_network::Directory;

/// The longest time that storing takes, in microseconds.
const SLOW: u64 = 20_000;

/// How long a client waits for a node that is not there.
const ANOTHER_TRY: Duration = Duration::from_millis(10);

/// Where records go.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    assembly: Assembly,
    shelf: Shelf,
    /// Records that wait to be written.
    ready: Vec<Record>,
    /// What is being written: when that is done, the shards' records are stored so far.
    writing: Option<(Vec<Record>, BTreeMap<ShardId, u64>)>,
    /// How far each shard knows that its records are stored.
    told: BTreeMap<ShardId, u64>,
    /// Tells what was told to a node from what is told to the next.
    starts: u32,
}

impl World {
    /// The node keeps a journal from its first start on.
    pub(crate) fn insert_disk(&mut self) {
        self.disk = Some(Disk::default());
        self.recover();
    }

    /// A shard has records to store.
    pub(crate) fn store(&mut self, shard: usize, batch: Batch) {
        let Some(disk) = &mut self.disk else { panic!("no journal is kept: {batch:?}") };
        disk.assembly.take(ShardId(shard as u16), batch, &mut disk.ready);
        self.write();
    }

    /// Begins to write what waits, unless something is being written.
    fn write(&mut self) {
        let Some(disk) = &mut self.disk else { return };
        let progress = disk.assembly.progress();
        if disk.writing.is_some() || progress == disk.told && disk.ready.is_empty() {
            return;
        }
        disk.writing = Some((std::mem::take(&mut disk.ready), progress));
        let start = disk.starts;
        let wait = self.rng.micros(0, SLOW);
        self.agenda.after(wait, Step::Written(start));
    }

    /// What was being written is written.
    pub(crate) fn written(&mut self, start: u32) {
        let Some(disk) = self.disk.as_mut().filter(|disk| disk.starts == start) else { return };
        let Some((records, progress)) = disk.writing.take() else { return };
        for record in records {
            disk.shelf.put(record);
        }
        disk.told.clone_from(&progress);
        for (shard, stored) in progress {
            let wait = self.rng.micros(0, self.conditions.shard_latency);
            self.agenda.after(wait, Step::Stored { start, shard: usize::from(shard.0), stored });
        }
        self.write();
    }

    /// A shard hears how far its records are stored.
    pub(crate) fn stored(&mut self, start: u32, shard: usize, stored: u64) {
        if self.disk.as_ref().is_some_and(|disk| disk.starts == start) {
            self.input(shard, Input::Stored(stored));
        }
    }

    /// The process is killed and starts again. What is not written is lost; what is being written may be lost.
    pub fn crash(&mut self) {
        let survives = self.rng.chance(50);
        let Some(disk) = &mut self.disk else { return };
        if let Some((records, _)) = disk.writing.take()
            && survives
        {
            for record in records {
                disk.shelf.put(record);
            }
        }
        disk.ready.clear();
        disk.told.clear();
        disk.assembly = Assembly::default();
        self.note(Note::Crash);
        self.oracle.crashed();
        for index in 0..self.links.len() {
            if self.links[index].node_here {
                self.links[index].node_here = false;
                let notice = crate::link::Notice { client: self.rng.micros(0, 50_000), node: None };
                self.cut(crate::trace::LinkId(index as u32), notice);
            }
        }
        // What was to happen in the process does not.
        self.agenda.retain(|step| {
            !matches!(
                step,
                Step::Timer(_)
                    | Step::Message { .. }
                    | Step::Located { .. }
                    | Step::Identified { .. }
                    | Step::Changed { .. }
                    | Step::Takes { .. }
                    | Step::Answers { .. }
            )
        });
        self.directory = Directory::default();
        let count = self.shards.len() as u16;
        let document = self.documents[self.document].clone();
        self.shards = Shard::all(count, &document, &mut self.rng);
        self.recover();
    }

    fn recover(&mut self) {
        let now = self.agenda.now();
        let Some(disk) = &mut self.disk else { return };
        disk.starts += 1;
        let kept = disk.shelf.start().split(self.shards.len() as u16);
        for (shard, kept) in kept.into_iter().enumerate() {
            for session in &kept.sessions {
                self.directory.claim(&session.session.name, ShardId(shard as u16));
            }
            self.shards[shard].pump.recover(now, kept);
        }
        for shard in 0..self.shards.len() {
            self.act(shard);
        }
    }

    /// Whether the node is up; otherwise the client tries again.
    pub(crate) fn is_up(&mut self, client: ClientId) -> bool {
        let up = self.shards.iter().all(|shard| shard.pump.engine().is_recovered());
        if !up {
            self.agenda.after(ANOTHER_TRY, Step::Client(client));
        }
        up
    }

    /// The node is killed over and over, `every` so often, until `until`.
    pub fn crash_until(&mut self, until: Moment, every: Duration) -> bool {
        while self.now() < until {
            if !self.pass(every) {
                return false;
            }
            self.crash();
        }
        self.oracle.violation.is_none()
    }
}
