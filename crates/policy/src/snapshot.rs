//! The document, compiled: what the engine and the network act by. Immutable; a reload makes a new one.

use crate::identity::{Authority, IdentityPolicy, IdentityToken, KeySource, RegistryLocation};
use crate::{AccessRules, Condition};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{Filter, Template};

/// The whole document, checked.
#[derive(Debug)]
pub struct Snapshot {
    /// `node`: this node.
    pub node: Node,
    /// `admin`: the admin API, if any.
    pub admin: Option<Admin>,
    /// `tls`: certificates by name.
    pub tls: BTreeMap<Arc<str>, TlsProfile>,
    /// `listeners`, in the document's order.
    pub listeners: Vec<Arc<Listener>>,
    /// `identity`: who is let in.
    pub identity: IdentityPolicy,
    /// `ca`: the authority that things enrol with, if there is one.
    pub ca: Option<Authority>,
    /// `access`: who may do what.
    pub access: AccessRules,
    /// `pools`: by index; routes refer to them so.
    pub pools: Vec<Arc<Pool>>,
    /// `routes`, in the document's order.
    pub routes: Vec<Arc<Route>>,
    /// `limits`: bounds on everything.
    pub limits: Limits,
}

impl Snapshot {
    /// Makes relative paths paths from `base`, the document's folder.
    pub fn resolve_paths(&mut self, base: &Path) {
        let resolve = |path: &mut PathBuf| *path = base.join(&*path);
        resolve(&mut self.node.data_dir);
        for profile in self.tls.values_mut() {
            for files in &mut profile.certificates {
                resolve(&mut files.certificate);
                resolve(&mut files.key);
            }
            profile.client_ca.iter_mut().for_each(resolve);
        }
        self.identity.devices.iter_mut().for_each(resolve);
        self.identity.api_keys.iter_mut().for_each(resolve);
        if let Some(RegistryLocation::Sqlite(file)) = &mut self.identity.registry {
            resolve(file);
        }
        self.identity.certificates.iter_mut().for_each(|authority| resolve(&mut authority.ca));
        self.identity.revocation.crl.iter_mut().for_each(resolve);
        self.identity.hook.iter_mut().flat_map(|hook| &mut hook.ca).for_each(resolve);
        for issuer in &mut self.identity.tokens {
            issuer.ca.iter_mut().for_each(resolve);
            if let KeySource::File(file) = &mut issuer.keys {
                resolve(file);
            }
        }
        if let Some(ca) = &mut self.ca {
            resolve(&mut ca.certificate);
            resolve(&mut ca.key);
        }
        for pool in &mut self.pools {
            if pool.ca.is_some() {
                Arc::make_mut(pool).ca.iter_mut().for_each(resolve);
            }
        }
    }
}

/// `node`.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The node's name: `windrose://NAME/...` in CloudEvents.
    pub name: Arc<str>,
    /// Where the node keeps what must outlive it.
    pub data_dir: PathBuf,
    /// Shards, one thread each. `None`: one for each core.
    pub shards: Option<usize>,
    /// How long a drain may take on SIGTERM before what is left is cut.
    pub shutdown_deadline: Duration,
    /// Whether sessions, what waits for them, and last values survive the process.
    pub persistence: bool,
    /// How often the node's own figures appear under `$SYS/`; zero is never.
    pub sys_interval: Duration,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            name: "windrose".into(),
            data_dir: "./data".into(),
            shards: None,
            shutdown_deadline: Duration::from_secs(10),
            persistence: false,
            sys_interval: Duration::from_secs(10),
        }
    }
}

/// `admin`.
#[derive(Clone, Debug, PartialEq)]
pub struct Admin {
    /// Where it listens.
    pub bind: SocketAddr,
}

/// One entry of `tls`.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsProfile {
    /// Certificates, chosen by SNI; the first is for clients that name none.
    pub certificates: Vec<CertificateFiles>,
    /// The authorities of client certificates; without it none is asked for.
    pub client_ca: Option<PathBuf>,
    /// Whether a client must bring a certificate (`required`) or may (`optional`).
    pub client_certificate: ClientCertificate,
    /// The least version: 1.2 or 1.3.
    pub min_version: TlsVersion,
}

