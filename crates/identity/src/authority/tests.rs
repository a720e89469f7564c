#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use crate::*;
use proptest::prelude::*;
use rcgen::{CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, SanType};
use std::sync::Mutex;
use windrose_event::{EnrolCause, Principal, Proof, Timestamp};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

/// A registry that holds what it is given, and keeps what is done to it.
#[derive(Default)]
struct Memory {
    record: Option<Arc<Record>>,
    revoked: Mutex<Vec<RevokedCertificate>>,
    change: Mutex<u64>,
    issued: Mutex<Vec<Act>>,
}

fn ready<T: Send + 'static>(value: T) -> Asked<T> {
    Box::pin(std::future::ready(Ok(value)))
}

impl Records for Memory {
    fn find(&self, _: Vec<Lookup>) -> Asked<Vec<Found>> {
        ready(Vec::new())
    }
    fn record(&self, _: Subject) -> Asked<Option<Arc<Record>>> {
        ready(self.record.clone())
    }
    fn changes(&self, _: u64) -> Asked<Changes> {
        ready(Changes::Listed(Vec::new()))
    }
    fn newest_change(&self) -> Asked<u64> {
        ready(*self.change.lock().unwrap())
    }
    fn act(&self, act: Act, _: &str) -> Asked<()> {
        self.issued.lock().unwrap().push(act);
        ready(())
    }
}

impl Directory for Memory {
    fn details(&self, _: Subject) -> Asked<Option<Details>> {
        ready(None)
    }
    fn list(&self, _: Listing) -> Asked<Vec<Summary>> {
        ready(Vec::new())
    }
    fn history(&self, _: &str, _: Option<u64>, _: usize) -> Asked<Vec<Ownership>> {
        ready(Vec::new())
    }
    fn counts(&self) -> Asked<Counts> {
        ready(Counts::default())
    }
    fn credential(&self, _: &str) -> Asked<Option<(Subject, CredentialDetails)>> {
        ready(None)
    }
    fn revoked_certificates(&self, _: [u8; 32]) -> Asked<Vec<RevokedCertificate>> {
        ready(self.revoked.lock().unwrap().clone())
    }
}

fn authority(memory: &Arc<Memory>) -> Authority {
    let (root, root_files) = Root::create("test").unwrap();
    let (_, files) = root.issuing("test issuing 1").unwrap();
    let policy = windrose_policy::Authority {
        certificate: "ca.pem".into(),
        key: "ca.key".into(),
        validity: Duration::from_secs(3600),
        url: Some("http://ca.example:8080/".into()),
    };
    let chain = files.certificate + &root_files.certificate;
    Authority::new(&policy, chain.as_bytes(), files.key.reveal(), Some(Arc::clone(memory) as _)).unwrap()
}

fn registered() -> Arc<Memory> {
    let record = Record {
        principal: device(),
        groups: Arc::default(),
        owned: Arc::default(),
        status: Status::Active,
        credentials: Vec::new(),
    };
    Arc::new(Memory { record: Some(Arc::new(record)), ..Memory::default() })
}

fn device() -> Principal {
    Principal::Device { id: "car-7".into(), owner: None }
}

fn by(proof: Proof) -> Identity {
    Identity { principal: device(), proof: Some(Arc::new(proof)), ..Identity::anonymous() }
}

fn by_code() -> Identity {
    by(Proof { credential: Some("12".into()), enrols_only: true, ..Proof::default() })
}

fn request(change: impl FnOnce(&mut CertificateParams)) -> Bytes {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "car-7");
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    Bytes::copy_from_slice(params.serialize_request(&key).unwrap().der())
}

