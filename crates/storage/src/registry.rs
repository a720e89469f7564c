//! Who somebody is, as the files say.

use crate::api_keys::ApiKeys;
use crate::devices::Devices;
use crate::file::RegistryError;
use crate::passwords;
use crate::scram;
use crate::verified::Verified;
use arc_swap::ArcSwap;
use std::path::Path;
use std::sync::Arc;
use windrose_event::{
    Claim, Conversation, Identity, Pending, Reachable, Refusal, RefusalCause, Registry, Secret, Verdict,
};

/// A registry in two files: devices with their credentials, and API keys.
///
/// Everything that a claim brings is tried in this order: a pre-shared key, a certificate, a user name with a password, an API key.
/// Whoever brings something that is wrong is refused, even where anonymous is allowed; only where there is no file to
/// compare with, and anonymous is allowed, is what somebody brings not looked at. The client identifier of MQTT
/// proves nothing and is not compared with the device's id.
pub struct FileRegistry {
    table: ArcSwap<Table>,
}

/// What the files say, whole. A reload makes a new one and forgets what was verified by the old one.
struct Table {
    devices: Devices,
    api_keys: ApiKeys,
    allow_anonymous: bool,
    /// Nobody could be known: anonymous is allowed and there is no file of devices, so what things say of themselves is
    /// not looked at. For services the same of API keys.
    ignores_devices: bool,
    ignores_api_keys: bool,
    verified: Verified,
}

impl FileRegistry {
    /// Loads the files. `allow_anonymous` lets in who brings no credentials at all.
    pub fn open(
        devices: Option<&Path>,
        api_keys: Option<&Path>,
        allow_anonymous: bool,
    ) -> Result<Self, RegistryError> {
        let table = Table::load(devices, api_keys, allow_anonymous)?;
        Ok(Self { table: ArcSwap::from_pointee(table) })
    }

    /// Loads the files again, whole or not at all: after an error everything is as it was.
    pub fn reload(
        &self,
        devices: Option<&Path>,
        api_keys: Option<&Path>,
        allow_anonymous: bool,
    ) -> Result<(), RegistryError> {
        let table = Table::load(devices, api_keys, allow_anonymous)?;
        self.table.store(Arc::new(table));
        Ok(())
    }

    /// How many devices there are.
    pub fn devices(&self) -> usize {
        self.table.load().devices.identities.len()
    }

    /// How many API keys there are.
    pub fn api_keys(&self) -> usize {
        self.table.load().api_keys.len()
    }
}

impl Registry for FileRegistry {
    fn identify_at_once(&self, claim: &Claim) -> Option<Verdict> {
        let table = self.table.load();
        match table.decide(claim) {
            Decision::Told(verdict) => Some(verdict),
            Decision::Password(login) => table.remembered(&login),
        }
    }

    fn identify(&self, claim: Box<Claim>) -> Pending<Verdict> {
        let table = self.table.load_full();
        Box::pin(async move {
            let asked = tokio::task::spawn_blocking(move || match table.decide(&claim) {
                Decision::Told(verdict) => verdict,
                Decision::Password(login) => table.remembered(&login).unwrap_or_else(|| table.verify(&login)),
            });
            asked.await.unwrap_or_else(|_| {
                let detail = "the registry failed while it answered".to_owned();
                Err(Refusal { cause: RefusalCause::Unavailable, detail })
            })
        })
    }

    fn converse(&self, claim: &Claim) -> Option<Box<dyn Conversation>> {
        let table = self.table.load_full();
        let asks = claim.method.as_ref().is_some_and(|method| method.as_str() == scram::METHOD);
        if !asks || table.devices.scram.is_empty() {
            return None;
        }
        // Without randomness there is no exchange.
        let chance = argon2::password_hash::try_generate_salt().ok()?;
        Some(Box::new(scram::Exchange::new(Box::new(table), &chance)))
    }

    fn methods(&self) -> &'static [&'static str] {
        if self.table.load().devices.scram.is_empty() { &[] } else { &[scram::METHOD] }
    }

    fn psk_at_once(&self, identity: &[u8]) -> Option<Option<Secret>> {
        Some(self.table.load().devices.pre_shared_keys.key(identity))
    }

    fn reachable(&self) -> Vec<Arc<Reachable>> {
        self.table.load().devices.reachable.clone()
    }
}

impl scram::Knows for Arc<Table> {
    fn keys(&self, username: &str) -> (scram::Keys, Option<Identity>) {
        if let Some((device, keys)) = self.devices.scram.get(username) {
            return (keys.clone(), self.devices.identities.get(*device).cloned());
        }
        // The same salt each time, for as long as the files are not loaded again; its keys fit no password.
        let salt = self.verified.mark(username);
        let iterations = self.devices.scram.values().map(|(_, keys)| keys.iterations).next();
        let keys = scram::Keys {
            iterations: iterations.unwrap_or(4_096),
            salt: salt.get(..16).unwrap_or_default().into(),
            stored: salt,
            server: salt,
        };
        (keys, None)
    }
}

/// How a claim is decided.
enum Decision<'c> {
    /// It is.
    Told(Verdict),
    /// By verifying a password.
    Password(Login<'c>),
}

/// A user name and password, and what the files say about the user name.
struct Login<'c> {
    username: &'c str,
    password: &'c [u8],
    /// The device and its hash; `None` if nobody has the user name.
    known: Option<(&'c Identity, &'c str)>,
}

