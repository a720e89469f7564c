//! Addresses and the filters that match them: one namespace for every protocol.

use crate::Text;
use crate::text::has_none_of;
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;

/// The longest address or filter, in bytes of UTF-8 (MQTT 5 §4.7.3).
pub const MAX_ADDRESS_BYTES: usize = 65_535;

/// Why a path is no address, or no filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// It has no characters.
    Empty,
    /// It is longer than [`MAX_ADDRESS_BYTES`].
    TooLong,
    /// It is not UTF-8.
    NotUtf8,
    /// It contains U+0000.
    Null,
    /// An address contains `+` or `#`.
    Wildcard,
    /// A filter has `+` or `#` beside other characters of a level, or `#` before the last level.
    MisplacedWildcard,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "it is empty",
            Self::TooLong => "it is longer than 65,535 bytes",
            Self::NotUtf8 => "it is not UTF-8",
            Self::Null => "it contains the character U+0000",
            Self::Wildcard => "an address cannot contain the wildcards '+' and '#'",
            Self::MisplacedWildcard => "'+' must be a whole level and '#' the whole last level",
        })
    }
}

impl std::error::Error for AddressError {}

/// Where an event happened: a `/`-separated path such as `fleet/7/telemetry`, without wildcards.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address(Text);

impl Address {
    /// Checks and takes a path without copying it.
    pub fn new(path: impl Into<Text>) -> Result<Self, AddressError> {
        let path = path.into();
        let bytes = path.as_bytes();
        // One look at the bytes settles it for nearly all.
        if bytes.is_empty() || bytes.len() > MAX_ADDRESS_BYTES || !has_none_of(bytes, [0, b'+', b'#']) {
            check(bytes)?;
            return Err(AddressError::Wildcard);
        }
        Ok(Self(path))
    }

    /// Copies a path of printable ASCII, as nearly all are; `None` if it is another, or no address.
    #[inline]
    pub fn from_plain_ascii(path: &[u8]) -> Option<Self> {
        let is_address =
            !path.is_empty() && path.len() <= MAX_ADDRESS_BYTES && has_none_of(path, [b'+', b'#']);
        Text::from_plain_ascii(path).filter(|_| is_address).map(Self)
    }

