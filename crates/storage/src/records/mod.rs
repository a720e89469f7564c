//! The registry's database: SQLite in a file, or PostgreSQL.
//!
//! One text of SQL serves both (sqlx's `Any`); values are bound, never written into it. `connect` opens, `schema` makes tables,
//! `writer` is the one way to write, `acts` is what is done, `find` is what letting somebody in asks, `directory` is for people.

mod acts;
mod changes;
mod connect;
mod directory;
mod export;
mod find;
mod import;
mod rows;
mod schema;
mod writer;

use connect::Pools;
use std::future::Future;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use windrose_event::Subject;
use windrose_identity::{
    Act, Asked, Changes, Counts, CredentialDetails, Details, Directory, Found, Listing, Lookup, Ownership,
    Record, Records, RecordsError, RevokedCertificate, Summary,
};
use windrose_policy::RegistryLocation;

pub use export::ExportReport;
pub use import::{Existing, ImportFormat, ImportOptions, ImportProgress, ImportReport};
pub use schema::REGISTRY_SCHEMA;

/// How long an answer may take before the database counts as away.
const ANSWER: Duration = Duration::from_secs(10);

/// How long it may take to close all connections: one that hangs must not keep the program.
const CLOSE: Duration = Duration::from_secs(5);

/// The open registry. Closed when it is dropped.
#[derive(Debug)]
pub struct RegistryDatabase {
    pools: Pools,
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Opens a registry, makes it if it is a file that is not there, and brings its tables to this program's version. Waits for
/// that; a registry that cannot be asked is an error that says why. Answers come from a thread of its own.
pub fn open_registry(location: &RegistryLocation) -> Result<Arc<RegistryDatabase>, String> {
    let failed =
        |why: &dyn std::fmt::Display| format!("the registry {} cannot be opened: {why}", place(location));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failed(&error))?;
    let handle = runtime.handle().clone();
    let (stop, stopped) = oneshot::channel::<()>();
    let (opened, open) = std::sync::mpsc::channel();
    let to_open = location.clone();
    let work = move || {
        runtime.block_on(async move {
            match start(&to_open).await {
                Ok(pools) => {
                    let _ = opened.send(Ok(pools.clone()));
                    // Ends when the registry is dropped.
                    let _ = stopped.await;
                    let _ = tokio::time::timeout(CLOSE, pools.close()).await;
                }
                Err(error) => {
                    let _ = opened.send(Err(error));
                }
            }
        });
    };
    let thread = std::thread::Builder::new().name("registry".to_owned()).spawn(work);
    let thread = thread.map_err(|error| failed(&error))?;
    match open.recv() {
        Ok(Ok(pools)) => {
            Ok(Arc::new(RegistryDatabase { pools, handle, stop: Some(stop), thread: Some(thread) }))
        }
        Ok(Err(RecordsError::Unavailable(why))) => Err(failed(&why)),
        Ok(Err(error)) => Err(failed(&error)),
        Err(error) => Err(failed(&error)),
    }
}

async fn start(location: &RegistryLocation) -> Result<Pools, RecordsError> {
    let pools = Pools::connect(location).await?;
    schema::migrate(&pools.write, pools.dialect).await?;
    Ok(pools)
}

/// Where a registry is, without the password that may be in its URL.
fn place(location: &RegistryLocation) -> String {
    match location {
        RegistryLocation::Sqlite(path) => path.display().to_string(),
        RegistryLocation::Postgres(url) => {
            let rest = url.0.split_once("://").map_or("", |(_, rest)| rest);
            let rest = rest.split(['?', '#']).next().unwrap_or("");
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            format!("postgres://{host}/{path}")
        }
    }
}

impl RegistryDatabase {
    /// Asks on the registry's own thread: whoever waits may be on any.
    fn ask<T, A>(&self, ask: impl FnOnce(Pools) -> A) -> Asked<T>
    where
        T: Send + 'static,
        A: Future<Output = Result<T, RecordsError>> + Send + 'static,
    {
        let answer = ask(self.pools.clone());
        let task = self.handle.spawn(async move {
            match tokio::time::timeout(ANSWER, answer).await {
                Ok(answer) => answer,
                Err(_) => {
                    let problem = format!("no answer within {} seconds", ANSWER.as_secs());
                    Err(RecordsError::Unavailable(problem))
                }
            }
        });
        Box::pin(async move {
            match task.await {
                Ok(answer) => answer,
                Err(_) => Err(RecordsError::Unavailable("it is being closed".to_owned())),
            }
        })
    }
}

impl Drop for RegistryDatabase {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        // What SQLite wrote beside its file goes into it when the last connection is closed.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Records for RegistryDatabase {
    fn find(&self, lookups: Vec<Lookup>) -> Asked<Vec<Found>> {
        self.ask(|pools| async move { find::find(&pools, lookups).await })
    }

    fn record(&self, subject: Subject) -> Asked<Option<Arc<Record>>> {
        self.ask(|pools| async move { find::record(&pools, subject).await })
    }

    fn changes(&self, after: u64) -> Asked<Changes> {
        self.ask(move |pools| async move { changes::after(&pools, after).await })
    }

    fn newest_change(&self) -> Asked<u64> {
        self.ask(|pools| async move { changes::newest(&pools).await })
    }

    fn act(&self, act: Act, by: &str) -> Asked<()> {
        let by = by.to_owned();
        self.ask(|pools| async move { acts::act(&pools, act, &by).await })
    }
}

impl Directory for RegistryDatabase {
    fn details(&self, subject: Subject) -> Asked<Option<Details>> {
        self.ask(|pools| async move { directory::details(&pools, subject).await })
    }

    fn list(&self, listing: Listing) -> Asked<Vec<Summary>> {
        self.ask(|pools| async move { directory::list(&pools, listing).await })
    }

    fn history(&self, device: &str, before: Option<u64>, limit: usize) -> Asked<Vec<Ownership>> {
        let device = device.to_owned();
        self.ask(move |pools| async move { directory::history(&pools, device, before, limit).await })
    }

    fn counts(&self) -> Asked<Counts> {
        self.ask(|pools| async move { directory::counts(&pools).await })
    }

    fn credential(&self, id: &str) -> Asked<Option<(Subject, CredentialDetails)>> {
        let id = id.to_owned();
        self.ask(|pools| async move { directory::credential(&pools, id).await })
    }

    fn revoked_certificates(&self, issuer: [u8; 32]) -> Asked<Vec<RevokedCertificate>> {
        self.ask(move |pools| async move { directory::revoked_certificates(&pools, issuer).await })
    }
}

#[cfg(test)]
mod tests;
