//! A throw-away authority and a server certificate of it, as PEM files that every server reads alike.

use crate::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use std::path::{Path, PathBuf};

/// Where the PEM files are.
#[derive(Clone, Debug)]
pub(crate) struct PemFiles {
    /// What clients trust.
    pub(crate) authority: PathBuf,
    /// The server's certificate (ECDSA P-256) for 127.0.0.1.
    pub(crate) certificate: PathBuf,
    /// Its key.
    pub(crate) key: PathBuf,
}

impl PemFiles {
    /// Makes new ones in a folder.
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        authority.distinguished_name.push(DnType::CommonName, "Windrose bench authority");
        let authority_key = KeyPair::generate()?;
        let authority_pem = authority.self_signed(&authority_key)?.pem();
        let issuer = Issuer::new(authority, authority_key);

        let mut server = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()])?;
        server.distinguished_name.push(DnType::CommonName, "localhost");
        server.key_usages.push(KeyUsagePurpose::DigitalSignature);
        server.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        server.use_authority_key_identifier_extension = true;
        let server_key = KeyPair::generate()?;
        let server_pem = server.signed_by(&server_key, &issuer)?.pem();

        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).map(|()| path)
        };
        Ok(Self {
            authority: write("authority.pem", &authority_pem)?,
            certificate: write("server.pem", &server_pem)?,
            key: write("server.key", &server_key.serialize_pem())?,
        })
    }
}
