//! Lanes: connections to the engine, and what is asked on them.

use super::pending::Pending;
use slab::Slab;
use std::collections::VecDeque;
use std::time::Duration;
use windrose_event::{Filter, Intent, Moment, Tag};

use crate::coap::Remote;

/// What a lane may ask before it is accepted and says so itself: many share it, or a stream does, whose machine bounds what
/// comes ahead.
pub(super) const WINDOW: usize = 256;
/// The same of a lane that one session of many has: what waits may be large.
pub(super) const SESSION_WINDOW: usize = 32;

/// How long a lane is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(60);

/// One connection to the engine.
#[derive(Debug)]
pub(super) struct Lane {
    /// A number that no other lane has or had.
    pub(super) serial: u32,
    /// Whose it is alone.
    pub(super) owner: Option<Remote>,
    /// Whether the engine accepted it.
    open: bool,
    /// Whether credit for what it publishes is gone.
    pub(super) paused: bool,
    /// How much may be asked at once.
    window: usize,
    /// What was asked before it was accepted.
    waiting: Vec<Intent>,
    tags: Tags,
    /// Requests whose answers nobody awaits any more, oldest first.
    abandoned: VecDeque<u16>,
    /// What is subscribed to, if it is an observer's.
    pub(super) subscriptions: Vec<Subscription>,
    subscribed: u32,
    used: Moment,
}

/// One subscription, for all observations of its filter.
#[derive(Debug)]
pub(super) struct Subscription {
    /// The number that deliveries bear.
    pub(super) id: u32,
    pub(super) filter: Filter,
    /// How many observations it is for.
    pub(super) users: u32,
}

impl Lane {
    /// Whether one more thing can be asked.
    pub(super) fn has_room(&self) -> bool {
        self.tags.used < self.window
    }

    /// Whether nothing is under way on it.
    pub(super) fn is_idle(&self) -> bool {
        self.tags.used == self.abandoned.len() && self.subscriptions.is_empty()
    }

    /// Asks, and gives the tag that the answer will bear. `None`: as much is asked as may be.
    pub(super) fn ask(&mut self, now: Moment, pending: Pending) -> Option<Tag> {
        if self.tags.used >= self.window {
            return None;
        }
        self.used = now;
        Some(self.tags.take(pending))
    }

    /// What an answer is for, if it is for what it fits; its tag is free then.
    #[inline]
    pub(super) fn answered(&mut self, tag: Tag, fits: impl FnOnce(&Pending) -> bool) -> Option<Pending> {
        if !self.pending(tag).is_some_and(fits) {
            return None;
        }
        let pending = self.tags.give(tag)?;
        if matches!(pending, Pending::Abandoned) {
            self.abandoned.retain(|known| *known != tag.0);
        }
        Some(pending)
    }

    /// What waits for the answer with a tag.
    pub(super) fn pending(&self, tag: Tag) -> Option<&Pending> {
        self.tags.slots.get(usize::from(tag.0).checked_sub(1)?)?.as_ref()
    }

    /// Nobody awaits the answer with a tag any more, but it may still come: the tag stays taken for a while.
    pub(super) fn abandon(&mut self, tag: Tag) -> Option<Pending> {
        let slot = self.tags.slots.get_mut(usize::from(tag.0).checked_sub(1)?)?.as_mut()?;
        let pending = std::mem::replace(slot, Pending::Abandoned);
        self.abandoned.push_back(tag.0);
        if self.abandoned.len() > self.window / 4
            && let Some(oldest) = self.abandoned.pop_front()
        {
            // The engine forgets its oldest, too: no answer will come.
            self.tags.give(Tag(oldest));
        }
        Some(pending)
    }

    /// The intent, unless it has to wait.
    pub(super) fn pass(&mut self, intent: Intent) -> Option<Intent> {
        if self.open {
            return Some(intent);
        }
        self.waiting.push(intent);
        None
    }

    /// The engine accepted it: what waited.
    pub(super) fn accept(&mut self, window: u16) -> Vec<Intent> {
        self.open = true;
        self.window = usize::from(window).max(1);
        std::mem::take(&mut self.waiting)
    }

    /// Everything that waits for an answer.
    pub(super) fn into_pendings(self) -> impl Iterator<Item = Pending> {
        self.tags.slots.into_iter().flatten()
    }

