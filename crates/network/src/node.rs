//! The node: its shards' threads, and the words that reach all of them: a new document, a drain, a question.

use crate::dtls::NodeKeys;
use crate::http::client::load_client_tls;
use crate::listen::{BindError, Listening};
use crate::shard::{Candidates, Inbox, Link, Place, Shard, ShardParts, accept, candidates, links};
use crate::sys::keep_told;
use crate::tls::{TlsTable, keep_stapled};
use crate::{Clock, Directory};
use bytes::Bytes;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, LocalSet};
use windrose_engine::{Input, Keeper, KeeperFigures, Kept, Seat, ShardId, ShardMessage, Tally};
use windrose_event::{Address, Enrolment, IdentityChange, Registry};
use windrose_identity::TokenSigner;
use windrose_policy::{Listener, Snapshot};
use windrose_protocol::coap::Sources;

/// Commands that wait for one shard.
const COMMANDS: usize = 64;

/// How often a start looks whether it is complete.
const RECOVERY_LOOK: Duration = Duration::from_millis(2);

/// How often a drain looks whether it is complete.
const DRAIN_LOOK: Duration = Duration::from_millis(20);

/// Threads of one shard that verify passwords: each takes a core for as long as it works.
const BLOCKING_THREADS: usize = 2;

/// Addresses whose datagrams are remembered until they have shown themselves (RFC 9175 §2.4): a megabyte. Some share a place
/// when there are more.
const SOURCES: usize = 1 << 17;

/// What a node is made of.
pub struct NodeParts {
    /// The document.
    pub snapshot: Arc<Snapshot>,
    /// Answers who somebody is.
    pub registry: Arc<dyn Registry>,
    /// Gives out certificates.
    pub enrolment: Arc<dyn Enrolment>,
    /// Signs identity tokens for pools that want them.
    pub signer: Arc<TokenSigner>,
    /// Reads the files that the document names (certificates).
    pub read: FileReader,
    /// Drives jitter and identifiers: random bits, fresh at every start.
    pub seed: u64,
    /// What outlives the process and who sees to it, if anything does (`node.persistence`).
    pub journal: Option<Journal>,
}

/// A keeper, and what it kept.
pub struct Journal {
    /// Stores records.
    pub keeper: Arc<dyn Keeper>,
    /// What was stored before this start.
    pub kept: Kept,
}

/// Reads a file whole.
pub type FileReader = Arc<dyn Fn(&Path) -> io::Result<Vec<u8>> + Send + Sync>;

/// A running node.
pub struct Node {
    shards: Vec<ShardHandle>,
    tls: Arc<TlsTable>,
    read: FileReader,
    keeper: Option<Arc<dyn Keeper>>,
    /// Held while shards are told of changes of identities: all hear of them in the same order.
    changing: tokio::sync::Mutex<()>,
    /// How often the node tells its state (`node.sys_interval`).
    sys_interval: watch::Sender<Duration>,
    /// Shows clients its authority's word about the node's certificates.
    stapling: Mutex<Option<AbortHandle>>,
    /// What is listened on, by the document's address.
    bound: Mutex<BTreeMap<Place, Bound>>,
}

struct Bound {
    candidates: Candidates,
    /// The address in fact: differs where the document says port 0.
    address: SocketAddr,
}

