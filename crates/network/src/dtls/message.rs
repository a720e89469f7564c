//! Handshake messages (RFC 6347 §4.2.2) and the alerts (RFC 5246 §7.2) that end what they began.

use super::wire::{Reader, put_vec24, u24};

/// Types of handshake messages (RFC 5246 §7.4, RFC 6347 §4.3.2).
pub(super) mod kind {
    pub(in crate::dtls) const CLIENT_HELLO: u8 = 1;
    pub(in crate::dtls) const SERVER_HELLO: u8 = 2;
    pub(in crate::dtls) const HELLO_VERIFY_REQUEST: u8 = 3;
    pub(in crate::dtls) const NEW_SESSION_TICKET: u8 = 4;
    pub(in crate::dtls) const CERTIFICATE: u8 = 11;
    pub(in crate::dtls) const SERVER_KEY_EXCHANGE: u8 = 12;
    pub(in crate::dtls) const CERTIFICATE_REQUEST: u8 = 13;
    pub(in crate::dtls) const SERVER_HELLO_DONE: u8 = 14;
    pub(in crate::dtls) const CERTIFICATE_VERIFY: u8 = 15;
    pub(in crate::dtls) const CLIENT_KEY_EXCHANGE: u8 = 16;
    pub(in crate::dtls) const FINISHED: u8 = 20;
}

/// Bytes of a handshake message's header.
pub(super) const HEADER: usize = 12;
/// The largest handshake message that is put together: a chain of certificates fits.
pub(super) const MAX_MESSAGE: usize = 16 * 1024;

/// A part of a handshake message, or all of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragment<'a> {
    pub(super) kind: u8,
    /// The message's length, without its header.
    pub(super) length: usize,
    /// The message's number.
    pub(super) sequence: u16,
    pub(super) offset: usize,
    pub(super) bytes: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// Reads the next fragment of a record. `None`: it is cut off, or reaches past its message.
    pub(super) fn read(from: &mut Reader<'a>) -> Option<Self> {
        let (kind, length, sequence) = (from.u8()?, from.u24()?, from.u16()?);
        let (offset, bytes) = (from.u24()?, from.vec24()?);
        (offset + bytes.len() <= length).then_some(Self { kind, length, sequence, offset, bytes })
    }

    /// Whether it is all of its message.
    pub(super) fn is_whole(&self) -> bool {
        self.offset == 0 && self.bytes.len() == self.length
    }
}

/// A whole message, as it counts for the hash of the handshake: as if it had never been in parts (RFC 6347 §4.2.6).
pub(super) fn whole(kind: u8, sequence: u16, body: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER + body.len());
    put_start(&mut message, kind, body.len(), sequence);
    message.extend_from_slice(&[0; 3]);
    put_vec24(&mut message, body);
    message
}

/// Writes one part of a message.
pub(super) fn put_fragment(
    out: &mut Vec<u8>,
    kind: u8,
    length: usize,
    sequence: u16,
    offset: usize,
    bytes: &[u8],
) {
    put_start(out, kind, length, sequence);
    out.extend_from_slice(&u24(offset));
    put_vec24(out, bytes);
}

fn put_start(out: &mut Vec<u8>, kind: u8, length: usize, sequence: u16) {
    out.push(kind);
    out.extend_from_slice(&u24(length));
    out.extend_from_slice(&sequence.to_be_bytes());
}

/// Why something ends (RFC 5246 §7.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Alert(pub(super) u8);

impl Alert {
    pub(super) const CLOSE_NOTIFY: Self = Self(0);
    pub(super) const UNEXPECTED_MESSAGE: Self = Self(10);
    pub(super) const HANDSHAKE_FAILURE: Self = Self(40);
    pub(super) const BAD_CERTIFICATE: Self = Self(42);
    pub(super) const CERTIFICATE_REVOKED: Self = Self(44);
    pub(super) const CERTIFICATE_EXPIRED: Self = Self(45);
    pub(super) const ILLEGAL_PARAMETER: Self = Self(47);
    pub(super) const UNKNOWN_CA: Self = Self(48);
    pub(super) const DECODE_ERROR: Self = Self(50);
    pub(super) const DECRYPT_ERROR: Self = Self(51);
    pub(super) const PROTOCOL_VERSION: Self = Self(70);
    pub(super) const INTERNAL_ERROR: Self = Self(80);

    /// As it is on the wire: a warning for an end in peace, else fatal.
    pub(super) fn bytes(self) -> [u8; 2] {
        [if self == Self::CLOSE_NOTIFY { 1 } else { 2 }, self.0]
    }

    /// Its name in logs, for those that peers send.
    pub(super) fn name(self) -> &'static str {
        match self.0 {
            0 => "close_notify",
            10 => "unexpected_message",
            20 => "bad_record_mac",
            40 => "handshake_failure",
            42 => "bad_certificate",
            43 => "unsupported_certificate",
            44 => "certificate_revoked",
            45 => "certificate_expired",
            46 => "certificate_unknown",
            47 => "illegal_parameter",
            48 => "unknown_ca",
            49 => "access_denied",
            50 => "decode_error",
            51 => "decrypt_error",
            70 => "protocol_version",
            71 => "insufficient_security",
            80 => "internal_error",
            90 => "user_canceled",
            100 => "no_renegotiation",
            112 => "unrecognized_name",
            115 => "unknown_psk_identity",
            _ => "another alert",
        }
    }
}

/// Why a handshake came to nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// What the peer is told, if anything.
    pub(super) alert: Option<Alert>,
    /// For metrics.
    pub(super) cause: &'static str,
    /// For the operator: what is wrong and what to do.
    pub(super) detail: String,
}

impl Failure {
    pub(super) fn new(alert: Alert, cause: &'static str, detail: impl Into<String>) -> Self {
        Self { alert: Some(alert), cause, detail: detail.into() }
    }

    /// The message cannot be read.
    pub(super) fn malformed(what: &str) -> Self {
        Self::new(Alert::DECODE_ERROR, "malformed", format!("its {what} cannot be read"))
    }

    /// The library of cryptography said no to what cannot fail.
    pub(super) fn internal(what: &str) -> Self {
        Self::new(Alert::INTERNAL_ERROR, "internal", format!("cannot {what}"))
    }
}
