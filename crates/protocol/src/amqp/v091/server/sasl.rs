//! Who is this? Mechanisms of SASL (AMQP 0-9-1 §4.10.1; RFC 4616, 4422, 4505, 7677).

use super::failure::Failure;
use super::{Server, State};
use crate::amqp::v091::codec::{ConnectionSecure, ReplyCode, Table};
use bytes::Bytes;
use std::time::Duration;
use windrose_event::{Claim, Intent, Open, Secret, Text};

const SCRAM: &str = "SCRAM-SHA-256";

impl Server {
    /// The mechanisms that are offered, the best first.
    pub(super) fn mechanisms(&self) -> String {
        let mut names = Vec::with_capacity(5);
        if self.claim.as_ref().is_some_and(|claim| claim.certificate.is_some()) {
            names.push("EXTERNAL");
        }
        if self.config.plain {
            names.extend(["PLAIN", "AMQPLAIN"]);
        }
        if self.config.scram {
            names.push(SCRAM);
        }
        names.push("ANONYMOUS");
        names.join(" ")
    }

    /// connection.start-ok: the client picked a mechanism, and says its first word.
    pub(super) fn authenticate(&mut self, mechanism: &str, response: &[u8]) {
        if !self.mechanisms().split(' ').any(|known| known == mechanism) {
            let text = format!("unsupported authentication mechanism '{mechanism}'");
            return self.unauthenticated(&text);
        }
        let Some(claim) = self.claim.take() else { return };
        let claim = match mechanism {
            "PLAIN" => plain(response).map(|(name, password)| with_password(*claim, name, password)),
            "AMQPLAIN" => amqplain(response).map(|(name, password)| with_password(*claim, name, password)),
            "EXTERNAL" => Some(*claim),
            "ANONYMOUS" => Some(Claim { certificate: None, psk_identity: None, ..*claim }),
            _ => Some(Claim {
                method: Some(Text::from_static(SCRAM)),
                username: scram_name(response),
                response: Some(Secret::new(Bytes::copy_from_slice(response))),
                ..*claim
            }),
        };
        let Some(mut claim) = claim else {
            return self.unauthenticated(&format!("the response is none of {mechanism}"));
        };
        self.user = claim.username.clone();
        if mechanism == "EXTERNAL" {
            let name = claim.certificate.as_ref().and_then(|certificate| certificate.common_name.clone());
            self.user = name.map(Text::from);
        }
        if claim.method.is_some() {
            // The conversation says who it is.
            claim.username = None;
        }
        self.state = State::Asking;
        self.intend(Intent::Open(Box::new(Open {
            protocol: "amqp",
            version: "0-9-1",
            session: None,
            claim,
            resume: false,
            keep: Duration::ZERO,
            window: u16::MAX,
            will: None,
        })));
    }

    fn unauthenticated(&mut self, text: &str) {
        // There is no session yet: nobody is told but the client.
        self.fail(&Failure::new(ReplyCode::ACCESS_REFUSED, text));
    }

    /// The registry asks the client something.
    pub(super) fn challenge(&mut self, data: Option<Bytes>) {
        if self.state != State::Asking {
            return;
        }
        self.state = State::Secure;
        self.say(0, ConnectionSecure { challenge: data.as_deref().unwrap_or_default() });
    }

    /// connection.secure-ok: the client's answer.
    pub(super) fn secure_ok(&mut self, response: &[u8]) {
        self.state = State::Asking;
        let response = Some(Secret::new(Bytes::copy_from_slice(response)));
        self.intend(Intent::Respond { response });
    }
}

fn with_password(claim: Claim, name: &[u8], password: &[u8]) -> Claim {
    Claim {
        username: Text::copy_from_utf8(name).ok(),
        password: Some(Secret::new(Bytes::copy_from_slice(password))),
        ..claim
    }
}

/// Name and password (RFC 4616): whom to act as, who this is, and a password, each after a zero.
fn plain(response: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut parts = response.splitn(3, |byte| *byte == 0);
    let (_, name, password) = (parts.next()?, parts.next()?, parts.next()?);
    std::str::from_utf8(name).ok()?;
    Some((name, password))
}

/// Name and password as AMQP 0-8 had them: a table without its length.
fn amqplain(response: &[u8]) -> Option<(&[u8], &[u8])> {
    let table = Table::read(response).ok()?;
    let (name, password) = (table.get("LOGIN")?.as_str()?, table.get("PASSWORD")?.as_str()?);
    Some((name.as_bytes(), password.as_bytes()))
}

/// The name in SCRAM's first message (RFC 5802 §7): `n,,n=NAME,r=...`.
fn scram_name(response: &[u8]) -> Option<Text> {
    let text = std::str::from_utf8(response).ok()?;
    let name = text.split(',').skip(2).find_map(|part| part.strip_prefix("n="))?;
    Some(Text::from(name.replace("=2C", ",").replace("=3D", "=")))
}
