//! Records: what the registry keeps of somebody.

use crate::Lookup;
use std::sync::Arc;
use windrose_event::{Principal, Secret, Subject, Timestamp};

/// What the registry keeps of somebody, as far as letting it in needs it. Shared by everybody who asks.
#[derive(Clone, Debug)]
pub struct Record {
    /// Who: a device with its owner, an owner, or a service.
    pub principal: Principal,
    /// The groups it belongs to.
    pub groups: Arc<[Arc<str>]>,
    /// Of an owner the devices that it owns, in ascending order.
    pub owned: Arc<[Arc<str>]>,
    /// Whether it is let in.
    pub status: Status,
    /// All that it may prove itself with.
    pub credentials: Vec<Credential>,
}

impl Record {
    /// Whom changes of it are about.
    pub fn subject(&self) -> Option<Subject> {
        subject_of(&self.principal)
    }
}

/// Whom changes are about that concern a principal.
pub fn subject_of(principal: &Principal) -> Option<Subject> {
    match principal {
        Principal::Anonymous => None,
        Principal::Device { id, .. } => Some(Subject::Device(id.clone())),
        Principal::Owner { id } => Some(Subject::Owner(id.clone())),
        Principal::Service { name } => Some(Subject::Service(name.clone())),
    }
}

/// Whether somebody is let in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Yes.
    #[default]
    Active,
    /// No, until somebody reinstates it.
    Revoked,
    /// Not before then: two things seem to share its identity.
    Quarantined {
        /// When that ends.
        until: Timestamp,
    },
    /// Its owner is revoked, and so it is not let in either.
    OwnerRevoked,
}

/// One way to prove who one is.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Its id: what it is revoked by.
    pub id: Arc<str>,
    /// What it is found by; none for what is looked for by no name of its own.
    pub lookup: Lookup,
    /// What is compared with what the peer brings.
    pub secret: CredentialSecret,
    /// From when it is good.
    pub not_before: Option<Timestamp>,
    /// Until when it is good.
    pub not_after: Option<Timestamp>,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// What is compared with what the peer brings. Its `Debug` shows no secret.
#[derive(Clone, Debug)]
pub enum CredentialSecret {
    /// Being found is enough: a certificate that TLS verified, an API key by its digest.
    None,
    /// The argon2id hash of a password, as a PHC string.
    PasswordHash(Secret),
    /// The keys of SCRAM-SHA-256, as `windrose hash-password --scram` prints them.
    ScramKeys(Secret),
    /// A pre-shared key.
    Psk(Secret),
    /// A one-time code, found by its digest.
    Code {
        /// What it is good for.
        purpose: CodePurpose,
        /// Whether it was used.
        used: bool,
    },
}

/// What a one-time code is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodePurpose {
    /// A thing gets its certificate.
    Enrol,
    /// Somebody becomes the device's owner.
    Claim,
}

impl CodePurpose {
    /// The purpose's name in the registry and its APIs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enrol => "enrol",
            Self::Claim => "claim",
        }
    }
}

/// A change that the registry has noted, in the order of their numbers.
#[derive(Clone, Debug)]
pub struct Noted {
    /// Its number; later ones are higher.
    pub number: u64,
    /// Whom or what it is about.
    pub subject: Subject,
    /// Whether live sessions of the subject must end: it was revoked, removed, or is somebody else's now.
    pub ends: bool,
}

/// What changed.
#[derive(Clone, Debug)]
pub enum Changes {
    /// These, the oldest first; ask again after the last of them.
    Listed(Vec<Noted>),
    /// More than is kept of them: forget all that is remembered, look anew at everybody who is connected, and go on after this
    /// number.
    Lost {
        /// The number of the newest change.
        newest: u64,
    },
}
