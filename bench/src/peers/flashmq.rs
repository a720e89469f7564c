//! FlashMQ: a broker with a thread for each core.

use super::{Need, Peer, Setup, first_version, write_config};
use crate::Result;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

/// FlashMQ, as found on this machine.
pub(crate) struct FlashMq {
    pub(super) program: PathBuf,
}

impl Peer for FlashMq {
    fn name(&self) -> &'static str {
        "flashmq"
    }

    fn version(&self) -> Result<String> {
        first_version(&self.program, &["--version"])
    }

    fn can(&self, need: Need) -> bool {
        use Need::{Coap, Dtls, Forward, Persistence, Registry, Rest, Shards};
        !matches!(need, Forward | Rest | Persistence | Shards | Registry | Coap | Dtls)
    }

    fn command(&self, setup: &Setup) -> Result<Command> {
        let mut listener = format!(
            "protocol {protocol}\nport {port}\ninet_protocol ip4\ninet4_bind_address {ip}\ntcp_nodelay true\n",
            protocol = if setup.websocket { "websockets" } else { "mqtt" },
            port = setup.address.port(),
            ip = setup.address.ip(),
        );
        if let Some(tls) = &setup.tls {
            let (certificate, key) = (tls.certificate.display(), tls.key.display());
            write!(listener, "fullchain {certificate}\nprivkey {key}\n")?;
        }
        // It has a thread for each core unless told otherwise, and keeps nothing on disk without a `storage_dir`. Its
        // defaults would drop for a subscriber that is a moment behind: 512 messages, or 64 KiB, with QoS 1; 1 MiB else.
        let text = format!(
            "allow_anonymous true\n\
             log_level error\n\
             quiet true\n\
             max_qos_msg_pending_per_client 65535\n\
             max_qos_bytes_pending_per_client 67108864\n\
             client_max_write_buffer_size 67108864\n\
             listen {{\n{listener}}}\n"
        );
        let config = write_config(&setup.folder, "flashmq.conf", &text)?;
        let mut command = Command::new(&self.program);
        command.arg("--config-file").arg(config);
        Ok(command)
    }
}
