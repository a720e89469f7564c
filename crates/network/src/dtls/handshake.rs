//! A handshake as the server (RFC 6347 §4.2, RFC 5246 §7.3), from the ClientHello that brought a cookie to the last flight.

use super::assembly::Assembly;
use super::credentials::{Credentials, Profile, client_schemes, verify_signature};
use super::flight::{Flight, Numbers};
use super::hello::{Heard, numbers, speaks_our_version};
use super::message::{Alert, Failure, Fragment, MAX_MESSAGE, kind, whole};
use super::prf::{CLIENT_FINISHED, Master, SERVER_FINISHED, psk_premaster};
use super::record::{self, Position, Window};
use super::server_hello::{Choice, choose, server_hello};
use super::suite::{Exchange, Key, Suite};
use super::tickets::{NodeKeys, Proven, Resumable, Resumed};
use super::wire::{Reader, put_vec8, put_vec16, put_vec24};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::rand;
use rustls_pki_types::CertificateDer;
use std::sync::Arc;
use windrose_event::{CertificateClaim, Secret, Text, Timestamp};

/// The largest message of a client that is not asked for a certificate: an identity of a key and a point fit.
const MAX_PLAIN_MESSAGE: usize = 1024;
/// The longest record that is kept because its keys are not there yet: a Finished message is.
const MAX_EARLY: usize = 128;
/// The key that stands for that of an unknown identity, so that it fails where a wrong key does (RFC 4279 §2).
const NOBODYS_KEY_BYTES: usize = 16;

/// What a client has to say next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Certificate,
    KeyExchange,
    CertificateVerify,
    Finished,
}

/// Both directions' keys.
pub(super) struct Keys {
    pub(super) open: Key,
    pub(super) seal: Key,
}

/// A handshake on its way.
pub(super) struct Handshake {
    suite: Suite,
    client_random: [u8; 32],
    server_random: [u8; 32],
    extended: bool,
    /// Every message so far.
    transcript: Vec<u8>,
    assembly: Assembly,
    expected: Expected,
    next_message: u16,
    private: Option<PrivateKey>,
    profile: Option<Arc<Profile>>,
    chain: Vec<CertificateDer<'static>>,
    /// What the chain says, once it is verified.
    claim: Option<CertificateClaim>,
    identity: Option<Text>,
    /// The identity's key, if it has one.
    psk: Option<Secret>,
    /// What goes on once the driver has found out the key.
    asking: Option<Asking>,
    master: Option<Master>,
    /// The client would like a ticket.
    wants_ticket: bool,
    /// It brought one: there is no key exchange, and we are the first to finish (RFC 5077 §3.1).
    resumed: bool,
    pub(super) keys: Option<Keys>,
    pub(super) window: Window,
    pub(super) numbers: Numbers,
    pub(super) flight: Flight,
    /// A protected record that overtook what its keys come from.
    early: Option<(Position, Vec<u8>)>,
}

/// A key exchange that waits for a key.
struct Asking {
    identity: Vec<u8>,
    /// The client's share of Diffie-Hellman, if the suite has that.
    public: Option<Vec<u8>>,
}

/// What a datagram did to a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More has to come.
    Waiting,
    /// The client repeats what was answered: the answer was lost.
    Repeated,
    /// A key is to be found out: see [`Handshake::asks`].
    Asks,
    /// The client has proved what it claims; the last flight is to be sent.
    Done,
}

/// Who the handshake proved to be there.
pub(super) struct Proof {
    pub(super) identity: Option<Text>,
    pub(super) certificate: Option<CertificateClaim>,
}

