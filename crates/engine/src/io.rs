//! What goes into the engine and what comes out: all of its contact with the world.

use smallvec::SmallVec;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{
    Address, Claim, CloseCause, ConnectionId, Consume, ConsumerId, Consuming, Declined, Directive,
    Disposition, EnrolRefusal, EnrolRequest, Enrolled, Event, Filter, Identity, IdentityChange, Intent,
    Moment, Origin, Outcome, Pulled, Secret, Step, Supply, Suspicion, Tag, Text, Verdict,
};
use windrose_policy::{Listener, Pool, Snapshot};

use crate::content::Form;
use crate::exchanges::TopologyMessage;
use crate::journal::Batch;
use crate::{Parcel, Rival, Session, TakenOver};

/// A shard's number, from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub u16);

/// A queue of the node, from its declaration to its end. No other ever has its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId(pub u64);

/// Which shard of how many an engine is.
#[derive(Clone, Copy, Debug)]
pub struct Seat {
    /// This shard.
    pub shard: ShardId,
    /// All shards of the node.
    pub shards: u16,
}

/// What the engine is told.
#[derive(Debug)]
pub enum Input {
    /// A transport is up. Its first intent must be `Open`.
    Connect {
        /// The network's name for it.
        connection: ConnectionId,
        /// The listener that accepted it.
        listener: Arc<Listener>,
        /// Where it comes from.
        peer: Option<SocketAddr>,
    },
    /// The connection's machine understood something.
    Intent {
        /// Whose.
        connection: ConnectionId,
        /// What.
        intent: Intent,
    },
    /// The connection's transport is gone and its machine said no `Close`.
    Lost {
        /// Which.
        connection: ConnectionId,
        /// How.
        cause: CloseCause,
    },
    /// More bytes wait to be written to the connection than `limits.output_bytes`: hold its deliveries.
    Congested {
        /// Which.
        connection: ConnectionId,
    },
    /// What waited has been written.
    Cleared {
        /// Which.
        connection: ConnectionId,
    },
    /// The answer to `Output::Identify`.
    Identified {
        /// Which.
        connection: ConnectionId,
        /// The registry's answer.
        verdict: Verdict,
    },
    /// The answer to `Output::Converse` and to `Output::Respond`.
    Conversed {
        /// Which.
        connection: ConnectionId,
        /// The registry's word.
        step: Step,
    },
    /// What is known of somebody, or of a credential, is not as it was. Every shard is told the same.
    IdentitiesChanged(Arc<[IdentityChange]>),
    /// The answer to `Output::Enrol`.
    Enrolled {
        /// Who asked.
        connection: ConnectionId,
        /// The request's tag.
        tag: Tag,
        /// What the authority says.
        result: Box<Result<Enrolled, EnrolRefusal>>,
    },
    /// The answer to `Output::Locate`: the shard that held the session until now; ours from now on.
    Located {
        /// Who asked.
        connection: ConnectionId,
        /// Who had it; `None`: nobody.
        holder: Option<ShardId>,
    },
    /// Word from another shard. Between two shards messages arrive in the order sent.
    Shard {
        /// Who says it.
        from: ShardId,
        /// What.
        message: ShardMessage,
    },
    /// The answer to `Output::Dispatch`.
    Answer {
        /// Which dispatch.
        dispatch: DispatchId,
        /// What the member said, or why it said nothing.
        answer: Answer,
    },
    /// What a pool's service answered to an event that it took before: brokers acknowledge first.
    Replied {
        /// The pool's name.
        pool: Arc<str>,
        /// The event.
        event: Arc<Event>,
        /// The dispatch's `form`.
        form: ReplyForm,
        /// The answer.
        reply: Reply,
    },
    /// The keeper has stored all records up to this number.
    Stored(u64),
    /// All that the node tells of itself now, by addresses under `$SYS/`: last values that only filters match that name
    /// that level. Every shard is told the same. None: nothing is told any more.
    State(Vec<(Address, bytes::Bytes)>),
    /// A new document takes force.
    Snapshot(Arc<Snapshot>),
    /// The node shuts down: refuse what is new, tell the peers (`CloseReason::ShuttingDown`) once what they sent is
    /// settled, finish what is in flight.
    Drain,
    /// `Engine::next_timeout` has come.
    Timeout,
}

