//! The authority that the document names, read from its files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use windrose_identity::Directory;
use windrose_identity::authority::Authority;
use windrose_policy::Snapshot;

/// The document's authority, if it names one.
///
/// # Errors
/// The sentence that says what is wrong with its files.
pub(crate) fn open(
    snapshot: &Snapshot,
    records: Option<Arc<dyn Directory>>,
) -> Result<Option<Authority>, String> {
    let Some(policy) = &snapshot.ca else { return Ok(None) };
    let read = |path: &Path| {
        windrose_storage::read_file(path)
            .map_err(|error| format!("{}: cannot be read: {error}", path.display()))
    };
    if records.is_none() {
        tracing::warn!(
            "`ca` signs nothing without identity.registry: there must be a record of what it signed"
        );
    }
    let (certificates, keys) = (read(&policy.certificate)?, read(&policy.key)?);
    Authority::new(policy, &certificates, &keys, records)
        .map(Some)
        .map_err(|problem| format!("{}: {problem}", policy.certificate.display()))
}

/// Its files: a change of one changes what the document means.
pub(crate) fn files(snapshot: &Snapshot) -> impl Iterator<Item = PathBuf> {
    snapshot.ca.iter().flat_map(|policy| [policy.certificate.clone(), policy.key.clone()])
}
