//! Parts of documents that many tests share. Ports and addresses come from the environment, as an operator would do it:
//! [`crate::Node`] sets `MQTT`, `MQTTS`, `REST`, `RESTS` and `ADMIN`.

/// A node on loopback that lets anybody in and allows everything; a test appends pools, routes and limits.
pub const OPEN: &str = r##"
node: {name: e2e, shards: 2, shutdown_deadline: 10s}
admin: {bind: "127.0.0.1:${ADMIN}"}
listeners:
  - {name: mqtt, protocol: mqtt, bind: "127.0.0.1:${MQTT}"}
  - {name: rest, protocol: http, bind: "127.0.0.1:${REST}"}
identity: {anonymous: allow}
access:
  - {who: anonymous, may: [publish, subscribe, read, request], on: "#"}
"##;

/// A pool of one member, the service at `SINK`, and a route to it that promises delivery.
pub const DELIVERED: &str = r##"
pools:
  service: {protocol: http, members: ["http://127.0.0.1:${SINK}/events"]}
routes:
  - {name: telemetry, match: "devices/+/telemetry/#", deliver: {pool: service}, acknowledge: delivered}
"##;

/// [`OPEN`] and what a test appends.
pub fn open(more: &str) -> String {
    format!("{OPEN}{more}")
}

/// [`OPEN`] with a service behind it: [`DELIVERED`].
pub fn delivered() -> String {
    open(DELIVERED)
}
