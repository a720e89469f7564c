//! `windrose registry`: all of the registry at once.

use super::desk::{Desk, Place};
use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{Cursor, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use windrose_identity::Directory;
use windrose_storage::{
    Existing, ImportFormat, ImportOptions, ImportProgress, ImportReport, REGISTRY_SCHEMA,
};

/// The most that is taken from standard input: it is read twice, so it has to fit in memory.
const MOST_INPUT: u64 = 1 << 30;

/// The registry as a whole.
#[derive(Args)]
pub(crate) struct Family {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

/// What is done.
#[derive(Subcommand)]
enum Command {
    /// Take in devices from CSV or JSON Lines: all of them or, if a line is bad, none.
    ///
    /// Columns of CSV: id, owner, groups (`a;b`), attributes (a JSON object), status, username, password, password_hash,
    /// scram_sha_256, certificate (SHA-256 in hex), certificate_subject, certificate_common_name, certificate_san,
    /// psk_identity, psk (hex), api_key, api_key_sha256, not_before, not_after. In JSON Lines the credentials are a list of
    /// objects, `credentials`, and a line may be an owner or a service (`kind`). Each `password` takes tens of
    /// milliseconds to hash: a million of them take hours, a million of hashes do not.
    Import {
        /// The file, or `-` for standard input.
        file: PathBuf,
        /// How it is written. Default: by the file's name, `.csv` or anything else for JSON Lines.
        #[arg(long, value_enum)]
        format: Option<Format>,
        /// What happens with those that are there already.
        #[arg(long, value_enum, default_value_t = WithExisting::Fail)]
        existing: WithExisting,
        /// Leave bad lines out, and take in the rest.
        #[arg(long)]
        skip_bad: bool,
    },
    /// Write out all devices, as an import takes them.
    Export {
        /// The file, which must not be there yet; `-` for standard output.
        #[arg(default_value = "-")]
        file: PathBuf,
        /// How it is written. Default: by the file's name, `.csv` or anything else for JSON Lines.
        #[arg(long, value_enum)]
        format: Option<Format>,
        /// With hashes of passwords, keys of SCRAM and pre-shared keys: whoever has the file can be every device.
        #[arg(long)]
        secrets: bool,
    },
    /// Bring the registry's tables to this program's version, or make them. A node does so by itself when it starts.
    Migrate,
    /// Say how much there is.
    Info,
}

/// How an import or an export is written.
#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// Comma-separated values with a header.
    Csv,
    /// A JSON object in each line.
    Jsonl,
}

/// What happens with those that are there already.
#[derive(Clone, Copy, ValueEnum)]
enum WithExisting {
    /// Their lines are bad ones.
    Fail,
    /// Their lines are left out.
    Skip,
    /// They become what their lines say; what those do not say stays.
    Update,
}

/// Does it; the text is for standard output.
///
/// # Errors
/// The sentence that says why it is not done.
pub(crate) fn run(family: &Family) -> Result<String, String> {
    let desk = &Desk::open(&family.place)?;
    match &family.command {
        Command::Import { file, format, existing, skip_bad } => {
            let existing = match existing {
                WithExisting::Fail => Existing::Fail,
                WithExisting::Skip => Existing::Skip,
                WithExisting::Update => Existing::Update,
            };
            let options = ImportOptions { existing, skip_bad: *skip_bad, by: desk.by.clone() };
            import(desk, file, format_of(*format, file), &options)
        }
        Command::Export { file, format, secrets } => export(desk, file, format_of(*format, file), *secrets),
        Command::Migrate => Ok(if desk.json {
            format!("{}\n", serde_json::json!({"schema": REGISTRY_SCHEMA}))
        } else {
            format!("the registry's tables are of version {REGISTRY_SCHEMA}, which is this program's\n")
        }),
        Command::Info => {
            let counts = desk.wait(desk.database.counts())?;
            if desk.json {
                return Ok(format!("{}\n", counts.json()));
            }
            Ok(format!(
                "devices      {}\nowners       {}\nservices     {}\ncredentials  {}\nschema       {REGISTRY_SCHEMA}\n",
                counts.devices, counts.owners, counts.services, counts.credentials
            ))
        }
    }
}

fn format_of(format: Option<Format>, file: &Path) -> ImportFormat {
    match format {
        Some(Format::Csv) => ImportFormat::Csv,
        Some(Format::Jsonl) => ImportFormat::JsonLines,
        None if file.extension().is_some_and(|name| name.eq_ignore_ascii_case("csv")) => ImportFormat::Csv,
        None => ImportFormat::JsonLines,
    }
}

fn import(desk: &Desk, file: &Path, format: ImportFormat, options: &ImportOptions) -> Result<String, String> {
    let bar = ProgressBar::no_length();
    let style =
        |template| ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style("{msg} {human_pos}"));
    let mut progress = |progress| match progress {
        ImportProgress::Checked(lines) => {
            bar.set_message("checked");
            bar.set_position(lines);
        }
        ImportProgress::Written { lines, of } => {
            if bar.length() != Some(of) {
                bar.set_style(style("{bar:40} {human_pos} of {human_len}, {per_sec}, {eta} to go"));
                bar.set_length(of);
            }
            bar.set_position(lines);
        }
    };
    let database = &desk.database;
    let report = if file == Path::new("-") {
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().take(MOST_INPUT + 1).read_to_end(&mut bytes);
        read.map_err(|error| format!("standard input cannot be read: {error}"))?;
        if bytes.len() as u64 > MOST_INPUT {
            return Err("this is too much for standard input: write it into a file first".to_owned());
        }
        database.import(format, &mut Cursor::new(bytes), options, &mut progress)
    } else {
        let open = File::open(file);
        let mut open = open.map_err(|error| format!("{}: cannot be read: {error}", file.display()))?;
        database.import(format, &mut open, options, &mut progress)
    };
    bar.finish_and_clear();
    let report = report.map_err(|error| format!("{}: {error}", file.display()))?;
    told(desk, file, &report)
}

