//! A socket to one service, and the machine that speaks on it.

use crate::Clock;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::pending;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::rc::Rc;
use tokio::io::{Interest, Ready};
use tokio::net::UdpSocket;
use tokio::select;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};
use windrose_event::{Moment, Now};
use windrose_protocol::coap::Response;
use windrose_protocol::coap::client::{CallId, Client, ClientConfig, Failure, Outgoing};

/// The largest datagram that is read whole.
const DATAGRAM: usize = 16 * 1024;

/// A socket and its machine.
pub(super) struct Link {
    socket: UdpSocket,
    clock: Clock,
    client: RefCell<Client>,
    /// Whom the answers are for.
    waiting: RefCell<HashMap<CallId, oneshot::Sender<Result<Response, Failure>>>>,
    /// Something is to be done by the task.
    changed: Notify,
    /// Nothing new is asked by it.
    retired: Cell<bool>,
}

impl Link {
    /// A socket that is connected to its peer, served until it is retired and all its answers are given.
    pub(super) fn new(socket: UdpSocket, clock: Clock, config: &ClientConfig) -> Rc<Self> {
        let seed = RandomState::new().build_hasher().finish();
        let link = Rc::new(Self {
            socket,
            clock,
            client: RefCell::new(Client::new(config, seed)),
            waiting: RefCell::default(),
            changed: Notify::new(),
            retired: Cell::new(false),
        });
        tokio::task::spawn_local(Rc::clone(&link).run());
        link
    }

    /// Whether more can be asked by it.
    pub(super) fn is_usable(&self) -> bool {
        !self.retired.get() && !self.client.borrow().is_spent()
    }

    /// Nothing new is asked by it.
    pub(super) fn retire(&self) {
        self.retired.set(true);
        self.changed.notify_one();
    }

    /// Asks, and waits for the whole response, until the deadline at most.
    pub(super) async fn ask(&self, request: Outgoing, deadline: Moment) -> Result<Response, Failure> {
        let (answer, answered) = oneshot::channel();
        let now = self.clock.now();
        let call = self.client.borrow_mut().request(now, request, deadline);
        self.waiting.borrow_mut().insert(call, answer);
        // What a burst of requests writes goes out together; so does what is written to it meanwhile.
        self.changed.notify_one();
        answered.await.unwrap_or(Err(Failure::TimedOut))
    }

    async fn run(self: Rc<Self>) {
        let mut buffer = vec![0; DATAGRAM];
        loop {
            self.speak();
            if self.retired.get() && self.waiting.borrow().is_empty() {
                break;
            }
            let due = self.client.borrow().next_timeout();
            select! {
                () = self.until(due) => self.client.borrow_mut().handle_timeout(self.clock.now()),
                () = self.changed.notified() => {}
                ready = self.socket.ready(Interest::READABLE.add(Interest::ERROR)) => {
                    if let Err(error) = ready.and_then(|ready| self.read(ready, &mut buffer)) {
                        self.fail(&error);
                    }
                }
            }
        }
    }

    async fn until(&self, due: Option<Moment>) {
        match due {
            Some(due) => sleep_until(Instant::from_std(self.clock.instant(due))).await,
            None => pending().await,
        }
    }

    /// Reads all that is there. That nobody listens arrives as an error of the socket.
    fn read(&self, ready: Ready, buffer: &mut [u8]) -> io::Result<()> {
        if ready.is_error()
            && let Some(error) = self.socket.take_error()?
        {
            return Err(error);
        }
        let now = self.clock.now();
        loop {
            match self.socket.try_recv(buffer) {
                Ok(length) => self.hear(now, buffer.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn hear(&self, now: Now, datagram: &[u8]) {
        self.client.borrow_mut().handle_datagram(now, datagram);
        self.speak();
    }

    /// Writes what is to be written, and tells those who wait.
    fn speak(&self) {
        loop {
            let done = self.client.borrow_mut().poll_output();
            let Some((call, result)) = done else { break };
            let answer = self.waiting.borrow_mut().remove(&call);
            if let Some(answer) = answer {
                let _ = answer.send(result);
            }
        }
        let mut failure = None;
        let mut client = self.client.borrow_mut();
        let datagrams = client.datagrams();
        for (_, datagram) in datagrams.iter() {
            // What cannot be sent now is lost like any datagram may be, and sent again.
            if let Err(error) = self.socket.try_send(datagram)
                && error.kind() != io::ErrorKind::WouldBlock
            {
                failure = Some(error);
            }
        }
        datagrams.clear(DATAGRAM);
        drop(client);
        if let Some(error) = failure {
            self.fail(&error);
        }
    }

    /// The peer's host says that nobody listens, or the network that it is not there.
    fn fail(&self, error: &io::Error) {
        tracing::debug!(%error, "a socket to a service failed");
        self.retired.set(true);
        for (_, answer) in self.waiting.take() {
            let _ = answer.send(Err(Failure::Reset));
        }
    }
}
