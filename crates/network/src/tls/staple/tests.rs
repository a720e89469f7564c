#![allow(clippy::unwrap_used)]

use super::*;
use bytes::Bytes;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use windrose_event::{EnrolRefusal, EnrolRequest, Enrolled, Identity, NoAuthority, Pending};

const OWN: &[u8] = include_bytes!("../../../../identity/src/revocation/testdata/good.der");
const ISSUER: &[u8] = include_bytes!("../../../../identity/src/revocation/testdata/ca.der");
const WORD: &[u8] = include_bytes!("../../../../identity/src/revocation/testdata/good.ocsp");

/// Always gives the same answer.
struct Says(Option<&'static [u8]>);

impl Enrolment for Says {
    fn enrol(&self, by: &Identity, request: EnrolRequest) -> Pending<Result<Enrolled, EnrolRefusal>> {
        NoAuthority.enrol(by, request)
    }

    fn status(&self, _: Bytes) -> Pending<Option<Bytes>> {
        Box::pin(std::future::ready(self.0.map(Bytes::from_static)))
    }
}

fn stapled(chain: &[&[u8]]) -> Stapled {
    let key = rcgen::KeyPair::generate().unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
    let chain = chain.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
    Stapled::new(Arc::new(CertifiedKey::new(chain, key)))
}

/// 2026-11-22, when the word is a few hours old, and days after.
fn day(days: u64) -> Timestamp {
    Timestamp::from_micros(1_795_305_600_000_000) + Duration::from_secs(days * 24 * 3600)
}

fn renew(certificate: &Stapled, says: Option<&'static [u8]>, now: Timestamp) -> Option<Vec<u8>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(certificate.renew(&Says(says), now));
    certificate.current().ocsp.clone()
}

#[test]
fn a_word_is_shown_renewed_and_not_longer_than_it_is_good() {
    let certificate = stapled(&[OWN, ISSUER]);
    let word = Some(WORD.to_vec());
    assert_eq!(renew(&certificate, None, day(0)), None, "nobody is asked who is not ours");
    assert_eq!(renew(&certificate, Some(b"nonsense"), day(0)), None);
    assert_eq!(renew(&certificate, Some(&[0x30, 3, 10, 1, 6]), day(0)), None, "not responsible");
    assert_eq!(renew(&certificate, Some(WORD), day(0)), word);
    // It is good for 5,000 days: an authority that fails meanwhile changes nothing.
    assert_eq!(renew(&certificate, Some(b"nonsense"), day(4_000)), word);
    assert_eq!(renew(&certificate, None, day(4_999)), word);
    assert_eq!(renew(&certificate, None, day(5_001)), None);
}

#[test]
fn a_chain_that_does_not_hold_its_issuer_is_shown_as_it_is() {
    for chain in [&[OWN][..], &[OWN, OWN]] {
        assert_eq!(renew(&stapled(chain), Some(WORD), day(0)), None);
    }
}
