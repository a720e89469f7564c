//! TLS towards the members of pools: whom their certificates must come from.

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use windrose_policy::{HttpVersion, Pool, PoolProtocol};

/// Why a pool's `ca` cannot be used: which pool, which file, and what is wrong with it.
#[derive(Debug)]
pub struct ClientTlsError {
    /// The pool's name in the document.
    pub pool: Arc<str>,
    /// The file, if it is one that is wrong.
    pub path: Option<PathBuf>,
    /// What is wrong and what to do.
    pub problem: String,
}

impl fmt::Display for ClientTlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pools.{}.ca: ", self.pool)?;
        if let Some(path) = &self.path {
            write!(f, "{}: ", path.display())?;
        }
        f.write_str(&self.problem)
    }
}

impl std::error::Error for ClientTlsError {}

/// The TLS configuration for a pool's `https` or `mqtts` members, its `ca` read by `read`; `None` if it has no such members.
pub fn load_client_tls(
    pool: &Pool,
    read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<Option<Arc<ClientConfig>>, ClientTlsError> {
    if !pool.members.iter().any(|member| member.tls) {
        return Ok(None);
    }
    let failed = |path: Option<&PathBuf>, problem: String| ClientTlsError {
        pool: Arc::clone(&pool.name),
        path: path.cloned(),
        problem,
    };
    let pem = match &pool.ca {
        None => None,
        Some(path) => {
            Some(read(path).map_err(|error| failed(Some(path), format!("cannot be read: {error}")))?)
        }
    };
    let roots = roots(pem.as_deref()).map_err(|problem| failed(pool.ca.as_ref(), problem))?;
    let mut config = client_config(roots).map_err(|error| failed(None, error.to_string()))?;
    config.alpn_protocols = match pool.http_version {
        _ if pool.protocol != PoolProtocol::Http => Vec::new(),
        HttpVersion::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        HttpVersion::Http1 => vec![b"http/1.1".to_vec()],
        HttpVersion::Http2 => vec![b"h2".to_vec()],
    };
    Ok(Some(Arc::new(config)))
}

/// The authorities in a PEM file; without one, the public ones. The error is what is wrong with the file.
pub(super) fn roots(pem: Option<&[u8]>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(pem) = pem else {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        return Ok(roots);
    };
    for certificate in CertificateDer::pem_slice_iter(pem) {
        certificate
            .map_err(|error| error.to_string())
            .and_then(|certificate| roots.add(certificate).map_err(|error| error.to_string()))
            .map_err(|error| format!("is not a PEM file of certificates: {error}"))?;
    }
    if roots.is_empty() {
        return Err("has no certificate; give the authority's in PEM".to_owned());
    }
    Ok(roots)
}

/// The configuration of clients that trust these authorities and bring no certificate.
pub(super) fn client_config(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    Ok(ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
