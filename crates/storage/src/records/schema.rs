//! The schema: numbered migrations, each whole or not at all, and none beside another.

use super::connect::Dialect;
use super::writer::Writer;
use sqlx::{AssertSqlSafe, Row};
use windrose_identity::RecordsError;

/// All migrations, the first one first: they are only ever added to.
const MIGRATIONS: &[&str] = &[include_str!("migrations/0001.sql")];

/// The version of the schema that this program knows.
pub const REGISTRY_SCHEMA: u64 = MIGRATIONS.len() as u64;

/// What a schema's text leaves to the database.
fn adapt(text: &str, dialect: Dialect) -> String {
    let (id, name, bytes, clustered) = match dialect {
        // `INTEGER PRIMARY KEY` is the row's own number; no other word is.
        Dialect::Sqlite => ("INTEGER", "TEXT", "BLOB", "WITHOUT ROWID"),
        // In the order of its bytes, whatever language the database speaks.
        Dialect::Postgres => ("BIGINT", "TEXT COLLATE \"C\"", "BYTEA", ""),
    };
    text.replace("{id}", id)
        .replace("{text}", name)
        .replace("{bytes}", bytes)
        .replace("{clustered}", clustered)
}

/// The version of the database's schema; 0 if there is none.
pub(super) async fn version(pool: &sqlx::AnyPool) -> u64 {
    // There is no table yet in a new database. Whatever else is wrong comes up again in a moment.
    let row = sqlx::query("SELECT value FROM about WHERE name = 'schema'").fetch_optional(pool).await;
    let value = row.ok().flatten().and_then(|row| row.try_get::<i64, _>(0).ok());
    value.and_then(|value| u64::try_from(value).ok()).unwrap_or(0)
}

/// Brings the schema to this program's version. A database that a later program made is refused.
pub(super) async fn migrate(pool: &sqlx::AnyPool, dialect: Dialect) -> Result<(), RecordsError> {
    if version(pool).await == REGISTRY_SCHEMA {
        return Ok(());
    }
    let mut writer = Writer::begin(pool, dialect, "").await?;
    let about =
        adapt("CREATE TABLE IF NOT EXISTS about (name {text} PRIMARY KEY, value BIGINT NOT NULL)", dialect);
    writer.raw(about).await?;
    let value = writer.value("SELECT value FROM about WHERE name = 'schema'", vec![]).await?;
    let found = value.and_then(|value| u64::try_from(value).ok()).unwrap_or(0);
    if found > REGISTRY_SCHEMA {
        return Err(RecordsError::Invalid(format!(
            "it was made by a later version of Windrose: its schema is {found}, this program knows {REGISTRY_SCHEMA}. \
             Use the later version, or a copy of the registry from before the upgrade"
        )));
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(usize::MAX)) {
        writer.raw(adapt(migration, dialect)).await?;
    }
    let store =
        "INSERT INTO about (name, value) VALUES ('schema', $1) ON CONFLICT (name) DO UPDATE SET value = $1";
    writer.run(store, vec![(REGISTRY_SCHEMA as i64).into()]).await?;
    writer.commit().await
}

impl Writer {
    /// Runs statements that have no parameters.
    async fn raw(&mut self, sql: String) -> Result<(), RecordsError> {
        use sqlx::Executor;
        let done = self.connection().execute(sqlx::raw_sql(AssertSqlSafe(sql))).await;
        done.map(|_| ()).map_err(super::connect::error)
    }
}
