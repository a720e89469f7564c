#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
//! With certificates, lists and answers that OpenSSL made (`openssl ca`, `openssl ca -gencrl`, `openssl ocsp`).

use super::*;
use crate::{Above, FetchRequest, Fetched};
use bytes::Bytes;
use ocsp::{CertificateId, Status};
use sha2::{Digest, Sha256};
use std::sync::Mutex;
use std::time::Duration;
use x509_parser::prelude::{FromDer, X509Certificate};

const CA: &[u8] = include_bytes!("testdata/ca.der");
const GOOD: &[u8] = include_bytes!("testdata/good.der");
const REVOKED: &[u8] = include_bytes!("testdata/revoked.der");
const UNKNOWN: &[u8] = include_bytes!("testdata/unknown.der");
const CRL: &[u8] = include_bytes!("testdata/maker.crl");
const GOOD_ANSWER: &[u8] = include_bytes!("testdata/good.ocsp");
const REVOKED_ANSWER: &[u8] = include_bytes!("testdata/revoked.ocsp");
const UNKNOWN_ANSWER: &[u8] = include_bytes!("testdata/unknown.ocsp");
const DELEGATED_ANSWER: &[u8] = include_bytes!("testdata/delegated.ocsp");
/// Signed by the key of a device of the same authority.
const FORGED_ANSWER: &[u8] = include_bytes!("testdata/forged.ocsp");

/// 2026-11-22.
fn now() -> Timestamp {
    Timestamp::from_micros(1_795_305_600_000_000)
}

fn claim(der: &[u8]) -> CertificateClaim {
    let (_, parsed) = X509Certificate::from_der(der).unwrap();
    let issuer = Above::new(Bytes::from_static(CA));
    CertificateClaim {
        subject: parsed.subject().to_string(),
        fingerprint: Some(Sha256::digest(der).into()),
        issued: Some((
            Bytes::copy_from_slice(parsed.issuer().as_raw()),
            Bytes::copy_from_slice(parsed.raw_serial()),
        )),
        issuers: vec![issuer.digest],
        chain: vec![issuer.der],
        responder: Some("http://ocsp.example/".to_owned()),
        ..CertificateClaim::default()
    }
}

fn lists(files: &[&[u8]]) -> RevocationLists {
    let files: Vec<_> = files.iter().map(|file| ("maker.crl".to_owned(), file.to_vec())).collect();
    RevocationLists::read(&files, &[CA.to_vec()], now()).unwrap()
}

/// A responder that always says the same, and counts.
struct Says(Mutex<Vec<Result<Fetched, String>>>, Mutex<Vec<FetchRequest>>);

impl Says {
    fn answers(answers: &[Result<&[u8], &str>]) -> Arc<Self> {
        let fetched =
            |body: &&[u8]| Fetched { status: 200, max_age: None, body: Bytes::copy_from_slice(body) };
        let answers =
            answers.iter().rev().map(|answer| answer.as_ref().map(fetched).map_err(|why| (*why).to_owned()));
        Arc::new(Self(Mutex::new(answers.collect()), Mutex::default()))
    }

    fn asked(&self) -> usize {
        self.1.lock().unwrap().len()
    }
}

impl Fetch for Says {
    fn fetch(&self, request: FetchRequest) -> Pending<Result<Fetched, String>> {
        self.1.lock().unwrap().push(request);
        let answer = self.0.lock().unwrap().pop().unwrap();
        Box::pin(async move {
            tokio::task::yield_now().await;
            answer
        })
    }
}

fn revocations(check: OcspCheck, crl: &[&[u8]], says: &Arc<Says>) -> Revocations {
    Revocations::new(check, lists(crl), Arc::clone(says) as Arc<dyn Fetch>, 100)
}

fn cause(result: Result<(), Refusal>) -> RefusalCause {
    result.unwrap_err().cause
}

