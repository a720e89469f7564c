//! One run: every case, in rounds, with every server in turn.

use crate::cases::{CASES, Case, Conditions};
use crate::certificates::PemFiles;
use crate::peers::{self, Peer, Windrose};
use crate::plot::Plot;
use crate::report::{self, Report, Round, ServerFacts};
use crate::{Arguments, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What servers do before they are measured.
const WARM_UP: Duration = Duration::from_secs(1);

/// Runs what the command line asks for.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    if arguments.list {
        CASES.iter().for_each(|case| println!("{:<22}{}", case.name, case.about));
        return Ok(());
    }
    let cases = chosen(&arguments.cases)?;
    let folder = Folder::make()?;
    let conditions = Conditions {
        measure: Duration::from_secs(arguments.seconds.max(1)),
        warm_up: WARM_UP,
        payload: arguments.payload as usize,
        batch: arguments.batch,
        mqtt: arguments.mqtt,
        connections: arguments.connections.max(1) as usize,
        tls: PemFiles::make(&folder.0)?,
        folder: folder.0.clone(),
    };
    let profile = profile()?;
    let servers = servers(&arguments, &profile)?;
    let mut facts = Vec::new();
    for server in &servers {
        facts.push(ServerFacts {
            name: server.name(),
            version: server.version()?,
            is_real: server.is_real(),
        });
    }
    let mut report = Report::new(&conditions, profile, facts);
    println!("{}", report.heading());
    println!("about {} minutes\n", minutes(&cases, &servers, &conditions, arguments.rounds.max(1)));
    let mut plot = Plot::default();
    for case in cases {
        let mut rounds = Vec::new();
        for round in 0..case.rounds(arguments.rounds.max(1)) {
            let mut suitable: Vec<&dyn Peer> = servers.iter().map(AsRef::as_ref).collect();
            suitable.retain(|server| case.suits(*server, &conditions));
            // Nobody is always the first one, or always after the same one.
            let first = round.checked_rem(suitable.len()).unwrap_or(0);
            suitable.rotate_left(first);
            let samples = suitable.into_iter().map(|server| measure(case, server, &conditions));
            rounds.push(samples.collect::<Round>());
        }
        println!("{}", report.add(case, &rounds));
        report::points(case, &rounds).into_iter().for_each(|(server, point)| plot.add(server, point));
        // Written after every case: a run that is interrupted has not been for nothing.
        write(&arguments.json, &(serde_json::to_string_pretty(&report)? + "\n"))?;
        if case.plotted_at().is_some() && !plot.is_empty() {
            write(&arguments.svg, &plot.svg(&report.caption()))?;
        }
    }
    println!("figures of every round: {}", arguments.json.display());
    Ok(())
}

/// About how long all of it takes, as far as that is known before.
fn minutes(cases: &[&Case], servers: &[Box<dyn Peer>], conditions: &Conditions, rounds: usize) -> u64 {
    let seconds: f64 = cases
        .iter()
        .flat_map(|case| servers.iter().map(move |server| (case, server.as_ref())))
        .filter(|(case, server)| case.suits(*server, conditions))
        .map(|(case, server)| {
            let round = case.about_seconds(conditions) + server.seconds_to_start();
            case.rounds(rounds) as f64 * round
        })
        .sum();
    (seconds / 60.0).ceil() as u64
}

/// Runs one round; a server that fails is said to have failed and the others go on.
fn measure(
    case: &Case,
    server: &dyn Peer,
    conditions: &Conditions,
) -> (&'static str, Option<crate::cases::Sample>) {
    match case.run(server, conditions) {
        Ok(sample) => (server.name(), Some(sample)),
        Err(error) => {
            eprintln!("{} with {}: {error}", case.name, server.name());
            (server.name(), None)
        }
    }
}

fn chosen(names: &[String]) -> Result<Vec<&'static Case>> {
    for name in names {
        if !CASES.iter().any(|case| case.name.starts_with(name.as_str())) {
            let known = CASES.iter().map(|case| case.name).collect::<Vec<_>>().join(", ");
            return Err(format!("no case begins with `{name}`; the cases are {known}").into());
        }
    }
    let wanted =
        |case: &&Case| names.is_empty() || names.iter().any(|name| case.name.starts_with(name.as_str()));
    Ok(CASES.iter().filter(wanted).collect())
}

fn servers(arguments: &Arguments, profile: &str) -> Result<Vec<Box<dyn Peer>>> {
    let wanted =
        |name: &str| arguments.servers.is_empty() || arguments.servers.iter().any(|server| server == name);
    let mut servers: Vec<Box<dyn Peer>> = Vec::new();
    if wanted("windrose") {
        servers.push(Box::new(match &arguments.windrose {
            Some(program) => Windrose::at(program.clone()),
            None => Windrose::build(profile)?,
        }));
    }
    servers.extend(peers::found().into_iter().filter(|peer| wanted(peer.name())));
    if servers.is_empty() {
        return Err("none of the servers that --server names is on this machine".into());
    }
    Ok(servers)
}

/// The profile of this build, by the folder in which cargo puts it.
fn profile() -> Result<String> {
    let program = std::env::current_exe()?;
    let folder = program.parent().and_then(Path::file_name).ok_or("this program has no folder")?;
    Ok(folder.to_string_lossy().into_owned())
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()).into())
}

/// A folder of this run; it goes with this value.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("windrose-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
