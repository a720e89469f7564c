//! What a handshake settles first: the suite, the group and the certificate, from what both sides have.

use super::credentials::{Credentials, Profile};
use super::hello::{ClientHello, Extensions, numbers};
use super::message::{Alert, Failure};
use super::record::VERSION;
use super::suite::{SUITES, Suite};
use super::wire::{put_vec8, put_vec16};
use aws_lc_rs::agreement::{self, ECDH_P256, X25519};
use rustls::SignatureScheme;
use rustls::sign::{CertifiedKey, Signer};
use std::fmt::Write;
use std::sync::Arc;

/// A group for Diffie-Hellman (RFC 8422 §5.1.1).
#[derive(Clone, Copy)]
pub(super) struct Group {
    pub(super) code: u16,
    pub(super) algorithm: &'static agreement::Algorithm,
}

/// P-256, which everybody must speak (RFC 7925 §4.4), and X25519.
static GROUPS: [Group; 2] =
    [Group { code: 23, algorithm: &ECDH_P256 }, Group { code: 29, algorithm: &X25519 }];

/// What both sides will use.
pub(super) struct Choice {
    pub(super) suite: Suite,
    /// For ephemeral suites.
    pub(super) group: Group,
    /// For suites with certificates.
    pub(super) signing: Option<(Arc<CertifiedKey>, Box<dyn Signer>)>,
    /// What is done with clients' certificates.
    pub(super) profile: Option<Arc<Profile>>,
}

/// Chooses by our order of suites; groups by the client's, since it knows what it has in hardware.
pub(super) fn choose(hello: &ClientHello<'_>, credentials: &dyn Credentials) -> Result<Choice, Failure> {
    let profile = credentials.profile();
    let extensions = &hello.extensions;
    let group = match extensions.groups {
        // One that does not say takes any; only one is known to all.
        None => GROUPS.first(),
        Some(groups) => numbers(groups).find_map(|code| GROUPS.iter().find(|group| group.code == code)),
    };
    let schemes: Vec<SignatureScheme> = extensions
        .signatures
        .map(|list| numbers(list).map(SignatureScheme::from).collect())
        .unwrap_or_default();
    let signing = || profile.as_ref()?.choose(extensions.server_name, &schemes);
    for suite in &SUITES {
        if !numbers(hello.suites).any(|code| code == suite.code) {
            continue;
        }
        let group = match (suite.exchange.is_ephemeral(), group) {
            (_, Some(group)) => *group,
            (false, None) => GROUPS[0],
            (true, None) => continue,
        };
        if suite.exchange.has_psk() {
            return Ok(Choice { suite: *suite, group, signing: None, profile });
        }
        if let Some(signing) = signing() {
            return Ok(Choice { suite: *suite, group, signing: Some(signing), profile });
        }
    }
    let mut offered = String::new();
    for code in numbers(hello.suites).take(16) {
        let _ = write!(offered, " {code:04x}");
    }
    let why = match profile {
        None => "it has to offer one with a pre-shared key",
        Some(_) => {
            "it has to offer one with a pre-shared key, or one of ECDHE_ECDSA with a signature that the certificate can make"
        }
    };
    let detail = format!("it offers no cipher suite that can be used here (of{offered}): {why}");
    Err(Failure::new(Alert::HANDSHAKE_FAILURE, "no_common_suite", detail))
}

/// The body of a ServerHello (RFC 5246 §7.4.1.3): extensions only in answer to the client's. `session` is the client's
/// identifier if its session is resumed, else nothing: a session of ours cannot be resumed by one. With `promises_ticket`, a
/// NewSessionTicket follows (RFC 5077 §3.2).
pub(super) fn server_hello(
    random: &[u8; 32],
    session: &[u8],
    suite: Suite,
    asked: &Extensions<'_>,
    promises_ticket: bool,
) -> Vec<u8> {
    let mut body = Vec::with_capacity(64);
    body.extend_from_slice(&VERSION);
    body.extend_from_slice(random);
    put_vec8(&mut body, session);
    body.extend_from_slice(&suite.code.to_be_bytes());
    // No compression.
    body.push(0);
    let mut extensions = Vec::with_capacity(16);
    if asked.renegotiation_info {
        extensions.extend_from_slice(&[0xff, 0x01, 0, 1, 0]);
    }
    if asked.extended_master_secret {
        extensions.extend_from_slice(&[0, 23, 0, 0]);
    }
    if promises_ticket {
        extensions.extend_from_slice(&[0, 35, 0, 0]);
    }
    if asked.point_formats && suite.exchange.is_ephemeral() {
        extensions.extend_from_slice(&[0, 11, 0, 2, 1, 0]);
    }
    if !extensions.is_empty() {
        put_vec16(&mut body, &extensions);
    }
    body
}
