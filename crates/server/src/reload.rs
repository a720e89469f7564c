//! Reloading: a new document takes force whole or not at all, and no connection notices.

use crate::admin::Admin;
use crate::document;
use crate::management::Managed;
use crate::registry::Sources;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use windrose_identity::authority::LiveAuthority;
use windrose_identity::{Identities, TokenSigner};
use windrose_network::Node;
use windrose_policy::Snapshot;

/// How long files must be quiet before a change of theirs is acted upon: editors write in several steps.
const QUIET: Duration = Duration::from_millis(250);

/// Puts new documents into force.
pub(crate) struct Reloader {
    file: Option<PathBuf>,
    snapshot: Arc<Snapshot>,
    identities: Identities,
    sources: Sources,
    authority: Arc<LiveAuthority>,
    signer: Arc<TokenSigner>,
    node: Arc<Node>,
}

impl Reloader {
    pub(crate) fn new(
        file: Option<PathBuf>,
        snapshot: Arc<Snapshot>,
        identities: Identities,
        sources: Sources,
        authority: Arc<LiveAuthority>,
        signer: Arc<TokenSigner>,
        node: Arc<Node>,
    ) -> Self {
        Self { file, snapshot, identities, sources, authority, signer, node }
    }

    /// The document in force.
    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Reads the document again. If anything is wrong with it, the one in force stays, and the log says what is wrong.
    pub(crate) async fn reload(&mut self, why: &str, admin: &mut Admin, changes: &mut Changes) {
        match self.put_into_force(admin, changes).await {
            Ok(()) => {
                admin.reloaded(true);
                tracing::info!(why, "the document is reloaded");
            }
            Err(problem) => {
                admin.reloaded(false);
                tracing::error!(
                    why,
                    "the document is not reloaded, the one before stays in force:\n{problem}"
                );
            }
        }
    }

    async fn put_into_force(&mut self, admin: &mut Admin, changes: &mut Changes) -> Result<(), String> {
        let mut loaded = document::load(self.file.as_deref()).map_err(|error| error.render(false))?;
        let snapshot = Arc::clone(&loaded.snapshot);
        // At once: a change during the reload asks for another one, and so does mending a file that fails it.
        changes.watch(&document::files(self.file.as_deref(), &snapshot));
        let before = &self.snapshot.node;
        if snapshot.node.shards != before.shards || snapshot.node.name != before.name {
            return Err("node.name and node.shards cannot change while the node runs: restart it".to_owned());
        }
        if snapshot.node.persistence != before.persistence
            || snapshot.node.persistence && snapshot.node.data_dir != before.data_dir
        {
            return Err(
                "node.persistence and the node.data_dir that it uses cannot change while the node runs: \
                        restart it"
                    .to_owned(),
            );
        }
        // Everything that can fail comes before anything changes.
        let files = loaded.files.clone();
        let mut sources = Sources::open(&mut loaded, Some(&self.sources))?;
        let authority = crate::authority::open(&snapshot, sources.directory())?;
        let token_keys = crate::token_keys::prepare(&snapshot)?;
        let bound = admin.prepare(&snapshot).await?;
        // Before the pools that want tokens, and after those that no longer do.
        let wants_tokens = token_keys.is_some();
        if wants_tokens {
            self.signer.replace(token_keys);
        }
        self.node.apply(Arc::clone(&snapshot)).await.map_err(|errors| errors.join("\n"))?;
        admin.manage(Managed { snapshot: Arc::clone(&snapshot), files, database: sources.database() });
        admin.commit(bound);
        sources.put_into_force(&self.identities);
        self.sources = sources;
        self.authority.replace(authority);
        if !wants_tokens {
            self.signer.replace(None);
        }
        self.node.registry_changed().await;
        self.snapshot = snapshot;
        Ok(())
    }
}

/// Changes of files. They are watched by their folders: editors and Kubernetes replace files rather than write to them.
pub(crate) struct Changes {
    changed: mpsc::Sender<()>,
    seen: mpsc::Receiver<()>,
    files: BTreeSet<PathBuf>,
    /// Watches for as long as it lives.
    watcher: Option<RecommendedWatcher>,
}

impl Changes {
    /// Watches files.
    pub(crate) fn of(files: &[PathBuf]) -> Self {
        // One waiting word says as much as two.
        let (changed, seen) = mpsc::channel(1);
        let mut changes = Self { changed, seen, files: BTreeSet::new(), watcher: None };
        changes.watch(files);
        changes
    }

    /// Watches these files from now on. What was seen before is not forgotten.
    fn watch(&mut self, files: &[PathBuf]) {
        let files: BTreeSet<PathBuf> = files.iter().cloned().collect();
        if files == self.files && self.watcher.is_some() {
            return;
        }
        let watcher = watcher(&files, self.changed.clone());
        // The one before is dropped only now: nothing is missed between them.
        self.watcher = watcher
            .inspect_err(
                |error| tracing::warn!(%error, "files are not watched for changes: reload with SIGHUP"),
            )
            .ok();
        self.files = files;
    }

    /// Waits for a change, then until the files are quiet. Without a watcher it waits for ever.
    pub(crate) async fn changed(&mut self) {
        if self.seen.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        while timeout(QUIET, self.seen.recv()).await.is_ok_and(|seen| seen.is_some()) {
            // Still being written.
            sleep(Duration::from_millis(10)).await;
        }
    }
}

fn watcher(files: &BTreeSet<PathBuf>, changed: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let names: BTreeSet<_> =
        files.iter().filter_map(|file| file.file_name().map(ToOwned::to_owned)).collect();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        let concerns_us = event.paths.iter().any(|path| {
            let name = path.file_name();
            // `..data` is the link that Kubernetes swaps when a mounted ConfigMap or Secret changes.
            name.is_some_and(|name| names.contains(name) || name == "..data")
        });
        if concerns_us && !matches!(event.kind, EventKind::Access(_)) {
            let _ = changed.try_send(());
        }
    })?;
    let folders: BTreeSet<&Path> = files
        .iter()
        .filter_map(|file| file.parent())
        .map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
        .collect();
    for folder in folders {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}
