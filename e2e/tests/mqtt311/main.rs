//! MQTT 3.1.1, statement by statement, and what differs in 3.1: named in `docs/mqtt-conformance.md`. What is the same in
//! MQTT 5 and in the same code is tested there (`e2e/tests/mqtt5/`). All tests share a node.

mod connect;
mod delivery;
mod packets;
mod publish;
mod session;
mod subscribe;
mod support;
mod v31;
