//! The admin API's place in the node: its socket, and the node as its operator sees it.

use crate::management::{Managed, Managing};
use crate::process;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use windrose_control::{NodeView, ProcessFacts, Reloads};
use windrose_engine::{KeeperFigures, Tally};
use windrose_identity::{Identities, IdentityFigures};
use windrose_network::{Node, bind_admin};
use windrose_policy::Snapshot;

/// The admin API, listening where the document in force says.
pub(crate) struct Admin {
    view: Arc<View>,
    managing: Arc<Managing>,
    serving: Option<Serving>,
}

struct Serving {
    bind: SocketAddr,
    /// Dropped, it ends the serving.
    _stop: oneshot::Sender<()>,
}

/// A socket that the next document needs, bound before anything changes.
pub(crate) enum Prepared {
    /// The address does not change.
    Same,
    /// There is no admin API any more.
    None,
    /// It moves.
    Moved(SocketAddr, TcpListener),
}

impl Admin {
    pub(crate) fn new(node: Arc<Node>, identities: Identities, managed: Managed) -> Self {
        let managing = Managing::new(identities.clone(), managed);
        let view = View {
            node,
            identities,
            draining: AtomicBool::new(false),
            reloads: AtomicU64::new(0),
            reloads_refused: AtomicU64::new(0),
        };
        Self { view: Arc::new(view), managing: Arc::new(managing), serving: None }
    }

    /// Binds what a document needs.
    pub(crate) async fn prepare(&self, snapshot: &Snapshot) -> Result<Prepared, String> {
        let Some(admin) = &snapshot.admin else { return Ok(Prepared::None) };
        if self.serving.as_ref().is_some_and(|serving| serving.bind == admin.bind) {
            return Ok(Prepared::Same);
        }
        let socket = bind_admin(admin.bind).await;
        socket
            .map(|socket| Prepared::Moved(admin.bind, socket))
            .map_err(|error| format!("admin.bind: cannot listen on {}: {error}", admin.bind))
    }

    /// From now on this is managed.
    pub(crate) fn manage(&self, managed: Managed) {
        self.managing.replace(managed);
    }

    /// Serves where the document says.
    pub(crate) fn commit(&mut self, prepared: Prepared) {
        match prepared {
            Prepared::Same => {}
            Prepared::None => self.serving = None,
            Prepared::Moved(bind, socket) => {
                let address = socket.local_addr().unwrap_or(bind);
                tracing::info!(%address, "admin API listening: /metrics, /healthz, /readyz, /v1");
                let (stop, stopped) = oneshot::channel::<()>();
                let router = windrose_control::router(Arc::clone(&self.view))
                    .merge(windrose_control::management(Arc::clone(&self.managing) as _));
                tokio::spawn(windrose_control::serve(socket, router, async move {
                    let _ = stopped.await;
                }));
                self.serving = Some(Serving { bind, _stop: stop });
            }
        }
    }

    /// From now on the node is not ready.
    pub(crate) fn draining(&self) {
        self.view.draining.store(true, Ordering::Relaxed);
    }

    /// Counts a reload, or one that was refused.
    pub(crate) fn reloaded(&self, accepted: bool) {
        let counter = if accepted { &self.view.reloads } else { &self.view.reloads_refused };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

struct View {
    node: Arc<Node>,
    identities: Identities,
    draining: AtomicBool,
    reloads: AtomicU64,
    reloads_refused: AtomicU64,
}

impl NodeView for View {
    async fn tallies(&self) -> Vec<Tally> {
        self.node.tallies().await
    }

    fn readiness(&self) -> Result<(), Vec<String>> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(vec!["the node is draining: it was told to stop".to_owned()]);
        }
        if self.node.journal().is_some_and(|journal| journal.failed) {
            return Err(vec![
                "the journal's keeper has failed, nothing is stored: restart the node".to_owned(),
            ]);
        }
        Ok(())
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.identities.figures().away {
            notes.push(
                "the registry's database is away: devices that are remembered may connect, others are refused"
                    .to_owned(),
            );
        }
        notes
    }

    fn identities(&self) -> Option<IdentityFigures> {
        Some(self.identities.figures())
    }

    fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    fn process(&self) -> Option<ProcessFacts> {
        process::facts()
    }

    fn journal(&self) -> Option<KeeperFigures> {
        self.node.journal()
    }

    fn reloads(&self) -> Reloads {
        Reloads {
            accepted: self.reloads.load(Ordering::Relaxed),
            refused: self.reloads_refused.load(Ordering::Relaxed),
        }
    }
}
