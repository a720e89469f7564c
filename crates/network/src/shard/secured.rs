//! DTLS between a socket of datagrams and its machine.

use super::Shard;
use super::datagrams::Port;
use crate::dtls::{self, Credentials, DtlsConfig, DtlsLimits, KeyQuestion, Output, Profile};
use crate::pump::SocketId;
use crate::tls::TlsTable;
use crate::udp::Arrivals;
use std::borrow::Cow;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use windrose_event::{Claim, Moment, Now, Registry, Secret, metrics};
use windrose_policy::{Dtls, Listener, Snapshot};
use windrose_protocol::coap::{Remote, Server, SessionId};

/// Handshakes that one listener may have on their way in one shard.
const HALF_OPEN: usize = 1_024;

/// What one listener's DTLS has in one shard.
pub(super) struct Secured {
    dtls: dtls::Dtls,
    /// A record on its way out.
    sealed: Vec<u8>,
    /// What is to be told once the machines have been.
    mishaps: Vec<(SocketAddr, &'static str, Cow<'static, str>)>,
    /// Keys that are to be looked for then.
    questions: Vec<(KeyQuestion, Box<[u8]>)>,
    /// Sessions that have begun, whose somebody is to be found out then.
    opened: Vec<(SessionId, Box<Claim>)>,
}

/// What a listener proves itself with, as the document in force and the registry have it.
struct ListenerCredentials {
    registry: Arc<dyn Registry>,
    tls: Arc<TlsTable>,
    /// The entry of `tls`; `None`: pre-shared keys only.
    entry: Option<Arc<str>>,
}

impl Credentials for ListenerCredentials {
    fn psk(&self, identity: &[u8]) -> Option<Option<Secret>> {
        self.registry.psk_at_once(identity)
    }

    fn profile(&self) -> Option<Arc<Profile>> {
        self.tls.dtls(self.entry.as_ref()?)
    }
}

impl Secured {
    /// Its machine, within [`Shard::with_secured`].
    pub(super) fn dtls(&mut self) -> &mut dtls::Dtls {
        &mut self.dtls
    }

    pub(super) fn next_timeout(&self) -> Option<Moment> {
        self.dtls.next_timeout()
    }

    /// The document has changed.
    pub(super) fn apply(&mut self, limits: DtlsLimits) {
        self.dtls.apply(limits);
    }

    /// What it has counted.
    pub(super) fn count(&self, counts: &mut Vec<(&'static str, &'static str, u64)>) {
        let dtls = self.dtls.counts();
        counts.extend([
            (metrics::DTLS_HANDSHAKES, "asked", dtls.asked),
            (metrics::DTLS_HANDSHAKES, "begun", dtls.begun),
            (metrics::DTLS_HANDSHAKES, "completed", dtls.completed),
            (metrics::DTLS_HANDSHAKES, "resumed", dtls.resumed),
            (metrics::DTLS_REPEATED, "", dtls.repeated),
        ]);
        let causes = [
            (metrics::DTLS_FAILED, &dtls.failed),
            (metrics::DTLS_DROPPED, &dtls.dropped),
            (metrics::DTLS_CLOSED, &dtls.closed),
        ];
        for (metric, causes) in causes {
            counts.extend(causes.iter().map(|(cause, count)| (metric, *cause, *count)));
        }
    }

    /// Does what its machine asks for; what is for the machine of the socket goes there.
    fn drain(&mut self, now: Now, port: &Port, machine: &mut Server) -> u64 {
        let mut bytes_out = 0;
        while let Some(output) = self.dtls.poll_output() {
            match output {
                Output::Datagram { peer, local, bytes } => {
                    bytes_out += bytes.len() as u64;
                    port.udp.send(peer, local, bytes);
                }
                Output::Plain { session, bytes } => {
                    machine.handle_datagram(now, Remote::Session(session), bytes);
                }
                Output::Key { question, identity } => self.questions.push((question, identity)),
                Output::Opened { session, claim } => {
                    self.opened.push((session, claim.clone()));
                    machine.handle_session(now, session, *claim);
                }
                Output::Closed { session } => machine.handle_session_end(now, session),
                Output::Mishap { peer, cause, detail } => self.mishaps.push((peer, cause, detail)),
            }
        }
        bytes_out
    }
}

impl Shard {
    pub(super) fn secured(&self, listener: &Listener, dtls: &Dtls) -> Secured {
        let entry = match dtls {
            Dtls::Psk => None,
            Dtls::Entry(name) => Some(Arc::clone(name)),
        };
        let credentials =
            ListenerCredentials { registry: Arc::clone(&self.registry), tls: Arc::clone(&self.tls), entry };
        if credentials.profile().is_some_and(|profile| !profile.has_certificate()) {
            tracing::warn!(
                listener = &*listener.name,
                "its entry of `tls` has no certificate of ECDSA, so DTLS is for pre-shared keys only"
            );
        }
        let config = DtlsConfig {
            listener: Arc::clone(&listener.name),
            credentials: Arc::new(credentials),
            keys: Arc::clone(&self.node_keys),
            limits: self.dtls_limits(&self.snapshot()),
        };
        Secured {
            dtls: dtls::Dtls::new(config),
            sealed: Vec::new(),
            mishaps: Vec::new(),
            questions: Vec::new(),
            opened: Vec::new(),
        }
    }

