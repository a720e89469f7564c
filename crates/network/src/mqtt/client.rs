//! The client that carries events to brokers, one for each shard.

use super::link::{Link, Owner};
use super::member::BrokerMember;
use crate::dial::Dialer;
use crate::http::client::load_client_tls;
use crate::{Clock, FileReader};
use rustls::ClientConfig as TlsConfig;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;
use windrose_engine::{Answer, Dispatch, DispatchId, ShardId};
use windrose_event::{Outcome, Text};
use windrose_policy::{Limits, Member, MqttPool, MqttVersion, Pool};
use windrose_protocol::mqtt::ClientConfig;
use windrose_protocol::mqtt::codec::Version;

/// How long a broker keeps a session whose connection is lost: longer than any outage that a sender waits through.
const SESSION_EXPIRY: Duration = Duration::from_secs(3600);
/// How long all good-byes together may take.
const GOODBYE: Duration = Duration::from_millis(200);
/// The longest that the answer to CONNECT or PINGREQ may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A shard's sessions with the members of all pools of brokers.
pub struct BrokerClient {
    shard: ShardId,
    clock: Clock,
    node: Arc<str>,
    /// Reads a pool's `ca`; a reload has checked the file before.
    read: FileReader,
    limits: RefCell<Limits>,
    /// By the document's pools; a handful, found by their address in memory.
    pools: RefCell<Vec<PoolEntry>>,
    /// Tells the sessions of a pool from those of the pool as it was before a reload.
    generation: Cell<u32>,
    /// What keeps the sessions connected.
    tasks: RefCell<JoinSet<()>>,
}

struct PoolEntry {
    pool: Arc<Pool>,
    members: Vec<Rc<BrokerMember>>,
}

impl BrokerClient {
    /// A client without sessions. `node` is the node's name; `read` reads the pools' `ca`.
    pub fn new(shard: ShardId, clock: Clock, node: Arc<str>, read: FileReader, limits: Limits) -> Rc<Self> {
        Rc::new(Self {
            shard,
            clock,
            node,
            read,
            limits: RefCell::new(limits),
            pools: RefCell::default(),
            generation: Cell::new(0),
            tasks: RefCell::default(),
        })
    }

    /// Publishes events at a member and calls `done` once with its answer, within the dispatch's time limit.
    /// Must be called on a thread that runs a `LocalSet`.
    pub fn dispatch(self: &Rc<Self>, dispatch: Dispatch, done: impl FnOnce(DispatchId, Answer) + 'static) {
        let member = self.member(&dispatch.pool, dispatch.member);
        tokio::task::spawn_local(async move {
            let Dispatch { id, events, timeout: limit, .. } = dispatch;
            // Brokers take events one by one: a pool of them makes no batches.
            let outcome = match (member, &events[..]) {
                (Some(member), [event]) => member.send(id.0, event, limit).await,
                _ => Outcome::unavailable(),
            };
            done(id, Answer { outcome, reply: None });
        });
    }

    /// A new document: sessions of pools that it no longer has end as soon as what is under way is finished.
    pub fn apply(&self, pools: &[Arc<Pool>], limits: &Limits) {
        let mut entries = self.pools.borrow_mut();
        entries.retain_mut(|entry| match pools.iter().find(|pool| **pool == entry.pool) {
            // The same pool in a new document keeps its sessions, unless its authorities may have changed in the file.
            Some(pool) if pool.ca.is_none() => {
                entry.pool = Arc::clone(pool);
                true
            }
            _ => false,
        });
        *self.limits.borrow_mut() = limits.clone();
    }

    /// Ends all sessions, so that the brokers keep nothing for them; one that does not listen is not waited for.
    pub async fn stop(&self) {
        self.pools.borrow_mut().clear();
        let tasks = self.tasks.take();
        let _ = timeout(GOODBYE, tasks.join_all()).await;
    }

    fn member(&self, pool: &Arc<Pool>, index: usize) -> Option<Rc<BrokerMember>> {
        let mut entries = self.pools.borrow_mut();
        let position = entries.iter().position(|entry| Arc::ptr_eq(&entry.pool, pool));
        let entry = match position {
            Some(position) => entries.get(position)?,
            None => {
                entries.push(PoolEntry { pool: Arc::clone(pool), members: self.members(pool) });
                entries.last()?
            }
        };
        entry.members.get(index).map(Rc::clone)
    }

    fn members(&self, pool: &Arc<Pool>) -> Vec<Rc<BrokerMember>> {
        let Some(options) = &pool.mqtt else { return Vec::new() };
        let tls = self.tls(pool);
        self.generation.set(self.generation.get() + 1);
        let start = |(index, member): (usize, &Member)| {
            let role = format!("{index}-{}", self.generation.get());
            BrokerMember::new(|owner| self.link(pool, options, member, &role, tls.clone(), owner))
        };
        pool.members.iter().enumerate().map(start).collect()
    }

    fn tls(&self, pool: &Pool) -> Option<Arc<TlsConfig>> {
        let tls = load_client_tls(pool, &*self.read);
        if let Err(error) = &tls {
            tracing::warn!(pool = %pool.name, %error, "there can be no session with the pool's mqtts members");
        }
        tls.ok().flatten()
    }

    fn link(
        &self,
        pool: &Pool,
        options: &MqttPool,
        member: &Member,
        role: &str,
        tls: Option<Arc<TlsConfig>>,
        owner: Weak<dyn Owner>,
    ) -> Rc<Link> {
        let dialer = Dialer::new(pool, member, tls);
        let limits = self.limits.borrow();
        let config = ClientConfig {
            version: match options.version {
                MqttVersion::V5 => Version::V5,
                MqttVersion::V311 => Version::V3,
            },
            // Names differ from member to member, because several may be one cluster.
            client_id: format!("{}-{}-{}-{role}", options.client_id, pool.name, self.shard.0).into(),
            username: options.username.as_deref().map(Text::from),
            password: options.password.as_ref().map(|password| password.0.clone().into()),
            session_expiry: SESSION_EXPIRY,
            keep_alive: u16::try_from(options.keep_alive.as_secs()).unwrap_or(u16::MAX),
            answer_timeout: pool.timeout.min(ANSWER_TIMEOUT),
            receive_maximum: limits.receive_maximum,
            packet_bytes: limits.packet_bytes,
            address_levels: limits.address_levels,
            topic_aliases: limits.topic_aliases,
            via: (options.version == MqttVersion::V5).then(|| Text::from(&*self.node)),
            others: true,
        };
        let link = Link::new(pool, member, dialer, self.clock, config, owner);
        let mut tasks = self.tasks.borrow_mut();
        while tasks.try_join_next().is_some() {}
        tasks.spawn_local(Rc::clone(&link).run());
        link
    }
}
