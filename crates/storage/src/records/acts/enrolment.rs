//! Certificates that the authority gives out.

use super::super::writer::{Writer, micros};
use windrose_event::Subject;
use windrose_identity::{
    CodePurpose, CredentialSecret, IssuedCertificate, Kind, Lookup, NewCredential, RecordsError,
};

use super::devices::Ownership;

/// How long a certificate that is over stays in the list of those that were given out: a year.
const KEPT: i64 = 366 * 86_400 * 1_000_000;

impl Writer {
    /// A certificate was made: it is a credential of the device from now on, and the code that it cost is used up.
    pub(in crate::records) async fn issue(
        &mut self,
        device: &str,
        adopt: bool,
        code: Option<&str>,
        certificate: &IssuedCertificate,
    ) -> Result<(), RecordsError> {
        let principal = match self.find(Kind::Device, device).await? {
            Some(principal) => principal,
            None if adopt => {
                let principal = self.add(Kind::Device, device, None, &[], "").await?;
                self.owned(device, Ownership::Added, None, None).await?;
                principal
            }
            None => return Err(super::nobody(Kind::Device, device)),
        };
        self.check_let_in(principal).await?;
        if let Some(code) = code {
            // A code of the document's files has another shape of id: there are none.
            let id = code.parse().map_err(|_| RecordsError::NotFound("there is no such code".to_owned()))?;
            self.use_code(principal, id, CodePurpose::Enrol).await?;
        }
        let credential = NewCredential {
            lookup: Lookup::Fingerprint(certificate.fingerprint),
            secret: CredentialSecret::None,
            not_before: Some(certificate.not_before),
            not_after: Some(certificate.not_after),
        };
        self.add_credential(principal, &credential).await?;
        let sql = "DELETE FROM certificates WHERE device = $1 AND not_after < $2";
        self.run(sql, vec![device.into(), (self.now - KEPT).into()]).await?;
        let sql = "INSERT INTO certificates (fingerprint, issuer, serial, device, not_before, not_after) \
                   VALUES ($1, $2, $3, $4, $5, $6)";
        let binds = vec![
            certificate.fingerprint.as_slice().into(),
            certificate.issuer.as_slice().into(),
            certificate.serial.as_slice().into(),
            device.into(),
            micros(certificate.not_before).into(),
            micros(certificate.not_after).into(),
        ];
        self.run(sql, binds).await?;
        self.note(Subject::Device(device.into()), false);
        Ok(())
    }
}
