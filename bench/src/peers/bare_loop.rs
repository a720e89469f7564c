//! The ceiling: a hundred lines on tokio that do nothing but pass messages on.

use super::{Need, Peer, Setup};
use crate::Result;
use crate::helper::Role;
use std::process::Command;

/// [`crate::bare_loop`], in a process of its own.
pub(crate) struct BareLoop;

impl Peer for BareLoop {
    fn name(&self) -> &'static str {
        "bare-loop"
    }

    fn version(&self) -> Result<String> {
        Ok("of this program".to_owned())
    }

    fn is_real(&self) -> bool {
        false
    }

    fn can(&self, need: Need) -> bool {
        need == Need::Coap
    }

    fn command(&self, setup: &Setup) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--role", Role::Loop.name(), "--listen", &setup.address.to_string()]);
        Ok(command)
    }
}
