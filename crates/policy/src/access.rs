//! Who may do what on which addresses. Nothing is allowed that no rule allows, or that one denies.
//!
//! A rule's addresses are patterns: filters in whose levels `{device}`, `{owner}` and `{owned}` stand for the asker's
//! own device, its owner, and any device that it owns. They are compared level by level with the placeholders filled
//! in on the way, so that a check on an event allocates nothing.

use std::fmt;
use std::sync::Arc;
use windrose_event::{Address, AddressError, Filter, Identity, Permission, Principal};

/// One rule of `access`.
#[derive(Clone, Debug)]
pub struct AccessRule {
    denies: bool,
    who: Who,
    may: u8,
    on: Vec<Pattern>,
}

impl AccessRule {
    /// A rule. `administer` is about the node and needs no addresses; the others are allowed on `on` only.
    pub fn new(who: Who, may: &[Permission], on: Vec<Pattern>) -> Self {
        let may = may.iter().fold(0, |set, permission| set | bit(*permission));
        Self { denies: false, who, may, on }
    }

    /// A rule that denies: it wins over all that allow.
    pub fn deny(who: Who, deny: &[Permission], on: Vec<Pattern>) -> Self {
        Self { denies: true, ..Self::new(who, deny, on) }
    }

    fn speaks_of(&self, identity: &Identity, permission: Permission) -> bool {
        self.may & bit(permission) != 0 && self.who.includes(identity)
    }
}

const fn bit(permission: Permission) -> u8 {
    1 << permission as u8
}

/// Whom a rule speaks of (`who` in the document).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// `anyone`: everybody who was let in.
    Anyone,
    /// `anonymous`: those who did not say.
    Anonymous,
    /// `device:ID`.
    Device(Which),
    /// `owner:ID`: the owner itself, not its devices.
    Owner(Which),
    /// `group:NAME`: members of a group, whatever their kind.
    Group(Which),
    /// `service:NAME`.
    Service(Which),
}

/// Which one of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// `*`: all of the kind.
    All,
    /// The one of this name.
    Named(Arc<str>),
}

impl Which {
    fn is(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(named) => **named == *name,
        }
    }
}

impl Who {
    /// Reads it as the document writes it. `None` if it is none of the forms.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text == "anyone" => Some(Self::Anyone),
            None if text == "anonymous" => Some(Self::Anonymous),
            Some((_, "")) | None => None,
            Some((kind, name)) => {
                let which = if name == "*" { Which::All } else { Which::Named(name.into()) };
                match kind {
                    "device" => Some(Self::Device(which)),
                    "owner" => Some(Self::Owner(which)),
                    "group" => Some(Self::Group(which)),
                    "service" => Some(Self::Service(which)),
                    _ => None,
                }
            }
        }
    }

    /// Whether a rule for them speaks of `identity`.
    pub fn includes(&self, identity: &Identity) -> bool {
        match (self, &identity.principal) {
            (Self::Anyone, _) | (Self::Anonymous, Principal::Anonymous) => true,
            (Self::Device(which), Principal::Device { id, .. })
            | (Self::Owner(which), Principal::Owner { id })
            | (Self::Service(which), Principal::Service { name: id }) => which.is(id),
            (Self::Group(which), _) => identity.groups.iter().any(|group| which.is(group)),
            _ => false,
        }
    }
}

/// A filter with placeholders, taken apart.
#[derive(Clone, Debug)]
pub struct Pattern {
    levels: Box<[Level]>,
}

#[derive(Clone, Debug)]
enum Level {
    /// `+`.
    One,
    /// `#`.
    Rest,
    /// Text and placeholders, one after another.
    Parts(Box<[Part]>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Placeholder(Placeholder),
}

/// What is filled in for each identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placeholder {
    /// `{device}`: the device itself.
    Device,
    /// `{owner}`: the device's owner, or the owner itself.
    Owner,
    /// `{owned}`: any one of the devices that the owner owns.
    Owned,
}

