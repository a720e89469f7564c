//! Templates: texts that are different for each event, such as where its answer goes.

use crate::{Address, Event, Filter, TOPIC_EXCHANGE, address_of, key_of};
use std::fmt;
use std::sync::Arc;

/// A text in which `{address}` stands for an event's address, `{key}` for the routing key that the address is, and
/// `{session}` for the name of the session that published it.
#[derive(Clone, PartialEq, Eq)]
pub struct Template(Arc<[Part]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Address,
    Key,
    Session,
}

const PLACES: [(&str, Part); 3] =
    [("{address}", Part::Address), ("{key}", Part::Key), ("{session}", Part::Session)];

impl Template {
    /// The places that a template may have.
    pub const PLACES: &'static str = "`{address}`, `{key}` or `{session}`";

    /// Reads a template.
    ///
    /// # Errors
    /// The braces, and what is between them, that stand for nothing.
    pub fn new(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find('{') {
            let (before, place) = rest.split_at(start);
            if !before.is_empty() {
                parts.push(Part::Text(before.into()));
            }
            let Some((name, part)) = PLACES.iter().find(|(name, _)| place.starts_with(name)) else {
                let end = place.find('}').map_or(place.len(), |end| end + 1);
                return Err(place.get(..end).unwrap_or(place).to_owned());
            };
            parts.push(part.clone());
            rest = place.get(name.len()..).unwrap_or_default();
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.into()));
        }
        Ok(Self(parts.into()))
    }

    /// The template that is an event's address.
    pub fn address() -> Self {
        Self(Arc::new([Part::Address]))
    }

    /// The template that is the routing key for an event's address.
    pub fn key() -> Self {
        Self(Arc::new([Part::Key]))
    }

    /// What it says of an event.
    pub fn of(&self, event: &Event) -> String {
        self.fill(event.address.as_str(), || key_of(event.address.as_str()), &event.origin.session)
    }

    /// What it says of a filter's addresses: as a key it is a pattern, with `*` for `+`.
    pub fn of_filter(&self, filter: &Filter) -> String {
        self.fill(filter.as_str(), || pattern_of(filter), "")
    }

    /// The address that it makes of an event, if it makes one.
    pub fn address_of(&self, event: &Event) -> Option<Address> {
        Address::new(self.of(event)).ok()
    }

    /// The address that an event has of which the template says this, if it can be told.
    pub fn read(&self, text: &str) -> Option<Address> {
        let mut rest = text;
        let mut parts = &*self.0;
        if let [Part::Text(before), after @ ..] = parts {
            rest = rest.strip_prefix(&**before)?;
            parts = after;
        }
        if let [before @ .., Part::Text(after)] = parts {
            rest = rest.strip_suffix(&**after)?;
            parts = before;
        }
        match parts {
            [Part::Address] => Address::new(rest).ok(),
            [Part::Key] => address_of(TOPIC_EXCHANGE, rest).ok(),
            _ => None,
        }
    }

    fn fill(&self, address: &str, key: impl Fn() -> String, session: &str) -> String {
        let mut text = String::new();
        for part in self.0.iter() {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Address => text.push_str(address),
                Part::Key => text.push_str(&key()),
                Part::Session => text.push_str(session),
            }
        }
        text
    }
}

/// The binding key for the addresses of a filter on an exchange of type topic (AMQP 0-9-1 §3.1.3.3).
pub fn pattern_of(filter: &Filter) -> String {
    let word = |level: &str| if level == "+" { "*".to_owned() } else { key_of(level) };
    filter.as_str().split('/').map(word).collect::<Vec<_>>().join(".")
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.iter() {
            match part {
                Part::Text(text) => f.write_str(text)?,
                place => {
                    let known = PLACES.iter().find(|(_, part)| part == place);
                    f.write_str(known.map_or("", |(name, _)| name))?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({self})")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_template_is_written_as_it_reads_and_nonsense_is_named() {
        for text in ["", "a", "{address}/reply", "x/{key}{session}}"] {
            assert_eq!(Template::new(text).unwrap().to_string(), text);
        }
        assert_eq!(Template::new("a/{device}/b").unwrap_err(), "{device}");
        assert_eq!(Template::new("a/{").unwrap_err(), "{");
    }

    #[test]
    fn what_a_template_says_is_read_again() {
        let read = |template: &str, text: &str| {
            Template::new(template).unwrap().read(text).map(|address| address.to_string())
        };
        assert_eq!(read("/topic/{key}", "/topic/a.b"), Some("a/b".to_owned()));
        assert_eq!(read("x.{address}.y", "x.a/b.y"), Some("a/b".to_owned()));
        assert_eq!(read("/topic/{key}", "a.b"), None);
        assert_eq!(read("{address}{session}", "a"), None);
    }

    #[test]
    fn filters_are_patterns_where_keys_are_asked_for() {
        let filter = Filter::new("a.b/+/#").unwrap();
        assert_eq!(Template::new("/topic/{key}").unwrap().of_filter(&filter), "/topic/a/b.*.#");
        assert_eq!(Template::new("x/{address}").unwrap().of_filter(&filter), "x/a.b/+/#");
    }
}