    /// The subscription to a filter, which has one more user now.
    pub(super) fn join(&mut self, filter: &Filter) -> u32 {
        if let Some(known) = self.subscriptions.iter_mut().find(|known| known.filter == *filter) {
            known.users += 1;
            return known.id;
        }
        self.subscribed += 1;
        self.subscriptions.push(Subscription { id: self.subscribed, filter: filter.clone(), users: 1 });
        self.subscribed
    }

    /// A subscription has one user less. The filter, if it was the last.
    pub(super) fn leave(&mut self, id: u32) -> Option<Filter> {
        let index = self.subscriptions.iter().position(|known| known.id == id)?;
        let known = self.subscriptions.get_mut(index)?;
        known.users -= 1;
        (known.users == 0).then(|| self.subscriptions.swap_remove(index).filter)
    }
}

/// What waits for answers, by tag.
#[derive(Debug, Default)]
struct Tags {
    /// The tag 1 is at the beginning.
    slots: Vec<Option<Pending>>,
    free: Vec<u16>,
    used: usize,
}

impl Tags {
    fn take(&mut self, pending: Pending) -> Tag {
        self.used += 1;
        if let Some(tag) = self.free.pop() {
            if let Some(slot) = self.slots.get_mut(usize::from(tag) - 1) {
                *slot = Some(pending);
            }
            return Tag(tag);
        }
        self.slots.push(Some(pending));
        // There are never more than the window has, which is a number of 16 bits.
        Tag(u16::try_from(self.slots.len()).unwrap_or(u16::MAX))
    }

    fn give(&mut self, tag: Tag) -> Option<Pending> {
        let pending = self.slots.get_mut(usize::from(tag.0).checked_sub(1)?)?.take()?;
        self.used -= 1;
        self.free.push(tag.0);
        if self.used == 0 && self.slots.capacity() > 64 {
            // Memory of a burst is given back.
            *self = Self::default();
        }
        Some(pending)
    }
}

/// All lanes of a binding.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    slots: Slab<Lane>,
    /// Those that belong to nobody alone.
    shared: Vec<usize>,
    /// When to look whether they are idle, soonest first.
    checks: VecDeque<(Moment, usize, u32)>,
    serials: u32,
}

impl Lanes {
    /// A new lane, which may ask so much before it is accepted.
    pub(super) fn open(&mut self, now: Moment, owner: Option<Remote>, window: usize) -> usize {
        self.serials = self.serials.wrapping_add(1);
        let serial = self.serials;
        let key = self.slots.insert(Lane {
            serial,
            owner,
            open: false,
            paused: false,
            window,
            waiting: Vec::new(),
            tags: Tags::default(),
            abandoned: VecDeque::new(),
            subscriptions: Vec::new(),
            subscribed: 0,
            used: now,
        });
        if owner.is_none() {
            self.shared.push(key);
        }
        self.checks.push_back((now + IDLE, key, serial));
        key
    }

    /// Takes a lane out.
    pub(super) fn close(&mut self, key: usize) -> Option<Lane> {
        self.shared.retain(|known| *known != key);
        self.slots.try_remove(key)
    }

    pub(super) fn get(&self, key: usize) -> Option<&Lane> {
        self.slots.get(key)
    }

    pub(super) fn get_mut(&mut self, key: usize) -> Option<&mut Lane> {
        self.slots.get_mut(key)
    }

    /// A shared lane with room: rather one that is not paused.
    pub(super) fn shared_with_room(&self) -> Option<usize> {
        let mut found = None;
        for key in &self.shared {
            let Some(lane) = self.slots.get(*key).filter(|lane| lane.has_room()) else { continue };
            if !lane.paused {
                return Some(*key);
            }
            found = found.or(Some(*key));
        }
        found
    }

    /// How many lanes are shared.
    pub(super) fn shared(&self) -> usize {
        self.shared.len()
    }

    /// A lane that has been idle for long enough to be closed.
    pub(super) fn pop_idle(&mut self, now: Moment) -> Option<usize> {
        while let Some((due, key, serial)) = self.checks.front().copied()
            && due <= now
        {
            self.checks.pop_front();
            let Some(lane) = self.slots.get(key).filter(|lane| lane.serial == serial) else { continue };
            if lane.is_idle() && lane.used + IDLE <= now {
                return Some(key);
            }
            let next = if lane.is_idle() { lane.used } else { now };
            self.checks.push_back((next + IDLE, key, serial));
        }
        None
    }

    /// When [`Lanes::pop_idle`] has something to look at.
    pub(super) fn next_timeout(&self) -> Option<Moment> {
        self.checks.front().map(|(due, _, _)| *due)
    }
}
