//! The files of an authority that the operator keeps beside the document (`windrose ca`).

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A folder with an authority's files.
#[derive(Clone, Debug)]
pub struct AuthorityFolder(PathBuf);

/// A file of an authority's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorityFile {
    /// The root's certificate: what clients trust.
    Root,
    /// Its key, in a folder of its own that can be taken away.
    RootKey,
    /// What signs now, the root, and what signed before.
    Issuing,
    /// The keys of what signs and signed.
    IssuingKey,
    /// A certificate for listeners, and what signed it.
    Server,
    /// Its key.
    ServerKey,
    /// What listeners trust of things: `client_ca`.
    Clients,
}

impl AuthorityFile {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Root,
        Self::RootKey,
        Self::Issuing,
        Self::IssuingKey,
        Self::Server,
        Self::ServerKey,
        Self::Clients,
    ];

    /// Its path in the folder.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root.pem",
            Self::RootKey => "root/root.key",
            Self::Issuing => "issuing.pem",
            Self::IssuingKey => "issuing.key",
            Self::Server => "server.pem",
            Self::ServerKey => "server.key",
            Self::Clients => "clients.pem",
        }
    }

    /// Whether nobody but its owner may read it.
    const fn is_secret(self) -> bool {
        matches!(self, Self::RootKey | Self::IssuingKey | Self::ServerKey)
    }
}

impl AuthorityFolder {
    /// The folder of that path, which need not be there yet.
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Where a file of it is.
    pub fn path(&self, file: AuthorityFile) -> PathBuf {
        self.0.join(file.name())
    }

    /// Writes all files of a new authority; nothing that is there is written over.
    ///
    /// # Errors
    /// The sentence that says what is there already, or what the system says.
    pub fn create(&self, files: &[(AuthorityFile, &[u8])]) -> Result<(), String> {
        if let Some(there) = files.iter().map(|(file, _)| self.path(*file)).find(|path| path.exists()) {
            return Err(format!(
                "{} is there already, and an authority is never written over: choose another --directory, \
                 or `windrose ca rotate`",
                there.display()
            ));
        }
        for (file, content) in files {
            let path = self.path(*file);
            let folder = path.parent().unwrap_or(&self.0);
            let mode = if *file == AuthorityFile::RootKey { 0o700 } else { 0o755 };
            fs::DirBuilder::new()
                .recursive(true)
                .mode(mode)
                .create(folder)
                .map_err(|error| cannot("make", folder, &error))?;
            write_new(&path, content, file.is_secret()).map_err(|error| cannot("write", &path, &error))?;
        }
        Ok(())
    }

    /// Reads a file whole.
    ///
    /// # Errors
    /// What the system says.
    pub fn read(&self, file: AuthorityFile) -> Result<Vec<u8>, String> {
        let path = self.path(file);
        crate::read_file(&path).map_err(|error| cannot("read", &path, &error))
    }

    /// Puts another content in a file's place, at once: who reads it finds the one or the other.
    ///
    /// # Errors
    /// What the system says.
    pub fn replace(&self, file: AuthorityFile, content: &[u8]) -> Result<(), String> {
        let path = self.path(file);
        let mut beside = path.clone().into_os_string();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        // What an earlier attempt left there is of no use.
        let _ = fs::remove_file(&beside);
        write_new(&beside, content, file.is_secret()).map_err(|error| cannot("write", &beside, &error))?;
        fs::rename(&beside, &path).map_err(|error| cannot("replace", &path, &error))
    }
}

fn write_new(path: &Path, content: &[u8], secret: bool) -> std::io::Result<()> {
    let mode = if secret { 0o600 } else { 0o644 };
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> String {
    format!("cannot {what} {}: {error}", path.display())
}