struct ShardHandle {
    commands: mpsc::Sender<Command>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

enum Command {
    Apply { snapshot: Arc<Snapshot>, sockets: Vec<(Place, Listening)>, done: oneshot::Sender<()> },
    Tally(oneshot::Sender<Tally>),
    State(Vec<(Address, Bytes)>),
    RegistryChanged,
    IdentitiesChanged(Arc<[IdentityChange]>),
    Drain,
    IsRecovered(oneshot::Sender<bool>),
    IsIdle(oneshot::Sender<bool>),
    Stop,
}

impl Node {
    /// Starts the shards and listens. Either everything that the document asks for works, or nothing is left running
    /// and every reason is returned.
    pub async fn start(parts: NodeParts) -> Result<Self, Vec<String>> {
        let NodeParts { snapshot, registry, enrolment, signer, read, seed, journal } = parts;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let count = snapshot.node.shards.unwrap_or(cores).clamp(1, 64);
        let count = u16::try_from(count).unwrap_or(64);
        let tls = Arc::new(TlsTable::default());
        let clock = Clock::start();
        let directory = Arc::new(Directory::default());
        let sources = Arc::new(Sources::new(SOURCES, random()?));
        let node_keys = Arc::new(NodeKeys::new(&random()?));
        let (senders, inboxes) = links(count);
        let (keeper, kept) = match journal {
            Some(Journal { keeper, kept }) => (Some(keeper), kept.split(count)),
            None => (None, Vec::new()),
        };
        let mut kept = kept.into_iter();
        let mut shards = Vec::with_capacity(inboxes.len());
        for (index, inbox) in (0..count).zip(inboxes) {
            let (commands, received) = mpsc::channel(COMMANDS);
            let seat = Seat { shard: ShardId(index), shards: count };
            let journal = keeper.as_ref().map(|keeper| {
                let (stored, told) = watch::channel(0);
                keeper.attach(
                    ShardId(index),
                    Box::new(move |record| {
                        stored.send_replace(record);
                    }),
                );
                let kept = kept.next().unwrap_or_default();
                for session in &kept.sessions {
                    directory.claim(&session.session.name, ShardId(index));
                }
                ShardJournal { keeper: Arc::clone(keeper), kept, told }
            });
            let make = ShardMaker {
                seat,
                seed: seed ^ u64::from(index).wrapping_mul(0x9e37_79b9_7f4a_7c15),
                clock,
                snapshot: Arc::clone(&snapshot),
                directory: Arc::clone(&directory),
                registry: Arc::clone(&registry),
                enrolment: Arc::clone(&enrolment),
                signer: Arc::clone(&signer),
                tls: Arc::clone(&tls),
                read: Arc::clone(&read),
                sources: Arc::clone(&sources),
                node_keys: Arc::clone(&node_keys),
                senders: senders.clone(),
                journal,
            };
            let thread = std::thread::Builder::new()
                .name(format!("shard-{index}"))
                .spawn(move || run(make, inbox, received))
                .map_err(|error| vec![format!("cannot start a shard's thread: {error}")])?;
            shards.push(ShardHandle { commands, thread: Mutex::new(Some(thread)) });
        }
        let (sys_interval, told) = watch::channel(Duration::ZERO);
        let node = Self {
            shards,
            tls,
            read,
            keeper,
            changing: tokio::sync::Mutex::default(),
            sys_interval,
            stapling: Mutex::default(),
            bound: Mutex::default(),
        };
        node.recovered().await;
        match node.apply(snapshot).await {
            Ok(()) => {
                node.registry_changed().await;
                tokio::spawn(keep_told(node.way(), told));
                *node.stapling.lock().unwrap_or_else(PoisonError::into_inner) = Some(
                    tokio::spawn(keep_stapled(Arc::clone(&node.tls), enrolment, move || clock.now().wall))
                        .abort_handle(),
                );
                Ok(node)
            }
            Err(errors) => {
                node.stop().await;
                Err(errors)
            }
        }
    }

    /// Waits until every shard knows of all sessions that were kept: from then on nobody who publishes misses them.
    async fn recovered(&self) {
        for shard in &self.shards {
            loop {
                let (answer, asked) = oneshot::channel();
                let sent = shard.commands.send(Command::IsRecovered(answer)).await.is_ok();
                if !sent || asked.await.unwrap_or(true) {
                    break;
                }
                tokio::time::sleep(RECOVERY_LOOK).await;
            }
        }
    }

