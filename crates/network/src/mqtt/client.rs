//! The client that carries events to brokers, one for each shard.

use super::fetcher::{Fetcher, Road};
use super::link::{Link, Owner};
use super::member::BrokerMember;
use crate::dial::Dialer;
use crate::exchange::ExchangeHost;
use crate::http::client::load_client_tls;
use crate::{Clock, FileReader};
use rustls::ClientConfig as TlsConfig;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;
use windrose_engine::{Answer, Dispatch, DispatchId, Seat};
use windrose_event::{ConnectionId, Filter, Identity, Outcome, Principal, Text};
use windrose_policy::{
    AmqpOptions, Limits, Listener, Member, MqttOptions, MqttPool, MqttVersion, Pool, Protocol, Snapshot,
    Transport,
};
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
    seat: Seat,
    clock: Clock,
    node: Arc<str>,
    /// Reads a pool's `ca`; a reload has checked the file before.
    read: FileReader,
    limits: RefCell<Limits>,
    /// By the document's pools; a handful, found by their address in memory.
    pools: RefCell<Vec<PoolEntry>>,
    /// Tells the sessions of a pool from those of the pool as it was before a reload.
    generation: Cell<u32>,
    /// By which what this shard fetches comes in.
    fetching: RefCell<Vec<FetchEntry>>,
    /// What is wanted from the members of pools, by the pools' names.
    wanted: RefCell<BTreeMap<Arc<str>, BTreeSet<Filter>>>,
    /// The document's pools.
    document: RefCell<Vec<Arc<Pool>>>,
    /// Whose exchanges with the engine they are, by the engine's names for them.
    exchanges: Rc<RefCell<HashMap<ConnectionId, Arc<str>>>>,
    /// What keeps the sessions connected.
    tasks: RefCell<JoinSet<()>>,
}

/// The members of a pool from which this shard fetches.
struct FetchEntry {
    pool: Arc<Pool>,
    members: Vec<Rc<Fetcher>>,
}

struct PoolEntry {
    pool: Arc<Pool>,
    members: Vec<Rc<BrokerMember>>,
}

