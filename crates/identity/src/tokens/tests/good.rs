//! Tokens that are good.

use super::*;

#[test]
fn every_algorithm_of_the_document_is_verified() {
    for algorithm in
        [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA]
    {
        let key = SigningKey::new("a", algorithm);
        let issuers = from_file(jwks(&[&key]));
        let vouched = verdict(&issuers, &key.sign(&claims())).unwrap();
        assert_eq!(vouched.identity().to_string(), "device:car-7", "{algorithm:?}");
        let other = SigningKey::new("a", algorithm);
        assert!(refused(&issuers, &other.sign(&claims())).contains("no key of the issuer"), "{algorithm:?}");
    }
}

#[test]
fn keys_may_be_in_pem_and_have_no_names() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let (first, second) = (SigningKey::new("a", algorithm), SigningKey::new("b", Algorithm::EdDSA));
        let pem = format!("{}\n{}", first.pair.public_key_pem(), second.pair.public_key_pem());
        let issuers = from_file(pem.into_bytes());
        assert!(verdict(&issuers, &first.sign(&claims())).is_ok(), "{algorithm:?}");
        assert!(verdict(&issuers, &second.sign(&claims())).is_ok(), "{algorithm:?}");
    }
}

#[test]
fn claims_tell_who_whose_and_what_else() {
    let key = SigningKey::new("a", Algorithm::EdDSA);
    let issuers = from_file(jwks(&[&key]));
    let mut claims = with("realm_access", json!({"roles": ["cars", "a/b", "fleet"]}));
    claims["scope"] = json!("read write");
    claims["level"] = json!(3);
    claims["site"] = json!(["north", "south"]);
    let vouched = verdict(&issuers, &key.sign(&claims)).unwrap();
    assert_eq!(vouched.principal, Principal::Device { id: "car-7".into(), owner: Some("alice".into()) });
    assert_eq!(vouched.groups.iter().map(|group| &**group).collect::<Vec<_>>(), ["cars", "fleet"]);
    assert_eq!(vouched.proof.until, Some(at(NOW + 630)), "its end, and what clocks may differ by");
    let kept: Vec<(&str, &str)> =
        vouched.proof.claims.iter().map(|(name, value)| (&**name, &**value)).collect();
    let expected = [
        ("aud", "other"),
        ("aud", "windrose"),
        ("household", "alice"),
        ("iss", "https://idp.example"),
        ("level", "3"),
        ("scope", "read"),
        ("scope", "write"),
        ("site", "north"),
        ("site", "south"),
        ("sub", "car-7"),
    ];
    assert_eq!(kept, expected);
}

#[test]
fn without_a_device_it_is_an_owner_and_without_both_a_service() {
    let key = SigningKey::new("a", Algorithm::EdDSA);
    let issuers = from_file(jwks(&[&key]));
    let owner = verdict(&issuers, &key.sign(&without("sub"))).unwrap();
    assert_eq!(owner.principal, Principal::Owner { id: "alice".into() });
    let mut claims = without("sub");
    claims.as_object_mut().unwrap().remove("household");
    assert!(refused(&issuers, &key.sign(&claims)).contains("no claim sub, household, azp"));
    claims["azp"] = json!("billing");
    let service = verdict(&issuers, &key.sign(&claims)).unwrap();
    assert_eq!(service.principal, Principal::Service { name: "billing".into() });
}

#[test]
fn a_token_is_remembered_until_it_ends_or_its_key_goes() {
    let key = SigningKey::new("a", Algorithm::ES256);
    let other = SigningKey::new("b", Algorithm::ES256);
    let both = jwks(&[&key, &other]);
    let policy = || policy(KeySource::File("keys.json".into()));
    let issuers = opened(policy(), both, None).unwrap();
    let token = key.sign(&claims());
    let first = verdict(&issuers, &token).unwrap();
    assert!(Arc::ptr_eq(&first, &verdict(&issuers, &token).unwrap()), "the second time costs a hash");
    let late = issuers.verify_at_once(token.as_bytes(), at(NOW + 630)).unwrap();
    assert!(late.unwrap_err().detail.contains("ended 0 s ago"));

    let kept = opened(policy(), jwks(&[&key]), Some(&issuers)).unwrap();
    let again = verdict(&kept, &token).unwrap();
    assert!(Arc::ptr_eq(&again, &verdict(&kept, &token).unwrap()));
    drop(issuers);
    let gone = opened(policy(), jwks(&[&other]), Some(&kept)).unwrap();
    drop(kept);
    assert!(refused(&gone, &token).contains("the key 'a'"), "what a withdrawn key signed counts no more");

    let strict = TokenIssuer { audience: vec!["elsewhere".into()], ..policy() };
    let strict = opened(strict, jwks(&[&key]), Some(&gone)).unwrap();
    assert!(refused(&strict, &token).contains("not for the audience"));
}
