//! Exchanges: roads with names, by which events that are published with a routing key get to queues (AMQP 0-9-1 §3.1.3),
//! and where their events happen in the one namespace of addresses.
//!
//! A routing key is an address with `.` for `/`. The default exchange and `amq.topic` are the namespace itself: key `a.b`
//! is address `a/b`. Any other exchange has the addresses under its name: key `a.b` of `logs` is `logs/a/b`, and an empty
//! key is `logs`. Whoever subscribes to `logs/#` hears what goes through it, whatever its protocol.

use crate::{Address, AddressError, Filter, Text};

/// How an exchange picks the queues for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExchangeKind {
    /// Those that are bound with the event's routing key.
    Direct,
    /// All that are bound.
    Fanout,
    /// Those whose pattern matches the routing key.
    Topic,
    /// Those that want the event's headers.
    Headers,
}

impl ExchangeKind {
    /// The kind of that name, as clients write it.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "direct" => Some(Self::Direct),
            "fanout" => Some(Self::Fanout),
            "topic" => Some(Self::Topic),
            "headers" => Some(Self::Headers),
            _ => None,
        }
    }

    /// The kind's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
        }
    }
}

/// The exchange that is the namespace itself, and takes bindings.
pub const TOPIC_EXCHANGE: &str = "amq.topic";

/// The exchanges that are always there, besides the default one, which has no name.
pub const PREDECLARED: [(&str, ExchangeKind); 6] = [
    ("amq.direct", ExchangeKind::Direct),
    ("amq.fanout", ExchangeKind::Fanout),
    (TOPIC_EXCHANGE, ExchangeKind::Topic),
    ("amq.headers", ExchangeKind::Headers),
    ("amq.match", ExchangeKind::Headers),
    ("amq.rabbitmq.trace", ExchangeKind::Topic),
];

/// Whether an exchange has all addresses, not only those under its name.
pub fn is_namespace(exchange: &str) -> bool {
    exchange.is_empty() || exchange == TOPIC_EXCHANGE
}

/// Where an event happens that is published to `exchange` with the routing key `key`.
///
/// # Errors
/// The key makes no address: it is empty on the default exchange, or too long.
pub fn address_of(exchange: &str, key: &str) -> Result<Address, AddressError> {
    let mut path = prefix_of(exchange);
    if !path.is_empty() && !key.is_empty() {
        path.push('/');
    }
    if path.is_empty() && key.is_empty() && !exchange.is_empty() {
        // An address cannot be empty; a key of the topic exchange can.
        path.push_str(TOPIC_EXCHANGE);
    }
    push_swapped(&mut path, key);
    Address::new(path)
}

/// The routing key that stands for an address on `amq.topic` and on the default exchange.
pub fn key_of(address: &str) -> String {
    let mut key = String::with_capacity(address.len());
    let mut rest = address;
    while let Some(character) = rest.chars().next() {
        let code = rest.get(..3).and_then(|code| CODES.iter().find(|(_, known)| *known == code));
        if let Some((plain, _)) = code {
            key.push(*plain);
            rest = rest.get(3..).unwrap_or_default();
            continue;
        }
        key.push(match character {
            '/' => '.',
            '.' => '/',
            other => other,
        });
        rest = rest.get(character.len_utf8()..).unwrap_or_default();
    }
    key
}

/// The addresses of an exchange: the levels that all of them begin with. Empty for the namespace itself.
pub fn prefix_of(exchange: &str) -> String {
    let mut prefix = String::new();
    if is_namespace(exchange) {
        return prefix;
    }
    for (index, character) in exchange.char_indices() {
        match character {
            '/' => prefix.push_str("%2F"),
            '$' if index == 0 => prefix.push_str("%24"),
            _ => push_coded(&mut prefix, character, &exchange[index..]),
        }
    }
    prefix
}

