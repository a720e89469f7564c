//! Applicants: who asks for a certificate, and whether it gets one.

use crate::{CredentialSecret, Lookup, Record, Status};
use std::sync::Arc;
use windrose_event::{EnrolCause, EnrolRefusal, Identity, Timestamp};

/// Certificates of one device that may be good at a time: renewing overlaps, and no device fills the registry.
const MOST: usize = 32;

/// A device that asks for a certificate.
pub(super) struct Applicant {
    /// Its id.
    pub(super) device: Arc<str>,
    /// Whether it is taken into the registry if it is not there: a manufacturer's certificate, or the hook, vouches for it.
    pub(super) adopt: bool,
    /// The one-time code that it came with, by its id in the registry: used up by the certificate.
    pub(super) code: Option<Arc<str>>,
    /// The certificate that it came with.
    fingerprint: Option<[u8; 32]>,
}

impl Applicant {
    /// Who asks, with what proved it.
    pub(super) fn of(by: &Identity, renew: bool) -> Result<Self, EnrolRefusal> {
        let device = by.device().ok_or_else(|| EnrolRefusal {
            cause: EnrolCause::NotAllowed,
            reason: "certificates are for devices",
            detail: format!("{by} asks for a certificate: only devices get one"),
        })?;
        let proof = by.proof.as_deref();
        let fingerprint = proof.and_then(|proof| proof.fingerprint);
        let enrols_only = proof.is_some_and(|proof| proof.enrols_only);
        if renew && (fingerprint.is_none() || enrols_only) {
            return Err(EnrolRefusal {
                cause: EnrolCause::NotAllowed,
                reason: "to renew, come with the certificate that is to be renewed (mutual TLS)",
                detail: format!("{by} wants to renew, but did not come with a certificate of its own"),
            });
        }
        // What only enrols and is in the registry is a code; what is not is somebody else's word: a maker's, or the hook's.
        let credential = proof.and_then(|proof| proof.credential.clone());
        let adopt = enrols_only && (fingerprint.is_some() || credential.is_none());
        let code = credential.filter(|_| enrols_only && fingerprint.is_none());
        Ok(Self { device: device.clone(), adopt, code, fingerprint })
    }

    /// Whether it gets a certificate, as its record stands now: some time may have passed since it was let in.
    pub(super) fn check(&self, record: Option<&Record>, now: Timestamp) -> Result<(), EnrolRefusal> {
        let device = &self.device;
        let Some(record) = record else {
            return match self.adopt {
                true => Ok(()),
                false => Err(not_allowed(format!(
                    "{device} is not in the registry that certificates are recorded in: `windrose device add {device}`"
                ))),
            };
        };
        if record.status != Status::Active {
            return Err(not_allowed(format!("{device} is not let in: {:?}", record.status)));
        }
        let mut good = 0;
        for credential in &record.credentials {
            if let CredentialSecret::Code { used, .. } = credential.secret
                && self.code.as_ref() == Some(&credential.id)
                && (used || credential.revoked || credential.not_after.is_some_and(|end| end <= now))
            {
                return Err(not_allowed(format!(
                    "the one-time code of {device} was used, revoked or has ended"
                )));
            }
            if let Lookup::Fingerprint(digest) = &credential.lookup {
                if credential.revoked && self.fingerprint.as_ref() == Some(digest) {
                    return Err(not_allowed(format!("the certificate that {device} came with is revoked")));
                }
                good += usize::from(!credential.revoked && credential.not_after.is_some_and(|end| end > now));
            }
        }
        match good < MOST {
            true => Ok(()),
            false => Err(EnrolRefusal {
                cause: EnrolCause::NotAllowed,
                reason: "too many certificates of this device are good already; wait until they end",
                detail: format!("{device} has {good} certificates that are good: {MOST} may be"),
            }),
        }
    }
}

/// Nothing that helps whoever tries to get a certificate that is another's.
pub(super) fn not_allowed(detail: String) -> EnrolRefusal {
    EnrolRefusal { cause: EnrolCause::NotAllowed, reason: "this does not get a certificate here", detail }
}
