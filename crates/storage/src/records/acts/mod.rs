//! Acts: what is done to the registry, each in one transaction. A file for each idea.

mod credentials;
mod devices;
mod enrolment;
mod standing;

use super::connect::Pools;
use super::find::is_storable;
use super::rows::{get, kind_number};
use super::writer::Writer;
use std::sync::Arc;
use windrose_event::Subject;
use windrose_identity::{Act, Kind, Lookup, NewDevice, RecordsError, is_name};

pub(super) use credentials::check as check_credential;
pub(super) use devices::Ownership;

/// Bytes that the attributes of somebody may have.
const MOST_ATTRIBUTES: usize = 64 << 10;

/// Groups that somebody may belong to.
const MOST_GROUPS: usize = 256;

/// Does something, whole or not at all.
pub(in crate::records) async fn act(pools: &Pools, act: Act, by: &str) -> Result<(), RecordsError> {
    let mut writer = Writer::begin(&pools.write, pools.dialect, by).await?;
    writer.act(act).await?;
    writer.commit().await
}

impl Writer {
    async fn act(&mut self, act: Act) -> Result<(), RecordsError> {
        match act {
            Act::AddDevice(device) => self.add_device(device).await,
            Act::AddOwner { id, groups, attributes } => {
                self.add(Kind::Owner, &id, None, &groups, &attributes).await.map(|_| ())
            }
            Act::AddService { name, groups } => {
                self.add(Kind::Service, &name, None, &groups, "").await.map(|_| ())
            }
            Act::Remove(subject) => self.remove(subject).await,
            Act::SetGroups { subject, groups } => self.set_groups(subject, &groups).await,
            Act::SetAttributes { subject, attributes } => self.set_attributes(subject, &attributes).await,
            Act::Claim { device, owner, code } => self.claim(&device, &owner, code).await,
            Act::Transfer { device, owner } => self.transfer(&device, Some(&owner)).await,
            Act::Release { device } => self.transfer(&device, None).await,
            Act::AddCredential { subject, credential } => {
                let (_, principal) = self.principal(&subject).await?;
                self.add_credential(principal, &credential).await?;
                self.note(subject, false);
                Ok(())
            }
            Act::Revoke { subject, reason } => self.revoke(subject, reason.as_deref()).await,
            Act::Reinstate { subject } => self.reinstate(subject).await,
            Act::Quarantine { subject, until } => self.quarantine(subject, until).await,
            Act::AddCode { device, code, purpose, until } => {
                self.add_code(&device, code, purpose, until).await
            }
            Act::Issue { device, adopt, code, certificate } => {
                self.issue(&device, adopt, code.as_deref(), &certificate).await
            }
        }
    }

    async fn add_device(&mut self, device: NewDevice) -> Result<(), RecordsError> {
        let NewDevice { id, owner, groups, attributes, credentials } = device;
        let owner = match &owner {
            Some(owner) => Some(self.owner(owner).await?),
            None => None,
        };
        let principal =
            self.add(Kind::Device, &id, owner.as_ref().map(|owner| owner.0), &groups, &attributes).await?;
        for credential in &credentials {
            self.add_credential(principal, credential).await?;
        }
        let after = owner.as_ref().map(|owner| &*owner.1);
        self.owned(&id, Ownership::Added, None, after).await
    }

    /// The owner of that id, made if there is none. Its devices are about to change.
    async fn owner(&mut self, id: &str) -> Result<(i64, Arc<str>), RecordsError> {
        let principal = match self.find(Kind::Owner, id).await? {
            Some(principal) => {
                self.note(Subject::Owner(id.into()), false);
                principal
            }
            None => self.add(Kind::Owner, id, None, &[], "").await?,
        };
        Ok((principal, id.into()))
    }

