//! The keys of the operator's document. Reading it and its JSON Schema both come from these records.

mod identity;
mod words;

pub(crate) use identity::*;
pub(crate) use words::*;

use crate::document::{Concealed, Located, Name, OneOrMore, Optional, Required, Size, Wait, Whole};
use crate::record;
use crate::snapshot::{
    AmqpVersion, Balance, ClientCertificate, CloudEventsMode, HttpVersion, MqttVersion, Overlapping,
    PoolProtocol, Promise, Protocol, QueueFull, TlsVersion, Transport,
};
use std::net::SocketAddr;
use std::path::PathBuf;
use windrose_event::Permission;

/// A list of things.
type List<T> = Vec<Located<T>>;
/// Things with names that the operator chooses.
type Named<T> = Vec<(Located<String>, Located<T>)>;
/// A number of things, at least one.
type Count = Whole<1, { u32::MAX as u64 }>;
/// A number of things up to 65,535, at least one.
type SmallCount = Whole<1, { u16::MAX as u64 }>;

record! {
    /// What a Windrose node listens to, whom it lets in, and where it delivers events.
    pub(crate) struct DocumentKeys {
        /// This node.
        node: Optional<NodeKeys>,
        /// The admin API with metrics and health; left out, there is none.
        admin: Optional<AdminKeys>,
        /// Certificates, by names that listeners refer to.
        tls: Optional<Named<TlsKeys>>,
        /// Where the node listens, and which protocol is spoken there.
        listeners: Optional<List<ListenerKeys>>,
        /// Who is let in.
        identity: Optional<IdentityKeys>,
        /// The authority that things get their certificates from; left out, there is none.
        ca: Optional<AuthorityKeys>,
        /// Who may do what on which addresses. Nothing is allowed that no rule allows.
        access: Optional<List<AccessKeys>>,
        /// Groups of services that take events, by names that routes refer to.
        pools: Optional<Named<PoolKeys>>,
        /// Which events go where. Every route that matches applies, in this order, until one says `stop: true`.
        routes: Optional<List<RouteKeys>>,
        /// Bounds on everything. Each has a default.
        limits: Optional<LimitsKeys>,
    }
    later {
        "cluster" => "a node stands alone for now: take `cluster` out",
        "scripts" => "scripts arrive later: take `scripts` out",
    }
}

record! {
    /// This node.
    pub(crate) struct NodeKeys {
        /// The node's name, in CloudEvents as `windrose://NAME/...`. Default: `windrose`.
        name: Optional<Name>,
        /// The folder for what must outlive the node, from the document's folder if relative. Default: `./data`.
        data_dir: Optional<PathBuf>,
        /// Shards, one thread each. Default: one for each core.
        shards: Optional<Whole<1, 1024>>,
        /// How long a drain may take on SIGTERM before what is left is cut. Default: `10s`.
        shutdown_deadline: Optional<Wait<0>>,
        /// Whether sessions, what waits for them, and last values survive the process: `on` or `off` (the default).
        persistence: Optional<Switch>,
        /// How often the node's own figures appear under `$SYS/`; `0s` is never. Default: `10s`.
        sys_interval: Optional<Wait<0>>,
    }
}

record! {
    /// The admin API.
    pub(crate) struct AdminKeys {
        /// Where it listens: an IP address and a port. It is in plain text, hence on loopback only.
        bind: Required<SocketAddr>,
        /// `allow` lets it listen elsewhere than on loopback.
        plaintext: Optional<Plaintext>,
    }
    later { "tls" => "bind it to loopback, or put a proxy with TLS before it" }
}

