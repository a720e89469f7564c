//! Tickets (RFC 5077): what a client keeps of a session, sealed, so that it can go on from there without another key
//! exchange. The node keeps nothing but a key of its own that is made at each start.

use super::hello::Cookies;
use super::message::{kind, whole};
use super::prf::{MASTER_BYTES, Master};
use super::suite::{SUITES, Suite};
use super::wire::{Reader, put_vec16};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{hmac, rand};
use rustls_pki_types::CertificateDer;
use std::time::Duration;
use windrose_event::{Text, Timestamp};
use x509_parser::prelude::{FromDer, X509Certificate};

/// How long a ticket is good for: a thing that wakes up once a day keeps its session.
const LIFETIME: Duration = Duration::from_secs(25 * 3600);
/// The largest certificate, with the digests of those above it, that goes into a ticket; whoever has a larger one gets none. The client's first words, with the
/// ticket in them, have to fit into one datagram.
const MAX_CERTIFICATE: usize = 700;

/// What only this node can make and know: cookies and tickets. One for all its shards, made of secret random bytes at each
/// start.
pub struct NodeKeys {
    pub(super) cookies: Cookies,
    tickets: Option<LessSafeKey>,
    fingerprints: hmac::Key,
}

impl NodeKeys {
    /// From 32 secret random bytes.
    pub fn new(secret: &[u8; 32]) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derive = |purpose: &[u8]| {
            let mut key = [0; 32];
            let tag = hmac::sign(&secret, purpose);
            key.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
            key
        };
        let tickets = derive(b"tickets");
        let tickets = tickets.first_chunk::<16>().and_then(|key| UnboundKey::new(&AES_128_GCM, key).ok());
        Self {
            cookies: Cookies::new(&derive(b"cookies")),
            tickets: tickets.map(LessSafeKey::new),
            fingerprints: hmac::Key::new(hmac::HMAC_SHA256, &derive(b"fingerprints")),
        }
    }
}

/// What a session can be resumed from.
pub(super) struct Resumable<'a> {
    pub(super) suite: Suite,
    pub(super) extended: bool,
    pub(super) master: &'a Master,
    pub(super) proof: Proven<'a>,
}

/// What the session's first handshake proved, with what must still be so.
pub(super) enum Proven<'a> {
    /// A pre-shared key: the identity still has to have this one.
    Psk { identity: &'a str, key: &'a [u8] },
    /// A certificate, or none, with the digests of those above it: the listener still has to trust the same authorities, and to
    /// want the same.
    Certificate { der: Option<&'a CertificateDer<'static>>, above: &'a [[u8; 32]], trust: &'a [u8; 32] },
}

/// What a ticket holds, once it proved to be ours and in time.
pub(super) struct Resumed {
    pub(super) suite: Suite,
    pub(super) extended: bool,
    pub(super) master: Master,
    pub(super) identity: Option<Text>,
    pub(super) certificate: Option<CertificateDer<'static>>,
    /// Digests of the certificates above it.
    pub(super) above: Vec<[u8; 32]>,
    /// What [`NodeKeys::still_holds`] looks at.
    mark: [u8; 32],
}

impl NodeKeys {
    /// A NewSessionTicket message (RFC 5077 §3.3), if there can be one.
    pub(super) fn ticket(&self, now: Timestamp, sequence: u16, from: &Resumable<'_>) -> Option<Vec<u8>> {
        let end = now + LIFETIME;
        let (identity, certificate, above, mark) = match &from.proof {
            Proven::Psk { identity, key } => (identity.as_bytes(), None, &[][..], self.mark(key)),
            Proven::Certificate { der, above, trust } => (&[][..], *der, *above, self.mark(&trust[..])),
        };
        let end = match certificate {
            Some(certificate) => end.min(last_moment(certificate)?),
            None => end,
        };
        let certificate = certificate.map(AsRef::as_ref).unwrap_or_default();
        let above = above.as_flattened();
        if certificate.len() + above.len() > MAX_CERTIFICATE {
            return None;
        }
        let mut plain = Vec::with_capacity(128 + identity.len() + certificate.len() + above.len());
        plain.extend_from_slice(&end.as_micros().to_be_bytes());
        plain.extend_from_slice(&from.suite.code.to_be_bytes());
        plain.push(u8::from(from.extended));
        plain.extend_from_slice(from.master.reveal());
        plain.extend_from_slice(&mark);
        put_vec16(&mut plain, identity);
        put_vec16(&mut plain, certificate);
        put_vec16(&mut plain, above);
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let unique = Nonce::assume_unique_for_key(nonce);
        self.tickets.as_ref()?.seal_in_place_append_tag(unique, Aad::empty(), &mut plain).ok()?;
        let mut body = Vec::with_capacity(6 + NONCE_LEN + plain.len());
        let seconds = u32::try_from(end.since(now).as_secs()).unwrap_or(u32::MAX);
        body.extend_from_slice(&seconds.to_be_bytes());
        put_vec16(&mut body, &[&nonce[..], &plain].concat());
        Some(whole(kind::NEW_SESSION_TICKET, sequence, &body))
    }

    /// What a ticket holds. `None`: it is not ours, or too old.
    pub(super) fn open(&self, now: Timestamp, ticket: &[u8]) -> Option<Resumed> {
        let (nonce, sealed) = ticket.split_first_chunk::<NONCE_LEN>()?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self.tickets.as_ref()?.open_in_place(nonce, Aad::empty(), &mut sealed).ok()?;
        let mut from = Reader::new(plain);
        let end = Timestamp::from_micros(u64::from_be_bytes(from.array()?));
        let code = from.u16()?;
        let extended = from.u8()? == 1;
        let master = Master::from_bytes(from.take(MASTER_BYTES)?)?;
        let mark = from.array()?;
        let (identity, certificate, above) = (from.vec16()?, from.vec16()?, from.vec16()?);
        let (above, _) = above.as_chunks::<32>();
        let identity = match identity {
            [] => None,
            identity => Some(Text::copy_from_utf8(identity).ok()?),
        };
        let certificate = (!certificate.is_empty()).then(|| CertificateDer::from(certificate.to_vec()));
        let suite = *SUITES.iter().find(|suite| suite.code == code)?;
        (now < end).then_some(Resumed {
            suite,
            extended,
            master,
            identity,
            certificate,
            above: above.to_vec(),
            mark,
        })
    }

    /// Whether what the ticket's first handshake relied on (the key, or what is trusted) is as it was.
    pub(super) fn still_holds(&self, resumed: &Resumed, relied_on: &[u8]) -> bool {
        verify_slices_are_equal(&self.mark(relied_on), &resumed.mark).is_ok()
    }

    fn mark(&self, relied_on: &[u8]) -> [u8; 32] {
        let mut mark = [0; 32];
        let tag = hmac::sign(&self.fingerprints, relied_on);
        mark.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        mark
    }
}

/// When a certificate ends.
fn last_moment(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let seconds = u64::try_from(parsed.validity().not_after.timestamp()).ok()?;
    Some(Timestamp::from_micros(seconds.saturating_mul(1_000_000)))
}
