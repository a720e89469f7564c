//! The document's files of devices and of API keys.

mod api_keys;
mod devices;
mod file;
mod pre_shared_keys;
mod reachable;

pub use file::{FileError, RegistryError};

use devices::Devices;
use std::path::Path;
use windrose_identity::FileRecords;

/// Reads the file of devices and the file of API keys, as far as there are any: whole or not at all.
///
/// # Errors
/// Everything that is wrong with either, in its place.
pub fn read_registry_files(
    devices: Option<&Path>,
    api_keys: Option<&Path>,
) -> Result<FileRecords, RegistryError> {
    let (has_devices, has_api_keys) = (devices.is_some(), api_keys.is_some());
    let mut files = Vec::new();
    let devices = devices.map(Devices::load).transpose().unwrap_or_else(|error| {
        files.push(error);
        None
    });
    let devices = devices.unwrap_or_default();
    let keys = api_keys.map(|path| api_keys::load_keys(path, &devices)).transpose();
    let keys = keys.unwrap_or_else(|error| {
        files.push(error);
        None
    });
    if !files.is_empty() {
        return Err(RegistryError { files });
    }
    let Devices { mut records, reachable, .. } = devices;
    records.extend(keys.unwrap_or_default());
    Ok(FileRecords { records, reachable, has_devices, has_api_keys })
}

#[cfg(test)]
mod tests;
