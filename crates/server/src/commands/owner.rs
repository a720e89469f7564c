//! `windrose owner` and `windrose service`: those in the registry who are no devices.

use super::credential;
use super::desk::{Desk, List, Place};
use clap::{Args, Subcommand};
use windrose_identity::{Act, Kind};

/// Owners or services, and how they prove who they are.
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
    /// Add one.
    Add {
        /// Its id.
        id: String,
        /// A group that it belongs to; may be given several times.
        #[arg(long = "group")]
        groups: Vec<String>,
    },
    /// Show all that is known of one, but no secret.
    Show {
        /// Its id.
        id: String,
    },
    /// List them.
    List(List),
    /// Let one in no more, an owner with all its devices, and disconnect it everywhere.
    Revoke {
        /// Its id.
        id: String,
        /// Why.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Let one in again.
    Reinstate {
        /// Its id.
        id: String,
    },
    /// How one proves who it is.
    #[command(subcommand)]
    Credential(credential::Command),
    /// Take one out. An owner's devices are nobody's then.
    Remove {
        /// Its id.
        id: String,
    },
}

/// Does it; the text is for standard output.
///
/// # Errors
/// The sentence that says why it is not done.
pub(crate) fn run(kind: Kind, family: &Family) -> Result<String, String> {
    let desk = &Desk::open(&family.place)?;
    let what = kind.name();
    match &family.command {
        Command::Add { id, groups } => {
            let groups = groups.iter().map(|group| group.as_str().into()).collect();
            let act = match kind {
                Kind::Service => Act::AddService { name: id.as_str().into(), groups },
                _ => Act::AddOwner { id: id.as_str().into(), groups, attributes: String::new() },
            };
            desk.act(act, format!("added {what} {id}"))
        }
        Command::Show { id } => desk.show(kind, id),
        Command::List(list) => desk.list(kind, list),
        Command::Revoke { id, reason } => {
            let act = Act::Revoke { subject: kind.subject(id), reason: reason.clone() };
            desk.act(act, format!("{what} {id} is not let in any more"))
        }
        Command::Reinstate { id } => {
            desk.act(Act::Reinstate { subject: kind.subject(id) }, format!("{what} {id} is let in again"))
        }
        Command::Credential(command) => credential::run(desk, kind, command),
        Command::Remove { id } => desk.act(Act::Remove(kind.subject(id)), format!("removed {what} {id}")),
    }
}