async fn enrol(
    authority: &Authority,
    by: &Identity,
    request: Bytes,
    renew: bool,
) -> Result<Bytes, EnrolRefusal> {
    match authority.enrol(by, EnrolRequest::Certificate { request, renew }).await? {
        Enrolled::Certificate(der) => Ok(der),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_device_gets_a_certificate_that_says_who_it_is_and_nothing_else() {
    let memory = registered();
    let authority = authority(&memory);
    let asked = request(|params| {
        params.distinguished_name.push(DnType::OrganizationName, "Mallory");
        params.subject_alt_names = vec![SanType::DnsName("car-7".try_into().unwrap())];
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    });
    let der = enrol(&authority, &by_code(), asked, false).await.unwrap();
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    assert_eq!(certificate.subject().to_string(), "CN=car-7");
    let usage = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth);
    assert!(!certificate.is_ca());
    let names = &certificate.subject_alternative_name().unwrap().unwrap().value.general_names;
    assert_eq!(names.len(), 1);
    assert!(certificate.validity().time_to_expiration().unwrap().whole_seconds() <= 3600);
    let (_, issuer) = X509Certificate::from_der(&authority.0.certificates[0]).unwrap();
    certificate.verify_signature(Some(issuer.public_key())).unwrap();
    let text = format!("{:?}", certificate.extensions());
    assert!(
        text.contains("http://ca.example:8080/ca/ocsp") && text.contains("http://ca.example:8080/ca/crl/")
    );
    let issued = memory.issued.lock().unwrap();
    let Act::Issue { device, adopt: false, code: Some(code), certificate: issued } = &issued[0] else {
        panic!("{issued:?}")
    };
    assert_eq!((&**device, &**code), ("car-7", "12"));
    assert_eq!(issued.fingerprint[..], <sha2::Sha256 as sha2::Digest>::digest(&der)[..]);
    assert_eq!(issued.serial, certificate.raw_serial());
}

#[tokio::test]
async fn a_request_for_somebody_else_or_for_more_is_refused() {
    let authority = authority(&registered());
    let foreign = request(|params| {
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "car-8");
    });
    assert_eq!(
        enrol(&authority, &by_code(), foreign, false).await.unwrap_err().cause,
        EnrolCause::NotAllowed
    );
    let name =
        request(|params| params.subject_alt_names = vec![SanType::DnsName("car-8".try_into().unwrap())]);
    assert_eq!(enrol(&authority, &by_code(), name, false).await.unwrap_err().cause, EnrolCause::NotAllowed);
    let address =
        request(|params| params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())]);
    assert_eq!(
        enrol(&authority, &by_code(), address, false).await.unwrap_err().cause,
        EnrolCause::NotAllowed
    );
    let signs = request(|params| params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained));
    assert_eq!(enrol(&authority, &by_code(), signs, false).await.unwrap_err().cause, EnrolCause::BadRequest);
    let nobody = request(|params| params.distinguished_name = DistinguishedName::new());
    assert!(enrol(&authority, &by_code(), nobody, false).await.is_ok(), "the authority says who it is");
}

#[tokio::test]
async fn a_request_whose_key_is_not_its_senders_is_refused() {
    let authority = authority(&registered());
    let honest = request(|_| {}).to_vec();
    let (_, read) = X509CertificationRequest::from_der(&honest).unwrap();
    let key = read.certification_request_info.subject_pki.raw;
    for place in 0..honest.len() {
        let mut forged = honest.clone();
        forged[place] ^= 1;
        // A byte outside of what is signed may be read as the same.
        let Ok(der) = enrol(&authority, &by_code(), forged.into(), false).await else { continue };
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        assert_eq!(certificate.public_key().raw, key, "byte {place}");
    }
    let mut longer = honest.clone();
    longer.push(0);
    assert_eq!(
        enrol(&authority, &by_code(), longer.into(), false).await.unwrap_err().cause,
        EnrolCause::BadRequest
    );
}

#[tokio::test]
async fn renewing_takes_a_certificate_of_ones_own() {
    let memory = registered();
    let authority = authority(&memory);
    let own = by(Proof { fingerprint: Some([7; 32]), ..Proof::default() });
    assert!(enrol(&authority, &own, request(|_| {}), true).await.is_ok());
    for not in [
        by_code(),
        by(Proof::default()),
        by(Proof { fingerprint: Some([7; 32]), enrols_only: true, ..Proof::default() }),
    ] {
        assert_eq!(
            enrol(&authority, &not, request(|_| {}), true).await.unwrap_err().cause,
            EnrolCause::NotAllowed
        );
    }
    let owner =
        Identity { principal: Principal::Owner { id: "household-7".into() }, ..Identity::anonymous() };
    assert_eq!(
        enrol(&authority, &owner, request(|_| {}), false).await.unwrap_err().cause,
        EnrolCause::NotAllowed
    );
}

#[tokio::test]
async fn a_manufacturers_certificate_brings_a_device_into_the_registry_and_nothing_else_does() {
    let memory = Arc::new(Memory::default());
    let authority = authority(&memory);
    let maker = by(Proof { fingerprint: Some([7; 32]), enrols_only: true, ..Proof::default() });
    assert!(enrol(&authority, &maker, request(|_| {}), false).await.is_ok());
    assert!(matches!(memory.issued.lock().unwrap()[0], Act::Issue { adopt: true, code: None, .. }));
    let unknown = by(Proof::default());
    assert_eq!(
        enrol(&authority, &unknown, request(|_| {}), false).await.unwrap_err().cause,
        EnrolCause::NotAllowed
    );
}

#[tokio::test]
async fn whoever_is_revoked_gets_none() {
    let record = Arc::try_unwrap(registered()).ok().unwrap().record.unwrap();
    let revoked = Record { status: Status::Revoked, ..Record::clone(&record) };
    let memory = Arc::new(Memory { record: Some(Arc::new(revoked)), ..Memory::default() });
    let refused = enrol(&authority(&memory), &by_code(), request(|_| {}), false).await.unwrap_err();
    assert_eq!(refused.cause, EnrolCause::NotAllowed);
    assert!(!refused.reason.contains("revoked"), "that is for the log: {refused:?}");
}

