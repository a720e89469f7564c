//! Parts of documents that many tests share. Ports and addresses come from the environment, as an operator would do it:
//! [`crate::Node`] sets `MQTT`, `MQTTS`, `REST`, `RESTS`, `COAP`, `COAPS`, `AMQP`, `AMQPS`
//! and `ADMIN`.

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

/// [`OPEN`] and what a test appends. With `MQTT_OVER=websocket` in the environment its MQTT is over WebSocket, and so is
/// that of [`crate::mqtt::Client`]: suites that use no other client can be played over either.
pub fn open(more: &str) -> String {
    let open = match over_websocket() {
        true => OPEN.replace("protocol: mqtt,", "protocol: mqtt, transport: websocket,"),
        false => OPEN.to_owned(),
    };
    format!("{open}{more}")
}

/// Whether the harness's own client speaks MQTT over WebSocket.
pub fn over_websocket() -> bool {
    std::env::var_os("MQTT_OVER").is_some_and(|over| over == "websocket")
}

/// [`OPEN`] with a service behind it: [`DELIVERED`].
pub fn delivered() -> String {
    open(DELIVERED)
}

/// [`OPEN`] with CoAP over UDP besides, and what a test appends.
pub fn open_coap(more: &str) -> String {
    let coap = "  - {name: coap, protocol: coap, bind: \"127.0.0.1:${COAP}\"}\nidentity:";
    format!("{}{more}", OPEN.replacen("identity:", coap, 1))
}

/// [`OPEN`] with AMQP besides, both versions on one port, and what a test appends.
pub fn open_amqp(more: &str) -> String {
    let amqp = "  - {name: amqp, protocol: amqp, bind: \"127.0.0.1:${AMQP}\"}\nidentity:";
    format!("{}{more}", OPEN.replacen("identity:", amqp, 1))
}
