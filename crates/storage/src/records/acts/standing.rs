//! Who is let in: revoke, reinstate, quarantine.

use super::super::rows::{get, kind_of, name};
use super::super::writer::{Writer, micros};
use windrose_event::{Subject, Timestamp};
use windrose_identity::{Kind, Lookup, RecordsError};

/// Bytes of a reason.
const MOST_REASON: usize = 1_024;

impl Writer {
    pub(in crate::records) async fn revoke(
        &mut self,
        subject: Subject,
        reason: Option<&str>,
    ) -> Result<(), RecordsError> {
        if reason.is_some_and(|reason| reason.len() > MOST_REASON || reason.contains('\0')) {
            return Err(RecordsError::Invalid(format!("a reason has {MOST_REASON} bytes at most")));
        }
        match &subject {
            Subject::Device(_) | Subject::Owner(_) | Subject::Service(_) => {
                let (kind, principal) = self.principal(&subject).await?;
                let sql = "UPDATE principals SET revoked = COALESCE(revoked, $2), reason = COALESCE(reason, $3) WHERE id = $1";
                self.run(sql, vec![principal.into(), self.now.into(), reason.into()]).await?;
                self.note(subject, true);
                self.note_devices(kind, principal, true).await
            }
            Subject::Credential(id) => {
                let id = credential_id(id)?;
                let sql = "SELECT lookup FROM credentials WHERE id = $1";
                let Some(row) = self.row(sql, vec![id.into()]).await? else { return Err(no_credential(id)) };
                let lookup = Lookup::read(&get::<String>(&row, 0)?);
                self.revoke_credential(id, reason).await?;
                if let Some(Lookup::Fingerprint(digest)) = lookup {
                    self.revoke_certificate(digest, reason).await?;
                }
                Ok(())
            }
            Subject::Certificate(digest) => {
                let lookup = Lookup::Fingerprint(*digest).text();
                let sql =
                    "SELECT id FROM credentials WHERE lookup = $1 ORDER BY revoked IS NOT NULL, id DESC";
                match self.value(sql, vec![lookup.as_str().into()]).await? {
                    Some(id) => self.revoke_credential(id, reason).await?,
                    None => {
                        // Somebody's by its name, or an enrolled authority's: it is remembered by itself.
                        let id = self.new_id().await?;
                        let sql = "INSERT INTO credentials (id, lookup, kind, added, revoked, reason) VALUES ($1, $2, 0, $3, $3, $4)";
                        self.run(sql, vec![id.into(), lookup.into(), self.now.into(), reason.into()]).await?;
                    }
                }
                self.revoke_certificate(*digest, reason).await
            }
        }
    }

    async fn revoke_credential(&mut self, id: i64, reason: Option<&str>) -> Result<(), RecordsError> {
        let sql = "UPDATE credentials SET revoked = COALESCE(revoked, $2), reason = COALESCE(reason, $3) WHERE id = $1";
        self.run(sql, vec![id.into(), self.now.into(), reason.into()]).await?;
        self.note(Subject::Credential(id.to_string().into()), true);
        self.note_whose(id).await
    }

    /// Readers remember whose a credential is by the one whose it is.
    async fn note_whose(&mut self, credential: i64) -> Result<(), RecordsError> {
        let sql = "SELECT p.kind, p.name FROM credentials c JOIN principals p ON p.id = c.principal WHERE c.id = $1";
        if let Some(row) = self.row(sql, vec![credential.into()]).await?
            && let (Some(kind), Some(its)) = (kind_of(get(&row, 0)?), name(&row, 1)?)
        {
            self.note(kind.subject(&its), false);
        }
        Ok(())
    }

    async fn revoke_certificate(
        &mut self,
        digest: [u8; 32],
        reason: Option<&str>,
    ) -> Result<(), RecordsError> {
        let sql = "UPDATE certificates SET revoked = COALESCE(revoked, $2), reason = COALESCE(reason, $3) WHERE fingerprint = $1";
        self.run(sql, vec![digest.as_slice().into(), self.now.into(), reason.into()]).await?;
        self.note(Subject::Certificate(digest), true);
        Ok(())
    }

    pub(in crate::records) async fn reinstate(&mut self, subject: Subject) -> Result<(), RecordsError> {
        match &subject {
            Subject::Device(_) | Subject::Owner(_) | Subject::Service(_) => {
                let (kind, principal) = self.principal(&subject).await?;
                let sql =
                    "UPDATE principals SET revoked = NULL, reason = NULL, quarantined = NULL WHERE id = $1";
                self.run(sql, vec![principal.into()]).await?;
                self.note(subject, false);
                self.note_devices(kind, principal, false).await
            }
            Subject::Credential(id) => {
                let id = credential_id(id)?;
                let sql = "SELECT lookup FROM credentials WHERE id = $1";
                let Some(row) = self.row(sql, vec![id.into()]).await? else { return Err(no_credential(id)) };
                let lookup: String = get(&row, 0)?;
                if lookup.starts_with("sha256:") {
                    return Err(stays_revoked());
                }
                let sql = "SELECT id FROM credentials WHERE lookup = $1 AND revoked IS NULL AND id <> $2";
                if self.value(sql, vec![lookup.into(), id.into()]).await?.is_some() {
                    let problem = "another credential is found by the same now: revoke that first";
                    return Err(RecordsError::Conflict(problem.to_owned()));
                }
                let sql = "UPDATE credentials SET revoked = NULL, reason = NULL WHERE id = $1";
                self.run(sql, vec![id.into()]).await?;
                self.note(Subject::Credential(id.to_string().into()), false);
                self.note_whose(id).await
            }
            Subject::Certificate(_) => Err(stays_revoked()),
        }
    }

    pub(in crate::records) async fn quarantine(
        &mut self,
        subject: Subject,
        until: Timestamp,
    ) -> Result<(), RecordsError> {
        let (_, principal) = self.principal(&subject).await?;
        let sql = "UPDATE principals SET quarantined = $2 WHERE id = $1";
        self.run(sql, vec![principal.into(), micros(until).into()]).await?;
        self.note(subject, true);
        Ok(())
    }

    /// What befalls an owner befalls its devices, and readers know each by its own name.
    async fn note_devices(&mut self, kind: Kind, owner: i64, ends: bool) -> Result<(), RecordsError> {
        if kind != Kind::Owner {
            return Ok(());
        }
        let sql = "SELECT name FROM principals WHERE owner = $1 ORDER BY name";
        for row in self.rows(sql.to_owned(), vec![owner.into()]).await? {
            let device: String = get(&row, 0)?;
            self.note(Subject::Device(device.into()), ends);
        }
        Ok(())
    }
}

fn credential_id(id: &str) -> Result<i64, RecordsError> {
    id.parse().map_err(|_| RecordsError::NotFound(format!("there is no credential `{}`", super::shown(id))))
}

fn no_credential(id: i64) -> RecordsError {
    RecordsError::NotFound(format!("there is no credential `{id}`"))
}

fn stays_revoked() -> RecordsError {
    RecordsError::Invalid("a certificate that was revoked stays so: get another".to_owned())
}
