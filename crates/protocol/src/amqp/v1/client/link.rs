//! Links of the one session (part 2 §2.6).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use windrose_event::{Event, Filter};

/// A link, by our handle.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) purpose: Purpose,
    /// Whether the server's attach came.
    pub(super) attached: bool,
    /// Deliveries so far, as the link's sender counts them.
    pub(super) count: u32,
    /// How many more may be sent, or were allowed to be.
    pub(super) credit: u32,
    /// Of what we receive: how many are not settled.
    pub(super) unsettled: u32,
}

/// What a link is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// We send to an address, or to where each message says.
    Send {
        address: Option<String>,
        /// What waits for the link's credit.
        waiting: VecDeque<(u64, Arc<Event>)>,
    },
    /// What a filter matches.
    Subscription { identifier: u32, filter: Filter },
    /// A queue of the document's.
    Queue { address: String },
    /// Answers.
    Replies,
}

/// All links.
#[derive(Debug, Default)]
pub(super) struct Links {
    ours: BTreeMap<u32, Link>,
    /// By the server's handles.
    theirs: HashMap<u32, u32>,
    /// Where the last number for a name is.
    numbers: u32,
    /// Senders that are attached, or to be, by address, least recently used first.
    recent: VecDeque<Option<String>>,
}

impl Links {
    /// A new link; its name is one that no other had.
    pub(super) fn open(&mut self, container: &str, purpose: Purpose) -> (u32, &Link) {
        let handle = (0..).find(|handle| !self.ours.contains_key(handle)).unwrap_or(0);
        self.numbers += 1;
        if let Purpose::Send { address, .. } = &purpose {
            self.recent.push_back(address.clone());
        }
        let name = format!("{container}-{}", self.numbers);
        let link = Link { name, purpose, attached: false, count: 0, credit: 0, unsettled: 0 };
        (handle, self.ours.entry(handle).or_insert(link))
    }

    pub(super) fn len(&self) -> usize {
        self.ours.len()
    }

    pub(super) fn get_mut(&mut self, handle: u32) -> Option<&mut Link> {
        self.ours.get_mut(&handle)
    }

    /// The server attaches its end of a link: ours of that name.
    pub(super) fn attach(&mut self, name: &str, theirs: u32) -> Option<(u32, &mut Link)> {
        let (handle, link) = self.ours.iter_mut().find(|(_, link)| link.name == name && !link.attached)?;
        self.theirs.insert(theirs, *handle);
        link.attached = true;
        Some((*handle, link))
    }

    /// Our handle for a link that the server names by its own.
    pub(super) fn ours(&self, theirs: u32) -> Option<u32> {
        self.theirs.get(&theirs).copied()
    }

    pub(super) fn remove(&mut self, handle: u32) -> Option<Link> {
        self.theirs.retain(|_, ours| *ours != handle);
        let link = self.ours.remove(&handle)?;
        if let Purpose::Send { address, .. } = &link.purpose {
            self.recent.retain(|known| known != address);
        }
        Some(link)
    }

    /// The sender to an address, if there is one.
    pub(super) fn sender(&mut self, wanted: Option<&str>) -> Option<u32> {
        let is_it = |link: &Link| matches!(&link.purpose, Purpose::Send { address, .. } if address.as_deref() == wanted);
        let handle = *self.ours.iter().find(|(_, link)| is_it(link))?.0;
        if self.recent.back().is_some_and(|last| last.as_deref() != wanted) {
            self.recent.retain(|known| known.as_deref() != wanted);
            self.recent.push_back(wanted.map(str::to_owned));
        }
        Some(handle)
    }

    /// The senders, least recently used first.
    pub(super) fn senders(&self) -> impl Iterator<Item = u32> {
        let handle = |address: &Option<String>| {
            let is_it = |link: &Link| matches!(&link.purpose, Purpose::Send { address: known, .. } if known == address);
            self.ours.iter().find(|(_, link)| is_it(link)).map(|(handle, _)| *handle)
        };
        self.recent.iter().filter_map(handle)
    }

    /// The subscription to a filter.
    pub(super) fn subscription(&self, wanted: &Filter) -> Option<u32> {
        let is_it =
            |link: &Link| matches!(&link.purpose, Purpose::Subscription { filter, .. } if filter == wanted);
        self.ours.iter().find(|(_, link)| is_it(link)).map(|(handle, _)| *handle)
    }

    /// All of them, given up.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Link> + use<> {
        self.theirs.clear();
        self.recent.clear();
        std::mem::take(&mut self.ours).into_values()
    }
}
