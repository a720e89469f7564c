//! The keys of identity tokens: read, made and replaced in time, as long as a pool of the document wants tokens.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use windrose_event::Timestamp;
use windrose_identity::{PreparedKeys, TokenSigner};
use windrose_policy::Snapshot;
use windrose_storage::TokenKeyFile;

/// How often it is looked whether a key is due to be replaced.
pub(crate) const LOOK: Duration = Duration::from_secs(3_600);

/// The keys for a document, if it needs any. New ones are in their file when this returns.
///
/// # Errors
/// The sentence that says what is wrong with the file.
pub(crate) fn prepare(snapshot: &Snapshot) -> Result<Option<PreparedKeys>, String> {
    if snapshot.pools.iter().all(|pool| pool.identity_token.is_none()) {
        return Ok(None);
    }
    let file = TokenKeyFile::new(&snapshot.node.data_dir);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp::default() + now;
    let prepared = TokenSigner::prepare(file.read()?.as_deref(), now);
    let (keys, kept) = prepared.map_err(|problem| file.problem(&problem))?;
    if let Some(kept) = kept {
        file.write(&kept)?;
        tracing::info!("there is a new key for identity tokens, told to services from now on");
    }
    Ok(Some(keys))
}

/// Replaces keys that have signed for long enough. What cannot be done now is done an hour later.
pub(crate) fn rotate(snapshot: &Snapshot, signer: &Arc<TokenSigner>) {
    match prepare(snapshot) {
        Ok(keys) => signer.replace(keys),
        Err(problem) => tracing::warn!(%problem, "the keys of identity tokens stay as they are for now"),
    }
}
