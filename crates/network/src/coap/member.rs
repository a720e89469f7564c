//! One member of a pool that speaks CoAP, as one shard speaks to it.

use super::link::Link;
use crate::Clock;
use crate::notice::Notice;
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UdpSocket, lookup_host};
use tokio::sync::Mutex;
use tokio::time::timeout;
use windrose_engine::{Answer, Reply};
use windrose_event::{Event, Outcome};
use windrose_policy::{Member, Pool};
use windrose_protocol::coap::client::{ClientConfig, Failure, Target, outcome, publication};
use windrose_protocol::coap::codec::option;
use windrose_protocol::coap::{Response, format};

/// A member, and the socket that requests to it go out by.
pub(super) struct ServiceMember {
    pool: Arc<str>,
    url: Arc<str>,
    host: Arc<str>,
    port: u16,
    target: Target,
    clock: Clock,
    config: ClientConfig,
    /// The socket in use. It is replaced when it fails, and when its message identifiers are used up.
    link: RefCell<Option<Rc<Link>>>,
    /// Held while one is made: others wait instead of making their own.
    opening: Mutex<()>,
    notice: Notice,
}

impl ServiceMember {
    pub(super) fn new(
        clock: Clock,
        node: &Arc<str>,
        pool: &Pool,
        member: &Member,
        payload_bytes: u32,
    ) -> Rc<Self> {
        Rc::new(Self {
            pool: Arc::clone(&pool.name),
            url: Arc::clone(&member.url),
            host: Arc::clone(&member.host),
            port: member.port,
            target: Target::new(&member.host, &member.path, Arc::clone(node)),
            clock,
            config: ClientConfig { payload_bytes, in_flight: pool.max_in_flight },
            link: RefCell::default(),
            opening: Mutex::new(()),
            notice: Notice::default(),
        })
    }

    /// Sends an event. The answer is the response's, or that there will be none.
    pub(super) async fn send(&self, event: &Arc<Event>, limit: Duration) -> Answer {
        let deadline = self.clock.now().moment + limit;
        let link = match timeout(limit, self.link()).await {
            Ok(Ok(link)) => link,
            Ok(Err(error)) => {
                self.warn(format_args!("it cannot be reached: {error}"));
                return Answer { outcome: Outcome::unavailable(), reply: None };
            }
            Err(_) => {
                self.warn(format_args!("its name was not resolved within {} ms", limit.as_millis()));
                return Answer { outcome: Outcome::TimedOut, reply: None };
            }
        };
        let result = link.ask(publication(&self.target, event), deadline).await;
        match &result {
            Err(Failure::TimedOut) => {
                self.warn(format_args!("no answer within {} ms", limit.as_millis()));
            }
            Err(Failure::Reset) => self.warn(format_args!("it refused the request: nobody listens there")),
            Err(Failure::TooLarge) => self.warn(format_args!("its answer is larger than is taken")),
            Err(Failure::Nonsense(how)) => self.warn(format_args!("its answer makes no sense: {how}")),
            Ok(_) => {}
        }
        let outcome = outcome(&result);
        let reply = result.ok().filter(|response| outcome.is_accepted() && has_content(response)).map(reply);
        Answer { outcome, reply }
    }

    /// The socket in use, or a new one.
    async fn link(&self) -> io::Result<Rc<Link>> {
        let usable = || self.link.borrow().as_ref().filter(|link| link.is_usable()).map(Rc::clone);
        if let Some(link) = usable() {
            return Ok(link);
        }
        let _opening = self.opening.lock().await;
        if let Some(link) = usable() {
            return Ok(link);
        }
        let mut failure = io::Error::other("its name has no address");
        for address in lookup_host((&*self.host, self.port)).await? {
            match open(address).await {
                Ok(socket) => {
                    let link = Link::new(socket, self.clock, &self.config);
                    let former = self.link.borrow_mut().replace(Rc::clone(&link));
                    if let Some(former) = former {
                        former.retire();
                    }
                    return Ok(link);
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    fn warn(&self, problem: std::fmt::Arguments<'_>) {
        if let Some(suppressed) = self.notice.admit() {
            tracing::warn!(pool = %self.pool, member = %self.url, suppressed, "no answer from a member: {problem}");
        }
    }
}

impl Drop for ServiceMember {
    fn drop(&mut self) {
        if let Some(link) = self.link.get_mut() {
            link.retire();
        }
    }
}

/// A socket of our own for one address: nobody else's datagrams arrive on it, and what its host refuses shows.
async fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => ([0; 4], 0).into(),
        SocketAddr::V6(_) => ([0; 16], 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    // Until the runtime has seen that it can be written to, it would not try.
    socket.writable().await?;
    Ok(socket)
}

/// Whether a response says more than that the event was taken.
fn has_content(response: &Response) -> bool {
    !response.payload.is_empty() || response.options.as_options().has(option::CONTENT_FORMAT)
}

fn reply(response: Response) -> Reply {
    let number = response.options.as_options().uint(option::CONTENT_FORMAT);
    let content_type = number.and_then(|number| u16::try_from(number).ok()).map(format::media_type);
    Reply { content_type, payload: response.payload }
}