impl Placeholder {
    const ALL: [(&'static str, Self); 3] =
        [("{device}", Self::Device), ("{owner}", Self::Owner), ("{owned}", Self::Owned)];

    /// As the document writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Device => "{device}",
            Self::Owner => "{owner}",
            Self::Owned => "{owned}",
        }
    }
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternError {
    /// It is no filter.
    Filter(AddressError),
    /// It has braces around something that is no placeholder.
    UnknownPlaceholder(String),
    /// It has `{owned}` more than once: which device would be meant is not clear.
    OwnedTwice,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filter(error) => write!(f, "this is not a filter: {error}"),
            Self::UnknownPlaceholder(text) => write!(f, "`{text}` is not a placeholder"),
            Self::OwnedTwice => f.write_str("`{owned}` can be in a pattern only once"),
        }
    }
}

impl std::error::Error for PatternError {}

impl Pattern {
    /// Takes a pattern apart.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let filter = Filter::new(text).map_err(PatternError::Filter)?;
        let levels = filter.levels().map(Level::new).collect::<Result<Box<[_]>, _>>()?;
        let pattern = Self { levels };
        match pattern.placeholders().filter(|found| *found == Placeholder::Owned).count() {
            0 | 1 => Ok(pattern),
            _ => Err(PatternError::OwnedTwice),
        }
    }

    /// The placeholders in it.
    pub fn placeholders(&self) -> impl Iterator<Item = Placeholder> {
        self.levels
            .iter()
            .flat_map(|level| match level {
                Level::Parts(parts) => &**parts,
                Level::One | Level::Rest => &[],
            })
            .filter_map(|part| match part {
                Part::Placeholder(placeholder) => Some(*placeholder),
                Part::Text(_) => None,
            })
    }

    /// Whether it matches every address that `asked` (an address or a filter) matches, for this identity.
    fn covers(&self, identity: &Identity, asked: &[u8]) -> bool {
        let system = asked.first() == Some(&b'$');
        let mut theirs = asked.split(|byte| *byte == b'/');
        for (index, mine) in self.levels.iter().enumerate() {
            let first_of_system = system && index == 0;
            let matches = match (mine, theirs.next()) {
                (Level::Rest, _) => return !first_of_system,
                (Level::One, Some(level)) => !first_of_system && level != b"#",
                (Level::Parts(parts), Some(level)) => {
                    // A name that begins with `$` must not open the node's own addresses.
                    !(first_of_system && matches!(parts.first(), Some(Part::Placeholder(_))))
                        && fits(parts, identity, level)
                }
                (_, None) => false,
            };
            if !matches {
                return false;
            }
        }
        theirs.next().is_none()
    }
}

