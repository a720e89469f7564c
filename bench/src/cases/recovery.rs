//! A million messages wait on disk, the process is killed, and starts again.

use super::{Column, Conditions, Measure, Sample};
use crate::Result;
use crate::load::packet;
use crate::peers::{Need, Peer, Setup};
use crate::procfs;
use crate::server::Server;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Messages that wait.
const MESSAGES: usize = 1_000_000;

/// Sessions that they wait for.
const SESSIONS: usize = 10;

/// Publications of one publisher that wait for their PUBACK.
const WINDOW: usize = 32;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The start of a server for whose sessions much waits on disk.
pub(super) struct Recovery;

const COLUMNS: &[Column] = &[
    ("msg/CPU-s", Sample::per_cpu_second),
    ("msg/s", Sample::per_second),
    ("RSS MiB", Sample::resident_mebibytes),
];

impl Measure for Recovery {
    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn about_seconds(&self, _: &Conditions) -> f64 {
        30.0
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::Persistence]
    }

    fn run(&self, peer: &dyn Peer, setup: Setup, conditions: &Conditions) -> Result<Sample> {
        run(peer, setup, conditions)
    }
}

/// Its work is to recover, measured from its start until it listens.
fn run(peer: &dyn Peer, mut setup: Setup, conditions: &Conditions) -> Result<Sample> {
    setup.persistence = true;
    let server = Server::start(peer, &setup)?;
    for session in 0..SESSIONS {
        let mut stream = connect(setup.address, conditions.mqtt, &format!("away-{session}"), true)?;
        stream.write_all(&packet::subscribe(conditions.mqtt, &format!("bench/{session}/+"), 1))?;
        answer(&mut stream, 1)?;
    }
    let payload = packet::payload(conditions.payload);
    let (address, mqtt, payload) = (setup.address, conditions.mqtt, &payload);
    std::thread::scope(|scope| -> Result<()> {
        let threads: Vec<_> = (0..SESSIONS)
            .map(|session| {
                scope.spawn(move || fill(address, mqtt, session, payload).map_err(|error| error.to_string()))
            })
            .collect();
        for thread in threads {
            thread.join().map_err(|_| "a publisher failed")??;
        }
        Ok(())
    })?;
    server.kill();
    let begun = Instant::now();
    let mut server = Server::start(peer, &setup)?;
    let seconds = begun.elapsed().as_secs_f64();
    server.check()?;
    Ok(Sample {
        work: MESSAGES as u64,
        seconds,
        server_cpu: procfs::cpu_seconds(server.pid())?,
        resident: procfs::resident_bytes(server.pid())?,
        ..Sample::default()
    })
}

fn connect(address: SocketAddr, mqtt: u8, client: &str, lasting: bool) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&packet::connect_with(mqtt, client, 3_600, lasting))?;
    answer(&mut stream, 1)?;
    Ok(stream)
}

/// Publishes one session's part of the messages, each acknowledged.
fn fill(address: SocketAddr, mqtt: u8, session: usize, payload: &[u8]) -> Result<()> {
    let mut stream = connect(address, mqtt, &format!("publisher-{session}"), false)?;
    let (frame, id_at) = packet::publish(mqtt, &format!("bench/{session}/v"), 1, payload);
    let mut batch = Vec::new();
    for _ in 0..WINDOW {
        batch.extend_from_slice(&frame);
    }
    for (number, frame) in (1u16..).zip(batch.chunks_mut(frame.len())) {
        if let Some(id) = id_at.and_then(|at| frame.get_mut(at..at + 2)) {
            id.copy_from_slice(&number.to_be_bytes());
        }
    }
    for _ in 0..MESSAGES / SESSIONS / WINDOW {
        stream.write_all(&batch)?;
        answer(&mut stream, WINDOW)?;
    }
    Ok(())
}

/// Waits for so many packets.
fn answer(stream: &mut TcpStream, packets: usize) -> Result<()> {
    for _ in 0..packets {
        let mut head = [0; 2];
        stream.read_exact(&mut head)?;
        // Answers are short.
        let mut body = vec![0; usize::from(head[1] & 0x7f)];
        stream.read_exact(&mut body)?;
    }
    Ok(())
}
