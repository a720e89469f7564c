//! The document changes under load, again and again: nothing may be lost, nobody disconnected, and nothing take longer.

use super::{Column, Conditions, Measure, Sample};
use crate::Result;
use crate::helper::{Helper, Role};
use crate::load::paced::{Measured, Work};
use crate::peers::{Need, Peer, Setup};
use crate::server::Server;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// The document changes so often.
const EVERY: Duration = Duration::from_millis(500);

/// What is published meanwhile.
const PAIRS: usize = 100;
const RATE: u32 = 5_000;

/// The document, rewritten and reloaded.
pub(super) struct Reload;

impl Measure for Reload {
    fn run(&self, peer: &dyn Peer, setup: Setup, conditions: &Conditions) -> Result<Sample> {
        let mut server = Server::start(peer, &setup)?;
        let work = Work {
            server: setup.address,
            server_pid: server.pid(),
            mqtt: conditions.mqtt,
            qos: 1,
            pairs: PAIRS,
            rate: RATE,
            payload: conditions.payload,
        };
        let mut load = Helper::start(Role::Paced, &work)?;
        load.answer::<()>()?;
        load.tell(&conditions.warm_up)?;
        load.answer::<Measured>()?;
        load.tell(&conditions.measure)?;
        let without: Measured = load.answer()?;

        let file = setup.folder.join("windrose.yaml");
        let document = std::fs::read_to_string(&file)?;
        let reloads = reloads(&document)?;
        load.tell(&conditions.measure)?;
        let end = Instant::now() + conditions.measure - EVERY / 2;
        let mut number = 0;
        while Instant::now() < end {
            number += 1;
            rewrite(&file, &document, number)?;
            let pid = server.pid().to_string();
            if !Command::new("kill").args(["-HUP", &pid]).status()?.success() {
                return Err("SIGHUP cannot be sent".into());
            }
            std::thread::sleep(EVERY);
        }
        let with: Measured = load.answer()?;
        server.check()?;
        let reloads = self::reloads(&document)? - reloads;
        if reloads < number as f64 {
            return Err(
                format!("the document changed {number} times, but {reloads} reloads were accepted").into()
            );
        }
        Ok(Sample {
            work: with.messages,
            seconds: conditions.measure.as_secs_f64(),
            server_cpu: with.server_cpu,
            load_cpu: with.load_cpu,
            lost: with.lost,
            figures: [
                ("reloads", reloads),
                ("disconnected", with.disconnected as f64),
                ("p50 us", with.median),
                ("p99 us", with.p99),
                ("p50 us still", without.median),
                ("p99 us still", without.p99),
            ]
            .into(),
            ..Sample::default()
        })
    }

    fn columns(&self) -> &'static [Column] {
        &[
            ("lost", |sample| sample.lost as f64),
            ("disconnected", |sample| sample.figure("disconnected")),
            ("reloads", |sample| sample.figure("reloads")),
            ("p50 us", |sample| sample.figure("p50 us")),
            ("still", |sample| sample.figure("p50 us still")),
            ("p99 us", |sample| sample.figure("p99 us")),
            ("still", |sample| sample.figure("p99 us still")),
        ]
    }

    fn less_is_better(&self) -> bool {
        true
    }

    fn about_seconds(&self, conditions: &Conditions) -> f64 {
        (conditions.warm_up + 2 * conditions.measure).as_secs_f64() + 0.5
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::Shards]
    }
}

/// Another route and another rule, and every other time none of them.
fn rewrite(file: &Path, document: &str, number: usize) -> Result<()> {
    let mut text = document.to_owned();
    if number % 2 == 1 {
        let rule = format!("access:\n  - {{who: anyone, deny: subscribe, on: 'secret/{number}/#'}}\n");
        text = text.replacen("access:\n", &rule, 1);
        text.push_str(&format!("routes:\n  - {{name: passing-{number}, match: 'bench/{number}/#'}}\n"));
    }
    // Whole or not at all: the file is watched, too.
    let fresh = file.with_extension("fresh");
    std::fs::write(&fresh, text)?;
    std::fs::rename(&fresh, file)?;
    Ok(())
}

/// How many reloads the server has accepted, as its metrics say.
fn reloads(document: &str) -> Result<f64> {
    let admin = document.split_once("admin: {bind: '").and_then(|(_, rest)| rest.split_once('\''));
    let (admin, _) = admin.ok_or("the document does not say where the admin API is")?;
    let mut stream = TcpStream::connect(admin)?;
    stream.write_all(
        format!("GET /metrics HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let line =
        text.lines().find(|line| line.starts_with("windrose_reloads_total") && line.contains("accepted"));
    let count = line.and_then(|line| line.rsplit(' ').next()).and_then(|count| count.parse().ok());
    Ok(count.unwrap_or(0.0))
}
