//! The registry that a document names, for commands that work on it, whether a node runs or not.

use clap::Args;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use windrose_event::{Secret, Timestamp};
use windrose_identity::{
    Act, Asked, Details, Directory, Kind, Listing, Records, StatusFilter, Summary, read_rfc3339,
};
use windrose_storage::RegistryDatabase;

/// Bytes of a secret that is read from a file or from standard input.
const MOST_SECRET: u64 = 4_096;

/// Where the registry is.
#[derive(Args)]
pub(crate) struct Place {
    /// The document that names the registry (`identity.registry`).
    #[arg(long, default_value = "windrose.yaml", env = "WINDROSE_DOCUMENT", global = true)]
    pub(super) document: PathBuf,
    /// Print JSON.
    #[arg(long, global = true)]
    pub(super) json: bool,
}

/// An open registry.
pub(super) struct Desk {
    pub(super) database: Arc<RegistryDatabase>,
    runtime: tokio::runtime::Runtime,
    /// Who does what is done, for the history.
    pub(super) by: String,
    pub(super) json: bool,
}

impl Desk {
    pub(super) fn open(place: &Place) -> Result<Self, String> {
        let snapshot =
            crate::document::compile(Some(&place.document)).map_err(|error| error.render(false))?;
        let Some(location) = &snapshot.identity.registry else {
            return Err(format!(
                "{}: it names no registry: add `identity: {{registry: \"sqlite:registry.db\"}}`",
                place.document.display()
            ));
        };
        let database = windrose_storage::open_registry(location)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
        let by = user.map_or_else(|_| "command line".to_owned(), |user| format!("command line ({user})"));
        Ok(Self { database, runtime, by, json: place.json })
    }

    pub(super) fn wait<T>(&self, asked: Asked<T>) -> Result<T, String> {
        self.runtime.block_on(asked).map_err(|error| error.to_string())
    }

    /// Does something; the text says what was done.
    pub(super) fn act(&self, act: Act, done: String) -> Result<String, String> {
        self.wait(self.database.act(act, &self.by))?;
        Ok(if self.json { "{}\n".to_owned() } else { format!("{done}\n") })
    }

    pub(super) fn show(&self, kind: Kind, id: &str) -> Result<String, String> {
        let details = self.wait(self.database.details(kind.subject(id)))?;
        let Some(details) = details else { return Err(format!("there is no {} `{id}`", kind.name())) };
        Ok(if self.json { format!("{:#}\n", details.json()) } else { describe(&details) })
    }

    pub(super) fn list(&self, kind: Kind, list: &List) -> Result<String, String> {
        let mut listing = Listing {
            owner: list.owner.as_deref().map(Into::into),
            group: list.group.as_deref().map(Into::into),
            status: list.status.as_deref().map(status).transpose()?,
            after: list.after.as_deref().map(Into::into),
            ..Listing::of(kind)
        };
        let mut all: Vec<Summary> = Vec::new();
        while all.len() < list.limit {
            listing.limit = (list.limit - all.len()).min(windrose_identity::MOST_LISTED);
            let some = self.wait(self.database.list(listing.clone()))?;
            let Some(last) = some.last() else { break };
            listing.after = Some(last.id.clone());
            all.extend(some);
        }
        if self.json {
            return Ok(all.iter().map(|summary| format!("{}\n", summary.json())).collect());
        }
        let rows = all.iter().map(|one| {
            [
                one.id.to_string(),
                one.owner.as_deref().unwrap_or("-").to_owned(),
                one.status.name().to_owned(),
                one.groups.join(" "),
            ]
        });
        Ok(if kind == Kind::Device {
            table(["DEVICE", "OWNER", "STATUS", "GROUPS"], rows)
        } else {
            table(
                [&kind.name().to_uppercase(), "STATUS", "GROUPS"],
                rows.map(|[id, _, status, groups]| [id, status, groups]),
            )
        })
    }
}

