//! The other shards: what is forwarded to them, in batches and by credit.

use crate::brakes::BrakedCredit;
use crate::io::{Forward, Output, QueueId, Seat, ShardId, ShardMessage, Word};
use crate::sessions::Progress;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{Event, EventId, Moment};

/// How long another shard's word of its first subscriber may take, at most, before what was published meanwhile is lost
/// to it. Nobody was told yet that it is subscribed.
const JUST: Duration = Duration::from_millis(20);

/// Events that are kept so long, and their bytes, at most.
const JUST_EVENTS: usize = 256;
const JUST_BYTES: usize = 1 << 20;

/// What was published on this shard a moment ago and nobody heard, in order. Only that, so that events on their way to
/// somebody pay nothing for it.
#[derive(Debug, Default)]
pub(crate) struct Unheard {
    events: VecDeque<(Moment, Arc<Event>)>,
    bytes: usize,
}

impl Unheard {
    /// An event was published, and nobody heard.
    pub(crate) fn push(&mut self, now: Moment, event: &Arc<Event>) {
        self.bytes += event.payload.len();
        self.events.push_back((now, event.clone()));
        while let Some((then, oldest)) = self.events.front()
            && (now.since(*then) > JUST || self.events.len() > JUST_EVENTS || self.bytes > JUST_BYTES)
        {
            self.bytes -= oldest.payload.len();
            self.events.pop_front();
        }
    }

    /// What was published after that moment.
    pub(crate) fn since(&self, since: Moment) -> Vec<Arc<Event>> {
        let later = self.events.iter().filter(|(then, _)| *then > since);
        later.map(|(_, event)| event.clone()).collect()
    }
}

#[derive(Debug)]
struct Peer {
    /// Events that it was sent and has not taken yet.
    credit: BrakedCredit,
    /// Forwarded with the next turn's end.
    batch: Vec<Forward>,
    /// Said with the next turn's end.
    words: Vec<Word>,
    /// Events of its that we took and have not told it yet.
    owed: u32,
    /// The last event of its that we gave to our subscribers.
    seen: Option<EventId>,
}

/// Of how many permits one may be kept back: word of each event that was taken would wake the other shard for nothing.
const KEPT: u32 = 8;

/// This shard's dealings with the others.
#[derive(Debug)]
pub(crate) struct Shards {
    seat: Seat,
    peers: Vec<Peer>,
    dirty: bool,
    /// So many permits that are owed go back even if nothing else goes there; all shards have the same.
    enough: u32,
}

impl Shards {
    /// `queue` is how many events may be on their way to one shard.
    pub(crate) fn new(seat: Seat, queue: u32) -> Self {
        let peer = |_| Peer {
            credit: BrakedCredit::new(queue.max(1)),
            batch: Vec::new(),
            words: Vec::new(),
            owed: 0,
            seen: None,
        };
        let mut shards = Self { seat, peers: (0..seat.shards).map(peer).collect(), dirty: false, enough: 1 };
        shards.set_enough(queue / KEPT);
        shards
    }

    /// As many events may be on their way to one shard from now on. Returns how many connections to release now for
    /// each.
    pub(crate) fn resize(&mut self, queue: u32) -> Vec<(ShardId, usize)> {
        self.set_enough(queue / KEPT);
        (0u16..)
            .map(ShardId)
            .zip(&mut self.peers)
            .map(|(id, peer)| (id, peer.credit.resize(queue.max(1))))
            .collect()
    }

    /// The node shuts down: from now on nothing is kept back, so that everybody learns that nothing is on its way.
    pub(crate) fn settle(&mut self) {
        self.set_enough(1);
    }

    fn set_enough(&mut self, enough: u32) {
        self.enough = enough.max(1);
        for peer in &mut self.peers {
            peer.credit.set_kept(self.enough - 1);
        }
        self.unbrake();
    }

    /// This shard.
    pub(crate) const fn here(&self) -> ShardId {
        self.seat.shard
    }

    /// How many shards there are, at least one.
    pub(crate) fn count(&self) -> u32 {
        u32::from(self.seat.shards).max(1)
    }

    /// All shards but this one.
    pub(crate) fn others(&self) -> impl Iterator<Item = ShardId> + use<> {
        let here = self.seat.shard;
        (0..self.seat.shards).map(ShardId).filter(move |shard| *shard != here)
    }

    /// Puts an event into the batch for another shard. `false`: brake its sender.
    pub(crate) fn forward(&mut self, to: ShardId, forward: Forward) -> bool {
        let Some(peer) = self.peers.get_mut(usize::from(to.0)) else { return true };
        self.dirty = true;
        peer.batch.push(forward);
        peer.credit.take()
    }

    /// Says something of queues to another shard, with the end of the turn and after the events that go there.
    pub(crate) fn say(&mut self, to: ShardId, word: Word) {
        if let Some(peer) = self.peers.get_mut(usize::from(to.0)) {
            self.dirty = true;
            peer.words.push(word);
        }
    }

