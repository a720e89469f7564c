//! Writing: one transaction at a time over all programs, so that numbers have no gap and are seen in their order.

use super::connect::{Dialect, error};
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::{Any, AnyConnection, AnyPool, AssertSqlSafe, Row, SqlSafeStr, Transaction};
use std::time::SystemTime;
use windrose_event::{Subject, Timestamp};
use windrose_identity::RecordsError;

/// Waits until no other program writes. The result has to have a type that every driver knows.
const POSTGRES_LOCK: &str = "SELECT CAST(pg_advisory_xact_lock(6293584612775) AS TEXT)";

/// Changes that are kept for readers that are slow.
const MOST_CHANGES: i64 = 200_000;

/// A value for a placeholder.
#[derive(Clone, Debug)]
pub(super) enum Bind {
    Number(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

impl From<i64> for Bind {
    fn from(value: i64) -> Self {
        Self::Number(Some(value))
    }
}

impl From<Option<i64>> for Bind {
    fn from(value: Option<i64>) -> Self {
        Self::Number(value)
    }
}

impl From<&str> for Bind {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

impl From<String> for Bind {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}

impl From<Option<&str>> for Bind {
    fn from(value: Option<&str>) -> Self {
        Self::Text(value.map(str::to_owned))
    }
}

impl From<&[u8]> for Bind {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(Some(value.to_vec()))
    }
}

impl From<Option<Vec<u8>>> for Bind {
    fn from(value: Option<Vec<u8>>) -> Self {
        Self::Bytes(value)
    }
}

/// A query with its values.
pub(super) fn query(
    sql: impl SqlSafeStr,
    binds: Vec<Bind>,
) -> sqlx::query::Query<'static, Any, AnyArguments> {
    binds.into_iter().fold(sqlx::query(sql), |query, bind| match bind {
        Bind::Number(value) => query.bind(value),
        Bind::Text(value) => query.bind(value),
        Bind::Bytes(value) => query.bind(value),
    })
}

/// `$1, $2, ...`: that many placeholders after the first `before`.
pub(super) fn placeholders(before: usize, count: usize) -> String {
    let mut text = String::with_capacity(count * 5);
    for number in before + 1..=before + count {
        if !text.is_empty() {
            text.push(',');
        }
        text.push('$');
        text.push_str(&number.to_string());
    }
    text
}

/// A transaction that writes.
pub(super) struct Writer {
    transaction: Transaction<'static, Any>,
    dialect: Dialect,
    /// When it is.
    pub(super) now: i64,
    /// Who does it.
    pub(super) by: String,
    /// The next free id, once it was asked for.
    next_id: Option<i64>,
    /// What readers have to be told.
    noted: Vec<(Subject, bool)>,
}

impl Writer {
    /// Begins, once no other program writes.
    pub(super) async fn begin(pool: &AnyPool, dialect: Dialect, by: &str) -> Result<Self, RecordsError> {
        let transaction = match dialect {
            // A transaction that reads first and writes later would fail if another one wrote in between.
            Dialect::Sqlite => pool.begin_with("BEGIN IMMEDIATE").await.map_err(error)?,
            Dialect::Postgres => {
                let mut transaction = pool.begin().await.map_err(error)?;
                sqlx::query(POSTGRES_LOCK).execute(&mut *transaction).await.map_err(error)?;
                transaction
            }
        };
        let by = by.chars().filter(|c| !c.is_control()).take(256).collect();
        Ok(Self { transaction, dialect, now: micros(now()), by, next_id: None, noted: Vec::new() })
    }

    /// The connection that the transaction runs on.
    pub(super) fn connection(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }

    /// Many placeholders, for a statement that has no others: those after the first `before`. SQLite looks names such as `$1`
    /// up one after the other, so that thousands of them take as many times longer; without names it counts.
    pub(super) fn places(&self, before: usize, count: usize) -> String {
        match self.dialect {
            Dialect::Postgres => placeholders(before, count),
            Dialect::Sqlite => {
                let mut text = "?,".repeat(count);
                text.pop();
                text
            }
        }
    }

    /// Runs a statement; how many rows it changed.
    pub(super) async fn run(&mut self, sql: &'static str, binds: Vec<Bind>) -> Result<u64, RecordsError> {
        let done = query(sql, binds).execute(&mut *self.transaction).await.map_err(error)?;
        Ok(done.rows_affected())
    }

    /// Runs a statement whose text was put together here.
    pub(super) async fn run_made(&mut self, sql: String, binds: Vec<Bind>) -> Result<u64, RecordsError> {
        let done = query(AssertSqlSafe(sql), binds).execute(&mut *self.transaction).await.map_err(error)?;
        Ok(done.rows_affected())
    }

    /// The first row of an answer.
    pub(super) async fn row(
        &mut self,
        sql: &'static str,
        binds: Vec<Bind>,
    ) -> Result<Option<AnyRow>, RecordsError> {
        query(sql, binds).fetch_optional(&mut *self.transaction).await.map_err(error)
    }

