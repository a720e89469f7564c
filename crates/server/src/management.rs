//! What the admin API manages: the registry and the rules that are in force.

use arc_swap::ArcSwap;
use bytes::Bytes;
use std::io::{self, BufWriter, Cursor, Write};
use std::sync::Arc;
use tokio::sync::mpsc;
use windrose_control::{BulkExisting, BulkFormat, Exported, Import, Imported, Management};
use windrose_event::{Pending, Registry, Subject};
use windrose_identity::{Directory, FileRecords, Identities, Record, RecordsError};
use windrose_policy::Snapshot;
use windrose_storage::{Existing, ImportFormat, ImportOptions, RegistryDatabase};

/// What a document says, as far as the admin API needs it.
pub(crate) struct Managed {
    pub(crate) snapshot: Arc<Snapshot>,
    /// What the document's files say.
    pub(crate) files: FileRecords,
    /// The database, if the document names one.
    pub(crate) database: Option<Arc<RegistryDatabase>>,
}

/// The registry and the rules: those of the document in force.
pub(crate) struct Managing {
    identities: Identities,
    force: ArcSwap<Managed>,
}

impl Managing {
    pub(crate) fn new(identities: Identities, managed: Managed) -> Self {
        Self { identities, force: ArcSwap::from_pointee(managed) }
    }

    /// From now on these are in force.
    pub(crate) fn replace(&self, managed: Managed) {
        self.force.store(Arc::new(managed));
    }
}

impl Management for Managing {
    fn registry(&self) -> Arc<dyn Registry> {
        Arc::new(self.identities.clone())
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.force.load().snapshot)
    }

    fn directory(&self) -> Option<Arc<dyn Directory>> {
        self.force.load().database.clone().map(|database| database as _)
    }

    fn record(&self, subject: Subject) -> Pending<Result<Option<Arc<Record>>, RecordsError>> {
        let force = self.force.load();
        let directory = force.database.as_deref().map(|database| database as &dyn Directory);
        record(&force.files, directory, subject)
    }

    fn import(&self, import: Import) -> Option<Pending<Result<Imported, RecordsError>>> {
        let database = self.force.load().database.clone()?;
        let importing = tokio::task::spawn_blocking(move || {
            let Import { format, existing, skip_bad, by, body } = import;
            let existing = match existing {
                BulkExisting::Fail => Existing::Fail,
                BulkExisting::Skip => Existing::Skip,
                BulkExisting::Update => Existing::Update,
            };
            let options = ImportOptions { existing, skip_bad, by };
            let report = database.import(format_of(format), &mut Cursor::new(body), &options, &mut |_| {})?;
            let counts = [report.added, report.updated, report.skipped, report.bad];
            Ok(Imported { done: report.done, counts, told: report.told })
        });
        Some(Box::pin(async move { importing.await.unwrap_or_else(|error| Err(lost(&error.to_string()))) }))
    }

    fn export(&self, format: BulkFormat) -> Option<Exported> {
        let database = self.force.load().database.clone()?;
        let (parts, exported) = mpsc::channel(PARTS);
        tokio::task::spawn_blocking(move || {
            let mut output = BufWriter::with_capacity(PART, Parts(parts.clone()));
            let written = database.export(format_of(format), &mut output, false);
            let written = written.and_then(|_| output.flush().map_err(|error| lost(&error.to_string())));
            if let Err(error) = written {
                // Whoever went away wants no word of it.
                let _ = parts.blocking_send(Err(error));
            }
        });
        Some(exported)
    }

    fn changed(&self) {
        self.identities.look_again();
    }
}

/// Bytes of an export that are sent at once, and how many such parts wait for a slow reader.
const PART: usize = 64 << 10;
const PARTS: usize = 4;

/// Where an export is written to: it waits for whoever reads.
struct Parts(mpsc::Sender<Result<Bytes, RecordsError>>);

impl Write for Parts {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.0.blocking_send(Ok(Bytes::copy_from_slice(part))).map_err(gone)?;
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn format_of(format: BulkFormat) -> ImportFormat {
    match format {
        BulkFormat::Csv => ImportFormat::Csv,
        BulkFormat::JsonLines => ImportFormat::JsonLines,
    }
}

fn lost(why: &str) -> RecordsError {
    RecordsError::Unavailable(format!("it was not finished: {why}"))
}

/// What is known of somebody: by the document's files, or else by the database.
pub(crate) fn record(
    files: &FileRecords,
    directory: Option<&dyn Directory>,
    subject: Subject,
) -> Pending<Result<Option<Arc<Record>>, RecordsError>> {
    let found = files.records.iter().find(|record| record.subject().as_ref() == Some(&subject));
    match (found, directory) {
        (None, Some(directory)) => directory.record(subject),
        (found, _) => Box::pin(std::future::ready(Ok(found.cloned().map(Arc::new)))),
    }
}