impl Handshake {
    /// Answers a ClientHello whose cookie is right: [`Handshake::flight`] is what to send.
    pub(super) fn begin(
        now: Timestamp,
        heard: &Heard<'_>,
        credentials: &dyn Credentials,
        node: &NodeKeys,
    ) -> Result<Self, Failure> {
        let hello = &heard.hello;
        if !speaks_our_version(hello) {
            let detail = format!("it speaks version {:02x?} of DTLS at most, older than 1.2", hello.version);
            return Err(Failure::new(Alert::PROTOCOL_VERSION, "version", detail));
        }
        if let Some((resumed, claim)) = resumable(now, heard, credentials, node) {
            return Self::resume(heard, resumed, claim);
        }
        let Choice { suite, group, signing, profile } = choose(hello, credentials)?;
        let mut handshake = Self::new(heard, suite)?;
        handshake.profile = profile;
        // A session that is not bound to its handshake is not gone on with (RFC 7627 §5.4).
        handshake.wants_ticket = hello.extensions.ticket.is_some() && handshake.extended;
        let server_random = handshake.server_random;
        let body = server_hello(&server_random, &[], suite, &hello.extensions, handshake.wants_ticket);
        handshake.say(kind::SERVER_HELLO, &body);
        if let Some((certified, _)) = &signing {
            let mut chain = Vec::new();
            certified.cert.iter().for_each(|certificate| put_vec24(&mut chain, certificate));
            let mut body = Vec::with_capacity(3 + chain.len());
            put_vec24(&mut body, &chain);
            handshake.say(kind::CERTIFICATE, &body);
        }
        if suite.exchange.is_ephemeral() {
            let broken = || Failure::internal("make a key for Diffie-Hellman");
            let private = PrivateKey::generate(group.algorithm).map_err(|_| broken())?;
            let public = private.compute_public_key().map_err(|_| broken())?;
            // A named curve (RFC 8422 §5.4).
            let mut parameters = vec![3];
            parameters.extend_from_slice(&group.code.to_be_bytes());
            put_vec8(&mut parameters, public.as_ref());
            let mut body = Vec::with_capacity(256);
            if suite.exchange == Exchange::EcdhePsk {
                // No hint which identity is wanted.
                put_vec16(&mut body, &[]);
            }
            body.extend_from_slice(&parameters);
            if let Some((_, signer)) = &signing {
                let message = [&hello.random[..], &server_random, &parameters].concat();
                let signature =
                    signer.sign(&message).map_err(|_| Failure::internal("sign with the listener's key"))?;
                body.extend_from_slice(&u16::from(signer.scheme()).to_be_bytes());
                put_vec16(&mut body, &signature);
            }
            handshake.say(kind::SERVER_KEY_EXCHANGE, &body);
            handshake.private = Some(private);
        }
        if signing.is_some() && handshake.profile.as_ref().is_some_and(|profile| profile.asks_clients()) {
            handshake.expected = Expected::Certificate;
            handshake.assembly.allow(MAX_MESSAGE);
            handshake.say(kind::CERTIFICATE_REQUEST, &certificate_request());
        }
        handshake.say(kind::SERVER_HELLO_DONE, &[]);
        Ok(handshake)
    }

    fn new(heard: &Heard<'_>, suite: Suite) -> Result<Self, Failure> {
        let mut server_random = [0; 32];
        rand::fill(&mut server_random).map_err(|_| Failure::internal("make random numbers"))?;
        Ok(Self {
            suite,
            client_random: heard.hello.random,
            server_random,
            extended: heard.hello.extensions.extended_master_secret,
            transcript: heard.message(),
            assembly: Assembly::new(heard.sequence.wrapping_add(1), MAX_PLAIN_MESSAGE),
            expected: Expected::KeyExchange,
            // Our first message has the number of the client's: what came before was not kept.
            next_message: heard.sequence,
            private: None,
            profile: None,
            chain: Vec::new(),
            claim: None,
            identity: None,
            psk: None,
            asking: None,
            master: None,
            wants_ticket: false,
            resumed: false,
            keys: None,
            window: Window::default(),
            numbers: Numbers { plain: heard.position.number(), sealed: 0 },
            flight: Flight::default(),
            early: None,
        })
    }

