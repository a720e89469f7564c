//! Whose a device is: claim, transfer, release, and the history of that.

use super::super::rows::{get, name, time};
use super::super::writer::{Writer, now};
use std::sync::Arc;
use windrose_event::Subject;
use windrose_identity::{CodePurpose, Kind, Lookup, RecordsError};

/// What was done to whose a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::records) enum Ownership {
    Added,
    Claimed,
    Transferred,
    Released,
    Removed,
    Imported,
}

impl Ownership {
    const ALL: [Self; 6] =
        [Self::Added, Self::Claimed, Self::Transferred, Self::Released, Self::Removed, Self::Imported];

    /// As the database keeps it.
    pub(in crate::records) fn number(self) -> i64 {
        self as i64
    }

    /// Its name in the APIs.
    pub(in crate::records) fn name(number: i64) -> &'static str {
        match Self::ALL.into_iter().find(|act| act.number() == number) {
            Some(Self::Added) => "added",
            Some(Self::Claimed) => "claimed",
            Some(Self::Transferred) => "transferred",
            Some(Self::Released) => "released",
            Some(Self::Removed) => "removed",
            Some(Self::Imported) => "imported",
            None => "changed",
        }
    }
}

impl Writer {
    /// Writes down whose a device is from now on.
    pub(in crate::records) async fn owned(
        &mut self,
        device: &str,
        act: Ownership,
        before: Option<&str>,
        after: Option<&str>,
    ) -> Result<(), RecordsError> {
        let sql = "INSERT INTO ownership (device, number, at, act, before, after, actor) \
                   SELECT $1, COALESCE(MAX(number), 0) + 1, $2, $3, $4, $5, $6 FROM ownership WHERE device = $1";
        let binds = vec![
            device.into(),
            self.now.into(),
            act.number().into(),
            before.into(),
            after.into(),
            self.by.as_str().into(),
        ];
        self.run(sql, binds).await.map(|_| ())
    }

    /// Whose somebody is.
    pub(in crate::records) async fn owner_of(
        &mut self,
        principal: i64,
    ) -> Result<Option<Arc<str>>, RecordsError> {
        let sql = "SELECT o.name FROM principals p JOIN principals o ON o.id = p.owner WHERE p.id = $1";
        match self.row(sql, vec![principal.into()]).await? {
            Some(row) => name(&row, 0),
            None => Ok(None),
        }
    }

    /// A device that is nobody's becomes somebody's.
    pub(in crate::records) async fn claim(
        &mut self,
        device: &str,
        owner: &str,
        code: Option<Lookup>,
    ) -> Result<(), RecordsError> {
        let subject = Subject::Device(device.into());
        let (_, principal) = self.principal(&subject).await?;
        if let Some(code) = code {
            self.use_code_of(principal, &code).await?;
        }
        match self.owner_of(principal).await? {
            Some(its) if *its == *owner => {
                return Err(RecordsError::Conflict(format!("`{device}` is `{its}`'s already")));
            }
            Some(_) => {
                return Err(RecordsError::Conflict(format!(
                    "`{device}` is somebody's: its owner releases or transfers it first"
                )));
            }
            None => {}
        }
        self.give(principal, device, Some(owner)).await?;
        self.owned(device, Ownership::Claimed, None, Some(owner)).await?;
        // Nobody's messages wait for it: whoever is connected goes on, as its owner's from now on.
        self.note(subject, false);
        Ok(())
    }

    /// A device becomes somebody else's, or nobody's.
    pub(in crate::records) async fn transfer(
        &mut self,
        device: &str,
        owner: Option<&str>,
    ) -> Result<(), RecordsError> {
        let subject = Subject::Device(device.into());
        let (_, principal) = self.principal(&subject).await?;
        let before = self.owner_of(principal).await?;
        match (&before, owner) {
            (None, None) => return Err(RecordsError::Conflict(format!("`{device}` is nobody's already"))),
            (Some(its), Some(owner)) if **its == *owner => {
                return Err(RecordsError::Conflict(format!("`{device}` is `{its}`'s already")));
            }
            _ => {}
        }
        // What the last owner has codes for is not his any more.
        let sql = "UPDATE credentials SET revoked = $2 WHERE principal = $1 AND kind IN (4, 5) \
                   AND used IS NULL AND revoked IS NULL";
        self.run(sql, vec![principal.into(), self.now.into()]).await?;
        self.give(principal, device, owner).await?;
        let act = if owner.is_some() { Ownership::Transferred } else { Ownership::Released };
        self.owned(device, act, before.as_deref(), owner).await?;
        if let Some(before) = before {
            self.note(Subject::Owner(before), false);
        }
        // Its messages must not reach the next owner.
        self.note(subject, true);
        Ok(())
    }

