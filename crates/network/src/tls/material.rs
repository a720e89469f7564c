//! Certificates by name: loaded whole or not at all, chosen by SNI, replaced without touching connections.

use super::certificate::dns_names;
use super::clients::Clients;
use super::staple::Stapled;
use super::suites::{prefers_chacha, provider};
use crate::dtls::{NamedCertificates, Profile};
use arc_swap::ArcSwap;
use bytes::Bytes;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert, ServerConfig, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Notify;
use windrose_identity::Anchors;
use windrose_policy::{ClientCertificate, Snapshot, TlsProfile, TlsVersion};

/// Why a `tls` entry cannot be used: which entry, which file, and what is wrong with it.
#[derive(Debug)]
pub struct TlsError {
    /// The entry's name in the document.
    pub profile: String,
    /// The file.
    pub path: PathBuf,
    /// What is wrong and what to do.
    pub problem: String,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tls.{}: {}: {}", self.profile, self.path.display(), self.problem)
    }
}

impl std::error::Error for TlsError {}

/// Every `tls` entry's server configuration. Read by each handshake, replaced by each reload.
#[derive(Default)]
pub struct TlsTable {
    entries: ArcSwap<BTreeMap<Arc<str>, Entry>>,
    changed: Notify,
}

#[derive(Clone)]
struct Entry {
    /// Cipher suites are chosen in our order.
    ours: Configs,
    /// They are chosen in the client's order.
    theirs: Configs,
    /// Sessions may be resumed only among configurations that trust the same client authorities.
    trust: [u8; 32],
    ticketer: Arc<dyn ProducesTickets>,
    /// Our own certificates.
    certificates: Vec<Arc<Stapled>>,
    /// The authorities that clients' certificates are verified against.
    authorities: Arc<Anchors>,
    /// The same for DTLS.
    dtls: Arc<Profile>,
}

/// What is agreed on by ALPN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreed {
    /// Nothing: what follows tells.
    Nothing,
    /// HTTP/2 or HTTP/1.1 (RFC 9113 §3.2).
    Http,
    /// CoAP (RFC 8323 §8.2).
    Coap,
}

#[derive(Clone)]
struct Configs {
    plain: Arc<ServerConfig>,
    /// The same, and HTTP's versions are agreed on by ALPN.
    http: Arc<ServerConfig>,
    /// The same, and CoAP is agreed on by ALPN, if the client offers it.
    coap: Arc<ServerConfig>,
}

impl Configs {
    fn new(mut config: ServerConfig, ignore_client_order: bool) -> Self {
        config.ignore_client_order = ignore_client_order;
        let mut http = config.clone();
        http.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut coap = config.clone();
        coap.alpn_protocols = vec![b"coap".to_vec()];
        Self { plain: Arc::new(config), http: Arc::new(http), coap: Arc::new(coap) }
    }
}

/// What serves one client.
pub struct Chosen {
    /// How TLS goes.
    pub config: Arc<ServerConfig>,
    /// What its certificate is verified against.
    pub authorities: Arc<Anchors>,
}

/// A table's next content: made whole first, so that a bad file changes nothing.
pub struct TlsTableUpdate(BTreeMap<Arc<str>, Entry>);

impl TlsTable {
    /// The configuration of an entry for a client that says this, and how ALPN goes (RFC 7301).
    pub fn server(&self, name: &str, hello: &ClientHello<'_>, agreed: Agreed) -> Option<Chosen> {
        let entries = self.entries.load();
        let entry = entries.get(name)?;
        let configs = if prefers_chacha(hello.cipher_suites()) { &entry.theirs } else { &entry.ours };
        let config = Arc::clone(match agreed {
            Agreed::Nothing => &configs.plain,
            Agreed::Http => &configs.http,
            Agreed::Coap => &configs.coap,
        });
        Some(Chosen { config, authorities: Arc::clone(&entry.authorities) })
    }

    /// An entry's certificates for DTLS, and what it asks of clients'.
    pub fn dtls(&self, name: &str) -> Option<Arc<Profile>> {
        self.entries.load().get(name).map(|entry| Arc::clone(&entry.dtls))
    }

