//! Marks: eight bytes of each that is known, by which those whom a change may be about are found in one pass.
//!
//! Changes are rare and connections many. An index by device, owner, credential and certificate would cost each connection
//! four entries, and an owner of a hundred thousand devices would need lists in it; marks lie side by side, so that a million
//! are looked through in a few milliseconds, whatever the number of changes that came together.

use crate::table::Table;
use rustc_hash::FxHasher;
use std::hash::Hasher;
use std::num::NonZeroU64;
use windrose_event::{Identity, Principal, Subject};

/// What a mark tells of an identity, 16 bits each: zero if there is nothing to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// The device or the service that it is.
    Itself,
    /// Its owner, or the owner that it is.
    Owner,
    /// The credential that proved it.
    Credential,
    /// The certificate that proved it.
    Certificate,
}

impl Field {
    /// The field's place in a mark.
    pub(super) const fn shift(self) -> u32 {
        self as u32 * 16
    }
}

/// What is told of an identity in eight bytes. None of those of which there is nothing to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(NonZeroU64);

impl Mark {
    /// An identity's mark; `None`: no change will ever be about it.
    pub(crate) fn of(identity: &Identity) -> Option<Self> {
        let mut bits = match &identity.principal {
            Principal::Device { id, .. } => place(Field::Itself, 0, id.as_bytes()),
            Principal::Service { name } => place(Field::Itself, 1, name.as_bytes()),
            Principal::Owner { .. } | Principal::Anonymous => 0,
        };
        if let Some(owner) = identity.owner() {
            bits |= place(Field::Owner, 0, owner.as_bytes());
        }
        if let Some(proof) = &identity.proof {
            if let Some(credential) = &proof.credential {
                bits |= place(Field::Credential, 0, credential.as_bytes());
            }
            if let Some(digest) = &proof.fingerprint {
                bits |= place(Field::Certificate, 0, digest);
            }
        }
        NonZeroU64::new(bits).map(Self)
    }

    /// What a mark has, and where, of those whom the subject concerns.
    pub(super) fn of_subject(subject: &Subject) -> (Field, u16) {
        let (field, kind, bytes): (_, _, &[u8]) = match subject {
            Subject::Device(id) => (Field::Itself, 0, id.as_bytes()),
            Subject::Service(name) => (Field::Itself, 1, name.as_bytes()),
            Subject::Owner(id) => (Field::Owner, 0, id.as_bytes()),
            Subject::Credential(id) => (Field::Credential, 0, id.as_bytes()),
            Subject::Certificate(digest) => (Field::Certificate, 0, digest),
        };
        (field, hash(kind, bytes))
    }

    /// All of it.
    pub(super) const fn bits(self) -> u64 {
        self.0.get()
    }
}

fn place(field: Field, kind: u8, bytes: &[u8]) -> u64 {
    u64::from(hash(kind, bytes)) << field.shift()
}

/// Never zero.
fn hash(kind: u8, bytes: &[u8]) -> u16 {
    let mut hasher = FxHasher::default();
    hasher.write_u8(kind);
    hasher.write(bytes);
    let hash = hasher.finish();
    let folded = hash ^ hash >> 32;
    ((folded ^ folded >> 16) as u16).max(1)
}

/// The marks of all that has a place in a table, by that place.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    table: Table<Mark>,
}

impl Marks {
    /// What has the place is known as this now.
    pub(crate) fn set(&mut self, place: u32, identity: &Identity) {
        match Mark::of(identity) {
            Some(mark) => drop(self.table.put(place, mark)),
            None => self.clear(place),
        }
    }

    /// Nothing has the place any more.
    pub(crate) fn clear(&mut self, place: u32) {
        self.table.take(place);
    }

    /// The places of all whose marks pass.
    pub(crate) fn places(&self, passes: impl Fn(Mark) -> bool) -> Vec<u32> {
        self.table.iter().filter(|(_, mark)| passes(**mark)).map(|(place, _)| place).collect()
    }
}

const _: () = assert!(size_of::<Option<Mark>>() == 8);
