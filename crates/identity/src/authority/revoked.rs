//! What the authority has revoked, as the registry says: remembered until that changes, and signed as a list (RFC 5280 §5).

use super::signer::Signer;
use super::time::{date_time, now, second};
use crate::{Directory, RevokedCertificate};
use bytes::Bytes;
use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber,
};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use windrose_event::Timestamp;

/// How long nothing is asked of the registry after it was asked: anybody may fetch lists, as often as they like.
const QUIET: Duration = Duration::from_secs(1);

/// How long a list is given out after it was made, even if nothing changed.
const RENEWED: Duration = Duration::from_secs(30 * 60);

/// How long a list is good (nextUpdate): whoever keeps one can go on while the node is away.
const GOOD: Duration = Duration::from_secs(24 * 3600);

/// What one signer has revoked.
pub(super) struct Revoked {
    known: Mutex<Option<(Arc<Known>, Instant)>>,
}

/// What was revoked at a time.
pub(super) struct Known {
    /// The newest change of the registry before it was asked.
    change: u64,
    /// When it was asked.
    pub(super) at: Timestamp,
    /// By serial number, without zeros in front.
    entries: HashMap<Vec<u8>, Entry>,
    /// The signed list, in DER.
    pub(super) list: Bytes,
}

/// A revoked certificate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Since when.
    pub(super) at: Timestamp,
    /// Why (RFC 5280 §5.3.1).
    pub(super) reason: Option<RevocationReason>,
}

impl Known {
    /// What is known of a serial number, if it is revoked.
    pub(super) fn get(&self, serial: &[u8]) -> Option<Entry> {
        self.entries.get(plain(serial)).copied()
    }
}

impl Revoked {
    pub(super) fn new() -> Self {
        Self { known: Mutex::new(None) }
    }

    /// What is revoked now. Who asks meanwhile waits for the same answer.
    ///
    /// # Errors
    /// The registry cannot be asked, and what is known is too old to be told.
    pub(super) async fn known(
        &self,
        authority: &Arc<super::Inner>,
        signer: usize,
        records: &Arc<dyn Directory>,
    ) -> Result<Arc<Known>, String> {
        let mut known = self.known.lock().await;
        if let Some((known, asked)) = &*known
            && asked.elapsed() < QUIET
        {
            return Ok(Arc::clone(known));
        }
        let before = known.as_ref().map(|(known, _)| Arc::clone(known));
        let fresh = match ask(authority, signer, records, before.as_ref()).await {
            Ok(fresh) => fresh,
            // What was known is better than nothing for as long as its list says it is good.
            Err(error) => match before.filter(|before| now() < before.at + GOOD) {
                Some(before) => {
                    tracing::warn!(%error, "what the authority revoked is told as it was known before");
                    before
                }
                None => return Err(error),
            },
        };
        *known = Some((Arc::clone(&fresh), Instant::now()));
        Ok(fresh)
    }
}

async fn ask(
    authority: &Arc<super::Inner>,
    signer: usize,
    records: &Arc<dyn Directory>,
    before: Option<&Arc<Known>>,
) -> Result<Arc<Known>, String> {
    let change = records.newest_change().await.map_err(|error| error.to_string())?;
    let at = second(now());
    if let Some(before) = before
        && before.change == change
        && at < before.at + RENEWED
    {
        return Ok(Arc::clone(before));
    }
    let its = authority.signers.get(signer).map(|signer| signer.fingerprint).unwrap_or_default();
    let revoked = records.revoked_certificates(its).await.map_err(|error| error.to_string())?;
    let authority = Arc::clone(authority);
    let made = tokio::task::spawn_blocking(move || {
        let signer = authority.signers.get(signer).ok_or("there is no such signer")?;
        let list = sign(signer, &revoked, at)?;
        let entries = revoked
            .iter()
            .map(|one| (plain(&one.serial).to_vec(), Entry { at: one.at, reason: reason(one) }))
            .collect();
        Ok::<_, String>(Arc::new(Known { change, at, entries, list }))
    });
    made.await.map_err(|error| error.to_string())?
}

/// Signs a list.
fn sign(signer: &Signer, revoked: &[RevokedCertificate], at: Timestamp) -> Result<Bytes, String> {
    // Lists are made in the order of time: so are their numbers, without one that has to be kept.
    let number = (at.as_micros() / 1_000_000).to_be_bytes();
    let revoked_certs = revoked
        .iter()
        .map(|one| RevokedCertParams {
            serial_number: SerialNumber::from_slice(plain(&one.serial)),
            revocation_time: date_time!(one.at),
            reason_code: reason(one),
            invalidity_date: None,
        })
        .collect();
    let key_identifier_method =
        signer.key_identifier.clone().map_or(KeyIdMethod::Sha256, KeyIdMethod::PreSpecified);
    let list = CertificateRevocationListParams {
        this_update: date_time!(at),
        next_update: date_time!(at + GOOD),
        crl_number: SerialNumber::from_slice(plain(&number)),
        issuing_distribution_point: None,
        revoked_certs,
        key_identifier_method,
    };
    let list = list
        .signed_by(&signer.issuer)
        .map_err(|error| format!("the authority cannot sign a list of revocation: {error}"))?;
    Ok(Bytes::copy_from_slice(list.der()))
}

fn plain(serial: &[u8]) -> &[u8] {
    let zeros = serial.iter().take_while(|byte| **byte == 0).count();
    serial.get(zeros.min(serial.len().saturating_sub(1))..).unwrap_or_default()
}

/// The reason that somebody gave, if it is one of those that lists have.
fn reason(revoked: &RevokedCertificate) -> Option<RevocationReason> {
    if revoked.hold {
        return Some(RevocationReason::CertificateHold);
    }
    let letters = revoked.reason.as_ref()?.chars().filter(char::is_ascii_alphabetic);
    match letters.map(|letter| letter.to_ascii_lowercase()).collect::<String>().as_str() {
        "keycompromise" | "stolen" | "lost" => Some(RevocationReason::KeyCompromise),
        "affiliationchanged" => Some(RevocationReason::AffiliationChanged),
        "superseded" => Some(RevocationReason::Superseded),
        "cessationofoperation" => Some(RevocationReason::CessationOfOperation),
        "privilegewithdrawn" => Some(RevocationReason::PrivilegeWithdrawn),
        _ => None,
    }
}
