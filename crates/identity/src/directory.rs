//! Directory: reading the registry for people, by the command line and the admin API, and for lists of revocation. No secret
//! ever leaves it.

use crate::{Asked, CodePurpose, Records, Status};
use std::sync::Arc;
use windrose_event::{Subject, Timestamp};

/// The most that one answer lists; who wants more asks again, after the last one.
pub const MOST_LISTED: usize = 10_000;

/// What a registry tells people, beside what letting somebody in asks of it.
pub trait Directory: Records {
    /// All that may be told of a device, an owner or a service.
    fn details(&self, subject: Subject) -> Asked<Option<Details>>;

    /// Devices, owners or services, in ascending order of their ids.
    fn list(&self, listing: Listing) -> Asked<Vec<Summary>>;

    /// Whose a device was, the latest first: `limit` changes of its owner before the one of that number (`None`: all of them).
    /// Of a device that is gone, too.
    fn history(&self, device: &str, before: Option<u64>, limit: usize) -> Asked<Vec<Ownership>>;

    /// How many there are.
    fn counts(&self) -> Asked<Counts>;

    /// The credential of that id, with whose it is.
    fn credential(&self, id: &str) -> Asked<Option<(Subject, CredentialDetails)>>;

    /// The certificates of an issuer (by the SHA-256 of its own certificate's DER) that are not over and must not be trusted:
    /// they, their credential, their device or its owner are revoked. What a list of revocation says (RFC 5280 §5).
    fn revoked_certificates(&self, issuer: [u8; 32]) -> Asked<Vec<RevokedCertificate>>;
}

/// What there is in a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Devices.
    Device,
    /// Owners.
    Owner,
    /// Services.
    Service,
}

impl Kind {
    /// Its name in the APIs and in texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Owner => "owner",
            Self::Service => "service",
        }
    }

    /// Whom changes are about that concern the one of that id.
    pub fn subject(self, id: &str) -> Subject {
        match self {
            Self::Device => Subject::Device(id.into()),
            Self::Owner => Subject::Owner(id.into()),
            Self::Service => Subject::Service(id.into()),
        }
    }
}

/// What is listed.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Which of them.
    pub kind: Kind,
    /// Only devices of that owner.
    pub owner: Option<Arc<str>>,
    /// Only members of that group.
    pub group: Option<Arc<str>>,
    /// Only those that stand like that.
    pub status: Option<StatusFilter>,
    /// Only what comes after that id.
    pub after: Option<Arc<str>>,
    /// So many at most; [`MOST_LISTED`] if it is more.
    pub limit: usize,
}

impl Listing {
    /// The first hundred of a kind.
    pub fn of(kind: Kind) -> Self {
        Self { kind, owner: None, group: None, status: None, after: None, limit: 100 }
    }
}

/// How those stand that are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusFilter {
    /// Let in.
    Active,
    /// Revoked, or their owner is.
    Revoked,
    /// In quarantine.
    Quarantined,
}

impl StatusFilter {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Active, Self::Revoked, Self::Quarantined];

    /// Its name in the APIs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Revoked => "revoked",
            Self::Quarantined => "quarantined",
        }
    }
}

/// A line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// What it is.
    pub kind: Kind,
    /// Its id.
    pub id: Arc<str>,
    /// Of a device: whose it is.
    pub owner: Option<Arc<str>>,
    /// The groups it belongs to, in ascending order.
    pub groups: Vec<Arc<str>>,
    /// Whether it is let in.
    pub status: Status,
}

/// All that may be told of a device, an owner or a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    /// What a list says of it.
    pub summary: Summary,
    /// Why it was revoked, if it is and somebody said so.
    pub reason: Option<String>,
    /// Free attributes, a JSON object.
    pub attributes: String,
    /// Since when it is in the registry.
    pub added: Timestamp,
    /// Of an owner: how many devices it owns.
    pub devices: u64,
    /// How it may prove who it is, the oldest first; what was revoked or used up is among them.
    pub credentials: Vec<CredentialDetails>,
}

/// What may be told of a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialDetails {
    /// Its id: what it is revoked by.
    pub id: Arc<str>,
    /// What it is.
    pub kind: CredentialKind,
    /// What it is found by, if that is no digest of a secret: a user name, a subject, a fingerprint in hex, the identity of a key.
    pub name: Option<String>,
    /// From when it is good.
    pub not_before: Option<Timestamp>,
    /// Until when it is good.
    pub not_after: Option<Timestamp>,
    /// When it was added.
    pub added: Timestamp,
    /// When it was used up: a one-time code.
    pub used: Option<Timestamp>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
    /// Why, if somebody said so.
    pub reason: Option<String>,
}

/// What a credential is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// A user name and a password.
    Password,
    /// A user name and the keys of SCRAM.
    Scram,
    /// A certificate by its subject.
    Subject,
    /// A certificate by its subject's common name.
    CommonName,
    /// A certificate by one of its alternative names.
    AlternativeName,
    /// A certificate by its fingerprint.
    Fingerprint,
    /// A pre-shared key.
    Psk,
    /// An API key.
    ApiKey,
    /// A one-time code.
    Code(CodePurpose),
}

impl CredentialKind {
    /// Its name in the APIs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Scram => "scram",
            Self::Subject => "certificate_subject",
            Self::CommonName => "certificate_common_name",
            Self::AlternativeName => "certificate_san",
            Self::Fingerprint => "certificate",
            Self::Psk => "psk",
            Self::ApiKey => "api_key",
            Self::Code(CodePurpose::Enrol) => "enrol_code",
            Self::Code(CodePurpose::Claim) => "claim_code",
        }
    }
}

/// A change of a device's owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// The number of the change among the device's.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// What was done: `added`, `claimed`, `transferred`, `released`, `imported` or `removed`.
    pub act: &'static str,
    /// Whose it was before.
    pub before: Option<Arc<str>>,
    /// Whose it was after.
    pub after: Option<Arc<str>>,
    /// Who did it.
    pub by: Arc<str>,
}

/// How many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Devices.
    pub devices: u64,
    /// Owners.
    pub owners: u64,
    /// Services.
    pub services: u64,
    /// Credentials, those that were revoked or used up among them.
    pub credentials: u64,
}

/// A certificate that must not be trusted any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedCertificate {
    /// Its serial number, big-endian.
    pub serial: Vec<u8>,
    /// Since when.
    pub at: Timestamp,
    /// Why, if somebody said so.
    pub reason: Option<String>,
    /// When it is over anyway.
    pub not_after: Timestamp,
    /// Whether that may end: it is its device or its owner that is revoked, and can be reinstated (RFC 5280 §5.3.1,
    /// `certificateHold`).
    pub hold: bool,
}
