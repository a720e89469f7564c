//! Tokens made by an issuer of the tests, good ones and bad ones.
#![allow(clippy::unwrap_used, clippy::panic)]

mod good;
mod hostile;
mod remote;

use super::*;
use crate::{Fetch, FetchRequest, Fetched};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use rcgen::{KeyPair, SignatureAlgorithm};
use serde_json::json;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use windrose_event::Principal;
use windrose_policy::TokenIssuer;

const NOW: u64 = 1_800_000_000;

fn now() -> Timestamp {
    at(NOW)
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

/// A key that tokens are signed with.
struct SigningKey {
    kid: &'static str,
    algorithm: Algorithm,
    key: EncodingKey,
    pair: KeyPair,
}

impl SigningKey {
    fn new(kid: &'static str, algorithm: Algorithm) -> Self {
        let kind: &SignatureAlgorithm = match algorithm {
            Algorithm::ES256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Algorithm::ES384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            Algorithm::EdDSA => &rcgen::PKCS_ED25519,
            _ => &rcgen::PKCS_RSA_SHA256,
        };
        let pair = KeyPair::generate_for(kind).unwrap();
        let pem = pair.serialize_pem();
        let key = match algorithm {
            Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_pem(pem.as_bytes()),
            Algorithm::EdDSA => EncodingKey::from_ed_pem(pem.as_bytes()),
            _ => EncodingKey::from_rsa_pem(pem.as_bytes()),
        };
        Self { kid, algorithm, key: key.unwrap(), pair }
    }

    fn jwk(&self) -> Value {
        if self.algorithm == Algorithm::EdDSA {
            let x = URL_SAFE_NO_PAD.encode(self.pair.public_key_raw());
            return json!({"kty": "OKP", "crv": "Ed25519", "kid": self.kid, "x": x, "use": "sig"});
        }
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.kid.to_owned());
        serde_json::to_value(jwk).unwrap()
    }

    fn sign(&self, claims: &Value) -> String {
        self.sign_as(&json!({"alg": format!("{:?}", self.algorithm), "typ": "JWT", "kid": self.kid}), claims)
    }

    fn sign_as(&self, header: &Value, claims: &Value) -> String {
        self.sign_raw(&header.to_string(), &claims.to_string())
    }

    fn sign_raw(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = crypto::sign(signed.as_bytes(), &self.key, self.algorithm).unwrap();
        format!("{signed}.{signature}")
    }
}

fn jwks(keys: &[&SigningKey]) -> Vec<u8> {
    json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() }).to_string().into_bytes()
}

/// What the issuer of the tests says of car-7.
fn claims() -> Value {
    json!({
        "iss": "https://idp.example", "aud": ["other", "windrose"], "sub": "car-7", "household": "alice",
        "exp": NOW + 600, "nbf": NOW - 5, "iat": NOW - 5,
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn policy(keys: KeySource) -> TokenIssuer {
    TokenIssuer {
        name: "idp".into(),
        issuer: Some("https://idp.example".into()),
        audience: vec!["windrose".into()],
        keys,
        algorithms: ["RS256", "PS256", "ES256", "ES384", "EdDSA"].map(Arc::from).to_vec(),
        device: Some("sub".into()),
        owner: Some("household".into()),
        service: Some("azp".into()),
        groups: Some("realm_access.roles".into()),
        registered: false,
        leeway: Duration::from_secs(30),
        ca: None,
    }
}

/// One whose keys are in a file.
fn from_file(bytes: Vec<u8>) -> Issuers {
    opened(policy(KeySource::File("keys.json".into())), bytes, None).unwrap()
}

fn opened(policy: TokenIssuer, bytes: Vec<u8>, before: Option<&Issuers>) -> Result<Issuers, Vec<String>> {
    let identity = IdentityPolicy { tokens: vec![policy], ..IdentityPolicy::default() };
    Issuers::open(&identity, &|_| Err("nothing is fetched".to_owned()), &|_| Ok(bytes.clone()), before)
}

/// The verdict of issuers that have their keys.
fn verdict(issuers: &Issuers, token: &str) -> Result<Arc<Vouched>, Refusal> {
    issuers.verify_at_once(token.as_bytes(), now()).unwrap()
}

/// Why a token is refused.
#[track_caller]
fn refused(issuers: &Issuers, token: &str) -> String {
    let refusal = verdict(issuers, token).unwrap_err();
    assert_eq!(refusal.cause, RefusalCause::BadCredentials, "{}", refusal.detail);
    refusal.detail
}

/// A server of keys.
#[derive(Default)]
struct KeyServer {
    answer: Mutex<Option<Vec<u8>>>,
    asked: AtomicUsize,
    slow: bool,
}

impl Fetch for Arc<KeyServer> {
    fn fetch(&self, request: FetchRequest) -> Pending<Result<Fetched, String>> {
        assert_eq!((request.method, request.url.as_str()), ("GET", "https://idp.example/jwks"));
        self.asked.fetch_add(1, Ordering::SeqCst);
        let server = Arc::clone(self);
        Box::pin(async move {
            if server.slow {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            match server.answer.lock().unwrap().clone() {
                Some(body) => Ok(Fetched { status: 200, max_age: None, body: body.into() }),
                None => Err("connection refused".to_owned()),
            }
        })
    }
}
