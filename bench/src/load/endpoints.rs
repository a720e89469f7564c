//! A multitude of CoAP endpoints: each, from an address of its own, posts once and is never heard of again.

use super::coap::{answer, identify, post};
use crate::{Result, helper};
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Endpoints that ask at once.
const AT_ONCE: usize = 64;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often a request is sent in all.
const TIMES: usize = 3;

/// What the generator is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Work {
    /// Where the server listens.
    pub(crate) server: SocketAddr,
    /// How many endpoints.
    pub(crate) endpoints: u32,
    /// Bytes of each payload.
    pub(crate) payload: usize,
}

/// What it saw.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Posted {
    /// Endpoints whose request was answered with 2.xx.
    pub(crate) answered: u64,
}

/// Runs as a process that asks.
pub(crate) fn main() -> Result<()> {
    let Some(work) = helper::told::<Work>()? else { return Ok(()) };
    let mut answered = 0;
    let mut number = 0;
    while number < work.endpoints {
        let mut batch = Vec::new();
        while batch.len() < AT_ONCE && number < work.endpoints {
            batch.push(Endpoint::ask(&work, number)?);
            number += 1;
        }
        for endpoint in batch {
            answered += u64::from(endpoint.hear());
        }
    }
    helper::say(&Posted { answered })
}

struct Endpoint {
    socket: UdpSocket,
    request: Vec<u8>,
    id: u16,
}

impl Endpoint {
    /// Endpoint number so many has an address of 127.64.0.0/10 of its own.
    fn ask(work: &Work, number: u32) -> Result<Self> {
        let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 64, 0, 0)) + number);
        let socket = UdpSocket::bind((address, 0))?;
        socket.connect(work.server)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut request = post(number as usize % 1_000, work.payload);
        let id = number as u16;
        identify(&mut request, id);
        socket.send(&request)?;
        Ok(Self { socket, request, id })
    }

    /// Whether it went well.
    fn hear(self) -> bool {
        let mut scratch = [0; 2_048];
        for _ in 0..TIMES {
            let deadline = Instant::now() + PATIENCE;
            while Instant::now() < deadline {
                let Ok(length) = self.socket.recv(&mut scratch) else { break };
                if let Some(well) = answer(scratch.get(..length).unwrap_or_default(), self.id) {
                    return well;
                }
            }
            if self.socket.send(&self.request).is_err() {
                return false;
            }
        }
        false
    }
}