/// A certificate chain and its key, as PEM files.
#[derive(Clone, Debug, PartialEq)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The leaf's private key.
    pub key: PathBuf,
}

/// Whether clients bring certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificate {
    /// A client without one is refused in the handshake.
    Required,
    /// A client may have none; one that it has must verify.
    Optional,
}

/// A TLS version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

/// One entry of `listeners`.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// Its name in logs and metrics.
    pub name: Arc<str>,
    /// What is spoken on it.
    pub protocol: Protocol,
    /// Where it listens.
    pub bind: SocketAddr,
    /// What carries it.
    pub transport: Transport,
    /// With WebSocket the path that clients ask for; `None` otherwise.
    pub path: Option<Arc<str>>,
    /// The server names (TLS SNI) that it is for, in lower case, `*.` standing for one label; empty: any.
    pub server_names: Vec<Arc<str>>,
    /// Whether every connection begins with a PROXY protocol header.
    pub proxy_protocol: bool,
    /// The `tls` entry that it uses; `None` is plain text.
    pub tls: Option<Arc<str>>,
    /// How its datagrams are secured; `None` is plain text.
    pub dtls: Option<Dtls>,
    /// What is particular to MQTT.
    pub mqtt: MqttOptions,
    /// What is particular to AMQP.
    pub amqp: AmqpOptions,
}

impl Listener {
    /// Whether datagrams carry it, not connections.
    pub fn is_udp(&self) -> bool {
        self.transport == Transport::Udp
    }
}

/// `listeners[].dtls`: how datagrams are secured (RFC 6347, RFC 7252 §9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dtls {
    /// With the keys that it shares with devices, and nothing else.
    Psk,
    /// With the certificates of this entry of `tls`, and with the keys that it shares with devices.
    Entry(Arc<str>),
}

/// What carries a protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP, with or without TLS.
    #[default]
    Tcp,
    /// WebSocket (RFC 6455, MQTT 5 §6, RFC 8323 §4, the WebSocket Binding of AMQP 1.0), with or without TLS.
    WebSocket,
    /// UDP, with or without DTLS.
    Udp,
}

impl Transport {
    /// The transport's name in the document and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::WebSocket => "websocket",
            Self::Udp => "udp",
        }
    }
}

/// `listeners[].mqtt`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MqttOptions {
    /// What odd clients need; all of it is off by default.
    pub quirks: Quirks,
    /// Another server that clients are told of when this one sends them away (MQTT 5 §4.11).
    pub server_reference: Option<Arc<str>>,
    /// What clients that ask get as Response Information (MQTT 5 §3.2.2.3.15); `{session}` stands for the client's name.
    pub response_information: Option<Arc<str>>,
    /// How often a message comes that several subscriptions of one client match.
    pub overlapping_subscriptions: Overlapping,
}

/// How often a message comes that several subscriptions of one client match (MQTT 5 §3.3.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlapping {
    /// Once for each matching subscription with wildcards, with its QoS and identifier; those without share a copy.
    #[default]
    Each,
    /// Once, with the highest QoS and all identifiers.
    Once,
}

/// `listeners[].mqtt.quirks`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quirks {
    /// MQTT 3.1: a client may have no name, with clean session off, too.
    pub empty_client_id: bool,
    /// MQTT 3.1: the name of a client may be longer than 23 characters.
    pub long_client_id: bool,
    /// MQTT 3.x: [`Limits::keep_alive_max`] is for these clients, too, though they cannot be told.
    pub cap_keep_alive: bool,
    /// The highest QoS that is granted and taken, if not 2.
    pub maximum_qos: Option<u8>,
}

/// `listeners[].amqp`.
#[derive(Clone, Debug, PartialEq)]
pub struct AmqpOptions {
    /// Addresses that are queues to links of AMQP 1.0 that do not say what they want.
    pub queues: Arc<[Filter]>,
    /// Another server that clients of AMQP 1.0 are told of when this one sends them away, as `host:port` (AMQP 1.0 §2.8.16).
    pub redirect: Option<Arc<str>>,
    /// How long nothing may come before a connection is closed; `None`: no bound of this listener's own.
    pub heartbeat: Option<Duration>,
}

impl Default for AmqpOptions {
    fn default() -> Self {
        Self {
            queues: Filter::new("+").into_iter().collect(),
            redirect: None,
            heartbeat: Some(Duration::from_secs(60)),
        }
    }
}

