//! What the admin API manages: the registry and the rules that are in force.

use arc_swap::ArcSwap;
use std::sync::Arc;
use windrose_control::Management;
use windrose_event::{Pending, Registry, Subject};
use windrose_identity::{Directory, FileRecords, Identities, Record, RecordsError};
use windrose_policy::Snapshot;

/// What a document says, as far as the admin API needs it.
pub(crate) struct Managed {
    pub(crate) snapshot: Arc<Snapshot>,
    /// What the document's files say.
    pub(crate) files: FileRecords,
    /// The database, if the document names one.
    pub(crate) directory: Option<Arc<dyn Directory>>,
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
        self.force.load().directory.clone()
    }

    fn record(&self, subject: Subject) -> Pending<Result<Option<Arc<Record>>, RecordsError>> {
        let force = self.force.load();
        record(&force.files, force.directory.as_deref(), subject)
    }

    fn changed(&self) {
        self.identities.look_again();
    }
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
