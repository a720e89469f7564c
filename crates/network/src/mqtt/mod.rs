//! MQTT towards brokers: the members of pools with `protocol: mqtt`.
//!
//! Each shard has one session with each member for what it publishes. What local sessions subscribe to, as far as the pool
//! allows it, one shard for each member subscribes to there, by a session of its own: a shard that takes no more events
//! must not keep acknowledgements from being read.

pub mod client;
mod fetcher;
mod link;
mod member;