/// Protocols of listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// MQTT 3.1, 3.1.1 and 5.0.
    Mqtt,
    /// REST.
    Http,
    /// CoAP (RFC 7252).
    Coap,
    /// AMQP 1.0 and 0-9-1.
    Amqp,
}

impl Protocol {
    /// The protocol's name in the document, metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Http => "http",
            Self::Coap => "coap",
            Self::Amqp => "amqp",
        }
    }
}

/// One entry of `pools`: services that take events.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Its name in routes, metrics and logs.
    pub name: Arc<str>,
    /// What the members speak.
    pub protocol: PoolProtocol,
    /// Its members.
    pub members: Vec<Member>,
    /// How a member is picked for each event.
    pub balance: Balance,
    /// How events are written (`mode`).
    pub mode: CloudEventsMode,
    /// In batch mode, at most how many events a request carries.
    pub batch_events: usize,
    /// In batch mode, how long the first event waits for others.
    pub batch_wait: Duration,
    /// HTTP versions spoken to the members.
    pub http_version: HttpVersion,
    /// At most how long one attempt may take, connecting included.
    pub timeout: Duration,
    /// The first wait before another attempt; doubled each time up to `backoff_max`, with jitter.
    pub backoff: Duration,
    /// The longest wait before another attempt.
    pub backoff_max: Duration,
    /// At most how many requests are at one member at once, from the whole node.
    pub max_in_flight: u32,
    /// At most how many events wait for or are at its members, in the whole node, before senders are braked.
    pub queue: u32,
    /// For `https`, `mqtts` and `amqps` members: authorities that their certificates must come from; `None` means the public ones.
    pub ca: Option<PathBuf>,
    /// Headers sent with each request, such as `Authorization`. Values can be secrets: never logged.
    pub headers: Vec<(String, PoolHeader)>,
    /// With `protocol: mqtt`, how the node presents itself to the members and what it fetches from them.
    pub mqtt: Option<MqttPool>,
    /// With `protocol: amqp`, the same, and how events are addressed there.
    pub amqp: Option<AmqpPool>,
    /// Whether services are told who published an event, by a token that the node signs.
    pub identity_token: Option<IdentityToken>,
}

impl Pool {
    /// What may be fetched from the members when somebody here subscribes to it.
    pub fn subscribe(&self) -> &[Filter] {
        match (&self.mqtt, &self.amqp) {
            (Some(mqtt), _) => &mqtt.subscribe,
            (None, Some(amqp)) => &amqp.subscribe,
            (None, None) => &[],
        }
    }

    /// Whether an event at this address may come from the members. What is in queues that the document has consumed from
    /// may be at any address.
    pub fn may_bring(&self, address: &str) -> bool {
        self.amqp.as_ref().is_some_and(|amqp| !amqp.consume.is_empty())
            || self.subscribe().iter().any(|filter| filter.matches(address))
    }
}

/// What the members of a pool speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PoolProtocol {
    /// CloudEvents over HTTP.
    #[default]
    Http,
    /// MQTT: the members are brokers.
    Mqtt,
    /// CoAP over UDP.
    Coap,
    /// AMQP 1.0 or 0-9-1: the members are brokers, too.
    Amqp,
}

impl PoolProtocol {
    /// The protocol's name in the document.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Mqtt => "mqtt",
            Self::Coap => "coap",
            Self::Amqp => "amqp",
        }
    }
}

/// What is particular to a pool of AMQP brokers.
#[derive(Clone, Debug, PartialEq)]
pub struct AmqpPool {
    /// The version spoken.
    pub version: AmqpVersion,
    /// What the names of the node's connections begin with (1.0: container-id).
    pub client_id: Arc<str>,
    /// The user name, if any.
    pub username: Option<Arc<str>>,
    /// The password, if any.
    pub password: Option<PoolHeader>,
    /// How long a connection may be silent.
    pub keep_alive: Duration,
    /// 1.0: the address of an event at the members.
    pub address: Template,
    /// 0-9-1: the exchange that events are published to.
    pub exchange: Arc<str>,
    /// 0-9-1: their routing key.
    pub routing_key: Template,
    /// What may be fetched from the members when somebody here subscribes to it.
    pub subscribe: Vec<Filter>,
    /// Queues (1.0: addresses) that are consumed from, whoever subscribes here.
    pub consume: Vec<Arc<str>>,
    /// Events from a member that may be unsettled at once.
    pub prefetch: u16,
}

