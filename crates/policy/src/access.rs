//! Who may do what on which addresses. Nothing is allowed that no rule allows.
use windrose_event::{Address, Filter, Identity, Permission};

/// One rule of `access`. (fields: to be written)
#[derive(Clone, Debug)]
pub struct AccessRule {}

/// Whom a rule speaks of.
#[derive(Clone, Debug)]
pub enum Who {}

/// All rules, compiled.
#[derive(Clone, Debug, Default)]
pub struct AccessRules {}

impl AccessRules {
    /// Whether `identity` may do `permission` on this address.
    pub fn permits(&self, _identity: &Identity, _permission: Permission, _address: &Address) -> bool {
        true
    }

    /// Whether `identity` may do `permission` on every address that the filter matches.
    pub fn permits_filter(&self, _identity: &Identity, _permission: Permission, _filter: &Filter) -> bool {
        true
    }
}
