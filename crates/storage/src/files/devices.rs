//! The file of devices: who they are, whose they are, and how they prove it.

use super::file::{FileError, load};
use super::pre_shared_keys::read_key;
use super::reachable::reachable;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use windrose_event::{Identity, Principal, Reachable, Secret};
use windrose_identity::{
    Credential, CredentialSecret, Lookup, Record, Status, check_password_hash, check_scram_keys,
};
use windrose_policy::document::{At, Concealed, Located, Optional, Reading, Required};
use windrose_policy::record;

/// The longest identity of a pre-shared key, in bytes.
const MAX_PSK_IDENTITY: usize = 256;

record! {
    /// Devices that may connect.
    pub(crate) struct DevicesKeys {
        /// The devices.
        devices: Required<Vec<Located<DeviceKeys>>>,
    }
}

record! {
    /// A device.
    pub(crate) struct DeviceKeys {
        /// Its identifier, in addresses as `{device}`.
        id: Required<String>,
        /// Whose it is.
        owner: Optional<String>,
        /// The groups that it belongs to.
        groups: Optional<Vec<Located<String>>>,
        /// Where it can be asked, if it is a CoAP server: `coap://10.0.0.5:5683`.
        coap: Optional<String>,
        /// Its resources there: `valve` is asked what is published at `devices/ID/valve`.
        resources: Optional<Vec<Located<String>>>,
        /// How it may prove who it is; any one of these will do.
        credentials: Required<Vec<Located<CredentialKeys>>>,
    }
}

record! {
    /// A way to prove who one is: a password, a certificate, or a pre-shared key.
    pub(crate) struct CredentialKeys {
        /// The user name that goes with the password. Default: the device's id.
        username: Optional<String>,
        /// The password's argon2id hash, as `windrose hash-password` prints it.
        password_hash: Optional<Concealed>,
        /// The keys of its password for SCRAM-SHA-256, as `windrose hash-password --scram` prints them.
        scram_sha_256: Optional<Concealed>,
        /// What its certificate is recognised by.
        certificate: Optional<CertificateKeys>,
        /// The identity that goes with a pre-shared key of DTLS.
        psk_identity: Optional<String>,
        /// The file of the pre-shared key, from this file's folder if relative: the key's bytes, or `hex:` and the bytes in hex.
        psk_file: Optional<PathBuf>,
    }
}

record! {
    /// What a certificate is recognised by: one of these.
    pub(crate) struct CertificateKeys {
        /// Its subject, as RFC 4514 text such as `CN=car-7,O=Cars`.
        subject: Optional<String>,
        /// Its subject's common name.
        common_name: Optional<String>,
        /// One of its subject alternative names: a DNS name, a URI or an e-mail address.
        san: Optional<String>,
        /// The SHA-256 of the certificate's DER, in hex.
        fingerprint: Optional<String>,
    }
}

/// The devices that may connect.
#[derive(Debug, Default)]
pub(crate) struct Devices {
    /// Who they are, and how they prove it.
    pub(crate) records: Vec<Record>,
    /// Devices that are servers.
    pub(crate) reachable: Vec<Arc<Reachable>>,
    /// The ids of the devices of each owner, in ascending order.
    pub(crate) owned: BTreeMap<Arc<str>, Vec<Arc<str>>>,
}

impl Devices {
    /// Reads the file: all of it or nothing.
    pub(crate) fn load(path: &Path) -> Result<Self, FileError> {
        let folder = path.parent().unwrap_or(Path::new(""));
        load(path, |keys: DevicesKeys, reading| Loader::new(folder).devices(keys, reading))
    }
}

/// A name in the registry: it becomes part of addresses, so it cannot hold what has a meaning there.
pub(crate) fn check_name(what: &str, name: &Located<String>, reading: &mut Reading<'_>) {
    let value = name.value.as_str();
    if value.is_empty() || value.len() > 256 {
        reading.mistake(&name.at, format!("{what} has from 1 to 256 bytes"));
    } else if value.starts_with('$')
        || value.contains(|c: char| c.is_control() || matches!(c, '/' | '+' | '#'))
    {
        reading
            .mistake(&name.at, format!("`{}` cannot be {what}", value.escape_debug()))
            .help("it becomes part of addresses: `/`, `+`, `#`, control characters and a `$` at the start have no place");
    }
}

/// Texts that are needed many times are kept once.
#[derive(Default)]
pub(crate) struct Shared {
    texts: HashMap<String, Arc<str>>,
    lists: HashMap<Vec<Arc<str>>, Arc<[Arc<str>]>>,
}

impl Shared {
    pub(crate) fn text(&mut self, text: String) -> Arc<str> {
        self.texts.entry(text).or_insert_with_key(|text| text.as_str().into()).clone()
    }

    pub(crate) fn list(&mut self, list: Vec<Arc<str>>) -> Arc<[Arc<str>]> {
        self.lists.entry(list).or_insert_with_key(|list| list.as_slice().into()).clone()
    }

