//! The first words of a client, and the question whether it is where it says it is (RFC 6347 §4.2.1): a client that has not
//! shown that it receives what is sent to its address costs no memory, and is sent less than it sent.

use super::message::{Fragment, HEADER, kind, put_fragment, whole};
use super::record::{self, Position, VERSION, VERSION_1_0, put_header};
use super::wire::{Reader, put_vec8};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use windrose_event::Moment;

/// How long a cookie is good for: from one to two of these.
const COOKIE_SPAN: Duration = Duration::from_secs(30);
/// Bytes of a cookie; DTLS 1.0 had room for 32.
const COOKIE_BYTES: usize = 20;

/// A ClientHello (RFC 5246 §7.4.1.2, RFC 6347 §4.2.1), as far as it concerns us.
#[derive(Clone, Debug)]
pub(super) struct ClientHello<'a> {
    pub(super) version: [u8; 2],
    pub(super) random: [u8; 32],
    pub(super) session_id: &'a [u8],
    pub(super) cookie: &'a [u8],
    pub(super) suites: &'a [u8],
    pub(super) compressions: &'a [u8],
    pub(super) extensions: Extensions<'a>,
}

/// What a client offers or asks for besides; absent and empty are not the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Extensions<'a> {
    /// The host name that it wants to speak to (RFC 6066 §3).
    pub(super) server_name: Option<&'a [u8]>,
    /// Groups for Diffie-Hellman, two bytes each (RFC 8422 §5.1.1).
    pub(super) groups: Option<&'a [u8]>,
    /// Signature algorithms, two bytes each (RFC 5246 §7.4.1.4.1).
    pub(super) signatures: Option<&'a [u8]>,
    /// It names point formats, so it wants ours (RFC 8422 §5.1.2).
    pub(super) point_formats: bool,
    /// The ticket that it has, or nothing in it if it would like one (RFC 5077 §3.2).
    pub(super) ticket: Option<&'a [u8]>,
    /// RFC 7627.
    pub(super) extended_master_secret: bool,
    /// RFC 5746: the extension, or the suite that stands for it.
    pub(super) renegotiation_info: bool,
}

/// The suite number that stands for an empty renegotiation_info (RFC 5746 §3.3).
const RENEGOTIATION_SCSV: u16 = 0x00ff;

impl<'a> ClientHello<'a> {
    /// Reads a message's body. `None`: it is malformed.
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        let mut from = Reader::new(body);
        let mut hello = Self {
            version: from.array()?,
            random: from.array()?,
            session_id: from.vec8().filter(|id| id.len() <= 32)?,
            cookie: from.vec8()?,
            suites: from.vec16().filter(|suites| !suites.is_empty() && suites.len() % 2 == 0)?,
            compressions: from.vec8().filter(|methods| methods.contains(&0))?,
            extensions: Extensions::default(),
        };
        if !from.is_empty() {
            hello.extensions = Extensions::read(from.vec16()?)?;
            if !from.is_empty() {
                return None;
            }
        }
        hello.extensions.renegotiation_info |= numbers(hello.suites).any(|suite| suite == RENEGOTIATION_SCSV);
        Some(hello)
    }
}

impl<'a> Extensions<'a> {
    fn read(list: &'a [u8]) -> Option<Self> {
        let (mut from, mut all) = (Reader::new(list), Self::default());
        while !from.is_empty() {
            let (number, bytes) = (from.u16()?, from.vec16()?);
            let mut value = Reader::new(bytes);
            match number {
                0 => {
                    let mut names = Reader::new(value.vec16()?);
                    all.server_name = (names.u8()? == 0).then(|| names.vec16()).flatten();
                }
                10 => all.groups = Some(value.vec16()?),
                11 => all.point_formats = true,
                13 => all.signatures = Some(value.vec16()?),
                35 => all.ticket = Some(bytes),
                23 => all.extended_master_secret = true,
                0xff01 => all.renegotiation_info = value.vec8()?.is_empty(),
                _ => {}
            }
        }
        Some(all)
    }
}

/// The numbers of a list of two bytes each.
pub(super) fn numbers(list: &[u8]) -> impl Iterator<Item = u16> + '_ {
    list.as_chunks().0.iter().map(|pair| u16::from_be_bytes(*pair))
}

