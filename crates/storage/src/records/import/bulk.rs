//! Writing many entries with a few statements.

use super::super::rows::{get, kind_number, kind_of, secret_parts};
use super::super::writer::{Bind, Writer, micros};
use super::entry::Entry;
use super::{Existing, ImportOptions, ImportReport, Line};
use crate::records::acts::{Ownership, shown};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use windrose_event::Subject;
use windrose_identity::{Kind, RecordsError};

/// New devices that readers are told of one by one. More of them nobody remembers as unknown for longer than a few seconds.
const MOST_NOTED: usize = 10_000;

/// Values in one statement.
const MOST_BINDS: usize = 8_000;

/// What an import remembers from batch to batch.
#[derive(Debug, Default)]
pub(super) struct Bulk {
    /// Owners that were there before, whose devices are more now.
    owners: BTreeSet<Arc<str>>,
    /// New ones.
    new: Vec<Subject>,
    too_many: bool,
}

/// Rows of one statement.
struct Rows {
    start: &'static str,
    columns: usize,
    binds: Vec<Bind>,
}

impl Rows {
    fn new(start: &'static str, columns: usize) -> Self {
        Self { start, columns, binds: Vec::new() }
    }

    async fn write(self, writer: &mut Writer) -> Result<(), RecordsError> {
        let most = MOST_BINDS / self.columns * self.columns;
        let mut binds = self.binds;
        while !binds.is_empty() {
            let rest = binds.split_off(most.min(binds.len()));
            let mut sql = self.start.to_owned();
            for row in 0..binds.len() / self.columns {
                sql.push_str(if row == 0 { " (" } else { ",(" });
                sql.push_str(&writer.places(row * self.columns, self.columns));
                sql.push(')');
            }
            writer.run_made(sql, binds).await?;
            binds = rest;
        }
        Ok(())
    }
}

impl Bulk {
    /// Writes a batch. What is wrong with a line is told, and the line left out.
    pub(super) async fn write(
        &mut self,
        writer: &mut Writer,
        batch: Vec<Line>,
        options: &ImportOptions,
        report: &mut ImportReport,
    ) -> Result<(), RecordsError> {
        let mut known = known(writer, &batch).await?;
        let taken = taken(writer, &batch).await?;
        let mut seen = HashSet::new();
        let mut names = HashSet::new();
        let mut new = Vec::new();
        let mut later = Vec::new();
        for line in batch {
            let Entry { kind, id, credentials, .. } = &line.entry;
            let key = (*kind, id.clone());
            if !names.insert(key.clone()) {
                report.bad(line.number, format!("the {} `{}` is there twice", kind.name(), shown(id)));
                continue;
            }
            let existing = known.get(&key).copied();
            if existing.is_some() {
                match options.existing {
                    Existing::Fail => {
                        report.bad(line.number, format!("there is another {} `{}`", kind.name(), shown(id)));
                        continue;
                    }
                    Existing::Skip => {
                        report.skipped += 1;
                        continue;
                    }
                    Existing::Update => {}
                }
            }
            let theirs =
                credentials.iter().map(|credential| credential.new.lookup.text()).find_map(|lookup| {
                    match taken.get(&lookup) {
                        Some((principal, whose)) if *principal != existing || existing.is_none() => {
                            Some(whose.clone())
                        }
                        _ => (!seen.insert(lookup)).then(|| "another line's".to_owned()),
                    }
                });
            if let Some(whose) = theirs {
                report.bad(line.number, format!("one of its credentials is {whose} already"));
                continue;
            }
            match existing {
                Some(principal) => later.push((principal, line)),
                None => new.push(line.entry),
            }
        }
        report.added += new.len() as u64;
        self.add(writer, &mut known, new).await?;
        for (principal, line) in later {
            let number = line.number;
            match self.update(writer, principal, line.entry).await {
                Ok(()) => report.updated += 1,
                Err(error @ RecordsError::Unavailable(_)) => return Err(error),
                Err(error) => report.bad(number, error.to_string()),
            }
        }
        Ok(())
    }

