//! The client that carries events to brokers, one for each shard.

use super::fetcher::{Fetcher, Road};
use super::link::{Link, Owner};
use super::machine::Machine;
use super::member::Member;
use super::{amqp, mqtt};
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
use windrose_engine::{Answer, Dispatch, DispatchId, Reply, ReplyForm, Seat};
use windrose_event::{ConnectionId, Event, Filter, Identity, Outcome, Principal};
use windrose_policy::{
    AmqpOptions, Limits, Listener, Member as Url, MqttOptions, Pool, Protocol, Snapshot, Transport,
};

/// How long all good-byes together may take.
const GOODBYE: Duration = Duration::from_millis(200);

/// Called with an event and what somebody at a broker answered to it.
pub(super) type Replied = Box<dyn FnOnce(&Arc<Event>, Reply)>;

/// A member that events are published at.
#[derive(Clone)]
enum Target {
    Mqtt(Rc<Member<windrose_protocol::mqtt::Client>>),
    Amqp(Rc<Member<windrose_protocol::amqp::client::Client>>),
}

impl Target {
    /// Publishes an event. `replied` is called with what is answered to it, now or later.
    async fn send(
        &self,
        token: u64,
        event: Arc<Event>,
        limit: Duration,
        replied: Option<Replied>,
    ) -> Outcome {
        match self {
            Self::Mqtt(member) => member.send(token, event, limit, replied).await,
            Self::Amqp(member) => member.send(token, event, limit, replied).await,
        }
    }
}

/// A member that events are fetched from.
pub(super) trait Source {
    /// Subscribes, now or as soon as the session is open.
    fn want(&self, filter: &Filter);

    /// Unsubscribes, now or as soon as the session is open.
    fn leave(&self, filter: &Filter);
}

/// Whose session it is, and what for.
pub(super) struct Place<'a> {
    pub(super) node: &'a str,
    pub(super) shard: u16,
    /// The member's place in its pool, and which of the pools of this name it is.
    pub(super) role: String,
    /// Whether events are fetched by it.
    pub(super) fetches: bool,
}

impl Place<'_> {
    /// The session's name. Names differ from member to member, because several may be one cluster.
    pub(super) fn name(&self, client_id: &str, pool: &str) -> String {
        let Self { shard, role, .. } = self;
        let fetch = if self.fetches { "-fetch" } else { "" };
        format!("{client_id}-{pool}-{shard}-{role}{fetch}")
    }
}

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
    members: Vec<Rc<dyn Source>>,
}

struct PoolEntry {
    pool: Arc<Pool>,
    members: Vec<Target>,
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

