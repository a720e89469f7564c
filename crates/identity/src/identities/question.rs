//! Questions to the database, and what is found by a certificate.

use crate::{Credential, Lookup, Record};
use sha2::{Digest, Sha256};
use windrose_event::{CertificateClaim, Subject, Timestamp};

/// Alternative names of one certificate that are looked for: whoever has more is known by its first ones, or not at all.
const MOST_NAMES: usize = 64;

/// A question to the database: what the memory of its answers goes by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Question {
    /// Who has a credential that is found by this.
    By(Lookup),
    /// Who has this certificate, by whatever of it: the digest is of all that could matter.
    Certificate([u8; 32]),
    /// What is kept of somebody.
    Of(Subject),
}

impl Question {
    /// The question about a certificate.
    pub(super) fn certificate(claim: &CertificateClaim) -> Self {
        Self::Certificate(claim.fingerprint.unwrap_or_else(|| {
            // A proxy told less of it than its digest.
            let mut digest = Sha256::new_with_prefix(b"told");
            let mut add = |text: &str| {
                digest.update(text.len().to_le_bytes());
                digest.update(text);
            };
            add(&claim.subject);
            add(claim.common_name.as_deref().unwrap_or_default());
            claim.alternative_names.iter().for_each(|name| add(name));
            digest.finalize().into()
        }))
    }
}

/// What a certificate can be found by, the most particular first.
pub(super) fn marks(claim: &CertificateClaim) -> Vec<Lookup> {
    let names = claim.alternative_names.iter().take(MOST_NAMES);
    let fingerprint = claim.fingerprint.map(Lookup::Fingerprint);
    let common_name = claim.common_name.iter().map(|name| Lookup::CommonName(name.clone()));
    fingerprint
        .into_iter()
        .chain((!claim.subject.is_empty()).then(|| Lookup::subject(&claim.subject)))
        .chain(names.map(|name| Lookup::AlternativeName(name.clone())))
        .chain(common_name)
        .collect()
}

/// The credential of a record that is found by one of `lookups`, the first of them that finds any; one that is good rather
/// than one that is not.
pub(super) fn credential<'r>(
    record: &'r Record,
    lookups: &[Lookup],
    now: Timestamp,
) -> Option<&'r Credential> {
    lookups.iter().find_map(|lookup| {
        let mut found = record.credentials.iter().filter(|credential| credential.lookup == *lookup);
        let first = found.next()?;
        if fault(first, now).is_none() {
            return Some(first);
        }
        Some(found.find(|other| fault(other, now).is_none()).unwrap_or(first))
    })
}

/// What is wrong with a credential, if anything.
pub(super) fn fault(credential: &Credential, now: Timestamp) -> Option<&'static str> {
    if credential.revoked {
        Some("is revoked")
    } else if credential.not_before.is_some_and(|from| now < from) {
        Some("is not good yet")
    } else if credential.not_after.is_some_and(|until| now > until) {
        Some("has run out")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{CredentialSecret, Status};
    use std::sync::Arc;
    use windrose_event::Principal;

    fn of(lookup: Lookup, revoked: bool, until: Option<u64>) -> Credential {
        Credential {
            id: "c".into(),
            lookup,
            secret: CredentialSecret::None,
            not_before: None,
            not_after: until.map(Timestamp::from_micros),
            revoked,
        }
    }

    #[test]
    fn the_most_particular_mark_decides_and_a_good_one_goes_before_a_bad_one() {
        let claim = CertificateClaim {
            subject: "CN=car".to_owned(),
            common_name: Some("car".to_owned()),
            alternative_names: (0..1_000).map(|name| format!("urn:{name}")).collect(),
            fingerprint: Some([7; 32]),
            ..CertificateClaim::default()
        };
        let marks = marks(&claim);
        assert_eq!(marks[0], Lookup::Fingerprint([7; 32]));
        assert_eq!(marks[1], Lookup::Subject("CN=car".to_owned()));
        assert_eq!(marks[2], Lookup::AlternativeName("urn:0".to_owned()));
        assert_eq!(marks.last(), Some(&Lookup::CommonName("car".to_owned())));
        assert_eq!(marks.len(), 3 + MOST_NAMES, "bounded");

        let by_name = Lookup::CommonName("car".to_owned());
        let record = Record {
            principal: Principal::Device { id: "car".into(), owner: None },
            groups: Arc::default(),
            owned: Arc::default(),
            status: Status::Active,
            credentials: vec![
                of(by_name.clone(), true, None),
                of(by_name, false, Some(10)),
                of(Lookup::Fingerprint([7; 32]), true, None),
            ],
        };
        let at = |micros| credential(&record, &marks, Timestamp::from_micros(micros)).unwrap();
        assert!(at(5).revoked, "the certificate itself was revoked, whatever its names say");
        let names = &marks[1..];
        let found = |micros| credential(&record, names, Timestamp::from_micros(micros)).unwrap();
        assert_eq!(fault(found(5), Timestamp::from_micros(5)), None);
        assert_eq!(fault(found(11), Timestamp::from_micros(11)), Some("is revoked"));
    }

    #[test]
    fn certificates_that_a_proxy_tells_of_are_told_apart() {
        let claim = |subject: &str, name: &str| CertificateClaim {
            subject: subject.to_owned(),
            alternative_names: vec![name.to_owned()],
            ..CertificateClaim::default()
        };
        let question = |subject, name| Question::certificate(&claim(subject, name));
        assert_eq!(question("CN=a", "b"), question("CN=a", "b"));
        assert_ne!(question("CN=a", "b"), question("CN=ab", ""));
        assert_ne!(question("CN=a", "b"), question("CN=a", "c"));
    }
}
