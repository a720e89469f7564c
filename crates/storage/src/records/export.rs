//! Export: the registry as text that an import takes.

use super::connect::error;
use super::import::{ImportFormat, write_groups};
use super::rows::{credential, get, groups, kind_number, name, time};
use super::writer::query;
use super::{Pools, RegistryDatabase};
use serde_json::{Map, Value, json};
use sqlx::AssertSqlSafe;
use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use windrose_event::Secret;
use windrose_identity::{Credential, CredentialSecret, Kind, Lookup, RecordsError, rfc3339};

/// Devices that are read at once.
const BATCH: i64 = 1_000;

/// Columns of an export in CSV, beside those of credentials.
const PLAIN: [&str; 5] = ["id", "owner", "groups", "attributes", "status"];

/// Columns of an export in CSV that are credentials'.
const CREDENTIALS: [&str; 11] = [
    "username",
    "password_hash",
    "scram_sha_256",
    "certificate",
    "certificate_subject",
    "certificate_common_name",
    "certificate_san",
    "psk_identity",
    "psk",
    "api_key_sha256",
    "not_after",
];

/// What an export wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// Lines.
    pub lines: u64,
    /// Credentials that were left out: secrets that were not asked for, one-time codes, and what was revoked or does not go
    /// into the format.
    pub left_out: u64,
}

/// A principal with its credentials.
struct Exported {
    kind: Kind,
    id: Arc<str>,
    owner: Option<Arc<str>>,
    groups: Vec<Arc<str>>,
    attributes: Option<String>,
    revoked: bool,
    credentials: Vec<Credential>,
}

impl RegistryDatabase {
    /// Writes everybody who is in the registry: owners and services first in JSON Lines, only devices in CSV. `secrets`: with
    /// hashes of passwords, keys of SCRAM and pre-shared keys. Waits for it.
    pub fn export(
        &self,
        format: ImportFormat,
        output: &mut dyn Write,
        secrets: bool,
    ) -> Result<ExportReport, RecordsError> {
        let cannot_write =
            |error: std::io::Error| RecordsError::Invalid(format!("it cannot be written: {error}"));
        let mut report = ExportReport::default();
        let kinds: &[Kind] = match format {
            ImportFormat::Csv => &[Kind::Device],
            ImportFormat::JsonLines => &[Kind::Owner, Kind::Service, Kind::Device],
        };
        let mut csv = csv::Writer::from_writer(Vec::new());
        let no_csv = |error: csv::Error| RecordsError::Invalid(error.to_string());
        if format == ImportFormat::Csv {
            csv.write_record(PLAIN.iter().chain(&CREDENTIALS)).map_err(no_csv)?;
        }
        for kind in kinds {
            let mut after = String::new();
            loop {
                let pools = self.pools.clone();
                let task = self.handle.spawn(read(pools, *kind, after));
                let closed = |_| RecordsError::Unavailable("it is being closed".to_owned());
                let batch = self.handle.block_on(task).map_err(closed)??;
                let Some(last) = batch.last() else { break };
                after = last.id.to_string();
                for one in batch {
                    report.lines += 1;
                    match format {
                        ImportFormat::JsonLines => {
                            let line = one.json(secrets, &mut report.left_out);
                            writeln!(output, "{line}").map_err(cannot_write)?;
                        }
                        ImportFormat::Csv => {
                            csv.write_record(one.columns(secrets, &mut report.left_out)).map_err(no_csv)?;
                        }
                    }
                }
                if format == ImportFormat::Csv {
                    csv.flush().map_err(cannot_write)?;
                    output.write_all(csv.get_ref()).map_err(cannot_write)?;
                    csv = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
                }
            }
        }
        csv.flush().map_err(cannot_write)?;
        output.write_all(csv.get_ref()).and_then(|()| output.flush()).map_err(cannot_write)?;
        Ok(report)
    }
}

async fn read(pools: Pools, kind: Kind, after: String) -> Result<Vec<Exported>, RecordsError> {
    let sql = "SELECT p.id, p.name, o.name, \
         (SELECT string_agg(m.name, '\n' ORDER BY m.name) FROM memberships m WHERE m.principal = p.id), \
         p.attributes, p.revoked FROM principals p LEFT JOIN principals o ON o.id = p.owner \
         WHERE p.kind = $1 AND p.name > $2 ORDER BY p.name LIMIT $3";
    let binds = vec![kind_number(kind).into(), after.into(), BATCH.into()];
    let rows = query(sql, binds).fetch_all(&pools.read).await.map_err(error)?;
    let mut batch = Vec::with_capacity(rows.len());
    let mut places = HashMap::with_capacity(rows.len());
    for row in &rows {
        places.insert(get::<i64>(row, 0)?, batch.len());
        batch.push(Exported {
            kind,
            id: name(row, 1)?.unwrap_or_default(),
            owner: name(row, 2)?,
            groups: groups(row, 3)?,
            attributes: get(row, 4)?,
            revoked: time(row, 5)?.is_some(),
            credentials: Vec::new(),
        });
    }
    if batch.is_empty() {
        return Ok(batch);
    }
    let list = super::writer::placeholders(0, places.len());
    let sql = format!(
        "SELECT principal, id, lookup, kind, secret, not_before, not_after, used, revoked FROM credentials \
         WHERE principal IN ({list}) ORDER BY id"
    );
    let binds = places.keys().map(|id| (*id).into()).collect();
    for row in query(AssertSqlSafe(sql), binds).fetch_all(&pools.read).await.map_err(error)? {
        let place = places.get(&get::<i64>(&row, 0)?).and_then(|place| batch.get_mut(*place));
        if let (Some(exported), Some(credential)) = (place, credential(&row, 1)?) {
            exported.credentials.push(credential);
        }
    }
    Ok(batch)
}

