//! Connections: SQLite and PostgreSQL behind one pool of sqlx's, and one text of SQL for both.

use sqlx::AnyPool;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use std::fmt::Write;
use std::fs::OpenOptions;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;
use windrose_identity::RecordsError;
use windrose_policy::RegistryLocation;

/// How long somebody waits for a connection before the database counts as away.
const ACQUIRE: Duration = Duration::from_secs(3);

/// How long somebody who writes waits for those before, who each wait for the disk.
const ACQUIRE_WRITER: Duration = Duration::from_secs(8);

/// Readers at once. SQLite has a thread for each.
const READERS: u32 = 4;

/// What every connection to SQLite is told: readers do not wait for a writer (WAL), and what was answered is on the disk (FULL):
/// a revocation or a used code must not come undone when the power goes. Writing is rare enough for that.
/// What they read is in the system's memory of files; of their own they keep 8 MiB each.
const PRAGMAS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000; \
                       PRAGMA foreign_keys = ON; PRAGMA cache_size = -8192; \
                       PRAGMA journal_size_limit = 67108864;";

/// What the one that writes is told besides: an import of a million devices keeps the upper pages of its indexes.
const WRITER: &str = "PRAGMA cache_size = -65536;";

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

/// The connections to a database.
#[derive(Clone, Debug)]
pub(super) struct Pools {
    pub(super) dialect: Dialect,
    /// For reading.
    pub(super) read: AnyPool,
    /// For writing: one after the other in SQLite.
    pub(super) write: AnyPool,
}

impl Pools {
    /// Connects.
    pub(super) async fn connect(location: &RegistryLocation) -> Result<Self, RecordsError> {
        sqlx::any::install_default_drivers();
        match location {
            RegistryLocation::Sqlite(path) => {
                let url = prepare_file(path)?;
                try_once(&url, Some(PRAGMAS)).await?;
                let pool = |most, acquire, besides: &'static str| {
                    AnyPoolOptions::new().max_connections(most).acquire_timeout(acquire).after_connect(
                        move |connection, _| {
                            Box::pin(async move {
                                use sqlx::Executor;
                                connection.execute(sqlx::raw_sql(PRAGMAS)).await?;
                                if !besides.is_empty() {
                                    connection.execute(sqlx::raw_sql(besides)).await?;
                                }
                                Ok(())
                            })
                        },
                    )
                };
                let write =
                    pool(1, ACQUIRE_WRITER, WRITER).connect_with(options(&url)?).await.map_err(error)?;
                let read = pool(READERS, ACQUIRE, "").connect_with(options(&url)?).await.map_err(error)?;
                Ok(Self { dialect: Dialect::Sqlite, read, write })
            }
            RegistryLocation::Postgres(url) => {
                try_once(&url.0, None).await?;
                // Writers wait for each other in the database: they must not take all connections from those who read.
                let pool =
                    |most, acquire| AnyPoolOptions::new().max_connections(most).acquire_timeout(acquire);
                let write = pool(2, ACQUIRE_WRITER).connect_with(options(&url.0)?).await.map_err(error)?;
                let read = pool(2 * READERS, ACQUIRE).connect_with(options(&url.0)?).await.map_err(error)?;
                Ok(Self { dialect: Dialect::Postgres, read, write })
            }
        }
    }

    /// Closes all connections.
    pub(super) async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}

/// Connects once: a pool would try again and again, and say no more than that it took too long.
async fn try_once(url: &str, statements: Option<&'static str>) -> Result<(), RecordsError> {
    use sqlx::{ConnectOptions, Connection, Executor};
    let options = options(url)?;
    let connect = tokio::time::timeout(ACQUIRE, options.connect());
    let mut connection = connect.await.map_err(|_| error(sqlx::Error::PoolTimedOut))?.map_err(error)?;
    if let Some(statements) = statements {
        connection.execute(sqlx::raw_sql(statements)).await.map_err(error)?;
    }
    connection.close().await.map_err(error)
}

fn options(url: &str) -> Result<AnyConnectOptions, RecordsError> {
    // The error of a URL might repeat it, and there can be a password in it.
    let options = url.parse::<AnyConnectOptions>();
    let options = options.map_err(|_| RecordsError::Invalid("its URL cannot be read".to_owned()))?;
    Ok(sqlx::ConnectOptions::disable_statement_logging(options))
}

/// Makes the file, for its owner's eyes only, and answers its URL.
fn prepare_file(path: &Path) -> Result<String, RecordsError> {
    let failed = |error: std::io::Error| RecordsError::Unavailable(error.to_string());
    let path = std::path::absolute(path).map_err(failed)?;
    let file =
        OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(
            file = %path.display(),
            mode = format!("{:o}", mode & 0o777),
            "others on this machine can read the registry's file: chmod 600 it"
        );
    }
    let mut url = "sqlite://".to_owned();
    for byte in std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()) {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(byte) {
            url.push(char::from(*byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
    Ok(url)
}

/// What went wrong in the database, in our words.
pub(super) fn error(error: sqlx::Error) -> RecordsError {
    match &error {
        sqlx::Error::PoolTimedOut => {
            RecordsError::Unavailable(format!("no connection to it within {} seconds", ACQUIRE.as_secs()))
        }
        sqlx::Error::PoolClosed => RecordsError::Unavailable("it is being closed".to_owned()),
        sqlx::Error::Database(problem) if problem.is_unique_violation() => {
            RecordsError::Conflict(format!("there is another one of that name: {}", problem.message()))
        }
        sqlx::Error::Database(problem) => RecordsError::Unavailable(problem.message().to_owned()),
        _ => RecordsError::Unavailable(error.to_string()),
    }
}
