//! The engine's behaviour, as machines, services and other shards see it: on a virtual clock, without a socket.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod chaos;
mod consuming;
mod content;
mod conversations;
mod credit;
mod delivering;
mod disk;
mod draining;
mod duplicates;
mod exchanges;
mod fetching;
mod harness;
mod kept;
mod persistence;
mod pools;
mod publishing;
mod queue_chaos;
mod queues;
mod requests;
mod retained;
mod sessions;
mod shards;
mod shared;
mod standing;
mod state;
mod topology;
mod topology_chaos;
mod wills;
