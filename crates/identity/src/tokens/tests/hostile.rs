//! Tokens that are not.

use super::*;
use proptest::prelude::*;
use std::sync::LazyLock;

fn one() -> (SigningKey, Issuers) {
    let key = SigningKey::new("a", Algorithm::ES256);
    let issuers = from_file(jwks(&[&key]));
    (key, issuers)
}

#[test]
fn what_is_not_signed_by_the_issuer_is_refused() {
    let (key, issuers) = one();
    for alg in ["none", "None", "nOnE", "HS256", "HS512", "dir", "", "ES256K"] {
        for signature in ["", "AAAA"] {
            let header = URL_SAFE_NO_PAD.encode(json!({"alg": alg, "kid": "a"}).to_string());
            let token = format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(claims().to_string()));
            assert!(looks_like_token(token.as_bytes()));
            assert!(refused(&issuers, &token).contains("never taken"), "{alg}");
        }
    }
    // Signed by HMAC with the issuer's public key, as if that were the secret.
    for secret in [key.pair.public_key_pem(), String::from_utf8(jwks(&[&key])).unwrap()] {
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","kid":"a"}"#),
            URL_SAFE_NO_PAD.encode(claims().to_string())
        );
        let mac = EncodingKey::from_secret(secret.as_bytes());
        let signature = crypto::sign(signed.as_bytes(), &mac, Algorithm::HS256).unwrap();
        assert!(refused(&issuers, &format!("{signed}.{signature}")).contains("never taken"));
    }
    let good = key.sign(&claims());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let flipped = signature.replacen(|_: char| true, if signature.starts_with('A') { "B" } else { "A" }, 1);
    assert!(refused(&issuers, &format!("{signed}.{flipped}")).contains("no key of the issuer"));
    assert!(refused(&issuers, &format!("{signed}.")).contains("no key of the issuer"));
    let theirs = key.sign(&with("sub", json!("car-8")));
    let swapped = format!("{}.{}", theirs.rsplit_once('.').unwrap().0, signature);
    assert!(refused(&issuers, &swapped).contains("no key of the issuer"));
}

#[test]
fn an_algorithm_that_the_document_does_not_list_is_refused() {
    let key = SigningKey::new("a", Algorithm::ES256);
    let policy = TokenIssuer { algorithms: vec!["EdDSA".into()], ..policy(KeySource::File("k".into())) };
    let issuers = opened(policy, jwks(&[&key]), None).unwrap();
    assert!(refused(&issuers, &key.sign(&claims())).contains("does not list"));
}

#[test]
fn tokens_of_others_for_others_and_of_other_times_are_refused() {
    let (key, issuers) = one();
    let why = |claims: &Value| refused(&issuers, &key.sign(claims));
    assert!(why(&with("iss", json!("https://evil.example"))).contains("no such issuer"));
    assert!(why(&with("iss", json!(["https://idp.example"]))).contains("no such issuer"));
    assert!(why(&without("iss")).contains("no such issuer"));
    for audience in [json!("other"), json!([]), json!(["Windrose"]), json!({"windrose": 1}), json!(null)] {
        assert!(why(&with("aud", audience)).contains("audience"));
    }
    assert!(why(&without("aud")).contains("audience"));
    assert!(why(&with("exp", json!(NOW - 31))).contains("ended 1 s ago"));
    assert!(verdict(&issuers, &key.sign(&with("exp", json!(NOW - 29)))).is_ok(), "clocks differ a little");
    assert!(why(&without("exp")).contains("no end"));
    for end in [json!("2030-01-01"), json!(-1), json!(1e300), json!(null), json!([1])] {
        assert!(why(&with("exp", end)).contains("time"));
    }
    assert!(why(&with("nbf", json!(NOW + 60))).contains("not good before"));
}

#[test]
fn key_ids_that_are_paths_open_nothing() {
    let (key, issuers) = one();
    for kid in [
        "/dev/null",
        "../../../etc/passwd",
        "file:///etc/hosts",
        "a' OR '1'='1",
        "http://169.254.169.254/",
        "\u{1b}[31m\n",
    ] {
        let why = refused(&issuers, &key.sign_as(&json!({"alg": "ES256", "kid": kid}), &claims()));
        assert!(why.contains("has none of that name"), "{why}");
        assert!(!why.contains('\n') && !why.contains('\u{1b}'), "{why}");
    }
    let long = "k".repeat(10_000);
    assert!(refused(&issuers, &key.sign_as(&json!({"alg": "ES256", "kid": long}), &claims())).len() < 100);
    for kid in [json!(1), json!(["a"]), json!({"a": 1}), json!(null)] {
        assert!(
            refused(&issuers, &key.sign_as(&json!({"alg": "ES256", "kid": kid}), &claims()))
                .contains("key id")
        );
    }
    // A key that the token brings along is nobody's.
    let own = SigningKey::new("own", Algorithm::ES256);
    let header = json!({"alg": "ES256", "kid": "own", "jwk": own.jwk(), "jku": "https://evil.example/jwks", "x5u": "https://evil.example"});
    assert!(refused(&issuers, &own.sign_as(&header, &claims())).contains("has none of that name"));
    let header = json!({"alg": "ES256", "jwk": own.jwk()});
    assert!(refused(&issuers, &own.sign_as(&header, &claims())).contains("no key of the issuer"));
}

