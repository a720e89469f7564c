//! What stands in the document's files, in memory: looked at before the database.

use crate::{Credential, CredentialSecret, Lookup, Record};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use windrose_event::{Identity, IdentityChange, Reachable, Standing, Subject};

/// What the document's files say, as they were read. A service with several keys may have a record for each.
#[derive(Clone, Debug, Default)]
pub struct FileRecords {
    /// Devices, owners and services.
    pub records: Vec<Record>,
    /// Devices that are servers.
    pub reachable: Vec<Arc<Reachable>>,
    /// Whether there is a file of devices.
    pub has_devices: bool,
    /// Whether there is a file of API keys.
    pub has_api_keys: bool,
}

impl FileRecords {
    /// The record of a device, an owner or a service.
    pub fn record(&self, subject: &Subject) -> Option<&Record> {
        self.records.iter().find(|record| record.subject().as_ref() == Some(subject))
    }

    /// How many devices there are.
    pub fn devices(&self) -> usize {
        self.records.iter().filter(|record| matches!(record.subject(), Some(Subject::Device(_)))).count()
    }

    /// How many API keys there are.
    pub fn api_keys(&self) -> usize {
        let keys = self.records.iter().flat_map(|record| &record.credentials);
        keys.filter(|credential| matches!(credential.lookup, Lookup::ApiKey(_))).count()
    }
}

/// The same, to be found.
#[derive(Debug, Default)]
pub(super) struct Files {
    by_lookup: HashMap<Lookup, Arc<Record>>,
    by_subject: HashMap<Subject, Arc<Record>>,
    /// Services and owners whose keys are in different groups: they have a record for each.
    several: HashSet<Subject>,
    pub(super) reachable: Vec<Arc<Reachable>>,
    pub(super) has_devices: bool,
    pub(super) has_api_keys: bool,
    /// Somebody's hash of a password: what is verified for those whom nobody knows costs the same.
    pub(super) a_hash: Option<Arc<str>>,
    /// How many devices and API keys there are.
    pub(super) counts: (usize, usize),
    /// The iterations of somebody's keys of SCRAM, for the same reason.
    pub(super) iterations: Option<u32>,
}

impl Files {
    pub(super) fn new(read: FileRecords) -> Self {
        let counts = (read.devices(), read.api_keys());
        let FileRecords { records, reachable, has_devices, has_api_keys } = read;
        let mut files = Self { reachable, has_devices, has_api_keys, counts, ..Self::default() };
        for record in records {
            let record = Arc::new(record);
            for credential in &record.credentials {
                match &credential.secret {
                    CredentialSecret::PasswordHash(hash) if files.a_hash.is_none() => {
                        files.a_hash = std::str::from_utf8(hash.reveal()).ok().map(Arc::from);
                    }
                    CredentialSecret::ScramKeys(keys) if files.iterations.is_none() => {
                        files.iterations = super::scram::Keys::of_secret(keys).map(|keys| keys.iterations);
                    }
                    _ => {}
                }
                files.by_lookup.insert(credential.lookup.clone(), Arc::clone(&record));
            }
            if let Some(subject) = record.subject() {
                match files.by_subject.entry(subject) {
                    Entry::Occupied(taken) => {
                        files.several.insert(taken.key().clone());
                    }
                    Entry::Vacant(place) => {
                        place.insert(record);
                    }
                }
            }
        }
        files
    }

    /// Who is found by that.
    pub(super) fn find(&self, lookup: &Lookup) -> Option<&Arc<Record>> {
        self.by_lookup.get(lookup)
    }

    /// Whether anybody has a password.
    pub(super) fn has_passwords(&self) -> bool {
        self.a_hash.is_some()
    }

    /// Who that is.
    pub(super) fn record(&self, subject: &Subject) -> Option<&Arc<Record>> {
        self.by_subject.get(subject)
    }

    /// What live sessions have to follow when these files take the place of `before`.
    pub(super) fn changes_since(&self, before: &Files) -> Vec<IdentityChange> {
        let mut changes = Vec::new();
        let mut ended = HashSet::new();
        for (subject, old) in &before.by_subject {
            let Some(new) = self.by_subject.get(subject) else {
                changes.push(IdentityChange { subject: subject.clone(), standing: Standing::Ended });
                ended.insert(subject.clone());
                continue;
            };
            if new.principal != old.principal {
                // Another owner: what was for the one must not reach the other.
                changes.push(IdentityChange { subject: subject.clone(), standing: Standing::Ended });
                ended.insert(subject.clone());
            } else if self.has_several(before, subject) {
                // Not one thing can be said of all its sessions: see to their credentials below.
            } else if new.groups != old.groups || new.owned != old.owned {
                let now = Identity {
                    principal: new.principal.clone(),
                    groups: Arc::clone(&new.groups),
                    owned: Arc::clone(&new.owned),
                    proof: None,
                };
                changes.push(IdentityChange { subject: subject.clone(), standing: Standing::Is(now.into()) });
            }
        }
        for (lookup, old) in &before.by_lookup {
            if old.subject().is_some_and(|subject| ended.contains(&subject)) {
                continue;
            }
            let Some(was) = old.credentials.iter().find(|credential| credential.lookup == *lookup) else {
                continue;
            };
            let subject = old.subject();
            let several = subject.is_some_and(|subject| self.has_several(before, &subject));
            let is = self.by_lookup.get(lookup).filter(|new| {
                let same = new.groups == old.groups && new.owned == old.owned;
                new.principal == old.principal && (same || !several)
            });
            let is =
                is.and_then(|new| new.credentials.iter().find(|credential| credential.lookup == *lookup));
            if is.is_none_or(|is| !is_same(is, was)) {
                let subject = Subject::Credential(Arc::clone(&was.id));
                changes.push(IdentityChange { subject, standing: Standing::Ended });
            }
        }
        changes
    }

    fn has_several(&self, before: &Files, subject: &Subject) -> bool {
        self.several.contains(subject) || before.several.contains(subject)
    }
}

/// Whether a credential proves what it proved before. Both are the operator's: no need of constant time.
fn is_same(is: &Credential, was: &Credential) -> bool {
    let secret = |credential: &Credential| match &credential.secret {
        CredentialSecret::PasswordHash(secret)
        | CredentialSecret::ScramKeys(secret)
        | CredentialSecret::Psk(secret) => Some(secret.reveal().to_vec()),
        CredentialSecret::None | CredentialSecret::Code { .. } => None,
    };
    secret(is) == secret(was)
}
