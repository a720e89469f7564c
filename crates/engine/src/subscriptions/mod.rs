//! Subscriptions: who wants what, here and on the other shards.

mod audience;
mod changes;
mod index;
mod shared;
mod trie;

pub(crate) use audience::{ShardSet, Subscriber};
pub(crate) use changes::{Begins, Changes};
pub(crate) use index::{Index, Matches};
pub(crate) use shared::{Change, Headcount, Picked, ShareKey};
pub(crate) use trie::Trie;

use std::sync::Arc;
use windrose_event::{Assurance, Filter};

/// One subscription of a session, as it travels with the session.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    pub(crate) filter: Filter,
    /// The group that shares the work, if any.
    pub(crate) share: Option<Arc<ShareKey>>,
    pub(crate) options: Options,
}

impl Subscription {
    /// Whether this is the subscription to `filter`, alone or in `group`.
    pub(crate) fn is(&self, filter: &Filter, group: Option<&str>) -> bool {
        self.filter == *filter && self.share.as_ref().map(|share| &*share.group) == group
    }
}

/// How events are delivered for a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// At most how surely.
    pub(crate) assurance: Assurance,
    /// Whether the session's own events are left out.
    pub(crate) no_local: bool,
    /// Whether events keep their `retain` flag as published.
    pub(crate) retain_as_published: bool,
    /// Whether an event that other subscriptions of the session match, too, comes once more for this one.
    pub(crate) own_copy: bool,
    /// The subscriber's own number for it; zero: none.
    pub(crate) identifier: u32,
}
