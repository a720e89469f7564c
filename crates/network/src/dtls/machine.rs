//! Leads each record of each datagram to its place.

use super::counts::{Counts, count};
use super::credentials::Credentials;
use super::half_open::{HalfOpen, HalfOpens};
use super::handshake::{Handshake, Progress};
use super::hello::{Heard, Unheard};
use super::message::{Alert, Failure};
use super::outbox::{KeyQuestion, Outbox, Output, Route};
use super::record::{Position, Record, VERSION, kind, put_header, split_record};
use super::sessions::Sessions;
use super::tickets::NodeKeys;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{Claim, Moment, Now, Secret, Subject};
use windrose_protocol::coap::SessionId;

/// So many clients that were asked to show their address and did not are worth a word.
const STORM: u32 = 1_000;

/// Why a record is dropped: in metrics, and for the operator.
type Drop = (&'static str, &'static str);

const MALFORMED: Drop =
    ("malformed", "this is not DTLS 1.x: it may speak CoAP in plain text, or another version");
const UNEXPECTED: Drop = ("unexpected", "a record of a kind or an epoch that has no meaning here");
const FRAGMENTED_HELLO: Drop =
    ("fragmented_hello", "its first words come in parts, which are not kept before it has shown its address");
const CONNECTION_ID: Drop =
    ("connection_id", "a record with a connection identifier, which nobody was given");
const PLAIN_ALERT: Drop = ("plain_alert", "an alert in plain text, which anybody may have sent");
const NO_SESSION: Drop = ("no_session", "its session is not known (any more): it has to shake hands anew");
const SESSIONS_FULL: Drop =
    ("sessions_full", "there are as many sessions as `limits.dtls_sessions` allows, and none is quiet");
const NOT_GENUINE: Drop =
    ("not_genuine", "a record that was there before, or is not made with its session's keys");

/// What bounds a machine.
#[derive(Clone, Copy, Debug)]
pub struct DtlsLimits {
    /// Sessions.
    pub sessions: usize,
    /// Handshakes on their way.
    pub half_open: usize,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// How long a session may say nothing.
    pub idle: Duration,
}

/// What a machine needs to know of its listener.
pub struct DtlsConfig {
    /// The listener's name in the document, for claims.
    pub listener: Arc<str>,
    /// What it proves itself with, and how it knows others.
    pub credentials: Arc<dyn Credentials>,
    /// How it knows cookies and tickets again; one for the whole node.
    pub keys: Arc<NodeKeys>,
    /// What bounds the machine.
    pub limits: DtlsLimits,
}

/// The server of DTLS on one UDP socket of one shard.
///
/// **Mutate once, then drain [`poll_output`](Self::poll_output) until it has nothing.**
pub struct Dtls {
    config: DtlsConfig,
    half_open: HalfOpens,
    sessions: Sessions,
    counts: Counts,
    /// Clients that were asked to show their address, less those that did.
    unanswered: u32,
    outbox: Outbox,
}

impl Dtls {
    /// A machine without sessions.
    pub fn new(config: DtlsConfig) -> Self {
        let DtlsLimits { half_open, handshake_timeout, idle, .. } = config.limits;
        Self {
            half_open: HalfOpens::new(half_open, handshake_timeout),
            sessions: Sessions::new(idle),
            counts: Counts::default(),
            unanswered: 0,
            outbox: Outbox::default(),
            config,
        }
    }

    /// The document has changed: what is there stays, what comes is bound by these.
    pub fn apply(&mut self, limits: DtlsLimits) {
        self.half_open.apply(limits.half_open, limits.handshake_timeout);
        self.sessions.apply(limits.idle);
        self.config.limits = limits;
    }

    /// Takes a datagram; it is decrypted in place.
    pub fn handle_datagram(
        &mut self,
        now: Now,
        peer: SocketAddr,
        local: Option<IpAddr>,
        mut bytes: &mut [u8],
    ) {
        let route = Route::new(peer, local);
        if bytes.is_empty() {
            return self.drop_record(route, MALFORMED);
        }
        while !bytes.is_empty() {
            let Some(record) = split_record(&mut bytes) else { return self.drop_record(route, MALFORMED) };
            self.handle_record(now, route, record);
        }
    }

