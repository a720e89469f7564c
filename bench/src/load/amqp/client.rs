//! One client of AMQP: a publisher or a consumer, on a socket that never blocks once it is open.

use super::{Arrived, Side, Version, Work, queue, v1, v091};
use crate::Result;
use crate::load::wire::{Opening, Wire};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long a server may take to answer amid the opening.
const PATIENCE: Duration = Duration::from_secs(10);

enum Talk {
    V091(v091::Talk),
    V1(v1::Talk),
}

/// A client that is open.
pub(super) struct Client {
    /// The queue that it publishes to or consumes from.
    pub(super) group: usize,
    /// Its connection.
    pub(super) wire: Wire,
    talk: Talk,
    /// The beginning of a frame whose end has not come.
    partial: Vec<u8>,
    /// What the socket has not taken yet.
    output: Vec<u8>,
    written: usize,
}

/// Declares queues, on a connection that ends then. They are neither durable nor anybody's own.
pub(super) fn declare(server: SocketAddr, queues: &[String]) -> Result<()> {
    let mut stream = Opening::to(server, None, PATIENCE)?;
    v091::open(&mut stream)?;
    queues.iter().try_for_each(|queue| v091::declare(&mut stream, queue))
}

impl Client {
    /// Connects, and does all that is to be done before the first message.
    pub(super) fn open(work: &Work, side: Side, group: usize) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let mut stream = Opening::to(work.server, None, PATIENCE)?;
        let queue = queue(group);
        let talk = match work.version {
            Version::V091 => {
                v091::open(&mut stream)?;
                match side {
                    Side::Publisher => v091::confirm(&mut stream)?,
                    Side::Consumer => v091::consume(&mut stream, &queue, work.prefetch)?,
                }
                Talk::V091(v091::Talk::new(side, v091::publication(&queue, work.payload)))
            }
            Version::V1 => {
                let number = NUMBER.fetch_add(1, Ordering::Relaxed);
                v1::open(&mut stream, &format!("bench-{}-{number}", std::process::id()))?;
                let mut talk = v1::Talk::new(side, work.settled, work.payload, work.prefetch.into());
                talk.attach(&mut stream, &format!("{}{queue}", work.prefix))?;
                Talk::V1(talk)
            }
        };
        let (partial, output) = (Vec::new(), Vec::new());
        Ok(Self { group, wire: stream.unblock()?, talk, partial, output, written: 0 })
    }

    /// Reads until the socket is empty, counts, and answers what wants it.
    pub(super) fn read(&mut self, scratch: &mut [u8]) -> Result<Arrived> {
        let mut arrived = Arrived::default();
        loop {
            // What is left of the last read goes in front, so that frames are always in one piece.
            let left = self.partial.len();
            scratch.get_mut(..left).ok_or("the server sent a huge frame")?.copy_from_slice(&self.partial);
            let space = scratch.get_mut(left..).unwrap_or_default();
            let got = match self.wire.read(space) {
                Ok(got) => got,
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Err("the server closed a connection".into());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(format!("reading from the server: {error}").into()),
            };
            let bytes = scratch.get(..left + got.bytes).unwrap_or_default();
            let read = match &mut self.talk {
                Talk::V091(talk) => talk.read(bytes, &mut self.output, &mut arrived)?,
                Talk::V1(talk) => talk.read(bytes, &mut self.output, &mut arrived)?,
            };
            self.partial.clear();
            self.partial.extend(bytes.get(read..).unwrap_or_default());
            if !got.more {
                break;
            }
        }
        self.flush()?;
        Ok(arrived)
    }

    /// How many more messages may be written now, with so many unconfirmed at most.
    pub(super) fn room(&self, window: usize) -> usize {
        if !self.output.is_empty() {
            return 0;
        }
        match &self.talk {
            Talk::V091(talk) => window.saturating_sub(talk.unconfirmed()),
            Talk::V1(talk) => window.saturating_sub(talk.unsettled()).min(talk.credit()),
        }
    }

    /// Publishes so many messages, with one write if the socket takes it.
    pub(super) fn publish(&mut self, messages: usize) -> Result<()> {
        for _ in 0..messages {
            match &mut self.talk {
                Talk::V091(talk) => talk.publish(&mut self.output),
                Talk::V1(talk) => talk.publish(&mut self.output),
            }
        }
        self.flush()
    }

    /// Writes what the socket takes.
    pub(super) fn flush(&mut self) -> Result<()> {
        while let Some(rest) = self.output.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.wire.write(rest) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("writing to the server: {error}").into()),
            }
        }
        self.output.clear();
        self.written = 0;
        Ok(())
    }
}
