#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! The registry with a database that is a double: what is asked, what is remembered, who is let in.

mod abuse;
mod changes;
mod credentials;
mod database;
mod outage;

use super::*;
use crate::{CodePurpose, Credential, CredentialSecret, Lookup, Status};
use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, Version};
use database::Database;
use std::time::Duration;
use windrose_event::{CertificateClaim, Identity, Principal, RefusalCause};
use windrose_policy::IdentityPolicy;

/// A hash that costs next to nothing.
fn cheap(password: &str) -> Secret {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
    let hash: PasswordHash = argon2.hash_password(password.as_bytes()).unwrap();
    Secret::new(hash.to_string())
}

fn credential(id: &str, lookup: Lookup, secret: CredentialSecret) -> Credential {
    Credential { id: id.into(), lookup, secret, not_before: None, not_after: None, revoked: false }
}

fn password(id: &str, username: &str, password: &str) -> Credential {
    credential(id, Lookup::Username(username.to_owned()), CredentialSecret::PasswordHash(cheap(password)))
}

fn device(id: &str, owner: Option<&str>, credentials: Vec<Credential>) -> Record {
    Record {
        principal: Principal::Device { id: id.into(), owner: owner.map(Arc::from) },
        groups: vec!["cars".into()].into(),
        owned: Arc::default(),
        status: Status::Active,
        credentials,
    }
}

fn login(username: &str, password: &str) -> Claim {
    Claim {
        username: Some(username.into()),
        password: Some(Secret::new(password.to_owned())),
        peer: Some("10.0.0.1:1".parse().unwrap()),
        ..Claim::default()
    }
}

fn parts(database: &Arc<Database>) -> Parts {
    Parts { records: Some(Arc::clone(database) as _), ..Parts::default() }
}

/// A registry of that database alone.
fn identities(database: &Arc<Database>) -> Identities {
    Identities::new(parts(database))
}

async fn ask(identities: &Identities, claim: &Claim) -> Verdict {
    match identities.identify_at_once(claim) {
        Some(verdict) => verdict,
        None => identities.identify(Box::new(claim.clone())).await,
    }
}

async fn cause(identities: &Identities, claim: &Claim) -> RefusalCause {
    ask(identities, claim).await.expect_err("it is refused").cause
}

fn at_once(identities: &Identities, claim: &Claim) -> bool {
    matches!(identities.identify_at_once(claim), Some(Ok(_)))
}

fn certificate(name: &str, fingerprint: u8) -> Claim {
    let certificate = CertificateClaim {
        subject: format!("CN={name}"),
        common_name: Some(name.to_owned()),
        fingerprint: Some([fingerprint; 32]),
        ..CertificateClaim::default()
    };
    Claim { certificate: Some(Arc::new(certificate)), ..Claim::default() }
}

fn in_an_hour() -> Timestamp {
    wall() + Duration::from_secs(3600)
}

fn an_hour_ago() -> Timestamp {
    wall() - Duration::from_secs(3600)
}

/// What live sessions are told.
async fn told(identities: &Identities) -> Vec<IdentityChange> {
    tokio::time::timeout(Duration::from_secs(60), identities.changes()).await.unwrap().to_vec()
}

fn ended(subject: Subject) -> IdentityChange {
    IdentityChange { subject, standing: Standing::Ended }
}

fn names(list: &[Arc<str>]) -> Vec<&str> {
    list.iter().map(|name| &**name).collect()
}