    fn handle_record(&mut self, now: Now, route: Route, record: Record<'_>) {
        match (record.kind, record.position.epoch()) {
            (kind::HANDSHAKE, 0) => self.handle_plain_handshake(now, route, record.position, record.payload),
            (kind::HANDSHAKE, 1) if self.half_open.get(&route).is_some() => {
                self.handle_handshake(now, route, record.position, record.payload);
            }
            (kind::HANDSHAKE | kind::ALERT | kind::APPLICATION_DATA, 1) => {
                self.handle_sealed(now, route, record)
            }
            (kind::ALERT, 0) => self.handle_plain_alert(route, record.payload),
            // It says nothing that the epoch of what follows does not say.
            (kind::CHANGE_CIPHER_SPEC, _) => {}
            (kind::WITH_CONNECTION_ID, _) => self.drop_record(route, CONNECTION_ID),
            _ => self.drop_record(route, UNEXPECTED),
        }
    }

    /// A handshake message in plain: of a handshake on its way, or a first word.
    fn handle_plain_handshake(&mut self, now: Now, route: Route, position: Position, payload: &mut [u8]) {
        let heard = Heard::read(position, payload);
        let half = self.half_open.get(&route);
        match (heard, half) {
            // The same words again, or what follows them.
            (Ok(heard), Some(half)) if heard.hello.random == half.client_random => {
                if !heard.hello.cookie.is_empty() && half.repeat(&mut self.outbox) {
                    self.counts.repeated += 1;
                }
            }
            (Err(_), Some(_)) => self.handle_handshake(now, route, position, payload),
            (Ok(heard), _) => self.handle_hello(now, route, &heard),
            (Err(Unheard::Fragmented), None) => self.drop_record(route, FRAGMENTED_HELLO),
            // What is left of a handshake that is over, most often.
            (Err(Unheard::Other), None) => count(&mut self.counts.dropped, "no_handshake"),
        }
    }

    /// A first word: nothing is kept of it unless its cookie is right.
    fn handle_hello(&mut self, now: Now, route: Route, heard: &Heard<'_>) {
        if !self.config.keys.cookies.are_right(now.moment, route.peer, &heard.hello) {
            self.counts.asked += 1;
            self.unanswered += 1;
            if self.unanswered >= STORM {
                self.unanswered = 0;
                let detail =
                    "a storm of first words from addresses that do not answer: they are forged, most likely";
                self.outbox.mishap(route.peer, "hello_storm", detail);
            }
            let mut datagram = self.outbox.datagram(route);
            self.config.keys.cookies.put_request(now.moment, route.peer, heard, datagram.bytes());
            datagram.cut();
            return;
        }
        let is_new = self.sessions.of_route(&route).is_none();
        if is_new && self.is_full() && self.sessions.stalest(now.moment).is_none() {
            return self.fail(
                route,
                &Failure { alert: None, cause: SESSIONS_FULL.0, detail: SESSIONS_FULL.1.into() },
                0,
            );
        }
        self.counts.begun += 1;
        self.unanswered = self.unanswered.saturating_sub(1);
        match Handshake::begin(now.wall, heard, &*self.config.credentials, &self.config.keys) {
            Ok(handshake) => {
                let gone = self.half_open.insert(now.moment, route, heard.hello.random, handshake);
                if let Some(half) = self.half_open.get(&route) {
                    half.send(&mut self.outbox);
                }
                if let Some(gone) = gone {
                    let detail =
                        "newer handshakes took its place: there are as many as one listener may have";
                    self.fail(
                        gone.route,
                        &Failure { alert: None, cause: "crowded_out", detail: detail.into() },
                        0,
                    );
                }
            }
            Err(failure) => self.fail(route, &failure, heard.position.number()),
        }
    }

    fn is_full(&self) -> bool {
        self.sessions.len() >= self.config.limits.sessions
    }

    /// A record of a handshake on its way.
    fn handle_handshake(&mut self, now: Now, route: Route, position: Position, payload: &mut [u8]) {
        let Some(half) = self.half_open.get(&route) else { return };
        let (credentials, keys) = (&*self.config.credentials, &self.config.keys);
        let progress = half.handshake.handle_record(now.wall, position, payload, credentials, keys);
        self.go_on(now, route, progress);
    }