    /// All rows of an answer.
    pub(super) async fn rows(&mut self, sql: String, binds: Vec<Bind>) -> Result<Vec<AnyRow>, RecordsError> {
        query(AssertSqlSafe(sql), binds).fetch_all(&mut *self.transaction).await.map_err(error)
    }

    /// The number in the first row of an answer.
    pub(super) async fn value(
        &mut self,
        sql: &'static str,
        binds: Vec<Bind>,
    ) -> Result<Option<i64>, RecordsError> {
        let row = self.row(sql, binds).await?;
        row.map(|row| row.try_get::<Option<i64>, _>(0).map_err(error)).transpose().map(Option::flatten)
    }

    /// An id that nothing in this registry has had.
    pub(super) async fn new_id(&mut self) -> Result<i64, RecordsError> {
        let id = match self.next_id {
            Some(id) => id,
            None => self.value("SELECT value FROM about WHERE name = 'next_id'", vec![]).await?.unwrap_or(1),
        };
        self.next_id = Some(id + 1);
        Ok(id)
    }

    /// Readers will be told of it. `ends`: live sessions of the subject must end.
    pub(super) fn note(&mut self, subject: Subject, ends: bool) {
        self.noted.push((subject, ends));
    }

    /// A place in the transaction to come back to.
    pub(super) async fn mark(&mut self) -> Result<usize, RecordsError> {
        self.run("SAVEPOINT mark", vec![]).await?;
        Ok(self.noted.len())
    }

    /// Nothing since the mark is done.
    pub(super) async fn back_to(&mut self, mark: usize) -> Result<(), RecordsError> {
        self.noted.truncate(mark);
        self.run("ROLLBACK TO SAVEPOINT mark", vec![]).await?;
        self.forget_mark().await
    }

    /// What was done since the mark stays.
    pub(super) async fn forget_mark(&mut self) -> Result<(), RecordsError> {
        self.run("RELEASE SAVEPOINT mark", vec![]).await.map(|_| ())
    }

    /// Makes it so.
    pub(super) async fn commit(mut self) -> Result<(), RecordsError> {
        self.store().await?;
        self.transaction.commit().await.map_err(error)
    }

    /// Writes down what was collected.
    async fn store(&mut self) -> Result<(), RecordsError> {
        if let Some(next) = self.next_id {
            let sql = "INSERT INTO about (name, value) VALUES ('next_id', $1) ON CONFLICT (name) DO UPDATE SET value = $1";
            self.run(sql, vec![next.into()]).await?;
        }
        let noted = std::mem::take(&mut self.noted);
        if noted.is_empty() {
            return Ok(());
        }
        // Nobody else writes: the numbers have no gap.
        let newest = self.value("SELECT MAX(number) FROM changes", vec![]).await?.unwrap_or(0);
        let mut number = newest;
        for some in noted.chunks(1_000) {
            let mut binds = Vec::with_capacity(some.len() * 5);
            let mut sql = "INSERT INTO changes (number, kind, subject, ends, at) VALUES ".to_owned();
            for (index, (subject, ends)) in some.iter().enumerate() {
                number += 1;
                let (kind, text) = subject_text(subject);
                binds.extend([
                    number.into(),
                    kind.into(),
                    text.into(),
                    i64::from(*ends).into(),
                    self.now.into(),
                ]);
                sql.push_str(if index == 0 { "(" } else { ",(" });
                sql.push_str(&self.places(index * 5, 5));
                sql.push(')');
            }
            self.run_made(sql, binds).await?;
        }
        self.run("DELETE FROM changes WHERE number <= $1", vec![(number - MOST_CHANGES).into()]).await?;
        Ok(())
    }
}

/// The time.
pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// A time as databases keep it.
pub(super) fn micros(time: Timestamp) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// A subject as databases keep it.
fn subject_text(subject: &Subject) -> (i64, String) {
    match subject {
        Subject::Device(id) => (1, id.to_string()),
        Subject::Owner(id) => (2, id.to_string()),
        Subject::Service(name) => (3, name.to_string()),
        Subject::Credential(id) => (4, id.to_string()),
        Subject::Certificate(digest) => (5, windrose_identity::Lookup::Fingerprint(*digest).text()),
    }
}

/// Reads what [`subject_text`] wrote.
pub(super) fn subject(kind: i64, text: &str) -> Option<Subject> {
    Some(match kind {
        1 => Subject::Device(text.into()),
        2 => Subject::Owner(text.into()),
        3 => Subject::Service(text.into()),
        4 => Subject::Credential(text.into()),
        5 => match windrose_identity::Lookup::read(text)? {
            windrose_identity::Lookup::Fingerprint(digest) => Subject::Certificate(digest),
            _ => return None,
        },
        _ => return None,
    })
}