impl BrokerClient {
    /// A client without sessions; `read` reads the pools' `ca`.
    pub fn new(seat: Seat, clock: Clock, snapshot: &Snapshot, read: FileReader) -> Rc<Self> {
        Rc::new(Self {
            seat,
            clock,
            node: Arc::clone(&snapshot.node.name),
            read,
            limits: RefCell::new(snapshot.limits.clone()),
            fetching: RefCell::default(),
            wanted: RefCell::default(),
            document: RefCell::new(snapshot.pools.clone()),
            exchanges: Rc::default(),
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
    pub fn apply(&self, snapshot: &Snapshot, host: &Rc<dyn ExchangeHost>) {
        let pools = &snapshot.pools;
        *self.limits.borrow_mut() = snapshot.limits.clone();
        self.document.borrow_mut().clone_from(pools);
        self.pools.borrow_mut().retain_mut(|entry| stays(&mut entry.pool, pools));
        // Dropped when nothing is borrowed: their exchanges end in the engine, which may want something at once.
        let gone: Vec<_> =
            self.fetching.borrow_mut().extract_if(.., |entry| !stays(&mut entry.pool, pools)).collect();
        drop(gone);
        for pool in pools {
            if self.wanted.borrow().contains_key(&pool.name) {
                self.fetching(pool, host);
            }
        }
    }

    /// Asks a pool's members for what a filter matches, or no longer.
    pub fn fetch(&self, pool: &Arc<str>, filter: &Filter, wanted: bool, host: &Rc<dyn ExchangeHost>) {
        if wanted {
            self.wanted.borrow_mut().entry(Arc::clone(pool)).or_default().insert(filter.clone());
        } else if let Some(filters) = self.wanted.borrow_mut().get_mut(pool) {
            filters.remove(filter);
        }
        let known = self.document.borrow().iter().find(|known| known.name == *pool).map(Arc::clone);
        let Some(known) = known else { return };
        for member in self.fetching(&known, host) {
            if wanted { member.want(filter) } else { member.leave(filter) }
        }
    }

    /// Who it is that an exchange of ours brings events for.
    pub fn identity(&self, connection: ConnectionId) -> Option<Identity> {
        let name = self.exchanges.borrow().get(&connection).map(Arc::clone)?;
        Some(Identity { principal: Principal::Service { name }, ..Identity::anonymous() })
    }

    /// The node shuts down: nothing more is fetched.
    pub fn drain(&self) {
        self.wanted.borrow_mut().clear();
        self.document.borrow_mut().clear();
        drop(self.fetching.take());
    }

    /// Ends all sessions, so that the brokers keep nothing for them; one that does not listen is not waited for.
    pub async fn stop(&self) {
        self.drain();
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

    /// The members of a pool from which this shard fetches, with all that is wanted subscribed to.
    fn fetching(&self, pool: &Arc<Pool>, host: &Rc<dyn ExchangeHost>) -> Vec<Rc<Fetcher>> {
        let known = self
            .fetching
            .borrow()
            .iter()
            .find(|entry| Arc::ptr_eq(&entry.pool, pool))
            .map(FetchEntry::members);
        known.unwrap_or_else(|| {
            let members = self.fetchers(pool, host);
            let wanted = self.wanted.borrow();
            for filter in wanted.get(&pool.name).into_iter().flatten() {
                members.iter().for_each(|member| member.want(filter));
            }
            let entry = FetchEntry { pool: Arc::clone(pool), members };
            let members = entry.members();
            self.fetching.borrow_mut().push(entry);
            members
        })
    }

    /// Each member has one shard that fetches from it.
    fn fetchers(&self, pool: &Arc<Pool>, host: &Rc<dyn ExchangeHost>) -> Vec<Rc<Fetcher>> {
        let Some(options) = &pool.mqtt else { return Vec::new() };
        let shards = usize::from(self.seat.shards.max(1));
        let own = |(index, _): &(usize, &Member)| index % shards == usize::from(self.seat.shard.0);
        let members: Vec<_> = pool.members.iter().enumerate().filter(own).collect();
        if members.is_empty() {
            return Vec::new();
        }
        let tls = self.tls(pool);
        self.generation.set(self.generation.get() + 1);
        let fetcher = |(index, member): (usize, &Member)| {
            let role = format!("{index}-{}-fetch", self.generation.get());
            let road = self.road(pool, member, host);
            Fetcher::new(road, |owner| self.link(pool, options, member, &role, tls.clone(), owner))
        };
        members.into_iter().map(fetcher).collect()
    }

    fn road(&self, pool: &Arc<Pool>, member: &Member, host: &Rc<dyn ExchangeHost>) -> Road {
        let address = member.host.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let peer = SocketAddr::new(address, member.port);
        let (name, exchanges) = (Arc::clone(&pool.name), Rc::clone(&self.exchanges));
        let listener = Listener {
            name: Arc::clone(&pool.name),
            protocol: Protocol::Mqtt,
            bind: peer,
            transport: Transport::Tcp,
            path: None,
            server_names: Vec::new(),
            proxy_protocol: false,
            tls: None,
            dtls: None,
            mqtt: MqttOptions::default(),
            amqp: AmqpOptions::default(),
        };
        Road {
            host: Rc::clone(host),
            listener: Arc::new(listener),
            peer,
            session: format!("{}/{}", pool.name, member.url).into(),
            introduce: Box::new(move |connection| {
                let mut exchanges = exchanges.borrow_mut();
                // A member has one exchange: those before it are over, as are all in the same place of the engine's table.
                exchanges.retain(|known, _| known.slot != connection.slot);
                exchanges.insert(connection, Arc::clone(&name));
            }),
        }
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
            client_id: format!("{}-{}-{}-{role}", options.client_id, pool.name, self.seat.shard.0).into(),
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

impl FetchEntry {
    fn members(&self) -> Vec<Rc<Fetcher>> {
        self.members.iter().map(Rc::clone).collect()
    }
}

/// Whether a new document has the same pool, which then keeps its sessions, unless its authorities may have changed in
/// their file.
fn stays(pool: &mut Arc<Pool>, pools: &[Arc<Pool>]) -> bool {
    match pools.iter().find(|new| *new == pool) {
        Some(new) if new.ca.is_none() => {
            *pool = Arc::clone(new);
            true
        }
        _ => false,
    }
}
