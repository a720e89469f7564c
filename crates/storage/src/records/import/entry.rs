//! An entry: what one line says of a device, an owner or a service.

use crate::records::acts::{check_attributes, check_credential, check_groups, check_name, shown};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use windrose_event::{Secret, Timestamp};
use windrose_identity::{CredentialSecret, Kind, Lookup, NewCredential, read_rfc3339};

/// Bytes of a password.
const MOST_PASSWORD: usize = 4_096;

/// What one line says.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) id: Arc<str>,
    /// `None`: it does not say.
    pub(super) owner: Option<Arc<str>>,
    /// `None`: it does not say.
    pub(super) groups: Option<Vec<Arc<str>>>,
    /// `None`: it does not say.
    pub(super) attributes: Option<String>,
    /// `None`: it does not say.
    pub(super) revoked: Option<bool>,
    pub(super) credentials: Vec<EntryCredential>,
}

/// A credential of an entry.
#[derive(Debug)]
pub(super) struct EntryCredential {
    pub(super) new: NewCredential,
    /// A password that is not hashed yet.
    pub(super) password: Option<Secret>,
}

/// Texts by the names of columns.
#[derive(Debug)]
pub(super) struct Fields<'f>(pub(super) BTreeMap<&'f str, &'f str>);

impl Fields<'_> {
    /// All columns.
    pub(super) const COLUMNS: &'static [&'static str] = &[
        "id",
        "owner",
        "groups",
        "attributes",
        "status",
        "username",
        "password",
        "password_hash",
        "scram_sha_256",
        "certificate",
        "certificate_subject",
        "certificate_common_name",
        "certificate_san",
        "psk_identity",
        "psk",
        "api_key",
        "api_key_sha256",
        "not_before",
        "not_after",
    ];

    /// Those that are a credential's.
    const OF_CREDENTIAL: std::ops::Range<usize> = 5..19;

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).copied()
    }

    /// The credentials that these texts are. The user name is the id if there is none.
    fn credentials(&self, id: &str) -> Result<Vec<EntryCredential>, String> {
        let time = |name: &str| -> Result<Option<Timestamp>, String> {
            let Some(text) = self.get(name) else { return Ok(None) };
            let wrong = || format!("`{name}` is a time such as 2026-11-21T07:00:00Z");
            read_rfc3339(text).map(Some).ok_or_else(wrong)
        };
        let (not_before, not_after) = (time("not_before")?, time("not_after")?);
        let mut all = Vec::new();
        let mut add = |lookup, secret, password| {
            all.push(EntryCredential {
                new: NewCredential { lookup, secret, not_before, not_after },
                password,
            });
        };
        let secret = |text: &str| Secret::new(text.as_bytes().to_vec());
        let username = self.get("username").unwrap_or(id);
        if let Some(password) = self.get("password") {
            if password.len() > MOST_PASSWORD {
                return Err(format!("a password has {MOST_PASSWORD} bytes at most"));
            }
            add(Lookup::Username(username.to_owned()), CredentialSecret::None, Some(secret(password)));
        }
        if let Some(hash) = self.get("password_hash") {
            add(Lookup::Username(username.to_owned()), CredentialSecret::PasswordHash(secret(hash)), None);
        }
        if let Some(keys) = self.get("scram_sha_256") {
            add(Lookup::Scram(username.to_owned()), CredentialSecret::ScramKeys(secret(keys)), None);
        }
        if let Some(fingerprint) = self.get("certificate") {
            let digits = fingerprint.replace(':', "").to_ascii_lowercase();
            let lookup = Lookup::read(&format!("sha256:{digits}"));
            let lookup = lookup.ok_or("`certificate` is the SHA-256 of a certificate in hex")?;
            add(lookup, CredentialSecret::None, None);
        }
        if let Some(subject) = self.get("certificate_subject") {
            add(Lookup::subject(subject), CredentialSecret::None, None);
        }
        if let Some(name) = self.get("certificate_common_name") {
            add(Lookup::CommonName(name.to_owned()), CredentialSecret::None, None);
        }
        if let Some(name) = self.get("certificate_san") {
            add(Lookup::AlternativeName(name.to_owned()), CredentialSecret::None, None);
        }
        match (self.get("psk_identity"), self.get("psk")) {
            (None, None) => {}
            (identity, Some(key)) => {
                // The digits of one are those of the other: the same reader does.
                let identity = identity.unwrap_or(id).as_bytes().to_vec();
                let Some(Lookup::Psk(key)) = Lookup::read(&format!("psk:{key}")) else {
                    return Err("`psk` is a key in hex".to_owned());
                };
                add(Lookup::Psk(identity), CredentialSecret::Psk(Secret::new(key)), None);
            }
            (Some(_), None) => return Err("`psk_identity` has no `psk`".to_owned()),
        }
        if let Some(key) = self.get("api_key") {
            add(Lookup::api_key(key.as_bytes()), CredentialSecret::None, None);
        }
        if let Some(digest) = self.get("api_key_sha256") {
            let lookup = Lookup::read(&format!("key:{}", digest.to_ascii_lowercase()));
            let lookup = lookup.ok_or("`api_key_sha256` is the SHA-256 of an API key in hex")?;
            add(lookup, CredentialSecret::None, None);
        }
        if all.is_empty() {
            for alone in ["username", "not_before", "not_after"] {
                if self.get(alone).is_some() {
                    return Err(format!("`{alone}` goes with a credential, and there is none"));
                }
            }
        }
        for credential in all.iter().filter(|credential| credential.password.is_none()) {
            check_credential(&credential.new).map_err(|error| error.to_string())?;
        }
        Ok(all)
    }
}