impl Level {
    fn new(text: &str) -> Result<Self, PatternError> {
        match text {
            "+" => return Ok(Self::One),
            "#" => return Ok(Self::Rest),
            _ => {}
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(found) = rest.find('{') {
            let (before, after) = rest.split_at(found);
            let Some((name, placeholder)) = Placeholder::ALL.iter().find(|(name, _)| after.starts_with(name))
            else {
                let end = after.find('}').map_or(after.len(), |at| at + 1);
                return Err(PatternError::UnknownPlaceholder(after.get(..end).unwrap_or(after).to_owned()));
            };
            if !before.is_empty() {
                parts.push(Part::Text(before.into()));
            }
            parts.push(Part::Placeholder(*placeholder));
            rest = after.strip_prefix(name).unwrap_or_default();
        }
        if !rest.is_empty() || parts.is_empty() {
            parts.push(Part::Text(rest.into()));
        }
        Ok(Self::Parts(parts.into()))
    }
}

/// Whether a level is exactly these parts.
fn fits(parts: &[Part], identity: &Identity, level: &[u8]) -> bool {
    let mut rest = level;
    for (index, part) in parts.iter().enumerate() {
        let known = match part {
            Part::Text(text) => Some(&**text),
            Part::Placeholder(Placeholder::Device) => identity.device().and_then(|id| placeable(id)),
            Part::Placeholder(Placeholder::Owner) => identity.owner().and_then(|id| placeable(id)),
            Part::Placeholder(Placeholder::Owned) => {
                let after = parts.get(index + 1..).unwrap_or_default();
                return strip_end(after, identity, rest).is_some_and(|name| owns(identity, name));
            }
        };
        match known.and_then(|known| rest.strip_prefix(known.as_bytes())) {
            Some(remaining) => rest = remaining,
            None => return false,
        }
    }
    rest.is_empty()
}

/// What is left of `level` without the parts that it must end with, none of which is `{owned}`.
fn strip_end<'l>(parts: &[Part], identity: &Identity, level: &'l [u8]) -> Option<&'l [u8]> {
    parts.iter().rev().try_fold(level, |rest, part| match part {
        Part::Text(text) => rest.strip_suffix(text.as_bytes()),
        Part::Placeholder(Placeholder::Device) => {
            rest.strip_suffix(placeable(identity.device()?)?.as_bytes())
        }
        Part::Placeholder(Placeholder::Owner) => rest.strip_suffix(placeable(identity.owner()?)?.as_bytes()),
        Part::Placeholder(Placeholder::Owned) => None,
    })
}

/// A name that can stand in a level; one with `/`, `+` or `#` would say more than itself.
fn placeable(name: &str) -> Option<&str> {
    (!name.is_empty() && !name.bytes().any(|byte| matches!(byte, b'/' | b'+' | b'#' | 0))).then_some(name)
}

/// Whether the identity owns the device of this name. The list is in ascending order.
fn owns(identity: &Identity, name: &[u8]) -> bool {
    let found = identity.owned.binary_search_by(|owned| owned.as_bytes().cmp(name)).ok();
    found.and_then(|index| identity.owned.get(index)).is_some_and(|owned| placeable(owned).is_some())
}

/// All rules, compiled.
#[derive(Clone, Debug, Default)]
pub struct AccessRules {
    allow: Box<[AccessRule]>,
    deny: Box<[AccessRule]>,
    /// Whether some rule denies subscribing, so that deliveries must be looked at, too.
    denies_subscribing: bool,
}

impl AccessRules {
    /// These rules and no others.
    pub fn new(rules: Vec<AccessRule>) -> Self {
        let (deny, allow): (Vec<_>, Vec<_>) = rules.into_iter().partition(|rule| rule.denies);
        let denies_subscribing = deny.iter().any(|rule| rule.may & bit(Permission::Subscribe) != 0);
        Self { allow: allow.into(), deny: deny.into(), denies_subscribing }
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
        self.denies_subscribing && covers(&self.deny, identity, Permission::Subscribe, address.as_bytes())
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
        let speaks = |rule: &AccessRule| rule.speaks_of(identity, permission);
        self.allow.iter().any(speaks) && !self.deny.iter().any(speaks)
    }

    fn permits_path(&self, identity: &Identity, permission: Permission, path: &[u8]) -> bool {
        if matches!(permission, Permission::Administer | Permission::Enrol) {
            return self.permits_always(identity, permission);
        }
        !enrols_only(identity)
            && covers(&self.allow, identity, permission, path)
            && !covers(&self.deny, identity, permission, path)
    }
}

/// Whether what proved an identity is good for enrolling and nothing else, whatever the rules say.
fn enrols_only(identity: &Identity) -> bool {
    identity.proof.as_ref().is_some_and(|proof| proof.enrols_only)
}

/// Whether one of the rules speaks of all that `path` (an address or a filter) matches.
fn covers(rules: &[AccessRule], identity: &Identity, permission: Permission, path: &[u8]) -> bool {
    rules
        .iter()
        .filter(|rule| rule.speaks_of(identity, permission))
        .any(|rule| rule.on.iter().any(|pattern| pattern.covers(identity, path)))
}

#[cfg(test)]
mod tests;
