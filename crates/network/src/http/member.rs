//! One member of a pool, as one shard speaks to it: its connections, and which of them an event goes out on.

use super::connector::{Connected, Connector, Failure};
use super::deadlines::Deadlines;
use super::flight::Flight;
use super::http1::{Buffers, Http1};
use super::http2::Http2;
use super::template::Template;
use super::transport::Transport;
use super::vouch::Vouching;
use crate::notice::Notice;
use rustls::ClientConfig;
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout_at};
use windrose_event::Outcome;
use windrose_policy::{HttpVersion, Member, Pool};

/// How long a connection may be idle before it is closed.
const IDLE_LIMIT: Duration = Duration::from_secs(60);
/// The most idle connections to one member.
const MAX_IDLE: usize = 1_024;

/// A member and the connections to it.
pub(super) struct MemberClient {
    pool: Arc<str>,
    url: Arc<str>,
    connector: Connector,
    template: Template,
    buffers: Rc<Buffers>,
    /// All connections of HTTP/1.1 that are open.
    connections: RefCell<Slab<Rc<Http1>>>,
    /// Those without a request, the last used one at the end. Some may be closed already.
    idle: RefCell<VecDeque<Rc<Http1>>>,
    max_idle: usize,
    /// The HTTP/2 connection that all requests share.
    shared: RefCell<Option<Http2>>,
    /// Held while the first connection, or a shared one, is made: others wait instead of making their own.
    connecting: Mutex<()>,
    /// What the member turned out to speak.
    speaks: Cell<Speaks>,
    deadlines: Deadlines,
    notice: Notice,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaks {
    Unknown,
    Http1,
    Http2,
}

/// What a request that has no idle connection goes out on.
enum Way {
    New(Transport),
    Shared(Http2),
}

impl MemberClient {
    pub(super) fn new(
        node: Arc<str>,
        pool: &Pool,
        member: &Member,
        tls: Option<Arc<ClientConfig>>,
        buffers: Rc<Buffers>,
        vouching: Option<Rc<Vouching>>,
    ) -> Rc<Self> {
        let speaks = match (pool.http_version, member.tls) {
            (HttpVersion::Http2, _) => Speaks::Http2,
            (HttpVersion::Auto, true) => Speaks::Unknown,
            (HttpVersion::Auto, false) | (HttpVersion::Http1, _) => Speaks::Http1,
        };
        Rc::new_cyclic(|weak| Self {
            pool: Arc::clone(&pool.name),
            url: Arc::clone(&member.url),
            connector: Connector::new(pool, member, tls),
            template: Template::new(node, pool, member, vouching),
            buffers,
            connections: RefCell::default(),
            idle: RefCell::default(),
            max_idle: (pool.max_in_flight as usize).min(MAX_IDLE),
            shared: RefCell::default(),
            connecting: Mutex::new(()),
            speaks: Cell::new(speaks),
            deadlines: Deadlines::new(weak.clone()),
            notice: Notice::default(),
        })
    }

    /// What its requests have in common.
    pub(super) fn template(&self) -> &Template {
        &self.template
    }

    /// What looks after the time limits of its requests.
    pub(super) fn deadlines(&self) -> &Deadlines {
        &self.deadlines
    }

    /// Sends a request: at once if a connection is idle.
    pub(super) fn send(self: &Rc<Self>, mut flight: Flight) {
        loop {
            let idle = self.idle.borrow_mut().pop_back();
            let Some(connection) = idle else { break };
            let deadline = flight.deadline();
            match connection.send(flight, &self.buffers) {
                Ok(()) => return self.deadlines.watch(deadline),
                // It was closed while it was idle.
                Err(unsent) => flight = unsent,
            }
        }
        spawn_local(Rc::clone(self).send_anew(flight, false));
    }

    /// Sends a request on a new connection, or on the shared one. A connection that was used before may have been closed by
    /// the member meanwhile: then the request is sent once more. (An event may so arrive twice, as at least once allows.)
    async fn send_anew(self: Rc<Self>, flight: Flight, mut again: bool) {
        let deadline = flight.deadline();
        let failure = loop {
            let way = match timeout_at(deadline, self.way(again)).await {
                Ok(Ok(way)) => way,
                Ok(Err(failure)) => break failure,
                Err(_) => return self.timed_out(flight),
            };
            let (mut shared, reused) = match way {
                (Way::New(transport), _) => return self.send_first(transport, flight),
                (Way::Shared(shared), reused) => (shared, reused),
            };
            let request = self.template.request(&flight.events);
            match timeout_at(deadline, shared.exchange(request)).await {
                Ok(Ok(response)) => return flight.answer(response),
                Ok(Err(Failure::Closed(_))) if reused && !again => again = true,
                Ok(Err(failure)) => break failure,
                Err(_) => return self.timed_out(flight),
            }
        };
        self.warn(format_args!("{failure}"));
        flight.finish(Outcome::unavailable());
    }