#[test]
fn a_list_names_who_was_revoked_and_nobody_else() {
    let silent = Says::answers(&[]);
    let revocations = revocations(OcspCheck::Off, &[CRL], &silent);
    assert_eq!(revocations.check_at_once(&claim(GOOD), now()), Some(Ok(())));
    let refusal = revocations.check_at_once(&claim(REVOKED), now()).unwrap().unwrap_err();
    assert_eq!(refusal.cause, RefusalCause::Revoked);
    assert!(refusal.detail.contains("CN=revoked"), "{}", refusal.detail);
    // A proxy that hands on the certificate alone says who its issuer is by name only.
    let bare = CertificateClaim { issuers: Vec::new(), chain: Vec::new(), ..claim(REVOKED) };
    assert_eq!(cause(revocations.check_at_once(&bare, now()).unwrap()), RefusalCause::Revoked);
}

#[test]
fn a_list_may_be_pem_and_has_to_be_an_authoritys() {
    let pem = "-----BEGIN X509 CRL-----\n".to_owned() + &base64(CRL) + "\n-----END X509 CRL-----\n";
    assert!(lists(&[pem.as_bytes()]).refusal(&claim(REVOKED)).is_some());
    let read = |crl: &[u8], authorities: &[Vec<u8>]| {
        RevocationLists::read(&[("maker.crl".to_owned(), crl.to_vec())], authorities, now()).unwrap_err()
    };
    let mut forged = CRL.to_vec();
    *forged.last_mut().unwrap() ^= 1;
    assert!(read(&forged, &[CA.to_vec()])[0].contains("is not signed by CN=Maker"));
    assert!(read(CRL, &[])[0].contains("no authority of any `client_ca`"));
    assert!(read(b"nonsense", &[CA.to_vec()])[0].contains("maker.crl: holds no list"));
    assert!(read(&CRL[..100], &[CA.to_vec()])[0].contains("maker.crl: is no list"));
}

