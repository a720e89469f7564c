//! A host of exchanges that answers as a test tells it to, and HTTP clients that talk to the listener on it.

use crate::support::document;
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use windrose_event::{
    Accepted, Claim, CloseCause, ConnectionId, Directive, Enrolment, Intent, NoAuthority, Outcome,
    Publication,
};
use windrose_network::exchange::{ExchangeHost, ExchangeQueue};
use windrose_network::http::server::{ConnectionFacts, serve};
use windrose_policy::{Listener, Snapshot};

type Script = Box<dyn FnMut(&ExchangeQueue, &Intent) -> bool>;

/// Lets everybody in and accepts everything, unless its script answers an intent itself.
pub(crate) struct TestHost {
    snapshot: Arc<Snapshot>,
    pub(crate) queues: RefCell<Vec<Rc<ExchangeQueue>>>,
    script: RefCell<Script>,
    pub(crate) draining: Cell<bool>,
    /// The keys of identity tokens.
    pub(crate) keys: RefCell<Option<Bytes>>,
    /// Who opened an exchange.
    pub(crate) claims: RefCell<Vec<Claim>>,
    /// What was published.
    pub(crate) published: RefCell<Vec<Publication>>,
    /// Every other intent, as its `Debug` writes it.
    pub(crate) others: RefCell<Vec<String>>,
    /// Exchanges that ended.
    pub(crate) ended: Cell<usize>,
}

/// A host with its limits, such as `payload_bytes: 100`, and a script that says whether it answered an intent.
pub(crate) fn host(
    limits: &str,
    script: impl FnMut(&ExchangeQueue, &Intent) -> bool + 'static,
) -> Rc<TestHost> {
    let text = format!(
        "node: {{name: edge-1}}\nlisteners: [{{name: rest, protocol: http, bind: \"127.0.0.1:8080\"}}]\nlimits: {{{limits}}}\n"
    );
    Rc::new(TestHost {
        snapshot: Arc::new(document(&text)),
        queues: RefCell::default(),
        script: RefCell::new(Box::new(script)),
        draining: Cell::new(false),
        keys: RefCell::default(),
        claims: RefCell::default(),
        published: RefCell::default(),
        others: RefCell::default(),
        ended: Cell::new(0),
    })
}

/// A host that accepts everything.
pub(crate) fn willing() -> Rc<TestHost> {
    host("", |_, _| false)
}

impl ExchangeHost for TestHost {
    fn connect(&self, listener: &Arc<Listener>, peer: SocketAddr, queue: Rc<ExchangeQueue>) -> ConnectionId {
        assert_eq!((&*listener.name, peer), ("rest", peer_address()));
        self.queues.borrow_mut().push(queue);
        ConnectionId { slot: self.queues.borrow().len() as u32 - 1, generation: 0 }
    }

    fn intent(&self, exchange: ConnectionId, intent: Intent) {
        let queue = Rc::clone(&self.queues.borrow()[exchange.slot as usize]);
        let answered = (self.script.borrow_mut())(&queue, &intent);
        match intent {
            Intent::Open(open) => {
                assert_eq!((open.protocol, open.keep), ("http", Duration::ZERO));
                self.claims.borrow_mut().push(open.claim);
                if !answered {
                    queue.push(accept());
                }
            }
            Intent::Sync { tag } => queue.push(Directive::Synced { tag }),
            Intent::Publish(publish) => {
                if !answered {
                    queue.push(Directive::Settle {
                        tag: publish.tag,
                        outcome: Outcome::Accepted,
                        heard: true,
                    });
                }
                self.published.borrow_mut().push(publish.publication);
            }
            other => self.others.borrow_mut().push(format!("{other:?}")),
        }
    }

    fn drained(&self, _: ConnectionId) {}

    fn disconnect(&self, _: ConnectionId) {
        self.ended.set(self.ended.get() + 1);
    }

    fn ended_badly(&self, _: &Listener, _: SocketAddr, _: &CloseCause, _: &dyn Display) {}

    fn enrolment(&self) -> Arc<dyn Enrolment> {
        Arc::new(NoAuthority)
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }

    fn is_draining(&self) -> bool {
        self.draining.get()
    }

    fn public_keys(&self) -> Option<Bytes> {
        self.keys.borrow().clone()
    }
}

fn accept() -> Directive {
    Directive::Accept(Box::new(Accepted {
        resumed: false,
        session: "auto-1".into(),
        assigned: true,
        keep: Duration::ZERO,
        window: 64,
        data: None,
    }))
}

fn peer_address() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 7], 40_000))
}

/// A client's end of a new connection to the listener.
pub(crate) fn connect(host: &Rc<TestHost>) -> Client {
    let (ours, theirs) = duplex(256 * 1024);
    let listener = Arc::clone(&host.snapshot.listeners[0]);
    let facts = ConnectionFacts { listener, peer: peer_address(), certificate: None };
    tokio::task::spawn_local(serve(theirs, facts, Rc::clone(host) as Rc<dyn ExchangeHost>));
    Client { stream: ours, read: Vec::new() }
}

/// An HTTP/1.1 client that writes and reads text.
pub(crate) struct Client {
    pub(crate) stream: DuplexStream,
    read: Vec<u8>,
}

/// A response: its status, its head in lower case, its body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Client {
    pub(crate) async fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Sends a request with a method and target, header lines and a body, and reads the answer.
    pub(crate) async fn ask(&mut self, target: &str, headers: &[&str], body: &str) -> Answer {
        let mut text = format!("{target} HTTP/1.1\r\nhost: x\r\n");
        for line in headers {
            text.push_str(line);
            text.push_str("\r\n");
        }
        if !body.is_empty() {
            text.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        self.write(&format!("{text}\r\n{body}")).await;
        self.answer(target.starts_with("HEAD")).await
    }

    pub(crate) async fn answer(&mut self, is_head: bool) -> Answer {
        let head = String::from_utf8(self.until(b"\r\n\r\n").await).unwrap().to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = if is_head { 0 } else { length.map_or(0, |length| length.parse().unwrap()) };
        while self.read.len() < length {
            assert!(self.stream.read_buf(&mut self.read).await.unwrap() > 0, "the answer breaks off");
        }
        let body = String::from_utf8(self.read.drain(..length).collect()).unwrap();
        Answer { status, head, body }
    }

    /// Reads through the next `end`.
    pub(crate) async fn until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.read.windows(end.len()).position(|window| window == end) {
                return self.read.drain(..at + end.len()).collect();
            }
            let read = self.stream.read_buf(&mut self.read).await.unwrap();
            assert!(read > 0, "the connection ends after {:?}", String::from_utf8_lossy(&self.read));
        }
    }

    /// Everything to the connection's end.
    pub(crate) async fn rest(&mut self) -> String {
        let _ = self.stream.read_to_end(&mut self.read).await;
        String::from_utf8_lossy(&std::mem::take(&mut self.read)).into_owned()
    }
}