record! {
    /// Certificates, and whether clients bring theirs.
    pub(crate) struct TlsKeys {
        /// The certificate chain, leaf first, as a PEM file.
        certificate: Optional<PathBuf>,
        /// The private key of `certificate`, as a PEM file.
        key: Optional<PathBuf>,
        /// Several certificates, chosen by the name that a client asks for (SNI); the first is for clients that name none.
        certificates: Optional<List<CertificateKeys>>,
        /// The authorities of client certificates, as a PEM file; left out, clients are asked for none.
        client_ca: Optional<PathBuf>,
        /// Whether a client must bring a certificate (`required`) or may prove itself otherwise (`optional`, the default).
        client_certificate: Optional<ClientCertificate>,
        /// The least version of TLS: "1.2" (the default) or "1.3".
        min_version: Optional<TlsVersion>,
    }
}

record! {
    /// A certificate and its key.
    pub(crate) struct CertificateKeys {
        /// The certificate chain, leaf first, as a PEM file.
        certificate: Required<PathBuf>,
        /// The private key, as a PEM file.
        key: Required<PathBuf>,
    }
}

record! {
    /// A place where the node listens.
    pub(crate) struct ListenerKeys {
        /// Its name in logs and metrics.
        name: Required<Name>,
        /// What is spoken on it: `mqtt` (3.1, 3.1.1 and 5.0), `coap`, `amqp` (1.0 and 0-9-1) or `http` (REST).
        protocol: Required<Protocol>,
        /// Where it listens: an IP address and a port. Listeners may share one if something tells them apart.
        bind: Required<SocketAddr>,
        /// What carries MQTT or AMQP: `tcp` (the default) or `websocket` (AMQP: 1.0 only); CoAP: `udp` (the default), `tcp` or `websocket`.
        transport: Optional<Transport>,
        /// The path that WebSocket clients ask for. Default: `/mqtt`; CoAP: `/.well-known/coap`; AMQP: `/amqp`.
        path: Optional<String>,
        /// The server names (TLS SNI) that it is for, such as `mqtt.example` or `*.example`; left out, any.
        server_names: Optional<List<String>>,
        /// `required`: every connection begins with a PROXY protocol header (v1 or v2) that says where it comes from.
        proxy_protocol: Optional<ProxyProtocol>,
        /// The entry of `tls` that it uses; left out, it is in plain text.
        tls: Optional<String>,
        /// CoAP over UDP: the entry of `tls` that DTLS uses, or `psk` for pre-shared keys only; left out, it is in plain text.
        dtls: Optional<String>,
        /// `allow` lets a listener without TLS or DTLS listen elsewhere than on loopback.
        plaintext: Optional<Plaintext>,
        /// What is particular to MQTT.
        mqtt: Optional<MqttKeys>,
        /// What is particular to AMQP.
        amqp: Optional<AmqpKeys>,
    }
}

record! {
    /// What is particular to AMQP on one listener.
    pub(crate) struct AmqpKeys {
        /// Filters of the addresses that are queues to clients of AMQP 1.0 that do not say whether they want a queue or a topic. Default: `["+"]`, all of one level.
        queues: Optional<List<String>>,
        /// Another server, such as `other.example:5671`, that clients of AMQP 1.0 are told of when this one sends them away.
        redirect: Optional<String>,
        /// How long a client may say nothing before its connection is closed; clients are told. `0s`: no bound but `limits.keep_alive_max`. Default: `60s`.
        heartbeat: Optional<Wait<0>>,
    }
}

record! {
    /// What is particular to MQTT on one listener.
    pub(crate) struct MqttKeys {
        /// What odd clients need. All of it is off by default.
        quirks: Optional<QuirksKeys>,
        /// Another server, such as `other.example:8883`, that clients are told of when this one sends them away (MQTT 5: Server Reference).
        server_reference: Optional<String>,
        /// What a client that asks for it gets as the beginning of its response topics, such as `replies/{session}` (MQTT 5: Response Information).
        response_information: Optional<String>,
        /// How often a message comes that several subscriptions of one client match: `each` (the default: once for each of them that has wildcards) or `once`.
        overlapping_subscriptions: Optional<Overlapping>,
    }
}

