//! Lists of revoked certificates (RFC 5280 §5), as their authorities signed them.

use crate::Anchors;
use crate::anchors::Above;
use crate::signature::is_signed;
use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use windrose_event::{CertificateClaim, Refusal, RefusalCause, Timestamp};
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

/// The longest serial number (RFC 5280 §4.1.2.2), with its length.
const SERIAL: usize = 21;

/// A serial number, without leading zeros; ordered somehow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Serial([u8; SERIAL]);

impl Serial {
    /// `None`: it is longer than any.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let bytes = bytes.get(zeros..)?;
        let mut serial = [0; SERIAL];
        let (length, room) = serial.split_first_mut()?;
        *length = u8::try_from(bytes.len()).ok()?;
        room.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self(serial))
    }
}

/// An authority: SHA-256 of its name and its public key, whichever of its certificates has them.
pub(super) type Signatory = [u8; 32];

/// A certificate as a list names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Mark {
    pub(super) by: Signatory,
    pub(super) serial: Serial,
}

/// The document's lists, read and compared with the keys of those who signed them.
#[derive(Clone, Debug, Default)]
pub struct RevocationLists {
    /// Serial numbers in ascending order.
    revoked: HashMap<Signatory, Vec<Serial>>,
    /// Authorities, by the digests of their certificates.
    signatories: HashMap<[u8; 32], Signatory>,
    /// The same by name: for who does not know more of a certificate than its issuer's name.
    names: HashMap<Vec<u8>, Vec<Signatory>>,
    authorities: Anchors,
}

impl RevocationLists {
    /// Reads lists, PEM or DER, each with a name for errors. `authorities`: the files of `client_ca`. Reports every list that
    /// cannot be used.
    pub fn read(
        files: &[(String, Vec<u8>)],
        authorities: &[Vec<u8>],
        now: Timestamp,
    ) -> Result<Self, Vec<String>> {
        let mut errors = Vec::new();
        let mut ders = Vec::new();
        for file in authorities {
            match Anchors::read(file) {
                Ok(anchors) => ders.extend(anchors.iter().map(|above| above.der.clone())),
                Err(error) => errors.push(format!("identity.revocation: a file of `client_ca` {error}")),
            }
        }
        let mut lists = Self { authorities: Anchors::new(ders), ..Self::default() };
        for above in lists.authorities.iter() {
            if let Ok((_, certificate)) = X509Certificate::from_der(&above.der) {
                let signatory = signatory(&certificate);
                lists.signatories.insert(above.digest, signatory);
                let named = lists.names.entry(certificate.subject().as_raw().to_vec()).or_default();
                if !named.contains(&signatory) {
                    named.push(signatory);
                }
            }
        }
        for (name, bytes) in files {
            let fail = |problem: String| format!("identity.revocation.crl: {name}: {problem}");
            match ders_of(bytes) {
                Ok(ders) => {
                    for der in ders {
                        if let Err(problem) = lists.add(name, &der, now) {
                            errors.push(fail(problem));
                        }
                    }
                }
                Err(problem) => errors.push(fail(problem)),
            }
        }
        for serials in lists.revoked.values_mut() {
            serials.sort_unstable();
            serials.dedup();
            serials.shrink_to_fit();
        }
        if errors.is_empty() { Ok(lists) } else { Err(errors) }
    }

    /// Adds one. The signature is an authority's, or nothing is taken.
    fn add(&mut self, name: &str, der: &[u8], now: Timestamp) -> Result<(), String> {
        let (_, list) = CertificateRevocationList::from_der(der)
            .map_err(|error| format!("is no list of revoked certificates: {error}"))?;
        let by = self.signatory_of(&list)?;
        for extension in list.extensions() {
            match extension.parsed_extension() {
                // Who reads only a part of the list must not take it for the whole (RFC 5280 §5.2.4 and §5.2.5).
                ParsedExtension::IssuingDistributionPoint(part)
                    if part.indirect_crl
                        || part.only_some_reasons.is_some()
                        || part.only_contains_ca_certs =>
                {
                    return Err(
                        "is not the authority's whole list of devices' certificates (indirect, of some \
                                reasons, or of authorities only): export the whole one"
                            .to_owned(),
                    );
                }
                ParsedExtension::IssuingDistributionPoint(_) | ParsedExtension::CRLNumber(_) => {}
                _ if extension.critical => {
                    return Err(format!(
                        "has a critical extension that is not known here ({}), as a delta list has: export the whole \
                         list",
                        extension.oid
                    ));
                }
                _ => {}
            }
        }
        if let Some(next) = list.next_update()
            && seconds(next.timestamp()) <= now
        {
            tracing::warn!(
                list = name, next_update = %next,
                "a list of revoked certificates is out of date: it is used, but a newer one should be there"
            );
        }
        let entries = list.iter_revoked_certificates();
        let serials = entries.filter_map(|entry| Serial::new(entry.raw_serial()));
        self.revoked.entry(by).or_default().extend(serials);
        Ok(())
    }

