//! nginx, as a proxy of plain HTTP: what it costs to pass a request on, without any MQTT.

use super::{Need, Peer, Setup, write_config};
use crate::Result;
use std::path::PathBuf;
use std::process::Command;

/// nginx, as found on this machine.
pub(crate) struct Nginx {
    pub(super) program: PathBuf,
}

impl Peer for Nginx {
    fn name(&self) -> &'static str {
        "nginx"
    }

    fn version(&self) -> Result<String> {
        // `nginx version: nginx/1.22.1`, on standard error.
        let said = Command::new(&self.program).arg("-v").output()?.stderr;
        let said = String::from_utf8_lossy(&said);
        Ok(said.trim().rsplit('/').next().unwrap_or("of unknown version").to_owned())
    }

    fn speaks_mqtt(&self) -> bool {
        false
    }

    fn can(&self, need: Need) -> bool {
        matches!(need, Need::Forward)
    }

    fn command(&self, setup: &Setup) -> Result<Command> {
        let service = setup.rest.as_ref().ok_or("nginx has nothing to pass on to")?.service;
        let folder = setup.folder.display();
        let cores = std::thread::available_parallelism()?;
        let text = format!(
            "daemon off;\n\
             worker_processes {cores};\n\
             pid {folder}/nginx.pid;\n\
             error_log /dev/null crit;\n\
             events {{ worker_connections 8192; }}\n\
             http {{\n\
             access_log off;\n\
             keepalive_timeout 1h;\n\
             keepalive_requests 1000000000;\n\
             client_body_temp_path {folder}/body;\n\
             proxy_temp_path {folder}/proxy;\n\
             fastcgi_temp_path {folder}/fastcgi;\n\
             uwsgi_temp_path {folder}/uwsgi;\n\
             scgi_temp_path {folder}/scgi;\n\
             upstream sink {{ server {service}; keepalive 4096; keepalive_requests 1000000000; }}\n\
             server {{\n\
             listen {address} backlog=4096;\n\
             location / {{\n\
             proxy_pass http://sink;\n\
             proxy_http_version 1.1;\n\
             proxy_set_header Connection \"\";\n\
             }}\n}}\n}}\n",
            address = setup.address,
        );
        let config = write_config(&setup.folder, "nginx.conf", &text)?;
        let mut command = Command::new(&self.program);
        command.arg("-p").arg(&setup.folder).arg("-e").arg("/dev/null").arg("-c").arg(config);
        Ok(command)
    }
}