    /// Whose a device is according to an import: like [`Writer::claim`] and [`Writer::transfer`], and nothing if it is so already.
    pub(in crate::records) async fn belong(
        &mut self,
        principal: i64,
        device: &str,
        owner: &str,
    ) -> Result<(), RecordsError> {
        match self.owner_of(principal).await? {
            Some(its) if *its == *owner => Ok(()),
            Some(_) => self.transfer(device, Some(owner)).await,
            None => self.claim(device, owner, None).await,
        }
    }

    async fn give(&mut self, principal: i64, device: &str, owner: Option<&str>) -> Result<(), RecordsError> {
        let owner = match owner {
            Some(owner) => {
                let owner = self.owner(owner).await?.0;
                let sql = "SELECT revoked FROM principals WHERE id = $1";
                if self.value(sql, vec![owner.into()]).await?.is_some() {
                    let problem = format!("`{device}` cannot become the device of an owner who is revoked");
                    return Err(RecordsError::Conflict(problem));
                }
                Some(owner)
            }
            None => None,
        };
        self.run("UPDATE principals SET owner = $2 WHERE id = $1", vec![principal.into(), owner.into()])
            .await?;
        Ok(())
    }

    /// Uses up a code for claiming the device, which it has to be for.
    async fn use_code_of(&mut self, principal: i64, code: &Lookup) -> Result<(), RecordsError> {
        let sql = "SELECT id, principal FROM credentials WHERE lookup = $1 AND revoked IS NULL AND kind = 5";
        let row = self.row(sql, vec![code.text().into()]).await?;
        let id = match &row {
            Some(row) if get::<Option<i64>>(row, 1)? == Some(principal) => get(row, 0)?,
            _ => return Err(RecordsError::Conflict("this code is not for claiming that device".to_owned())),
        };
        self.use_code(principal, id, CodePurpose::Claim).await
    }

    /// Uses up a code: whoever is first has it.
    pub(in crate::records) async fn use_code(
        &mut self,
        principal: i64,
        id: i64,
        purpose: CodePurpose,
    ) -> Result<(), RecordsError> {
        let kind = if purpose == CodePurpose::Enrol { 4 } else { 5 };
        let sql = "SELECT used, revoked, not_before, not_after FROM credentials WHERE id = $1 AND principal = $2 AND kind = $3";
        let Some(row) = self.row(sql, vec![id.into(), principal.into(), i64::from(kind).into()]).await?
        else {
            return Err(RecordsError::Conflict(format!(
                "there is no such code for that ({})",
                purpose.name()
            )));
        };
        let problem = if time(&row, 0)?.is_some() {
            "was used already"
        } else if time(&row, 1)?.is_some() {
            "was revoked"
        } else if time(&row, 2)?.is_some_and(|from| from > now()) {
            "is not good yet"
        } else if time(&row, 3)?.is_some_and(|until| until <= now()) {
            "is over"
        } else {
            self.run("UPDATE credentials SET used = $2 WHERE id = $1", vec![id.into(), self.now.into()])
                .await?;
            return Ok(());
        };
        Err(RecordsError::Conflict(format!("this code {problem}: ask for a new one")))
    }

    /// Refuses what is done for a device that is not let in.
    pub(in crate::records) async fn check_let_in(&mut self, principal: i64) -> Result<(), RecordsError> {
        let sql = "SELECT p.revoked, p.quarantined, o.revoked, p.name FROM principals p \
                   LEFT JOIN principals o ON o.id = p.owner WHERE p.id = $1";
        let Some(row) = self.row(sql, vec![principal.into()]).await? else { return Ok(()) };
        let why = match super::super::rows::status(time(&row, 0)?, time(&row, 1)?, time(&row, 2)?) {
            windrose_identity::Status::Active => return Ok(()),
            windrose_identity::Status::Revoked => "is revoked",
            windrose_identity::Status::OwnerRevoked => "has an owner who is revoked",
            windrose_identity::Status::Quarantined { .. } => "is in quarantine",
        };
        let name: String = get(&row, 3)?;
        Err(RecordsError::Conflict(format!("the {} `{name}` {why}", Kind::Device.name())))
    }
}
