//! What was promised to whom, and whether it was kept.

use super::Ending;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use windrose_event::Moment;

/// How many notes are told with a failure.
const NOTES: usize = 300;

/// One publication of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PubId(pub u64);

/// Where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To a service, which must take it before it is acknowledged.
    Delivered,
    /// To the observers of this group.
    Observed(u32),
}

#[derive(Debug)]
struct Publication {
    way: Way,
    confirmable: bool,
    sent: Moment,
    taken: bool,
    acknowledged: bool,
}

#[derive(Debug, Default)]
struct Observer {
    group: u32,
    /// Since when it has been observing for certain.
    since: Option<Moment>,
    had: HashSet<PubId>,
    /// What it must still be told.
    owed: BTreeSet<PubId>,
}

/// The record of a run.
#[derive(Debug, Default)]
pub struct Record {
    publications: HashMap<PubId, Publication>,
    observers: HashMap<u32, Observer>,
    pub(super) ending: Ending,
    /// The first broken promise.
    pub violation: Option<String>,
    told: bool,
    notes: VecDeque<String>,
}

impl Record {
    pub(super) fn new(told: bool) -> Self {
        Self { told, ..Self::default() }
    }

    /// Something happened.
    pub(super) fn note(&mut self, now: Moment, note: impl FnOnce() -> String) {
        if self.told {
            if self.notes.len() == NOTES {
                self.notes.pop_front();
            }
            self.notes.push_back(format!("{:>12} {}", now.as_micros(), note()));
        }
    }

    /// A promise is broken.
    pub(super) fn fail(&mut self, what: String) {
        if self.violation.is_none() {
            let notes: Vec<String> = self.notes.iter().cloned().collect();
            self.violation = Some(format!("{what}\n{}", notes.join("\n")));
        }
    }

    pub(super) fn published(&mut self, now: Moment, id: PubId, way: Way, confirmable: bool) {
        self.ending.published += 1;
        let publication = Publication { way, confirmable, sent: now, taken: false, acknowledged: false };
        self.publications.insert(id, publication);
    }

    /// The node acknowledged a publication to its thing.
    pub(super) fn acknowledged(&mut self, id: PubId) {
        let Some(publication) = self.publications.get_mut(&id) else {
            return self.fail(format!("{id:?} is acknowledged, which nobody published"));
        };
        self.ending.acknowledged += 1;
        publication.acknowledged = true;
        match publication.way {
            Way::Delivered if !publication.taken => {
                self.fail(format!("{id:?} is acknowledged, and no service has taken it"));
            }
            Way::Observed(group) if publication.confirmable => {
                let sent = publication.sent;
                for observer in self.observers.values_mut() {
                    let watched = observer.since.is_some_and(|since| since < sent);
                    if observer.group == group && watched && !observer.had.contains(&id) {
                        observer.owed.insert(id);
                    }
                }
            }
            _ => {}
        }
    }

    /// The node refused a publication: the thing would try again later, which is another one here.
    pub(super) fn refused(&mut self) {
        self.ending.refused += 1;
    }

    /// A service has taken an event.
    pub(super) fn taken(&mut self, id: PubId) {
        self.ending.taken += 1;
        match self.publications.get_mut(&id) {
            Some(publication) if publication.taken => self.fail(format!("{id:?} is taken twice")),
            Some(publication) if publication.way == Way::Delivered => publication.taken = true,
            _ => self.fail(format!("{id:?} is taken, and not for a service")),
        }
    }

    /// An observer's registration was answered.
    pub(super) fn observing(&mut self, now: Moment, thing: u32, group: u32) {
        let observer = self.observers.entry(thing).or_default();
        observer.group = group;
        observer.since.get_or_insert(now);
    }

    /// The node may have given an observer up: what it is owed is not known any more, until it registers again.
    pub(super) fn given_up(&mut self, thing: u32) {
        if let Some(observer) = self.observers.get_mut(&thing) {
            observer.since = None;
            observer.owed.clear();
        }
    }

    /// An observer is told of an event, in a message that it has not had before.
    pub(super) fn told(&mut self, thing: u32, id: PubId) {
        let way = self.publications.get(&id).map(|publication| publication.way);
        let Some(observer) = self.observers.get_mut(&thing) else { return };
        if way != Some(Way::Observed(observer.group)) {
            return self.fail(format!("thing {thing} is told of {id:?}, which is not for it"));
        }
        observer.owed.remove(&id);
        if !observer.had.insert(id) {
            return self.fail(format!("thing {thing} is told of {id:?} twice"));
        }
        self.ending.told += 1;
    }

    /// Everything has come to rest.
    pub(super) fn finish(&mut self) {
        let owing = self.observers.iter().find(|(_, observer)| !observer.owed.is_empty());
        if let Some((thing, observer)) = owing {
            let what = format!("thing {thing} is never told of {:?}, which were acknowledged", observer.owed);
            self.fail(what);
        }
        let lost = self.publications.iter().find(|(_, publication)| {
            publication.acknowledged && publication.way == Way::Delivered && !publication.taken
        });
        if let Some((id, _)) = lost {
            let what = format!("{id:?} is acknowledged and lost");
            self.fail(what);
        }
    }
}
