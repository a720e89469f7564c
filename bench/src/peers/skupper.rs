//! The Skupper router, which passes messages of AMQP 1.0 on to consumers that are there, and stores nothing.

use super::{Need, Peer, Setup, first_version, write_config};
use crate::Result;
use std::path::PathBuf;
use std::process::Command;

/// `skrouterd`.
pub(crate) struct Skupper {
    pub(super) program: PathBuf,
}

impl Peer for Skupper {
    fn name(&self) -> &'static str {
        "skupper"
    }

    fn version(&self) -> Result<String> {
        first_version(&self.program, &["--version"])
    }

    fn speaks_mqtt(&self) -> bool {
        false
    }

    fn can(&self, need: Need) -> bool {
        matches!(need, Need::Amqp1 | Need::Crowd)
    }

    fn command(&self, setup: &Setup) -> Result<Command> {
        let text = format!(
            "router {{\n  mode: standalone\n  id: bench\n}}\n\
             listener {{\n  host: {host}\n  port: {port}\n  authenticatePeer: no\n  saslMechanisms: ANONYMOUS\n}}\n\
             address {{\n  prefix: bench\n  distribution: balanced\n}}\n\
             log {{\n  module: DEFAULT\n  enable: warning+\n  outputFile: stderr\n}}\n",
            host = setup.address.ip(),
            port = setup.address.port(),
        );
        let config = write_config(&setup.folder, "skrouterd.conf", &text)?;
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(config);
        Ok(command)
    }
}
