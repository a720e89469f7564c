//! MQTT 5.0, statement by statement: a test for each thing that the specification says of servers, named in
//! `docs/mqtt-conformance.md`. All tests share a node, so every client and every topic has a name of its own.

mod acknowledgements;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod flow;
mod header;
mod limits;
mod properties;
mod publish;
mod qos;
mod quirks;
mod retained;
mod session;
mod shared;
mod subscribe;
mod support;
mod topics;
mod unsubscribe;
mod utf8;
mod will;
