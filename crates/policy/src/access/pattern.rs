//! On which addresses: filters in whose levels placeholders stand for what is the asker's own.

use super::who::claims;
use std::fmt;
use std::sync::Arc;
use windrose_event::{AddressError, Filter, Identity};

/// The most levels that a pattern has. It is more than addresses have, and bounds how deep a decision goes.
const MAX_LEVELS: usize = 512;

/// A filter with placeholders, taken apart.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: Box<str>,
    levels: Box<[Level]>,
}

#[derive(Clone, Debug)]
pub(super) enum Level {
    /// `+`.
    One,
    /// `#`.
    Rest,
    /// Text alone.
    Text(Box<str>),
    /// Text and placeholders, one after another.
    Parts(Box<[Part]>),
}

/// A piece of a level.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    Text(Box<str>),
    Placeholder(Placeholder),
}

/// What is filled in for each identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Placeholder {
    /// `{device}`: the device itself.
    Device,
    /// `{owner}`: the device's owner, or the owner itself.
    Owner,
    /// `{owned}`: any one of the devices that the owner owns.
    Owned,
    /// `{group}`: any one of its groups.
    Group,
    /// `{claim.NAME}`: any value of that claim.
    Claim(Arc<str>),
}

impl Placeholder {
    /// Reads what is between braces.
    fn parse(name: &str) -> Option<Self> {
        match name {
            "device" => Some(Self::Device),
            "owner" => Some(Self::Owner),
            "owned" => Some(Self::Owned),
            "group" => Some(Self::Group),
            _ => match name.strip_prefix("claim.") {
                None | Some("") => None,
                Some(claim) => Some(Self::Claim(claim.into())),
            },
        }
    }

    /// What it can stand for, for this identity: one thing, or any one of several.
    pub(super) fn values<'i>(&self, identity: &'i Identity) -> &'i [Arc<str>] {
        match self {
            Self::Device => identity.device().map_or(&[], std::slice::from_ref),
            Self::Owner => identity.owner().map_or(&[], std::slice::from_ref),
            Self::Owned => &identity.owned,
            Self::Group => &identity.groups,
            Self::Claim(_) => &[],
        }
    }

    /// Whether it can stand for exactly this text.
    pub(super) fn can_be(&self, identity: &Identity, text: &[u8]) -> bool {
        if !is_placeable(text) {
            return false;
        }
        match self {
            // In ascending order, all three: what somebody owns may be many.
            Self::Owned => identity.owned.binary_search_by(|owned| owned.as_bytes().cmp(text)).is_ok(),
            Self::Claim(name) => claims(identity)
                .binary_search_by(|(its, value)| (**its).cmp(name).then_with(|| value.as_bytes().cmp(text)))
                .is_ok(),
            _ => self.values(identity).iter().any(|value| value.as_bytes() == text),
        }
    }

    /// Whether some text that it can stand for is taken by `fits`.
    fn any(&self, identity: &Identity, mut fits: impl FnMut(&[u8]) -> bool) -> bool {
        let mut fits = |value: &Arc<str>| is_placeable(value.as_bytes()) && fits(value.as_bytes());
        match self {
            Self::Claim(name) => claims(identity).iter().any(|(its, value)| its == name && fits(value)),
            _ => self.values(identity).iter().any(fits),
        }
    }
}

impl fmt::Display for Placeholder {
    /// As the document writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device => f.write_str("{device}"),
            Self::Owner => f.write_str("{owner}"),
            Self::Owned => f.write_str("{owned}"),
            Self::Group => f.write_str("{group}"),
            Self::Claim(name) => write!(f, "{{claim.{name}}}"),
        }
    }
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternError {
    /// It is no filter.
    Filter(AddressError),
    /// It has more levels than any address.
    TooDeep,
    /// It has braces around something that is no placeholder.
    UnknownPlaceholder(String),
    /// It has a placeholder more than once that stands for any one of several: which would be meant is not clear.
    Twice(Placeholder),
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filter(error) => write!(f, "this is not a filter: {error}"),
            Self::TooDeep => write!(f, "it has more than {MAX_LEVELS} levels"),
            Self::UnknownPlaceholder(text) => write!(f, "`{text}` is not a placeholder"),
            Self::Twice(placeholder) => write!(f, "`{placeholder}` can be in a pattern only once"),
        }
    }
}

impl std::error::Error for PatternError {}

