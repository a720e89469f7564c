//! Brokers: the members of pools with `protocol: mqtt` or `amqp`.
//!
//! Each shard has one session with each member for what it publishes. What local sessions subscribe to, as far as the pool
//! allows it, one shard for each member subscribes to there, by a session of its own: a shard that takes no more events
//! must not keep acknowledgements from being read. What a session says on the wire is its machine's; all else is the same.

mod amqp;
pub mod client;
mod fetcher;
mod link;
mod machine;
mod member;
mod mqtt;
