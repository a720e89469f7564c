//! The keeper's thread: takes all batches that wait, writes them at once, and tells each shard how far its records are
//! stored. While one commit is under way the next batches gather: the slower the disk, the more each commit carries.

use super::changes::Changes;
use super::database::{Database, Failure};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use windrose_engine::{Assembly, Batch, Keeper, KeeperFigures, Record, ShardId};

/// Records that one commit takes at most before it is made.
const MOST_AT_ONCE: usize = 65_536;

/// How long to wait after a failure, at first and at most.
const RETRY_FROM: Duration = Duration::from_millis(100);
const RETRY_UP_TO: Duration = Duration::from_secs(5);

/// How often a failure that goes on is spoken of.
const SPEAK_EVERY: Duration = Duration::from_secs(10);

/// How a shard is told.
type Stored = Box<dyn Fn(u64) + Send>;

enum Word {
    Attach(ShardId, Stored),
    Keep(ShardId, Vec<Batch>),
    Close,
}

#[derive(Default)]
struct Figures {
    records: AtomicU64,
    commits: AtomicU64,
    commit_micros: AtomicU64,
    failures: AtomicU64,
    waiting: AtomicU64,
    file_bytes: AtomicU64,
    skipped: AtomicU64,
    closing: AtomicBool,
    failed: AtomicBool,
}

/// Stores records in a database, on a thread of its own.
pub(super) struct DiskKeeper {
    words: Sender<Word>,
    figures: Arc<Figures>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl DiskKeeper {
    /// Starts the thread.
    pub(super) fn start(database: Database, folder: PathBuf, skipped: u64) -> std::io::Result<Self> {
        // Without a bound of its own: shards brake their senders by what waits here.
        let (words, heard) = channel();
        let figures = Arc::new(Figures::default());
        figures.skipped.store(skipped, Relaxed);
        figures.file_bytes.store(database.file_bytes(), Relaxed);
        let mut thread = Thread {
            database,
            folder,
            figures: Arc::clone(&figures),
            assembly: Assembly::default(),
            shards: BTreeMap::new(),
            changes: Changes::default(),
            spoken: None,
        };
        let fallen = Arc::clone(&figures);
        let run = move || {
            // Whatever went wrong: without a word, nothing would be acknowledged any more and nobody would know why.
            if catch_unwind(AssertUnwindSafe(|| thread.run(&heard))).is_err() {
                fallen.failed.store(true, Relaxed);
                tracing::error!("the journal's keeper has failed and stores nothing more: restart the node");
            }
        };
        let thread = std::thread::Builder::new().name("keeper".to_owned()).spawn(run)?;
        Ok(Self { words, figures, thread: Mutex::new(Some(thread)) })
    }
}

impl Keeper for DiskKeeper {
    fn attach(&self, shard: ShardId, stored: Stored) {
        let _ = self.words.send(Word::Attach(shard, stored));
    }

    fn keep(&self, shard: ShardId, batches: Vec<Batch>) {
        let records: usize = batches.iter().map(|batch| batch.records.len()).sum();
        self.figures.waiting.fetch_add(records as u64, Relaxed);
        // A keeper that is closed stores nothing, so nothing more is acknowledged.
        let _ = self.words.send(Word::Keep(shard, batches));
    }

    fn close(&self) {
        self.figures.closing.store(true, Relaxed);
        let _ = self.words.send(Word::Close);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }

    fn figures(&self) -> KeeperFigures {
        let figures = &self.figures;
        KeeperFigures {
            records: figures.records.load(Relaxed),
            commits: figures.commits.load(Relaxed),
            commit_micros: figures.commit_micros.load(Relaxed),
            failures: figures.failures.load(Relaxed),
            waiting: figures.waiting.load(Relaxed),
            file_bytes: figures.file_bytes.load(Relaxed),
            skipped: figures.skipped.load(Relaxed),
            failed: figures.failed.load(Relaxed),
        }
    }
}

struct Thread {
    database: Database,
    folder: PathBuf,
    figures: Arc<Figures>,
    assembly: Assembly,
    /// Whom to tell, and what each was told last.
    shards: BTreeMap<ShardId, (Stored, u64)>,
    changes: Changes,
    /// When a failure was last spoken of.
    spoken: Option<Instant>,
}

impl Thread {
    fn run(&mut self, words: &Receiver<Word>) {
        let mut ready = Vec::new();
        let mut open = true;
        while open {
            let Ok(word) = words.recv() else { break };
            let mut taken = self.take(word, &mut ready, &mut open);
            while open
                && taken < MOST_AT_ONCE
                && let Ok(word) = words.try_recv()
            {
                taken += self.take(word, &mut ready, &mut open);
            }
            for record in ready.drain(..) {
                self.changes.add(record);
            }
            if !self.write() {
                return;
            }
            self.figures.waiting.fetch_sub(taken as u64, Relaxed);
            self.tell();
        }
    }

    /// Takes a word; returns how many records it brought.
    fn take(&mut self, word: Word, ready: &mut Vec<Record>, open: &mut bool) -> usize {
        match word {
            Word::Attach(shard, stored) => {
                self.shards.insert(shard, (stored, 0));
                0
            }
            Word::Keep(shard, batches) => {
                let mut records = 0;
                for batch in batches {
                    records += batch.records.len();
                    self.assembly.take(shard, batch, ready);
                }
                records
            }
            Word::Close => {
                *open = false;
                0
            }
        }
    }

    /// Writes what has gathered, and tries until that succeeds. `false`: the node is stopping and it does not.
    fn write(&mut self) -> bool {
        if self.changes.is_empty() {
            self.figures.records.fetch_add(std::mem::take(&mut self.changes.records), Relaxed);
            return true;
        }
        let mut pause = RETRY_FROM;
        loop {
            let begun = Instant::now();
            match self.database.write(&self.changes) {
                Ok(()) => {
                    let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
                    self.figures.commits.fetch_add(1, Relaxed);
                    self.figures.commit_micros.fetch_add(micros, Relaxed);
                    break;
                }
                Err(failure) => self.speak(&failure),
            }
            self.figures.failures.fetch_add(1, Relaxed);
            if self.figures.closing.load(Relaxed) {
                tracing::error!("the node stops though not all is stored: what was not acknowledged is lost");
                return false;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(RETRY_UP_TO);
            if let Err(failure) = self.database.reopen() {
                self.speak(&failure);
            }
        }
        if self.spoken.take().is_some() {
            tracing::info!(folder = %self.folder.display(), "the journal can be written again");
        }
        self.figures.file_bytes.store(self.database.file_bytes(), Relaxed);
        let changes = std::mem::take(&mut self.changes);
        self.figures.records.fetch_add(changes.records, Relaxed);
        true
    }

    /// Says that storing failed, now and then.
    fn speak(&mut self, failure: &Failure) {
        if self.spoken.is_some_and(|spoken| spoken.elapsed() < SPEAK_EVERY) {
            return;
        }
        self.spoken = Some(Instant::now());
        tracing::error!(
            folder = %self.folder.display(),
            error = %failure,
            "the journal cannot be written, so nothing that needs it is acknowledged: free space in that folder or \
             mend its disk; it is tried again until then"
        );
    }

    /// Tells each shard how far its records are stored, if that is news.
    fn tell(&mut self) {
        for (shard, stored) in self.assembly.progress() {
            if let Some((tell, told)) = self.shards.get_mut(&shard)
                && *told < stored
            {
                *told = stored;
                tell(stored);
            }
        }
    }
}