    /// Puts a document into force, whole or not at all. Connections stay as they are; listeners that are new listen,
    /// listeners that are gone no longer do.
    pub async fn apply(&self, snapshot: Arc<Snapshot>) -> Result<(), Vec<String>> {
        let mut errors = Vec::new();
        let tls = self
            .tls
            .prepare(&snapshot, &*self.read)
            .map_err(|bad| bad.iter().map(ToString::to_string).collect());
        for pool in &snapshot.pools {
            if let Err(error) = load_client_tls(pool, &*self.read) {
                errors.push(error.to_string());
            }
        }
        let mut sockets: Vec<Vec<(Place, Listening)>> = self.shards.iter().map(|_| Vec::new()).collect();
        let mut added = BTreeMap::new();
        for (place, candidates) in candidates(&snapshot) {
            let bound = self.bound().get(&place).map(|bound| bound.address);
            match bound.map_or_else(|| self.listen(&place, &mut sockets), Ok) {
                Ok(address) => drop(added.insert(place, Bound { candidates, address })),
                Err(error) => {
                    let (listener, bind) = (Arc::clone(&candidates.first().name), place.bind);
                    errors.push(BindError { listener, bind, error }.to_string());
                }
            }
        }
        let tls = match tls {
            Ok(tls) if errors.is_empty() => tls,
            Ok(_) => return Err(errors),
            Err(bad) => {
                errors.extend::<Vec<String>>(bad);
                return Err(errors);
            }
        };
        self.tls.apply(tls);
        *self.bound() = added;
        for (shard, sockets) in self.shards.iter().zip(sockets) {
            let (done, finished) = oneshot::channel();
            let command = Command::Apply { snapshot: Arc::clone(&snapshot), sockets, done };
            if shard.commands.send(command).await.is_err() || finished.await.is_err() {
                return Err(vec!["a shard has stopped; restart the node".to_owned()]);
            }
        }
        self.sys_interval.send_if_modified(|interval| {
            std::mem::replace(interval, snapshot.node.sys_interval) != snapshot.node.sys_interval
        });
        Ok(())
    }

    /// The registry knows others than before: devices that are servers may have come and gone.
    pub async fn registry_changed(&self) {
        for shard in &self.shards {
            // A shard that has stopped asks nobody.
            let _ = shard.commands.send(Command::RegistryChanged).await;
        }
    }

    /// What is known of some, or of their credentials, is not as it was: their sessions follow, on every protocol. Returns
    /// when every shard has been told.
    pub async fn identities_changed(&self, changes: Arc<[IdentityChange]>) {
        let _in_order = self.changing.lock().await;
        for shard in &self.shards {
            // A shard that has stopped has no sessions.
            let _ = shard.commands.send(Command::IdentitiesChanged(Arc::clone(&changes))).await;
        }
    }

    fn listen(&self, place: &Place, sockets: &mut [Vec<(Place, Listening)>]) -> io::Result<SocketAddr> {
        let bound = Listening::bind(place.bind, place.is_udp, self.shards.len())?;
        let address = bound.first().map_or(Ok(place.bind), Listening::local_addr)?;
        for (shard, socket) in sockets.iter_mut().zip(bound) {
            shard.push((place.clone(), socket));
        }
        Ok(address)
    }

    /// What is listened on: listeners and their addresses in fact.
    pub fn addresses(&self) -> Vec<(Arc<Listener>, SocketAddr)> {
        let bound = self.bound();
        let all = bound.values().flat_map(|bound| {
            bound.candidates.listeners().map(|listener| (Arc::clone(listener), bound.address))
        });
        all.collect()
    }

    /// Every shard's counts.
    pub async fn tallies(&self) -> Vec<Tally> {
        self.way().tallies().await
    }

    fn way(&self) -> Shards {
        Shards(self.shards.iter().map(|shard| shard.commands.clone()).collect())
    }

    /// What the keeper of the journal says of itself, if there is one.
    pub fn journal(&self) -> Option<KeeperFigures> {
        self.keeper.as_ref().map(|keeper| keeper.figures())
    }

    /// Stops accepting, finishes what is in flight, tells the peers. `true` if all of it was done within `deadline`.
    pub async fn drain(&self, deadline: Duration) -> bool {
        let start = Instant::now();
        for shard in &self.shards {
            let _ = shard.commands.send(Command::Drain).await;
        }
        loop {
            let mut idle = true;
            for shard in &self.shards {
                let (answer, asked) = oneshot::channel();
                let sent = shard.commands.send(Command::IsIdle(answer)).await.is_ok();
                idle &= !sent || asked.await.unwrap_or(true);
            }
            if idle || start.elapsed() >= deadline {
                return idle;
            }
            tokio::time::sleep(DRAIN_LOOK).await;
        }
    }

