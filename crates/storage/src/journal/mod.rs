//! The journal's place on disk: `journal.redb` in `node.data_dir`, written by one thread for all shards.

mod bytes;
mod changes;
mod database;
mod event;
mod keeper;
mod topology;
mod value;

#[cfg(test)]
mod tests;

use database::{Database, Failure};
use keeper::DiskKeeper;
use std::fmt;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use windrose_engine::{Keeper, Kept};

const FILE: &str = "journal.redb";

/// Why the journal cannot be used.
#[derive(Debug)]
pub enum JournalError {
    /// The folder cannot be made, or its thread not started.
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Another process has it.
    Locked {
        /// Which folder.
        folder: PathBuf,
    },
    /// The file cannot be read or written.
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        error: String,
    },
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder { folder, error } => {
                write!(f, "node.data_dir: cannot use {}: {error}", folder.display())
            }
            Self::Locked { folder } => write!(
                f,
                "node.data_dir: another node uses {}: stop it, or give each node a folder of its own",
                folder.display()
            ),
            Self::File { file, error } => write!(
                f,
                "cannot open {}: {error}. Mend it, or move it away: the node then starts without the sessions, \
                 messages and last values in it",
                file.display()
            ),
        }
    }
}

impl std::error::Error for JournalError {}

/// How long a node waits for the one before it, which may have been killed and not be gone yet.
const UNLOCKED_WITHIN: Duration = Duration::from_secs(5);

/// Opens the file, or waits a moment until the process that has it is gone.
fn open_unlocked(file: &Path) -> Result<(Database, u32), Failure> {
    let begun = Instant::now();
    loop {
        match Database::open(file) {
            Err(failure)
                if matches!(*failure, redb::Error::DatabaseAlreadyOpen)
                    && begun.elapsed() < UNLOCKED_WITHIN =>
            {
                std::thread::sleep(Duration::from_millis(20));
            }
            opened => return opened,
        }
    }
}

/// The file is the node's alone, even in a folder that others may look into, and its name outlives a power failure.
fn private(folder: &Path, file: &Path) -> io::Result<()> {
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600))?;
    std::fs::File::open(folder)?.sync_all()
}

/// Opens the journal in a folder, which is made if there is none, and reads what it kept.
///
/// # Errors
/// If the folder or the file cannot be used, or another node uses it.
pub fn open_journal(folder: &Path) -> Result<(Arc<dyn Keeper>, Kept), JournalError> {
    let begun = Instant::now();
    let wrong = |error| JournalError::Folder { folder: folder.to_owned(), error };
    // What clients sent is for the node alone.
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(wrong)?;
    let file = folder.join(FILE);
    let broken = |failure: Failure| match *failure {
        redb::Error::DatabaseAlreadyOpen => JournalError::Locked { folder: folder.to_owned() },
        error => JournalError::File { file: file.clone(), error: error.to_string() },
    };
    let (mut database, start) = open_unlocked(&file).map_err(broken)?;
    private(folder, &file).map_err(wrong)?;
    let (kept, skipped) = database.load(start).map_err(broken)?;
    if skipped > 0 {
        tracing::error!(
            file = %file.display(),
            entries = skipped,
            "entries of the journal cannot be read and are left out: what they held is lost; look at the disk"
        );
    }
    let waiting = kept.queues.iter().map(|queue| queue.messages.len());
    let messages = kept.sessions.iter().map(|session| session.messages.len()).chain(waiting).sum::<usize>();
    tracing::info!(
        folder = %folder.display(),
        sessions = kept.sessions.len(),
        queues = kept.queues.len(),
        messages,
        retained = kept.retained.len(),
        seconds = begun.elapsed().as_secs_f64(),
        "the journal is read"
    );
    let keeper = DiskKeeper::start(database, folder.to_owned(), skipped).map_err(wrong)?;
    Ok((Arc::new(keeper), kept))
}