    /// Goes on from a ticket: one flight each, ours first (RFC 5077 §3.1).
    fn resume(heard: &Heard<'_>, resumed: Resumed, claim: Option<CertificateClaim>) -> Result<Self, Failure> {
        let hello = &heard.hello;
        let mut handshake = Self::new(heard, resumed.suite)?;
        let server_random = handshake.server_random;
        let body = server_hello(&server_random, hello.session_id, resumed.suite, &hello.extensions, false);
        handshake.say(kind::SERVER_HELLO, &body);
        handshake.derive_keys(resumed.master)?;
        handshake.finish()?;
        handshake.resumed = true;
        handshake.expected = Expected::Finished;
        handshake.identity = resumed.identity;
        handshake.claim = claim;
        Ok(handshake)
    }

    /// Whether it went on from a ticket.
    pub(super) fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// The suite, for logs.
    pub(super) fn suite(&self) -> &'static str {
        self.suite.name
    }

    /// Takes a record of handshake messages.
    pub(super) fn handle_record(
        &mut self,
        now: Timestamp,
        position: Position,
        payload: &mut [u8],
        credentials: &dyn Credentials,
        node: &NodeKeys,
    ) -> Result<Progress, Failure> {
        let repeated = match position.epoch() {
            0 => {
                let mut from = Reader::new(payload);
                let mut repeated = false;
                while !from.is_empty() {
                    let Some(fragment) = Fragment::read(&mut from) else { break };
                    if self.assembly.is_too_large(&fragment) {
                        let detail = format!(
                            "it sends a handshake message of {} bytes, more than any may have: a certificate, most likely",
                            fragment.length
                        );
                        return Err(Failure::new(Alert::DECODE_ERROR, "too_large", detail));
                    }
                    // A Finished in plain is nobody's.
                    if fragment.kind != kind::FINISHED {
                        repeated |= self.assembly.push(&fragment);
                    }
                }
                repeated
            }
            1 => self.handle_protected(position, payload)?,
            _ => false,
        };
        // Nothing was lost while a key is looked for.
        if self.asking.is_some() {
            return Ok(Progress::Waiting);
        }
        match self.handle_messages(now, credentials, node)? {
            Progress::Waiting if repeated => Ok(Progress::Repeated),
            progress => Ok(progress),
        }
    }

    /// Takes what is there whole and in order.
    fn handle_messages(
        &mut self,
        now: Timestamp,
        credentials: &dyn Credentials,
        node: &NodeKeys,
    ) -> Result<Progress, Failure> {
        while let Some((message, sequence, body)) = self.assembly.pop() {
            self.handle_message(now, message, sequence, &body, credentials, node)?;
            if message == kind::FINISHED {
                return Ok(Progress::Done);
            }
            if self.asking.is_some() {
                return Ok(Progress::Asks);
            }
            if message == kind::CLIENT_KEY_EXCHANGE {
                self.handle_early()?;
            }
        }
        Ok(Progress::Waiting)
    }

    /// The identity whose key it waits for.
    pub(super) fn asks(&self) -> Option<&[u8]> {
        self.asking.as_ref().map(|asking| &asking.identity[..])
    }

    /// Takes the key that it waits for; `None`: nobody has that identity.
    pub(super) fn handle_key(
        &mut self,
        now: Timestamp,
        known: Option<Secret>,
        credentials: &dyn Credentials,
        node: &NodeKeys,
    ) -> Result<Progress, Failure> {
        let Some(Asking { identity, public }) = self.asking.take() else { return Ok(Progress::Waiting) };
        let psk = self.key_of(&identity, known)?;
        self.exchange_keys(Some(&psk), public.as_deref())?;
        self.handle_early()?;
        self.handle_messages(now, credentials, node)
    }

    /// Takes what overtook the keys, now that they are there.
    fn handle_early(&mut self) -> Result<(), Failure> {
        if let Some((position, mut payload)) = self.early.take() {
            self.handle_protected(position, &mut payload)?;
        }
        Ok(())
    }

    /// Takes a record under the new keys; whether it repeats an earlier one.
    fn handle_protected(&mut self, position: Position, payload: &mut [u8]) -> Result<bool, Failure> {
        let Some(keys) = &self.keys else {
            if payload.len() <= MAX_EARLY && self.early.is_none() {
                self.early = Some((position, payload.to_vec()));
            }
            return Ok(false);
        };
        if !self.window.is_new(position.number()) {
            return Ok(false);
        }
        let Some(plain) = keys.open.open(record::kind::HANDSHAKE, position, payload) else {
            let detail = match &self.identity {
                Some(identity) => format!(
                    "the key of the identity {:?} is wrong, or nobody has that identity",
                    shortened(identity.as_str())
                ),
                None => "its last words cannot be decrypted".to_owned(),
            };
            return Err(Failure::new(Alert::DECRYPT_ERROR, "wrong_key", detail));
        };
        self.window.accept(position.number());
        let mut repeated = false;
        let mut from = Reader::new(plain);
        while let Some(fragment) = Fragment::read(&mut from) {
            if fragment.kind == kind::FINISHED {
                repeated |= self.assembly.push(&fragment);
            }
        }
        Ok(repeated)
    }

    fn handle_message(
        &mut self,
        now: Timestamp,
        message: u8,
        sequence: u16,
        body: &[u8],
        credentials: &dyn Credentials,
        node: &NodeKeys,
    ) -> Result<(), Failure> {
        let before = self.transcript.len();
        self.transcript.extend_from_slice(&whole(message, sequence, body));
        match (self.expected, message) {
            (Expected::Certificate, kind::CERTIFICATE) => self.handle_certificate(now, body),
            (Expected::KeyExchange, kind::CLIENT_KEY_EXCHANGE) => self.handle_key_exchange(body, credentials),
            (Expected::CertificateVerify, kind::CERTIFICATE_VERIFY) => {
                self.handle_certificate_verify(before, body)
            }
            (Expected::Finished, kind::FINISHED) => {
                self.handle_finished(before, body)?;
                self.flight = Flight::default();
                // The client had the last word.
                if self.resumed {
                    return Ok(());
                }
                if self.wants_ticket {
                    self.give_ticket(now, node);
                }
                self.finish()
            }
            (expected, _) => {
                let detail =
                    format!("it sent a handshake message of type {message} where {expected:?} was due");
                Err(Failure::new(Alert::UNEXPECTED_MESSAGE, "unexpected_message", detail))
            }
        }
    }

    /// RFC 5246 §7.4.6.
    fn handle_certificate(&mut self, now: Timestamp, body: &[u8]) -> Result<(), Failure> {
        let mut from = Reader::new(body);
        let mut list = Reader::new(from.vec24().ok_or_else(|| Failure::malformed("certificate"))?);
        while !list.is_empty() {
            let certificate = list.vec24().ok_or_else(|| Failure::malformed("certificate"))?;
            self.chain.push(CertificateDer::from(certificate.to_vec()));
        }
        let Some(profile) = &self.profile else { return Err(Failure::internal("verify certificates")) };
        if self.chain.is_empty() {
            if profile.requires_certificate() {
                let detail = "it has no certificate, and the document says `client_certificate: required`";
                return Err(Failure::new(Alert::HANDSHAKE_FAILURE, "no_certificate", detail));
            }
        } else {
            profile.verify_chain(&self.chain, now)?;
            self.claim = profile.claim(&self.chain);
        }
        self.expected = Expected::KeyExchange;
        Ok(())
    }

    /// RFC 5246 §7.4.7, RFC 4279 §2, RFC 5489 §2, RFC 8422 §5.7.
    fn handle_key_exchange(&mut self, body: &[u8], credentials: &dyn Credentials) -> Result<(), Failure> {
        let malformed = || Failure::malformed("key exchange");
        let mut from = Reader::new(body);
        let identity = match self.suite.exchange.has_psk() {
            true => Some(from.vec16().ok_or_else(malformed)?),
            false => None,
        };
        let public = match self.suite.exchange.is_ephemeral() {
            true => Some(from.vec8().ok_or_else(malformed)?),
            false => None,
        };
        if !from.is_empty() {
            return Err(malformed());
        }
        let psk = match identity {
            Some(identity) => match credentials.psk(identity) {
                Some(known) => Some(self.key_of(identity, known)?),
                None => {
                    let (identity, public) = (identity.to_vec(), public.map(<[u8]>::to_vec));
                    self.asking = Some(Asking { identity, public });
                    return Ok(());
                }
            },
            None => None,
        };
        self.exchange_keys(psk.as_deref(), public)
    }

    /// Both sides have what their keys come from.
    fn exchange_keys(&mut self, psk: Option<&[u8]>, public: Option<&[u8]>) -> Result<(), Failure> {
        let shared = if let Some(public) = public {
            let private = self.private.take().ok_or_else(|| Failure::internal("agree on a secret"))?;
            let bad = || {
                let detail = "its share of Diffie-Hellman is not a point of the curve";
                Failure::new(Alert::ILLEGAL_PARAMETER, "malformed", detail)
            };
            let public = UnparsedPublicKey::new(private.algorithm(), public);
            Some(agree(&private, public, bad(), |secret| Ok(secret.to_vec()))?)
        } else {
            None
        };
        let premaster = match (psk, &shared) {
            (Some(psk), shared) => psk_premaster(shared.as_deref(), psk),
            (None, Some(shared)) => shared.clone(),
            (None, None) => return Err(Failure::internal("agree on a secret")),
        };
        let master = match self.extended {
            true => Master::extended(&premaster, &self.transcript),
            false => Master::new(&premaster, &self.client_random, &self.server_random),
        };
        self.derive_keys(master.ok_or_else(|| Failure::internal("derive keys"))?)?;
        self.expected = if self.chain.is_empty() { Expected::Finished } else { Expected::CertificateVerify };
        Ok(())
    }

    fn derive_keys(&mut self, master: Master) -> Result<(), Failure> {
        let bytes = self.suite.protection.key_block_bytes();
        let block = master.key_block(&self.client_random, &self.server_random, bytes);
        let keys = block.and_then(|block| Key::pair(self.suite.protection, block.as_ref()));
        let (open, seal) = keys.ok_or_else(|| Failure::internal("derive keys"))?;
        (self.master, self.keys) = (Some(master), Some(Keys { open, seal }));
        Ok(())
    }

    /// The key of an identity; for an unknown one, a key that nobody has.
    fn key_of(&mut self, identity: &[u8], known: Option<Secret>) -> Result<Vec<u8>, Failure> {
        let text = Text::copy_from_utf8(identity).ok();
        let said = || Text::from(shortened(&identity.escape_ascii().to_string()).as_str());
        let is_known = known.is_some() && text.is_some();
        self.identity = Some(text.unwrap_or_else(said));
        self.psk = known.filter(|_| is_known);
        match &self.psk {
            Some(key) => Ok(key.reveal().to_vec()),
            None => {
                let mut key = vec![0; NOBODYS_KEY_BYTES];
                rand::fill(&mut key).map_err(|_| Failure::internal("make random numbers"))?;
                Ok(key)
            }
        }
    }

    /// RFC 5246 §7.4.8: the signature is over all messages before this one.
    fn handle_certificate_verify(&mut self, before: usize, body: &[u8]) -> Result<(), Failure> {
        let mut from = Reader::new(body);
        let (Some(scheme), Some(signature), true) = (from.u16(), from.vec16(), from.is_empty()) else {
            return Err(Failure::malformed("signature"));
        };
        let (Some(leaf), Some(message)) = (self.chain.first(), self.transcript.get(..before)) else {
            return Err(Failure::internal("verify a signature"));
        };
        verify_signature(leaf, scheme, message, signature)?;
        self.expected = Expected::Finished;
        Ok(())
    }

    /// RFC 5246 §7.4.9: the client shows that it saw the same handshake.
    fn handle_finished(&mut self, before: usize, body: &[u8]) -> Result<(), Failure> {
        let so_far = self.transcript.get(..before);
        let right = self
            .master
            .as_ref()
            .zip(so_far)
            .and_then(|(master, so_far)| master.verify_data(CLIENT_FINISHED, so_far));
        let right = right.ok_or_else(|| Failure::internal("compute what a handshake ends with"))?;
        verify_slices_are_equal(&right, body).map_err(|_| {
            let detail = "it saw another handshake than we did: somebody may be between us";
            Failure::new(Alert::DECRYPT_ERROR, "wrong_finished", detail)
        })
    }

    /// Then we do; the caller has put into the flight what goes before.
    fn finish(&mut self) -> Result<(), Failure> {
        let data =
            self.master.as_ref().and_then(|master| master.verify_data(SERVER_FINISHED, &self.transcript));
        let data = data.ok_or_else(|| Failure::internal("compute what a handshake ends with"))?;
        let message = whole(kind::FINISHED, self.next_message, &data);
        self.transcript.extend_from_slice(&message);
        self.flight.change_and_push(message);
        Ok(())
    }

    /// Adds the ticket that was promised, or the word that there is none after all (RFC 5077 §3.3).
    fn give_ticket(&mut self, now: Timestamp, node: &NodeKeys) {
        let ticket = || {
            let above = self.claim.as_ref().map(|claim| &claim.issuers[..]).unwrap_or_default();
            let proof = match (&self.identity, &self.psk) {
                (Some(identity), Some(key)) => Proven::Psk { identity: identity.as_str(), key: key.reveal() },
                (None, _) => Proven::Certificate {
                    der: self.chain.first(),
                    above,
                    trust: self.profile.as_ref()?.trust(),
                },
                _ => return None,
            };
            let from = Resumable {
                suite: self.suite,
                extended: self.extended,
                master: self.master.as_ref()?,
                proof,
            };
            node.ticket(now, self.next_message, &from)
        };
        let message = ticket().unwrap_or_else(|| whole(kind::NEW_SESSION_TICKET, self.next_message, &[0; 6]));
        self.next_message = self.next_message.wrapping_add(1);
        self.transcript.extend_from_slice(&message);
        self.flight.push(message);
    }

    /// Adds a message of ours to the flight.
    fn say(&mut self, message: u8, body: &[u8]) {
        let message = whole(message, self.next_message, body);
        self.next_message = self.next_message.wrapping_add(1);
        self.transcript.extend_from_slice(&message);
        self.flight.push(message);
    }

    /// Who is there. Only after [`Progress::Done`].
    pub(super) fn proof(&mut self) -> Proof {
        Proof { identity: self.identity.take(), certificate: self.claim.take() }
    }
}

