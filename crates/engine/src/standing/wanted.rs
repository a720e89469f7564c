//! Those whom changes that came together are about.

use super::marks::Mark;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use windrose_event::{CloseReason, Identity, IdentityChange, Principal, Standing, Subject};

/// Numbers of 64 bits that one field's hashes of 16 bits are found in.
const WORDS: usize = 1 << 10;
const FIELDS: usize = 4;

/// How somebody stands after changes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stands<'a> {
    /// Not let in any more.
    Ended(CloseReason),
    /// As this, but for what proved it.
    Is(&'a Identity),
}

#[derive(Debug, Default)]
struct About<'a> {
    ended: Option<CloseReason>,
    is: Option<&'a Identity>,
}

/// Changes, made ready to be looked up.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    /// By field, a bit for each hash that a mark of somebody concerned has there.
    bits: Vec<u64>,
    by_subject: FxHashMap<&'a Subject, About<'a>>,
}

impl<'a> Wanted<'a> {
    /// All that came together. Whoever is ended by one of them is, whatever the others say.
    pub(crate) fn new(changes: &'a [IdentityChange]) -> Self {
        let mut bits = vec![0; FIELDS * WORDS];
        let mut by_subject: FxHashMap<&Subject, About<'_>> = FxHashMap::default();
        for change in changes {
            let (field, hash) = Mark::of_subject(&change.subject);
            if let Some(word) = bits.get_mut(word(field as usize, hash)) {
                *word |= 1 << (hash % 64);
            }
            let about = by_subject.entry(&change.subject).or_default();
            match &change.standing {
                Standing::Ended => about.ended = Some(CloseReason::Revoked),
                Standing::Quarantined => about.ended = Some(CloseReason::Quarantined),
                Standing::Is(identity) => about.is = Some(identity),
            }
        }
        Self { bits, by_subject }
    }

    /// Whether a mark may be of somebody concerned. Few are that are not.
    pub(crate) fn may_concern(&self, mark: Mark) -> bool {
        let bits = mark.bits();
        (0..FIELDS).any(|field| {
            let hash = (bits >> (field * 16)) as u16;
            self.bits.get(word(field, hash)).is_some_and(|word| word >> (hash % 64) & 1 != 0)
        })
    }

    /// How an identity stands now, if a change is about it.
    pub(crate) fn stands(&self, identity: &Identity) -> Option<Stands<'a>> {
        let mut is = None;
        for subject in subjects(identity) {
            let Some(about) = self.by_subject.get(&subject) else { continue };
            if let Some(reason) = &about.ended {
                return Some(Stands::Ended(reason.clone()));
            }
            // What is said of an owner is not said of its devices.
            is = is.or(about.is.filter(|is| is_same(&is.principal, &identity.principal)));
        }
        is.map(Stands::Is)
    }
}

const fn word(field: usize, hash: u16) -> usize {
    field * WORDS + hash as usize / 64
}

/// All subjects that concern an identity.
fn subjects(identity: &Identity) -> SmallVec<[Subject; 4]> {
    let mut subjects = SmallVec::new();
    match &identity.principal {
        Principal::Device { id, .. } => subjects.push(Subject::Device(id.clone())),
        Principal::Service { name } => subjects.push(Subject::Service(name.clone())),
        Principal::Owner { .. } | Principal::Anonymous => {}
    }
    if let Some(owner) = identity.owner() {
        subjects.push(Subject::Owner(owner.clone()));
    }
    if let Some(proof) = &identity.proof {
        subjects.extend(proof.credential.clone().map(Subject::Credential));
        subjects.extend(proof.fingerprint.map(Subject::Certificate));
    }
    subjects
}

fn is_same(one: &Principal, other: &Principal) -> bool {
    crate::sessions::same_principal(one, other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use windrose_event::Proof;

    fn identity(principal: Principal, credential: Option<&str>, fingerprint: Option<[u8; 32]>) -> Identity {
        let credential = credential.map(Arc::from);
        let proof = Some(Arc::new(Proof { credential, fingerprint, ..Proof::default() }));
        Identity { principal, proof, ..Identity::anonymous() }
    }

    fn device(id: &str, owner: Option<&str>) -> Principal {
        Principal::Device { id: id.into(), owner: owner.map(Arc::from) }
    }

    /// What the subjects themselves say is what is found, for all kinds of each.
    #[test]
    fn marks_find_whom_a_subject_concerns() {
        let mut known = vec![Identity::anonymous()];
        for number in 0..300_u16 {
            let digest = std::array::from_fn(|index| (number >> (index % 2 * 8)) as u8);
            let name = format!("n{number}");
            let owner = format!("n{}", number % 7);
            known.push(identity(device(&name, Some(&owner)), Some(&format!("c{number}")), Some(digest)));
            known.push(identity(device(&format!("m{number}"), None), None, None));
            known.push(identity(Principal::Owner { id: name.as_str().into() }, Some("c3"), None));
            known.push(identity(Principal::Service { name: name.as_str().into() }, None, Some(digest)));
        }
        let digest = |number: u16| std::array::from_fn(|index| (number >> (index % 2 * 8)) as u8);
        let subjects = [
            Subject::Device("n5".into()),
            Subject::Device("m5".into()),
            Subject::Owner("n3".into()),
            Subject::Owner("n200".into()),
            Subject::Service("n5".into()),
            Subject::Credential("c3".into()),
            Subject::Certificate(digest(258)),
            Subject::Device("nobody".into()),
        ];
        for subject in subjects {
            let changes = [IdentityChange { subject: subject.clone(), standing: Standing::Ended }];
            let wanted = Wanted::new(&changes);
            for identity in &known {
                let may = Mark::of(identity).is_some_and(|mark| wanted.may_concern(mark));
                let found = may && wanted.stands(identity).is_some();
                assert_eq!(found, subject.concerns(identity), "{subject:?} {identity:?}");
            }
        }
    }

    #[test]
    fn an_end_wins_and_what_an_owner_is_its_devices_are_not() {
        let owner = identity(Principal::Owner { id: "o".into() }, None, None);
        let own = identity(device("d", Some("o")), None, None);
        let is = |subject, identity: &Identity| IdentityChange {
            subject,
            standing: Standing::Is(Box::new(identity.clone())),
        };
        let changes = [is(Subject::Owner("o".into()), &owner)];
        let wanted = Wanted::new(&changes);
        assert_eq!(wanted.stands(&owner), Some(Stands::Is(&owner)));
        assert_eq!(wanted.stands(&own), None);
        let ended = IdentityChange { subject: Subject::Device("d".into()), standing: Standing::Quarantined };
        let changes = [ended, is(Subject::Device("d".into()), &own)];
        assert_eq!(Wanted::new(&changes).stands(&own), Some(Stands::Ended(CloseReason::Quarantined)));
    }
}
