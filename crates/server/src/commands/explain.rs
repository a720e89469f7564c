//! `windrose explain`: which access rule decides whether somebody may do something, and why.

use crate::{document, management};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use windrose_control::{Asker, permission};
use windrose_identity::{Directory, Status};
use windrose_policy::RegistryLocation;
use windrose_storage::RegistryDatabase;

/// What is asked.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Who asks: `device:ID`, `owner:ID`, `service:NAME` or `anonymous`. Groups and owned devices are the registry's.
    #[arg(long = "as", value_name = "WHO")]
    who: String,
    /// Groups that it belongs to besides, with commas between them.
    #[arg(long, value_name = "NAMES")]
    groups: Option<String>,
    /// What its token says besides, `NAME=VALUE`; may be given several times.
    #[arg(long = "claim", value_name = "CLAIM")]
    claims: Vec<String>,
    /// The document. Default: `windrose.yaml` if there is one, otherwise the built-in quickstart.
    #[arg(long, value_name = "FILE", env = "WINDROSE_DOCUMENT")]
    document: Option<PathBuf>,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
    /// To do what: publish, subscribe, read, request, enrol or administer.
    permission: String,
    /// Where: an address or a filter; `enrol` and `administer` need none.
    address: Option<String>,
}

/// The answer, and whether it is yes.
///
/// # Errors
/// The sentence that says what is wrong.
pub(crate) fn run(arguments: Arguments) -> Result<(String, bool), String> {
    let permission = permission(&arguments.permission)?;
    let mut asker = Asker::parse(&arguments.who)?;
    let default = Path::new("windrose.yaml");
    let file = arguments.document.as_deref().or(default.is_file().then_some(default));
    let loaded = document::load(file).map_err(|error| error.render(std::io::stderr().is_terminal()))?;
    let mut note = None;
    if let Some(subject) = asker.subject() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
        let database = database(loaded.snapshot.identity.registry.as_ref())?;
        let directory = database.as_deref().map(|database| database as &dyn Directory);
        let known = runtime.block_on(management::record(&loaded.files, directory, subject));
        match known.map_err(|error| error.to_string())? {
            Some(record) => {
                asker = Asker::known(&record);
                note = match record.status {
                    Status::Active => None,
                    status => Some(format!("it is {}: it is not let in at all", status.name())),
                };
            }
            None => {
                note =
                    Some("it is not in the registry: its owner, groups and devices are not known".to_owned())
            }
        }
    }
    if let Some(groups) = &arguments.groups {
        asker = asker.in_groups(groups);
    }
    for claim in &arguments.claims {
        asker = asker.claiming(claim)?;
    }
    let rules = &loaded.snapshot.access;
    let explanation = asker.explain(rules, permission, arguments.address.as_deref())?;
    let text = if arguments.json {
        let mut answer = explanation.json();
        answer["note"] = note.into();
        format!("{answer}\n")
    } else {
        let note = note.map_or_else(String::new, |note| format!("  note: {note}\n"));
        format!("{explanation}\n{note}")
    };
    Ok((text, explanation.allowed))
}

/// The database, if the document names one. One that was never made is not made for a question.
fn database(location: Option<&RegistryLocation>) -> Result<Option<Arc<RegistryDatabase>>, String> {
    match location {
        Some(RegistryLocation::Sqlite(file)) if !file.exists() => Ok(None),
        location => location.map(windrose_storage::open_registry).transpose(),
    }
}
