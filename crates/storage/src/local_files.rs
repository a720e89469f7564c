//! Files of the operator's that other floors need whole.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

/// The largest file that is read: documents, certificates and keys are far smaller.
const LARGEST: u64 = 64 << 20;

/// Reads a file whole, such as the document or a certificate.
///
/// # Errors
/// What the system says, or that the file is larger than 64 MiB.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 64 MiB"));
    }
    Ok(bytes)
}

/// Writes a new file of the operator's.
///
/// # Errors
/// What the system says; that there is such a file already is an error, too.
pub fn create_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// How many entries a folder has.
///
/// # Errors
/// What the system says.
pub fn count_entries(folder: &Path) -> io::Result<u64> {
    Ok(fs::read_dir(folder)?.count() as u64)
}
