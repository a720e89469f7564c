//! NanoMQ: a broker with many threads. Written after its manual and never run: nobody here has had it installed.

use super::{Need, Peer, Setup, first_version, write_config};
use crate::Result;
use std::path::PathBuf;
use std::process::Command;

/// NanoMQ, as found on this machine.
pub(crate) struct NanoMq {
    pub(super) program: PathBuf,
}

impl Peer for NanoMq {
    fn name(&self) -> &'static str {
        "nanomq"
    }

    fn version(&self) -> Result<String> {
        first_version(&self.program, &["--version"])
    }

    fn can(&self, need: Need) -> bool {
        matches!(need, Need::Qos1 | Need::Tls | Need::Mqtt5 | Need::Crowd)
    }

    fn command(&self, setup: &Setup) -> Result<Command> {
        let listener = match &setup.tls {
            Some(tls) => format!(
                "listeners.ssl {{\n  bind = \"{}\"\n  certfile = \"{}\"\n  keyfile = \"{}\"\n}}\n",
                setup.address,
                tls.certificate.display(),
                tls.key.display()
            ),
            None => format!("listeners.tcp {{\n  bind = \"{}\"\n}}\n", setup.address),
        };
        let text = format!(
            "mqtt {{\n  max_mqueue_len = 65535\n  max_packet_size = 1MB\n}}\n\
             {listener}\
             auth {{\n  allow_anonymous = true\n}}\n\
             log {{\n  to = []\n}}\n"
        );
        let config = write_config(&setup.folder, "nanomq.conf", &text)?;
        let mut command = Command::new(&self.program);
        command.args(["start", "--conf"]).arg(config);
        Ok(command)
    }
}
