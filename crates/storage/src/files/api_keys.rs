//! The file of API keys: services and owners that call the REST listener.
//!
//! A key is random and has at least 128 bits, so that nobody can guess it and a plain SHA-256 keeps it as safe as a slow
//! hash would; the file holds the digest only.

use super::devices::{Devices, Shared, check_name, digest};
use super::file::{FileError, load};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use windrose_event::Principal;
use windrose_identity::{Credential, CredentialSecret, Lookup, Record, Status};
use windrose_policy::document::{Located, Optional, Reading, Required};
use windrose_policy::record;

record! {
    /// Callers of the REST listener.
    pub(crate) struct FileKeys {
        /// The keys and whose they are.
        api_keys: Required<Vec<Located<KeyKeys>>>,
    }
}

record! {
    /// A key of a service or of an owner of devices.
    pub(crate) struct KeyKeys {
        /// The service that calls with it.
        service: Optional<String>,
        /// The owner that calls with it.
        owner: Optional<String>,
        /// The groups that the caller belongs to.
        groups: Optional<Vec<Located<String>>>,
        /// The SHA-256 of the key, in hex.
        key_sha256: Required<String>,
    }
}

/// Reads the file: all of it or nothing. `devices` tells what owners own.
pub(super) fn load_keys(path: &Path, devices: &Devices) -> Result<Vec<Record>, FileError> {
    load(path, |keys: FileKeys, reading| {
        let mut callers =
            Callers { devices, shared: Shared::default(), taken: HashSet::new(), list: Callings::new() };
        for key in keys.api_keys.0.map(|list| list.value).unwrap_or_default() {
            callers.caller(key, reading);
        }
        let mut records: Vec<Record> = callers.list.into_values().collect();
        // In the order of who they are: a reload of the same file gives the same.
        records.sort_by_cached_key(|record| format!("{:?}{:?}", record.principal, record.groups));
        records
    })
}

/// Callers by who they are and what they belong to: one's keys may be in several groups.
type Callings = HashMap<(String, Arc<[Arc<str>]>), Record>;

struct Callers<'d> {
    devices: &'d Devices,
    shared: Shared,
    taken: HashSet<[u8; 32]>,
    list: Callings,
}

impl Callers<'_> {
    fn caller(&mut self, key: Located<KeyKeys>, reading: &mut Reading<'_>) {
        let Self { devices, shared, taken, list } = self;
        let Located { value: keys, at } = key;
        let groups = shared.groups(keys.groups, reading);
        let (principal, owned) = match (keys.service.0, keys.owner.0) {
            (Some(service), None) => {
                check_name("the name of a service", &service, reading);
                (Principal::Service { name: shared.text(service.value) }, Vec::new())
            }
            (None, Some(owner)) => {
                check_name("the id of an owner", &owner, reading);
                let owned = devices.owned.get(owner.value.as_str()).cloned().unwrap_or_default();
                (Principal::Owner { id: shared.text(owner.value) }, owned)
            }
            _ => {
                let help = "write either `service: NAME` or `owner: ID`";
                reading.mistake(&at, "a key is of one service or of one owner").help(help);
                return;
            }
        };
        let owned = shared.list(owned);
        let Some(written) = keys.key_sha256.0 else { return };
        match digest(&written.value) {
            None => {
                let help = "`printf %s \"$KEY\" | sha256sum` prints it";
                reading.mistake(&written.at, "this is not a SHA-256 in hex").help(help);
            }
            Some(digest) => {
                if !taken.insert(digest) {
                    let help = "each caller has a key of its own";
                    reading.mistake(&written.at, "this key is there twice").help(help);
                    return;
                }
                let lookup = Lookup::ApiKey(digest);
                let record = list.entry((format!("{principal:?}"), Arc::clone(&groups))).or_insert(Record {
                    principal,
                    groups,
                    owned,
                    status: Status::Active,
                    credentials: Vec::new(),
                });
                record.credentials.push(Credential {
                    id: lookup.text().into(),
                    lookup,
                    secret: CredentialSecret::None,
                    not_before: None,
                    not_after: None,
                    revoked: false,
                });
            }
        }
    }
}
