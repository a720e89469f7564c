//! The client that carries events to the members of pools, one for each shard.

pub use super::tls::{ClientTlsError, load_client_tls};

use super::flight::Flight;
use super::http1::Buffers;
use super::member::MemberClient;
use super::vouch::Vouching;
use crate::{Clock, FileReader};
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use windrose_engine::{Answer, Dispatch, DispatchId};
use windrose_event::Outcome;
use windrose_identity::TokenSigner;
use windrose_policy::Pool;

/// How often idle connections are looked at.
const SWEEP: Duration = Duration::from_secs(10);

/// A shard's connections to all members of all pools.
pub struct PoolClient {
    node: Arc<str>,
    /// Reads a pool's `ca`; a reload has checked the file before.
    read: FileReader,
    /// Signs identity tokens for pools that want them.
    signer: Arc<TokenSigner>,
    clock: Clock,
    /// By the document's pools; a handful, found by their address in memory.
    pools: RefCell<Vec<PoolEntry>>,
    buffers: Rc<Buffers>,
    sweeping: Cell<bool>,
}

struct PoolEntry {
    pool: Arc<Pool>,
    members: Vec<Rc<MemberClient>>,
}

impl PoolClient {
    /// A client without connections. `node` is the node's name in the `source` of events; `read` reads the pools' `ca`; `signer` signs
    /// identity tokens.
    pub fn new(node: Arc<str>, read: FileReader, signer: Arc<TokenSigner>) -> Rc<Self> {
        Rc::new(Self {
            node,
            read,
            signer,
            clock: Clock::start(),
            pools: RefCell::default(),
            buffers: Buffers::new(),
            sweeping: Cell::new(false),
        })
    }

    /// Sends events to a member and calls `done` once with its answer, within the dispatch's time limit.
    /// Must be called on a thread that runs a `LocalSet`.
    pub fn dispatch(self: &Rc<Self>, dispatch: Dispatch, done: impl FnOnce(DispatchId, Answer) + 'static) {
        self.sweep();
        match self.member(&dispatch.pool, dispatch.member) {
            Some(member) => member.send(Flight::new(dispatch, Rc::clone(&member), done)),
            None => {
                // Not before this returns: the engine is amid what follows from something else.
                let answer = Answer { outcome: Outcome::unavailable(), reply: None };
                tokio::task::spawn_local(async move { done(dispatch.id, answer) });
            }
        }
    }

    /// Closes the idle connections of pools that a new document no longer has. What is under way is finished.
    pub fn retain_pools(&self, pools: &[Arc<Pool>]) {
        let mut entries = self.pools.borrow_mut();
        entries.retain_mut(|entry| match pools.iter().find(|pool| **pool == entry.pool) {
            // The same pool in a new document keeps its connections, unless its authorities may have changed in the file.
            Some(pool) if pool.ca.is_none() => {
                entry.pool = Arc::clone(pool);
                true
            }
            _ => false,
        });
    }

    fn member(&self, pool: &Arc<Pool>, index: usize) -> Option<Rc<MemberClient>> {
        let mut entries = self.pools.borrow_mut();
        let position = entries.iter().position(|entry| Arc::ptr_eq(&entry.pool, pool));
        let entry = match position {
            Some(position) => &entries[position],
            None => {
                let tls = load_client_tls(pool, &*self.read);
                if let Err(error) = &tls {
                    tracing::warn!(pool = %pool.name, %error, "no event can be sent to the pool's https members");
                }
                let tls = tls.ok().flatten();
                let vouching = Vouching::of(pool, &self.signer, self.clock);
                let client = |member| {
                    let (node, buffers) = (Arc::clone(&self.node), Rc::clone(&self.buffers));
                    MemberClient::new(node, pool, member, tls.clone(), buffers, vouching.clone())
                };
                let members = pool.members.iter().map(client).collect();
                entries.push(PoolEntry { pool: Arc::clone(pool), members });
                entries.last()?
            }
        };
        entry.members.get(index).map(Rc::clone)
    }

    /// Closes connections that were idle for long, from now on and as long as this client lives.
    fn sweep(self: &Rc<Self>) {
        if self.sweeping.replace(true) {
            return;
        }
        let client: Weak<Self> = Rc::downgrade(self);
        tokio::task::spawn_local(async move {
            loop {
                sleep(SWEEP).await;
                let Some(client) = client.upgrade() else { break };
                for entry in client.pools.borrow().iter() {
                    entry.members.iter().for_each(|member| member.close_idle());
                }
            }
        });
    }
}
