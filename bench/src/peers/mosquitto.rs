//! Eclipse Mosquitto: a broker with one thread.

use super::{Need, Peer, Setup, first_version, write_config};
use crate::Result;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

/// Eclipse Mosquitto, as found on this machine.
pub(crate) struct Mosquitto {
    pub(super) program: PathBuf,
    /// Whether it writes at once. It writes each message by itself, so Nagle's algorithm, which it leaves on by default,
    /// saves it work and costs whoever waits for the message.
    pub(super) nodelay: bool,
}

impl Peer for Mosquitto {
    fn name(&self) -> &'static str {
        if self.nodelay { "mosquitto" } else { "mosquitto-nagle" }
    }

    fn version(&self) -> Result<String> {
        // There is no option for it: the help begins `mosquitto version 2.0.11`.
        first_version(&self.program, &["-h"])
    }

    fn can(&self, need: Need) -> bool {
        use Need::{Coap, Dtls, Forward, Persistence, Registry, Rest, Shards};
        !matches!(need, Forward | Rest | Persistence | Shards | Registry | Coap | Dtls)
    }

    fn command(&self, setup: &Setup) -> Result<Command> {
        let mut text = format!("listener {} {}\n", setup.address.port(), setup.address.ip());
        if setup.websocket {
            text.push_str("protocol websockets\n");
        }
        if let Some(tls) = &setup.tls {
            let (certificate, key) = (tls.certificate.display(), tls.key.display());
            write!(text, "certfile {certificate}\nkeyfile {key}\n")?;
        }
        // Its defaults would hold back a fast subscriber (20 in flight) and drop for a slow one (1000 queued). It gives
        // up root for an account that cannot read the key unless told which one to keep.
        text.push_str(
            "allow_anonymous true\n\
             max_inflight_messages 0\n\
             max_queued_messages 0\n\
             persistence false\n\
             log_type none\n\
             user root\n",
        );
        writeln!(text, "set_tcp_nodelay {}", self.nodelay)?;
        let config = write_config(&setup.folder, "mosquitto.conf", &text)?;
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(config);
        Ok(command)
    }
}