/// Versions of AMQP spoken to members of pools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AmqpVersion {
    /// What the member answers with.
    #[default]
    Auto,
    /// AMQP 1.0.
    V1,
    /// AMQP 0-9-1.
    V091,
}

/// What is particular to a pool of MQTT brokers.
#[derive(Clone, Debug, PartialEq)]
pub struct MqttPool {
    /// What the client identifiers of the node's connections begin with.
    pub client_id: Arc<str>,
    /// The user name, if any.
    pub username: Option<Arc<str>>,
    /// The password, if any.
    pub password: Option<PoolHeader>,
    /// The keep-alive of the connections.
    pub keep_alive: Duration,
    /// What may be fetched from the members when somebody here subscribes to it.
    pub subscribe: Vec<Filter>,
    /// The version spoken.
    pub version: MqttVersion,
}

/// Versions of MQTT spoken to members of pools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MqttVersion {
    /// MQTT 5.0.
    #[default]
    V5,
    /// MQTT 3.1.1.
    V311,
}

/// A value of `pools.*.headers`, or a password; its `Debug` shows nothing.
#[derive(Clone, PartialEq)]
pub struct PoolHeader(pub String);

impl std::fmt::Debug for PoolHeader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PoolHeader(..)")
    }
}

/// A member of a pool: one URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// The URL as written, for logs and metrics.
    pub url: Arc<str>,
    /// Whether it is `https`, `mqtts` or `amqps`.
    pub tls: bool,
    /// Host name or address, without brackets.
    pub host: Arc<str>,
    /// Port.
    pub port: u16,
    /// Path and query, beginning with `/`.
    pub path: Arc<str>,
}

/// How a member is picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// In turn.
    RoundRobin,
    /// The one with the fewest requests under way.
    LeastOutstanding,
}

/// How an event is written as an HTTP request (CloudEvents 1.0, HTTP protocol binding §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloudEventsMode {
    /// Attributes as headers, payload as body (§3.1).
    Binary,
    /// All in one JSON object (§3.2).
    Structured,
    /// A JSON array of events (§3.3).
    Batch,
}

/// HTTP versions spoken to a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    /// With TLS what ALPN agrees on, otherwise 1.1.
    Auto,
    /// HTTP/1.1 with keep-alive.
    Http1,
    /// HTTP/2; in plain text by prior knowledge.
    Http2,
}

/// One entry of `routes`.
#[derive(Debug)]
pub struct Route {
    /// Its name in metrics and logs.
    pub name: Arc<str>,
    /// Which addresses.
    pub filter: Filter,
    /// Which events (`when`), if not all of them.
    pub condition: Option<Condition>,
    /// Index in [`Snapshot::pools`] of where they go; `None` is to no pool (`deliver: {}`: subscribers only).
    pub pool: Option<usize>,
    /// Whether payloads in CBOR go to the pool as JSON, and replies to them come back as CBOR (`as: json`).
    pub as_json: bool,
    /// What an acknowledgement promises.
    pub acknowledge: Promise,
    /// How long delivery may take before the sender is told that it failed.
    pub deadline: Duration,
    /// Where the answer to an event goes that names no address for it.
    pub reply_to: Option<Template>,
    /// Whether subscribers get the event besides.
    pub subscribers: bool,
    /// Whether later routes are not looked at.
    pub stop: bool,
}

/// What an acknowledgement promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// The node has the event in memory.
    Received,
    /// The service answered 2xx.
    Delivered,
}

impl Promise {
    /// The promise's name in the document and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Delivered => "delivered",
        }
    }
}

/// What happens to events for a session, or a queue of AMQP, that is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueueFull {
    /// The new event is dropped and counted.
    #[default]
    RefuseNewest,
    /// The event that has waited longest is dropped and counted.
    DropOldest,
}

