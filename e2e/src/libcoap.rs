//! libcoap's client, which nobody here wrote, in each of its builds.

use crate::clients::Said;
use std::process::{Command, Stdio};

const INSTALL: &str = "install it with `apt-get install libcoap3-bin`";

/// How long it waits for an answer, in seconds.
const PATIENCE: &str = "10";

/// Which library its DTLS is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// OpenSSL.
    OpenSsl,
    /// GnuTLS.
    GnuTls,
}

impl Build {
    /// Both.
    pub const ALL: [Self; 2] = [Self::OpenSsl, Self::GnuTls];

    fn program(self) -> &'static str {
        match self {
            Self::OpenSsl => "coap-client-openssl",
            Self::GnuTls => "coap-client-gnutls",
        }
    }
}

/// Runs `coap-client` to its end: what was answered is its output, errors are on standard error.
pub fn coap_client(build: Build, arguments: &[&str]) -> Said {
    let mut command = Command::new("timeout");
    command.args(["30", build.program(), "-B", PATIENCE]).args(arguments).stdin(Stdio::null());
    let name = build.program();
    let said: Said = command.output().unwrap_or_else(|error| panic!("cannot start {name}: {error}")).into();
    assert_ne!(said.code, 127, "{name} is missing: {INSTALL}");
    said
}
