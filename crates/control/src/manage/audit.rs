//! A line in the log for each change: who did what to whom. Secrets are in none of the words.

use super::Caller;
use windrose_event::Subject;
use windrose_identity::Act;

/// What is going to be done, in words.
pub(super) struct Note {
    act: &'static str,
    subject: String,
    owner: Option<String>,
}

impl Note {
    pub(super) fn of(act: &Act) -> Self {
        let (name, subject, owner) = match act {
            Act::AddDevice(device) => ("added", format!("device:{}", device.id), device.owner.as_ref()),
            Act::AddOwner { id, .. } => ("added", format!("owner:{id}"), None),
            Act::AddService { name, .. } => ("added", format!("service:{name}"), None),
            Act::Remove(subject) => ("removed", words(subject), None),
            Act::SetGroups { subject, .. } => ("groups changed", words(subject), None),
            Act::SetAttributes { subject, .. } => ("attributes changed", words(subject), None),
            Act::Claim { device, owner, .. } => ("claimed", format!("device:{device}"), Some(owner)),
            Act::Transfer { device, owner } => ("transferred", format!("device:{device}"), Some(owner)),
            Act::Release { device } => ("released", format!("device:{device}"), None),
            Act::AddCredential { subject, .. } => ("credential added", words(subject), None),
            Act::Revoke { subject, .. } => ("revoked", words(subject), None),
            Act::Reinstate { subject } => ("reinstated", words(subject), None),
            Act::Quarantine { subject, .. } => ("quarantined", words(subject), None),
            Act::AddCode { device, .. } => ("code made", format!("device:{device}"), None),
            Act::Issue { device, .. } => ("certificate issued", format!("device:{device}"), None),
        };
        Self { act: name, subject, owner: owner.map(|owner| owner.to_string()) }
    }

    pub(super) fn log(self, caller: &Caller) {
        let Self { act, subject, owner } = self;
        tracing::info!(by = %caller.0, act, subject, owner, "the registry was changed by the admin API");
    }
}

/// A subject as access rules write it.
fn words(subject: &Subject) -> String {
    match subject {
        Subject::Device(id) => format!("device:{id}"),
        Subject::Owner(id) => format!("owner:{id}"),
        Subject::Service(name) => format!("service:{name}"),
        Subject::Credential(id) => format!("credential:{id}"),
        Subject::Certificate(digest) => {
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("certificate:{hex}")
        }
    }
}
