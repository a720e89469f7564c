//! Where the adapters meet: document, registry, node, admin API, signals.

use crate::admin::Admin;
use crate::document::{self, Loaded};
use crate::management::Managed;
use crate::registry::{self, Sources};
use crate::reload::{Changes, Reloader};
use crate::token_keys;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use windrose_identity::TokenSigner;
use windrose_identity::authority::LiveAuthority;
use windrose_network::{Journal, Node, NodeParts};
use windrose_policy::Dtls;

/// Runs a node until it is told to stop.
pub(crate) fn run(file: Option<PathBuf>) -> Result<ExitCode, String> {
    let loaded = document::load(file.as_deref()).map_err(|error| error.render(false))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    runtime.block_on(serve(file, loaded))
}

async fn serve(file: Option<PathBuf>, mut loaded: Loaded) -> Result<ExitCode, String> {
    // Asked for first, so that no signal is missed while the node starts.
    let listen = |kind| signal(kind).map_err(|error| format!("cannot listen for signals: {error}"));
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut hangup = listen(SignalKind::hangup())?;

    let snapshot = Arc::clone(&loaded.snapshot);
    let mut changes = Changes::of(&document::files(file.as_deref(), &snapshot));
    let files = loaded.files.clone();
    let mut sources = Sources::open(&mut loaded, None)?;
    let identities = sources.identities();
    let authority = Arc::new(LiveAuthority::new());
    authority.replace(crate::authority::open(&snapshot, sources.directory())?);
    let signer = Arc::new(TokenSigner::new(&snapshot.node.name));
    signer.replace(token_keys::prepare(&snapshot)?);
    let journal = open_journal(&snapshot.node)?;
    let node = Node::start(NodeParts {
        snapshot: Arc::clone(&snapshot),
        registry: Arc::new(identities.clone()),
        enrolment: Arc::clone(&authority) as _,
        signer: Arc::clone(&signer),
        read: Arc::new(windrose_storage::read_file),
        seed: random_seed(),
        journal,
    });
    let node = Arc::new(node.await.map_err(|errors| errors.join("\n"))?);
    let following = tokio::spawn(registry::follow(
        identities.clone(),
        Arc::clone(&node),
        sources.directory(),
        snapshot.node.persistence,
    ));
    let managed = Managed { snapshot: Arc::clone(&snapshot), files, database: sources.database() };
    let mut admin = Admin::new(Arc::clone(&node), identities.clone(), managed);
    let prepared = admin.prepare(&snapshot).await?;
    admin.commit(prepared);

    for (listener, address) in node.addresses() {
        let (protocol, transport) = (listener.protocol.name(), listener.transport.name());
        let secured = match &listener.dtls {
            Some(Dtls::Psk) => "psk",
            Some(Dtls::Entry(entry)) => entry,
            None => listener.tls.as_deref().unwrap_or("none"),
        };
        let path = listener.path.as_deref();
        tracing::info!(listener = %listener.name, protocol, transport, %address, tls = secured, path, "listening");
    }
    if snapshot.identity.allow_anonymous {
        tracing::warn!(
            "identity.anonymous is allow: anyone who reaches a listener is let in, as far as access says"
        );
    }
    tracing::info!(node = %snapshot.node.name, version = env!("CARGO_PKG_VERSION"), "ready");

    let mut reloader = Reloader::new(
        file,
        Arc::clone(&snapshot),
        identities,
        sources,
        authority,
        Arc::clone(&signer),
        Arc::clone(&node),
    );
    let mut look_at_keys = tokio::time::interval(token_keys::LOOK);
    loop {
        tokio::select! {
            _ = look_at_keys.tick() => token_keys::rotate(reloader.snapshot(), &signer),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                reloader.reload("SIGHUP", &mut admin, &mut changes).await;
            }
            () = changes.changed() => {
                reloader.reload("a file changed", &mut admin, &mut changes).await;
            }
        }
    }

    let deadline = reloader.snapshot().node.shutdown_deadline;
    tracing::info!(?deadline, "draining: nothing new is accepted, what is in flight is finished");
    admin.draining();
    let drained = tokio::select! {
        drained = node.drain(deadline) => drained,
        _ = terminate.recv() => false,
        _ = interrupt.recv() => false,
    };
    following.abort();
    node.stop().await;
    if drained {
        tracing::info!("stopped");
        Ok(ExitCode::SUCCESS)
    } else {
        tracing::warn!(
            "stopped before everything in flight was finished: node.shutdown_deadline, or a second signal"
        );
        Ok(ExitCode::FAILURE)
    }
}

/// Opens what outlives the process, if the document wants that.
fn open_journal(node: &windrose_policy::Node) -> Result<Option<Journal>, String> {
    if !node.persistence {
        return Ok(None);
    }
    let (keeper, kept) = windrose_storage::open_journal(&node.data_dir).map_err(|error| error.to_string())?;
    Ok(Some(Journal { keeper, kept }))
}

/// Bits that differ at every start and cannot be guessed: the standard library keys its hash maps from the system's
/// source of randomness.
fn random_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}