record! {
    /// What odd clients need.
    pub(crate) struct QuirksKeys {
        /// MQTT 3.1: whether a client may have no name, with clean session off, too. It gets one that lasts as long as its connection.
        empty_client_id: Optional<bool>,
        /// MQTT 3.1: whether the name of a client may be longer than 23 characters.
        long_client_id: Optional<bool>,
        /// MQTT 3.x: whether `limits.keep_alive_max` is for these clients, too, though they cannot be told.
        cap_keep_alive: Optional<bool>,
        /// The highest QoS that is granted and taken: 0 or 1.
        maximum_qos: Optional<Whole<0, 1>>,
    }
}

record! {
    /// A rule that allows or denies something.
    pub(crate) struct AccessKeys {
        /// Whom it speaks of: `anyone`, `anonymous`, `device:ID`, `owner:ID`, `group:NAME`, `service:NAME`, `claim:NAME=VALUE`; `*` is all of a kind.
        who: Required<String>,
        /// What they may do.
        may: Optional<OneOrMore<Permission>>,
        /// What they may not do, whatever other rules allow. Instead of `may`.
        deny: Optional<OneOrMore<Permission>>,
        /// On which addresses: filters, in which `{device}`, `{owner}`, `{owned}`, `{group}` and `{claim.NAME}` are their own. `administer` and `enrol` need none.
        on: Optional<OneOrMore<String>>,
    }
}

record! {
    /// Services that take events.
    pub(crate) struct PoolKeys {
        /// What the members speak: `http` (the default), `mqtt`, `amqp` or `coap`.
        protocol: Optional<PoolProtocol>,
        /// The URLs of the services, such as `http://127.0.0.1:9000/events`, `mqtts://broker.example:8883`, `amqp://10.0.0.4/vhost` or `coap://10.0.0.5/events`.
        members: Required<List<String>>,
        /// How a member is picked for each event: `least-outstanding` (the default) or `round-robin`.
        balance: Optional<Balance>,
        /// How events are written as CloudEvents: `binary` (the default), `structured` or `batch`.
        mode: Optional<CloudEventsMode>,
        /// How batches are made, with `mode: batch`.
        batch: Optional<BatchKeys>,
        /// The version of HTTP: `auto` (the default; what TLS agrees on, otherwise 1.1), "1.1" or "2".
        version: Optional<HttpVersion>,
        /// At most how long one attempt may take, connecting included. Default: `10s`.
        timeout: Optional<Wait<1>>,
        /// The first wait before another attempt; doubled each time, with jitter. Default: `100ms`.
        backoff: Optional<Wait<1>>,
        /// The longest wait before another attempt. Default: `2s`.
        backoff_max: Optional<Wait<1>>,
        /// At most how many requests are at one member at once. Default: 256; with `protocol: coap` 16.
        max_in_flight: Optional<Count>,
        /// At most how many events wait for the pool or are at its members before senders are braked. Default: 10000.
        queue: Optional<Count>,
        /// The authorities of the members' certificates, as a PEM file. Default: the public ones.
        ca: Optional<PathBuf>,
        /// Headers sent with each request, such as `Authorization: "Bearer ${TOKEN}"`.
        headers: Optional<Named<Concealed>>,
        /// `http`: tells the services who published an event, by a short-lived token that the node signs.
        identity_token: Optional<IdentityTokenKeys>,
        /// `mqtt`, `amqp`: the name that the node goes by at the members; each connection adds to it. Default: `windrose-` and the node's name.
        client_id: Optional<String>,
        /// `mqtt`, `amqp`: the user name.
        username: Optional<String>,
        /// `mqtt`, `amqp`: the password, such as `${BROKER_PASSWORD}`.
        password: Optional<Concealed>,
        /// `mqtt`, `amqp`: the keep-alive of the connections (0-9-1: heartbeat). Default: `30s`.
        keep_alive: Optional<Wait<1000>>,
        /// `mqtt`, `amqp`: filters of what may be fetched from the members: what local clients subscribe to within them is subscribed to there.
        subscribe: Optional<List<String>>,
        /// `protocol: mqtt`: the version spoken: "5" (the default) or "3.1.1".
        mqtt_version: Optional<MqttVersion>,
        /// `protocol: amqp`: the version spoken: `auto` (the default: what the member answers with), "1.0" or "0-9-1".
        amqp_version: Optional<AmqpVersion>,
        /// `amqp`, 1.0: an event's address at the members, in which `{address}` is its own and `{key}` is that as a routing key, such as `/topic/{key}`. Default: `{address}`.
        address: Optional<String>,
        /// `amqp`, 0-9-1: the exchange that events are published to. Default: `amq.topic`.
        exchange: Optional<String>,
        /// `amqp`, 0-9-1: an event's routing key, in which `{key}` is its address with `.` for `/`, and `{address}` the address. Default: `{key}`.
        routing_key: Optional<String>,
        /// `protocol: amqp`: queues (1.0: addresses of queues) at the members whose events are taken in here, each acknowledged there once it is settled here.
        consume: Optional<OneOrMore<String>>,
        /// `protocol: amqp`: how many events from one member may be unsettled at once. Default: 256.
        prefetch: Optional<Whole<1, 32_768>>,
    }
    later { "health" => "take it out: a member that fails is passed over by back-off for now" }
}

