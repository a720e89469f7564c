//! Credentials: what somebody proves itself with. They are added and revoked, never told.

use super::answer::{Fault, done, json};
use super::subjects::Reason;
use super::{Answered, Caller, Managed, act, body, directory};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json as object};
use std::fmt;
use windrose_event::{Secret, Subject, Timestamp};
use windrose_identity::{
    Act, CredentialDetails, CredentialSecret, Kind, Lookup, NewCredential, check_password_hash,
    check_scram_keys, hash_password, read_rfc3339,
};

/// The shortest API key: what is shorter can be guessed.
const SHORTEST_KEY: usize = 20;

/// A credential that comes in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct New {
    kind: What,
    /// `password`, `password_hash`, `scram`: by default the id of whose it is.
    username: Option<String>,
    /// What is recognised, or compared.
    value: Hidden,
    /// `psk`: the identity that goes with the key.
    identity: Option<String>,
    not_before: Option<String>,
    not_after: Option<String>,
}

/// What `value` is.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum What {
    /// A password.
    Password,
    /// The argon2id hash of a password.
    PasswordHash,
    /// Keys of SCRAM-SHA-256.
    Scram,
    /// A pre-shared key, in hex.
    Psk,
    /// An API key.
    ApiKey,
    /// The SHA-256 of a certificate's DER, in hex.
    Certificate,
    /// A certificate's subject as RFC 4514 text.
    CertificateSubject,
    /// A certificate's common name.
    CertificateCommonName,
    /// One of a certificate's alternative names.
    CertificateSan,
}

/// Text that is a secret.
#[derive(Deserialize)]
struct Hidden(String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden(..)")
    }
}

impl New {
    /// The credential as the registry takes it; `id`: whose it is.
    pub(super) async fn read(self, id: &str) -> Result<NewCredential, Fault> {
        let Self { kind, username, value: Hidden(value), identity, not_before, not_after } = self;
        if username.is_some() && !matches!(kind, What::Password | What::PasswordHash | What::Scram) {
            return Err(Fault::bad("username goes with a password only"));
        }
        if identity.is_some() != (kind == What::Psk) {
            return Err(Fault::bad("identity goes with a pre-shared key, and that has one"));
        }
        if value.is_empty() {
            return Err(Fault::bad("value is empty"));
        }
        let username = username.unwrap_or_else(|| id.to_owned());
        let (lookup, secret) = match kind {
            What::Password => {
                // It takes much of a core: not on the thread that answers others.
                let hashed = tokio::task::spawn_blocking(move || hash_password(value.as_bytes())).await;
                let hash = match hashed {
                    Ok(hash) => hash.map_err(|error| Fault::bad(error.to_string()))?,
                    Err(_) => {
                        let detail = "the password could not be hashed";
                        return Err(Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail));
                    }
                };
                (Lookup::Username(username), CredentialSecret::PasswordHash(Secret::new(hash)))
            }
            What::PasswordHash => {
                check_password_hash(&value).map_err(|error| Fault::bad(error.to_string()))?;
                (Lookup::Username(username), CredentialSecret::PasswordHash(Secret::new(value)))
            }
            What::Scram => {
                check_scram_keys(&value).map_err(|error| Fault::bad(error.to_string()))?;
                (Lookup::Scram(username), CredentialSecret::ScramKeys(Secret::new(value)))
            }
            What::Psk => {
                let key = body::hex(&value).filter(|key| (16..=64).contains(&key.len()));
                let key = key.ok_or_else(|| Fault::bad("a pre-shared key has 16 to 64 bytes, in hex"))?;
                let identity = identity.unwrap_or_default().into_bytes();
                (Lookup::Psk(identity), CredentialSecret::Psk(Secret::new(key)))
            }
            What::ApiKey if value.len() < SHORTEST_KEY => {
                return Err(Fault::bad(format!("an API key has {SHORTEST_KEY} characters or more")));
            }
            What::ApiKey => (Lookup::api_key(value.as_bytes()), CredentialSecret::None),
            What::Certificate => (Lookup::Fingerprint(body::digest(&value)?), CredentialSecret::None),
            What::CertificateSubject => (Lookup::subject(&value), CredentialSecret::None),
            What::CertificateCommonName => (Lookup::CommonName(value), CredentialSecret::None),
            What::CertificateSan => (Lookup::AlternativeName(value), CredentialSecret::None),
        };
        Ok(NewCredential {
            lookup,
            secret,
            not_before: time("not_before", not_before)?,
            not_after: time("not_after", not_after)?,
        })
    }
}

fn time(name: &str, text: Option<String>) -> Result<Option<Timestamp>, Fault> {
    text.map(|text| {
        let time = read_rfc3339(&text);
        time.ok_or_else(|| Fault::bad(format!("{name} is a time such as 2027-01-31T12:00:00Z")))
    })
    .transpose()
}

pub(super) async fn list(kind: Kind, managed: Managed, id: String) -> Answered {
    let details = directory(&managed)?.details(kind.subject(&id)).await?;
    let details = details.ok_or_else(|| Fault::not_found(format!("there is no {} `{id}`", kind.name())))?;
    let list: Value = details.credentials.iter().map(CredentialDetails::json).collect();
    Ok(json(StatusCode::OK, &object!({"credentials": list})))
}

pub(super) async fn add(
    kind: Kind,
    managed: Managed,
    caller: Caller,
    id: String,
    headers: HeaderMap,
    body: Bytes,
) -> Answered {
    let credential: New = body::read(&headers, &body)?;
    let credential = credential.read(&id).await?;
    act(&managed, &caller, Act::AddCredential { subject: kind.subject(&id), credential }).await?;
    let mut response = list(kind, managed, id).await?;
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

pub(super) async fn show(State(managed): State<Managed>, Path(id): Path<String>) -> Answered {
    let found = directory(&managed)?.credential(&id).await?;
    let (subject, details) =
        found.ok_or_else(|| Fault::not_found(format!("there is no credential `{id}`")))?;
    let mut answer = details.json();
    let (kind, id) = match &subject {
        Subject::Device(id) => ("device", id),
        Subject::Owner(id) => ("owner", id),
        Subject::Service(name) => ("service", name),
        Subject::Credential(_) | Subject::Certificate(_) => return Ok(json(StatusCode::OK, &answer)),
    };
    if let Value::Object(answer) = &mut answer {
        answer.insert(kind.to_owned(), object!(&**id));
    }
    Ok(json(StatusCode::OK, &answer))
}

pub(super) async fn revoke(
    State(managed): State<Managed>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answered {
    let Reason { reason } = body::read(&headers, &body)?;
    act(&managed, &caller, Act::Revoke { subject: Subject::Credential(id.into()), reason }).await?;
    Ok(done())
}

pub(super) async fn revoke_certificate(
    State(managed): State<Managed>,
    caller: Caller,
    Path(digest): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answered {
    let Reason { reason } = body::read(&headers, &body)?;
    let subject = Subject::Certificate(body::digest(&digest)?);
    act(&managed, &caller, Act::Revoke { subject, reason }).await?;
    Ok(done())
}
