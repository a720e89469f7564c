//! What goes on when the engine answers.

use super::discover::Listing;
use super::reply::Reply;
use super::request::Key;
use super::value::{Conditions, ETag};
use crate::coap::Remote;
use crate::coap::codec::{Block, Code};
use serde_json::Value;
use smallvec::SmallVec;
use windrose_event::{Address, Publication};

/// A question to the engine.
#[derive(Debug)]
pub(super) enum Pending {
    /// An event was published; this is the code if it is accepted. A last value has to be with all shards then.
    Publish { reply: Reply, code: Code, is_value: bool },
    /// It was accepted as a last value, and all shards are to have it before that is said.
    Sync { reply: Reply, code: Code },
    /// A last value is read, for what follows.
    Read { reply: Reply, then: Box<Then> },
    /// Last values are listed.
    List { reply: Reply, listing: Box<Listing> },
    /// A thing is asked.
    Ask { reply: Reply, asking: Box<Asking> },
    /// The authority is asked.
    Enrol { reply: Reply, enrolling: Box<Enrolling> },
    /// The endpoint wants to observe.
    Subscribe { reply: Reply, observing: Box<Observing> },
    /// The endpoint observes no longer.
    Unsubscribe,
    /// Who asked waits no longer.
    Abandoned,
}

/// What a last value is read for.
#[derive(Debug)]
pub(super) enum Then {
    /// To tell it.
    Tell(Telling),
    /// To tell it to a new observer.
    Observe { remote: Remote, observation: u32, telling: Telling },
    /// To publish something in its place, if the conditions hold.
    Write { publication: Publication, conditions: Conditions, created: Code, changed: Code },
    /// To publish what a patch makes of it, if the conditions hold.
    Patch { publication: Publication, conditions: Conditions, patch: Value },
}

/// How a last value is told.
#[derive(Debug)]
pub(super) struct Telling {
    pub(super) accept: Option<u16>,
    pub(super) block2: Option<Block>,
    /// What the client has.
    pub(super) etags: SmallVec<[ETag; 1]>,
    pub(super) conditions: Conditions,
}

/// A new observation.
#[derive(Debug)]
pub(super) struct Observing {
    pub(super) remote: Remote,
    pub(super) observation: u32,
    pub(super) telling: Telling,
    /// What it is of, if it is of one address.
    pub(super) address: Option<Address>,
}

/// How the authority's answer is told.
#[derive(Debug)]
pub(super) struct Enrolling {
    /// The content format.
    pub(super) format: u16,
    pub(super) block2: Option<Block>,
    pub(super) remote: Remote,
    pub(super) key: Key,
}

/// How a thing's answer is told.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) accept: Option<u16>,
    pub(super) block2: Option<Block>,
    pub(super) remote: Remote,
    pub(super) key: Key,
}