    /// Publishes events at a member and calls `done` once with its answer, within the dispatch's time limit. `replied` is
    /// called with what is answered to an event that asks for an answer. Must be called on a thread that runs a `LocalSet`.
    pub fn dispatch(
        self: &Rc<Self>,
        dispatch: Dispatch,
        done: impl FnOnce(DispatchId, Answer) + 'static,
        replied: impl FnOnce(Arc<str>, &Arc<Event>, ReplyForm, Reply) + 'static,
    ) {
        let member = self.member(&dispatch.pool, dispatch.member);
        tokio::task::spawn_local(async move {
            let Dispatch { id, pool, mut events, timeout: limit, form, .. } = dispatch;
            // Brokers take events one by one: a pool of them makes no batches.
            let outcome = match (member, events.pop()) {
                (Some(member), Some(event)) if events.is_empty() => {
                    let replied = event.reply_to().is_some().then(|| {
                        let name = Arc::clone(&pool.name);
                        Box::new(move |event: &Arc<Event>, reply| replied(name, event, form, reply))
                            as Replied
                    });
                    member.send(id.0, event, limit, replied).await
                }
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
            if consumes(pool) || self.wanted.borrow().contains_key(&pool.name) {
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

    fn member(&self, pool: &Arc<Pool>, index: usize) -> Option<Target> {
        let mut entries = self.pools.borrow_mut();
        let position = entries.iter().position(|entry| Arc::ptr_eq(&entry.pool, pool));
        let entry = match position {
            Some(position) => entries.get(position)?,
            None => {
                entries.push(PoolEntry { pool: Arc::clone(pool), members: self.members(pool) });
                entries.last()?
            }
        };
        entry.members.get(index).cloned()
    }

    fn members(&self, pool: &Arc<Pool>) -> Vec<Target> {
        let tls = self.tls(pool);
        self.generation.set(self.generation.get() + 1);
        let start = |(index, url): (usize, &Url)| -> Option<Target> {
            let place = self.place(index, false);
            let limits = self.limits.borrow();
            if let Some(options) = &pool.amqp {
                let client = amqp::client(pool, options, url, &limits, &place);
                let member = Member::new(|owner| self.link(pool, url, tls.clone(), client, owner));
                return Some(Target::Amqp(member));
            }
            let client = mqtt::client(pool, pool.mqtt.as_ref()?, &limits, &place);
            Some(Target::Mqtt(Member::new(|owner| self.link(pool, url, tls.clone(), client, owner))))
        };
        pool.members.iter().enumerate().filter_map(start).collect()
    }

    fn place(&self, index: usize, fetches: bool) -> Place<'_> {
        let role = format!("{index}-{}", self.generation.get());
        Place { node: &self.node, shard: self.seat.shard.0, role, fetches }
    }

    /// The members of a pool from which this shard fetches, with all that is wanted subscribed to.
    fn fetching(&self, pool: &Arc<Pool>, host: &Rc<dyn ExchangeHost>) -> Vec<Rc<dyn Source>> {
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
    fn fetchers(&self, pool: &Arc<Pool>, host: &Rc<dyn ExchangeHost>) -> Vec<Rc<dyn Source>> {
        let shards = usize::from(self.seat.shards.max(1));
        let own = |(index, _): &(usize, &Url)| index % shards == usize::from(self.seat.shard.0);
        let members: Vec<_> = pool.members.iter().enumerate().filter(own).collect();
        if members.is_empty() {
            return Vec::new();
        }
        let tls = self.tls(pool);
        self.generation.set(self.generation.get() + 1);
        let start = |(index, url): (usize, &Url)| -> Option<Rc<dyn Source>> {
            let place = self.place(index, true);
            let road = self.road(pool, url, host);
            let limits = self.limits.borrow();
            if let Some(options) = &pool.amqp {
                let client = amqp::client(pool, options, url, &limits, &place);
                return Some(Fetcher::new(road, |owner| self.link(pool, url, tls.clone(), client, owner)));
            }
            let client = mqtt::client(pool, pool.mqtt.as_ref()?, &limits, &place);
            Some(Fetcher::new(road, |owner| self.link(pool, url, tls.clone(), client, owner)))
        };
        members.into_iter().filter_map(start).collect()
    }

    fn road(&self, pool: &Arc<Pool>, member: &Url, host: &Rc<dyn ExchangeHost>) -> Road {
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
            tracing::warn!(pool = %pool.name, %error, "there can be no session with the pool's members that need TLS");
        }
        tls.ok().flatten()
    }

    fn link<M: Machine>(
        &self,
        pool: &Pool,
        member: &Url,
        tls: Option<Arc<TlsConfig>>,
        client: M,
        owner: Weak<dyn Owner>,
    ) -> Rc<Link<M>> {
        let dialer = Dialer::new(pool, member, tls);
        let link = Link::new(pool, member, dialer, self.clock, client, owner);
        let mut tasks = self.tasks.borrow_mut();
        while tasks.try_join_next().is_some() {}
        tasks.spawn_local(Rc::clone(&link).run());
        link
    }
}

impl FetchEntry {
    fn members(&self) -> Vec<Rc<dyn Source>> {
        self.members.iter().map(Rc::clone).collect()
    }
}

/// Whether a pool's members have queues that are consumed from, whoever subscribes here.
fn consumes(pool: &Pool) -> bool {
    pool.amqp.as_ref().is_some_and(|amqp| !amqp.consume.is_empty())
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
