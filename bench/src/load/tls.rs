//! TLS as the clients of the load generator speak it.

use crate::Result;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;

/// TLS 1.3 with one cipher suite, so that every server has the same work with it: the one that all must have (RFC 8446
/// §9.1). Every handshake is a whole one. `proof`: the client's certificate and key in PEM, if it has some.
pub(super) fn client_config(authority: &Path, proof: Option<&str>) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(
        CertificateDer::from_pem_file(authority)
            .map_err(|error| format!("{}: {error}", authority.display()))?,
    )?;
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256];
    let builder = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots);
    let mut config = match proof {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let chain =
                CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<std::result::Result<_, _>>()?;
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(pem.as_bytes())?)?
        }
    };
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}