/// What is listed.
#[derive(Args)]
pub(crate) struct List {
    /// Only devices of that owner.
    #[arg(long)]
    owner: Option<String>,
    /// Only members of that group.
    #[arg(long)]
    group: Option<String>,
    /// Only those that are `active`, `revoked` or `quarantined`.
    #[arg(long)]
    status: Option<String>,
    /// Only what comes after that id.
    #[arg(long)]
    after: Option<String>,
    /// So many at most.
    #[arg(long, default_value_t = 1_000)]
    limit: usize,
}

fn status(text: &str) -> Result<StatusFilter, String> {
    let found = StatusFilter::ALL.into_iter().find(|status| status.name() == text);
    found.ok_or_else(|| format!("`{text}` is not active, revoked or quarantined"))
}

/// What is known of somebody, for people.
fn describe(details: &Details) -> String {
    use std::fmt::Write;
    let Summary { kind, id, owner, groups, status } = &details.summary;
    let mut text = format!("{} {id}: {}\n", kind.name(), status.name());
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<11} {value}");
    };
    if let Some(owner) = owner {
        line("owner", owner);
    }
    if let Some(reason) = &details.reason {
        line("reason", reason);
    }
    if !groups.is_empty() {
        line("groups", &groups.join(" "));
    }
    if details.attributes != "{}" {
        line("attributes", &details.attributes);
    }
    line("added", &windrose_identity::rfc3339(details.added));
    if *kind == Kind::Owner {
        line("devices", &details.devices.to_string());
    }
    if details.credentials.is_empty() {
        line("credentials", "none");
        return text;
    }
    let time = |time: Option<Timestamp>| time.map_or_else(|| "-".to_owned(), windrose_identity::rfc3339);
    let rows = details.credentials.iter().map(|one| {
        let state = match (one.revoked, one.used) {
            (Some(at), _) => format!("revoked {}", windrose_identity::rfc3339(at)),
            (_, Some(at)) => format!("used {}", windrose_identity::rfc3339(at)),
            _ => String::new(),
        };
        let name = one.name.clone().unwrap_or_else(|| "-".to_owned());
        [
            one.id.to_string(),
            one.kind.name().to_owned(),
            name,
            time(one.not_before),
            time(one.not_after),
            state,
        ]
    });
    text.push('\n');
    text + &table(["CREDENTIAL", "KIND", "NAME", "FROM", "UNTIL", ""], rows)
}

/// Rows under a header, each column as wide as its widest value.
pub(super) fn table<const N: usize>(header: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = std::iter::once(header.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|text| text.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A time as somebody typed it: `2026-11-21T07:00:00Z`, or a date.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    read_rfc3339(text).ok_or_else(|| format!("`{text}` is no time such as 2026-11-21T07:00:00Z"))
}

/// How long, as in the document: `30s`, `15m`, `12h`, `7d`.
pub(super) fn duration(text: &str) -> Result<std::time::Duration, String> {
    let wrong = || format!("`{text}` is not how long, such as 15m, 12h or 7d");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    Ok(std::time::Duration::from_secs(number.saturating_mul(seconds).min(100 * 365 * 86_400)))
}

/// So long from now on.
pub(super) fn from_now(duration: std::time::Duration) -> Timestamp {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(u64::try_from(now.as_micros()).unwrap_or(u64::MAX)) + duration
}

/// A secret from a file, or from standard input (`-`), without the line's end.
pub(super) fn read_secret(file: &Path) -> Result<Secret, String> {
    let failed = |error: std::io::Error| format!("{}: cannot be read: {error}", file.display());
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().lock().take(MOST_SECRET + 1).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        bytes = windrose_storage::read_file(file).map_err(failed)?;
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    match bytes.len() as u64 {
        0 => Err(format!("{}: there is no secret in it", file.display())),
        1..=MOST_SECRET => Ok(Secret::new(bytes)),
        _ => Err(format!("{}: a secret has {MOST_SECRET} bytes at most", file.display())),
    }
}