    /// Ends the shards' threads. What is still open is cut.
    pub async fn stop(&self) {
        if let Some(stapling) = self.stapling.lock().unwrap_or_else(PoisonError::into_inner).take() {
            stapling.abort();
        }
        for shard in &self.shards {
            let _ = shard.commands.send(Command::Stop).await;
        }
        for shard in &self.shards {
            let thread = shard.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(thread) = thread {
                let _ = tokio::task::spawn_blocking(move || thread.join()).await;
            }
        }
        if let Some(keeper) = self.keeper.clone() {
            let _ = tokio::task::spawn_blocking(move || keeper.close()).await;
        }
    }

    fn bound(&self) -> std::sync::MutexGuard<'_, BTreeMap<Place, Bound>> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A secret that lasts as long as the process.
fn random() -> Result<[u8; 32], Vec<String>> {
    let mut secret = [0; 32];
    let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    let failed = |_| vec!["the system gives no random numbers; restart the node".to_owned()];
    random.fill(&mut secret).map_err(failed)?;
    Ok(secret)
}

/// A way to all shards, for what goes on beside them.
pub(crate) struct Shards(Vec<mpsc::Sender<Command>>);

impl Shards {
    /// Every shard's counts.
    pub(crate) async fn tallies(&self) -> Vec<Tally> {
        let mut tallies = Vec::with_capacity(self.0.len());
        for shard in &self.0 {
            let (answer, asked) = oneshot::channel();
            if shard.send(Command::Tally(answer)).await.is_ok()
                && let Ok(tally) = asked.await
            {
                tallies.push(tally);
            }
        }
        tallies
    }

    /// Tells every shard what the node tells of itself.
    pub(crate) async fn tell(&self, values: &[(Address, Bytes)]) {
        for shard in &self.0 {
            let _ = shard.send(Command::State(values.to_vec())).await;
        }
    }
}

/// What a shard's thread makes its shard of: all of it may cross threads.
struct ShardMaker {
    seat: Seat,
    seed: u64,
    clock: Clock,
    snapshot: Arc<Snapshot>,
    directory: Arc<Directory>,
    registry: Arc<dyn Registry>,
    enrolment: Arc<dyn Enrolment>,
    signer: Arc<TokenSigner>,
    tls: Arc<TlsTable>,
    read: FileReader,
    sources: Arc<Sources>,
    node_keys: Arc<NodeKeys>,
    senders: Vec<mpsc::Sender<(ShardId, Vec<ShardMessage>)>>,
    journal: Option<ShardJournal>,
}

/// One shard's part of the journal.
struct ShardJournal {
    keeper: Arc<dyn Keeper>,
    kept: Kept,
    /// How far its records are stored.
    told: watch::Receiver<u64>,
}

/// A shard's thread.
fn run(make: ShardMaker, inbox: Inbox, commands: mpsc::Receiver<Command>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "a shard's runtime cannot start");
            return;
        }
    };
    let local = LocalSet::new();
    local.block_on(&runtime, async move {
        let own = make.seat.shard;
        let links = make
            .senders
            .into_iter()
            .zip(0..)
            .map(|(sender, index)| (ShardId(index) != own).then(|| Link::new(sender)));
        let shard = Shard::new(ShardParts {
            seat: make.seat,
            seed: make.seed,
            clock: make.clock,
            snapshot: make.snapshot,
            directory: make.directory,
            registry: make.registry,
            enrolment: make.enrolment,
            signer: make.signer,
            tls: make.tls,
            read: make.read,
            sources: make.sources,
            node_keys: make.node_keys,
            links: links.collect(),
            keeper: make.journal.as_ref().map(|journal| Arc::clone(&journal.keeper)),
        });
        if let Some(ShardJournal { kept, told, .. }) = make.journal {
            shard.recover(kept);
            tokio::task::spawn_local(hear_stored(Rc::clone(&shard), told));
        }
        tokio::task::spawn_local(Rc::clone(&shard).keep_time());
        tokio::task::spawn_local(Rc::clone(&shard).keep_writing());
        tokio::task::spawn_local(hear(Rc::clone(&shard), inbox));
        obey(shard, commands).await;
    });
}