/// The texts of a credential, by their names in an import; `None` if it is left out.
fn texts(credential: &Credential, secrets: bool) -> Option<Vec<(&'static str, String)>> {
    let text = |secret: &Secret| String::from_utf8(secret.reveal().to_vec()).ok();
    let digest = |lookup: &Lookup| lookup.text().split_once(':').map(|(_, digest)| digest.to_owned());
    if credential.revoked {
        return None;
    }
    let mut texts = match (&credential.lookup, &credential.secret) {
        (Lookup::Username(name), CredentialSecret::PasswordHash(hash)) if secrets => {
            vec![("username", name.clone()), ("password_hash", text(hash)?)]
        }
        (Lookup::Scram(name), CredentialSecret::ScramKeys(keys)) if secrets => {
            vec![("username", name.clone()), ("scram_sha_256", text(keys)?)]
        }
        (Lookup::Psk(identity), CredentialSecret::Psk(key)) if secrets => {
            let key = digest(&Lookup::Psk(key.reveal().to_vec()))?;
            vec![("psk_identity", String::from_utf8(identity.clone()).ok()?), ("psk", key)]
        }
        (lookup @ Lookup::Fingerprint(_), _) => vec![("certificate", digest(lookup)?)],
        (Lookup::Subject(subject), _) => vec![("certificate_subject", subject.clone())],
        (Lookup::CommonName(name), _) => vec![("certificate_common_name", name.clone())],
        (Lookup::AlternativeName(name), _) => vec![("certificate_san", name.clone())],
        (lookup @ Lookup::ApiKey(_), _) => vec![("api_key_sha256", digest(lookup)?)],
        _ => return None,
    };
    texts.extend(credential.not_before.map(|time| ("not_before", rfc3339(time))));
    texts.extend(credential.not_after.map(|time| ("not_after", rfc3339(time))));
    Some(texts)
}

impl Exported {
    fn json(&self, secrets: bool, left_out: &mut u64) -> Value {
        let mut object = Map::new();
        if self.kind != Kind::Device {
            object.insert("kind".to_owned(), json!(self.kind.name()));
        }
        object.insert("id".to_owned(), json!(&*self.id));
        if let Some(owner) = &self.owner {
            object.insert("owner".to_owned(), json!(&**owner));
        }
        if !self.groups.is_empty() {
            object.insert("groups".to_owned(), self.groups.iter().map(|group| json!(&**group)).collect());
        }
        if let Some(attributes) = self.attributes.as_deref().and_then(|text| serde_json::from_str(text).ok())
        {
            object.insert("attributes".to_owned(), attributes);
        }
        if self.revoked {
            object.insert("status".to_owned(), json!("revoked"));
        }
        let known: Vec<_> = self.credentials.iter().filter_map(|its| texts(its, secrets)).collect();
        *left_out += (self.credentials.len() - known.len()) as u64;
        if !known.is_empty() {
            let object_of = |texts: Vec<(&'static str, String)>| -> Value {
                Value::Object(
                    texts.into_iter().map(|(name, text)| (name.to_owned(), Value::String(text))).collect(),
                )
            };
            object.insert("credentials".to_owned(), known.into_iter().map(object_of).collect());
        }
        Value::Object(object)
    }

    /// The values of a line: of each kind of credential one, and none that has an end of its own beside others.
    fn columns(&self, secrets: bool, left_out: &mut u64) -> Vec<String> {
        let mut known: HashMap<&'static str, String> = HashMap::new();
        for credential in &self.credentials {
            let texts = texts(credential, secrets).unwrap_or_default();
            let fits = texts.iter().all(|(name, text)| {
                CREDENTIALS.contains(name)
                    && known.get(name).is_none_or(|known| *name == "username" && known == text)
            });
            let ends = texts.iter().any(|(name, _)| *name == "not_after");
            let alone = known.is_empty() || !ends && !known.contains_key("not_after");
            if !texts.is_empty() && fits && alone {
                known.extend(texts);
            } else {
                *left_out += 1;
            }
        }
        let mut values = vec![
            self.id.to_string(),
            self.owner.as_deref().unwrap_or_default().to_owned(),
            write_groups(&self.groups),
            self.attributes.clone().unwrap_or_default(),
            if self.revoked { "revoked".to_owned() } else { String::new() },
        ];
        values.extend(CREDENTIALS.iter().map(|name| known.remove(name).unwrap_or_default()));
        values
    }
}
