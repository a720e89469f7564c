//! The harness of the end-to-end tests: nodes, services, things and certificates, each stopped and removed when dropped.
//!
//! The tests (`tests/`, a file per behaviour) start the built `windrose` binary, speak to it over real sockets with
//! clients that nobody here wrote (mosquitto, paho, rumqttc, curl, openssl) and with a small client of the harness's own,
//! which shares no code with the product and can misbehave. Nothing waits for a fixed time: whatever is expected is
//! awaited up to a deadline.

pub mod amqp091;
pub mod binary;
pub mod certs;
pub mod clients;
pub mod coap;
pub mod coap_service;
pub mod documents;
pub mod fleet;
pub mod folder;
pub mod http;
pub mod issuer;
pub mod libcoap;
pub mod mosquitto;
pub mod mqtt;
pub mod node;
pub mod openssl;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod rabbitmq;
pub mod relay;
pub mod shared;
pub mod sink;
pub mod steadfast;
pub mod wait;
pub mod websocket;

pub use node::Node;
pub use sink::{Answer, Sink};
pub use wait::{eventually, wait_until};
