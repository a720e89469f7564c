//! The client that carries events to services over CoAP, one for each shard.

use super::member::ServiceMember;
use crate::Clock;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use windrose_engine::{Answer, Dispatch, DispatchId};
use windrose_event::Outcome;
use windrose_policy::{Pool, Snapshot};

/// A shard's sockets to the members of all pools that speak CoAP.
pub struct ServiceClient {
    clock: Clock,
    node: Arc<str>,
    /// By the document's pools; a handful, found by their address in memory.
    pools: RefCell<Vec<PoolEntry>>,
    /// The largest answer that is taken, in bytes: `limits.payload_bytes`.
    payload_bytes: std::cell::Cell<u32>,
}

struct PoolEntry {
    pool: Arc<Pool>,
    members: Vec<Rc<ServiceMember>>,
}

impl ServiceClient {
    /// A client without sockets.
    pub fn new(clock: Clock, snapshot: &Snapshot) -> Rc<Self> {
        Rc::new(Self {
            clock,
            node: Arc::clone(&snapshot.node.name),
            pools: RefCell::default(),
            payload_bytes: snapshot.limits.payload_bytes.into(),
        })
    }

    /// Sends an event to a member and calls `done` once with its answer, within the dispatch's time limit.
    /// Must be called on a thread that runs a `LocalSet`.
    pub fn dispatch(self: &Rc<Self>, dispatch: Dispatch, done: impl FnOnce(DispatchId, Answer) + 'static) {
        let member = self.member(&dispatch.pool, dispatch.member);
        tokio::task::spawn_local(async move {
            let Dispatch { id, events, timeout: limit, .. } = dispatch;
            // A request has one event: a pool of such services makes no batches.
            let answer = match (member, &events[..]) {
                (Some(member), [event]) => member.send(event, limit).await,
                _ => Answer { outcome: Outcome::unavailable(), reply: None },
            };
            done(id, answer);
        });
    }

    /// A new document: sockets of pools that it no longer has are closed as soon as what is under way is finished.
    pub fn apply(&self, snapshot: &Snapshot) {
        self.payload_bytes.set(snapshot.limits.payload_bytes);
        self.pools.borrow_mut().retain_mut(|entry| {
            let kept = snapshot.pools.iter().find(|pool| **pool == entry.pool);
            kept.map(|pool| entry.pool = Arc::clone(pool)).is_some()
        });
    }

    fn member(&self, pool: &Arc<Pool>, index: usize) -> Option<Rc<ServiceMember>> {
        let mut entries = self.pools.borrow_mut();
        let position = entries.iter().position(|entry| Arc::ptr_eq(&entry.pool, pool));
        let entry = match position {
            Some(position) => entries.get(position)?,
            None => {
                let member = |member| {
                    ServiceMember::new(self.clock, &self.node, pool, member, self.payload_bytes.get())
                };
                let members = pool.members.iter().map(member).collect();
                entries.push(PoolEntry { pool: Arc::clone(pool), members });
                entries.last()?
            }
        };
        entry.members.get(index).map(Rc::clone)
    }
}
