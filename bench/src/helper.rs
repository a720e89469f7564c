//! Helper processes: this program again, in another role, told its work in one line of JSON and answering in lines of
//! JSON. Processes of their own, so that nothing but the server is on the server's bill.

use crate::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What a helper process does.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Role {
    /// Publishes and counts what subscribers get.
    Load,
    /// Holds connections that do nothing.
    Idle,
    /// Publishes to many, one of whom stops reading.
    Slow,
    /// Makes millions of subscriptions or retained messages.
    Many,
    /// Publishes at a given rate.
    Paced,
    /// Connects and leaves, again and again.
    Storm,
    /// Publishes at a steady rate and takes the time.
    Latency,
    /// Sends plain HTTP requests.
    Http,
    /// Posts as clients of CoAP do.
    Coap,
    /// Posts once from each of many addresses.
    Endpoints,
    /// Shakes hands by DTLS, from many addresses.
    Sessions,
    /// Publishes and consumes by AMQP.
    Amqp,
    /// Holds connections of AMQP that do nothing.
    AmqpIdle,
    /// Answers REST requests.
    Sink,
    /// Does the work whose instructions are counted.
    Counted,
    /// Is the least that a broker can be.
    Loop,
}

impl Role {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Idle => "idle",
            Self::Slow => "slow",
            Self::Many => "many",
            Self::Paced => "paced",
            Self::Storm => "storm",
            Self::Latency => "latency",
            Self::Http => "http",
            Self::Coap => "coap",
            Self::Endpoints => "endpoints",
            Self::Sessions => "sessions",
            Self::Amqp => "amqp",
            Self::AmqpIdle => "amqp-idle",
            Self::Sink => "sink",
            Self::Counted => "counted",
            Self::Loop => "loop",
        }
    }
}

/// A running helper; it dies with this value.
pub(crate) struct Helper {
    role: Role,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Helper {
    /// Starts a helper and tells it its work.
    pub(crate) fn start(role: Role, work: &impl Serialize) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--role", role.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("a helper process has no pipes".into());
        };
        let mut helper = Self { role, child, input, output: BufReader::new(output) };
        helper.tell(work)?;
        Ok(helper)
    }

    /// Sends a line.
    pub(crate) fn tell(&mut self, what: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(what)?;
        line.push(b'\n');
        self.input.write_all(&line)?;
        Ok(())
    }

    /// Waits for the helper's next line.
    pub(crate) fn answer<T: DeserializeOwned>(&mut self) -> Result<T> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err(format!("the {} process ended without an answer", self.role.name()).into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In a helper: the next line from the program that started it. `None` once it is gone.
pub(crate) fn told<T: DeserializeOwned>() -> Result<Option<T>> {
    let mut line = String::new();
    match std::io::stdin().lock().read_line(&mut line)? {
        0 => Ok(None),
        _ => Ok(Some(serde_json::from_str(&line)?)),
    }
}

/// In a helper: answers a line.
pub(crate) fn say(what: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    out.write_all(&line)?;
    out.flush()?;
    Ok(())
}