    /// Reads everything that the document's `tls` names, by `read`, and checks it. Reports every entry that fails.
    pub fn prepare(
        &self,
        snapshot: &Snapshot,
        read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<TlsTableUpdate, Vec<TlsError>> {
        let before = self.entries.load();
        let mut entries = BTreeMap::new();
        let mut errors = Vec::new();
        for (name, profile) in &snapshot.tls {
            match entry(name, profile, before.get(name), read) {
                Ok(entry) => drop(entries.insert(Arc::clone(name), entry)),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(TlsTableUpdate(entries)) } else { Err(errors) }
    }

    /// From now on, new handshakes use the update.
    pub fn apply(&self, update: TlsTableUpdate) {
        self.entries.store(Arc::new(update.0));
        self.changed.notify_one();
    }

    /// All certificates of ours.
    pub(super) fn stapled(&self) -> Vec<Arc<Stapled>> {
        self.entries.load().values().flat_map(|entry| entry.certificates.iter().cloned()).collect()
    }

    /// Waits until there are others.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

fn entry(
    name: &str,
    profile: &TlsProfile,
    before: Option<&Entry>,
    read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<Entry, TlsError> {
    let fail =
        |path: &Path, problem: String| TlsError { profile: name.to_owned(), path: path.to_owned(), problem };
    let load = |path: &Path| read(path).map_err(|error| fail(path, format!("cannot be read: {error}")));
    let provider = Arc::new(provider());

    let mut resolver = BySni::default();
    let mut named = NamedCertificates::new();
    for files in &profile.certificates {
        let chain = CertificateDer::pem_slice_iter(&load(&files.certificate)?)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| fail(&files.certificate, format!("is not PEM: {error}")))?;
        let Some(leaf) = chain.first() else {
            return Err(fail(&files.certificate, "holds no certificate in PEM form".to_owned()));
        };
        let names = dns_names(leaf);
        let key = PrivateKeyDer::from_pem_slice(&load(&files.key)?)
            .map_err(|error| fail(&files.key, format!("holds no private key in PEM form: {error}")))?;
        let certified = CertifiedKey::from_der(chain, key, &provider).map_err(|error| {
            fail(&files.key, format!("does not go with {}: {error}", files.certificate.display()))
        })?;
        let certified = Arc::new(certified);
        named.push((names.clone(), Arc::clone(&certified)));
        resolver.certificates.push((names, Arc::new(Stapled::new(certified))));
    }

    let versions: &[_] = match profile.min_version {
        TlsVersion::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        TlsVersion::Tls13 => &[&rustls::version::TLS13],
    };
    let nowhere = profile.certificates.first().map(|files| files.certificate.clone()).unwrap_or_default();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(|error| fail(&nowhere, error.to_string()))?;

    let mut trust = Sha256::new();
    let mut clients: Option<Arc<dyn ClientCertVerifier>> = None;
    let mut authorities = Arc::new(Anchors::default());
    let builder = match &profile.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let pem = load(path)?;
            trust.update(&pem);
            let mut roots = RootCertStore::empty();
            let mut ders = Vec::new();
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|error| fail(path, format!("is not PEM: {error}")))?;
                ders.push(Bytes::copy_from_slice(&certificate));
                roots
                    .add(certificate)
                    .map_err(|error| fail(path, format!("holds no usable authority: {error}")))?;
            }
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
            let verifier = match profile.client_certificate {
                ClientCertificate::Required => verifier,
                ClientCertificate::Optional => verifier.allow_unauthenticated(),
            };
            let verifier = verifier.build().map_err(|error| fail(path, error.to_string()))?;
            let verifier: Arc<dyn ClientCertVerifier> = Arc::new(Clients(verifier));
            authorities = Arc::new(Anchors::new(ders));
            clients = Some(Arc::clone(&verifier));
            builder.with_client_cert_verifier(verifier)
        }
    };
    trust.update([u8::from(profile.client_certificate == ClientCertificate::Required)]);
    let trust: [u8; 32] = trust.finalize().into();

    let ticketer = match before.filter(|before| before.trust == trust) {
        Some(before) => Arc::clone(&before.ticketer),
        None => Ticketer::new().map_err(|error| fail(&nowhere, format!("no session tickets: {error}")))?,
    };
    let is_required = profile.client_certificate == ClientCertificate::Required;
    let dtls = Arc::new(Profile::new(named, clients, Arc::clone(&authorities), is_required, trust));
    let certificates = resolver.certificates.iter().map(|(_, certificate)| Arc::clone(certificate)).collect();
    let mut config = builder.with_cert_resolver(Arc::new(resolver));
    config.ticketer = Arc::clone(&ticketer);
    // One ticket is all that a thing with one connection uses.
    config.send_tls13_tickets = 1;
    Ok(Entry {
        ours: Configs::new(config.clone(), true),
        theirs: Configs::new(config, false),
        trust,
        ticketer,
        certificates,
        authorities,
        dtls,
    })
}

/// Chooses a certificate by the name the client asks for; the first one is for those that ask for none known.
#[derive(Debug, Default)]
struct BySni {
    certificates: Vec<(Vec<String>, Arc<Stapled>)>,
}

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name();
        let named = asked.and_then(|asked| {
            self.certificates.iter().find(|(names, _)| names.iter().any(|name| covers(name, asked)))
        });
        named.or(self.certificates.first()).map(|(_, certificate)| certificate.current())
    }
}

/// Whether a certificate's name, perhaps `*.example.org`, is for `asked` (RFC 6125 §6.4.3).
pub(crate) fn covers(name: &str, asked: &str) -> bool {
    match name.strip_prefix("*.") {
        None => name.eq_ignore_ascii_case(asked),
        Some(domain) => asked.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(domain)),
    }
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_wildcard_stands_for_one_label() {
        assert!(covers("*.example.org", "edge.example.org"));
        assert!(!covers("*.example.org", "a.edge.example.org"));
        assert!(!covers("*.example.org", "example.org"));
        assert!(covers("Edge.example.org", "edge.EXAMPLE.org"));
    }
}
