//! Acts: what is done to the registry, by the command line, the admin API, the authority, or the node itself.

use crate::{CodePurpose, CredentialSecret, Lookup};
use std::sync::Arc;
use windrose_event::{Subject, Timestamp};

/// One thing that is done to the registry.
#[derive(Clone, Debug)]
pub enum Act {
    /// A new device.
    AddDevice(NewDevice),
    /// A new owner.
    AddOwner {
        /// Its id.
        id: Arc<str>,
        /// The groups it belongs to.
        groups: Vec<Arc<str>>,
        /// Free attributes, a JSON object.
        attributes: String,
    },
    /// A new service.
    AddService {
        /// Its name.
        name: Arc<str>,
        /// The groups it belongs to.
        groups: Vec<Arc<str>>,
    },
    /// Takes somebody out, with its credentials. History stays.
    Remove(Subject),
    /// What somebody belongs to, from now on.
    SetGroups {
        /// Who.
        subject: Subject,
        /// All of its groups.
        groups: Vec<Arc<str>>,
    },
    /// What is written about a device or an owner, from now on.
    SetAttributes {
        /// Who.
        subject: Subject,
        /// A JSON object.
        attributes: String,
    },
    /// A device that is nobody's becomes somebody's. With a code, that is used up; without one the caller is trusted.
    Claim {
        /// The device.
        device: Arc<str>,
        /// Whose it is from now on; made if there is no such owner.
        owner: Arc<str>,
        /// The digest of the code.
        code: Option<Lookup>,
    },
    /// A device becomes somebody else's.
    Transfer {
        /// The device.
        device: Arc<str>,
        /// Whose it is from now on; made if there is no such owner.
        owner: Arc<str>,
    },
    /// A device becomes nobody's.
    Release {
        /// The device.
        device: Arc<str>,
    },
    /// Another way for somebody to prove who it is.
    AddCredential {
        /// Whose: a device's, an owner's, a service's.
        subject: Subject,
        /// What.
        credential: NewCredential,
    },
    /// Not let in any more: a device, an owner with its devices, a service, a credential, a certificate.
    Revoke {
        /// Whom or what.
        subject: Subject,
        /// Why, for the history and for lists of revocation.
        reason: Option<String>,
    },
    /// Let in again.
    Reinstate {
        /// Whom or what; certificates stay revoked.
        subject: Subject,
    },
    /// Not let in until then.
    Quarantine {
        /// Who.
        subject: Subject,
        /// Until when.
        until: Timestamp,
    },
    /// A one-time code for a device.
    AddCode {
        /// The device.
        device: Arc<str>,
        /// The code's digest.
        code: Lookup,
        /// What it is good for.
        purpose: CodePurpose,
        /// Until when.
        until: Timestamp,
    },
    /// The authority gave out a certificate: it is a credential of the device from now on. A code, if one was used, must not
    /// have been used before: whoever is first gets the certificate.
    Issue {
        /// The device; made, without an owner, if there is none and `adopt`.
        device: Arc<str>,
        /// Whether a device that is not known is made: a manufacturer's certificate vouches for it.
        adopt: bool,
        /// The credential of the code that was used, by its id.
        code: Option<Arc<str>>,
        /// The certificate.
        certificate: IssuedCertificate,
    },
}

/// A certificate that the authority gave out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedCertificate {
    /// SHA-256 of its DER.
    pub fingerprint: [u8; 32],
    /// Its serial number, big-endian.
    pub serial: Vec<u8>,
    /// SHA-256 of the DER of the certificate that signed it.
    pub issuer: [u8; 32],
    /// From when it is good.
    pub not_before: Timestamp,
    /// Until when it is good.
    pub not_after: Timestamp,
}

/// A device that comes into the registry.
#[derive(Clone, Debug, Default)]
pub struct NewDevice {
    /// Its id.
    pub id: Arc<str>,
    /// Whose it is; made if there is no such owner.
    pub owner: Option<Arc<str>>,
    /// The groups it belongs to.
    pub groups: Vec<Arc<str>>,
    /// Free attributes, a JSON object; empty: none.
    pub attributes: String,
    /// How it may prove who it is.
    pub credentials: Vec<NewCredential>,
}

/// A credential that comes into the registry. Its id is made there.
#[derive(Clone, Debug)]
pub struct NewCredential {
    /// What it is found by.
    pub lookup: Lookup,
    /// What is compared.
    pub secret: CredentialSecret,
    /// From when it is good.
    pub not_before: Option<Timestamp>,
    /// Until when it is good.
    pub not_after: Option<Timestamp>,
}
