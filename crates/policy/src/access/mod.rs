//! Who may do what on which addresses. Nothing is allowed that no rule allows, or that one denies.
//!
//! A rule's addresses are patterns: filters in whose levels placeholders such as `{device}` stand for what is the asker's
//! own. Rules are kept as they were written, for explanations, and compiled: by whom they speak of, and by the levels of
//! their patterns. So a decision looks at few of them however many there are, and allocates nothing.

mod explain;
mod index;
mod pattern;
mod rule;
mod tree;
mod who;

pub use explain::{Explanation, Near, Question, Ruling};
pub use pattern::{Pattern, PatternError, Placeholder};
pub use rule::AccessRule;
pub use who::{Which, Who};

use index::Index;
use rule::is_general;
use tree::Marks;
use windrose_event::{Address, Filter, Identity, Permission};

/// All rules, compiled.
#[derive(Clone, Debug, Default)]
pub struct AccessRules {
    /// In the document's order.
    rules: Box<[AccessRule]>,
    index: Index,
    /// Whether some rule denies subscribing, so that deliveries must be looked at, too.
    denies_subscribing: bool,
}

impl AccessRules {
    /// These rules and no others.
    pub fn new(rules: Vec<AccessRule>) -> Self {
        let denies_subscribing =
            rules.iter().any(|rule| rule.denies() && rule.permissions().contains(&Permission::Subscribe));
        Self { index: Index::new(&rules), rules: rules.into(), denies_subscribing }
    }

    /// The rules, in the document's order.
    pub fn rules(&self) -> &[AccessRule] {
        &self.rules
    }

    /// Whether `identity` may do `permission` on this address.
    pub fn permits(&self, identity: &Identity, permission: Permission, address: &Address) -> bool {
        self.permits_path(identity, permission, address.as_bytes())
    }

    /// Whether `identity` may do `permission` on the addresses that the filter matches. One rule must allow them all, and
    /// none may deny them all; of addresses that are denied singly [`AccessRules::withholds`] tells.
    pub fn permits_filter(&self, identity: &Identity, permission: Permission, filter: &Filter) -> bool {
        self.permits_path(identity, permission, filter.as_str().as_bytes())
    }

    /// Whether an event at this address is kept from a subscriber, though its filter, which is wider, was allowed.
    pub fn withholds(&self, identity: &Identity, address: &Address) -> bool {
        let sought = Marks { allow: 0, deny: Marks::of(Permission::Subscribe) };
        self.denies_subscribing && self.index.decide(identity, sought, address.as_bytes()).deny != 0
    }

    /// Whether `identity` may use the admin API.
    pub fn permits_administration(&self, identity: &Identity) -> bool {
        self.permits_always(identity, Permission::Administer)
    }

    /// Whether `identity` may do what is about no address: administer, enrol.
    pub fn permits_always(&self, identity: &Identity, permission: Permission) -> bool {
        if enrols_only(identity) && permission != Permission::Enrol {
            return false;
        }
        is_allowed(self.index.general(identity, permission))
    }

    fn permits_path(&self, identity: &Identity, permission: Permission, path: &[u8]) -> bool {
        if is_general(permission) {
            return self.permits_always(identity, permission);
        }
        let bit = Marks::of(permission);
        let sought = Marks { allow: bit, deny: bit };
        !enrols_only(identity) && is_allowed(self.index.decide(identity, sought, path))
    }
}

fn is_allowed(found: Marks) -> bool {
    found.allow != 0 && found.deny == 0
}

/// Whether what proved an identity is good for enrolling and nothing else, whatever the rules say.
fn enrols_only(identity: &Identity) -> bool {
    identity.proof.as_ref().is_some_and(|proof| proof.enrols_only)
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