record! {
    /// How batches are made. A batch is sent when it is full or has waited long enough.
    pub(crate) struct BatchKeys {
        /// At most how many events a request carries. Default: 100.
        events: Optional<Whole<1, 10_000>>,
        /// At most how long the first event waits for others. Default: `50ms`.
        wait: Optional<Wait<0>>,
    }
}

record! {
    /// Where events go.
    pub(crate) struct RouteKeys {
        /// Its name in logs and metrics.
        name: Required<Name>,
        /// Which addresses: a filter, in which `+` is one level and `#` as the last level any number of them.
        r#match: Required<String>,
        /// Which events, if not all: a CEL expression such as `event.size < 65536`.
        when: Optional<String>,
        /// Where they go; left out, to subscribers only.
        deliver: Optional<DeliverKeys>,
        /// How payloads go to the pool: `json` makes JSON of CBOR and of SenML in CBOR, and CBOR of replies to those that sent it. Default: as they came.
        r#as: Optional<Representation>,
        /// What an acknowledgement promises: `received` (we have it) or `delivered` (the service answered 2xx). Default: `delivered` if there is a pool, otherwise `received`.
        acknowledge: Optional<Promise>,
        /// How long delivery may take before the sender is told that it failed. Default: `30s`.
        deadline: Optional<Wait<1>>,
        /// Where the answer to an event goes that names no address for it: such as `{address}/reply`; `{session}` is its sender's session. Default: nowhere.
        reply_to: Optional<String>,
        /// Whether subscribers get the event besides. Default: `true`.
        subscribers: Optional<bool>,
        /// Whether later routes are not looked at. Default: `false`.
        stop: Optional<bool>,
    }
}

record! {
    /// Where a route's events go.
    pub(crate) struct DeliverKeys {
        /// The name of a pool.
        pool: Optional<String>,
    }
    later { "peer" => "other nodes arrive later: deliver to a pool" }
}

