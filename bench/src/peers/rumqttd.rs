//! rumqttd: a broker in Rust, whose router is one thread.

use super::{Need, Peer, Setup, first_version, free_address, write_config};
use crate::Result;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

/// rumqttd, as found on this machine.
pub(crate) struct Rumqttd {
    pub(super) program: PathBuf,
}

impl Peer for Rumqttd {
    fn name(&self) -> &'static str {
        "rumqttd"
    }

    fn version(&self) -> Result<String> {
        first_version(&self.program, &["--version"])
    }

    fn can(&self, need: Need) -> bool {
        matches!(need, Need::Qos1 | Need::Tls | Need::Mqtt5)
    }

    fn command(&self, setup: &Setup) -> Result<Command> {
        // A section of its configuration speaks one version.
        let section = if setup.mqtt == 5 { "v5.1" } else { "v4.1" };
        let mut text = format!(
            "id = 0\n\
             [router]\nid = 0\nmax_connections = 20000\nmax_outgoing_packet_count = 200\n\
             max_segment_size = 104857600\nmax_segment_count = 10\n\
             [{section}]\nname = \"mqtt\"\nlisten = \"{address}\"\nnext_connection_delay_ms = 0\n\
             [{section}.connections]\nconnection_timeout_ms = 60000\nmax_payload_size = 1048576\n\
             max_inflight_count = 1000\ndynamic_filters = true\n",
            address = setup.address,
        );
        if let Some(tls) = &setup.tls {
            // Without `capath` it asks no client for a certificate.
            write!(
                text,
                "[{section}.tls]\ncertpath = \"{}\"\nkeypath = \"{}\"\n",
                tls.certificate.display(),
                tls.key.display()
            )?;
        }
        write!(text, "[console]\nlisten = \"{}\"\n", free_address()?)?;
        let config = write_config(&setup.folder, "rumqttd.toml", &text)?;
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(config).arg("--quiet");
        Ok(command)
    }
}