fn base64(bytes: &[u8]) -> String {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[test]
fn a_newer_list_ends_who_was_let_in() {
    let silent = Says::answers(&[]);
    let revocations = revocations(OcspCheck::Off, &[CRL], &silent);
    let (good, unknown) = (claim(GOOD), claim(UNKNOWN));
    for claim in [&good, &unknown] {
        assert_eq!(revocations.check_at_once(claim, now()), Some(Ok(())));
    }
    assert_eq!(revocations.replace(OcspCheck::Off, lists(&[CRL])), []);
    let mut newer = lists(&[CRL]);
    newer.revoke(&unknown);
    let changes = revocations.replace(OcspCheck::Off, newer);
    let subject = Subject::Certificate(unknown.fingerprint.unwrap());
    assert_eq!(changes, [IdentityChange { subject, standing: Standing::Ended }]);
    assert_eq!(cause(revocations.check_at_once(&unknown, now()).unwrap()), RefusalCause::Revoked);
    assert_eq!(revocations.check_at_once(&good, now()), Some(Ok(())));
}

#[test]
fn a_revoked_authority_takes_with_it_what_it_signed() {
    // The authority stands for an intermediate one here: the list names it as if it were its own.
    let mut lists = lists(&[CRL]);
    let above = CertificateClaim {
        issuers: vec![[1; 32], claim(GOOD).issuers[0]],
        chain: vec![Bytes::from_static(REVOKED), Bytes::from_static(CA)],
        ..claim(GOOD)
    };
    let refusal = lists.refusal(&above).unwrap();
    assert!(refusal.detail.contains("an authority above"), "{}", refusal.detail);
    lists = RevocationLists::default();
    assert!(lists.refusal(&above).is_none());
}

#[test]
fn questions_are_as_openssl_asks_them() {
    let (_, ca) = X509Certificate::from_der(CA).unwrap();
    let (_, good) = X509Certificate::from_der(GOOD).unwrap();
    let request = CertificateId::new(&ca, good.raw_serial()).request();
    assert_eq!(request, include_bytes!("testdata/good.req"));
}

#[test]
fn answers_are_read_and_believed_only_from_the_authority_and_its_responder() {
    let (_, ca) = X509Certificate::from_der(CA).unwrap();
    let read = |der: &[u8], certificate: &[u8], now| {
        let (_, parsed) = X509Certificate::from_der(certificate).unwrap();
        ocsp::read(der, &CertificateId::new(&ca, parsed.raw_serial()), &ca, now)
    };
    for (answer, certificate, status) in [
        (GOOD_ANSWER, GOOD, Status::Good),
        (REVOKED_ANSWER, REVOKED, Status::Revoked),
        (UNKNOWN_ANSWER, UNKNOWN, Status::Unknown),
        (DELEGATED_ANSWER, GOOD, Status::Good),
    ] {
        let response = read(answer, certificate, now()).unwrap();
        assert_eq!(response.status, status);
        assert!(response.next_update.unwrap() > now());
    }
    assert!(read(FORGED_ANSWER, GOOD, now()).unwrap_err().contains("signature"));
    assert!(read(GOOD_ANSWER, REVOKED, now()).unwrap_err().contains("other certificates"));
    let day = Duration::from_secs(24 * 3600);
    assert!(read(GOOD_ANSWER, GOOD, now() + 6_000 * day).unwrap_err().contains("out of date"));
    assert!(read(GOOD_ANSWER, GOOD, Timestamp::from_micros(0)).unwrap_err().contains("future"));
    // "Try later" (RFC 6960 §2.3), and nothing that can be read.
    assert!(read(&[0x30, 3, 10, 1, 3], GOOD, now()).unwrap_err().contains("busy"));
    assert!(read(b"<html>", GOOD, now()).is_err());
    for end in 0..DELEGATED_ANSWER.len() {
        assert!(read(&DELEGATED_ANSWER[..end], GOOD, now()).is_err(), "{end} bytes of it");
    }
    for place in 0..GOOD_ANSWER.len() {
        let mut changed = GOOD_ANSWER.to_vec();
        changed[place] ^= 0x55;
        // The signature covers what counts; nothing that is changed may panic.
        let _ = read(&changed, GOOD, now());
    }
}

#[tokio::test]
async fn a_responder_is_asked_once_and_its_answer_holds() {
    let says = Says::answers(&[Ok(GOOD_ANSWER), Ok(REVOKED_ANSWER)]);
    let revocations = revocations(OcspCheck::Hard, &[], &says);
    let (good, revoked) = (Arc::new(claim(GOOD)), Arc::new(claim(REVOKED)));
    assert_eq!(revocations.check_at_once(&good, now()), None);
    // Two connections of one device make one question.
    let both = [revocations.check(Arc::clone(&good), now()), revocations.check(Arc::clone(&good), now())];
    for check in both {
        assert_eq!(check.await, Ok(()));
    }
    assert_eq!((says.asked(), revocations.check_at_once(&good, now())), (1, Some(Ok(()))));
    assert_eq!(cause(revocations.check(Arc::clone(&revoked), now()).await), RefusalCause::Revoked);
    assert_eq!(cause(revocations.check_at_once(&revoked, now()).unwrap()), RefusalCause::Revoked);
    assert_eq!(says.asked(), 2);
    // A day later it is asked again.
    assert_eq!(revocations.check_at_once(&good, now() + Duration::from_secs(24 * 3600)), None);
}

#[tokio::test]
async fn who_cannot_be_asked_counts_or_not_as_the_document_says() {
    for (check, expected) in [(OcspCheck::Soft, None), (OcspCheck::Hard, Some(RefusalCause::Unavailable))] {
        let says = Says::answers(&[Err("connection refused"), Ok(GOOD_ANSWER)]);
        let revocations = revocations(check, &[], &says);
        let good = Arc::new(claim(GOOD));
        assert_eq!(
            revocations.check(Arc::clone(&good), now()).await.err().map(|refusal| refusal.cause),
            expected
        );
        // It is not asked again for each connection...
        let known = revocations.check_at_once(&good, now()).unwrap();
        assert_eq!((known.err().map(|refusal| refusal.cause), says.asked()), (expected, 1));
        // ...but soon.
        assert_eq!(revocations.check(good, now() + Duration::from_secs(11)).await, Ok(()));
    }
}

#[test]
fn who_names_no_responder_is_not_asked_about() {
    let silent = Says::answers(&[]);
    let revocations = revocations(OcspCheck::Hard, &[], &silent);
    let bare = CertificateClaim { responder: None, ..claim(GOOD) };
    assert_eq!(revocations.check_at_once(&bare, now()), Some(Ok(())));
}