/// A ClientHello that was whole in its record, and the record's place.
pub(super) struct Heard<'a> {
    pub(super) hello: ClientHello<'a>,
    /// The message's number.
    pub(super) sequence: u16,
    pub(super) position: Position,
    /// The message's body.
    body: &'a [u8],
}

/// Why a first datagram is not listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unheard {
    /// A ClientHello in parts: putting it together would cost memory before the address is shown. The first part has all
    /// that a cookie needs only if it is all there is.
    Fragmented,
    /// Not a ClientHello, or a malformed one.
    Other,
}

impl<'a> Heard<'a> {
    /// Reads a record of epoch 0 that should begin a handshake.
    pub(super) fn read(position: Position, payload: &'a [u8]) -> Result<Self, Unheard> {
        let fragment = Fragment::read(&mut Reader::new(payload)).ok_or(Unheard::Other)?;
        if fragment.kind != kind::CLIENT_HELLO {
            return Err(Unheard::Other);
        }
        if !fragment.is_whole() {
            return Err(Unheard::Fragmented);
        }
        let hello = ClientHello::read(fragment.bytes).ok_or(Unheard::Other)?;
        Ok(Self { hello, sequence: fragment.sequence, position, body: fragment.bytes })
    }

    /// The message as it counts for the hash of the handshake.
    pub(super) fn message(&self) -> Vec<u8> {
        whole(kind::CLIENT_HELLO, self.sequence, self.body)
    }
}

/// Makes and knows cookies: a keyed hash over what a client said and from where, and about when. Nothing is kept.
pub(super) struct Cookies(hmac::Key);

impl Cookies {
    /// With a key that the whole node shares: the kernel may hand a client's next datagram to another shard.
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The cookie of a client in the span that `moment` is in.
    fn cookie(&self, span: u64, peer: SocketAddr, hello: &ClientHello<'_>) -> [u8; COOKIE_BYTES] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&span.to_be_bytes());
        match peer.ip() {
            IpAddr::V4(ip) => context.update(&ip.octets()),
            IpAddr::V6(ip) => context.update(&ip.octets()),
        }
        context.update(&peer.port().to_be_bytes());
        context.update(&hello.version);
        context.update(&hello.random);
        // What both hellos must have in common (RFC 6347 §4.2.1), each with its length.
        for part in [hello.session_id, hello.suites, hello.compressions] {
            context.update(&part.len().to_be_bytes());
            context.update(part);
        }
        let tag = context.sign();
        let mut cookie = [0; COOKIE_BYTES];
        cookie.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        cookie
    }

    /// Whether a hello brings the cookie that its client was sent a moment ago.
    pub(super) fn are_right(&self, now: Moment, peer: SocketAddr, hello: &ClientHello<'_>) -> bool {
        if hello.cookie.len() != COOKIE_BYTES {
            return false;
        }
        let span = span(now);
        let is = |span| verify_slices_are_equal(&self.cookie(span, peer, hello), hello.cookie).is_ok();
        is(span) || span.checked_sub(1).is_some_and(is)
    }

    /// Appends the datagram that asks a client to say it again, with a cookie: the number of its record is the client's, so
    /// that we need not count (RFC 6347 §4.2.1).
    pub(super) fn put_request(&self, now: Moment, peer: SocketAddr, heard: &Heard<'_>, out: &mut Vec<u8>) {
        let mut body = Vec::with_capacity(3 + COOKIE_BYTES);
        body.extend_from_slice(&VERSION_1_0);
        put_vec8(&mut body, &self.cookie(span(now), peer, &heard.hello));
        put_header(out, record::kind::HANDSHAKE, VERSION_1_0, heard.position, HEADER + body.len());
        put_fragment(out, kind::HELLO_VERIFY_REQUEST, body.len(), 0, 0, &body);
    }
}

fn span(now: Moment) -> u64 {
    now.as_micros() / u64::try_from(COOKIE_SPAN.as_micros()).unwrap_or(u64::MAX)
}

/// Whether a client speaks DTLS 1.2 (or what comes after it, which says so elsewhere): the numbers count down.
pub(super) fn speaks_our_version(hello: &ClientHello<'_>) -> bool {
    let [major, minor] = hello.version;
    major == VERSION[0] && minor <= VERSION[1]
}
