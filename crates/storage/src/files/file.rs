//! Reading the registry's files, and what is wrong with them.

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use windrose_policy::Mistakes;
use windrose_policy::document::{Reading, Shape};

/// The largest file that is read: some million devices.
const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;

/// What is wrong with one file.
#[derive(Debug)]
pub enum FileError {
    /// It could not be read.
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It has mistakes, each in its place.
    Mistakes(Mistakes),
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, error } => write!(f, "cannot read {}: {error}", path.display()),
            Self::Mistakes(mistakes) => mistakes.fmt(f),
        }
    }
}

/// Why a registry could not be loaded: everything that is wrong with its files.
#[derive(Debug)]
pub struct RegistryError {
    /// At least one.
    pub files: Vec<FileError>,
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.files.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for RegistryError {}

/// Reads a file as `T`, and then as what `check` makes of it.
pub(crate) fn load<T: Shape, U>(
    path: &Path,
    check: impl FnOnce(T, &mut Reading<'_>) -> U,
) -> Result<U, FileError> {
    let unreadable = |error| FileError::Unreadable { path: path.to_owned(), error };
    let text = read(path).map_err(unreadable)?;
    let mut reading = Reading::without_variables(&path.display().to_string(), &text);
    let keys = reading.document::<T>();
    let value = keys.map(|keys| check(keys, &mut reading));
    reading.finish(value).map_err(FileError::Mistakes)
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("it is larger than {MAX_FILE_BYTES} bytes")));
    }
    Ok(text)
}