    /// Somebody new; its key in the database.
    async fn add(
        &mut self,
        kind: Kind,
        name: &str,
        owner: Option<i64>,
        groups: &[Arc<str>],
        attributes: &str,
    ) -> Result<i64, RecordsError> {
        check_name(kind.name(), name)?;
        let attributes = check_attributes(attributes)?;
        if self.find(kind, name).await?.is_some() {
            return Err(RecordsError::Conflict(format!("there is another {} `{name}`", kind.name())));
        }
        let id = self.new_id().await?;
        let sql = "INSERT INTO principals (id, kind, name, owner, attributes, added) VALUES ($1, $2, $3, $4, $5, $6)";
        let kind_number = kind_number(kind);
        let binds = vec![
            id.into(),
            kind_number.into(),
            name.into(),
            owner.into(),
            attributes.into(),
            self.now.into(),
        ];
        self.run(sql, binds).await?;
        self.join(id, groups).await?;
        self.note(kind.subject(name), false);
        Ok(id)
    }

    async fn join(&mut self, principal: i64, groups: &[Arc<str>]) -> Result<(), RecordsError> {
        for group in check_groups(groups)? {
            let sql = "INSERT INTO memberships (principal, name) VALUES ($1, $2)";
            self.run(sql, vec![principal.into(), (&*group).into()]).await?;
        }
        Ok(())
    }

    pub(in crate::records) async fn set_groups(
        &mut self,
        subject: Subject,
        groups: &[Arc<str>],
    ) -> Result<(), RecordsError> {
        let (_, principal) = self.principal(&subject).await?;
        self.run("DELETE FROM memberships WHERE principal = $1", vec![principal.into()]).await?;
        self.join(principal, groups).await?;
        self.note(subject, false);
        Ok(())
    }

    pub(in crate::records) async fn set_attributes(
        &mut self,
        subject: Subject,
        attributes: &str,
    ) -> Result<(), RecordsError> {
        let (_, principal) = self.principal(&subject).await?;
        let sql = "UPDATE principals SET attributes = $2 WHERE id = $1";
        self.run(sql, vec![principal.into(), check_attributes(attributes)?.into()]).await?;
        Ok(())
    }

    /// The key of somebody, if there is somebody of that name.
    async fn find(&mut self, kind: Kind, name: &str) -> Result<Option<i64>, RecordsError> {
        if !is_storable(name) {
            return Ok(None);
        }
        let sql = "SELECT id FROM principals WHERE kind = $1 AND name = $2";
        self.value(sql, vec![kind_number(kind).into(), name.into()]).await
    }

    /// The kind and the key of somebody, who has to be there.
    async fn principal(&mut self, subject: &Subject) -> Result<(Kind, i64), RecordsError> {
        let (kind, name) = match subject {
            Subject::Device(id) => (Kind::Device, id),
            Subject::Owner(id) => (Kind::Owner, id),
            Subject::Service(name) => (Kind::Service, name),
            Subject::Credential(_) | Subject::Certificate(_) => {
                return Err(RecordsError::Invalid(
                    "a credential is not somebody: name its device".to_owned(),
                ));
            }
        };
        match self.find(kind, name).await? {
            Some(id) => Ok((kind, id)),
            None => Err(nobody(kind, name)),
        }
    }

