//! Rules by whom they speak of, so that a decision looks only at those that speak of the asker.

use super::rule::{AccessRule, is_general};
use super::tree::{Forest, Marks, NodeId, Planting, Walk};
use super::who::{Which, Who, claims};
use rustc_hash::FxHashMap;
use windrose_event::{Identity, Permission, Principal};

/// What the rules for one `who` say.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    /// Of no address: enrol, administer.
    general: Marks,
    /// Of addresses.
    root: Option<NodeId>,
}

/// Those of one kind. The operator chose the names, nobody else: a fast hash is safe.
#[derive(Clone, Debug, Default)]
struct Kind {
    all: Said,
    named: FxHashMap<Box<str>, Said>,
    /// The longest name: what is longer is not hashed.
    longest: usize,
}

impl Kind {
    fn of(&mut self, which: &Which) -> &mut Said {
        match which {
            Which::All => &mut self.all,
            Which::Named(name) => {
                self.longest = self.longest.max(name.len());
                self.named.entry((**name).into()).or_default()
            }
        }
    }

    fn named(&self, name: &str) -> Option<Said> {
        if self.named.is_empty() || name.len() > self.longest {
            return None;
        }
        self.named.get(name).copied()
    }
}

/// All rules, by whom they speak of.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    anyone: Said,
    anonymous: Said,
    devices: Kind,
    owners: Kind,
    services: Kind,
    groups: Kind,
    claims: FxHashMap<Box<str>, Kind>,
    forest: Forest,
}

impl Index {
    pub(super) fn new(rules: &[AccessRule]) -> Self {
        let mut index = Self::default();
        let mut planting = Planting::default();
        for rule in rules {
            let bits = rule.permissions().iter().fold(0, |set, permission| set | Marks::of(*permission));
            let marks = match rule.denies() {
                true => Marks { allow: 0, deny: bits },
                false => Marks { allow: bits, deny: 0 },
            };
            let said = index.of(rule.who());
            said.general |= marks;
            if rule.permissions().iter().all(|permission| is_general(*permission)) {
                continue;
            }
            let root = *said.root.get_or_insert_with(|| planting.plant());
            for pattern in rule.on() {
                planting.add(root, pattern, marks);
            }
        }
        index.forest = planting.grown();
        index
    }

    fn of(&mut self, who: &Who) -> &mut Said {
        match who {
            Who::Anyone => &mut self.anyone,
            Who::Anonymous => &mut self.anonymous,
            Who::Device(which) => self.devices.of(which),
            Who::Owner(which) => self.owners.of(which),
            Who::Service(which) => self.services.of(which),
            Who::Group(which) => self.groups.of(which),
            Who::Claim { name, value } => self.claims.entry((**name).into()).or_default().of(value),
        }
    }

    /// Whether the rules allow a permission that is about no address, and whether they deny it.
    pub(super) fn general(&self, identity: &Identity, permission: Permission) -> Marks {
        let bit = Marks::of(permission);
        let mut found = Marks::default();
        self.each(identity, |said| {
            found |= said.general & Marks { allow: bit, deny: bit };
            found.deny != 0
        });
        found
    }

    /// Whether the rules allow what is `sought` on all that a path (an address or a filter) matches, and whether they deny it.
    pub(super) fn decide(&self, identity: &Identity, sought: Marks, path: &[u8]) -> Marks {
        let system = path.first() == Some(&b'$');
        let mut walk = Walk { forest: &self.forest, identity, sought, found: Marks::default(), system };
        self.each(identity, |said| {
            if let Some(root) = said.root {
                walk.tree(root, path);
            }
            walk.is_over()
        });
        walk.found
    }

    /// Gives what is said of everybody that the identity is, until `is_over` says that it is enough.
    fn each(&self, identity: &Identity, mut is_over: impl FnMut(Said) -> bool) {
        if is_over(self.anyone) {
            return;
        }
        let of_kind = match &identity.principal {
            Principal::Anonymous => (self.anonymous, None),
            Principal::Device { id, .. } => (self.devices.all, self.devices.named(id)),
            Principal::Owner { id } => (self.owners.all, self.owners.named(id)),
            Principal::Service { name } => (self.services.all, self.services.named(name)),
        };
        if is_over(of_kind.0) || of_kind.1.is_some_and(&mut is_over) {
            return;
        }
        if !identity.groups.is_empty() && is_over(self.groups.all) {
            return;
        }
        for group in identity.groups.iter() {
            if self.groups.named(group).is_some_and(&mut is_over) {
                return;
            }
        }
        if self.claims.is_empty() {
            return;
        }
        for (name, value) in claims(identity) {
            let Some(kind) = self.claims.get(&**name) else { continue };
            if is_over(kind.all) || kind.named(value).is_some_and(&mut is_over) {
                return;
            }
        }
    }
}