/// Takes the other shards' messages.
async fn hear(shard: Rc<Shard>, mut inbox: Inbox) {
    while let Some((from, messages)) = inbox.recv().await {
        if messages.iter().any(|message| matches!(message, ShardMessage::Take { .. })) {
            // What the session's old connection sent before its new one came is read first: a good-bye above all, or
            // its will would be published.
            tokio::task::yield_now().await;
        }
        shard.messages(from, messages);
    }
}

/// Takes the keeper's word how far records are stored.
async fn hear_stored(shard: Rc<Shard>, mut told: watch::Receiver<u64>) {
    while told.changed().await.is_ok() {
        let record = *told.borrow_and_update();
        shard.input(Input::Stored(record));
    }
}

/// The accepting task of a place. Its listeners may be replaced by a reload while its socket stays.
struct Accepting {
    candidates: Rc<RefCell<Rc<Candidates>>>,
    task: AbortHandle,
}

/// Does as the node says, until it says stop.
async fn obey(shard: Rc<Shard>, mut commands: mpsc::Receiver<Command>) {
    let mut accepting: BTreeMap<Place, Accepting> = BTreeMap::new();
    while let Some(command) = commands.recv().await {
        match command {
            Command::Apply { snapshot, sockets, done } => {
                shard.apply(Arc::clone(&snapshot));
                reconcile(&shard, &mut accepting, &snapshot, sockets);
                let _ = done.send(());
            }
            Command::Tally(answer) => drop(answer.send(shard.tally())),
            Command::State(values) => shard.input(Input::State(values)),
            Command::RegistryChanged => shard.registry_changed(),
            Command::IdentitiesChanged(changes) => shard.identities_changed(&changes),
            Command::Drain => {
                for (_, accepting) in std::mem::take(&mut accepting) {
                    accepting.task.abort();
                }
                shard.drain();
            }
            Command::IsRecovered(answer) => drop(answer.send(shard.is_recovered())),
            Command::IsIdle(answer) => drop(answer.send(shard.is_idle())),
            Command::Stop => {
                shard.stop().await;
                break;
            }
        }
    }
}

/// Accepts on what is new, no longer on what is gone, and as the new document says on what stays.
fn reconcile(
    shard: &Rc<Shard>,
    accepting: &mut BTreeMap<Place, Accepting>,
    snapshot: &Snapshot,
    sockets: Vec<(Place, Listening)>,
) {
    let mut wanted: BTreeMap<Place, Rc<Candidates>> =
        candidates(snapshot).into_iter().map(|(place, candidates)| (place, Rc::new(candidates))).collect();
    accepting.retain(|place, accepting| {
        let stays = wanted.remove(place);
        let is_wanted = stays.is_some();
        match stays {
            Some(candidates) => *accepting.candidates.borrow_mut() = candidates,
            None => accepting.task.abort(),
        }
        is_wanted
    });
    shard.apply_doors(snapshot);
    for (place, socket) in sockets {
        let Some(candidates) = wanted.remove(&place) else { continue };
        let bind = place.bind;
        let listening = match socket {
            Listening::Udp(socket) => shard.open_door(place, candidates.first(), socket),
            Listening::Tcp(socket) => tokio::net::TcpListener::from_std(socket).map(|socket| {
                let candidates = Rc::new(RefCell::new(candidates));
                let task = accept(Rc::clone(shard), Rc::clone(&candidates), socket);
                let task = tokio::task::spawn_local(task).abort_handle();
                accepting.insert(place, Accepting { candidates, task });
            }),
        };
        if let Err(error) = listening {
            tracing::error!(%bind, %error, "a listener's socket cannot be used");
        }
    }
}
