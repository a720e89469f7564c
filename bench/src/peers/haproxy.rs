//! HAProxy in front of Mosquitto: what one gets who puts a balancer before a broker. Both are on the bill.

use super::mosquitto::Mosquitto;
use super::{Need, Peer, Setup, first_version, free_address, write_config};
use crate::Result;
use std::path::PathBuf;
use std::process::Command;

/// HAProxy and Mosquitto, as found on this machine.
pub(crate) struct HaProxy {
    pub(super) program: PathBuf,
    pub(super) broker: Mosquitto,
}

impl Peer for HaProxy {
    fn name(&self) -> &'static str {
        "haproxy+mosquitto"
    }

    fn version(&self) -> Result<String> {
        Ok(format!("{}+{}", first_version(&self.program, &["-v"])?, self.broker.version()?))
    }

    fn can(&self, need: Need) -> bool {
        // A connection takes two of the files that a process may open.
        matches!(need, Need::Qos1 | Need::Tls | Need::Mqtt5)
    }

    fn command(&self, setup: &Setup) -> Result<Command> {
        let behind = Setup { address: free_address()?, tls: None, ..setup.clone() };
        let broker = self.broker.command(&behind)?;
        let tls = match &setup.tls {
            Some(tls) => {
                // It wants both in one file.
                let both = [&tls.certificate, &tls.key].map(std::fs::read_to_string);
                let [certificate, key] = both;
                let file = write_config(&setup.folder, "both.pem", &format!("{}{}", certificate?, key?))?;
                format!(" ssl crt {}", file.display())
            }
            None => String::new(),
        };
        let cores = std::thread::available_parallelism()?;
        let text = format!(
            "global\n  nbthread {cores}\n\
             defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n  retries 10\n\
             frontend mqtt\n  bind {address}{tls}\n  default_backend broker\n\
             backend broker\n  server mosquitto {broker}\n",
            address = setup.address,
            broker = behind.address,
        );
        let config = write_config(&setup.folder, "haproxy.cfg", &text)?;
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg("proxy=$0 config=$1; shift; \"$@\" & sleep 0.5; exec \"$proxy\" -db -q -f \"$config\"")
            .arg(&self.program)
            .arg(config)
            .arg(broker.get_program())
            .args(broker.get_args());
        Ok(command)
    }
}