    /// Takes the key that a handshake [asked](Output::Key) for; `None`: nobody has that identity, which it learns as one with
    /// a wrong key does (RFC 4279 §2).
    pub fn handle_key(&mut self, now: Now, question: KeyQuestion, known: Option<Secret>) {
        let KeyQuestion { route, random } = question;
        let Some(half) = self.half_open.get(&route).filter(|half| half.client_random == random) else {
            return;
        };
        let (credentials, keys) = (&*self.config.credentials, &self.config.keys);
        let progress = half.handshake.handle_key(now.wall, known, credentials, keys);
        self.go_on(now, route, progress);
    }

    fn go_on(&mut self, now: Now, route: Route, progress: Result<Progress, Failure>) {
        let Some(half) = self.half_open.get(&route) else { return };
        match progress {
            Ok(Progress::Waiting) => {}
            Ok(Progress::Asks) => {
                if let Some(identity) = half.handshake.asks() {
                    let question = KeyQuestion { route, random: half.client_random };
                    self.outbox.key(question, identity);
                }
            }
            Ok(Progress::Repeated) => self.counts.repeated += u64::from(half.repeat(&mut self.outbox)),
            Ok(Progress::Done) => {
                if let Some(half) = self.half_open.remove(&route) {
                    self.complete(now.moment, half);
                }
            }
            Err(failure) => {
                let number = half.handshake.numbers.plain;
                self.half_open.remove(&route);
                self.fail(route, &failure, number);
            }
        }
    }

    /// A handshake ended well. Only now does the session that the same client had before go (RFC 6347 §4.2.8).
    fn complete(&mut self, now: Moment, mut half: Box<HalfOpen>) {
        half.send(&mut self.outbox);
        let HalfOpen { route, mut handshake, .. } = *half;
        // Only who has proved itself takes another's place.
        if self.sessions.of_route(&route).is_none() && self.is_full() {
            let Some(stalest) = self.sessions.stalest(now) else {
                let number = handshake.numbers.plain;
                let (cause, detail) = (SESSIONS_FULL.0, SESSIONS_FULL.1.into());
                return self.fail(
                    route,
                    &Failure { alert: Some(Alert::INTERNAL_ERROR), cause, detail },
                    number,
                );
            };
            self.close_for(stalest, "crowded_out");
        }
        let before = self.sessions.of_route(&route).map(|session| session.id);
        if let Some(before) = before {
            self.end(before, "replaced");
        }
        let Some(keys) = handshake.keys.take() else { return };
        let (suite, proof, is_resumed) = (handshake.suite(), handshake.proof(), handshake.is_resumed());
        let (window, numbers) = (handshake.window, handshake.numbers);
        let Some(session) = self.sessions.insert(now, route, keys, window, numbers, handshake.flight) else {
            return;
        };
        self.counts.completed += 1;
        self.counts.resumed += u64::from(is_resumed);
        tracing::debug!(peer = %route.peer, suite, "a session of DTLS");
        let claim = Claim {
            psk_identity: proof.identity,
            certificate: proof.certificate.map(Arc::new),
            listener: Arc::clone(&self.config.listener),
            peer: Some(route.peer),
            ..Claim::default()
        };
        self.outbox.opened(session, Box::new(claim));
    }

    /// A handshake came to nothing.
    fn fail(&mut self, route: Route, failure: &Failure, number: u64) {
        count(&mut self.counts.failed, failure.cause);
        if let Some(alert) = failure.alert {
            let mut datagram = self.outbox.datagram(route);
            put_header(datagram.bytes(), kind::ALERT, VERSION, Position::new(0, number), 2);
            datagram.bytes().extend_from_slice(&alert.bytes());
            datagram.cut();
        }
        self.outbox.mishap(route.peer, failure.cause, failure.detail.clone());
    }

    /// An alert that nobody vouches for: it can end a handshake, never a session.
    fn handle_plain_alert(&mut self, route: Route, payload: &[u8]) {
        let [level, description] = payload else { return self.drop_record(route, MALFORMED) };
        if self.half_open.get(&route).is_none() {
            return self.drop_record(route, PLAIN_ALERT);
        }
        let alert = Alert(*description);
        if *level == 2 || alert == Alert::CLOSE_NOTIFY {
            self.half_open.remove(&route);
            let detail = format!("it gave up its handshake: {}", alert.name());
            self.fail(route, &Failure { alert: None, cause: "given_up", detail }, 0);
        }
    }

