//! A client that waits for its answers: for cases in which the order of things matters, not how much at once.

use super::packet::{self, Packet};
use crate::Result;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of one read.
const READ: usize = 1 << 16;

/// A connected client.
pub(super) struct Caller {
    stream: TcpStream,
    /// What has come, the end of it perhaps the beginning of a packet.
    input: Vec<u8>,
    scratch: Vec<u8>,
}

impl Caller {
    /// Connects and is welcomed.
    pub(super) fn connect(server: SocketAddr, mqtt: u8, name: &str) -> Result<Self> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut caller = Self { stream, input: Vec::new(), scratch: vec![0; READ] };
        caller.say(&packet::connect(mqtt, name, 3_600))?;
        let mut code = None;
        while code.is_none() {
            caller.hear(|packet| {
                if let Packet::ConnAck(answer) = packet {
                    code = Some(answer);
                }
            })?;
        }
        if code == Some(0) { Ok(caller) } else { Err(format!("{name} is refused: {code:?}").into()) }
    }

    /// Frees what only a client that talks needs: there may be thousands that do not.
    pub(super) fn rest(&mut self) {
        self.scratch = Vec::new();
        self.input = Vec::new();
    }

    /// Says it all.
    pub(super) fn say(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).map_err(|error| format!("the server does not read: {error}").into())
    }

    /// Waits for something, and hands on each whole packet.
    pub(super) fn hear(&mut self, each: impl FnMut(Packet)) -> Result<()> {
        let read = match self.stream.read(&mut self.scratch) {
            Ok(0) => return Err("the server closed a connection".into()),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => 0,
            Err(error) => return Err(format!("the server does not answer: {error}").into()),
        };
        self.input.extend(self.scratch.get(..read).unwrap_or_default());
        let taken = packet::scan(&self.input, each)?;
        self.input.drain(..taken);
        Ok(())
    }

    /// Waits until so many packets have come that `counts` counts.
    pub(super) fn await_all(&mut self, many: usize, mut counts: impl FnMut(Packet) -> bool) -> Result<()> {
        let mut left = many;
        while left > 0 {
            self.hear(|packet| left = left.saturating_sub(usize::from(counts(packet))))?;
        }
        Ok(())
    }
}
