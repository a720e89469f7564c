//! Secrets and keys from secrets (RFC 5246 §5 and §8.1, RFC 7627 §4).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::tls_prf::{P_SHA256, Secret};

/// What both sides prove to know at the end of a handshake.
pub(super) const VERIFY_BYTES: usize = 12;

/// Bytes of a master secret.
pub(super) const MASTER_BYTES: usize = 48;

/// The secret that all keys of a session come from. Wiped when dropped.
pub(super) struct Master(Secret);

impl Master {
    /// From what the key exchange yielded (RFC 5246 §8.1).
    pub(super) fn new(premaster: &[u8], client_random: &[u8; 32], server_random: &[u8; 32]) -> Option<Self> {
        let secret = Secret::new(&P_SHA256, premaster).ok()?;
        let derived = secret.derive_with_seed_concatination(
            b"master secret",
            client_random,
            server_random,
            MASTER_BYTES,
        );
        derived.ok().map(Self)
    }

    /// The same, bound to the handshake so far (RFC 7627 §4).
    pub(super) fn extended(premaster: &[u8], transcript: &[u8]) -> Option<Self> {
        let secret = Secret::new(&P_SHA256, premaster).ok()?;
        let hash = digest(&SHA256, transcript);
        secret.derive(b"extended master secret", hash.as_ref(), MASTER_BYTES).ok().map(Self)
    }

    /// As a ticket brought it back.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Secret::new(&P_SHA256, bytes).ok().map(Self)
    }

    /// The bytes, for a ticket.
    pub(super) fn reveal(&self) -> &[u8] {
        self.0.as_ref()
    }

    fn derive(&self, label: &[u8], first: &[u8], second: &[u8], length: usize) -> Option<Secret> {
        let secret = Secret::new(&P_SHA256, self.0.as_ref()).ok()?;
        secret.derive_with_seed_concatination(label, first, second, length).ok()
    }

    /// The block that keys are cut from (RFC 5246 §6.3).
    pub(super) fn key_block(
        &self,
        client_random: &[u8; 32],
        server_random: &[u8; 32],
        length: usize,
    ) -> Option<Secret> {
        self.derive(b"key expansion", server_random, client_random, length)
    }

    /// What a Finished message says about the handshake so far (RFC 5246 §7.4.9).
    pub(super) fn verify_data(&self, label: &[u8], transcript: &[u8]) -> Option<[u8; VERIFY_BYTES]> {
        let hash = digest(&SHA256, transcript);
        self.derive(label, hash.as_ref(), &[], VERIFY_BYTES)?.try_into().ok()
    }
}

/// What a client's Finished is computed with.
pub(super) const CLIENT_FINISHED: &[u8] = b"client finished";
/// What a server's Finished is computed with.
pub(super) const SERVER_FINISHED: &[u8] = b"server finished";

/// The premaster secret of a key exchange with a pre-shared key: zeros, or what Diffie-Hellman yielded, and the key (RFC 4279
/// §2, RFC 5489 §2).
pub(super) fn psk_premaster(other: Option<&[u8]>, key: &[u8]) -> Vec<u8> {
    let zeros = vec![0; if other.is_none() { key.len() } else { 0 }];
    let mut premaster = Vec::with_capacity(4 + 32 + key.len());
    super::wire::put_vec16(&mut premaster, other.unwrap_or(&zeros));
    super::wire::put_vec16(&mut premaster, key);
    premaster
}
