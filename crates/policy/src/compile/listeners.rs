//! `tls`, `listeners` and `admin`: where the node listens and how safely.

use super::{Names, check_name, entries, unknown_name};
use crate::document::{At, Located, Optional, Reading};
use crate::keys::{AdminKeys, CertificateKeys, ListenerKeys, TlsKeys};
use crate::snapshot::{Admin, CertificateFiles, ClientCertificate, Listener, TlsProfile, TlsVersion};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// The entries of `tls`. Those with mistakes have a name all the same, so that listeners may refer to them.
pub(super) struct Tls {
    pub(super) profiles: BTreeMap<Arc<str>, TlsProfile>,
}

pub(super) fn tls(
    section: Optional<Vec<(Located<String>, Located<TlsKeys>)>>,
    reading: &mut Reading<'_>,
) -> Tls {
    let mut profiles = BTreeMap::new();
    for (name, keys) in entries(section) {
        check_name(&name, reading);
        profiles.insert(name.value.as_str().into(), profile(keys.value, &keys.at, reading));
    }
    Tls { profiles }
}

fn profile(keys: TlsKeys, at: &At, reading: &mut Reading<'_>) -> TlsProfile {
    let alone = (keys.certificate.at().cloned(), keys.key.at().cloned());
    let mut certificates = Vec::new();
    match (keys.certificate.get(), keys.key.get()) {
        (Some(certificate), Some(key)) => certificates.push(CertificateFiles { certificate, key }),
        (Some(_), None) => {
            let at = alone.0.as_ref().unwrap_or(at);
            reading.mistake(at, "the certificate has no key").help("add `key: FILE.pem`");
        }
        (None, Some(_)) => {
            let at = alone.1.as_ref().unwrap_or(at);
            reading.mistake(at, "the key has no certificate").help("add `certificate: FILE.pem`");
        }
        (None, None) => {}
    }
    let both = (alone.0.is_some() || alone.1.is_some()).then(|| keys.certificates.at().cloned()).flatten();
    match keys.certificates.0 {
        Some(list) if list.value.is_empty() => {
            reading.mistake(&list.at, "the list of certificates is empty");
        }
        Some(list) => certificates.extend(list.value.into_iter().filter_map(certificate)),
        None if alone == (None, None) => {
            let help = "add `certificate: FILE.pem` and `key: FILE.pem`, or a list: `certificates`";
            reading.mistake(at, "there is no certificate").help(help);
        }
        None => {}
    }
    if let Some(at) = both {
        reading
            .mistake(&at, "`certificates` and `certificate` with `key` are there both")
            .help("put all into the list");
    }
    if let (Some(at), None) = (keys.client_certificate.at(), keys.client_ca.at()) {
        let help = "add `client_ca: FILE.pem`, the authorities that clients' certificates must come from";
        reading.mistake(at, "client certificates cannot be verified without `client_ca`").help(help);
    }
    TlsProfile {
        certificates,
        client_ca: keys.client_ca.get(),
        client_certificate: keys.client_certificate.or(ClientCertificate::Optional),
        min_version: keys.min_version.or(TlsVersion::Tls12),
    }
}

fn certificate(keys: Located<CertificateKeys>) -> Option<CertificateFiles> {
    let file = |located: Located<PathBuf>| located.value;
    Some(CertificateFiles { certificate: file(keys.value.certificate.0?), key: file(keys.value.key.0?) })
}

pub(super) fn listeners(
    admin: Optional<AdminKeys>,
    section: Optional<Vec<Located<ListenerKeys>>>,
    tls: &Tls,
    reading: &mut Reading<'_>,
) -> (Option<Admin>, Vec<Arc<Listener>>) {
    let mut places = Places(Vec::new());
    let mut names = Names(Vec::new());
    let admin = admin.get().and_then(|keys| {
        let bind = keys.bind.0?;
        if !bind.value.ip().is_loopback() && keys.plaintext.0.is_none() {
            let help = "bind it to 127.0.0.1, or write `plaintext: allow` if the network is safe";
            reading.mistake(&bind.at, "the admin API would be in plain text for everybody").help(help);
        }
        places.take("the admin API", &bind, reading);
        Some(Admin { bind: bind.value })
    });
    let listeners = entries(section)
        .into_iter()
        .filter_map(|keys| listener(keys.value, tls, &mut names, &mut places, reading))
        .map(Arc::new)
        .collect();
    (admin, listeners)
}

fn listener(
    keys: ListenerKeys,
    tls: &Tls,
    names: &mut Names,
    places: &mut Places,
    reading: &mut Reading<'_>,
) -> Option<Listener> {
    if let Some(name) = &keys.name.0 {
        names.take("listener", name, reading);
    }
    if let Some(profile) = &keys.tls.0
        && !tls.profiles.contains_key(profile.value.as_str())
    {
        let names = tls.profiles.keys().map(|name| &**name);
        unknown_name("entry of `tls`", &profile.value, &profile.at, names, reading);
    }
    if let (Some(_), Some(plaintext)) = (&keys.tls.0, &keys.plaintext.0) {
        reading
            .mistake(&plaintext.at, "the listener has TLS: nothing is in plain text")
            .help("take `plaintext` out");
    }
    if let Some(bind) = &keys.bind.0 {
        let open = keys.tls.0.is_none() && keys.plaintext.0.is_none() && !bind.value.ip().is_loopback();
        if open {
            let help =
                "add `tls: NAME`, bind it to 127.0.0.1, or write `plaintext: allow` if the network is safe";
            reading.mistake(&bind.at, "without TLS a listener may be on loopback only").help(help);
        }
        let name = keys.name.0.as_ref().map_or("a listener", |name| name.value.0.as_str());
        places.take(name, bind, reading);
    }
    Some(Listener {
        name: keys.name.0?.value.0.into(),
        protocol: keys.protocol.0?.value,
        bind: keys.bind.0?.value,
        tls: keys.tls.get().map(Into::into),
    })
}

/// The addresses that are taken, and by whom.
struct Places(Vec<(SocketAddr, String)>);

impl Places {
    fn take(&mut self, name: &str, bind: &Located<SocketAddr>, reading: &mut Reading<'_>) {
        let address = bind.value;
        let conflict = self.0.iter().find(|(other, _)| {
            let same_family = other.is_ipv4() == address.is_ipv4();
            let overlap =
                other.ip() == address.ip() || other.ip().is_unspecified() || address.ip().is_unspecified();
            address.port() != 0 && other.port() == address.port() && same_family && overlap
        });
        if let Some((other, by)) = conflict {
            let message = format!("port {} is taken by {by} on {other}", address.port());
            reading.mistake(&bind.at, message).help("choose another port");
        }
        self.0.push((address, name.to_owned()));
    }
}
