//! Connections: the peers that are here now, by the network's names for them.

use crate::brakes::Brake;
use crate::counts::ListenerIndex;
use crate::queues::Consumers;
use crate::sessions::SessionKey;
use crate::table::Table;
use bytes::Bytes;
use smallvec::SmallVec;
use std::net::SocketAddr;
use std::sync::Arc;
use windrose_event::{ConnectionId, Identity, Open, Origin, RefusalCause, Tag};
use windrose_policy::Listener;

/// How far a connection has come.
#[derive(Debug)]
pub(crate) enum Stage {
    /// It has not said what it wants; it may be known already that it is refused.
    New { refuse: Option<RefusalCause> },
    /// The registry is asked who it is.
    Identifying(Box<Open>),
    /// It is known, and its session is looked for or on its way.
    Claiming(Box<Opening>),
    /// Its session is open.
    Open { session: SessionKey, origin: Arc<Origin> },
}

/// A connection whose session is about to open.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) open: Box<Open>,
    pub(crate) identity: Identity,
    /// The session's name.
    pub(crate) name: Arc<str>,
    /// Whether we made that name up.
    pub(crate) assigned: bool,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    generation: u32,
    pub(crate) listener: Arc<Listener>,
    pub(crate) tally: ListenerIndex,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) stage: Stage,
    /// Publications with a tag that are not settled yet.
    pub(crate) unsettled: u32,
    /// Whether too many are unsettled.
    pub(crate) over_window: bool,
    /// Whether the network was told not to read from it.
    pub(crate) paused: bool,
    /// The credit that it waits for.
    pub(crate) brakes: SmallVec<[Brake; 1]>,
    /// Requests that wait for their replies, oldest first.
    pub(crate) requests: Vec<(u128, Tag)>,
    /// How many changes had been heard that end sessions when the registry was asked last who it is.
    pub(crate) asked: u32,
    /// Whether the registry has not come to an end with what it says of itself.
    pub(crate) conversing: bool,
    /// What the registry tells it besides, until its session is open.
    pub(crate) data: Option<Box<Bytes>>,
    /// What consumes from queues for it.
    pub(crate) consumers: Option<Box<Consumers>>,
    /// The record that it waits for with a word that nothing may overtake.
    pub(crate) in_order_until: u64,
}

impl Connection {
    /// A connection that has said nothing yet.
    pub(crate) fn new(
        listener: Arc<Listener>,
        tally: ListenerIndex,
        peer: Option<SocketAddr>,
        refuse: Option<RefusalCause>,
    ) -> Self {
        Self {
            generation: 0,
            listener,
            tally,
            peer,
            stage: Stage::New { refuse },
            unsettled: 0,
            over_window: false,
            paused: false,
            brakes: SmallVec::new(),
            requests: Vec::new(),
            asked: 0,
            conversing: false,
            data: None,
            consumers: None,
            in_order_until: 0,
        }
    }

    /// Its session, once that is open.
    pub(crate) fn session(&self) -> Option<SessionKey> {
        match self.stage {
            Stage::Open { session, .. } => Some(session),
            _ => None,
        }
    }
}

/// All connections by slot. Words for a slot's former tenants find nobody.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    slots: Table<Connection>,
    opened: usize,
}

impl Connections {
    /// Enters a connection.
    pub(crate) fn insert(&mut self, id: ConnectionId, mut connection: Connection) {
        connection.generation = id.generation;
        self.slots.put(id.slot, connection);
    }

    /// The slot's present tenant.
    pub(crate) fn tenant(&self, slot: u32) -> Option<ConnectionId> {
        let connection = self.slots.get(slot)?;
        Some(ConnectionId { slot, generation: connection.generation })
    }

    /// A connection.
    pub(crate) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        let connection = self.slots.get(id.slot)?;
        (connection.generation == id.generation).then_some(connection)
    }

    /// A connection, to be changed.
    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let connection = self.slots.get_mut(id.slot)?;
        (connection.generation == id.generation).then_some(connection)
    }

    /// Takes a connection out.
    pub(crate) fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        self.get(id)?;
        let connection = self.slots.take(id.slot)?;
        self.opened -= usize::from(connection.session().is_some());
        Some(connection)
    }

    /// A connection's session opened.
    pub(crate) fn opened(&mut self, id: ConnectionId, session: SessionKey, origin: Arc<Origin>) {
        if let Some(connection) = self.get_mut(id) {
            let before = connection.session().is_some();
            connection.stage = Stage::Open { session, origin };
            self.opened += usize::from(!before);
        }
    }

    /// Connections, open or not.
    pub(crate) const fn len(&self) -> usize {
        self.slots.len()
    }

    /// Connections whose sessions are open.
    pub(crate) const fn open(&self) -> usize {
        self.opened
    }

    /// All connections' names.
    pub(crate) fn ids(&self) -> Vec<ConnectionId> {
        let id =
            |(slot, connection): (u32, &Connection)| ConnectionId { slot, generation: connection.generation };
        self.slots.iter().map(id).collect()
    }
}
