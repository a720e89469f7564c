//! libcoap's example server, as found on this machine: one thread, a datagram at a time.

use super::{Need, Peer, Setup, psk};
use crate::Result;
use std::path::PathBuf;
use std::process::Command;

/// One of the ways in which it is built.
pub(crate) struct Build {
    name: &'static str,
    pub(super) program: &'static str,
    has_dtls: bool,
}

/// Without DTLS, and with that of a library each.
pub(super) static BUILDS: &[Build] = &[
    Build { name: "libcoap", program: "coap-server-notls", has_dtls: false },
    Build { name: "libcoap-openssl", program: "coap-server-openssl", has_dtls: true },
    Build { name: "libcoap-gnutls", program: "coap-server-gnutls", has_dtls: true },
];

/// `coap-server`.
pub(crate) struct LibCoap {
    pub(super) program: PathBuf,
    pub(super) build: &'static Build,
}

impl Peer for LibCoap {
    fn name(&self) -> &'static str {
        self.build.name
    }

    fn version(&self) -> Result<String> {
        // Its help begins `coap-server-notls v4.3.1 -- a small CoAP implementation`, on standard error.
        let said = Command::new(&self.program).arg("--help").output()?.stderr;
        let said = String::from_utf8_lossy(&said);
        let mut words = said.split_whitespace().filter_map(|word| word.strip_prefix('v'));
        let version = words.find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
        Ok(version.unwrap_or("of unknown version").to_owned())
    }

    fn speaks_mqtt(&self) -> bool {
        false
    }

    fn can(&self, need: Need) -> bool {
        match need {
            // Without DTLS the builds are alike: one takes part.
            Need::Coap => !self.build.has_dtls,
            Need::Dtls => self.build.has_dtls,
            _ => false,
        }
    }

    fn command(&self, setup: &Setup) -> Result<Command> {
        let mut command = Command::new(&self.program);
        // DTLS is at the next port.
        let port = setup.address.port() - u16::from(setup.psk);
        command.args(["-A", &setup.address.ip().to_string(), "-p", &port.to_string()]);
        if setup.psk {
            command.args(["-k", psk::KEY]);
        }
        // What is posted to becomes a resource, which keeps the last payload.
        command.args(["-d", "2000", "-v", "0"]);
        Ok(command)
    }
}