/// The addresses that a binding is for. Where a filter cannot say which keys match, a pattern says the rest.
///
/// # Errors
/// The key makes no filter: it is too long.
pub fn filter_of(
    kind: ExchangeKind,
    exchange: &str,
    key: &str,
) -> Result<(Filter, Option<TopicPattern>), AddressError> {
    let all = |prefix: &str| Filter::new(&if prefix.is_empty() { "#".into() } else { format!("{prefix}/#") });
    let prefix = prefix_of(exchange);
    match kind {
        ExchangeKind::Direct => Ok((Filter::new(address_of(exchange, key)?.as_str())?, None)),
        ExchangeKind::Fanout | ExchangeKind::Headers => Ok((all(&prefix)?, None)),
        ExchangeKind::Topic if key.is_empty() => {
            Ok((Filter::new(address_of(exchange, key)?.as_str())?, None))
        }
        ExchangeKind::Topic => {
            let mut filter = prefix;
            let mut words = key.split('.').peekable();
            while let Some(word) = words.next() {
                if !filter.is_empty() {
                    filter.push('/');
                }
                match word {
                    "*" => filter.push('+'),
                    "#" => {
                        filter.push('#');
                        if words.peek().is_some() {
                            return Ok((Filter::new(&filter)?, Some(TopicPattern::new(key))));
                        }
                    }
                    word => push_swapped(&mut filter, word),
                }
            }
            Ok((Filter::new(&filter)?, None))
        }
    }
}

/// A pattern of routing keys: `*` stands for one word, `#` for any number of them, anywhere (AMQP 0-9-1 §3.1.3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPattern(Vec<Word>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    One,
    Any,
    Is(String),
}

impl TopicPattern {
    /// The pattern that a binding key means.
    pub fn new(key: &str) -> Self {
        let word = |word: &str| match word {
            "*" => Word::One,
            "#" => Word::Any,
            word => {
                let mut level = String::new();
                push_swapped(&mut level, word);
                Word::Is(level)
            }
        };
        Self(key.split('.').map(word).collect())
    }

    /// Whether it matches the levels of an address that stand for the routing key.
    pub fn matches<'a>(&self, levels: impl Iterator<Item = &'a str>) -> bool {
        // How many words of the pattern can be behind us: all ways at once, so that no pattern takes long.
        let mut reached = vec![false; self.0.len() + 1];
        reached[0] = true;
        self.skip(&mut reached);
        for level in levels {
            let mut next = vec![false; self.0.len() + 1];
            for (index, word) in self.0.iter().enumerate() {
                if !reached[index] {
                    continue;
                }
                match word {
                    Word::Any => next[index] = true,
                    Word::One => next[index + 1] = true,
                    Word::Is(wanted) if wanted == level => next[index + 1] = true,
                    Word::Is(_) => {}
                }
            }
            self.skip(&mut next);
            reached = next;
        }
        reached.last().copied().unwrap_or(false)
    }

    /// Words that stand for nothing may be passed by.
    fn skip(&self, reached: &mut [bool]) {
        for (index, word) in self.0.iter().enumerate() {
            if *word == Word::Any && reached[index] {
                reached[index + 1] = true;
            }
        }
    }
}

/// Which headers an event must have for a binding of a headers exchange (AMQP 0-9-1 §3.1.3.4).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct HeadersTest {
    /// Whether one that matches is enough; otherwise all must.
    pub any: bool,
    /// Names and values; without a value it is enough that the header is there.
    pub wanted: Vec<(Text, Option<Text>)>,
}

impl HeadersTest {
    /// Whether an event with these headers is wanted.
    pub fn matches(&self, headers: &[(Text, Text)]) -> bool {
        let has = |(name, value): &(Text, Option<Text>)| {
            headers.iter().any(|(known, is)| known == name && value.as_ref().is_none_or(|value| value == is))
        };
        if self.any { self.wanted.iter().any(has) } else { self.wanted.iter().all(has) }
    }
}

