//! libcoap's example server, as found on this machine: one thread, a datagram at a time.

use super::{Need, Peer, Setup};
use crate::Result;
use std::path::PathBuf;
use std::process::Command;

/// `coap-server` without TLS.
pub(crate) struct LibCoap {
    pub(super) program: PathBuf,
}

impl Peer for LibCoap {
    fn name(&self) -> &'static str {
        "libcoap"
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
        matches!(need, Need::Coap)
    }

    fn command(&self, setup: &Setup) -> Result<Command> {
        let mut command = Command::new(&self.program);
        command.args(["-A", &setup.address.ip().to_string(), "-p", &setup.address.port().to_string()]);
        // What is posted to becomes a resource, which keeps the last payload.
        command.args(["-d", "2000", "-v", "0"]);
        Ok(command)
    }
}
