//! The registry that the document names: its files, its database, and those who vouch for others.

use crate::document::Loaded;
use std::sync::Arc;
use windrose_identity::{Identities, Parts};
use windrose_network::Node;

/// What the registry is made of, as a document says. `before`: what is in force, of which the rest is kept.
///
/// # Errors
/// The sentence that says what cannot be used.
pub(crate) fn parts(loaded: &mut Loaded, before: Option<&Parts>) -> Result<Parts, String> {
    let records = before.and_then(|before| before.records.clone());
    Ok(Parts {
        policy: loaded.snapshot.identity.clone(),
        files: std::mem::take(&mut loaded.files),
        authorities: std::mem::take(&mut loaded.authorities),
        records,
        ..Parts::default()
    })
}

/// Has live sessions follow what changes in the registry, for as long as the node runs.
pub(crate) async fn follow(identities: Identities, node: Arc<Node>) {
    loop {
        let changes = identities.changes().await;
        node.identities_changed(changes).await;
    }
}
