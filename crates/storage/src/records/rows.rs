//! Rows as the database gives them, and what they mean.

use super::connect::error;
use super::writer::now;
use sqlx::any::AnyRow;
use sqlx::{Any, Decode, Row, Type};
use std::sync::Arc;
use windrose_event::{Principal, Secret, Timestamp};
use windrose_identity::{
    CodePurpose, Credential, CredentialDetails, CredentialKind, CredentialSecret, Kind, Lookup, RecordsError,
    Status,
};

/// What holds a principal's groups together in one column: no name has it.
pub(super) const SEPARATOR: char = '\n';

/// Devices that one owner may have: access rules know them all by name.
pub(super) const MOST_OWNED: usize = 100_000;

/// The value of a column.
pub(super) fn get<'r, T: Decode<'r, Any> + Type<Any>>(
    row: &'r AnyRow,
    index: usize,
) -> Result<T, RecordsError> {
    row.try_get(index).map_err(error)
}

/// A time.
pub(super) fn time(row: &AnyRow, index: usize) -> Result<Option<Timestamp>, RecordsError> {
    let micros: Option<i64> = get(row, index)?;
    Ok(micros.map(|micros| Timestamp::from_micros(u64::try_from(micros).unwrap_or(0))))
}

/// A name, shared.
pub(super) fn name(row: &AnyRow, index: usize) -> Result<Option<Arc<str>>, RecordsError> {
    let text: Option<String> = get(row, index)?;
    Ok(text.map(Into::into))
}

/// Names of groups in one column, in ascending order.
pub(super) fn groups(row: &AnyRow, index: usize) -> Result<Vec<Arc<str>>, RecordsError> {
    let text: Option<String> = get(row, index)?;
    Ok(text.map(|text| text.split(SEPARATOR).map(Into::into).collect()).unwrap_or_default())
}

/// Whether somebody is let in.
pub(super) fn status(
    revoked: Option<Timestamp>,
    quarantined: Option<Timestamp>,
    owner_revoked: Option<Timestamp>,
) -> Status {
    match (revoked, owner_revoked, quarantined) {
        (Some(_), ..) => Status::Revoked,
        (_, Some(_), _) => Status::OwnerRevoked,
        (.., Some(until)) if until > now() => Status::Quarantined { until },
        _ => Status::Active,
    }
}

pub(super) fn kind_number(kind: Kind) -> i64 {
    match kind {
        Kind::Device => 1,
        Kind::Owner => 2,
        Kind::Service => 3,
    }
}

pub(super) fn kind_of(number: i64) -> Option<Kind> {
    [Kind::Device, Kind::Owner, Kind::Service].into_iter().find(|kind| kind_number(*kind) == number)
}

pub(super) fn principal(kind: Kind, name: Arc<str>, owner: Option<Arc<str>>) -> Principal {
    match kind {
        Kind::Device => Principal::Device { id: name, owner },
        Kind::Owner => Principal::Owner { id: name },
        Kind::Service => Principal::Service { name },
    }
}

/// A secret as the database keeps it: its kind, and its bytes.
pub(super) fn secret_parts(secret: &CredentialSecret) -> (i64, Option<Vec<u8>>) {
    match secret {
        CredentialSecret::None => (0, None),
        CredentialSecret::PasswordHash(secret) => (1, Some(secret.reveal().to_vec())),
        CredentialSecret::ScramKeys(secret) => (2, Some(secret.reveal().to_vec())),
        CredentialSecret::Psk(secret) => (3, Some(secret.reveal().to_vec())),
        CredentialSecret::Code { purpose: CodePurpose::Enrol, .. } => (4, None),
        CredentialSecret::Code { purpose: CodePurpose::Claim, .. } => (5, None),
    }
}

/// A credential, from columns beginning with its id: id, lookup, kind, secret, not_before, not_after, used, revoked.
pub(super) fn credential(row: &AnyRow, at: usize) -> Result<Option<Credential>, RecordsError> {
    let Some(id) = get::<Option<i64>>(row, at)? else { return Ok(None) };
    let lookup: String = get(row, at + 1)?;
    let Some(lookup) = Lookup::read(&lookup) else {
        return Err(RecordsError::Unavailable(format!(
            "the credential {id} in it is damaged: its lookup cannot be read"
        )));
    };
    let bytes: Option<Vec<u8>> = get(row, at + 3)?;
    let bytes = Secret::new(bytes.unwrap_or_default());
    let used = time(row, at + 6)?.is_some();
    let secret = match get::<i64>(row, at + 2)? {
        0 => CredentialSecret::None,
        1 => CredentialSecret::PasswordHash(bytes),
        2 => CredentialSecret::ScramKeys(bytes),
        3 => CredentialSecret::Psk(bytes),
        4 => CredentialSecret::Code { purpose: CodePurpose::Enrol, used },
        5 => CredentialSecret::Code { purpose: CodePurpose::Claim, used },
        other => {
            let problem =
                format!("the credential {id} in it is of a kind that this program does not know: {other}");
            return Err(RecordsError::Unavailable(problem));
        }
    };
    Ok(Some(Credential {
        id: id.to_string().into(),
        lookup,
        secret,
        not_before: time(row, at + 4)?,
        not_after: time(row, at + 5)?,
        revoked: time(row, at + 7)?.is_some(),
    }))
}

/// What may be told of a credential, from the same columns and two more: added, reason. The secret is not looked at.
pub(super) fn credential_details(row: &AnyRow, at: usize) -> Result<Option<CredentialDetails>, RecordsError> {
    let Some(credential) = credential(row, at)? else { return Ok(None) };
    let (kind, name) = match (credential.lookup, credential.secret) {
        (_, CredentialSecret::Code { purpose, .. }) => (CredentialKind::Code(purpose), None),
        (Lookup::Username(name), _) => (CredentialKind::Password, Some(name)),
        (Lookup::Scram(name), _) => (CredentialKind::Scram, Some(name)),
        (Lookup::Subject(subject), _) => (CredentialKind::Subject, Some(subject)),
        (Lookup::CommonName(name), _) => (CredentialKind::CommonName, Some(name)),
        (Lookup::AlternativeName(name), _) => (CredentialKind::AlternativeName, Some(name)),
        (lookup @ Lookup::Fingerprint(_), _) => {
            let text = lookup.text();
            (CredentialKind::Fingerprint, text.strip_prefix("sha256:").map(str::to_owned))
        }
        (Lookup::Psk(identity), _) => {
            (CredentialKind::Psk, Some(String::from_utf8_lossy(&identity).into_owned()))
        }
        (Lookup::ApiKey(_), _) => (CredentialKind::ApiKey, None),
        // A code without a purpose is none that this program wrote.
        (Lookup::Code(_), _) => (CredentialKind::Code(CodePurpose::Claim), None),
    };
    Ok(Some(CredentialDetails {
        id: credential.id,
        kind,
        name,
        not_before: credential.not_before,
        not_after: credential.not_after,
        used: time(row, at + 6)?,
        revoked: time(row, at + 7)?,
        added: time(row, at + 8)?.unwrap_or_default(),
        reason: get(row, at + 9)?,
    }))
}
