//! The file of the keys that the node signs identity tokens with.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// `identity-token.key` in the node's folder.
pub struct TokenKeyFile(PathBuf);

impl TokenKeyFile {
    /// The file in that folder, which need not be there yet.
    pub fn new(data_dir: &Path) -> Self {
        Self(data_dir.join("identity-token.key"))
    }

    /// What is in it, if it is there.
    ///
    /// # Errors
    /// The sentence that says what the system says.
    pub fn read(&self) -> Result<Option<Vec<u8>>, String> {
        match crate::read_file(&self.0) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.problem(&error.to_string())),
        }
    }

    /// Writes it, for nobody but its owner to read: whole or not at all, even if the machine stops amid that.
    ///
    /// # Errors
    /// The sentence that says what the system says.
    pub fn write(&self, content: &[u8]) -> Result<(), String> {
        self.replace(content).map_err(|error| self.problem(&error.to_string()))
    }

    /// The sentence that says what is wrong with it.
    pub fn problem(&self, problem: &str) -> String {
        format!("{}: {problem}", self.0.display())
    }

    fn replace(&self, content: &[u8]) -> io::Result<()> {
        let folder = self.0.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let beside = self.0.with_extension("key.new");
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            // What an earlier attempt left there is of no use.
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, &self.0)?;
        fs::File::open(folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_written_whole_and_for_its_owner_only() {
        let folder = std::env::temp_dir().join(format!("windrose-token-keys-{}", std::process::id()));
        let file = TokenKeyFile::new(&folder.join("data"));
        assert_eq!(file.read().unwrap(), None);
        file.write(b"one").unwrap();
        file.write(b"two").unwrap();
        assert_eq!(file.read().unwrap().as_deref(), Some(&b"two"[..]));
        let names: Vec<_> =
            fs::read_dir(folder.join("data")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["identity-token.key"]);
        let mode = fs::metadata(folder.join("data/identity-token.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::remove_dir_all(&folder).unwrap();
        fs::write(&folder, "in the way").unwrap();
        assert!(file.write(b"one").unwrap_err().contains("identity-token.key: "));
        fs::remove_file(&folder).unwrap();
    }
}