#[test]
fn headers_that_ask_for_more_than_is_understood_are_refused() {
    let (key, issuers) = one();
    let header = |more: Value| {
        let mut header = json!({"alg": "ES256", "kid": "a"});
        header.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        key.sign_as(&header, &claims())
    };
    assert!(refused(&issuers, &header(json!({"crit": ["b64"], "b64": false}))).contains("critical"));
    assert!(refused(&issuers, &header(json!({"crit": []}))).contains("critical"));
    for kind in ["dpop+jwt", "logout+jwt", "secevent+jwt", "windrose-identity+jwt", ""] {
        assert!(refused(&issuers, &header(json!({"typ": kind}))).contains("no credential"));
    }
    assert!(verdict(&issuers, &header(json!({"typ": "application/at+JWT"}))).is_ok());
}

#[test]
fn what_is_no_token_is_refused_whatever_its_size() {
    let (key, issuers) = one();
    let claims = claims().to_string();
    let header = r#"{"alg":"ES256","kid":"a"}"#;
    let twice = claims.replacen('{', r#"{"sub":"car-8","#, 1);
    assert!(refused(&issuers, &key.sign_raw(header, &twice)).contains("twice"));
    assert!(
        refused(&issuers, &key.sign_raw(r#"{"alg":"none","alg":"ES256","kid":"a"}"#, &claims))
            .contains("twice")
    );
    let bomb = claims.replacen('{', &format!(r#"{{"x":{}1{},"#, "[".repeat(3_000), "]".repeat(3_000)), 1);
    assert!(refused(&issuers, &key.sign_raw(header, &bomb)).contains("cannot be read"));
    let huge = claims.replacen('{', &format!(r#"{{"x":"{}","#, "x".repeat(60_000)), 1);
    assert!(refused(&issuers, &key.sign_raw(header, &huge)).contains("the most"));
    for text in [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "e30.e30.e30",
        "ey.ey.ey",
        "eyJ9==.eyJ9.eyJ9",
        "\u{feff}..",
        "eyI.\u{0}.x",
    ] {
        refused(&issuers, text);
    }
    assert!(issuers.verify_at_once(&[0xff; 100], now()).unwrap().is_err());
}

#[test]
fn names_that_would_be_something_else_in_an_address_are_refused() {
    let (key, issuers) = one();
    for id in [
        json!("a/b"),
        json!("+"),
        json!("#"),
        json!(""),
        json!("$SYS"),
        json!("a\u{0}b"),
        json!("x".repeat(300)),
        json!(["a"]),
        json!({"a": 1}),
    ] {
        assert!(refused(&issuers, &key.sign(&with("sub", id.clone()))).contains("no name"), "{id}");
        assert!(refused(&issuers, &key.sign(&with("household", id.clone()))).contains("no name"), "{id}");
    }
}

#[test]
fn too_much_is_left_out() {
    let (key, issuers) = one();
    let mut claims = claims();
    for count in 0..200 {
        claims[format!("c{count:03}")] = json!("x");
    }
    claims["aaa"] = json!("x".repeat(257));
    claims["realm_access"] = json!({"roles": (0..100).map(|count| format!("g{count}")).collect::<Vec<_>>()});
    let vouched = verdict(&issuers, &key.sign(&claims)).unwrap();
    assert_eq!((vouched.proof.claims.len(), vouched.groups.len()), (64, 64));
    assert!(!vouched.proof.claims.iter().any(|(name, _)| &**name == "aaa"));
}

#[test]
fn files_that_hold_no_public_keys_are_told() {
    let told = |bytes: &[u8]| {
        opened(policy(KeySource::File("keys.json".into())), bytes.to_vec(), None).err().unwrap().remove(0)
    };
    let key = SigningKey::new("a", Algorithm::ES256);
    assert!(told(key.pair.serialize_pem().as_bytes()).contains("private key"));
    for bytes in [
        &b""[..],
        b"{}",
        b"[]",
        b"{\"keys\": []}",
        b"{\"keys\": [{\"kty\": \"oct\", \"k\": \"AAAA\"}]}",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
        &[0xff; 10],
    ] {
        let told = told(bytes);
        assert!(told.starts_with("identity.tokens: idp: keys.json: "), "{told}");
    }
    let weak = json!({"keys": [{"kty": "RSA", "kid": "a", "n": "AQAB".repeat(40), "e": "AQAB"}]});
    assert!(told(weak.to_string().as_bytes()).contains("2048"));
}

/// An issuer, and a token of its that is good.
static GOOD: LazyLock<(Issuers, String)> = LazyLock::new(|| {
    let (key, issuers) = one();
    let token = key.sign(&claims());
    (issuers, token)
});

proptest! {
    #[test]
    fn a_token_in_which_anything_is_changed_is_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let (issuers, token) = &*GOOD;
        let mut changed = token.clone().into_bytes();
        for (place, byte) in changes {
            let place = place.index(changed.len());
            changed[place] = byte;
        }
        prop_assume!(changed != token.as_bytes());
        let verdict = issuers.verify_at_once(&changed, now()).unwrap();
        prop_assert!(verdict.is_err());
    }

    #[test]
    fn whatever_comes_is_answered(header in any::<Vec<u8>>(), body in any::<Vec<u8>>(), signature in any::<Vec<u8>>()) {
        let (issuers, _) = &*GOOD;
        let token = [header, body, signature].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
        let verdict = issuers.verify_at_once(token.as_bytes(), now()).unwrap();
        prop_assert!(verdict.is_err());
    }
}
