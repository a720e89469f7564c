//! Proof: what an identity rests on, how long, and what follows when that falls away.

use crate::{Identity, Principal, Timestamp};
use std::net::SocketAddr;
use std::sync::Arc;

/// What proved an identity, and how far that goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// The credential, by its id in the registry; `None`: the registry keeps none (a token, the hook's word).
    pub credential: Option<Arc<str>>,
    /// SHA-256 of the DER of the certificate that was shown, if any.
    pub fingerprint: Option<[u8; 32]>,
    /// When it stops proving anything: the end of a token, of a certificate, or of a credential in the registry.
    pub until: Option<Timestamp>,
    /// What a token or the hook says besides, for access rules: names and values, in ascending order; a name whose value is
    /// a list is there once for each.
    pub claims: Arc<[(Arc<str>, Arc<str>)]>,
    /// Good for enrolling and nothing else: a one-time code, or a manufacturer's certificate.
    pub enrols_only: bool,
}

/// Something about somebody is not as it was: live sessions must follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityChange {
    /// Whom or what it is about.
    pub subject: Subject,
    /// How it stands now.
    pub standing: Standing,
}

/// Whom or what a change of the registry is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// A device, by its id.
    Device(Arc<str>),
    /// An owner, by its id. Its devices go with it.
    Owner(Arc<str>),
    /// A service, by its name.
    Service(Arc<str>),
    /// A credential, by its id in the registry.
    Credential(Arc<str>),
    /// A certificate, by the SHA-256 of its DER.
    Certificate([u8; 32]),
}

impl Subject {
    /// Whether an identity is, belongs to, or was proved by the subject.
    pub fn concerns(&self, identity: &Identity) -> bool {
        match self {
            Self::Device(id) => identity.device() == Some(id),
            Self::Owner(id) => identity.owner() == Some(id),
            Self::Service(name) => {
                matches!(&identity.principal, Principal::Service { name: its } if its == name)
            }
            Self::Credential(id) => {
                identity.proof.as_ref().is_some_and(|proof| proof.credential.as_ref() == Some(id))
            }
            Self::Certificate(digest) => {
                identity.proof.as_ref().is_some_and(|proof| proof.fingerprint.as_ref() == Some(digest))
            }
        }
    }
}

/// How the subject of a change stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not let in any more: connections end, and the sessions of devices, owners and services with them. Whoever still may
    /// comes back and is asked anew.
    Ended,
    /// As [`Standing::Ended`], because two things seem to share the identity: peers, logs and metrics are told so.
    Quarantined,
    /// It is this now, for sessions that are open; what proved it stays as it is. Only of devices, owners and services.
    Is(Box<Identity>),
}

/// Two things seem to share an identity: its session was taken over time and again.
#[derive(Clone, Debug)]
pub struct Suspicion {
    /// Who.
    pub principal: Principal,
    /// The session's name.
    pub session: Arc<str>,
    /// How often it was taken over within `identity.duplicates.within`.
    pub takeovers: u32,
    /// The last addresses it was taken over from and to.
    pub peers: Vec<SocketAddr>,
}
