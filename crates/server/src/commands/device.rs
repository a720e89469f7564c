//! `windrose device`: the devices in the registry.

use super::credential;
use super::desk::{Desk, List, Place, duration, from_now, read_secret, table};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use windrose_event::Subject;
use windrose_identity::{Act, CodePurpose, Directory, Kind, Lookup, NewDevice, new_code};

/// Devices: whose they are, and how they prove who they are.
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
    /// Add a device.
    Add {
        /// Its id: a part of addresses.
        id: String,
        /// Whose it is.
        #[arg(long)]
        owner: Option<String>,
        /// A group that it belongs to; may be given several times.
        #[arg(long = "group")]
        groups: Vec<String>,
        /// What else is to be known of it: a JSON object.
        #[arg(long, default_value = "")]
        attributes: String,
    },
    /// Show all that is known of a device, but no secret.
    Show {
        /// Its id.
        id: String,
    },
    /// List devices.
    List(List),
    /// Show whose a device was.
    History {
        /// Its id.
        id: String,
        /// So many changes at most, the latest first.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Make a device that is nobody's somebody's.
    Claim {
        /// Its id.
        id: String,
        /// Whose it is from now on.
        #[arg(long)]
        owner: String,
        /// Only with the one-time code that is in this file, or comes from standard input (`-`).
        #[arg(long, value_name = "FILE")]
        code: Option<PathBuf>,
    },
    /// Make a device somebody else's. It is disconnected, and what waits for it is gone.
    Transfer {
        /// Its id.
        id: String,
        /// Whose it is from now on.
        #[arg(long)]
        owner: String,
    },
    /// Make a device nobody's. It is disconnected, and what waits for it is gone.
    Release {
        /// Its id.
        id: String,
    },
    /// Let a device in no more, and disconnect it everywhere.
    Revoke {
        /// Its id.
        id: String,
        /// Why.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Let a device in again.
    Reinstate {
        /// Its id.
        id: String,
    },
    /// Set the groups and the attributes of a device.
    Set {
        /// Its id.
        id: String,
        /// All groups that it belongs to; may be given several times. `--group ''`: none.
        #[arg(long = "group")]
        groups: Vec<String>,
        /// What else is to be known of it: a JSON object.
        #[arg(long)]
        attributes: Option<String>,
    },
    /// Make a one-time code, and print it: with it a device gets a certificate, or somebody becomes its owner.
    EnrolCode {
        /// The device's id.
        id: String,
        /// What it is good for.
        #[arg(long, value_enum, default_value_t = Purpose::Enrol)]
        purpose: Purpose,
        /// How long it is good: 15m, 12h, 7d.
        #[arg(long, default_value = "24h")]
        valid: String,
    },
    /// How a device proves who it is.
    #[command(subcommand)]
    Credential(credential::Command),
    /// Take a device out. Certificates that it has stay revoked.
    Remove {
        /// Its id.
        id: String,
    },
}

/// What a one-time code is good for.
#[derive(Clone, Copy, ValueEnum)]
enum Purpose {
    /// A thing gets its certificate.
    Enrol,
    /// Somebody becomes the device's owner.
    Claim,
}

/// Does it; the text is for standard output.
///
/// # Errors
/// The sentence that says why it is not done.
pub(crate) fn run(family: &Family) -> Result<String, String> {
    let desk = &Desk::open(&family.place)?;
    let subject = |id: &String| Subject::Device(id.as_str().into());
    match &family.command {
        Command::Add { id, owner, groups, attributes } => {
            let device = NewDevice {
                id: id.as_str().into(),
                owner: owner.as_deref().map(Into::into),
                groups: groups.iter().map(|group| group.as_str().into()).collect(),
                attributes: attributes.clone(),
                credentials: Vec::new(),
            };
            let whose = owner.as_deref().map(|owner| format!(", which is {owner}'s")).unwrap_or_default();
            desk.act(Act::AddDevice(device), format!("added device {id}{whose}"))
        }
        Command::Show { id } => desk.show(Kind::Device, id),
        Command::List(list) => desk.list(Kind::Device, list),
        Command::History { id, limit } => history(desk, id, *limit),
        Command::Claim { id, owner, code } => {
            let code = code.as_deref().map(read_secret).transpose()?;
            let code = code.map(|code| Lookup::code(code.reveal()));
            let (device, to) = (id.as_str().into(), owner.as_str().into());
            desk.act(Act::Claim { device, owner: to, code }, format!("device {id} is {owner}'s"))
        }
        Command::Transfer { id, owner } => {
            let (device, to) = (id.as_str().into(), owner.as_str().into());
            desk.act(Act::Transfer { device, owner: to }, format!("device {id} is {owner}'s"))
        }
        Command::Release { id } => {
            desk.act(Act::Release { device: id.as_str().into() }, format!("device {id} is nobody's"))
        }
        Command::Revoke { id, reason } => {
            let act = Act::Revoke { subject: subject(id), reason: reason.clone() };
            desk.act(act, format!("device {id} is not let in any more"))
        }
        Command::Reinstate { id } => {
            desk.act(Act::Reinstate { subject: subject(id) }, format!("device {id} is let in again"))
        }
        Command::Set { id, groups, attributes } => {
            if groups.is_empty() && attributes.is_none() {
                return Err("nothing is set: say `--group` or `--attributes`".to_owned());
            }
            let mut done = String::new();
            if !groups.is_empty() {
                let groups =
                    groups.iter().filter(|group| !group.is_empty()).map(|group| group.as_str().into());
                let act = Act::SetGroups { subject: subject(id), groups: groups.collect() };
                done = desk.act(act, format!("device {id} is set"))?;
            }
            if let Some(attributes) = attributes {
                let act = Act::SetAttributes { subject: subject(id), attributes: attributes.clone() };
                done = desk.act(act, format!("device {id} is set"))?;
            }
            Ok(done)
        }
        Command::EnrolCode { id, purpose, valid } => {
            let code = new_code()?;
            let purpose = match purpose {
                Purpose::Enrol => CodePurpose::Enrol,
                Purpose::Claim => CodePurpose::Claim,
            };
            let (device, lookup) = (id.as_str().into(), Lookup::code(code.reveal()));
            let until = from_now(duration(valid)?);
            desk.act(Act::AddCode { device, code: lookup, purpose, until }, String::new())?;
            let code = String::from_utf8_lossy(code.reveal());
            if desk.json {
                let until = windrose_identity::rfc3339(until);
                return Ok(format!("{}\n", serde_json::json!({"code": code, "not_after": until})));
            }
            Ok(format!("{code}\n"))
        }
        Command::Credential(command) => credential::run(desk, Kind::Device, command),
        Command::Remove { id } => desk.act(Act::Remove(subject(id)), format!("removed device {id}")),
    }
}

fn history(desk: &Desk, id: &str, limit: usize) -> Result<String, String> {
    let history = desk.wait(desk.database.history(id, None, limit))?;
    if history.is_empty() {
        return Err(format!("there was never a device `{id}`"));
    }
    if desk.json {
        return Ok(history.iter().map(|one| format!("{}\n", one.json())).collect());
    }
    let rows = history.iter().map(|one| {
        let name = |name: &Option<std::sync::Arc<str>>| name.as_deref().unwrap_or("-").to_owned();
        let at = windrose_identity::rfc3339(one.at);
        [at, one.act.to_owned(), name(&one.before), name(&one.after), one.by.to_string()]
    });
    Ok(table(["WHEN", "WHAT", "FROM", "TO", "BY"], rows))
}
