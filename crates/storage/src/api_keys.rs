//! The file of API keys: services and owners that call the REST listener.
//!
//! A key is random and has at least 128 bits, so that nobody can guess it and a plain SHA-256 keeps it as safe as a slow
//! hash would; the file holds the digest only.

use crate::devices::{Devices, Shared, check_name, digest};
use crate::file::{FileError, load};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::Path;
use subtle::ConstantTimeEq;
use windrose_event::{Identity, Principal};
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

/// Callers by the digests of their keys.
#[derive(Debug, Default)]
pub(crate) struct ApiKeys(HashMap<[u8; 32], Identity>);

impl ApiKeys {
    /// Reads the file: all of it or nothing. `devices` tells what owners own.
    pub(crate) fn load(path: &Path, devices: &Devices) -> Result<Self, FileError> {
        load(path, |keys: FileKeys, reading| {
            let (mut shared, mut list) = (Shared::default(), HashMap::new());
            for key in keys.api_keys.0.map(|list| list.value).unwrap_or_default() {
                caller(key, devices, &mut shared, &mut list, reading);
            }
            Self(list)
        })
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whose key it is. What the time tells is about the digest, which nobody can choose; the comparison tells nothing.
    pub(crate) fn find(&self, key: &[u8]) -> Option<&Identity> {
        let digest: [u8; 32] = Sha256::digest(key).into();
        let (known, identity) = self.0.get_key_value(&digest)?;
        bool::from(known.ct_eq(&digest)).then_some(identity)
    }
}

fn caller(
    key: Located<KeyKeys>,
    devices: &Devices,
    shared: &mut Shared,
    list: &mut HashMap<[u8; 32], Identity>,
    reading: &mut Reading<'_>,
) {
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
            if list.insert(digest, Identity { principal, groups, owned, proof: None }).is_some() {
                let help = "each caller has a key of its own";
                reading.mistake(&written.at, "this key is there twice").help(help);
            }
        }
    }
}