// One goes through several hands for each event: what is larger is not moved in registers any more, and all events pay.
const _: () = assert!(size_of::<Input>() <= 128);

/// What the engine asks for.
#[derive(Debug)]
pub enum Output {
    /// Tell a connection's machine.
    Directive {
        /// Whose.
        connection: ConnectionId,
        /// What.
        directive: Directive,
    },
    /// Ask the registry who this is; answered by `Input::Identified`.
    Identify {
        /// Who asks.
        connection: ConnectionId,
        /// What it says of itself.
        claim: Box<Claim>,
    },
    /// Begin a conversation with the registry by the claim's method; answered by `Input::Conversed`. One that the connection
    /// had before is over.
    Converse {
        /// Who asks.
        connection: ConnectionId,
        /// What it says of itself.
        claim: Box<Claim>,
    },
    /// Go on with the connection's conversation; answered by `Input::Conversed`.
    Respond {
        /// Whose.
        connection: ConnectionId,
        /// What it answers to the challenge.
        response: Option<Secret>,
    },
    /// Ask the authority; answered by `Input::Enrolled`.
    Enrol {
        /// Who asks.
        connection: ConnectionId,
        /// The request's tag.
        tag: Tag,
        /// Who it is.
        by: Identity,
        /// What it asks.
        request: Box<EnrolRequest>,
    },
    /// Tell the registry that two things seem to share an identity.
    Suspect(Box<Suspicion>),
    /// Enter this shard as the session's holder in the node's directory; answered by `Input::Located`.
    Locate {
        /// Who asks.
        connection: ConnectionId,
        /// The session's name.
        session: Arc<str>,
    },
    /// The session is over: if the directory still names this shard as its holder, remove it.
    Forget {
        /// The session's name.
        session: Arc<str>,
    },
    /// Send a message to another shard.
    Shard {
        /// To whom.
        to: ShardId,
        /// What.
        message: ShardMessage,
    },
    /// Store these records; answered by `Input::Stored`. It comes before all other outputs of the same input.
    Store(Batch),
    /// Send events to a pool's member; answered by `Input::Answer` once, whatever happens.
    Dispatch(Dispatch),
    /// Ask a pool's members for what a filter matches, or no longer.
    Fetch {
        /// The pool's name.
        pool: Arc<str>,
        /// Which addresses.
        filter: Filter,
        /// Whether they are wanted.
        wanted: bool,
    },
    /// Stop reading from a connection: no credit is left for what it sends.
    Pause {
        /// Which.
        connection: ConnectionId,
    },
    /// Read from it again.
    Resume {
        /// Which.
        connection: ConnectionId,
    },
}

/// Names a dispatch until its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DispatchId(pub u64);

/// Events on their way to a member: one, or in batch mode several.
#[derive(Debug)]
pub struct Dispatch {
    /// Pairs the answer.
    pub id: DispatchId,
    /// The pool.
    pub pool: Arc<Pool>,
    /// Index in [`Pool::members`].
    pub member: usize,
    /// What is sent.
    pub events: SmallVec<[Arc<Event>; 1]>,
    /// At most how long the attempt may take: the pool's time limit, or what is left of the route's deadline.
    pub timeout: Duration,
    /// To be given back with an answer that comes after the acknowledgement.
    pub form: ReplyForm,
}

/// What an asker's payload was in before it became JSON: its answer is to be in that, too.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReplyForm(pub(crate) Option<Form>);

/// A member's answer.
#[derive(Debug)]
pub struct Answer {
    /// What it means.
    pub outcome: Outcome,
    /// What it said, if anything; the reply to events that want one.
    pub reply: Option<Reply>,
}

/// What a service said.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The media type.
    pub content_type: Option<Text>,
    /// The body.
    pub payload: bytes::Bytes,
}

