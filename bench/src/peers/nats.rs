//! NATS: a messaging server that speaks MQTT too, over its streams.

use super::{Need, Peer, Setup, first_version, free_address, write_config};
use crate::Result;
use std::path::PathBuf;
use std::process::Command;

/// nats-server, as found on this machine.
pub(crate) struct Nats {
    pub(super) program: PathBuf,
}

impl Peer for Nats {
    fn name(&self) -> &'static str {
        "nats"
    }

    fn version(&self) -> Result<String> {
        first_version(&self.program, &["--version"])
    }

    fn can(&self, need: Need) -> bool {
        matches!(need, Need::Qos1 | Need::Tls)
    }

    fn command(&self, setup: &Setup) -> Result<Command> {
        let tls = setup.tls.as_ref().map_or(String::new(), |tls| {
            format!(
                "tls {{ cert_file: \"{}\", key_file: \"{}\" }}",
                tls.certificate.display(),
                tls.key.display()
            )
        });
        // MQTT works with its streams only, and those want a folder. `max_pending` is what a slow reader may be behind.
        let text = format!(
            "server_name: bench\n\
             listen: \"{own}\"\n\
             max_connections: 100000\n\
             max_pending: 256MB\n\
             jetstream {{ store_dir: \"{folder}/store\" }}\n\
             mqtt {{ listen: \"{address}\", max_ack_pending: 65535, consumer_memory_storage: true, {tls} }}\n",
            own = free_address()?,
            folder = setup.folder.display(),
            address = setup.address,
        );
        let config = write_config(&setup.folder, "nats.conf", &text)?;
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(config).args(["--log", "/dev/null"]);
        Ok(command)
    }
}
