//! Windrose, this workspace's own build or a given program.

use super::{Identity, Need, Peer, Setup, first_version, free_address, psk, write_config};
use crate::Result;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Windrose.
pub(crate) struct Windrose {
    program: PathBuf,
}

impl Windrose {
    /// A program that is already there.
    pub(crate) fn at(program: PathBuf) -> Self {
        Self { program }
    }

    /// The workspace's own, built now in the profile of this program: figures are of the source as it stands.
    pub(crate) fn build(profile: &str) -> Result<Self> {
        // Cargo's name for what goes into the folder `debug`.
        let profile = if profile == "debug" { "dev" } else { profile };
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args(["build", "--quiet", "--package", "windrose", "--profile", profile])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()?;
        if !status.success() {
            return Err("windrose does not build: nothing is measured".into());
        }
        Ok(Self { program: std::env::current_exe()?.with_file_name("windrose") })
    }
}

impl Peer for Windrose {
    fn name(&self) -> &'static str {
        "windrose"
    }

    fn version(&self) -> Result<String> {
        first_version(&self.program, &["version"])
    }

    fn can(&self, _: Need) -> bool {
        true
    }

    fn amqp_prefix(&self) -> &'static str {
        "/queue/"
    }

    fn registry_import(&self, document: &Path, devices: &Path) -> Option<Command> {
        let mut command = Command::new(&self.program);
        command.args(["registry", "import", "--document"]).arg(document).arg(devices);
        Some(command)
    }

    fn command(&self, setup: &Setup) -> Result<Command> {
        let document = write_config(&setup.folder, "windrose.yaml", &document(setup)?)?;
        let mut command = Command::new(&self.program);
        command.arg("run").arg(document).args(["--log", "warn"]);
        Ok(command)
    }
}

/// The document: metrics on and access judged for each event, as anybody would run it.
///
/// Limits are raised where a peer is told to have none, so that neither drops what a subscriber is about to read.
fn document(setup: &Setup) -> Result<String> {
    let mut text = format!(
        "node: {{name: bench, data_dir: '{folder}/data', persistence: {persistence}{shards}}}\n\
         admin: {{bind: '{admin}'}}\n\
         identity: {{anonymous: allow{devices}{identity}}}\n\
         access:\n  - {{who: anyone, may: [publish, subscribe], on: '#'}}\n\
         limits:\n  \
         session_queue_events: {events}\n  \
         session_queue_bytes: {bytes}\n  \
         session_in_flight: 10000\n{many}\
         listeners:\n  - {{name: mqtt, protocol: mqtt, bind: '{address}'{tls}{transport}}}\n",
        folder = setup.folder.display(),
        persistence = if setup.persistence { "on" } else { "off" },
        events = if setup.persistence { 2_000_000 } else { 100_000 },
        bytes = if setup.persistence { 4_u64 << 30 } else { 64 << 20 },
        shards = setup.shards.map(|shards| format!(", shards: {shards}")).unwrap_or_default(),
        many = match (setup.many, setup.coap.flatten()) {
            (true, _) => {
                "  subscriptions_per_session: 1000000\n  retained_events: 2000000\n  retained_bytes: 4GiB\n"
                    .to_owned()
            }
            (false, Some(lifetime)) => format!("  coap_exchange_lifetime: {}s\n", lifetime.as_secs()),
            (false, None) => String::new(),
        },
        devices =
            if setup.psk { format!(", devices: '{}'", devices(setup)?.display()) } else { String::new() },
        identity = setup.identity.as_ref().map(identity).unwrap_or_default(),
        admin = free_address()?,
        address = setup.address,
        transport = if setup.websocket { ", transport: websocket" } else { "" },
        tls = if setup.tls.is_some() { ", tls: edge" } else { "" },
    );
    if setup.amqp {
        writeln!(text, "  - {{name: amqp, protocol: amqp, bind: '{}'}}", setup.address)?;
    }
    if setup.coap.is_some() {
        writeln!(text, "  - {{name: coap, protocol: coap, bind: '{}'}}", setup.address)?;
    }
    if setup.psk {
        writeln!(text, "  - {{name: coaps, protocol: coap, bind: '{}', dtls: psk}}", setup.address)?;
    }
    if let Some(tls) = &setup.tls {
        let (certificate, key) = (tls.certificate.display(), tls.key.display());
        let authority = setup.identity.as_ref().and_then(|identity| identity.authority.as_ref());
        let clients = authority.map(|ca| format!(", client_ca: '{}'", ca.display())).unwrap_or_default();
        write!(text, "tls:\n  edge: {{certificate: '{certificate}', key: '{key}'{clients}}}\n")?;
    }
    if let Some(rest) = &setup.rest {
        write!(
            text,
            "pools:\n  sink:\n    protocol: http\n    members: ['http://{service}/events']\n\
             routes:\n  - {{name: sink, match: 'bench/#', deliver: {{pool: sink}}, acknowledge: {acknowledge}}}\n",
            service = rest.service,
            acknowledge = rest.acknowledge,
        )?;
    }
    Ok(text)
}

/// Devices are found in a database; their tokens and certificates name them.
fn identity(identity: &Identity) -> String {
    if identity.nobody {
        return String::new();
    }
    let tokens = "issuer: bench, audience: windrose, algorithms: [ES256], device: sub, registered: true";
    let mut text = format!(
        ", registry: 'sqlite:{}', tokens: [{{name: bench, keys: '{}', {tokens}}}]",
        identity.registry.display(),
        identity.issuer.display(),
    );
    if let Some(ca) = &identity.authority {
        let authority =
            format!("name: bench, ca: '{}', device: '{{common_name}}', registered: true", ca.display());
        text.push_str(&format!(", certificates: [{{{authority}}}]"));
    }
    text
}

/// The file of the one device that has a key.
fn devices(setup: &Setup) -> Result<PathBuf> {
    let key = write_config(&setup.folder, "bench.key", psk::KEY)?;
    let text = format!(
        "devices:\n  - {{id: bench, credentials: [{{psk_identity: {identity}, psk_file: '{key}'}}]}}\n",
        identity = psk::IDENTITY,
        key = key.display(),
    );
    write_config(&setup.folder, "devices.yaml", &text)
}
