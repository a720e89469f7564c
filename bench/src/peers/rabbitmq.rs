//! RabbitMQ with its plugins for MQTT and AMQP 1.0, as a node of its own beside any that the machine may run.

use super::{Need, Peer, Setup, free_address, write_config};
use crate::Result;
use std::path::PathBuf;
use std::process::Command;

/// Where distributions put the script that runs the node in the foreground. The one on `PATH` is a wrapper that changes
/// the account, for the node that the system itself runs.
const SCRIPTS: &[&str] =
    &["/usr/lib/rabbitmq/bin/rabbitmq-server", "/usr/local/lib/rabbitmq/bin/rabbitmq-server"];

/// RabbitMQ, as found on this machine.
pub(crate) struct RabbitMq {
    script: PathBuf,
}

impl RabbitMq {
    /// It, where it is installed.
    pub(super) fn find() -> Option<Self> {
        let script = SCRIPTS.iter().map(PathBuf::from).find(|script| script.is_file())?;
        Some(Self { script })
    }
}

impl Peer for RabbitMq {
    fn name(&self) -> &'static str {
        "rabbitmq"
    }

    fn version(&self) -> Result<String> {
        // The script's own folder is a link into one that is called `rabbitmq_server-3.10.8/sbin`.
        let target = std::fs::canonicalize(&self.script)?;
        let folders = target.ancestors().filter_map(|folder| folder.file_name()?.to_str());
        let version = folders.filter_map(|name| name.strip_prefix("rabbitmq_server-")).next();
        Ok(version.unwrap_or("of unknown version").to_owned())
    }

    fn seconds_to_start(&self) -> f64 {
        12.0
    }

    fn can(&self, need: Need) -> bool {
        matches!(need, Need::Qos1 | Need::Tls | Need::Amqp091 | Need::Amqp1)
    }

    fn amqp_prefix(&self) -> &'static str {
        "/amq/queue/"
    }

    fn command(&self, setup: &Setup) -> Result<Command> {
        let listener = match &setup.tls {
            Some(tls) => format!(
                "listeners.tcp = none\n\
                 mqtt.listeners.tcp = none\n\
                 mqtt.listeners.ssl.1 = {address}\n\
                 ssl_options.cacertfile = {authority}\n\
                 ssl_options.certfile = {certificate}\n\
                 ssl_options.keyfile = {key}\n\
                 ssl_options.verify = verify_none\n",
                address = setup.address,
                authority = tls.authority.display(),
                certificate = tls.certificate.display(),
                key = tls.key.display(),
            ),
            None if setup.amqp => {
                format!("mqtt.listeners.tcp = none\nlisteners.tcp.1 = {}\n", setup.address)
            }
            None => format!("listeners.tcp = none\nmqtt.listeners.tcp.1 = {}\n", setup.address),
        };
        let text = format!(
            "mqtt.allow_anonymous = true\n\
             mqtt.default_user = guest\n\
             mqtt.default_pass = guest\n\
             amqp1_0.default_user = guest\n\
             amqp1_0.default_vhost = /\n\
             mqtt.prefetch = 65535\n\
             mqtt.tcp_listen_options.nodelay = true\n\
             log.file = false\n\
             log.console = false\n\
             {listener}"
        );
        let folder = setup.folder.display();
        let config = write_config(&setup.folder, "rabbitmq.conf", &text)?;
        let plugins = write_config(&setup.folder, "enabled_plugins", "[rabbitmq_mqtt,rabbitmq_amqp1_0].\n")?;
        // Erlang's name service would be started as a daemon that outlives the node, unless it is there already.
        let mut command = Command::new("sh");
        command.args(["-c", "epmd -address 127.0.0.1 & exec \"$0\""]).arg(&self.script);
        command
            .env("HOME", &setup.folder)
            .env("ERL_CRASH_DUMP", format!("{folder}/erl_crash.dump"))
            .env("RABBITMQ_NODENAME", "windrose-bench@localhost")
            .env("RABBITMQ_MNESIA_BASE", format!("{folder}/mnesia"))
            .env("RABBITMQ_LOG_BASE", format!("{folder}/log"))
            .env("RABBITMQ_PID_FILE", format!("{folder}/pid"))
            .env("RABBITMQ_CONF_ENV_FILE", format!("{folder}/none"))
            .env("RABBITMQ_CONFIG_FILE", config)
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", plugins)
            .env("RABBITMQ_DIST_PORT", free_address()?.port().to_string())
            .env("ERL_EPMD_PORT", free_address()?.port().to_string())
            // Its schedulers would spin while they wait, and that would be on its bill.
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+sbwt none +sbwtdcpu none +sbwtdio none");
        Ok(command)
    }
}