    /// What the document's limits mean to one of so many shards.
    pub(super) fn dtls_limits(&self, snapshot: &Snapshot) -> DtlsLimits {
        let limits = &snapshot.limits;
        DtlsLimits {
            sessions: (limits.dtls_sessions / u32::from(self.shards().max(1))).max(1) as usize,
            half_open: HALF_OPEN,
            handshake_timeout: limits.handshake_timeout,
            idle: limits.dtls_idle,
        }
    }

    /// Takes what one read of a socket brought.
    pub(super) fn received_records(
        self: &Rc<Self>,
        now: Now,
        port: &Port,
        secured: &mut Secured,
        arrivals: &mut Arrivals,
    ) {
        self.mutate(now, port, secured, |secured, machine| {
            let (mut bytes_in, mut bytes_out) = (0, 0);
            for (peer, local, bytes) in arrivals.datagrams() {
                bytes_in += bytes.len() as u64;
                secured.dtls.handle_datagram(now, peer, local, bytes);
                bytes_out += secured.drain(now, port, machine);
            }
            (bytes_in, bytes_out)
        });
    }

    /// Lets handshakes and sessions act on the time.
    pub(super) fn time_out_records(self: &Rc<Self>, port: &Port) {
        let Some(secured) = &port.secured else { return };
        let now = self.now();
        self.mutate(now, port, &mut secured.borrow_mut(), |secured, machine| {
            secured.dtls.handle_timeout(now);
            (0, secured.drain(now, port, machine))
        });
        self.act(now);
    }

    /// Says good-bye to all sessions.
    pub(super) fn close_sessions(self: &Rc<Self>, port: &Port) {
        let Some(secured) = &port.secured else { return };
        let now = self.now();
        self.mutate(now, port, &mut secured.borrow_mut(), |secured, machine| {
            secured.dtls.close_all();
            (0, secured.drain(now, port, machine))
        });
        self.act(now);
    }

    /// Sends what the socket's machine has to send, each to its session.
    pub(super) fn send_records(self: &Rc<Self>, now: Now, port: &Port, secured: &mut Secured) {
        let mut bytes_out = 0;
        {
            let mut core = self.core.borrow_mut();
            let Some(datagrams) = core.pump.datagrams(port.id) else { return };
            for (remote, bytes) in datagrams.iter() {
                let Remote::Session(SessionId(id)) = remote else { continue };
                secured.sealed.clear();
                let Some((peer, local)) = secured.dtls.encrypt(SessionId(id), bytes, &mut secured.sealed)
                else {
                    continue;
                };
                bytes_out += secured.sealed.len() as u64;
                port.udp.send(peer, local, &secured.sealed);
            }
            datagrams.clear(super::datagrams::KEEP);
        }
        // A session whose numbers are used up has ended.
        self.mutate(now, port, secured, |secured, machine| {
            (0, bytes_out + secured.drain(now, port, machine))
        });
    }

    /// Changes the machine of a socket that is secured, if it is still there.
    pub(super) fn with_secured(self: &Rc<Self>, socket: SocketId, change: impl FnOnce(&mut Secured, Now)) {
        let Some(port) = self.port(socket) else { return };
        let Some(secured) = &port.secured else { return };
        let now = self.now();
        self.mutate(now, &port, &mut secured.borrow_mut(), |secured, machine| {
            change(secured, now);
            (0, secured.drain(now, &port, machine))
        });
        self.act(now);
    }

    fn mutate_core(
        &self,
        now: Now,
        port: &Port,
        secured: &mut Secured,
        change: impl FnOnce(&mut Secured, &mut Server) -> (u64, u64),
    ) {
        let mut bytes = (0, 0);
        let mut core = self.core.borrow_mut();
        core.pump.mutate_socket(now, port.id, |machine| bytes = change(secured, machine));
        core.bytes_in += bytes.0;
        core.bytes_out += bytes.1;
    }

    /// Changes both machines, and has the engine hear of it. `change` returns the bytes that came in and went out.
    fn mutate(
        self: &Rc<Self>,
        now: Now,
        port: &Port,
        secured: &mut Secured,
        change: impl FnOnce(&mut Secured, &mut Server) -> (u64, u64),
    ) {
        self.mutate_core(now, port, secured, change);
        for (question, identity) in std::mem::take(&mut secured.questions) {
            self.look_for_key(port.id, question, &identity);
        }
        if !secured.opened.is_empty() {
            for (session, claim) in std::mem::take(&mut secured.opened) {
                self.recognise(port.id, secured, session, claim);
            }
            // Whoever is not let in is told.
            self.mutate_core(now, port, secured, |secured, machine| (0, secured.drain(now, port, machine)));
        }
        for (peer, cause, detail) in secured.mishaps.drain(..) {
            self.tell_mishap(port.id, Remote::udp(peer), cause, &detail);
        }
    }
}
