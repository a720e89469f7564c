//! Child processes whose lines are collected, and that end with the test.

use crate::wait::SOON;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Lines that a process wrote, in the order read.
#[derive(Clone, Debug, Default)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    /// All lines so far.
    pub fn all(&self) -> Vec<String> {
        self.lock().clone()
    }

    /// The first line that `fits`, if there is one yet.
    pub fn find(&self, fits: impl Fn(&str) -> bool) -> Option<String> {
        self.lock().iter().find(|line| fits(line)).cloned()
    }

    /// How many lines fit.
    pub fn count(&self, fits: impl Fn(&str) -> bool) -> usize {
        self.lock().iter().filter(|line| fits(line)).count()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn collect(&self, source: impl Read + Send + 'static) {
        let lines = self.clone();
        std::thread::spawn(move || {
            let mut source = BufReader::new(source);
            let mut line = Vec::new();
            while source.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let text = String::from_utf8_lossy(&line);
                lines.lock().push(text.trim_end_matches(['\n', '\r']).to_owned());
                line.clear();
            }
        });
    }
}

/// A running process. Dropped, it is killed.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    /// What it writes to standard output.
    pub out: Lines,
    /// What it writes to standard error.
    pub err: Lines,
}

impl Process {
    /// Starts a program. `install` says how to get it, should it be missing.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(command: &mut Command, install: &str) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}; {install}"));
        let (out, err) = (Lines::default(), Lines::default());
        out.collect(child.stdout.take().expect("standard output is a pipe"));
        err.collect(child.stderr.take().expect("standard error is a pipe"));
        let stdin = child.stdin.take();
        Self { name, child, stdin, out, err }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes to its standard input.
    pub fn write(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().unwrap_or_else(|| panic!("{}: its input is closed", self.name));
        stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush()).expect("its input is a pipe");
    }

    /// Closes its standard input.
    pub fn close_input(&mut self) {
        self.stdin = None;
    }

    /// Sends a signal by its name without `SIG`: `HUP`, `TERM`.
    pub fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.id());
        let status = Command::new("sh").args(["-c", &command]).status().expect("sh can be started");
        assert!(status.success(), "{command} failed");
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it does not end within [`SOON`].
    pub fn wait(&mut self) -> ExitStatus {
        self.wait_for(SOON)
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it does not end within `time`.
    pub fn wait_for(&mut self, time: Duration) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(start.elapsed() < time, "{} has not ended in {time:?}\n{}", self.name, self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for a line on standard output.
    ///
    /// # Panics
    /// If there is none within [`SOON`].
    pub fn line(&self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            if let Some(line) = self.out.find(&fits) {
                return line;
            }
            assert!(start.elapsed() < SOON, "{} has not written {what}\n{}", self.name, self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Everything that it wrote, for a message.
    pub fn said(&self) -> String {
        format!("it wrote: {}\nits errors: {}", self.out.all().join("\n"), self.err.all().join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
