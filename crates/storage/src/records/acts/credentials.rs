//! Credentials that come into the registry.

use super::super::find::{MOST_LOOKUP, is_storable};
use super::super::rows::{get, secret_parts};
use super::super::writer::{Writer, micros};

use windrose_event::{Secret, Subject, Timestamp};
use windrose_identity::{
    CodePurpose, CredentialSecret, Lookup, NewCredential, RecordsError, check_password_hash, check_scram_keys,
};

/// Credentials that somebody may have, those that were revoked lately among them: all of them are read at once.
const MOST: i64 = 256;

/// How long what is over is kept for people to look at: 90 days.
const KEPT: i64 = 90 * 86_400 * 1_000_000;

/// Bytes of a pre-shared key.
const PSK_LENGTHS: std::ops::RangeInclusive<usize> = 8..=64;

/// Whether a credential can be one: what is found by what, and secrets that can be verified at a bearable cost.
pub(in crate::records) fn check(credential: &NewCredential) -> Result<(), RecordsError> {
    let invalid = |problem: String| Err(RecordsError::Invalid(problem));
    let text = |secret: &Secret| String::from_utf8_lossy(secret.reveal()).into_owned();
    let lookup = credential.lookup.text();
    let name = lookup.split_once(':').map_or("", |(_, name)| name);
    if name.is_empty() || !is_storable(&lookup) || lookup.contains(char::is_control) {
        return invalid(format!(
            "what a credential is found by has from 1 to {MOST_LOOKUP} bytes and no control characters"
        ));
    }
    if let (Some(from), Some(until)) = (credential.not_before, credential.not_after)
        && from >= until
    {
        return invalid("a credential begins before it ends".to_owned());
    }
    match (&credential.lookup, &credential.secret) {
        (Lookup::Username(_), CredentialSecret::PasswordHash(hash)) => match check_password_hash(&text(hash))
        {
            Ok(()) => Ok(()),
            Err(error) => invalid(error.to_string()),
        },
        (Lookup::Scram(_), CredentialSecret::ScramKeys(keys)) => match check_scram_keys(&text(keys)) {
            Ok(_) => Ok(()),
            Err(error) => invalid(error.to_string()),
        },
        (Lookup::Psk(_), CredentialSecret::Psk(key)) if PSK_LENGTHS.contains(&key.reveal().len()) => Ok(()),
        (Lookup::Psk(_), CredentialSecret::Psk(_)) => {
            let (least, most) = (PSK_LENGTHS.start(), PSK_LENGTHS.end());
            invalid(format!("a pre-shared key has from {least} to {most} bytes"))
        }
        (Lookup::Code(_), CredentialSecret::Code { .. })
        | (
            Lookup::Subject(_)
            | Lookup::CommonName(_)
            | Lookup::AlternativeName(_)
            | Lookup::Fingerprint(_)
            | Lookup::ApiKey(_),
            CredentialSecret::None,
        ) => Ok(()),
        _ => invalid("what it is found by and its secret do not go together".to_owned()),
    }
}

impl Writer {
    /// Another credential of somebody's; its id.
    pub(in crate::records) async fn add_credential(
        &mut self,
        principal: i64,
        credential: &NewCredential,
    ) -> Result<i64, RecordsError> {
        check(credential)?;
        let lookup = credential.lookup.text();
        let sql = "SELECT p.kind, p.name FROM credentials c LEFT JOIN principals p ON p.id = c.principal \
                   WHERE c.lookup = $1 AND (c.revoked IS NULL OR c.principal IS NULL)";
        if let Some(row) = self.row(sql, vec![lookup.as_str().into()]).await? {
            let whose = match get::<Option<String>>(&row, 1)? {
                Some(name) => format!("there is a credential like this: it is `{name}`'s"),
                None => "this certificate was revoked: it stays so, get another".to_owned(),
            };
            return Err(RecordsError::Conflict(whose));
        }
        self.forget_old(principal).await?;
        let count = self
            .value("SELECT COUNT(*) FROM credentials WHERE principal = $1", vec![principal.into()])
            .await?;
        if count.unwrap_or(0) >= MOST {
            return Err(RecordsError::Conflict(format!(
                "nobody has more than {MOST} credentials: revoke some"
            )));
        }
        let id = self.new_id().await?;
        let (kind, secret) = secret_parts(&credential.secret);
        let sql = "INSERT INTO credentials (id, principal, lookup, kind, secret, not_before, not_after, added) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        let binds = vec![
            id.into(),
            principal.into(),
            lookup.into(),
            kind.into(),
            secret.into(),
            credential.not_before.map(micros).into(),
            credential.not_after.map(micros).into(),
            self.now.into(),
        ];
        self.run(sql, binds).await?;
        Ok(id)
    }

    /// A credential of an import: another one, or a new secret for what somebody is found by already.
    pub(in crate::records) async fn set_credential(
        &mut self,
        principal: i64,
        credential: &NewCredential,
    ) -> Result<(), RecordsError> {
        let sql = "SELECT id FROM credentials WHERE principal = $1 AND lookup = $2 AND revoked IS NULL";
        let lookup = credential.lookup.text();
        let Some(id) = self.value(sql, vec![principal.into(), lookup.into()]).await? else {
            return self.add_credential(principal, credential).await.map(|_| ());
        };
        check(credential)?;
        let (kind, secret) = secret_parts(&credential.secret);
        let sql =
            "UPDATE credentials SET kind = $2, secret = $3, not_before = $4, not_after = $5 WHERE id = $1";
        let binds = vec![
            id.into(),
            kind.into(),
            secret.into(),
            credential.not_before.map(micros).into(),
            credential.not_after.map(micros).into(),
        ];
        self.run(sql, binds).await?;
        Ok(())
    }

    /// Forgets what was over long ago. Certificates that were revoked are known as long as they would be good.
    async fn forget_old(&mut self, principal: i64) -> Result<(), RecordsError> {
        let sql = "DELETE FROM credentials WHERE principal = $1 \
                   AND (not_after < $2 OR used < $2 OR (revoked < $2 AND lookup NOT LIKE 'sha256:%'))";
        self.run(sql, vec![principal.into(), (self.now - KEPT).into()]).await?;
        Ok(())
    }

    pub(in crate::records) async fn add_code(
        &mut self,
        device: &str,
        code: Lookup,
        purpose: CodePurpose,
        until: Timestamp,
    ) -> Result<(), RecordsError> {
        let subject = Subject::Device(device.into());
        let (_, principal) = self.principal(&subject).await?;
        let credential = NewCredential {
            lookup: code,
            secret: CredentialSecret::Code { purpose, used: false },
            not_before: None,
            not_after: Some(until),
        };
        self.add_credential(principal, &credential).await?;
        self.note(subject, false);
        Ok(())
    }
}