/// Characters of routing keys that addresses cannot have, and what stands for them.
const CODES: [(char, &str); 4] = [('+', "%2B"), ('#', "%23"), ('\0', "%00"), ('%', "%25")];

fn push_swapped(path: &mut String, key: &str) {
    for (index, character) in key.char_indices() {
        match character {
            '.' => path.push('/'),
            '/' => path.push('.'),
            _ => push_coded(path, character, &key[index..]),
        }
    }
}

/// `rest` begins with the character: a `%` that would be read as one of our codes is coded itself.
fn push_coded(path: &mut String, character: char, rest: &str) {
    let code = CODES.iter().find(|(plain, _)| *plain == character);
    let is_read = |rest: &str| rest.get(..3).is_some_and(|text| CODES.iter().any(|(_, code)| *code == text));
    match code {
        Some((_, code)) if character != '%' || is_read(rest) => path.push_str(code),
        _ => path.push(character),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keys_are_addresses_and_come_back_as_they_were() {
        for (exchange, key, address) in [
            ("", "hello", "hello"),
            ("amq.topic", "devices.7.telemetry", "devices/7/telemetry"),
            ("", "1/5.x", "1.5/x"),
            ("", "a+b#c%23d%", "a%2Bb%23c%2523d%"),
            ("logs", "", "logs"),
            ("logs.all", "kern.critical", "logs.all/kern/critical"),
            ("a/b", "c", "a%2Fb/c"),
            ("$x", "", "%24x"),
        ] {
            assert_eq!(address_of(exchange, key).unwrap().as_str(), address);
            if is_namespace(exchange) {
                assert_eq!(key_of(address), key);
            }
        }
        assert!(address_of("", "").is_err(), "there is no such queue");
        assert_eq!(address_of("amq.topic", "").unwrap().as_str(), "amq.topic");
    }

    #[test]
    fn bindings_are_filters_and_patterns_say_the_rest() {
        let filter = |kind, exchange, key| {
            let (filter, pattern) = filter_of(kind, exchange, key).unwrap();
            (filter.as_str().to_owned(), pattern.is_some())
        };
        assert_eq!(filter(ExchangeKind::Direct, "e", "a.b"), ("e/a/b".into(), false));
        assert_eq!(filter(ExchangeKind::Fanout, "e", "whatever"), ("e/#".into(), false));
        assert_eq!(filter(ExchangeKind::Topic, "amq.topic", "*.b.#"), ("+/b/#".into(), false));
        assert_eq!(filter(ExchangeKind::Topic, "e", "a.#.b"), ("e/a/#".into(), true));
        assert_eq!(filter(ExchangeKind::Topic, "e", "a*.+"), ("e/a*/%2B".into(), false));
    }

    #[test]
    fn patterns_match_as_topic_exchanges_do() {
        for (pattern, key, matches) in [
            ("#", "", true),
            ("a.#.b", "a.b", true),
            ("a.#.b", "a.x.y.b", true),
            ("a.#.b", "a.x.y", false),
            ("#.b.#", "x.b", true),
            ("#.*", "", false),
            ("#.*.#", "x", true),
            ("*.#.*", "x", false),
            ("*.#.*", "x.y", true),
        ] {
            let levels = key.split('.').filter(|_| !key.is_empty());
            assert_eq!(TopicPattern::new(pattern).matches(levels), matches, "{pattern} {key}");
        }
    }

    #[test]
    fn headers_match_all_or_any() {
        let text = |text: &'static str| Text::from_static(text);
        let headers = [(text("a"), text("1")), (text("b"), text("2"))];
        let wanted = vec![(text("a"), Some(text("1"))), (text("b"), Some(text("3")))];
        assert!(HeadersTest { any: true, wanted: wanted.clone() }.matches(&headers));
        assert!(!HeadersTest { any: false, wanted }.matches(&headers));
        assert!(HeadersTest { any: false, wanted: vec![(text("b"), None)] }.matches(&headers));
    }
}
