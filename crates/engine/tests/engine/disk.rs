//! A disk of the test's own: it stores when it is told to, and a crash loses what it has not stored.

use crate::harness::{MILLI, Node};
use windrose_engine::{Assembly, Batch, Engine, Input, Kept, Record, Seat, ShardId, Shelf};

#[derive(Default)]
pub(crate) struct Disk {
    assembly: Assembly,
    shelf: Shelf,
    /// Handed over, and not stored.
    ready: Vec<Record>,
    /// Whether it stores only when told to.
    pub(crate) held: bool,
}

impl Disk {
    pub(crate) fn take(&mut self, shard: usize, batch: Batch) {
        self.assembly.take(ShardId(shard as u16), batch, &mut self.ready);
    }
}

impl Node {
    /// A node that keeps a journal.
    pub(crate) fn durable(shards: u16, more: &str) -> Self {
        let mut node = Self::with_shards(shards, more);
        node.disk = Some(Disk::default());
        node.start();
        node
    }

    /// From now on nothing is stored but by [`Node::store`].
    pub(crate) fn hold_disk(&mut self) {
        self.disk.as_mut().unwrap().held = true;
    }

    /// Stores all that may be stored. `false`: there was nothing.
    pub(crate) fn store(&mut self) -> bool {
        let Some(disk) = &mut self.disk else { return false };
        let news = !disk.ready.is_empty();
        for record in disk.ready.drain(..) {
            disk.shelf.put(record);
        }
        for (shard, stored) in disk.assembly.progress() {
            let shard = usize::from(shard.0);
            self.input_quietly(shard, Input::Stored(stored));
        }
        news
    }

    /// The process is killed and starts again: what was not stored is lost, and so are all connections.
    pub(crate) fn crash(&mut self) {
        let disk = self.disk.as_mut().unwrap();
        disk.ready.clear();
        disk.assembly = Assembly::default();
        disk.held = false;
        self.wires_held = false;
        self.forget_everything();
        self.now = self.now.after(MILLI);
        let shards = self.engines.len() as u16;
        for (index, engine) in (0..shards).zip(&mut self.engines) {
            let seat = Seat { shard: ShardId(index), shards };
            let seed = self.now.moment.as_micros() + u64::from(index);
            *engine = Engine::new(seat, self.snapshot.clone(), seed);
        }
        self.start();
    }

    fn start(&mut self) {
        let shards = self.engines.len() as u16;
        let kept: Vec<Kept> = self.disk.as_mut().unwrap().shelf.start().split(shards);
        for (shard, kept) in kept.into_iter().enumerate() {
            for session in &kept.sessions {
                self.enter(&session.session.name, shard);
            }
            self.engines[shard].recover(self.now, kept);
        }
        self.run();
        assert!(self.engines.iter().all(Engine::is_recovered), "the shards know of one another's sessions");
    }
}