impl Entry {
    /// A device, from the columns of a line.
    pub(super) fn of_fields(fields: &Fields<'_>) -> Result<Self, String> {
        let id = fields.get("id").ok_or("`id` is empty")?;
        let groups = fields.get("groups").map(read_groups).transpose()?;
        let entry = Self {
            kind: Kind::Device,
            id: id.into(),
            owner: fields.get("owner").map(Into::into),
            groups,
            attributes: fields.get("attributes").map(str::to_owned),
            revoked: fields.get("status").map(read_status).transpose()?,
            credentials: fields.credentials(id)?,
        };
        entry.checked()
    }

    /// What an object says.
    pub(super) fn of_json(value: &Value) -> Result<Self, String> {
        let object = value.as_object().ok_or("this is no object")?;
        let text = |name: &str| match object.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(format!("`{name}` is a text")),
        };
        for key in object.keys() {
            if !["kind", "id", "owner", "groups", "attributes", "status", "credentials"]
                .contains(&key.as_str())
            {
                return Err(format!(
                    "there is no `{}`: there are kind, id, owner, groups, attributes, status, credentials",
                    shown(key)
                ));
            }
        }
        let kind = match text("kind")? {
            None | Some("device") => Kind::Device,
            Some("owner") => Kind::Owner,
            Some("service") => Kind::Service,
            Some(other) => return Err(format!("`{}` is not `device`, `owner` or `service`", shown(other))),
        };
        let id = text("id")?.ok_or("`id` is missing")?;
        let groups = match object.get("groups") {
            None | Some(Value::Null) => None,
            Some(value) => Some(texts(value).ok_or("`groups` is a list of texts")?),
        };
        let mut credentials = Vec::new();
        let list = match object.get("credentials") {
            None | Some(Value::Null) => &[],
            Some(value) => value.as_array().ok_or("`credentials` is a list of objects")?.as_slice(),
        };
        for credential in list {
            let object = credential.as_object().ok_or("`credentials` is a list of objects")?;
            let mut fields = BTreeMap::new();
            for (key, value) in object {
                let known = Fields::COLUMNS.get(Fields::OF_CREDENTIAL).unwrap_or_default();
                if !known.contains(&key.as_str()) {
                    let there_are = known.join(", ");
                    return Err(format!("there is no credential `{}`: there are {there_are}", shown(key)));
                }
                fields.insert(key.as_str(), value.as_str().ok_or_else(|| format!("`{key}` is a text"))?);
            }
            let these = Fields(fields).credentials(id)?;
            if these.is_empty() {
                return Err("a credential has nothing in it".to_owned());
            }
            credentials.extend(these);
        }
        let entry = Self {
            kind,
            id: id.into(),
            owner: text("owner")?.map(Into::into),
            groups,
            attributes: object.get("attributes").filter(|value| !value.is_null()).map(Value::to_string),
            revoked: text("status")?.map(read_status).transpose()?,
            credentials,
        };
        entry.checked()
    }

    fn checked(mut self) -> Result<Self, String> {
        let why = |error: windrose_identity::RecordsError| error.to_string();
        check_name(self.kind.name(), &self.id).map_err(why)?;
        if let Some(owner) = &self.owner {
            check_name("owner", owner).map_err(why)?;
            if self.kind != Kind::Device {
                return Err("only devices have an owner".to_owned());
            }
        }
        if let Some(groups) = &self.groups {
            self.groups = Some(check_groups(groups).map_err(why)?);
        }
        if let Some(attributes) = &self.attributes {
            check_attributes(attributes).map_err(why)?;
        }
        let mut lookups: Vec<String> = self.credentials.iter().map(|its| its.new.lookup.text()).collect();
        lookups.sort();
        if lookups.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err("two of its credentials are found by the same".to_owned());
        }
        Ok(self)
    }
}

/// Groups in one column: `a;b`, or a JSON list of texts where a name has a `;` in it.
fn read_groups(text: &str) -> Result<Vec<Arc<str>>, String> {
    if text.starts_with('[') {
        let list = serde_json::from_str(text).ok().and_then(|value| texts(&value));
        return list.ok_or_else(|| "`groups` is `a;b`, or a JSON list of texts".to_owned());
    }
    Ok(text.split(';').map(str::trim).filter(|name| !name.is_empty()).map(Into::into).collect())
}

/// What [`read_groups`] reads.
pub(in crate::records) fn write_groups(groups: &[Arc<str>]) -> String {
    let plain = |name: &Arc<str>| !name.contains(';') && !name.starts_with('[') && name.trim() == &**name;
    if groups.iter().all(plain) {
        return groups.join(";");
    }
    groups.iter().map(|name| Value::String(name.to_string())).collect::<Value>().to_string()
}

fn texts(value: &Value) -> Option<Vec<Arc<str>>> {
    value.as_array()?.iter().map(|text| text.as_str().map(Into::into)).collect()
}

/// Whether it is revoked.
fn read_status(text: &str) -> Result<bool, String> {
    match text {
        "active" | "quarantined" | "owner_revoked" => Ok(false),
        "revoked" => Ok(true),
        other => Err(format!("`status` is `active` or `revoked`, not `{}`", shown(other))),
    }
}
