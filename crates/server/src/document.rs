//! Finding and reading the operator's document.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use windrose_identity::{EnrolledCa, FileRecords};
use windrose_policy::{Mistakes, Snapshot};

/// What runs when no document is named: on loopback only.
const QUICKSTART: &str = include_str!("../../../examples/quickstart.yaml");

/// A document that can be put into force.
pub(crate) struct Loaded {
    pub(crate) snapshot: Arc<Snapshot>,
    /// What its files of devices and keys say.
    pub(crate) files: FileRecords,
    /// The authorities of `identity.certificates`.
    pub(crate) authorities: Vec<EnrolledCa>,
}

/// Why a document cannot be put into force.
pub(crate) enum LoadError {
    /// It has mistakes.
    Mistakes(Mistakes),
    /// It, or a file that it names, cannot be used.
    File(String),
}

impl LoadError {
    /// For people, in colour if the terminal has any.
    pub(crate) fn render(&self, color: bool) -> String {
        match self {
            Self::Mistakes(mistakes) => mistakes.render(color),
            Self::File(problem) => problem.clone(),
        }
    }
}

/// Reads and checks a document, or the built-in one, and no file that it names.
pub(crate) fn compile(file: Option<&Path>) -> Result<Snapshot, LoadError> {
    let (name, text, base) = match file {
        None => ("quickstart.yaml (built in)".to_owned(), QUICKSTART.to_owned(), PathBuf::from(".")),
        Some(path) => {
            let text = windrose_storage::read_file(path)
                .map_err(|error| LoadError::File(format!("{}: cannot be read: {error}", path.display())))?;
            let text = String::from_utf8(text)
                .map_err(|error| LoadError::File(format!("{}: is not UTF-8: {error}", path.display())))?;
            let base = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            (path.display().to_string(), text, base.unwrap_or(Path::new(".")).to_owned())
        }
    };
    let environment = |name: &str| std::env::var(name).ok();
    let mut snapshot = windrose_policy::compile(&name, &text, &environment).map_err(LoadError::Mistakes)?;
    snapshot.resolve_paths(&base);
    Ok(snapshot)
}

/// Reads and checks a document, or the built-in one, and the files of devices and keys that it names.
pub(crate) fn load(file: Option<&Path>) -> Result<Loaded, LoadError> {
    let snapshot = compile(file)?;
    let identity = &snapshot.identity;
    let files =
        windrose_storage::read_registry_files(identity.devices.as_deref(), identity.api_keys.as_deref())
            .map_err(|error| LoadError::File(error.to_string()))?;
    let authorities = identity.certificates.iter().map(|policy| {
        let file = windrose_storage::read_file(&policy.ca)
            .map_err(|error| format!("{}: cannot be read: {error}", policy.ca.display()))?;
        EnrolledCa::read(policy.clone(), &file)
    });
    let authorities = authorities.collect::<Result<_, _>>().map_err(LoadError::File)?;
    Ok(Loaded { snapshot: Arc::new(snapshot), files, authorities })
}

/// Every file whose change may change the document's meaning.
pub(crate) fn files(document: Option<&Path>, snapshot: &Snapshot) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = document.map(Path::to_owned).into_iter().collect();
    files.extend(crate::registry::files(snapshot));
    files.extend(crate::authority::files(snapshot));
    for profile in snapshot.tls.values() {
        for pair in &profile.certificates {
            files.push(pair.certificate.clone());
            files.push(pair.key.clone());
        }
        files.extend(profile.client_ca.clone());
    }
    files.extend(snapshot.pools.iter().filter_map(|pool| pool.ca.clone()));
    files
}