    /// A record under the keys of a session.
    fn handle_sealed(&mut self, now: Now, route: Route, record: Record<'_>) {
        let Some(session) = self.sessions.of_route(&route) else {
            return self.drop_record(route, NO_SESSION);
        };
        let Some(plain) = session.open(now.moment, record.kind, record.position, record.payload) else {
            return self.drop_record(route, NOT_GENUINE);
        };
        match record.kind {
            kind::APPLICATION_DATA => {
                session.forget_last_flight();
                self.outbox.plain(session.id, plain);
            }
            kind::ALERT => {
                let id = session.id;
                match plain {
                    [_, 0] => {
                        session.alert(Alert::CLOSE_NOTIFY, &mut self.outbox);
                        self.end(id, "peer");
                    }
                    [2, description] => {
                        let detail = format!("it ended its session: {}", Alert(*description).name());
                        self.outbox.mishap(route.peer, "alert", detail);
                        self.end(id, "alert");
                    }
                    _ => {}
                }
            }
            // Its last flight again; or it wants other keys, which we do not: it may begin a new session.
            _ => self.counts.repeated += u64::from(session.repeat_last_flight(&mut self.outbox)),
        }
    }

    /// Appends a record of application data to `out`, and says where it goes. `None`: there is no such session any more.
    pub fn encrypt(
        &mut self,
        session: SessionId,
        plain: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<(SocketAddr, Option<IpAddr>)> {
        let found = self.sessions.get(session)?;
        let route = found.route;
        match found.seal(kind::APPLICATION_DATA, plain, out) {
            Some(()) => Some((route.peer, route.local)),
            None => {
                // Its numbers are used up (RFC 6347 §4.1.0), or the plaintext is larger than any record.
                self.end(session, "exhausted");
                None
            }
        }
    }

    /// It is known who is there: the session ends when one of these does.
    pub fn recognise(&mut self, session: SessionId, subjects: &[Subject]) {
        self.sessions.recognise(session, subjects);
    }

    /// Ends a session, with a word to the peer.
    pub fn close(&mut self, session: SessionId, cause: &'static str) {
        self.close_for(session, cause);
    }

    /// Ends the sessions of somebody, with a word to each.
    pub fn revoke(&mut self, subject: &Subject) {
        for session in self.sessions.of(subject) {
            self.close_for(session, "revoked");
        }
    }

    /// Ends all sessions, with a word to each peer.
    pub fn close_all(&mut self) {
        for session in self.sessions.ids() {
            self.close_for(session, "shutdown");
        }
    }

    fn close_for(&mut self, session: SessionId, cause: &'static str) {
        if let Some(found) = self.sessions.get(session) {
            found.alert(Alert::CLOSE_NOTIFY, &mut self.outbox);
            self.end(session, cause);
        }
    }

    fn end(&mut self, session: SessionId, cause: &'static str) {
        if self.sessions.remove(session).is_some() {
            count(&mut self.counts.closed, cause);
            self.outbox.closed(session);
        }
    }

    /// What cannot be used is not answered (RFC 6347 §4.1.2.7).
    fn drop_record(&mut self, route: Route, (cause, detail): Drop) {
        count(&mut self.counts.dropped, cause);
        self.outbox.mishap(route.peer, cause, detail);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(gone) =
            self.half_open.poll_expired(now.moment, &mut self.counts.repeated, &mut self.outbox)
        {
            let detail = "its handshake took longer than limits.handshake_timeout";
            self.fail(
                gone.route,
                &Failure { alert: None, cause: "handshake_timeout", detail: detail.into() },
                0,
            );
        }
        while let Some(idle) = self.sessions.poll_idle(now.moment) {
            self.close_for(idle, "idle");
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn next_timeout(&self) -> Option<Moment> {
        let (half_open, idle) = (self.half_open.next_timeout(), self.sessions.next_timeout());
        half_open.into_iter().chain(idle).min()
    }

    /// What the driver is told or has to do next.
    pub fn poll_output(&mut self) -> Option<Output<'_>> {
        self.outbox.poll()
    }

    /// What has happened.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// How many handshakes are on their way.
    pub fn half_open(&self) -> usize {
        self.half_open.len()
    }
}
