#![allow(clippy::unwrap_used, clippy::panic)]

mod amplification;
mod exchanges;
mod hostile;
mod receiving;
mod sending;

use super::*;
use crate::coap::codec::OptionsBuf;
use std::net::SocketAddr;

/// A message layer on a clock of its own, with one endpoint that it talks to.
struct Bench {
    messaging: Messaging<u32>,
    now: Now,
    remote: Remote,
}

/// What a datagram came to, without the views.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    Nothing,
    Request(u32),
    Response(Option<u32>, Option<u32>, Vec<u8>),
    Acknowledged(u32),
    Reset(u32),
    Mishap(Mishap),
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::from(&ServerConfig::new("coap"));
        change(&mut settings);
        let sources = Arc::new(Sources::new(1_024, [3; 32]));
        let peer: SocketAddr = "192.0.2.1:5683".parse().unwrap();
        let now = Now::default().after(Duration::from_secs(10_000_000));
        sources.show(now.moment, peer.ip());
        Self { messaging: Messaging::new(settings, sources, 7), now, remote: Remote::udp(peer) }
    }

    fn receive(&mut self, bytes: &[u8]) -> Came {
        self.receive_from(self.remote, bytes)
    }

    fn receive_from(&mut self, remote: Remote, bytes: &[u8]) -> Came {
        match self.messaging.receive(self.now, remote, bytes) {
            Received::Nothing => Came::Nothing,
            Received::Request { ask, .. } => Came::Request(ask),
            Received::Response { ask, about, message } => Came::Response(ask, about, message.token.to_vec()),
            Received::Acknowledged(about) => Came::Acknowledged(about),
            Received::Reset(about) => Came::Reset(about),
            Received::Mishap(mishap, _) => Came::Mishap(mishap),
        }
    }

    fn request(&mut self, bytes: &[u8]) -> u32 {
        match self.receive(bytes) {
            Came::Request(ask) => ask,
            other => panic!("no request: {other:?}"),
        }
    }

    fn respond(&mut self, ask: u32, response: Response) {
        self.messaging.respond(self.now, ask, response);
    }

    /// What was sent since.
    fn sent(&mut self) -> Vec<Vec<u8>> {
        let sent = self.messaging.datagrams().iter().map(|(_, bytes)| bytes.to_vec()).collect();
        self.messaging.datagrams().clear(usize::MAX);
        sent
    }

    fn send(&mut self, confirmable: bool, about: u32) -> Result<(), Full> {
        let content = Response { code: Code::CONTENT, options: OptionsBuf::default(), payload: "23".into() };
        let token = Token::from_slice(b"obs");
        self.messaging.send(self.now, self.remote, confirmable, token, content, Some(about))
    }

    /// Time passes; what timed out meanwhile.
    fn wait(&mut self, duration: Duration) -> Vec<u32> {
        let until = self.now.after(duration);
        let mut timed_out = Vec::new();
        while let Some(next) = self.messaging.next_timeout().filter(|next| *next <= until.moment) {
            assert!(next > self.now.moment || self.now.moment == until.moment || next <= until.moment);
            self.now = self.now.after(next.since(self.now.moment));
            while let Some(event) = self.messaging.poll_timeout(self.now) {
                timed_out.push(event.about);
            }
            assert!(
                self.messaging.next_timeout().is_none_or(|again| again > next),
                "a timer that never ends"
            );
        }
        self.now = until;
        timed_out
    }
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
