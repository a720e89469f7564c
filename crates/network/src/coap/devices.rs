//! Devices whose records say that they are CoAP servers: each has a session with the engine, and is asked what is delivered
//! to it.

use super::peer::Peer;
use crate::Clock;
use crate::exchange::{Exchange, ExchangeHost};
use crate::notice::Notice;
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::sleep;
use windrose_engine::Seat;
use windrose_event::{Claim, ConnectionId, Delivery, Directive, Identity, Reachable, Rejection};
use windrose_policy::{AmqpOptions, Listener, MqttOptions, Protocol, Transport};
use windrose_protocol::coap::client::{self, ClientConfig};

/// What the sessions come in by, in metrics and logs.
const LISTENER: &str = "devices";
/// How long a device may take for its answer, unless the event expires before.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait before a session that was ended is opened again.
const REST: Duration = Duration::from_secs(5);
/// Unsettled deliveries under way to one device.
const WINDOW: u16 = 16;
/// Deliveries under way to one device, with those that nobody waits for.
const MOST_ASKED: usize = 64;

/// This shard's devices that are asked.
pub(crate) struct Devices {
    seat: Seat,
    clock: Clock,
    entries: RefCell<Vec<Entry>>,
    /// Whose sessions they are, by the engine's names for them.
    sessions: Rc<RefCell<HashMap<ConnectionId, Identity>>>,
}

struct Entry {
    device: Arc<Reachable>,
    task: AbortHandle,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Devices {
    pub(crate) fn new(seat: Seat, clock: Clock) -> Self {
        Self { seat, clock, entries: RefCell::default(), sessions: Rc::default() }
    }

    /// These are the devices now: sessions of others end, those of new ones begin. Each device has one shard.
    pub(crate) fn apply(&self, devices: &[Arc<Reachable>], payload_bytes: u32, host: &Rc<dyn ExchangeHost>) {
        let is_here = |device: &&Arc<Reachable>| {
            let mut hasher = DefaultHasher::new();
            device.identity.device().hash(&mut hasher);
            hasher.finish() % u64::from(self.seat.shards.max(1)) == u64::from(self.seat.shard.0)
        };
        let devices: Vec<_> = devices.iter().filter(is_here).collect();
        // Dropped when nothing is borrowed: their sessions end in the engine, which may want something at once.
        let gone: Vec<_> = self
            .entries
            .borrow_mut()
            .extract_if(.., |entry| !devices.iter().any(|device| **device == entry.device))
            .collect();
        drop(gone);
        for device in devices {
            if self.entries.borrow().iter().any(|entry| entry.device == *device) {
                continue;
            }
            let config = ClientConfig { payload_bytes, in_flight: 1 };
            let server = Server {
                peer: Peer::new(Arc::clone(&device.host), device.port, self.clock, config),
                device: Arc::clone(device),
                clock: self.clock,
                notice: Notice::default(),
                room: Arc::new(Semaphore::new(MOST_ASKED)),
            };
            let sessions = Rc::clone(&self.sessions);
            let task = tokio::task::spawn_local(Rc::new(server).run(Rc::clone(host), sessions));
            let entry = Entry { device: Arc::clone(device), task: task.abort_handle() };
            self.entries.borrow_mut().push(entry);
        }
    }

    /// Who it is that a session of ours is for.
    pub(crate) fn identity(&self, connection: ConnectionId) -> Option<Identity> {
        self.sessions.borrow().get(&connection).cloned()
    }

    /// The node shuts down: nothing more is asked.
    pub(crate) fn drain(&self) {
        drop(self.entries.take());
    }
}

/// A device that is asked.
struct Server {
    device: Arc<Reachable>,
    peer: Peer,
    clock: Clock,
    notice: Notice,
    /// Room for more to be asked.
    room: Arc<Semaphore>,
}

impl Server {
    async fn run(
        self: Rc<Self>,
        host: Rc<dyn ExchangeHost>,
        sessions: Rc<RefCell<HashMap<ConnectionId, Identity>>>,
    ) {
        let address = self.device.host.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let peer = SocketAddr::new(address, self.device.port);
        let listener = Arc::new(listener(peer));
        loop {
            let exchange = Rc::new(Exchange::new(&host, &listener, peer));
            {
                let mut sessions = sessions.borrow_mut();
                // Those before it in the same place of the engine's table are over.
                sessions.retain(|known, _| known.slot != exchange.id().slot);
                sessions.insert(exchange.id(), self.device.identity.clone());
            }
            let claim = Claim { listener: Arc::clone(&listener.name), peer: Some(peer), ..Claim::default() };
            exchange.intent(client::open(claim, WINDOW));
            self.serve(&exchange).await;
            sessions.borrow_mut().remove(&exchange.id());
            drop(exchange);
            sleep(REST).await;
        }
    }

    /// Does as the engine says, until the session ends.
    async fn serve(self: &Rc<Self>, exchange: &Rc<Exchange>) {
        loop {
            match exchange.directive().await {
                Directive::Accept(_) => {
                    let name = self.device.identity.device().map_or("", |id| id);
                    let resources = self.device.resources.iter().map(|path| &**path);
                    exchange.intent(client::subscribe(name, resources));
                }
                Directive::Subscribed { results, .. } => {
                    for rejection in results.iter().filter_map(|result| result.as_ref().err()) {
                        self.warn(&why(rejection));
                    }
                }
                Directive::Deliver(delivery) => {
                    // Until there is room nothing more is taken, and the engine holds what it has.
                    let Ok(permit) = Arc::clone(&self.room).acquire_owned().await else { return };
                    let asked = Rc::clone(self).ask(Rc::clone(exchange), delivery);
                    tokio::task::spawn_local(async move {
                        asked.await;
                        drop(permit);
                    });
                }
                Directive::Refuse(refusal) => return self.warn(&refusal.detail),
                Directive::Close(_) => return,
                _ => {}
            }
        }
    }

    /// Asks the device what was delivered to it.
    async fn ask(self: Rc<Self>, exchange: Rc<Exchange>, delivery: Delivery) {
        let Delivery { tag, event, subscriptions, .. } = delivery;
        let number = subscriptions.first().and_then(|number| usize::try_from(*number).ok());
        let resource = number.and_then(|number| self.device.resources.get(number.checked_sub(1)?));
        let Some(resource) = resource else { return };
        let left = event.expires.map(|expires| expires.since(self.clock.now().wall));
        let limit = left.map_or(PATIENCE, |left| left.min(PATIENCE));
        let result = self.peer.ask(client::asked(resource, &event), limit).await;
        if let Err(failure) = &result {
            self.warn(failure);
        }
        for intent in client::settle(tag, &event, result) {
            exchange.intent(intent);
        }
    }

    fn warn(&self, problem: &dyn std::fmt::Display) {
        if let Some(suppressed) = self.notice.admit() {
            tracing::warn!(device = %self.device.identity, suppressed, "trouble with a device that is a server: {problem}");
        }
    }
}

fn why(rejection: &Rejection) -> String {
    format!("it may not subscribe to its own resources: {rejection}")
}

/// The listener that sessions of such devices are counted at.
fn listener(peer: SocketAddr) -> Listener {
    Listener {
        name: LISTENER.into(),
        protocol: Protocol::Coap,
        bind: peer,
        transport: Transport::Udp,
        path: None,
        server_names: Vec::new(),
        proxy_protocol: false,
        tls: None,
        dtls: None,
        mqtt: MqttOptions::default(),
        amqp: AmqpOptions::default(),
    }
}
