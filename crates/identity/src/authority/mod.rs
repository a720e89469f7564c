//! The authority that things enrol with (RFC 7030): it signs certificates for devices that are known, keeps records of what it
//! signed in the registry, and says what it has revoked (RFC 5280 §5, RFC 6960).

mod applicant;
mod attributes;
mod create;
mod issue;
mod live;
mod ocsp;
mod request;
mod revoked;
mod signer;
#[cfg(test)]
mod tests;
mod time;

pub use create::{Issuing, Named, Root, Server, next_issuing, shown};
pub use live::LiveAuthority;

use crate::{Act, Directory, RecordsError};
use applicant::{Applicant, not_allowed};
use bytes::Bytes;
use issue::unavailable;
use ocsp::Question;
use revoked::Revoked;
use signer::Signer;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use windrose_event::{EnrolRefusal, EnrolRequest, Enrolled, Enrolment, Identity, Pending, Subject};

/// Signatures that are made at once, and those that wait for it: an RSA key takes a millisecond of a core for one.
const AT_ONCE: usize = 64;

/// An authority of the document's.
pub struct Authority(Arc<Inner>);

struct Inner {
    signers: Vec<Signer>,
    /// What each of them has revoked.
    revoked: Vec<Revoked>,
    certificates: Vec<Bytes>,
    attributes: Bytes,
    validity: Duration,
    url: Option<Arc<str>>,
    records: Option<Arc<dyn Directory>>,
    working: Arc<Semaphore>,
}

impl Authority {
    /// The authority of `ca`, from what its files hold. Without a registry it signs nothing: there must be a record of it.
    ///
    /// # Errors
    /// The sentence that says what is wrong with the files.
    pub fn new(
        policy: &windrose_policy::Authority,
        certificates: &[u8],
        keys: &[u8],
        records: Option<Arc<dyn Directory>>,
    ) -> Result<Self, String> {
        let signer::Chain { signers, certificates } = signer::read(certificates, keys)?;
        Ok(Self(Arc::new(Inner {
            revoked: signers.iter().map(|_| Revoked::new()).collect(),
            signers,
            certificates,
            attributes: attributes::attributes(),
            validity: policy.validity,
            url: policy.url.clone(),
            records,
            working: Arc::new(Semaphore::new(AT_ONCE)),
        })))
    }
}

impl Enrolment for Authority {
    fn enrol(&self, by: &Identity, request: EnrolRequest) -> Pending<Result<Enrolled, EnrolRefusal>> {
        let inner = Arc::clone(&self.0);
        let by = by.clone();
        Box::pin(async move {
            match request {
                EnrolRequest::Authorities => Ok(Enrolled::Authorities(inner.certificates.clone())),
                EnrolRequest::Attributes => Ok(Enrolled::Attributes(inner.attributes.clone())),
                EnrolRequest::Certificate { request, renew } => {
                    inner.certificate(&by, request, renew).await.map(Enrolled::Certificate)
                }
            }
        })
    }

    fn revocations(&self, issuer: &str) -> Pending<Option<Bytes>> {
        let inner = Arc::clone(&self.0);
        let wanted =
            inner.signers.iter().position(|signer| issuer.is_empty() || signer.short_name() == issuer);
        Box::pin(async move { inner.known(wanted?).await.map(|known| known.list.clone()) })
    }

    fn status(&self, request: Bytes) -> Pending<Option<Bytes>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { Some(inner.status(&request).await.unwrap_or_else(ocsp::Error::response)) })
    }
}

impl Inner {
    async fn certificate(
        self: Arc<Self>,
        by: &Identity,
        request: Bytes,
        renew: bool,
    ) -> Result<Bytes, EnrolRefusal> {
        let applicant = Applicant::of(by, renew)?;
        let records = self.records.clone().ok_or_else(|| {
            unavailable("the document has no identity.registry: nothing is signed that no record is kept of")
        })?;
        let subject = Subject::Device(applicant.device.clone());
        let record = records.record(subject).await.map_err(|error| refused(&error))?;
        applicant.check(record.as_deref(), time::now())?;
        let (authority, device) = (Arc::clone(&self), applicant.device.clone());
        let signed = self.work(move || {
            let request = request::read(&request, &device)?;
            let signer = authority.signers.first().ok_or_else(|| unavailable("nothing signs"))?;
            let url = authority.url.as_deref();
            issue::issue(signer, &device, request, time::now(), authority.validity, url)
        });
        let (der, certificate) =
            signed.await.ok_or_else(|| unavailable(&format!("{AT_ONCE} requests are under way")))??;
        let (serial, not_after) = (crate::lookup::hex(&certificate.serial), certificate.not_after);
        let act = Act::Issue {
            device: applicant.device.clone(),
            adopt: applicant.adopt,
            code: applicant.code,
            certificate,
        };
        records.act(act, &by.to_string()).await.map_err(|error| refused(&error))?;
        let good_until = time::generalized(not_after);
        tracing::info!(device = %applicant.device, owner = by.owner().map(|owner| &**owner), serial, good_until, renew,
            "a certificate was issued");
        Ok(der)
    }

    async fn known(self: &Arc<Self>, signer: usize) -> Option<Arc<revoked::Known>> {
        let revoked = self.revoked.get(signer)?;
        let records = self.records.as_ref()?;
        revoked
            .known(self, signer, records)
            .await
            .inspect_err(|error| tracing::warn!(%error, "nobody can be told what the authority revoked"))
            .ok()
    }

    async fn status(self: &Arc<Self>, request: &[u8]) -> Result<Bytes, ocsp::Error> {
        let question = Question::read(request)?;
        let place = question.signer(&self.signers)?;
        let known = self.known(place).await.ok_or(ocsp::Error::Internal)?;
        let inner = Arc::clone(self);
        let answered = self.work(move || {
            let signer = inner.signers.get(place).ok_or(ocsp::Error::Internal)?;
            ocsp::answer(signer, &question, &known, time::now())
        });
        answered.await.ok_or(ocsp::Error::TryLater)?
    }

    /// Does what takes much of a core on another thread; `None`: too much of it is under way.
    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let permit = Arc::clone(&self.working).try_acquire_owned().ok()?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        });
        done.await.ok()
    }
}

/// Why the registry did not take it.
fn refused(error: &RecordsError) -> EnrolRefusal {
    let detail = error.to_string();
    match error {
        RecordsError::Unavailable(_) => unavailable(&detail),
        RecordsError::Invalid(_) => request::bad("the device's id cannot be registered", detail),
        RecordsError::NotFound(_) | RecordsError::Conflict(_) => not_allowed(detail),
    }
}
