//! Which cipher suites are spoken, and who chooses among them.
//!
//! Most clients offer AES-256 first, for no reason of theirs. Its suites derive their keys with SHA-384, for which
//! processors have no instructions as they have for SHA-256: half of what a resumed handshake computes would be that.
//! So AES-128, which is as safe for as long as anybody can tell (RFC 8446 §9.1 has it as the one that everybody must
//! speak), comes first. A client that offers ChaCha20 first does have a reason: it has no AES in hardware. It gets its own
//! order.

use rustls::CipherSuite;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;

/// Cryptography, with the cipher suites in our order.
pub(super) fn provider() -> CryptoProvider {
    let mut provider = default_provider();
    provider.cipher_suites.sort_by_key(|suite| rank(suite.suite()));
    provider
}

/// Whether a client has ChaCha20 before AES.
pub(super) fn prefers_chacha(offered: &[CipherSuite]) -> bool {
    let known = offered.iter().map(|suite| rank(*suite)).find(|rank| *rank != Rank::Unknown);
    known == Some(Rank::ChaCha20)
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Aes128,
    Aes256,
    ChaCha20,
    Unknown,
}

fn rank(suite: CipherSuite) -> Rank {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256
        | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => Rank::Aes128,
        CipherSuite::TLS13_AES_256_GCM_SHA384
        | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
        | CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => Rank::Aes256,
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
        | CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
        | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => Rank::ChaCha20,
        // One that the library learns later comes last; one that it does not speak does not count.
        _ => Rank::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_client_without_aes_in_hardware_chooses() {
        use CipherSuite::{TLS13_AES_128_GCM_SHA256 as AES128, TLS13_AES_256_GCM_SHA384 as AES256};
        use CipherSuite::{TLS13_CHACHA20_POLY1305_SHA256 as CHACHA20, Unknown};
        // Some clients begin with a number that nobody knows (RFC 8701).
        assert!(prefers_chacha(&[Unknown(0x0a0a), CHACHA20, AES256]));
        assert!(!prefers_chacha(&[AES256, CHACHA20, AES128]));
        assert!(!prefers_chacha(&[]));
    }

    #[test]
    fn aes_128_comes_first_and_nothing_is_left_out() {
        let (ours, all) = (provider().cipher_suites, default_provider().cipher_suites);
        assert_eq!(ours.first().map(|suite| suite.suite()), Some(CipherSuite::TLS13_AES_128_GCM_SHA256));
        assert_eq!(ours.len(), all.len());
    }
}
