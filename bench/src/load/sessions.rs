//! Clients of DTLS: each, from an address of its own, shakes hands with a pre-shared key, posts once if it is told to, and
//! stays or says goodbye.

use super::coap::{answer, identify, post};
use crate::peers::psk;
use crate::{Result, helper, procfs};
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;
use windrose_network::dtls::client::{Client, Heard};

/// Clients that shake hands at once.
const AT_ONCE: usize = 64;

/// How long an answer may take, and how often is asked.
const PATIENCE: Duration = Duration::from_secs(2);
const TIMES: usize = 3;

/// TLS_PSK_WITH_AES_128_CCM_8, which every constrained thing speaks (RFC 7252 §9.1.3.1).
const SUITE: u16 = 0xc0a8;

/// What the generator is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Work {
    /// Where the server listens.
    pub(crate) server: SocketAddr,
    /// How many sessions.
    pub(crate) sessions: u32,
    /// Each posts so many bytes and stays, or says goodbye at once.
    pub(crate) payload: Option<usize>,
    /// Every so many-th is asked in the end whether its session still is there.
    pub(crate) sample: u32,
}

/// What it saw.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Connected {
    /// Handshakes that ended well, and the POST after it, if there was one.
    pub(crate) connected: u64,
    /// Processor time of this process.
    pub(crate) load_cpu: f64,
}

/// Runs as a process: connects all, says so, and when told, says how many of a sample are still heard.
pub(crate) fn main() -> Result<()> {
    let Some(work) = helper::told::<Work>()? else { return Ok(()) };
    let before = procfs::cpu_seconds(std::process::id())?;
    let (mut connected, mut number, mut kept) = (0, 0, Vec::new());
    while number < work.sessions {
        let mut batch = Vec::new();
        while batch.len() < AT_ONCE && number < work.sessions {
            batch.push(Thing::new(work.server, number)?);
            number += 1;
        }
        // Each step of all, so that the server has something to do while this process waits.
        for _ in 0..3 {
            batch.iter_mut().for_each(Thing::say);
            batch.iter_mut().for_each(Thing::hear);
        }
        for mut thing in batch {
            let mut fine = thing.connected;
            match work.payload {
                Some(payload) => fine = fine && thing.post(payload),
                None => thing.leave(),
            }
            connected += u64::from(fine);
            if work.payload.is_some() && thing.number.is_multiple_of(work.sample) {
                kept.push(thing);
            }
        }
    }
    helper::say(&Connected { connected, load_cpu: procfs::cpu_seconds(std::process::id())? - before })?;
    if helper::told::<()>()?.is_some() {
        let alive = kept.iter_mut().map(|thing| u64::from(thing.post(64))).sum::<u64>();
        helper::say(&(kept.len() as u64, alive))?;
    }
    Ok(())
}

struct Thing {
    number: u32,
    socket: UdpSocket,
    client: Client,
    id: u16,
    connected: bool,
}

impl Thing {
    /// Thing number so many has an address of 127.64.0.0/10 of its own.
    fn new(server: SocketAddr, number: u32) -> Result<Self> {
        let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 64, 0, 0)) + number);
        let socket = UdpSocket::bind((address, 0))?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut random = [0x5e; 32];
        random.iter_mut().zip(number.to_be_bytes()).for_each(|(byte, new)| *byte = new);
        let client = Client::new(SUITE, psk::IDENTITY.as_bytes(), psk::KEY.as_bytes(), random, true);
        let client = client.ok_or("the client of DTLS does not speak the suite")?;
        Ok(Self { number, socket, client, id: 0, connected: false })
    }

    fn say(&mut self) {
        if !self.connected {
            let _ = self.socket.send(&self.client.datagram());
        }
    }

    /// Hears until there is something to say, or the session is there.
    fn hear(&mut self) {
        let mut scratch = [0; 2_048];
        for _ in 0..TIMES {
            while !self.connected {
                let Ok(length) = self.socket.recv(&mut scratch) else { break };
                match self.client.handle_datagram(scratch.get_mut(..length).unwrap_or_default()) {
                    Heard::Answer => return,
                    Heard::Connected => self.connected = true,
                    _ => {}
                }
            }
            if self.connected {
                return;
            }
            self.say();
        }
    }

    /// Whether a POST went well.
    fn post(&mut self, payload: usize) -> bool {
        let mut request = post(self.number as usize % 1_000, payload);
        self.id = self.id.wrapping_add(1);
        identify(&mut request, self.id);
        let mut scratch = [0; 2_048];
        for _ in 0..TIMES {
            if self.socket.send(&self.client.seal(&request)).is_err() {
                return false;
            }
            while let Ok(length) = self.socket.recv(&mut scratch) {
                let heard = self.client.handle_datagram(scratch.get_mut(..length).unwrap_or_default());
                if let Heard::Plain(bytes) = heard
                    && let Some(well) = answer(&bytes, self.id)
                {
                    return well;
                }
            }
        }
        false
    }

    fn leave(&mut self) {
        let _ = self.socket.send(&self.client.close());
    }
}