impl Pattern {
    /// Takes a pattern apart.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let filter = Filter::new(text).map_err(PatternError::Filter)?;
        if filter.levels().count() > MAX_LEVELS {
            return Err(PatternError::TooDeep);
        }
        let levels = filter.levels().map(Level::new).collect::<Result<Box<[_]>, _>>()?;
        let pattern = Self { text: text.into(), levels };
        let mut several: Vec<&Placeholder> = pattern
            .placeholders()
            .filter(|placeholder| !matches!(placeholder, Placeholder::Device | Placeholder::Owner))
            .collect();
        while let Some(placeholder) = several.pop() {
            if several.contains(&placeholder) {
                return Err(PatternError::Twice(placeholder.clone()));
            }
        }
        Ok(pattern)
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The placeholders in it.
    pub fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.levels
            .iter()
            .flat_map(|level| match level {
                Level::Parts(parts) => &**parts,
                Level::One | Level::Rest | Level::Text(_) => &[],
            })
            .filter_map(|part| match part {
                Part::Placeholder(placeholder) => Some(placeholder),
                Part::Text(_) => None,
            })
    }

    pub(super) fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// Whether it matches every address that `asked` (an address or a filter) matches, for this identity.
    pub(super) fn covers(&self, identity: &Identity, asked: &[u8]) -> bool {
        let system = asked.first() == Some(&b'$');
        let mut theirs = asked.split(|byte| *byte == b'/');
        for (index, mine) in self.levels.iter().enumerate() {
            let first_of_system = system && index == 0;
            let matches = match (mine, theirs.next()) {
                (Level::Rest, _) => return !first_of_system,
                (Level::One, Some(level)) => !first_of_system && level != b"#",
                (Level::Text(text), Some(level)) => text.as_bytes() == level,
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

    /// Whether there may be an address that both it, for this identity, and the filter match.
    pub(super) fn overlaps(&self, identity: &Identity, filter: &str) -> bool {
        let system = filter.starts_with('$');
        let mut theirs = filter.split('/');
        for (index, mine) in self.levels.iter().enumerate() {
            let first_of_system = system && index == 0;
            let matches = match (mine, theirs.next()) {
                (Level::Rest, _) => return !first_of_system,
                (_, Some("#")) => return index > 0 || !self.text.starts_with('$'),
                (_, None) => false,
                (Level::One, Some(_)) => !first_of_system,
                (Level::Text(text), Some("+")) => index > 0 || !text.starts_with('$'),
                (Level::Text(text), Some(level)) => **text == *level,
                (Level::Parts(parts), Some("+")) => parts.iter().all(|part| match part {
                    Part::Text(_) => true,
                    Part::Placeholder(placeholder) => placeholder.any(identity, |_| true),
                }),
                (Level::Parts(parts), Some(level)) => fits(parts, identity, level.as_bytes()),
            };
            if !matches {
                return false;
            }
        }
        matches!(theirs.next(), None | Some("#"))
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
            let end = after.find('}').map_or(after.len(), |at| at + 1);
            let (written, remaining) = after.split_at(end);
            let name = written.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
            let Some(placeholder) = name.and_then(Placeholder::parse) else {
                return Err(PatternError::UnknownPlaceholder(written.to_owned()));
            };
            if !before.is_empty() {
                parts.push(Part::Text(before.into()));
            }
            parts.push(Part::Placeholder(placeholder));
            rest = remaining;
        }
        if parts.is_empty() {
            return Ok(Self::Text(rest.into()));
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.into()));
        }
        Ok(Self::Parts(parts.into()))
    }
}

/// Whether a level is exactly these parts.
pub(super) fn fits(parts: &[Part], identity: &Identity, level: &[u8]) -> bool {
    match parts.split_first() {
        None => level.is_empty(),
        Some((Part::Text(text), after)) => {
            level.strip_prefix(text.as_bytes()).is_some_and(|level| fits(after, identity, level))
        }
        Some((Part::Placeholder(last), [])) => last.can_be(identity, level),
        // What comes after it says where it ends: there may be too many to try each.
        Some((Part::Placeholder(Placeholder::Owned), after)) => ends(after, identity, level),
        Some((Part::Placeholder(placeholder), after)) => placeholder.any(identity, |value| {
            level.strip_prefix(value).is_some_and(|level| fits(after, identity, level))
        }),
    }
}

/// Whether a level is a device that is owned and, after it, exactly these parts.
fn ends(after: &[Part], identity: &Identity, level: &[u8]) -> bool {
    match after.split_last() {
        None => Placeholder::Owned.can_be(identity, level),
        Some((Part::Text(text), before)) => {
            level.strip_suffix(text.as_bytes()).is_some_and(|level| ends(before, identity, level))
        }
        Some((Part::Placeholder(placeholder), before)) => placeholder.any(identity, |value| {
            level.strip_suffix(value).is_some_and(|level| ends(before, identity, level))
        }),
    }
}

/// Whether a name can stand in a level; one with `/`, `+` or `#` would say more than itself.
pub(super) fn is_placeable(name: &[u8]) -> bool {
    !name.is_empty() && !name.iter().any(|byte| matches!(byte, b'/' | b'+' | b'#' | 0))
}