    /// New ones.
    async fn add(
        &mut self,
        writer: &mut Writer,
        known: &mut HashMap<(Kind, Arc<str>), i64>,
        new: Vec<Entry>,
    ) -> Result<(), RecordsError> {
        let mut principals =
            Rows::new("INSERT INTO principals (id, kind, name, owner, revoked, attributes, added) VALUES", 7);
        let mut memberships = Rows::new("INSERT INTO memberships (principal, name) VALUES", 2);
        let mut credentials = Rows::new(
            "INSERT INTO credentials (id, principal, lookup, kind, secret, not_before, not_after, added) VALUES",
            8,
        );
        let mut ownership =
            Rows::new("INSERT INTO ownership (device, number, at, act, before, after, actor) VALUES", 7);
        let ids: Vec<&Arc<str>> =
            new.iter().filter(|entry| entry.kind == Kind::Device).map(|entry| &entry.id).collect();
        let numbers = numbers(writer, &ids).await?;
        let now = writer.now;
        // Owners first: devices refer to them. One that has a line of its own in this batch is that line's.
        let mut entries: Vec<Entry> = Vec::with_capacity(new.len());
        let (devices, others): (Vec<_>, Vec<_>) =
            new.into_iter().partition(|entry| entry.kind == Kind::Device);
        entries.extend(others);
        let mut made: HashSet<Arc<str>> =
            entries.iter().filter(|entry| entry.kind == Kind::Owner).map(|entry| entry.id.clone()).collect();
        for owner in devices.iter().filter_map(|entry| entry.owner.as_ref()) {
            if !known.contains_key(&(Kind::Owner, owner.clone())) && made.insert(owner.clone()) {
                entries.push(Entry {
                    kind: Kind::Owner,
                    id: owner.clone(),
                    owner: None,
                    groups: None,
                    attributes: None,
                    revoked: None,
                    credentials: Vec::new(),
                });
            }
        }
        entries.extend(devices);
        for entry in entries {
            let Entry { kind, id, owner, groups, attributes, revoked, credentials: its } = entry;
            let principal = writer.new_id().await?;
            known.insert((kind, id.clone()), principal);
            let owner_id = owner.as_ref().and_then(|owner| known.get(&(Kind::Owner, owner.clone())).copied());
            if let Some(owner) = &owner
                && !made.contains(owner)
            {
                self.owners.insert(owner.clone());
            }
            principals.binds.extend([
                principal.into(),
                kind_number(kind).into(),
                (&*id).into(),
                owner_id.into(),
                revoked.filter(|revoked| *revoked).map(|_| now).into(),
                attributes.as_deref().filter(|text| *text != "{}").into(),
                now.into(),
            ]);
            for group in groups.unwrap_or_default() {
                memberships.binds.extend([principal.into(), (&*group).into()]);
            }
            for credential in its {
                let (kind, secret) = secret_parts(&credential.new.secret);
                credentials.binds.extend([
                    writer.new_id().await?.into(),
                    principal.into(),
                    credential.new.lookup.text().into(),
                    kind.into(),
                    secret.into(),
                    credential.new.not_before.map(micros).into(),
                    credential.new.not_after.map(micros).into(),
                    now.into(),
                ]);
            }
            if kind == Kind::Device {
                let number = numbers.get(&*id).copied().unwrap_or(0) + 1;
                ownership.binds.extend([
                    (&*id).into(),
                    number.into(),
                    now.into(),
                    Ownership::Imported.number().into(),
                    Bind::Text(None),
                    owner.as_deref().into(),
                    writer.by.as_str().into(),
                ]);
            }
            if self.new.len() < MOST_NOTED {
                self.new.push(kind.subject(&id));
            } else {
                self.too_many = true;
            }
        }
        for rows in [principals, memberships, credentials, ownership] {
            rows.write(writer).await?;
        }
        Ok(())
    }

    /// Readers are told of what is new, at the end.
    pub(super) fn note(self, writer: &mut Writer) {
        if !self.too_many {
            self.new.into_iter().for_each(|subject| writer.note(subject, false));
        }
        self.owners.into_iter().for_each(|owner| writer.note(Subject::Owner(owner), false));
    }