/// `limits`: every bound has a default.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Connections of the whole node.
    pub connections: u32,
    /// The largest payload, in bytes; larger is `TooLarge`.
    pub payload_bytes: u32,
    /// The largest protocol packet, in bytes, whatever is in it.
    pub packet_bytes: u32,
    /// How many unsettled publications one session may have (MQTT 5: the Receive Maximum we announce).
    pub receive_maximum: u16,
    /// The longest that a session outlives its connection.
    pub session_expiry: Duration,
    /// Sessions of the whole node.
    pub sessions: u32,
    /// Events that wait for one session.
    pub session_queue_events: u32,
    /// Bytes that wait for one session.
    pub session_queue_bytes: u64,
    /// What happens when either is full.
    pub session_queue_full: QueueFull,
    /// Deliveries unsettled at one session, whatever window it asks for.
    pub session_in_flight: u16,
    /// Subscriptions of one session.
    pub subscriptions_per_session: u32,
    /// Exchanges of the whole node, besides those that are always there (AMQP 0-9-1 §3.1.3).
    pub exchanges: u32,
    /// Queues of the whole node (AMQP 0-9-1 §3.1.4).
    pub queues: u32,
    /// Bindings of the whole node (AMQP 0-9-1 §3.1.5).
    pub bindings: u32,
    /// Events that wait in one queue, whatever it asks for.
    pub queue_events: u32,
    /// Bytes that wait in one queue, whatever it asks for.
    pub queue_bytes: u64,
    /// What happens when a queue is full that does not say so itself.
    pub queue_full: QueueFull,
    /// Topic aliases of one connection, for each direction (MQTT 5 §3.3.2.3.4); zero is none.
    pub topic_aliases: u16,
    /// Levels of an address or filter.
    pub address_levels: u16,
    /// AMQP: channels (0-9-1) or sessions (1.0) of one connection.
    pub channels: u16,
    /// AMQP: links (1.0) or consumers (0-9-1) of one connection.
    pub links: u32,
    /// Last values of the whole node.
    pub retained_events: u32,
    /// Bytes of last values of the whole node.
    pub retained_bytes: u64,
    /// Events on their way to another shard before senders are braked.
    pub shard_queue: u32,
    /// Bytes that wait to be written to one connection before its deliveries are held.
    pub output_bytes: usize,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long the first packet (MQTT: CONNECT) may take; HTTP: a request's head.
    pub connect_timeout: Duration,
    /// HTTP: how long a request's body may take, however slowly it trickles.
    pub body_timeout: Duration,
    /// The longest keep-alive; a client that asks for more, or for none, gets this (MQTT 5: Server Keep Alive).
    /// `None`: no bound.
    pub keep_alive_max: Option<Duration>,
    /// How long a peer may take to read what was written to it before it is cut.
    pub write_timeout: Duration,
    /// CoAP exchanges of the whole node that are remembered so that none is done twice (RFC 7252 §4.5).
    pub coap_exchanges: u32,
    /// How long each of them is (RFC 7252 §4.8.2, EXCHANGE_LIFETIME).
    pub coap_exchange_lifetime: Duration,
    /// DTLS sessions of the whole node.
    pub dtls_sessions: u32,
    /// How long a DTLS session may say nothing.
    pub dtls_idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1_000_000,
            payload_bytes: 262_144,
            packet_bytes: 393_216,
            receive_maximum: 256,
            session_expiry: Duration::from_secs(7 * 24 * 3600),
            sessions: 1_000_000,
            session_queue_events: 1_000,
            session_queue_bytes: 1 << 20,
            session_queue_full: QueueFull::RefuseNewest,
            session_in_flight: 256,
            subscriptions_per_session: 1_000,
            exchanges: 10_000,
            queues: 100_000,
            bindings: 1_000_000,
            queue_events: 100_000,
            queue_bytes: 64 << 20,
            queue_full: QueueFull::RefuseNewest,
            topic_aliases: 10,
            address_levels: 128,
            channels: 2_047,
            links: 1_023,
            retained_events: 1_000_000,
            retained_bytes: 1 << 30,
            shard_queue: 16_384,
            output_bytes: 1 << 18,
            handshake_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            keep_alive_max: None,
            write_timeout: Duration::from_secs(30),
            coap_exchanges: 8_000_000,
            coap_exchange_lifetime: Duration::from_secs(247),
            dtls_sessions: 1_000_000,
            dtls_idle: Duration::from_secs(3600),
        }
    }
}