    /// Takes somebody out, with its credentials. Certificates that it has stay revoked until they are over.
    async fn remove(&mut self, subject: Subject) -> Result<(), RecordsError> {
        let (kind, principal) = self.principal(&subject).await?;
        match (&subject, kind) {
            (Subject::Owner(owner), _) => {
                let sql = "SELECT name FROM principals WHERE owner = $1 ORDER BY name";
                for row in self.rows(sql.to_owned(), vec![principal.into()]).await? {
                    let device: String = get(&row, 0)?;
                    self.owned(&device, Ownership::Released, Some(owner), None).await?;
                    self.note(Subject::Device(device.into()), true);
                }
                self.run("UPDATE principals SET owner = NULL WHERE owner = $1", vec![principal.into()])
                    .await?;
            }
            (Subject::Device(device), _) => {
                let before = self.owner_of(principal).await?;
                if let Some(owner) = &before {
                    self.note(Subject::Owner(owner.clone()), false);
                }
                self.owned(device, Ownership::Removed, before.as_deref(), None).await?;
                let sql = "UPDATE certificates SET revoked = COALESCE(revoked, $2), \
                           reason = COALESCE(reason, 'cessationOfOperation') WHERE device = $1";
                self.run(sql, vec![(&**device).into(), self.now.into()]).await?;
            }
            _ => {}
        }
        // Whoever still has the key of a certificate that we gave out must not be taken for another device by its name; and
        // what was revoked by itself stays so. Any other certificate can come again with its device.
        let sql = "UPDATE credentials SET principal = NULL WHERE principal = $1 AND lookup LIKE 'sha256:%' AND revoked IS NOT NULL";
        self.run(sql, vec![principal.into()]).await?;
        if let Subject::Device(device) = &subject {
            let sql = "SELECT fingerprint FROM certificates WHERE device = $1 AND not_after > $2";
            for row in self.rows(sql.to_owned(), vec![(&**device).into(), self.now.into()]).await? {
                let Ok(digest) = <[u8; 32]>::try_from(get::<Vec<u8>>(&row, 0)?) else { continue };
                let sql = "UPDATE credentials SET principal = NULL, revoked = $3 WHERE principal = $1 AND lookup = $2";
                let lookup = Lookup::Fingerprint(digest).text();
                self.run(sql, vec![principal.into(), lookup.into(), self.now.into()]).await?;
            }
        }
        self.run("DELETE FROM credentials WHERE principal = $1", vec![principal.into()]).await?;
        self.run("DELETE FROM memberships WHERE principal = $1", vec![principal.into()]).await?;
        self.run("DELETE FROM principals WHERE id = $1", vec![principal.into()]).await?;
        self.note(subject, true);
        Ok(())
    }
}

pub(super) fn nobody(kind: Kind, name: &str) -> RecordsError {
    RecordsError::NotFound(format!("there is no {} `{}`", kind.name(), shown(name)))
}

/// What somebody typed, no longer than a line bears, and without characters that a terminal obeys.
pub(super) fn shown(text: &str) -> String {
    text.escape_debug().take(100).collect()
}

/// Names become parts of addresses.
pub(super) fn check_name(what: &str, name: &str) -> Result<(), RecordsError> {
    if is_name(name) {
        return Ok(());
    }
    Err(RecordsError::Invalid(format!(
        "`{}` cannot be the name of a {what}: it has from 1 to 256 bytes, and no `/`, `+`, `#`, control character or `$` at the start",
        shown(name)
    )))
}

/// Groups, each once.
pub(super) fn check_groups(groups: &[Arc<str>]) -> Result<Vec<Arc<str>>, RecordsError> {
    groups.iter().try_for_each(|group| check_name("group", group))?;
    let mut groups = groups.to_vec();
    groups.sort();
    groups.dedup();
    if groups.len() > MOST_GROUPS {
        return Err(RecordsError::Invalid(format!("nobody belongs to more than {MOST_GROUPS} groups")));
    }
    Ok(groups)
}

/// Attributes are a JSON object; `None` if there is nothing in it.
pub(super) fn check_attributes(text: &str) -> Result<Option<&str>, RecordsError> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.len() > MOST_ATTRIBUTES {
        return Err(RecordsError::Invalid(format!("attributes have {MOST_ATTRIBUTES} bytes at most")));
    }
    // PostgreSQL has no texts with a zero in them; written as JSON there is none.
    match serde_json::from_str(text) {
        Ok(serde_json::Value::Object(object)) if !text.contains('\0') => {
            Ok((!object.is_empty()).then_some(text))
        }
        Ok(_) => {
            Err(RecordsError::Invalid("attributes are a JSON object, such as {\"model\":\"x\"}".to_owned()))
        }
        Err(error) => Err(RecordsError::Invalid(format!("attributes are no JSON: {error}"))),
    }
}