#[tokio::test]
async fn lists_say_what_is_revoked_now() {
    let memory = registered();
    let authority = authority(&memory);
    let list = authority.revocations("").await.unwrap();
    let (_, parsed) = CertificateRevocationList::from_der(&list).unwrap();
    let (_, issuer) = X509Certificate::from_der(&authority.0.certificates[0]).unwrap();
    parsed.verify_signature(issuer.public_key()).unwrap();
    assert_eq!(parsed.iter_revoked_certificates().count(), 0);
    revoke(&memory, vec![0, 0x80, 1]);
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    let short = authority.0.signers[0].short_name();
    let list = authority.revocations(&short).await.unwrap();
    let (_, parsed) = CertificateRevocationList::from_der(&list).unwrap();
    assert_eq!(parsed.iter_revoked_certificates().next().unwrap().raw_serial(), [0, 0x80, 1]);
    assert_eq!(authority.revocations("0011223344556677").await, None);
}

fn revoke(memory: &Memory, serial: Vec<u8>) {
    let at = Timestamp::from_micros(1_700_000_000_000_000);
    let not_after = Timestamp::from_micros(u64::MAX);
    memory.revoked.lock().unwrap().push(RevokedCertificate {
        serial,
        at,
        reason: None,
        not_after,
        hold: false,
    });
    *memory.change.lock().unwrap() += 1;
}

#[tokio::test]
async fn files_that_do_not_belong_together_are_refused() {
    let (root, root_files) = Root::create("test").unwrap();
    let (_, one) = root.issuing("test issuing 1").unwrap();
    let (_, other) = root.issuing("test issuing 2").unwrap();
    let read = |certificates: &str, keys: &[u8]| signer::read(certificates.as_bytes(), keys).err();
    assert_eq!(read(&one.certificate, one.key.reveal()), None);
    let both = one.certificate.clone() + &root_files.certificate + &other.certificate;
    let keys = [other.key.reveal(), one.key.reveal()].concat();
    assert_eq!(read(&both, &keys), None);
    for (certificates, keys, what) in [
        (&*one.certificate, other.key.reveal(), "first certificate"),
        (&*one.certificate, &b"nothing"[..], "no private key"),
        (&*both, other.key.reveal(), "first certificate"),
        ("", one.key.reveal(), "no certificate"),
    ] {
        let problem = read(certificates, keys).unwrap();
        assert!(problem.contains(what), "{problem}");
    }
    assert_eq!(next_issuing("test", both.as_bytes()), 3);
    assert_eq!(next_issuing("other", both.as_bytes()), 1);
}

proptest! {
    #[test]
    fn no_bytes_break_the_readers(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = ocsp::Question::read(&bytes);
        let _ = super::request::read(&bytes, "car-7");
    }

    #[test]
    fn no_changed_byte_breaks_the_readers(place in 0usize..200, value in any::<u8>()) {
        // openssl ocsp -issuer x.pem -serial 7, with a nonce.
        let mut question = QUESTION.to_vec();
        let place = place % question.len();
        question[place] = value;
        let _ = ocsp::Question::read(&question);
    }
}

const QUESTION: &[u8] = &[
    0x30, 0x67, 0x30, 0x65, 0x30, 0x3e, 0x30, 0x3c, 0x30, 0x3a, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03,
    0x02, 0x1a, 0x05, 0x00, 0x04, 0x14, 0x42, 0x4e, 0xf3, 0x36, 0x6d, 0x8b, 0x17, 0xe4, 0xf9, 0x86, 0x5e,
    0xa7, 0x84, 0x9f, 0xe1, 0x02, 0xba, 0xd1, 0xa8, 0x2e, 0x04, 0x14, 0x05, 0x63, 0x94, 0xb9, 0x68, 0x07,
    0xf2, 0x30, 0x5e, 0xc6, 0x25, 0x12, 0x41, 0x5a, 0xa9, 0x91, 0x13, 0xf4, 0x98, 0x86, 0x02, 0x01, 0x07,
    0xa2, 0x23, 0x30, 0x21, 0x30, 0x1f, 0x06, 0x09, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x02,
    0x04, 0x12, 0x04, 0x10, 0xe5, 0x61, 0x65, 0xe9, 0xaf, 0xb1, 0x28, 0x2b, 0x5f, 0x96, 0xf8, 0x37, 0x10,
    0xcc, 0x4d, 0x2d,
];

#[test]
fn a_question_as_openssl_writes_it_is_read() {
    assert!(ocsp::Question::read(QUESTION).is_ok());
}
