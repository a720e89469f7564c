//! Cipher suites: which are spoken, how their keys are agreed on, and how records are protected with them.

use super::record::{HEADER, Position, VERSION, put_header};
use aes::Aes128Enc;
use aws_lc_rs::aead::{AES_128_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ccm::aead::AeadInOut;
use ccm::consts::{U8, U12, U16};
use ccm::{Ccm, KeyInit};

/// How both sides come by a secret of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exchange {
    /// A pre-shared key, and nothing else (RFC 4279 §2): who learns the key later reads what was recorded.
    Psk,
    /// A pre-shared key with ephemeral Diffie-Hellman (RFC 5489).
    EcdhePsk,
    /// Ephemeral Diffie-Hellman, signed by the server's certificate (RFC 8422).
    EcdheEcdsa,
}

impl Exchange {
    pub(super) fn has_psk(self) -> bool {
        self != Self::EcdheEcdsa
    }

    pub(super) fn is_ephemeral(self) -> bool {
        self != Self::Psk
    }
}

/// How records are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protection {
    Gcm,
    ChaCha,
    Ccm,
    Ccm8,
}

impl Protection {
    const fn key_bytes(self) -> usize {
        if matches!(self, Self::ChaCha) { 32 } else { 16 }
    }

    /// The bytes of a nonce that come from the handshake.
    const fn iv_bytes(self) -> usize {
        if matches!(self, Self::ChaCha) { 12 } else { 4 }
    }

    /// The bytes of a nonce that each record carries (RFC 5288 §3, RFC 6655 §3, RFC 7905 §2).
    const fn explicit_bytes(self) -> usize {
        if matches!(self, Self::ChaCha) { 0 } else { 8 }
    }

    const fn tag_bytes(self) -> usize {
        if matches!(self, Self::Ccm8) { 8 } else { 16 }
    }

    /// How many bytes of keys both directions take.
    pub(super) const fn key_block_bytes(self) -> usize {
        2 * (self.key_bytes() + self.iv_bytes())
    }
}

/// A cipher suite; all of them derive keys with SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Suite {
    /// Its number on the wire.
    pub(super) code: u16,
    /// Its name, as IANA has it without the prefix that all have.
    pub(super) name: &'static str,
    pub(super) exchange: Exchange,
    pub(super) protection: Protection,
}

const fn suite(code: u16, name: &'static str, exchange: Exchange, protection: Protection) -> Suite {
    Suite { code, name, exchange, protection }
}

/// In our order. A client that offers a pre-shared key has one, and then both sides prove who they are; of those, what
/// keeps past records secret comes first. CCM costs us more than GCM, and is there for things that have nothing else.
pub(super) static SUITES: [Suite; 12] = [
    suite(0xd001, "ECDHE_PSK_WITH_AES_128_GCM_SHA256", Exchange::EcdhePsk, Protection::Gcm),
    suite(0xccac, "ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256", Exchange::EcdhePsk, Protection::ChaCha),
    suite(0xd003, "ECDHE_PSK_WITH_AES_128_CCM_8_SHA256", Exchange::EcdhePsk, Protection::Ccm8),
    suite(0xd005, "ECDHE_PSK_WITH_AES_128_CCM_SHA256", Exchange::EcdhePsk, Protection::Ccm),
    suite(0x00a8, "PSK_WITH_AES_128_GCM_SHA256", Exchange::Psk, Protection::Gcm),
    suite(0xccab, "PSK_WITH_CHACHA20_POLY1305_SHA256", Exchange::Psk, Protection::ChaCha),
    suite(0xc0a4, "PSK_WITH_AES_128_CCM", Exchange::Psk, Protection::Ccm),
    suite(0xc0a8, "PSK_WITH_AES_128_CCM_8", Exchange::Psk, Protection::Ccm8),
    suite(0xc02b, "ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", Exchange::EcdheEcdsa, Protection::Gcm),
    suite(0xcca9, "ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", Exchange::EcdheEcdsa, Protection::ChaCha),
    suite(0xc0ac, "ECDHE_ECDSA_WITH_AES_128_CCM", Exchange::EcdheEcdsa, Protection::Ccm),
    suite(0xc0ae, "ECDHE_ECDSA_WITH_AES_128_CCM_8", Exchange::EcdheEcdsa, Protection::Ccm8),
];

/// The key of one direction, ready for records. A key of AES that is only ever expanded for encryption is a third of one that
/// is not: there are many sessions.
enum Cipher {
    Ccm(Ccm<Aes128Enc, U16, U12>),
    Ccm8(Ccm<Aes128Enc, U8, U12>),
    Lc(LessSafeKey),
}

/// Protects the records of one direction, or opens them.
pub(super) struct Key {
    cipher: Box<Cipher>,
    iv: [u8; 12],
    protection: Protection,
}

