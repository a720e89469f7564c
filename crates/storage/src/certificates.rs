//! Which device a verified certificate belongs to.

use std::collections::HashMap;
use windrose_event::CertificateClaim;

/// What a device's certificate is recognised by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mark {
    /// SHA-256 of the certificate's DER.
    Fingerprint([u8; 32]),
    /// The subject, as RFC 4514 text.
    Subject(String),
    /// A subject alternative name: a DNS name, URI or e-mail address.
    AlternativeName(String),
    /// The subject's common name.
    CommonName(String),
}

impl Mark {
    /// A mark for a subject; how it is spaced makes no difference.
    pub(crate) fn subject(text: &str) -> Self {
        Self::Subject(normal(text))
    }
}

/// Devices, as indexes, by their certificates' marks.
#[derive(Debug, Default)]
pub(crate) struct Certificates(HashMap<Mark, usize>);

impl Certificates {
    /// Adds a device's mark. `false` if it is another device's.
    pub(crate) fn add(&mut self, mark: Mark, device: usize) -> bool {
        *self.0.entry(mark).or_insert(device) == device
    }

    /// The device that the certificate belongs to, by its most particular mark.
    pub(crate) fn find(&self, claim: &CertificateClaim) -> Option<usize> {
        let names = claim.alternative_names.iter().map(|name| Mark::AlternativeName(name.clone()));
        let fingerprint = claim.fingerprint.map(Mark::Fingerprint);
        fingerprint
            .into_iter()
            .chain([Mark::subject(&claim.subject)])
            .chain(names)
            .chain(claim.common_name.iter().map(|name| Mark::CommonName(name.clone())))
            .find_map(|mark| self.0.get(&mark).copied())
    }
}

/// A distinguished name without the spaces that RFC 4514 writers differ in, its attribute types in capitals.
fn normal(subject: &str) -> String {
    let mut normal = String::with_capacity(subject.len());
    for (index, part) in split(subject).into_iter().enumerate() {
        if index > 0 {
            normal.push(',');
        }
        match part.split_once('=') {
            Some((kind, value)) => {
                normal.push_str(&kind.trim().to_uppercase());
                normal.push('=');
                normal.push_str(value.trim());
            }
            None => normal.push_str(part.trim()),
        }
    }
    normal
}

/// Splits at commas that are not escaped.
fn split(subject: &str) -> Vec<&str> {
    let (mut parts, mut begin, mut escaped) = (Vec::new(), 0, false);
    for (at, character) in subject.char_indices() {
        if character == ',' && !escaped {
            parts.push(subject.get(begin..at).unwrap_or_default());
            begin = at + 1;
        }
        escaped = character == '\\' && !escaped;
    }
    parts.push(subject.get(begin..).unwrap_or_default());
    parts
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn subjects_are_compared_without_their_spacing() {
        assert_eq!(Mark::subject("cn=car-7, O = Cars"), Mark::subject("CN=car-7,O=Cars"));
        assert_ne!(Mark::subject("CN=a\\,O=b"), Mark::subject("CN=a,O=b"), "an escaped comma is of the name");
        assert_ne!(Mark::subject("CN=Car-7"), Mark::subject("CN=car-7"));
    }

    #[test]
    fn the_most_particular_mark_decides() {
        let mut certificates = Certificates::default();
        assert!(certificates.add(Mark::CommonName("car".to_owned()), 0));
        assert!(certificates.add(Mark::AlternativeName("urn:car".to_owned()), 1));
        assert!(certificates.add(Mark::Fingerprint([7; 32]), 2));
        assert!(!certificates.add(Mark::CommonName("car".to_owned()), 1), "it is taken");
        let claim = |fingerprint, names: &[&str]| CertificateClaim {
            subject: "CN=car".to_owned(),
            common_name: Some("car".to_owned()),
            alternative_names: names.iter().map(|name| (*name).to_owned()).collect(),
            fingerprint: Some([fingerprint; 32]),
            ..CertificateClaim::default()
        };
        assert_eq!(certificates.find(&claim(7, &["urn:car"])), Some(2));
        assert_eq!(certificates.find(&claim(8, &["urn:other", "urn:car"])), Some(1));
        assert_eq!(certificates.find(&claim(8, &[])), Some(0));
    }
}
