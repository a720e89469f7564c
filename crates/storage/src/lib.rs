//! Floor 3: what the node keeps in files.
//!
//! [`FileRegistry`] answers who somebody is, from a file of devices and a file of API keys. [`open_journal`] opens what
//! must outlive the process: sessions, their messages, last values. This is the only crate that opens files of data.

mod api_keys;
mod authority;
mod certificates;
mod devices;
mod file;
mod journal;
mod local_files;
mod passwords;
mod pre_shared_keys;
mod reachable;
mod registry;
mod scram;
mod verified;

pub use authority::{AuthorityFile, AuthorityFolder};
pub use file::{FileError, RegistryError};
pub use journal::{JournalError, open_journal};
pub use local_files::{count_entries, read_file};
pub use passwords::{PasswordError, hash_password};
pub use registry::FileRegistry;
pub use scram::scram_keys;
