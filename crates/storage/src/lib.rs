//! Floor 3: what the node keeps in files.
//!
//! [`read_registry_files`] reads who somebody is, from a file of devices and a file of API keys. [`open_journal`] opens what
//! must outlive the process: sessions, their messages, last values. This is the only crate that opens files of data.

mod authority;
mod files;
mod journal;
mod local_files;
mod records;
mod token_keys;

pub use authority::{AuthorityFile, AuthorityFolder};
pub use files::{FileError, RegistryError, read_registry_files};
pub use journal::{JournalError, open_journal};
pub use local_files::{count_entries, create_file, read_file};
pub use records::{
    Existing, ExportReport, ImportFormat, ImportOptions, ImportProgress, ImportReport, REGISTRY_SCHEMA,
    RegistryDatabase, open_registry,
};
pub use token_keys::TokenKeyFile;