impl Table {
    fn load(
        devices: Option<&Path>,
        api_keys: Option<&Path>,
        allow_anonymous: bool,
    ) -> Result<Self, RegistryError> {
        let mut files = Vec::new();
        let ignores_devices = allow_anonymous && devices.is_none();
        let ignores_api_keys = allow_anonymous && api_keys.is_none();
        let devices = devices.map(Devices::load).transpose().unwrap_or_else(|error| {
            files.push(error);
            None
        });
        let devices = devices.unwrap_or_default();
        let api_keys =
            api_keys.map(|path| ApiKeys::load(path, &devices)).transpose().unwrap_or_else(|error| {
                files.push(error);
                None
            });
        match files.is_empty() {
            true => Ok(Self {
                devices,
                api_keys: api_keys.unwrap_or_default(),
                allow_anonymous,
                ignores_devices,
                ignores_api_keys,
                verified: Verified::new(),
            }),
            false => Err(RegistryError { files }),
        }
    }

    fn decide<'c>(&'c self, claim: &'c Claim) -> Decision<'c> {
        let is_device = claim.certificate.is_some() || claim.username.is_some() || claim.password.is_some();
        if self.ignores_devices && claim.api_key.is_none() && is_device
            || self.ignores_api_keys && claim.api_key.is_some() && !is_device
        {
            return Decision::Told(Ok(Identity::anonymous()));
        }
        if let Some(identity) = &claim.psk_identity {
            let device = self.devices.pre_shared_keys.device(identity.as_str().as_bytes());
            return match device.and_then(|device| self.devices.identities.get(device)) {
                Some(identity) => Decision::Told(Ok(identity.clone())),
                // The handshake knew the identity: the file was loaded again since.
                None => {
                    let detail =
                        format!("no device has the identity {:?} any more", shortened(identity.as_str()));
                    refused(RefusalCause::BadCredentials, detail)
                }
            };
        }
        if let Some(certificate) = &claim.certificate {
            let device = self.devices.certificates.find(certificate);
            if let Some(identity) = device.and_then(|device| self.devices.identities.get(device)) {
                return Decision::Told(Ok(identity.clone()));
            }
            if claim.username.is_none() && claim.api_key.is_none() {
                let detail = format!(
                    "no device has the certificate of {:?}: add it to the device's credentials",
                    shortened(&certificate.subject)
                );
                return refused(RefusalCause::BadCredentials, detail);
            }
        }
        match (&claim.username, &claim.password, &claim.api_key) {
            (Some(username), Some(password), _) => self.login(username.as_str(), password),
            (Some(username), None, None) => {
                let detail =
                    format!("the user name {:?} came without a password", shortened(username.as_str()));
                refused(RefusalCause::BadCredentials, detail)
            }
            (None, Some(_), None) => {
                refused(RefusalCause::BadCredentials, "a password came without a user name".to_owned())
            }
            (_, _, Some(key)) => match self.api_keys.find(key.reveal()) {
                Some(identity) => Decision::Told(Ok(identity.clone())),
                None => refused(RefusalCause::BadCredentials, "nobody has this API key".to_owned()),
            },
            (None, None, None) if self.allow_anonymous => Decision::Told(Ok(Identity::anonymous())),
            (None, None, None) => {
                let detail = "it brought no credentials, and the document says `identity: {anonymous: deny}`";
                refused(RefusalCause::AnonymousDenied, detail.to_owned())
            }
        }
    }

    fn login<'c>(&'c self, username: &'c str, password: &'c Secret) -> Decision<'c> {
        if self.devices.passwords.is_empty() {
            let detail = "no device has a password: the file of devices (`identity.devices`) lists them";
            return refused(RefusalCause::BadCredentials, detail.to_owned());
        }
        let known = self
            .devices
            .passwords
            .get(username)
            .and_then(|(device, hash)| Some((self.devices.identities.get(*device)?, &**hash)));
        Decision::Password(Login { username, password: password.reveal(), known })
    }

    /// The verdict, if the same password was right a moment ago.
    fn remembered(&self, login: &Login<'_>) -> Option<Verdict> {
        let (identity, hash) = login.known?;
        let proof = self.verified.proof(login.username, login.password, hash)?;
        self.verified.knows(&proof).then(|| Ok(identity.clone()))
    }

    /// Verifies the password; for an unknown user name some other hash, so that the time does not tell who is known.
    fn verify(&self, login: &Login<'_>) -> Verdict {
        let username = shortened(login.username);
        let Some((identity, hash)) = login.known else {
            if let Some((_, hash)) = self.devices.passwords.values().next() {
                passwords::verify(login.password, hash);
            }
            return Err(Refusal {
                cause: RefusalCause::BadCredentials,
                detail: format!("no device has the user name {username:?}"),
            });
        };
        if !passwords::verify(login.password, hash) {
            return Err(Refusal {
                cause: RefusalCause::BadCredentials,
                detail: format!("the password for the user name {username:?} is wrong"),
            });
        }
        if let Some(proof) = self.verified.proof(login.username, login.password, hash) {
            self.verified.remember(proof);
        }
        Ok(identity.clone())
    }
}

fn refused<'c>(cause: RefusalCause, detail: String) -> Decision<'c> {
    Decision::Told(Err(Refusal { cause, detail }))
}

/// What a peer said, no longer than a log line bears.
fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests;
