#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::{Issuers, Vouched};
use std::time::Duration;
use windrose_event::Refusal;
use windrose_policy::{IdentityPolicy, KeySource, TokenIssuer};

const DAY: u64 = 24 * 3_600;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros((1_800_000_000 + seconds) * 1_000_000)
}

/// What is kept, over the node's lives and days.
#[derive(Default)]
struct Disk(Option<Vec<u8>>);

impl Disk {
    fn signer(&mut self, now: Timestamp) -> TokenSigner {
        let (keys, kept) = TokenSigner::prepare(self.0.as_deref(), now).unwrap();
        if let Some(kept) = kept {
            self.0 = Some(kept);
        }
        let signer = TokenSigner::new("edge-1");
        signer.replace(Some(keys));
        signer
    }
}

fn token() -> IdentityToken {
    IdentityToken {
        audience: "api".into(),
        lifetime: Duration::from_secs(60),
        header: "windrose-identity".into(),
    }
}

fn car() -> Identity {
    let principal = Principal::Device { id: "car-7".into(), owner: Some("alice".into()) };
    Identity { principal, groups: ["cars".into()].into(), ..Identity::anonymous() }
}

/// What a service makes of a token that has these keys.
fn verified(keys: &Bytes, token: &str, now: Timestamp) -> Result<Arc<Vouched>, Refusal> {
    let policy = IdentityPolicy {
        tokens: vec![TokenIssuer {
            name: "node".into(),
            issuer: Some("windrose://edge-1".into()),
            audience: vec!["api".into()],
            keys: KeySource::File("keys".into()),
            algorithms: vec!["ES256".into()],
            device: Some("device".into()),
            owner: Some("owner".into()),
            service: Some("service".into()),
            groups: Some("groups".into()),
            registered: false,
            leeway: Duration::ZERO,
            ca: None,
        }],
        ..IdentityPolicy::default()
    };
    let issuers = Issuers::open(&policy, &|_| Err(String::new()), &|_| Ok(keys.to_vec()), None).unwrap();
    issuers.verify_at_once(token.as_bytes(), now).unwrap()
}

#[test]
fn a_service_learns_who_it_was_and_whose() {
    let signer = Disk::default().signer(at(0));
    let keys = signer.public_keys().unwrap();
    assert!(!String::from_utf8_lossy(&keys).contains(r#""d":"#), "no private key is told");
    let signed = signer.sign(&car(), &token(), at(5)).unwrap();
    let vouched = verified(&keys, &signed, at(64)).unwrap();
    assert_eq!(vouched.principal, car().principal);
    assert_eq!(vouched.groups, car().groups);
    let claim = |name: &str| {
        vouched.proof.claims.iter().find(|(its, _)| &**its == name).map(|(_, value)| value.to_string())
    };
    assert_eq!(claim("sub").as_deref(), Some("device:car-7"));
    assert!(verified(&keys, &signed, at(65)).is_err(), "after a minute");
    let owner = Identity { principal: Principal::Owner { id: "alice".into() }, ..Identity::anonymous() };
    let signed = signer.sign(&owner, &token(), at(5)).unwrap();
    assert_eq!(verified(&keys, &signed, at(6)).unwrap().principal, owner.principal);
    let service =
        Identity { principal: Principal::Service { name: "billing".into() }, ..Identity::anonymous() };
    let signed = signer.sign(&service, &token(), at(5)).unwrap();
    assert_eq!(verified(&keys, &signed, at(6)).unwrap().principal, service.principal);
    assert!(signer.sign(&Identity::anonymous(), &token(), at(5)).is_none());
}

#[test]
fn no_two_tokens_are_the_same() {
    let signer = Disk::default().signer(at(0));
    assert_ne!(signer.sign(&car(), &token(), at(5)), signer.sign(&car(), &token(), at(5)));
}

#[test]
fn without_keys_it_signs_nothing() {
    let signer = TokenSigner::new("edge-1");
    assert!(signer.sign(&car(), &token(), at(0)).is_none() && signer.public_keys().is_none());
}

#[test]
fn keys_outlive_the_node() {
    let mut disk = Disk::default();
    let before = disk.signer(at(0));
    let signed = before.sign(&car(), &token(), at(0)).unwrap();
    let after = disk.signer(at(30));
    assert_eq!(before.public_keys(), after.public_keys());
    assert!(verified(&after.public_keys().unwrap(), &signed, at(30)).is_ok());
}

#[test]
fn keys_are_told_before_they_sign_and_after() {
    let mut disk = Disk::default();
    let mut seen_by_a_service = disk.signer(at(0)).public_keys().unwrap();
    let mut counts = std::collections::BTreeSet::new();
    let mut firsts = std::collections::BTreeSet::new();
    for hour in (0..200 * 24).step_by(6) {
        let now = at(hour * 3_600);
        let signer = disk.signer(now);
        let keys = signer.public_keys().unwrap();
        let signed = signer.sign(&car(), &token(), now).unwrap();
        firsts.insert(signed.split('.').next().unwrap().to_owned());
        // A service that asks for keys once a day knows them all the same.
        assert!(verified(&seen_by_a_service, &signed, now).is_ok(), "hour {hour}");
        if (hour * 3_600).is_multiple_of(DAY) {
            seen_by_a_service = keys.clone();
        }
        let keys: Value = serde_json::from_slice(&keys).unwrap();
        counts.insert(keys["keys"].as_array().unwrap().len());
    }
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), [1, 2], "old keys are forgotten");
    assert_eq!(firsts.len(), 7, "a key signs for a month");
}

#[test]
fn a_file_that_is_none_is_told_and_nothing_of_it() {
    for bad in [
        "",
        "{}",
        "[1]",
        r#"{"keys":[{"kty":"EC","crv":"P-256","d":"c2VjcmV0","x":"AA","y":"AA","iat":1}]}"#,
        r#"{"keys":[{"d":"c2VjcmV0"}]}"#,
    ] {
        let problem = TokenSigner::prepare(Some(bad.as_bytes()), at(0)).err().unwrap();
        assert!(!problem.contains("c2Vj"), "{problem}");
    }
}