impl Key {
    fn new(protection: Protection, key: &[u8], iv: &[u8]) -> Option<Self> {
        let cipher = match protection {
            Protection::Gcm => Cipher::Lc(LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key).ok()?)),
            Protection::ChaCha => {
                Cipher::Lc(LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).ok()?))
            }
            Protection::Ccm => Cipher::Ccm(Ccm::new_from_slice(key).ok()?),
            Protection::Ccm8 => Cipher::Ccm8(Ccm::new_from_slice(key).ok()?),
        };
        let mut whole = [0; 12];
        whole.get_mut(..iv.len())?.copy_from_slice(iv);
        Some(Self { cipher: Box::new(cipher), iv: whole, protection })
    }

    /// The keys of client and server, from a key block (RFC 5246 §6.3).
    pub(super) fn pair(protection: Protection, block: &[u8]) -> Option<(Self, Self)> {
        let mut rest = super::wire::Reader::new(block);
        let (client, server) = (rest.take(protection.key_bytes())?, rest.take(protection.key_bytes())?);
        let (client_iv, server_iv) = (rest.take(protection.iv_bytes())?, rest.take(protection.iv_bytes())?);
        Some((Self::new(protection, client, client_iv)?, Self::new(protection, server, server_iv)?))
    }

    /// The nonce of a record: what it carries of it after what both sides know, or what both sides know with the record's
    /// place mixed in.
    fn nonce(&self, carried: [u8; 8]) -> [u8; 12] {
        let mut nonce = self.iv;
        for (byte, carried) in nonce.iter_mut().skip(4).zip(carried) {
            *byte ^= carried;
        }
        nonce
    }

    /// How many bytes longer a record is than what it carries.
    pub(super) fn overhead(&self) -> usize {
        HEADER + self.protection.explicit_bytes() + self.protection.tag_bytes()
    }

    /// Appends a protected record. The caller never gives a position twice: it is the nonce. `None`: nothing was written.
    pub(super) fn seal(&self, kind: u8, position: Position, plain: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let place = position.0.to_be_bytes();
        let start = out.len();
        let length = self.overhead() - HEADER + plain.len();
        put_header(out, kind, VERSION, position, length);
        out.extend_from_slice(place.get(..self.protection.explicit_bytes())?);
        let body = out.len();
        out.extend_from_slice(plain);
        let sealed = self.seal_in_place(place, &associated(kind, position, plain.len()), out, body);
        if sealed.is_none() {
            out.truncate(start);
        }
        sealed
    }

    fn seal_in_place(&self, place: [u8; 8], aad: &[u8], out: &mut Vec<u8>, body: usize) -> Option<()> {
        let nonce = self.nonce(place);
        let plain = out.get_mut(body..)?;
        match &*self.cipher {
            Cipher::Ccm(key) => {
                let tag = key.encrypt_inout_detached(&nonce.into(), aad, plain.into()).ok()?;
                out.extend_from_slice(&tag);
            }
            Cipher::Ccm8(key) => {
                let tag = key.encrypt_inout_detached(&nonce.into(), aad, plain.into()).ok()?;
                out.extend_from_slice(&tag);
            }
            Cipher::Lc(key) => {
                let nonce = Nonce::assume_unique_for_key(nonce);
                let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), plain).ok()?;
                out.extend_from_slice(tag.as_ref());
            }
        }
        Some(())
    }

    /// Opens a record in place. `None`: it is not genuine.
    pub(super) fn open<'a>(
        &self,
        kind: u8,
        position: Position,
        payload: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        let (explicit, sealed) = payload.split_at_mut_checked(self.protection.explicit_bytes())?;
        let length = sealed.len().checked_sub(self.protection.tag_bytes())?;
        let carried = match <[u8; 8]>::try_from(&*explicit) {
            Ok(explicit) => explicit,
            Err(_) => position.0.to_be_bytes(),
        };
        let nonce = self.nonce(carried);
        let aad = associated(kind, position, length);
        match &*self.cipher {
            Cipher::Ccm(key) => {
                let (body, tag) = sealed.split_at_mut_checked(length)?;
                let tag: [u8; 16] = (&*tag).try_into().ok()?;
                key.decrypt_inout_detached(&nonce.into(), &aad, (&mut *body).into(), &tag.into()).ok()?;
                Some(body)
            }
            Cipher::Ccm8(key) => {
                let (body, tag) = sealed.split_at_mut_checked(length)?;
                let tag: [u8; 8] = (&*tag).try_into().ok()?;
                key.decrypt_inout_detached(&nonce.into(), &aad, (&mut *body).into(), &tag.into()).ok()?;
                Some(body)
            }
            Cipher::Lc(key) => {
                let nonce = Nonce::assume_unique_for_key(nonce);
                key.open_in_place(nonce, Aad::from(aad), sealed).ok()
            }
        }
    }
}

/// What is authenticated besides (RFC 5246 §6.2.3.3, with RFC 6347 §4.1.2.1's sequence number).
fn associated(kind: u8, position: Position, length: usize) -> [u8; 13] {
    let [p0, p1, p2, p3, p4, p5, p6, p7] = position.0.to_be_bytes();
    let [high, low] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    let [major, minor] = VERSION;
    [p0, p1, p2, p3, p4, p5, p6, p7, kind, major, minor, high, low]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::record::{kind, split_record};
    use super::*;

    #[test]
    fn what_one_side_seals_only_the_other_opens() {
        for protection in [Protection::Gcm, Protection::ChaCha, Protection::Ccm, Protection::Ccm8] {
            let block: Vec<u8> =
                (0..protection.key_block_bytes()).map(|byte| byte.try_into().unwrap()).collect();
            let (client, server) = Key::pair(protection, &block).unwrap();
            let mut sealed = Vec::new();
            client.seal(kind::APPLICATION_DATA, Position::new(1, 9), b"kilowatt-hours", &mut sealed).unwrap();
            assert_eq!(sealed.len(), client.overhead() + 14);
            let open = |bytes: &[u8], key: &Key| {
                let mut bytes = bytes.to_vec();
                let record = split_record(&mut bytes.as_mut_slice())?;
                key.open(record.kind, record.position, record.payload).map(|plain| plain.to_vec())
            };
            assert_eq!(open(&sealed, &client).unwrap(), b"kilowatt-hours");
            assert_eq!(open(&sealed, &server), None);
            for at in [0, 5, 10, HEADER, HEADER + 9, sealed.len() - 1] {
                let mut changed = sealed.clone();
                *changed.get_mut(at).unwrap() ^= 1;
                assert_eq!(open(&changed, &client), None, "byte {at} of {protection:?}");
            }
        }
    }
}
