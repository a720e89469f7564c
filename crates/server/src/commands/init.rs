//! `windrose init`: a folder from which a node runs that things can enrol with.

use super::ca;
use clap::Args;
use std::path::PathBuf;
use windrose_storage::create_file;

/// What is written as the document.
const DOCUMENT: &str = include_str!("../../../../examples/first-device.yaml");

/// What is to be made.
#[derive(Args)]
pub(crate) struct Init {
    /// The folder; made if it is not there.
    #[arg(default_value = ".")]
    directory: PathBuf,
    /// A name or an address by which things reach the node; may be given several times.
    #[arg(long = "server-name", default_values = ["localhost", "127.0.0.1", "::1"])]
    server_names: Vec<String>,
}

/// Makes an authority, then the document, which names it. Nothing that is there is written over. The text is for people.
///
/// # Errors
/// The sentence that says why it is not made.
pub(crate) fn run(Init { directory, server_names }: &Init) -> Result<String, String> {
    let document = directory.join("windrose.yaml");
    if document.exists() {
        return Err(format!("{}: is there already, and is not written over", document.display()));
    }
    ca::init(&directory.join("ca"), "Windrose", server_names, None)?;
    create_file(&document, DOCUMENT.as_bytes())
        .map_err(|error| format!("{}: cannot be written: {error}", document.display()))?;
    let root = directory.join("ca").join("root.pem");
    Ok(format!(
        "{} and an authority in {} are made.\n\
         Things trust {}; the key of the root, in {}, is best kept elsewhere.\n\
         \n  windrose run {0}\n  windrose device add car-7 --owner household-7\n  windrose device enrol-code car-7\n",
        document.display(),
        directory.join("ca").display(),
        root.display(),
        directory.join("ca").join("root").display(),
    ))
}
