//! Routes, prepared for finding those that match an address.

use crate::counts::{Counts, RouteIndex};
use crate::pools::PoolKey;
use crate::subscriptions::Trie;
use smallvec::SmallVec;
use std::sync::Arc;
use windrose_policy::{Route, Snapshot};

/// A route of the document, with this shard's keys in place of its names.
#[derive(Debug)]
pub(crate) struct PreparedRoute {
    pub(crate) route: Arc<Route>,
    pub(crate) tally: RouteIndex,
    pub(crate) pool: Option<PoolKey>,
}

/// All routes, in the document's order.
#[derive(Debug, Default)]
pub(crate) struct RouteTable {
    routes: Vec<PreparedRoute>,
    trie: Trie<SmallVec<[u32; 2]>>,
}

impl RouteTable {
    /// Prepares a document's routes; `pools` are its pools' keys.
    pub(crate) fn new(snapshot: &Snapshot, pools: &[PoolKey], counts: &mut Counts) -> Self {
        let mut table = Self::default();
        for (index, route) in (0u32..).zip(&snapshot.routes) {
            table.trie.value_or_default(&route.filter).push(index);
            table.routes.push(PreparedRoute {
                route: route.clone(),
                tally: counts.route(&route.name),
                pool: route.pool.and_then(|pool| pools.get(pool).copied()),
            });
        }
        table
    }

    /// Finds the routes whose filter matches, in the document's order.
    pub(crate) fn matching(&self, address: &[u8], found: &mut SmallVec<[u32; 8]>) {
        found.clear();
        self.trie.matches(address, |_, routes| found.extend_from_slice(routes));
        found.sort_unstable();
    }

    /// A route by what [`RouteTable::matching`] found.
    pub(crate) fn get(&self, index: u32) -> Option<&PreparedRoute> {
        self.routes.get(index as usize)
    }
}