record! {
    /// Bounds on everything.
    pub(crate) struct LimitsKeys {
        /// Connections of the whole node. Default: 1000000.
        connections: Optional<Count>,
        /// The largest payload, in bytes. Default: 256KiB, or `packet_bytes` if that is less.
        payload_bytes: Optional<Size<1, 268_435_456>>,
        /// The largest protocol packet, in bytes, whatever is in it. Default: 128KiB more than `payload_bytes`.
        packet_bytes: Optional<Size<32, 268_435_460>>,
        /// How many unsettled publications one session may have (MQTT 5: the Receive Maximum). Default: 256.
        receive_maximum: Optional<SmallCount>,
        /// The longest that a session outlives its connection. Default: `7d`.
        session_expiry: Optional<Wait<0>>,
        /// Sessions of the whole node. Default: 1000000.
        sessions: Optional<Count>,
        /// Events that wait for one session. Default: 1000.
        session_queue_events: Optional<Count>,
        /// Bytes that wait for one session. Default: 1MiB.
        session_queue_bytes: Optional<Size<1024, 1_099_511_627_776>>,
        /// What happens when either is full: `refuse-newest` (the default: the new event is dropped and counted) or `drop-oldest`.
        session_queue_full: Optional<QueueFull>,
        /// Deliveries unsettled at one session, whatever window it asks for. Default: 256.
        session_in_flight: Optional<SmallCount>,
        /// Subscriptions of one session. Default: 1000.
        subscriptions_per_session: Optional<Count>,
        /// Exchanges of the whole node (AMQP), besides those that are always there. Default: 10000.
        exchanges: Optional<Count>,
        /// Queues of the whole node (AMQP). Default: 100000.
        queues: Optional<Count>,
        /// Bindings of the whole node (AMQP). Default: 1000000.
        bindings: Optional<Count>,
        /// Events that wait in one queue (AMQP), whatever it asks for. Default: 100000.
        queue_events: Optional<Count>,
        /// Bytes that wait in one queue (AMQP), whatever it asks for. Default: 64MiB.
        queue_bytes: Optional<Size<1024, 1_099_511_627_776>>,
        /// What happens when a queue (AMQP) is full that does not say so itself: `refuse-newest` (the default: the publisher is told that there is no room) or `drop-oldest`.
        queue_full: Optional<QueueFull>,
        /// Topic aliases of one connection, for each direction (MQTT 5); 0 is none. Default: 10.
        topic_aliases: Optional<Whole<0, { u16::MAX as u64 }>>,
        /// Levels of an address or filter. Default: 128.
        address_levels: Optional<SmallCount>,
        /// AMQP: channels (0-9-1) or sessions (1.0) of one connection. Default: 2047.
        channels: Optional<SmallCount>,
        /// AMQP: links (1.0) or consumers (0-9-1) of one connection. Default: 1023.
        links: Optional<Count>,
        /// Last values (retained events) of the whole node. Default: 1000000.
        retained_events: Optional<Whole<0, { u32::MAX as u64 }>>,
        /// Bytes of last values of the whole node. Default: 1GiB.
        retained_bytes: Optional<Size<0, 1_099_511_627_776>>,
        /// Events on their way to another shard before senders are braked. Default: 16384.
        shard_queue: Optional<Count>,
        /// Bytes that wait to be written to one connection before its deliveries are held. Default: 256KiB.
        output_bytes: Optional<Size<1024, 1_073_741_824>>,
        /// How long a TLS handshake may take. Default: `10s`.
        handshake_timeout: Optional<Wait<1>>,
        /// How long the first packet (MQTT: CONNECT; HTTP: a request's head), or an AMQP connection's opening, may take. Default: `10s`.
        connect_timeout: Optional<Wait<1>>,
        /// How long the body of an HTTP request may take, however slowly it trickles. Default: `30s`.
        body_timeout: Optional<Wait<1>>,
        /// The longest keep-alive; a client that asks for more, or for none, gets this. Default: no bound.
        keep_alive_max: Optional<Wait<1000>>,
        /// How long a peer may take to read what was written to it before it is cut. Default: `30s`.
        write_timeout: Optional<Wait<1>>,
        /// CoAP: exchanges of the whole node that are remembered, so that a repeated message is not taken for a new one. Default: 8000000.
        coap_exchanges: Optional<Count>,
        /// CoAP: how long each is remembered (EXCHANGE_LIFETIME); shorter only if all clients repeat themselves for less long. Default: `247s`.
        coap_exchange_lifetime: Optional<Wait<1000>>,
        /// DTLS: sessions of the whole node. Default: 1000000.
        dtls_sessions: Optional<Count>,
        /// DTLS: how long a session may say nothing before it is ended; the thing then shakes hands anew. Default: `1h`.
        dtls_idle: Optional<Wait<1000>>,
    }
    later {
        "connections_per_ip" => "bound the whole node for now: `connections`",
        "publish_rate" => "bound what is in flight for now: `receive_maximum`",
    }
}
