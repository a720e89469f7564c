//! The registry that the document names: its files, its database, and those who vouch for others.

use crate::document::Loaded;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use windrose_event::{IdentityChange, Standing, Timestamp};
use windrose_identity::{
    Directory, Fetch, Hook, Identities, Issuers, Kind, Listing, MOST_LISTED, Parts, Records, RecordsError,
    RevocationLists, Revocations, StatusFilter,
};
use windrose_network::Node;
use windrose_network::http::fetch::HttpFetch;
use windrose_policy::{OcspCheck, RegistryLocation, Snapshot};
use windrose_storage::RegistryDatabase;

/// Revoked ones that are looked at when the node starts, at most: a kept session of the others is met when it comes back.
const MOST_REVOKED: usize = 100_000;

/// What the registry is made of, and what of it outlives a reload.
pub(crate) struct Sources {
    /// All of it.
    parts: Parts,
    /// The database, and where it is.
    database: Option<(RegistryLocation, Arc<RegistryDatabase>)>,
    /// What the lists of revocation say, until it takes force.
    lists: Option<(OcspCheck, RevocationLists)>,
}

impl Sources {
    /// Opens what a document names. `before`: what is in force, of which the rest is kept. Nothing changes by it yet.
    ///
    /// # Errors
    /// The sentences that say what cannot be used.
    pub(crate) fn open(loaded: &mut Loaded, before: Option<&Sources>) -> Result<Self, String> {
        let snapshot = Arc::clone(&loaded.snapshot);
        let policy = &snapshot.identity;
        let database = match &policy.registry {
            None => None,
            Some(location) => Some((location.clone(), open_database(location, before)?)),
        };
        let before = before.map(|before| &before.parts);
        let issuers = before.map(|before| &before.issuers);
        let read = windrose_storage::read_file;
        let issuers =
            Issuers::open(policy, &fetcher, &read, issuers).map_err(|problems| problems.join("\n"))?;
        let hook = policy.hook.as_ref().map(|hook| Hook::open(hook, &fetcher)).transpose()?;
        let (revocations, lists) = revocations(&snapshot, before)?;
        let records = database.as_ref().map(|(_, database)| Arc::clone(database) as Arc<dyn Records>);
        let parts = Parts {
            policy: policy.clone(),
            files: std::mem::take(&mut loaded.files),
            authorities: std::mem::take(&mut loaded.authorities),
            records,
            issuers,
            hook,
            revocations,
        };
        Ok(Self { parts, database, lists })
    }

    /// The database, for those who read in it and change it.
    pub(crate) fn directory(&self) -> Option<Arc<dyn Directory>> {
        self.database().map(|database| database as Arc<dyn Directory>)
    }

    /// The same, for those who take it in or write it out whole.
    pub(crate) fn database(&self) -> Option<Arc<RegistryDatabase>> {
        self.database.as_ref().map(|(_, database)| Arc::clone(database))
    }

    /// The registry, for the first time.
    pub(crate) fn identities(&mut self) -> Identities {
        self.replace_lists();
        Identities::new(self.take_parts())
    }

    /// Puts these into force in the place of others.
    pub(crate) fn put_into_force(&mut self, identities: &Identities) {
        let changes = self.replace_lists();
        identities.reload(self.take_parts());
        identities.announce(changes);
    }

    fn replace_lists(&mut self) -> Vec<IdentityChange> {
        match (&self.parts.revocations, self.lists.take()) {
            (Some(revocations), Some((check, lists))) => revocations.replace(check, lists),
            _ => Vec::new(),
        }
    }

    /// What stands in the files is not needed twice.
    fn take_parts(&mut self) -> Parts {
        let files = std::mem::take(&mut self.parts.files);
        Parts { files, ..self.parts.clone() }
    }
}

/// The registry's database: the one that is open, if the document names the same.
fn open_database(
    location: &RegistryLocation,
    before: Option<&Sources>,
) -> Result<Arc<RegistryDatabase>, String> {
    let open = before.and_then(|before| before.database.as_ref());
    if let Some((known, database)) = open
        && known == location
    {
        return Ok(Arc::clone(database));
    }
    let database = windrose_storage::open_registry(location)
        .map_err(|problem| format!("identity.registry: {problem}"))?;
    Ok(database)
}