/// Between the shards of one node.
#[derive(Debug)]
pub enum ShardMessage {
    /// The sender has, or no longer has, subscribers for a filter (of a group).
    Interest {
        /// Which addresses.
        filter: Filter,
        /// The group that shares the work, if any.
        group: Option<Arc<str>>,
        /// How many members the sender now has; zero: none any more.
        members: u32,
        /// How many of them are connected: the others get a group's events only when nobody is.
        connected: u32,
        /// In which order those came to their group, among all shards'; empty if they are many.
        ranks: Vec<u32>,
        /// When the sender learnt of that: what the receiver has published since is for them, too.
        since: Moment,
    },
    /// Asks for `Marked` with the same number: the receiver knows then what the sender told it before.
    Mark(u64),
    /// The answer to `Mark`.
    Marked(u64),
    /// Events for the receiver's subscribers.
    Events(Vec<Forward>),
    /// What is said of queues and those who consume from them, in order.
    Words(Vec<Word>),
    /// The receiver took this many forwarded events: credit returns.
    Credit(u32),
    /// Set or clear an address's last value.
    Remember(Arc<Event>),
    /// Hand over a session, or end it: its connection, if it has one, is closed as taken over.
    Take {
        /// The session's name.
        session: Arc<str>,
        /// Who wants it: somebody else's session is not handed over.
        rival: Rival,
        /// Whether the sender has the session itself. It is the receiver's by an earlier claim, and comes before it goes.
        held: bool,
    },
    /// A session was taken over: the receiver counts those of its name.
    TakenOver(Box<TakenOver>),
    /// The answer to `Take`.
    Hand {
        /// The session's name.
        session: Arc<str>,
        /// The session, if there is one.
        handed: Handed,
    },
    /// An event for a session that the sender has handed over, published before all shards knew where the session is.
    Late {
        /// The session's name.
        session: Arc<str>,
        /// The event, addressed.
        parcel: Box<Parcel>,
        /// Copies of it for other subscriptions of the session.
        more: Vec<Parcel>,
        /// Whether the sender waits until it is stored.
        expected: bool,
    },
    /// The answer to an exactly-once publication of a session that the sender has handed over meanwhile.
    Settled {
        /// The session's name.
        session: Arc<str>,
        /// The publication's tag.
        tag: Tag,
        /// Tells it from others that had the same tag.
        ticket: u64,
        /// What became of it.
        outcome: Outcome,
        /// Whether any route or subscriber took it.
        heard: bool,
    },
    /// About exchanges, queues and bindings.
    Topology(Box<TopologyMessage>),
    /// Why there will be no answer to a request that the receiver's exchange waits for.
    Decline {
        /// The reply address.
        address: Address,
        /// Why.
        outcome: Outcome,
    },
    /// The answer to a request that the receiver's exchange waits for.
    Reply {
        /// The reply address.
        address: Address,
        /// The answer.
        event: Arc<Event>,
    },
}