    /// Whether another shard has room for more.
    pub(crate) fn has_credit(&self, shard: ShardId) -> bool {
        self.peers.get(usize::from(shard.0)).is_none_or(|peer| peer.credit.credit().available())
    }

    /// Adds a group to the event at the end of the batch, if it is `event`: `None`. Otherwise puts the event into the
    /// batch; `Some(false)`: brake its sender.
    pub(crate) fn forward_to_group(
        &mut self,
        to: ShardId,
        event: &Arc<Event>,
        group: (Arc<str>, windrose_event::Filter),
        expected: bool,
    ) -> Option<bool> {
        let last = self.peers.get_mut(usize::from(to.0)).and_then(|peer| peer.batch.last_mut());
        if let Some(last) = last
            && Arc::ptr_eq(&last.event, event)
        {
            last.groups.push(group);
            return None;
        }
        let groups = smallvec::smallvec![group];
        let queues = smallvec::SmallVec::new();
        Some(self.forward(to, Forward { event: event.clone(), everyone: false, groups, queues, expected }))
    }

    /// Adds a queue to the event at the end of the batch, if it is `event`: `None`. Otherwise puts the event into the batch;
    /// `Some(false)`: brake its sender.
    pub(crate) fn forward_to_queue(
        &mut self,
        to: ShardId,
        event: &Arc<Event>,
        queue: QueueId,
        expected: bool,
    ) -> Option<bool> {
        let last = self.peers.get_mut(usize::from(to.0)).and_then(|peer| peer.batch.last_mut());
        if let Some(last) = last
            && Arc::ptr_eq(&last.event, event)
        {
            last.queues.push(queue);
            return None;
        }
        let groups = smallvec::SmallVec::new();
        let queues = smallvec::smallvec![queue];
        Some(self.forward(to, Forward { event: event.clone(), everyone: false, groups, queues, expected }))
    }

    /// Sends a last value to another shard. `false`: brake its sender.
    pub(crate) fn remember(
        &mut self,
        to: ShardId,
        event: &Arc<Event>,
        outputs: &mut VecDeque<Output>,
    ) -> bool {
        outputs.push_back(Output::Shard { to, message: ShardMessage::Remember(event.clone()) });
        self.peers.get_mut(usize::from(to.0)).is_none_or(|peer| peer.credit.take())
    }

    /// Credit that was kept back is due again.
    pub(crate) fn unbrake(&mut self) {
        self.dirty |= self.peers.iter().any(|peer| peer.owed > 0);
    }

    /// Events of another shard were taken: it gets its credit back with what goes there next, or when it is much.
    pub(crate) fn took(&mut self, from: ShardId, events: u32) {
        if let Some(peer) = self.peers.get_mut(usize::from(from.0)) {
            peer.owed += events;
            self.dirty = true;
        }
    }

    /// An event that another shard forwarded was given to this one's subscribers.
    pub(crate) fn seen(&mut self, from: ShardId, event: EventId) {
        if let Some(peer) = self.peers.get_mut(usize::from(from.0)) {
            // One that was forwarded late does not set the others back.
            peer.seen = peer.seen.max(Some(event));
        }
    }

    /// How far this shard has come with the events of each; `own` is the last of its own.
    pub(crate) fn progress(&self, own: EventId) -> Progress {
        let mut progress: Progress = self.peers.iter().map(|peer| peer.seen).collect();
        if let Some(here) = progress.get_mut(usize::from(self.seat.shard.0)) {
            *here = Some(own);
        }
        progress
    }

    /// The credit for events on their way to a shard.
    pub(crate) fn credit_mut(&mut self, shard: ShardId) -> Option<&mut BrakedCredit> {
        self.peers.get_mut(usize::from(shard.0)).map(|peer| &mut peer.credit)
    }

    /// The end of a turn: sends what was batched. `braked`: the others get no credit back for now.
    pub(crate) fn flush(&mut self, outputs: &mut VecDeque<Output>, braked: bool) {
        if !std::mem::take(&mut self.dirty) {
            return;
        }
        for (shard, peer) in (0u16..).map(ShardId).zip(&mut self.peers) {
            let goes = !peer.batch.is_empty();
            if goes {
                let message = ShardMessage::Events(std::mem::take(&mut peer.batch));
                outputs.push_back(Output::Shard { to: shard, message });
            }
            if !peer.words.is_empty() {
                let message = ShardMessage::Words(std::mem::take(&mut peer.words));
                outputs.push_back(Output::Shard { to: shard, message });
            }
            if braked {
                continue;
            }
            if peer.owed >= if goes { 1 } else { self.enough } {
                let owed = std::mem::take(&mut peer.owed);
                outputs.push_back(Output::Shard { to: shard, message: ShardMessage::Credit(owed) });
            }
        }
    }

    /// Whether events are on their way to other shards.
    pub(crate) fn is_idle(&self) -> bool {
        self.peers.iter().all(|peer| peer.credit.credit().used() == 0)
    }
}