/// What is known of revoked certificates, if the document asks for that; and what it shall go by from now on.
#[allow(clippy::type_complexity)]
fn revocations(
    snapshot: &Snapshot,
    before: Option<&Parts>,
) -> Result<(Option<Arc<Revocations>>, Option<(OcspCheck, RevocationLists)>), String> {
    let policy = &snapshot.identity.revocation;
    let open = before.and_then(|before| before.revocations.clone());
    if open.is_none() && policy.crl.is_empty() && policy.ocsp == OcspCheck::Off {
        return Ok((None, None));
    }
    let read = |path: &PathBuf| {
        windrose_storage::read_file(path)
            .map_err(|error| format!("{}: cannot be read: {error}", path.display()))
    };
    let files = policy.crl.iter().map(|path| Ok((path.display().to_string(), read(path)?)));
    let files = files.collect::<Result<Vec<_>, String>>()?;
    let authorities = snapshot.tls.values().filter_map(|profile| profile.client_ca.as_ref()).map(read);
    let authorities = authorities.collect::<Result<Vec<_>, String>>()?;
    let lists =
        RevocationLists::read(&files, &authorities, wall()).map_err(|problems| problems.join("\n"))?;
    let revocations = match open {
        Some(open) => open,
        None => {
            let most = snapshot.identity.cache.entries;
            let none = RevocationLists::default();
            Arc::new(Revocations::new(OcspCheck::Off, none, fetcher(None)?, most))
        }
    };
    Ok((Some(revocations), Some((policy.ocsp, lists))))
}

/// Asks services elsewhere whose certificates come from the authorities of that file, or from the public ones.
fn fetcher(authorities: Option<&Path>) -> Result<Arc<dyn Fetch>, String> {
    let read = |path: &Path| {
        windrose_storage::read_file(path)
            .map_err(|error| format!("{}: cannot be read: {error}", path.display()))
    };
    let file = authorities.map(read).transpose()?;
    Ok(Arc::new(HttpFetch::new(file.as_deref())?))
}

/// The files that the registry is made of: a change of one changes what the document means.
pub(crate) fn files(snapshot: &Snapshot) -> Vec<PathBuf> {
    let identity = &snapshot.identity;
    let mut files: Vec<PathBuf> = identity.devices.iter().chain(&identity.api_keys).cloned().collect();
    files.extend(identity.certificates.iter().map(|authority| authority.ca.clone()));
    files.extend(identity.revocation.crl.iter().cloned());
    for issuer in &identity.tokens {
        if let windrose_policy::KeySource::File(file) = &issuer.keys {
            files.push(file.clone());
        }
        files.extend(issuer.ca.clone());
    }
    files.extend(identity.hook.iter().filter_map(|hook| hook.ca.clone()));
    files
}

/// Who is revoked when the node starts: what was kept of their sessions ends, too.
///
/// # Errors
/// The database does not answer.
async fn revoked(directory: &dyn Directory) -> Result<Vec<IdentityChange>, RecordsError> {
    let mut changes = Vec::new();
    for kind in [Kind::Device, Kind::Owner, Kind::Service] {
        let mut listing =
            Listing { status: Some(StatusFilter::Revoked), limit: MOST_LISTED, ..Listing::of(kind) };
        loop {
            let page = directory.list(listing.clone()).await?;
            let Some(last) = page.last() else { break };
            listing.after = Some(last.id.clone());
            changes.extend(
                page.iter()
                    .map(|one| IdentityChange { subject: kind.subject(&one.id), standing: Standing::Ended }),
            );
            if changes.len() >= MOST_REVOKED {
                return Ok(changes);
            }
        }
    }
    Ok(changes)
}

/// Has sessions follow what changes in the registry, for as long as the node runs. `kept`: sessions outlive the process, and
/// who they belong to may have been revoked meanwhile.
pub(crate) async fn follow(
    identities: Identities,
    node: Arc<Node>,
    directory: Option<Arc<dyn Directory>>,
    kept: bool,
) {
    if let Some(directory) = directory.filter(|_| kept) {
        match revoked(&*directory).await {
            Ok(changes) => identities.announce(changes),
            Err(error) => {
                tracing::warn!(%error, "sessions that were kept are not compared with the registry")
            }
        }
    }
    loop {
        let changes = identities.changes().await;
        node.identities_changed(changes).await;
    }
}

fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