    /// One that was there before becomes what its line says, whole or not at all.
    async fn update(
        &mut self,
        writer: &mut Writer,
        principal: i64,
        entry: Entry,
    ) -> Result<(), RecordsError> {
        let mark = writer.mark().await?;
        match update(writer, principal, entry).await {
            Ok(()) => writer.forget_mark().await,
            Err(error) => {
                writer.back_to(mark).await?;
                Err(error)
            }
        }
    }
}

async fn update(writer: &mut Writer, principal: i64, entry: Entry) -> Result<(), RecordsError> {
    let Entry { kind, id, owner, groups, attributes, revoked, credentials } = entry;
    let subject = kind.subject(&id);
    if let Some(owner) = owner {
        writer.belong(principal, &id, &owner).await?;
    }
    if let Some(groups) = groups {
        writer.set_groups(subject.clone(), &groups).await?;
    }
    if let Some(attributes) = attributes {
        writer.set_attributes(subject.clone(), &attributes).await?;
    }
    for credential in credentials {
        writer.set_credential(principal, &credential.new).await?;
    }
    match revoked {
        Some(true) => writer.revoke(subject, None).await?,
        Some(false) => writer.reinstate(subject).await?,
        None => writer.note(subject, false),
    }
    Ok(())
}

/// Those of the batch, and the owners that it names, who are there already.
async fn known(writer: &mut Writer, batch: &[Line]) -> Result<HashMap<(Kind, Arc<str>), i64>, RecordsError> {
    let mut found = HashMap::new();
    for kind in [Kind::Device, Kind::Owner, Kind::Service] {
        let mut names: Vec<&Arc<str>> = batch
            .iter()
            .flat_map(|Line { entry, .. }| {
                let own = (entry.kind == kind).then_some(&entry.id);
                own.into_iter().chain(entry.owner.as_ref().filter(|_| kind == Kind::Owner))
            })
            .collect();
        names.sort();
        names.dedup();
        if names.is_empty() {
            continue;
        }
        let places = writer.places(0, names.len());
        let number = kind_number(kind);
        let sql =
            format!("SELECT kind, name, id FROM principals WHERE kind = {number} AND name IN ({places})");
        let binds = names.iter().map(|name| Bind::from(&***name)).collect();
        for row in writer.rows(sql, binds).await? {
            if let Some(kind) = kind_of(get(&row, 0)?) {
                found.insert((kind, get::<String>(&row, 1)?.into()), get(&row, 2)?);
            }
        }
    }
    Ok(found)
}

/// Whose the credentials of the batch are already: the key of whose it is, and a word for it.
async fn taken(
    writer: &mut Writer,
    batch: &[Line],
) -> Result<HashMap<String, (Option<i64>, String)>, RecordsError> {
    let lookups: Vec<String> = batch
        .iter()
        .flat_map(|line| line.entry.credentials.iter().map(|credential| credential.new.lookup.text()))
        .collect();
    let mut found = HashMap::new();
    for some in lookups.chunks(MOST_BINDS) {
        let places = writer.places(0, some.len());
        // Two indexes, one of what was revoked and one of what was not: each is asked by itself.
        for which in ["c.revoked IS NULL", "c.revoked IS NOT NULL AND c.principal IS NULL"] {
            let sql = format!(
                "SELECT c.lookup, c.principal, p.name FROM credentials c \
                 LEFT JOIN principals p ON p.id = c.principal WHERE c.lookup IN ({places}) AND {which}"
            );
            for row in writer.rows(sql, some.iter().map(|lookup| lookup.as_str().into()).collect()).await? {
                let whose = match get::<Option<String>>(&row, 2)? {
                    Some(name) => format!("`{name}`'s"),
                    None => "revoked".to_owned(),
                };
                found.insert(get(&row, 0)?, (get(&row, 1)?, whose));
            }
        }
    }
    Ok(found)
}

/// The last numbers in the history of devices that were there once.
async fn numbers(writer: &mut Writer, ids: &[&Arc<str>]) -> Result<HashMap<String, i64>, RecordsError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let places = writer.places(0, ids.len());
    let sql = format!("SELECT device, MAX(number) FROM ownership WHERE device IN ({places}) GROUP BY device");
    let rows = writer.rows(sql, ids.iter().map(|id| Bind::from(&***id)).collect()).await?;
    rows.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?))).collect()
}
