//! A broker of our own server machine and as much of an engine as it needs, joined with a client without a network.

use super::*;
use crate::mqtt::server::{Output, Server, ServerConfig};
use std::collections::BTreeSet;
use windrose_event::{Accepted, Claim, Delivery, Directive, Intent};

/// A session at the broker: it outlives connections.
#[derive(Default)]
pub(super) struct Session {
    exists: bool,
    /// Payloads in the order taken.
    pub(super) taken: Vec<String>,
    /// Exactly-once publications that are not released.
    inbound: BTreeSet<Tag>,
    /// What is to be delivered: payload, assurance, whether the client has it already.
    outbound: Vec<(Tag, Arc<Event>, bool)>,
    sent: bool,
}

/// A client and a broker, and at most so many bytes of each direction before the transport is cut.
pub(super) struct Pair {
    pub(super) client: Client,
    server: Option<Server>,
    pub(super) session: Session,
    now: Now,
    /// Bytes left to the server, and to the client.
    pub(super) fuse: [usize; 2],
    pub(super) settled: Vec<(u64, Outcome)>,
    /// Payloads of messages in the order told.
    pub(super) messages: Vec<String>,
}

impl Pair {
    pub(super) fn new(version: Version, fuse: [usize; 2]) -> Self {
        let client = Client::new(Arc::new(config(version)));
        Self {
            client,
            server: None,
            session: Session::default(),
            now: start(),
            fuse,
            settled: Vec::new(),
            messages: Vec::new(),
        }
    }

    /// The broker is to deliver an event.
    pub(super) fn deliver(&mut self, tag: u16, event: Arc<Event>) {
        self.session.outbound.push((Tag(tag), event, false));
    }

    pub(super) fn connect(&mut self) {
        self.server = Some(Server::new(Arc::new(server_config()), Claim::default(), self.now));
        self.session.sent = false;
        self.client.handle_connected(self.now);
    }

    /// Carries bytes until nobody has any more to say. `false`: the transport was cut.
    pub(super) fn run(&mut self) -> bool {
        loop {
            if self.act() {
                self.cut();
                return false;
            }
            let to_server = written(self.client.transmit());
            let Some(server) = &mut self.server else { return false };
            let to_client = written(server.transmit());
            if to_server.is_empty() && to_client.is_empty() {
                return true;
            }
            let to_server = pass(&mut self.fuse[0], &to_server);
            server.handle_bytes(self.now, to_server);
            let to_client = pass(&mut self.fuse[1], &to_client);
            self.client.handle_bytes(self.now, to_client);
            if self.fuse.contains(&0) {
                self.act();
                self.cut();
                return false;
            }
        }
    }

    fn cut(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.handle_eof(self.now);
        }
        self.client.handle_eof(self.now);
        while let Some(output) = self.client.poll_output() {
            self.output(output);
        }
    }

    /// Lets both sides act on what they were told. `true`: one of them ends the connection.
    fn act(&mut self) -> bool {
        let mut ends = false;
        while let Some(output) = self.client.poll_output() {
            ends |= matches!(output, ClientOutput::Close { .. });
            self.output(output);
        }
        let Some(mut server) = self.server.take() else { return true };
        while let Some(output) = server.poll_output() {
            match output {
                Output::Intent(intent) => self.session.intent(self.now, intent, &mut server),
                Output::Close => ends = true,
            }
        }
        self.server = Some(server);
        ends
    }

    fn output(&mut self, output: ClientOutput) {
        match output {
            ClientOutput::Settled { token, outcome } => self.settled.push((token, outcome)),
            ClientOutput::Message { tag, publication, .. } => {
                self.messages.push(String::from_utf8_lossy(&publication.payload).into_owned());
                self.client.settle(self.now, tag, &Outcome::Accepted);
            }
            _ => {}
        }
    }

    pub(super) fn publish(&mut self, token: u64, event: Arc<Event>) {
        self.client.publish(self.now, token, event);
    }
}

impl Session {
    fn intent(&mut self, now: Now, intent: Intent, server: &mut Server) {
        let directive = match intent {
            Intent::Open(open) => {
                if !open.resume {
                    let outbound = std::mem::take(&mut self.outbound);
                    *self = Self { outbound, taken: std::mem::take(&mut self.taken), ..Self::default() };
                }
                let resumed = std::mem::replace(&mut self.exists, !open.keep.is_zero());
                let session = open.session.unwrap();
                let accepted =
                    Accepted { resumed, session, assigned: false, keep: open.keep, window: 8, data: None };
                server.handle_directive(now, Directive::Accept(Box::new(accepted)));
                // What is delivered to a session that is about to be cleared is of no interest.
                if !open.keep.is_zero() {
                    for (tag, event, received) in &self.outbound {
                        server.handle_directive(now, delivery(*tag, event, *received, resumed));
                    }
                }
                return;
            }
            Intent::Publish(publish) => {
                let tag = publish.tag;
                let exactly_once = publish.publication.assurance == Assurance::ExactlyOnce;
                if !exactly_once || self.inbound.insert(tag) {
                    self.taken.push(String::from_utf8_lossy(&publish.publication.payload).into_owned());
                }
                if tag == Tag::NONE {
                    return;
                }
                Directive::Settle { tag, outcome: Outcome::Accepted, heard: true }
            }
            Intent::Release { tag } => Directive::Released { tag, known: self.inbound.remove(&tag) },
            Intent::Receive { tag } => {
                self.outbound.iter_mut().filter(|known| known.0 == tag).for_each(|known| known.2 = true);
                Directive::Release { tag }
            }
            Intent::Settle { tag, .. } | Intent::Complete { tag } => {
                return self.outbound.retain(|known| known.0 != tag);
            }
            _ => return,
        };
        server.handle_directive(now, directive);
    }
}

fn delivery(tag: Tag, event: &Arc<Event>, received: bool, again: bool) -> Directive {
    if received {
        return Directive::Release { tag };
    }
    Directive::Deliver(Delivery {
        tag,
        event: event.clone(),
        assurance: event.assurance,
        again,
        retain: false,
        subscriptions: SmallVec::new(),
    })
}

fn pass<'a>(fuse: &mut usize, bytes: &'a [u8]) -> &'a [u8] {
    let passed = bytes.len().min(*fuse);
    *fuse -= passed;
    &bytes[..passed]
}

fn server_config() -> ServerConfig {
    ServerConfig {
        packet_bytes: 4_096,
        payload_bytes: 1_024,
        receive_maximum: 2,
        keep_alive_max: None,
        connect_timeout: Duration::from_secs(5),
        topic_alias_maximum: 3,
        retain_available: true,
        address_levels: 8,
        quirks: Default::default(),
        server_reference: None,
        response_information: None,
        overlapping_each: true,
    }
}