    /// Checks and takes a path's bytes without copying them.
    pub fn from_bytes(path: Bytes) -> Result<Self, AddressError> {
        Self::new(Text::from_utf8(path).map_err(|_| AddressError::NotUtf8)?)
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The path's bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The path as shared text.
    pub fn text(&self) -> &Text {
        &self.0
    }

    /// The path's levels; an empty level is a level.
    pub fn levels(&self) -> impl Iterator<Item = &str> {
        self.as_str().split('/')
    }

    /// Whether wildcards at the first level must not match it (MQTT 5 §4.7.2).
    pub fn is_system(&self) -> bool {
        self.as_bytes().first() == Some(&b'$')
    }
}

/// Whether a path belongs to the node itself: its first character is `$`.
pub fn is_system(path: &str) -> bool {
    path.as_bytes().first() == Some(&b'$')
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A pattern of addresses: `+` stands for one level, `#` as the last level for any number of them (MQTT 5 §4.7.1).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Filter(Arc<str>);

impl Filter {
    /// Checks and copies a pattern.
    pub fn new(pattern: &str) -> Result<Self, AddressError> {
        check(pattern.as_bytes())?;
        let mut levels = pattern.split('/').peekable();
        while let Some(level) = levels.next() {
            let wild = level.bytes().any(|byte| matches!(byte, b'+' | b'#'));
            if wild && (level.len() != 1 || (level == "#" && levels.peek().is_some())) {
                return Err(AddressError::MisplacedWildcard);
            }
        }
        Ok(Self(pattern.into()))
    }

    /// The pattern.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The pattern's levels.
    pub fn levels(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// Whether it has a wildcard.
    pub fn is_wild(&self) -> bool {
        self.0.bytes().any(|byte| matches!(byte, b'+' | b'#'))
    }

    /// Whether it matches an address. Wildcards at the first level do not match addresses that begin with `$`.
    pub fn matches(&self, address: &str) -> bool {
        if is_system(address) && matches!(self.0.as_bytes().first(), Some(b'+' | b'#')) {
            return false;
        }
        let mut levels = address.split('/');
        for pattern in self.levels() {
            match (pattern, levels.next()) {
                ("#", _) => return true,
                ("+", Some(_)) => {}
                (pattern, Some(level)) if pattern == level => {}
                _ => return false,
            }
        }
        levels.next().is_none()
    }

    /// Whether it matches every address that `other` matches.
    pub fn covers(&self, other: &Filter) -> bool {
        let system = is_system(&other.0);
        if system && matches!(self.0.as_bytes().first(), Some(b'+' | b'#')) {
            return false;
        }
        let mut theirs = other.levels();
        for mine in self.levels() {
            match (mine, theirs.next()) {
                ("#", _) => return true,
                ("+", Some(level)) if level != "#" => {}
                (mine, Some(level)) if mine == level => {}
                _ => return false,
            }
        }
        theirs.next().is_none()
    }

    /// The filter of the addresses that both match, if there are any; none of those that begin with `$`.
    pub fn intersection(&self, other: &Filter) -> Option<Filter> {
        if is_system(&self.0) || is_system(&other.0) {
            return None;
        }
        let (mut mine, mut theirs) = (self.levels(), other.levels());
        let mut both: Vec<&str> = Vec::new();
        loop {
            match (mine.next(), theirs.next()) {
                // `#` stands for what the other goes on with, if it does.
                (Some("#"), rest) => {
                    both.extend(rest);
                    both.extend(theirs);
                    break;
                }
                (rest, Some("#")) => {
                    both.extend(rest);
                    both.extend(mine);
                    break;
                }
                (Some("+"), Some(level)) | (Some(level), Some("+")) => both.push(level),
                (Some(one), Some(other)) if one == other => both.push(one),
                (None, None) => break,
                _ => return None,
            }
        }
        Filter::new(&both.join("/")).ok()
    }
}

impl From<&Address> for Filter {
    /// The filter that matches this one address.
    fn from(address: &Address) -> Self {
        Self(address.as_str().into())
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check(path: &[u8]) -> Result<(), AddressError> {
    if path.is_empty() {
        return Err(AddressError::Empty);
    }
    if path.len() > MAX_ADDRESS_BYTES {
        return Err(AddressError::TooLong);
    }
    if path.contains(&0) {
        return Err(AddressError::Null);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, clippy::unwrap_used)]

    use super::*;

    fn matches(filter: &str, address: &str) -> bool {
        Filter::new(filter).unwrap_or_else(|error| panic!("{filter}: {error}")).matches(address)
    }

    #[test]
    fn filters_match_as_the_specification_says() {
        // MQTT 5 §4.7.1.2 and §4.7.1.3, their examples.
        assert!(matches("sport/tennis/player1/#", "sport/tennis/player1"));
        assert!(matches("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"));
        assert!(matches("sport/+", "sport/"));
        assert!(!matches("sport/+", "sport"));
        assert!(matches("+/+", "/finance"));
        assert!(matches("/+", "/finance"));
        assert!(!matches("+", "/finance"));
        assert!(!matches("#", "$SYS/monitor/Clients"));
        assert!(!matches("+/monitor/Clients", "$SYS/monitor/Clients"));
        assert!(matches("$SYS/#", "$SYS/monitor/Clients"));
        assert!(matches("#", "a/b"));
    }

    #[test]
    fn misplaced_wildcards_are_refused() {
        for bad in ["sport/tennis#", "sport/tennis/#/ranking", "sport+", "+a/b", "##"] {
            assert_eq!(Filter::new(bad), Err(AddressError::MisplacedWildcard), "{bad}");
        }
        assert_eq!(Filter::new(""), Err(AddressError::Empty));
        for bad in ["", "a/+", "#", "a\0b", "é"] {
            assert_eq!(Address::from_plain_ascii(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(Address::from_plain_ascii(b"a/b c"), Address::new("a/b c").ok());
        assert_eq!(Address::new("a/+").err(), Some(AddressError::Wildcard));
        assert_eq!(Address::new("a\0b").err(), Some(AddressError::Null));
        assert_eq!(Filter::new(&"x".repeat(MAX_ADDRESS_BYTES + 1)), Err(AddressError::TooLong));
    }

    #[test]
    fn a_filter_covers_only_what_it_matches_wholly() {
        let covers = |mine: &str, theirs: &str| match (Filter::new(mine), Filter::new(theirs)) {
            (Ok(mine), Ok(theirs)) => mine.covers(&theirs),
            _ => panic!("{mine} or {theirs} is no filter"),
        };
        assert!(covers("devices/7/#", "devices/7/+/x"));
        assert!(covers("devices/7/#", "devices/7"));
        assert!(covers("devices/+", "devices/7"));
        assert!(!covers("devices/+", "devices/#"));
        assert!(!covers("devices/7/#", "devices/#"));
        assert!(!covers("devices/7/+", "devices/7/+/x"));
        assert!(!covers("#", "$SYS/#"), "the system's addresses need a rule that names them");
        assert!(covers("#", "#"));
    }

    #[test]
    fn two_filters_have_in_common_what_both_match() {
        let table = [
            ("a/#", "a/b", Some("a/b")),
            ("a/#", "a", Some("a")),
            ("a/#", "#", Some("a/#")),
            ("a/+/c", "+/b/c", Some("a/b/c")),
            ("a/+/#", "+/b", Some("a/b")),
            ("a/+", "b/+", None),
            ("a/b", "a/b/c", None),
            ("#", "$SYS/#", None),
        ];
        for (one, other, both) in table {
            let (one, other) = (Filter::new(one).unwrap(), Filter::new(other).unwrap());
            let both = both.map(|both| Filter::new(both).unwrap());
            assert_eq!(one.intersection(&other), both, "{one} and {other}");
            assert_eq!(other.intersection(&one), both, "{other} and {one}");
        }
    }
}