/// What an import did, and what was wrong.
fn told(desk: &Desk, file: &Path, report: &ImportReport) -> Result<String, String> {
    let ImportReport { done, added, updated, skipped, bad, told } = report;
    let mut problems = String::new();
    for (line, problem) in told {
        let _ = writeln!(problems, "{}:{line}: {problem}", file.display());
    }
    if told.len() as u64 != *bad {
        let _ = writeln!(problems, "and {} more", bad - told.len() as u64);
    }
    if !done {
        let help = "nothing was taken in: mend these lines, or leave them out with `--skip-bad`";
        return Err(format!("{problems}{bad} bad lines; {help}"));
    }
    let _ = std::io::stderr().lock().write_all(problems.as_bytes());
    if desk.json {
        let report = serde_json::json!({"added": added, "updated": updated, "skipped": skipped, "bad": bad});
        return Ok(format!("{report}\n"));
    }
    let mut text = format!("{added} added");
    for (count, what) in [(updated, "updated"), (skipped, "there already"), (bad, "bad lines left out")] {
        if *count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    Ok(format!("{text}\n"))
}

fn export(desk: &Desk, file: &Path, format: ImportFormat, secrets: bool) -> Result<String, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let report = if file == Path::new("-") {
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        desk.database.export(format, &mut out, secrets)
    } else {
        // For its owner's eyes only, and nothing is written over.
        let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
        let mut out = std::io::BufWriter::new(new.map_err(|error| failed(&error))?);
        desk.database.export(format, &mut out, secrets)
    };
    let report = report.map_err(|error| failed(&error))?;
    let mut said = format!("{} lines written\n", report.lines);
    if report.left_out > 0 {
        let why = if secrets {
            "revoked, one-time codes, or more than the format holds"
        } else {
            "secrets, above all: `--secrets` writes them, too"
        };
        let _ = writeln!(said, "{} credentials left out ({why})", report.left_out);
    }
    let _ = std::io::stderr().lock().write_all(said.as_bytes());
    Ok(String::new())
}
