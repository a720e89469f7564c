//! One rule.

use super::pattern::Pattern;
use super::who::Who;
use std::fmt;
use windrose_event::{Identity, Permission};

/// One rule of `access`.
#[derive(Clone, Debug)]
pub struct AccessRule {
    denies: bool,
    who: Who,
    may: Vec<Permission>,
    on: Vec<Pattern>,
    line: usize,
}

impl AccessRule {
    /// A rule. `administer` and `enrol` are about no address; the others are allowed on `on` only.
    pub fn new(who: Who, may: &[Permission], on: Vec<Pattern>) -> Self {
        Self { denies: false, who, may: may.to_vec(), on, line: 0 }
    }

    /// A rule that denies: it wins over all that allow.
    pub fn deny(who: Who, deny: &[Permission], on: Vec<Pattern>) -> Self {
        Self { denies: true, ..Self::new(who, deny, on) }
    }

    /// The same rule, which stands in this line of the document.
    pub fn at_line(self, line: usize) -> Self {
        Self { line, ..self }
    }

    /// The line that it stands in, from 1; 0 if it stands in no document.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Whether it denies.
    pub fn denies(&self) -> bool {
        self.denies
    }

    /// Whom it speaks of.
    pub fn who(&self) -> &Who {
        &self.who
    }

    /// What it allows or denies.
    pub fn permissions(&self) -> &[Permission] {
        &self.may
    }

    /// On which addresses.
    pub fn on(&self) -> &[Pattern] {
        &self.on
    }

    /// The pattern of it, if there is one, that covers all that `asked` (an address or a filter) matches.
    pub(super) fn covering(&self, identity: &Identity, asked: &str) -> Option<&Pattern> {
        self.on.iter().find(|pattern| pattern.covers(identity, asked.as_bytes()))
    }
}

/// Whether a permission is about no address.
pub(super) fn is_general(permission: Permission) -> bool {
    matches!(permission, Permission::Administer | Permission::Enrol)
}

impl fmt::Display for AccessRule {
    /// In words: `device:* may publish, read on devices/{device}/#`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let permissions: Vec<_> = self.may.iter().map(|permission| permission.name()).collect();
        let may = if self.denies { "may not" } else { "may" };
        write!(f, "{} {may} {}", self.who, permissions.join(", "))?;
        if !self.on.is_empty() {
            let on: Vec<_> = self.on.iter().map(Pattern::as_str).collect();
            write!(f, " on {}", on.join(", "))?;
        }
        Ok(())
    }
}