    /// Sends the first request on a new connection.
    fn send_first(self: &Rc<Self>, transport: Transport, flight: Flight) {
        let deadline = flight.deadline();
        let connection = {
            let mut connections = self.connections.borrow_mut();
            let entry = connections.vacant_entry();
            let connection = Http1::new(entry.key(), transport);
            entry.insert(Rc::clone(&connection));
            connection
        };
        spawn_local(connection.driver(self, &self.buffers));
        match connection.send(flight, &self.buffers) {
            Ok(()) => self.deadlines.watch(deadline),
            // It is new: nobody can have closed it.
            Err(flight) => flight.finish(Outcome::unavailable()),
        }
    }

    /// A new connection or the shared one, and whether that was used before.
    async fn way(&self, again: bool) -> Result<(Way, bool), Failure> {
        if again {
            self.shared.borrow_mut().take_if(|shared| shared.is_closed());
        } else if let Some(shared) = self.shared() {
            return Ok((Way::Shared(shared), true));
        }
        let mut guard = None;
        if self.speaks.get() != Speaks::Http1 {
            guard = Some(self.connecting.lock().await);
            // Somebody else may have made one while this one waited.
            if let Some(shared) = self.shared() {
                return Ok((Way::Shared(shared), !again));
            }
        }
        if self.speaks.get() == Speaks::Http1 {
            drop(guard.take());
        }
        Ok(match self.connector.connect().await? {
            Connected::Http1(transport) => {
                self.speaks.set(Speaks::Http1);
                (Way::New(transport), false)
            }
            Connected::Http2(http2) => {
                self.speaks.set(Speaks::Http2);
                *self.shared.borrow_mut() = Some(http2.clone());
                (Way::Shared(http2), false)
            }
        })
    }

    /// The shared connection, if there is one and it is open.
    fn shared(&self) -> Option<Http2> {
        self.shared.borrow().as_ref().filter(|shared| !shared.is_closed()).cloned()
    }

    /// A connection has had its answer and can have another request.
    pub(super) fn rest(&self, connection: &Rc<Http1>) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < self.max_idle {
            idle.push_back(Rc::clone(connection));
        } else {
            drop(idle);
            self.close(connection);
        }
    }

    /// A connection is of no more use. Returns what it still had to answer.
    pub(super) fn close(&self, connection: &Http1) -> Option<Flight> {
        self.connections.borrow_mut().try_remove(connection.key());
        connection.close()
    }

    /// Closes connections that were idle for too long, and forgets those that the member closed.
    pub(super) fn close_idle(&self) {
        let is_fresh = |connection: &Rc<Http1>| {
            connection.idle_since().is_some_and(|since| since.elapsed() <= IDLE_LIMIT)
        };
        let mut idle = self.idle.take();
        idle.retain(|connection| {
            let keep = is_fresh(connection);
            if !keep && connection.idle_since().is_some() {
                self.close(connection);
            }
            keep
        });
        *self.idle.borrow_mut() = idle;
    }

    /// A connection failed under a request.
    pub(super) fn failed(self: &Rc<Self>, flight: Flight, failure: &Failure) {
        if flight.reused && matches!(failure, Failure::Closed(_)) {
            spawn_local(Rc::clone(self).send_anew(flight, true));
        } else {
            self.warn(format_args!("{failure}"));
            flight.finish(Outcome::unavailable());
        }
    }

    /// Gives up the requests whose time is over, and their connections with them. Returns when the next one's will be.
    pub(super) fn expire(&self, now: Instant) -> Option<Instant> {
        let is_late = |connection: &Http1| connection.deadline().is_some_and(|deadline| deadline <= now);
        let connections = self.connections.borrow();
        let late: Vec<_> = connections
            .iter()
            .filter(|(_, connection)| is_late(connection))
            .map(|(_, connection)| Rc::clone(connection))
            .collect();
        drop(connections);
        for connection in late {
            if let Some(flight) = self.close(&connection) {
                self.timed_out(flight);
            }
        }
        // Only now, because the answers may have brought new requests.
        self.connections.borrow().iter().filter_map(|(_, connection)| connection.deadline()).min()
    }

    fn timed_out(&self, flight: Flight) {
        self.warn(format_args!("no answer within {} ms", flight.limit.as_millis()));
        flight.finish(Outcome::TimedOut);
    }

    fn warn(&self, problem: std::fmt::Arguments<'_>) {
        if let Some(suppressed) = self.notice.admit() {
            tracing::warn!(pool = %self.pool, member = %self.url, suppressed, "no answer from a member: {problem}");
        }
    }
}

impl Drop for MemberClient {
    /// What has something to answer keeps the member: so all connections that are left are idle.
    fn drop(&mut self) {
        for (_, connection) in &*self.connections.borrow() {
            connection.close();
        }
    }
}
