//! Import: many devices at once, from CSV or JSON Lines, in one transaction.
//!
//! Everything is read twice: once to find what is wrong with it while the database is left alone, and once to write it, in
//! batches with a few statements each.

mod bulk;
mod entry;
mod input;

use super::RegistryDatabase;
use super::connect::error;
use super::writer::Writer;
use entry::Entry;
use input::{Lines, hash_passwords};
use std::io::{Read, Seek, SeekFrom};
use windrose_identity::RecordsError;

pub(super) use entry::write_groups;
pub use input::ImportFormat;

/// Lines of one batch.
const BATCH: usize = 1_000;

/// Bad lines that are told of one by one.
const MOST_TOLD: usize = 1_000;

/// What happens with a device, an owner or a service that the registry knows already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// Its line is a bad one.
    #[default]
    Fail,
    /// Its line is left out.
    Skip,
    /// It becomes what its line says; what that does not say stays.
    Update,
}

/// How an import goes about it.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// What happens with those that are there already.
    pub existing: Existing,
    /// Whether bad lines are left out instead of stopping everything.
    pub skip_bad: bool,
    /// Who does it, for the history.
    pub by: String,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Whether it took effect.
    pub done: bool,
    /// Those that are new.
    pub added: u64,
    /// Those that were there and are now as their lines say.
    pub updated: u64,
    /// Those that were there and stay as they were.
    pub skipped: u64,
    /// Bad lines.
    pub bad: u64,
    /// The first thousand of them: the line's number, and what is wrong with it.
    pub told: Vec<(u64, String)>,
}

impl ImportReport {
    fn bad(&mut self, line: u64, problem: String) {
        self.bad += 1;
        if self.told.len() < MOST_TOLD {
            self.told.push((line, problem));
        }
    }
}

/// How far an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportProgress {
    /// So many lines were read and looked at.
    Checked(u64),
    /// So many lines of all were written.
    Written {
        /// So many.
        lines: u64,
        /// Of so many.
        of: u64,
    },
}

/// A line that was read.
struct Line {
    number: u64,
    entry: Entry,
}

impl RegistryDatabase {
    /// Takes in what `input` holds: all of it or, if a line is bad, nothing, unless `skip_bad`. Waits for that, which can take
    /// minutes; other programs that write wait for it, too, and those that read do not.
    pub fn import(
        &self,
        format: ImportFormat,
        input: &mut (impl Read + Seek),
        options: &ImportOptions,
        progress: &mut dyn FnMut(ImportProgress),
    ) -> Result<ImportReport, RecordsError> {
        let cannot_read =
            |error: std::io::Error| RecordsError::Invalid(format!("it cannot be read: {error}"));
        let mut report = ImportReport::default();
        let mut lines = 0;
        for line in Lines::new(format, &mut *input)? {
            lines += 1;
            if let Err((number, problem)) = line {
                report.bad(number, problem);
            }
            if lines % 10_000 == 0 {
                progress(ImportProgress::Checked(lines));
            }
        }
        if report.bad > 0 && !options.skip_bad {
            return Ok(report);
        }
        progress(ImportProgress::Written { lines: 0, of: lines });
        input.seek(SeekFrom::Start(0)).map_err(cannot_read)?;

        let pools = self.pools.clone();
        let (batches, mut arriving) = tokio::sync::mpsc::channel::<Vec<Line>>(2);
        let (written, done) = std::sync::mpsc::channel::<u64>();
        let its_options = options.clone();
        let mut its_report = report;
        let task = self.handle.spawn(async move {
            let mut writer = Writer::begin(&pools.write, pools.dialect, &its_options.by).await?;
            writer.prepare_for_much(pools.dialect).await?;
            let mut bulk = bulk::Bulk::default();
            while let Some(batch) = arriving.recv().await {
                let count = batch.len() as u64;
                bulk.write(&mut writer, batch, &its_options, &mut its_report).await?;
                let _ = written.send(count);
            }
            if its_report.bad == 0 || its_options.skip_bad {
                bulk.note(&mut writer);
                writer.commit().await?;
                its_report.done = true;
            }
            Ok::<_, RecordsError>(its_report)
        });
        let mut batch = Vec::with_capacity(BATCH);
        let mut so_far = 0;
        let mut tell = |progress: &mut dyn FnMut(ImportProgress)| {
            for count in done.try_iter() {
                so_far += count;
                progress(ImportProgress::Written { lines: so_far, of: lines });
            }
        };
        for line in Lines::new(format, &mut *input)? {
            // What is bad was told of before.
            let Ok(line) = line else { continue };
            batch.push(line);
            if batch.len() == BATCH {
                hash_passwords(&mut batch)?;
                if batches.blocking_send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH))).is_err() {
                    break;
                }
                tell(progress);
            }
        }
        hash_passwords(&mut batch)?;
        let _ = batches.blocking_send(batch);
        drop(batches);
        // The rest of it, until the writer ends.
        for count in done.iter() {
            so_far += count;
            progress(ImportProgress::Written { lines: so_far, of: lines });
        }
        let closed = || RecordsError::Unavailable("it is being closed".to_owned());
        let mut report = self.handle.block_on(task).map_err(|_| closed())??;
        report.told.sort_by_key(|(line, _)| *line);
        Ok(report)
    }
}

impl Writer {
    /// Large tables are written in the order of what comes: what of their indexes fits in memory is not read again and again.
    async fn prepare_for_much(&mut self, dialect: super::connect::Dialect) -> Result<(), RecordsError> {
        if dialect == super::connect::Dialect::Sqlite {
            use sqlx::Executor;
            self.connection().execute(sqlx::raw_sql("PRAGMA cache_size = -262144")).await.map_err(error)?;
        }
        Ok(())
    }
}
