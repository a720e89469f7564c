//! MQTT towards brokers: the members of pools with `protocol: mqtt`.
//!
//! Each shard has one session with each member for what it publishes.

pub mod client;
mod link;
mod member;