/// What a hello's ticket holds, if the client may go on from there: the suite and the binding of the master secret are as they
/// were (RFC 7627 §5.3), and so is what its first handshake relied on.
fn resumable(
    now: Timestamp,
    heard: &Heard<'_>,
    credentials: &dyn Credentials,
    node: &NodeKeys,
) -> Option<(Resumed, Option<CertificateClaim>)> {
    let hello = &heard.hello;
    let ticket = hello.extensions.ticket.filter(|ticket| !ticket.is_empty())?;
    let resumed = node.open(now, ticket)?;
    let is_alike = resumed.extended == hello.extensions.extended_master_secret
        && numbers(hello.suites).any(|code| code == resumed.suite.code);
    let mut claim = None;
    let holds = match &resumed.identity {
        Some(identity) => {
            // Where the key has to be looked for, it is looked for in a whole handshake.
            let key = credentials.psk(identity.as_str().as_bytes())??;
            node.still_holds(&resumed, key.reveal())
        }
        None => {
            let profile = credentials.profile()?;
            if let Some(certificate) = &resumed.certificate {
                claim = Some(crate::tls::resumed_claim(certificate, profile.find_above(&resumed.above)?)?);
            }
            node.still_holds(&resumed, profile.trust())
        }
    };
    (is_alike && holds).then_some((resumed, claim))
}

/// The body of a CertificateRequest (RFC 5246 §7.4.4): certificates of ECDSA or RSA, of any authority.
fn certificate_request() -> Vec<u8> {
    let mut body = Vec::with_capacity(16);
    put_vec8(&mut body, &[64, 1]);
    let schemes: Vec<u8> = client_schemes().flat_map(u16::to_be_bytes).collect();
    put_vec16(&mut body, &schemes);
    put_vec16(&mut body, &[]);
    body
}

/// What a peer said, no longer than a log line bears.
fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}
