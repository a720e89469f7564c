//! What is imported, line by line.

use super::Line;
use super::entry::{Entry, Fields};

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use windrose_event::Secret;
use windrose_identity::{CredentialSecret, PasswordError, RecordsError, hash_password};

/// Bytes of a line.
const MOST_LINE: u64 = 1 << 20;

/// How what is imported or exported is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportFormat {
    /// Comma-separated values (RFC 4180) with a header: a device in each line.
    Csv,
    /// A JSON object in each line.
    JsonLines,
}

/// The lines of an input: what each says, or what is wrong with it.
pub(super) enum Lines<R: Read> {
    Csv { reader: csv::Reader<R>, columns: Vec<String>, record: csv::StringRecord },
    Json { reader: BufReader<R>, number: u64 },
    Ended,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(format: ImportFormat, input: R) -> Result<Self, RecordsError> {
        match format {
            ImportFormat::JsonLines => {
                Ok(Self::Json { reader: BufReader::with_capacity(1 << 18, input), number: 0 })
            }
            ImportFormat::Csv => {
                let mut reader = csv::ReaderBuilder::new().buffer_capacity(1 << 18).from_reader(input);
                let header =
                    reader.headers().map_err(|error| RecordsError::Invalid(format!("line 1: {error}")))?;
                let columns: Vec<String> = header
                    .iter()
                    .map(|column| column.trim().trim_start_matches('\u{feff}').to_ascii_lowercase())
                    .collect();
                for (index, column) in columns.iter().enumerate() {
                    let problem = if !Fields::COLUMNS.contains(&column.as_str()) {
                        format!(
                            "there is no column `{}`: there are {}",
                            crate::records::acts::shown(column),
                            Fields::COLUMNS.join(", ")
                        )
                    } else if columns.iter().take(index).any(|other| other == column) {
                        format!("the column `{column}` is there twice")
                    } else {
                        continue;
                    };
                    return Err(RecordsError::Invalid(format!("line 1: {problem}")));
                }
                if !columns.iter().any(|column| column == "id") {
                    return Err(RecordsError::Invalid("line 1: a column `id` is missing".to_owned()));
                }
                Ok(Self::Csv { reader, columns, record: csv::StringRecord::new() })
            }
        }
    }
}

impl<R: Read> Iterator for Lines<R> {
    type Item = Result<Line, (u64, String)>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Csv { reader, columns, record } => {
                let read = reader.read_record(record);
                match read {
                    Ok(false) => None,
                    Ok(true) => {
                        let number = record.position().map_or(0, csv::Position::line);
                        let fields = columns.iter().map(String::as_str).zip(record.iter());
                        let fields =
                            Fields(fields.filter(|(_, value)| !value.is_empty()).collect::<BTreeMap<_, _>>());
                        Some(
                            Entry::of_fields(&fields)
                                .map(|entry| Line { number, entry })
                                .map_err(|why| (number, why)),
                        )
                    }
                    Err(error) => {
                        let number = error.position().map_or(0, csv::Position::line);
                        let problem = match error.kind() {
                            csv::ErrorKind::Utf8 { .. } => "this is not UTF-8".to_owned(),
                            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                                format!("it has {len} values for {expected_len} columns")
                            }
                            _ => {
                                let problem = error.to_string();
                                *self = Self::Ended;
                                problem
                            }
                        };
                        Some(Err((number, problem)))
                    }
                }
            }
            Self::Json { reader, number } => loop {
                let mut line = Vec::new();
                *number += 1;
                let number = *number;
                // No more is read at once than a line may have, whatever comes.
                match reader.by_ref().take(MOST_LINE).read_until(b'\n', &mut line) {
                    Ok(0) => return None,
                    Ok(read) if read as u64 == MOST_LINE && !line.ends_with(b"\n") => {
                        *self = Self::Ended;
                        return Some(Err((number, format!("it is longer than {MOST_LINE} bytes"))));
                    }
                    Ok(_) if line.trim_ascii().is_empty() => continue,
                    Ok(_) => {}
                    Err(error) => {
                        *self = Self::Ended;
                        return Some(Err((number, format!("it cannot be read: {error}"))));
                    }
                }
                let entry =
                    serde_json::from_slice(&line).map_err(|error| format!("this is no JSON: {error}"));
                let entry = entry.and_then(|value| Entry::of_json(&value));
                return Some(entry.map(|entry| Line { number, entry }).map_err(|why| (number, why)));
            },
            Self::Ended => None,
        }
    }
}

/// Hashes the passwords of a batch, on all cores: each takes tens of milliseconds.
pub(super) fn hash_passwords(batch: &mut [Line]) -> Result<(), RecordsError> {
    let mut waiting: Vec<(&Secret, &mut CredentialSecret)> = batch
        .iter_mut()
        .flat_map(|line| line.entry.credentials.iter_mut())
        .filter_map(|credential| Some((credential.password.as_ref()?, &mut credential.new.secret)))
        .collect();
    if waiting.is_empty() {
        return Ok(());
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = waiting.len().div_ceil(cores);
    let hash = |share: &mut [(&Secret, &mut CredentialSecret)]| {
        share.iter_mut().try_for_each(|(password, secret)| {
            **secret =
                CredentialSecret::PasswordHash(Secret::new(hash_password(password.reveal())?.into_bytes()));
            Ok(())
        })
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> =
            waiting.chunks_mut(share).map(|share| scope.spawn(move || hash(share))).collect();
        workers.into_iter().try_for_each(|worker| {
            let failed = |why: String| RecordsError::Invalid(why);
            let done = worker.join().map_err(|_| failed("a password could not be hashed".to_owned()))?;
            done.map_err(|error: PasswordError| failed(error.to_string()))
        })
    })
}