    /// Which of our authorities signed a list.
    fn signatory_of(&self, list: &CertificateRevocationList<'_>) -> Result<Signatory, String> {
        let mut is_known = false;
        for above in self.authorities.iter() {
            let Ok((_, authority)) = X509Certificate::from_der(&above.der) else { continue };
            if authority.subject().as_raw() != list.issuer().as_raw() {
                continue;
            }
            is_known = true;
            let may_sign = authority.key_usage().ok().flatten().is_none_or(|usage| usage.value.crl_sign());
            let (algorithm, signature) = (&list.signature_algorithm, &list.signature_value.data);
            if may_sign
                && is_signed(authority.public_key(), algorithm, list.tbs_cert_list.as_ref(), signature)
            {
                return Ok(signatory(&authority));
            }
        }
        Err(match is_known {
            true => format!("is not signed by {}, whose name it bears", list.issuer()),
            false => format!(
                "is of {}, which is no authority of any `client_ca`: add its certificate there",
                list.issuer()
            ),
        })
    }

    /// Whether there is any list.
    pub(super) fn are_there(&self) -> bool {
        !self.revoked.is_empty()
    }

    pub(super) fn holds(&self, mark: &Mark) -> bool {
        self.revoked.get(&mark.by).is_some_and(|serials| serials.binary_search(&mark.serial).is_ok())
    }

    /// Why a certificate does not count, if it or one above it is on a list.
    pub(super) fn refusal(&self, claim: &CertificateClaim) -> Option<Refusal> {
        if !self.are_there() {
            return None;
        }
        let revoked = |what: String| {
            let detail = format!("{what} is on a list of `identity.revocation.crl`: it was revoked");
            Some(Refusal { cause: RefusalCause::Revoked, detail })
        };
        if self.marks(claim).any(|mark| self.holds(&mark)) {
            return revoked(format!("the certificate of {}", claim.subject));
        }
        if self.marks_above(claim).iter().any(|mark| self.holds(mark)) {
            return revoked(format!("an authority above the certificate of {}", claim.subject));
        }
        None
    }

    /// How lists name a certificate: several authorities of one name may have signed it, where we do not know better.
    pub(super) fn marks<'a>(&'a self, claim: &'a CertificateClaim) -> impl Iterator<Item = Mark> + 'a {
        let (name, serial) = match &claim.issued {
            Some((name, serial)) => (&name[..], Serial::new(serial)),
            None => (&[][..], None),
        };
        let known = match (claim.issuers.first(), claim.chain.first()) {
            (Some(digest), der) => Some(self.signatory_by(digest, der.map(AsRef::as_ref))),
            (None, _) => None,
        };
        let signatories = match known {
            Some(known) => known.into_iter().collect(),
            None => self.names.get(name).cloned().unwrap_or_default(),
        };
        signatories.into_iter().filter_map(move |by| Some(Mark { by, serial: serial? }))
    }

    /// The same of what stands above it.
    pub(super) fn marks_above(&self, claim: &CertificateClaim) -> Vec<Mark> {
        let pairs = claim.chain.iter().zip(claim.issuers.iter().skip(1).zip(claim.chain.iter().skip(1)));
        pairs
            .filter_map(|(child, (digest, parent))| {
                let (_, child) = X509Certificate::from_der(child).ok()?;
                let by = self.signatory_by(digest, Some(parent))?;
                Some(Mark { by, serial: Serial::new(child.raw_serial())? })
            })
            .collect()
    }

    fn signatory_by(&self, digest: &[u8; 32], der: Option<&[u8]>) -> Option<Signatory> {
        if let Some(known) = self.signatories.get(digest) {
            return Some(*known);
        }
        let (_, certificate) = X509Certificate::from_der(der?).ok()?;
        Some(signatory(&certificate))
    }

    /// The certificate that signed a claim's, if it came with it or is an authority of ours.
    pub(super) fn issuer<'a>(&'a self, claim: &'a CertificateClaim) -> Option<&'a [u8]> {
        if let Some(der) = claim.chain.first() {
            return Some(der);
        }
        let (name, _) = claim.issued.as_ref()?;
        let mut named = self.authorities.iter().filter(|above| is_named(above, name));
        match (named.next(), named.next()) {
            (Some(only), None) => Some(&only.der),
            _ => None,
        }
    }
}

fn is_named(above: &Above, name: &[u8]) -> bool {
    X509Certificate::from_der(&above.der).is_ok_and(|(_, parsed)| parsed.subject().as_raw() == name)
}

fn signatory(certificate: &X509Certificate<'_>) -> Signatory {
    let mut digest = Sha256::new();
    digest.update(certificate.subject().as_raw());
    digest.update(certificate.public_key().raw);
    digest.finalize().into()
}

/// The lists of a file.
fn ders_of(bytes: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    if bytes.first() == Some(&0x30) {
        return Ok(vec![bytes.to_vec()]);
    }
    let lists = CertificateRevocationListDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>();
    let lists = lists.map_err(|error| format!("is neither PEM nor DER: {error}"))?;
    match lists.is_empty() {
        true => Err("holds no list of revoked certificates (`BEGIN X509 CRL`)".to_owned()),
        false => Ok(lists.iter().map(|list| list.as_ref().to_vec()).collect()),
    }
}

fn seconds(seconds: i64) -> Timestamp {
    Timestamp::from_micros(u64::try_from(seconds).unwrap_or_default().saturating_mul(1_000_000))
}

#[cfg(test)]
impl RevocationLists {
    /// As if the authority's list named it.
    pub(super) fn revoke(&mut self, claim: &CertificateClaim) {
        let marks: Vec<_> = self.marks(claim).collect();
        for mark in marks {
            let serials = self.revoked.entry(mark.by).or_default();
            serials.push(mark.serial);
            serials.sort_unstable();
        }
    }
}