/// What a consumer's shard and its queue's home say to each other.
#[derive(Debug)]
pub enum Word {
    /// To the home: somebody wants to consume.
    Begin {
        /// Whose.
        connection: ConnectionId,
        /// From which queue.
        queue: QueueId,
        /// What it wants.
        consume: Box<Consume>,
        /// Whether its connection has too much to write already.
        held: bool,
        /// Who it is: its own events may be left out, and some are kept from it.
        origin: Arc<Origin>,
        /// How many changes that end sessions its shard had heard: the receiver may have heard more.
        heard: u32,
    },
    /// To the home: a consumer takes so many deliveries in all.
    Grant {
        /// Whose.
        connection: ConnectionId,
        /// Which.
        consumer: ConsumerId,
        /// How many.
        limit: u64,
        /// Whether what is left is given up once nothing more waits.
        drain: bool,
    },
    /// To the home: what becomes of deliveries.
    Dispose {
        /// Whose.
        connection: ConnectionId,
        /// Which.
        consumer: ConsumerId,
        /// The deliveries' tags.
        tags: SmallVec<[Tag; 4]>,
        /// What becomes of them.
        disposition: Disposition,
    },
    /// To the home: a consumer wants no more.
    Cancel {
        /// Whose.
        connection: ConnectionId,
        /// Which.
        consumer: ConsumerId,
        /// Whether what it has not disposed of goes back.
        release: bool,
    },
    /// To the home: a consumer's connection has too much to write already, or no longer.
    Hold {
        /// Whose.
        connection: ConnectionId,
        /// Which.
        consumer: ConsumerId,
        /// Whether it has.
        held: bool,
    },
    /// To the home: one event is wanted.
    Pull {
        /// Whose.
        connection: ConnectionId,
        /// Pairs the answer.
        tag: Tag,
        /// In whose name.
        consumer: ConsumerId,
        /// From which queue.
        queue: QueueId,
        /// Whether it is done with once it is sent.
        presettled: bool,
    },
    /// To the home: what becomes of events that were pulled.
    Pulls {
        /// From which queue: its place there.
        queue: u32,
        /// Which.
        numbers: Vec<u64>,
        /// What becomes of them.
        disposition: Disposition,
    },
    /// To the home: an event for a queue that may refuse it.
    Offer {
        /// Which queue.
        queue: QueueId,
        /// The event.
        event: Arc<Event>,
        /// Who waits for the answer, if anybody.
        receipt: Option<u64>,
        /// Whether the sender waits until it is stored.
        expected: bool,
    },
    /// From the home, to all: a queue is nearly full, or no longer: whoever has something for it is to ask.
    Crowded {
        /// Which.
        queue: QueueId,
        /// Whether it is.
        crowded: bool,
    },
    /// From the home: what became of it.
    Offered {
        /// Who waits for the answer.
        receipt: u64,
        /// Whether it was not refused.
        taken: bool,
    },
    /// From the home: somebody consumes from now on, or not.
    Began {
        /// Whose.
        connection: ConnectionId,
        /// Which.
        consumer: ConsumerId,
        /// From what, or why not.
        result: Result<Consuming, Declined>,
    },
    /// From the home: an event.
    Supply {
        /// Whose.
        connection: ConnectionId,
        /// The event.
        supply: Supply,
    },
    /// From the home: nothing more waits for the consumer.
    Drained {
        /// Whose.
        connection: ConnectionId,
        /// Which.
        consumer: ConsumerId,
        /// How many deliveries it had in all.
        limit: u64,
    },
    /// From the home: a consumer gets no more.
    Canceled {
        /// Whose.
        connection: ConnectionId,
        /// Which.
        consumer: ConsumerId,
        /// Why, if it did not ask.
        because: Option<Declined>,
    },
    /// From the home: the one event.
    Pulled {
        /// Whose.
        connection: ConnectionId,
        /// Pairs the question.
        tag: Tag,
        /// In whose name.
        consumer: ConsumerId,
        /// The queue's place there and the event's number, if it is to be disposed of.
        place: Option<(u32, u64)>,
        /// The event, if one waited; or why none can be had.
        result: Result<Option<Box<Pulled>>, Declined>,
    },
}

/// What is handed over.
#[derive(Debug)]
pub enum Handed {
    /// There is no such session (any more).
    Nothing,
    /// The session.
    Session {
        /// The session.
        session: Box<Session>,
        /// How many changes that end sessions its shard had heard: the receiver may have heard more.
        heard: u32,
    },
    /// The session belongs to somebody else and stays where it is; the sentence says whose it is.
    Denied(String),
}

/// An event for another shard's subscribers.
#[derive(Clone, Debug)]
pub struct Forward {
    /// The event.
    pub event: Arc<Event>,
    /// Whether it is for the receiver's plain subscribers.
    pub everyone: bool,
    /// Groups whose one member the receiver picks.
    pub groups: SmallVec<[(Arc<str>, Filter); 1]>,
    /// Queues of the receiver's that want it.
    pub queues: SmallVec<[QueueId; 2]>,
    /// Whether the sender waits until it is stored.
    pub expected: bool,
}
