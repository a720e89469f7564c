//! An authority of one's own: a root that is kept apart, what it lets sign for it, and a server's certificate.

use super::issue::{list_url, serial};
use super::signer::{self, Signer};
use super::time::{date_time, now, second};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::fmt::Write;
use std::time::Duration;
use windrose_event::{Secret, Timestamp};
use x509_parser::prelude::{FromDer, X509Certificate};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// How far back they are good: the clocks of things are not ours.
const BEFORE: Duration = DAY;
const ROOT: u32 = 20 * 365;
const ISSUING: u32 = 5 * 365;
/// As long as browsers accept.
const SERVER: u32 = 397;

/// A certificate and its key, both in PEM.
pub struct Named {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: Secret,
}

/// A root: it signs what signs.
pub struct Root {
    issuer: Issuer<'static, KeyPair>,
    not_after: Timestamp,
}

/// What signs for a root.
pub struct Issuing {
    signer: Signer,
    /// Its certificate, in PEM.
    certificate: String,
}

/// A server whose certificate is wanted.
pub struct Server<'a> {
    /// Its names: DNS names and addresses.
    pub names: &'a [String],
    /// Where lists of revocation are, by the base of a URL.
    pub url: Option<&'a str>,
}

impl Root {
    /// A new root.
    ///
    /// # Errors
    /// The sentence that says why there is none.
    pub fn create(name: &str) -> Result<(Self, Named), String> {
        let key = new_key()?;
        let not_after = after(ROOT);
        let mut params = authority(&format!("{name} root"), not_after)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).map_err(|error| cannot("sign a root", &error))?;
        let named = Named { certificate: certificate.pem(), key: secret(&key) };
        Ok((Self { issuer: Issuer::new(params, key), not_after }, named))
    }

    /// A root that was made before, from its certificate and key in PEM.
    ///
    /// # Errors
    /// The sentence that says what is wrong with them.
    pub fn read(certificate: &[u8], key: &[u8]) -> Result<Self, String> {
        let mut chain = signer::read(certificate, key)?;
        let signer = chain.signers.drain(..).next().ok_or("there is no key")?;
        Ok(Self { issuer: signer.issuer, not_after: signer.not_after })
    }

    /// Something new that signs for it.
    ///
    /// # Errors
    /// The sentence that says why there is none.
    pub fn issuing(&self, name: &str) -> Result<(Issuing, Named), String> {
        let key = new_key()?;
        let mut params = authority(name, after(ISSUING).min(self.not_after))?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.use_authority_key_identifier_extension = true;
        let certificate =
            params.signed_by(&key, &self.issuer).map_err(|error| cannot("sign for the root", &error))?;
        let named = Named { certificate: certificate.pem(), key: secret(&key) };
        let mut chain = signer::read(named.certificate.as_bytes(), named.key.reveal())?;
        let signer = chain.signers.drain(..).next().ok_or("there is no key")?;
        Ok((Issuing { signer, certificate: named.certificate.clone() }, named))
    }
}

impl Issuing {
    /// A server's certificate, followed by that of who signed it: what a listener needs.
    ///
    /// # Errors
    /// The sentence that says why there is none.
    pub fn server(&self, server: &Server<'_>) -> Result<Named, String> {
        let key = new_key()?;
        let first = server.names.first().ok_or("a server needs a name")?;
        let mut params = plain(first, after(SERVER).min(self.signer.not_after))?;
        for name in server.names {
            params.subject_alt_names.push(match name.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(
                    name.as_str()
                        .try_into()
                        .map_err(|_| format!("'{name}' is no DNS name and no address"))?,
                ),
            });
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        if let Some(url) = server.url {
            params.crl_distribution_points =
                vec![rcgen::CrlDistributionPoint { uris: vec![list_url(url, &self.signer)] }];
            params.custom_extensions.push(super::issue::information_access(url));
        }
        let certificate =
            params.signed_by(&key, &self.signer.issuer).map_err(|error| cannot("sign a server's", &error))?;
        Ok(Named { certificate: certificate.pem() + &self.certificate, key: secret(&key) })
    }
}

/// The number of the next one that signs, after those in a file: `NAME issuing 2` comes after `NAME issuing 1`.
pub fn next_issuing(name: &str, certificates: &[u8]) -> usize {
    let start = format!("{name} issuing ");
    let number = |der: CertificateDer<'_>| {
        let (_, certificate) = X509Certificate::from_der(&der).ok()?;
        let common = certificate.subject().iter_common_name().next()?.as_str().ok()?.to_owned();
        common.strip_prefix(&start)?.parse::<usize>().ok()
    };
    CertificateDer::pem_slice_iter(certificates).filter_map(Result::ok).filter_map(number).max().unwrap_or(0)
        + 1
}

/// What people want to know of the certificates in a file: a line for each.
///
/// # Errors
/// It holds something that is no certificate.
pub fn shown(certificates: &[u8]) -> Result<String, String> {
    let mut text = String::new();
    for der in CertificateDer::pem_slice_iter(certificates) {
        let der = der.map_err(|error| format!("it is not PEM: {error:?}"))?;
        let (_, certificate) =
            X509Certificate::from_der(&der).map_err(|error| format!("it is no certificate: {error}"))?;
        let validity = certificate.validity();
        let day = |time: x509_parser::time::ASN1Time| {
            let time = time.to_datetime();
            format!("{:04}-{:02}-{:02}", time.year(), u8::from(time.month()), time.day())
        };
        let _ = writeln!(
            text,
            "{}\n  signed by {}\n  good from {} until {}\n  sha256 {}",
            certificate.subject(),
            certificate.issuer(),
            day(validity.not_before),
            day(validity.not_after),
            crate::lookup::hex(&<sha2::Sha256 as sha2::Digest>::digest(&der)),
        );
    }
    Ok(text)
}

fn plain(name: &str, not_after: Timestamp) -> Result<CertificateParams, String> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from_slice(&serial().map_err(|refusal| refusal.detail)?));
    params.not_before = date_time!(second(now() - BEFORE));
    params.not_after = date_time!(not_after);
    Ok(params)
}

fn authority(name: &str, not_after: Timestamp) -> Result<CertificateParams, String> {
    let mut params = plain(name, not_after)?;
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    Ok(params)
}

fn after(days: u32) -> Timestamp {
    second(now() + DAY * days)
}

fn new_key() -> Result<KeyPair, String> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(|error| cannot("make a key", &error))
}

fn secret(key: &KeyPair) -> Secret {
    Secret::new(key.serialize_pem().into_bytes())
}

fn cannot(what: &str, error: &rcgen::Error) -> String {
    format!("cannot {what}: {error}")
}
