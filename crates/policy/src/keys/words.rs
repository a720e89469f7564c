//! Words that keys choose between.

use crate::document::Words;
use crate::identity::{ClientIdRule, OcspCheck};
use crate::snapshot::{
    AmqpVersion, Balance, ClientCertificate, CloudEventsMode, HttpVersion, MqttVersion, Overlapping,
    PoolProtocol, Promise, Protocol, QueueFull, TlsVersion, Transport,
};
use windrose_event::Permission;

/// `plaintext: allow`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plaintext {
    Allow,
}

impl Words for Plaintext {
    const WHAT: &'static str = "a choice for `plaintext`";
    const WORDS: &'static [(&'static str, Self)] = &[("allow", Self::Allow)];
}

/// `anonymous: allow` or `deny`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anonymous {
    Allow,
    Deny,
}

impl Words for Anonymous {
    const WHAT: &'static str = "a choice for `anonymous`";
    const WORDS: &'static [(&'static str, Self)] = &[("allow", Self::Allow), ("deny", Self::Deny)];
}

/// `on` or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switch {
    On,
    Off,
}

impl Words for Switch {
    const WHAT: &'static str = "`on` or `off`";
    const WORDS: &'static [(&'static str, Self)] = &[("on", Self::On), ("off", Self::Off)];
}

/// `proxy_protocol: required`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ProxyProtocol {
    Required,
}

impl Words for ProxyProtocol {
    const WHAT: &'static str = "a choice for `proxy_protocol`";
    const WORDS: &'static [(&'static str, Self)] = &[("required", Self::Required)];
}

impl Words for Transport {
    const WHAT: &'static str = "a transport";
    const WORDS: &'static [(&'static str, Self)] =
        &[("tcp", Self::Tcp), ("websocket", Self::WebSocket), ("udp", Self::Udp)];
}

impl Words for Overlapping {
    const WHAT: &'static str = "a choice for `overlapping_subscriptions`";
    const WORDS: &'static [(&'static str, Self)] = &[("each", Self::Each), ("once", Self::Once)];
}

impl Words for QueueFull {
    const WHAT: &'static str = "a choice for `session_queue_full`";
    const WORDS: &'static [(&'static str, Self)] =
        &[("refuse-newest", Self::RefuseNewest), ("drop-oldest", Self::DropOldest)];
}

impl Words for MqttVersion {
    const WHAT: &'static str = "a version of MQTT";
    const WORDS: &'static [(&'static str, Self)] = &[("5", Self::V5), ("3.1.1", Self::V311)];
}

impl Words for AmqpVersion {
    const WHAT: &'static str = "a version of AMQP";
    const WORDS: &'static [(&'static str, Self)] =
        &[("auto", Self::Auto), ("1.0", Self::V1), ("0-9-1", Self::V091)];
}

impl Words for PoolProtocol {
    const WHAT: &'static str = "a protocol of pools";
    const WORDS: &'static [(&'static str, Self)] =
        &[("http", Self::Http), ("mqtt", Self::Mqtt), ("amqp", Self::Amqp), ("coap", Self::Coap)];
    const LATER: &'static [(&'static str, &'static str)] = &[("kafka", "deliver to an HTTP service for now")];
}

impl Words for Protocol {
    const WHAT: &'static str = "a protocol";
    const WORDS: &'static [(&'static str, Self)] =
        &[("mqtt", Self::Mqtt), ("http", Self::Http), ("coap", Self::Coap), ("amqp", Self::Amqp)];
}

impl Words for ClientCertificate {
    const WHAT: &'static str = "a choice for `client_certificate`";
    const WORDS: &'static [(&'static str, Self)] =
        &[("optional", Self::Optional), ("required", Self::Required)];
}

impl Words for TlsVersion {
    const WHAT: &'static str = "a version of TLS";
    const WORDS: &'static [(&'static str, Self)] = &[("1.2", Self::Tls12), ("1.3", Self::Tls13)];
}

impl Words for Balance {
    const WHAT: &'static str = "a way to balance";
    const WORDS: &'static [(&'static str, Self)] =
        &[("round-robin", Self::RoundRobin), ("least-outstanding", Self::LeastOutstanding)];
}

impl Words for CloudEventsMode {
    const WHAT: &'static str = "a mode of CloudEvents";
    const WORDS: &'static [(&'static str, Self)] =
        &[("binary", Self::Binary), ("structured", Self::Structured), ("batch", Self::Batch)];
}

impl Words for HttpVersion {
    const WHAT: &'static str = "a version of HTTP";
    const WORDS: &'static [(&'static str, Self)] =
        &[("auto", Self::Auto), ("1.1", Self::Http1), ("2", Self::Http2)];
}

/// `as: json`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Representation {
    Json,
}

impl Words for Representation {
    const WHAT: &'static str = "a choice for `as`";
    const WORDS: &'static [(&'static str, Self)] = &[("json", Self::Json)];
}

impl Words for Promise {
    const WHAT: &'static str = "a promise";
    const WORDS: &'static [(&'static str, Self)] =
        &[("received", Self::Received), ("delivered", Self::Delivered)];
    const LATER: &'static [(&'static str, &'static str)] =
        &[("stored", "it arrives with the spool; use `received` or `delivered`")];
}

impl Words for Permission {
    const WHAT: &'static str = "a permission";
    const WORDS: &'static [(&'static str, Self)] = &[
        ("publish", Self::Publish),
        ("subscribe", Self::Subscribe),
        ("read", Self::Read),
        ("request", Self::Request),
        ("enrol", Self::Enrol),
        ("administer", Self::Administer),
    ];
}

impl Words for ClientIdRule {
    const WHAT: &'static str = "a choice for `client_id`";
    const WORDS: &'static [(&'static str, Self)] = &[("any", Self::Any), ("device", Self::Device)];
}

impl Words for OcspCheck {
    const WHAT: &'static str = "a choice for `ocsp`";
    const WORDS: &'static [(&'static str, Self)] =
        &[("off", Self::Off), ("soft", Self::Soft), ("hard", Self::Hard)];
}