    /// The names of groups.
    pub(crate) fn groups(
        &mut self,
        keys: Optional<Vec<Located<String>>>,
        reading: &mut Reading<'_>,
    ) -> Arc<[Arc<str>]> {
        let groups = keys.get().unwrap_or_default().into_iter().map(|group| {
            check_name("the name of a group", &group, reading);
            self.text(group.value)
        });
        let groups = groups.collect();
        self.list(groups)
    }
}

struct Loader<'f> {
    /// The folder of the file that is loaded.
    folder: &'f Path,
    devices: Devices,
    shared: Shared,
    ids: HashSet<Arc<str>>,
    /// What credentials are found by: each is one device's.
    taken: HashMap<Lookup, usize>,
}

impl<'f> Loader<'f> {
    fn new(folder: &'f Path) -> Self {
        Self {
            folder,
            devices: Devices::default(),
            shared: Shared::default(),
            ids: HashSet::new(),
            taken: HashMap::new(),
        }
    }

    fn devices(mut self, keys: DevicesKeys, reading: &mut Reading<'_>) -> Devices {
        for device in keys.devices.0.map(|list| list.value).unwrap_or_default() {
            self.device(device.value, reading);
        }
        self.devices.owned.values_mut().for_each(|ids| ids.sort());
        self.devices
    }

    fn device(&mut self, keys: DeviceKeys, reading: &mut Reading<'_>) {
        let Some(id) = keys.id.0 else { return };
        check_name("the id of a device", &id, reading);
        if let Some(owner) = &keys.owner.0 {
            check_name("the id of an owner", owner, reading);
        }
        let at = id.at;
        let id: Arc<str> = id.value.into();
        let owner = keys.owner.get().map(|owner| self.shared.text(owner));
        if !self.ids.insert(id.clone()) {
            reading
                .mistake(&at, format!("there is another device `{id}`"))
                .help("put all credentials into one");
        }
        if let Some(owner) = &owner {
            self.devices.owned.entry(owner.clone()).or_default().push(id.clone());
        }
        let groups = self.shared.groups(keys.groups, reading);
        let owned = self.shared.list(Vec::new());
        let principal = Principal::Device { id: id.clone(), owner };
        let identity = Identity { principal, groups, owned, proof: None };
        self.devices.reachable.extend(reachable(&identity, keys.coap, keys.resources, reading).map(Arc::new));
        let Identity { principal, groups, owned, .. } = identity;
        let credentials = Vec::new();
        self.devices.records.push(Record { principal, groups, owned, status: Status::Active, credentials });
        for credential in keys.credentials.0.map(|list| list.value).unwrap_or_default() {
            self.credential(&id, credential, reading);
        }
    }

    fn credential(&mut self, id: &str, credential: Located<CredentialKeys>, reading: &mut Reading<'_>) {
        let Located { value: keys, at } = credential;
        let kinds = [
            keys.password_hash.at().is_some()
                || keys.username.at().is_some() && keys.scram_sha_256.at().is_none(),
            keys.scram_sha_256.at().is_some(),
            keys.certificate.at().is_some(),
            keys.psk_identity.at().is_some() || keys.psk_file.at().is_some(),
        ];
        if kinds.iter().filter(|kind| **kind).count() != 1 {
            let help = "write `password_hash`, `scram_sha_256`, `certificate` or `psk_identity` with `psk_file`; a list entry for each";
            reading.mistake(&at, "a credential is one way to prove who one is").help(help);
            return;
        }
        if let Some(name) = keys.username.at()
            && keys.password_hash.at().is_none()
            && keys.scram_sha_256.at().is_none()
        {
            let help = "add `password_hash`, as `windrose hash-password` prints it";
            reading.mistake(name, "a user name without a password proves nothing").help(help);
        }
        if keys.psk_identity.at().is_some() != keys.psk_file.at().is_some() {
            reading.mistake(&at, "a pre-shared key has `psk_identity` and `psk_file`");
        }
        if let Some(secret) = keys.scram_sha_256.0 {
            self.scram(keys.username.0, id, &secret, reading);
        } else if let Some(hash) = keys.password_hash.0 {
            self.password(keys.username.0, id, hash, reading);
        }
        if let Some(certificate) = keys.certificate.0 {
            self.certificate(certificate, reading);
        }
        match (keys.psk_identity.0, keys.psk_file.0) {
            (Some(identity), Some(file)) => self.pre_shared_key(identity, &file, reading),
            (None, None) => {}
            _ => {
                let help = "write `psk_identity` and `psk_file`";
                reading.mistake(&at, "a pre-shared key has an identity and a file").help(help);
            }
        }
    }

    /// Adds a credential to the device that is being read; `false`: it is found by what another's is.
    fn add(&mut self, lookup: Lookup, secret: CredentialSecret) -> bool {
        let device = self.devices.records.len();
        let Some(record) = self.devices.records.last_mut() else { return false };
        if self.taken.insert(lookup.clone(), device).is_some() {
            return false;
        }
        let id = lookup.text().into();
        let credential = Credential { id, lookup, secret, not_before: None, not_after: None, revoked: false };
        record.credentials.push(credential);
        true
    }

