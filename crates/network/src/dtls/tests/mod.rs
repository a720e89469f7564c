#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
//! The machine against clients, datagram by datagram.

mod hellos;
mod keys;
mod network;
mod resumption;
mod sessions;

use super::client::{Client, Heard};
use super::*;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{Claim, Now, Secret};
use windrose_protocol::coap::SessionId;

/// Knows one identity.
struct OneMeter(&'static [u8]);

impl Credentials for OneMeter {
    fn psk(&self, identity: &[u8]) -> Option<Option<Secret>> {
        Some((identity == b"meter-1").then(|| Secret::new(self.0.to_vec())))
    }

    fn profile(&self) -> Option<Arc<Profile>> {
        None
    }
}

/// Knows nobody at once.
struct Slow;

impl Credentials for Slow {
    fn psk(&self, _: &[u8]) -> Option<Option<Secret>> {
        None
    }

    fn profile(&self) -> Option<Arc<Profile>> {
        None
    }
}

const KEY: &[u8] = b"a key of a meter";
const CCM8: u16 = 0xc0a8;

fn peer(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 9], port))
}

/// What a machine said, in words that are easy to compare.
#[derive(Debug)]
enum Said {
    Datagram(Vec<u8>),
    Opened(SessionId, Box<Claim>),
    Plain(SessionId, Vec<u8>),
    Closed(SessionId),
    Asks(KeyQuestion, Box<[u8]>),
    Mishap(&'static str),
}

struct Server {
    dtls: Dtls,
    now: Now,
}

impl Server {
    fn new() -> Self {
        Self::with(KEY)
    }

    fn with(key: &'static [u8]) -> Self {
        Self::knowing(Arc::new(OneMeter(key)))
    }

    /// Its keys have to be looked for.
    fn slow() -> Self {
        Self::knowing(Arc::new(Slow))
    }

    fn knowing(credentials: Arc<dyn Credentials>) -> Self {
        let limits = DtlsLimits {
            sessions: 3,
            half_open: 4,
            handshake_timeout: Duration::from_secs(10),
            idle: Duration::from_secs(3600),
        };
        let dtls = Dtls::new(DtlsConfig {
            listener: "coaps".into(),
            credentials,
            keys: Arc::new(NodeKeys::new(&[7; 32])),
            limits,
        });
        Self { dtls, now: Now::default().after(Duration::from_secs(100)) }
    }

    fn drain(&mut self) -> Vec<Said> {
        let mut said = Vec::new();
        while let Some(output) = self.dtls.poll_output() {
            said.push(match output {
                Output::Datagram { bytes, .. } => Said::Datagram(bytes.to_vec()),
                Output::Opened { session, claim } => Said::Opened(session, claim),
                Output::Plain { session, bytes } => Said::Plain(session, bytes.to_vec()),
                Output::Closed { session } => Said::Closed(session),
                Output::Key { question, identity } => Said::Asks(question, identity),
                Output::Mishap { cause, .. } => Said::Mishap(cause),
            });
        }
        said
    }

    fn hear(&mut self, from: SocketAddr, datagram: &[u8]) -> Vec<Said> {
        self.dtls.handle_datagram(self.now, from, None, &mut datagram.to_vec());
        self.drain()
    }

    fn pass(&mut self, time: Duration) -> Vec<Said> {
        self.now = self.now.after(time);
        let mut said = Vec::new();
        while self.dtls.next_timeout().is_some_and(|due| due <= self.now.moment) {
            self.dtls.handle_timeout(self.now);
            said.extend(self.drain());
        }
        said
    }

    fn seal(&mut self, session: SessionId, plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        self.dtls.encrypt(session, plain, &mut out).unwrap();
        out
    }

    /// Leads a client through its handshake.
    fn connect(&mut self, from: SocketAddr, client: &mut Client) -> Result<SessionId, Vec<Said>> {
        let mut datagram = client.datagram();
        for _ in 0..4 {
            let said = self.hear(from, &datagram);
            let mut opened = None;
            let mut answer = false;
            for said in &said {
                match said {
                    Said::Datagram(bytes) => match client.handle_datagram(&mut bytes.clone()) {
                        Heard::Answer => answer = true,
                        Heard::Alert(_) => return Err(vec![Said::Datagram(bytes.clone())]),
                        // Its own last word, or a word to another client.
                        _ => {}
                    },
                    Said::Opened(session, _) => opened = Some(*session),
                    _ => {}
                }
            }
            if let Some(session) = opened {
                return Ok(session);
            }
            if !answer {
                return Err(said);
            }
            datagram = client.datagram();
        }
        Err(Vec::new())
    }
}

fn meter(salt: u8) -> Client {
    Client::new(CCM8, b"meter-1", KEY, [salt; 32], true).unwrap()
}
