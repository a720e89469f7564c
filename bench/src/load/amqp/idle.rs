//! Connections of AMQP that do nothing: each with a channel or a session, and a consumer or a link.

use super::client::{Client, declare};
use super::{Side, Version, Work, queue};
use crate::{Result, helper};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::Duration;

/// Connections that consume from one queue.
const SHARING: usize = 100;

/// What the holder is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Held {
    /// Where the server listens.
    pub(crate) server: SocketAddr,
    /// What is spoken.
    pub(crate) version: Version,
    /// What comes before a queue's name in addresses of 1.0.
    pub(crate) prefix: String,
    /// Whether queues are declared first, by 0-9-1.
    pub(crate) declares: bool,
    /// How many.
    pub(crate) connections: usize,
}

/// Runs as a process that holds connections until nobody wants them any more.
pub(crate) fn main() -> Result<()> {
    let Some(held) = helper::told::<Held>()? else { return Ok(()) };
    let queues = held.connections.div_ceil(SHARING);
    if held.declares {
        declare(held.server, &(0..queues).map(queue).collect::<Vec<_>>())?;
    }
    let work = Work {
        server: held.server,
        server_pid: 0,
        version: held.version,
        prefix: held.prefix,
        declares: held.declares,
        settled: false,
        queues,
        publishers: 0,
        consumers: held.connections,
        window: 0,
        prefetch: 100,
        batch: 0,
        payload: 0,
        warm_up: Duration::ZERO,
        measure: Duration::ZERO,
    };
    let connections =
        (0..held.connections).map(|number| Client::open(&work, Side::Consumer, number % queues));
    let connections = connections.collect::<Result<Vec<_>>>()?;
    helper::say(&connections.len())?;
    while helper::told::<()>()?.is_some() {}
    Ok(())
}