    fn pre_shared_key(
        &mut self,
        identity: Located<String>,
        file: &Located<PathBuf>,
        reading: &mut Reading<'_>,
    ) {
        let key = match read_key(&self.folder.join(&file.value)) {
            Ok(key) => key,
            Err(problem) => {
                let message = format!("{}: {problem}", file.value.display());
                let help = "it holds the key's bytes (8 to 64), or `hex:` and the bytes in hex: \
                            `printf hex:%s $(openssl rand -hex 16)` makes a good one";
                reading.mistake(&file.at, message).help(help);
                return;
            }
        };
        // What DTLS can carry (RFC 4279 §2), less than anybody needs.
        if identity.value.is_empty() || identity.value.len() > MAX_PSK_IDENTITY {
            let message = format!("the identity of a pre-shared key has from 1 to {MAX_PSK_IDENTITY} bytes");
            reading.mistake(&identity.at, message);
        } else if !self.add(Lookup::Psk(identity.value.as_bytes().to_vec()), CredentialSecret::Psk(key)) {
            let message = format!("the identity `{}` is taken", identity.value.escape_debug());
            reading.mistake(&identity.at, message).help("an identity has one key: choose another identity");
        }
    }

    fn password(
        &mut self,
        username: Option<Located<String>>,
        id: &str,
        hash: Located<Concealed>,
        reading: &mut Reading<'_>,
    ) {
        if let Err(error) = check_password_hash(&hash.value.0) {
            reading.mistake(&hash.at, error.to_string()).help("`windrose hash-password` prints one");
        }
        let (username, at) = match username {
            Some(username) => (username.value, username.at),
            None => (id.to_owned(), hash.at),
        };
        let credential = CredentialSecret::PasswordHash(Secret::new(hash.value.0));
        if !self.add(Lookup::Username(username.clone()), credential) {
            let message = format!("the user name `{}` is taken", username.escape_debug());
            reading.mistake(&at, message).help("a user name has one password: choose another user name");
        }
    }

    fn scram(
        &mut self,
        username: Option<Located<String>>,
        id: &str,
        secret: &Located<Concealed>,
        reading: &mut Reading<'_>,
    ) {
        if let Err(error) = check_scram_keys(&secret.value.0) {
            let help = "`windrose hash-password --scram` prints some";
            reading.mistake(&secret.at, error.to_string()).help(help);
            return;
        }
        let (username, at) = match username {
            Some(username) => (username.value, username.at),
            None => (id.to_owned(), secret.at.clone()),
        };
        let keys = CredentialSecret::ScramKeys(Secret::new(secret.value.0.clone()));
        if !self.add(Lookup::Scram(username.clone()), keys) {
            let message = format!("the user name `{}` is taken", username.escape_debug());
            reading.mistake(&at, message).help("a user name has one password: choose another user name");
        }
    }

    fn certificate(&mut self, keys: Located<CertificateKeys>, reading: &mut Reading<'_>) {
        let Located { value: keys, at } = keys;
        let mut marks: Vec<(Lookup, At)> = Vec::new();
        let mut text = |key: Optional<String>, mark: fn(String) -> Lookup| {
            marks.extend(key.0.map(|text| (mark(text.value), text.at)));
        };
        text(keys.subject, |text| Lookup::subject(&text));
        text(keys.common_name, Lookup::CommonName);
        text(keys.san, Lookup::AlternativeName);
        if let Some(fingerprint) = keys.fingerprint.0 {
            match digest(&fingerprint.value) {
                Some(digest) => marks.push((Lookup::Fingerprint(digest), fingerprint.at)),
                None => {
                    let help = "`openssl x509 -in FILE -noout -fingerprint -sha256` prints one";
                    reading.mistake(&fingerprint.at, "this is not a SHA-256 in hex").help(help);
                    return;
                }
            }
        }
        match marks.pop() {
            Some((mark, at)) if marks.is_empty() => {
                let device = self.devices.records.len();
                let is_anothers = self.taken.get(&mark).is_some_and(|taken| *taken != device);
                if is_anothers {
                    reading.mistake(&at, "this certificate is another device's");
                } else {
                    // Twice the same is of no harm.
                    self.add(mark, CredentialSecret::None);
                }
            }
            _ => {
                let help = "write one of `subject`, `common_name`, `san` and `fingerprint`";
                reading.mistake(&at, "a certificate is recognised by one thing").help(help);
            }
        }
    }
}

/// A SHA-256 in hex; colons between the bytes may stay, as tools print them.
pub(crate) fn digest(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let bytes: Option<Vec<u8>> = digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(nibble(*high)? << 4 | nibble(*low)?),
            _ => None,
        })
        .collect();
    bytes?.try_into().ok()
}
