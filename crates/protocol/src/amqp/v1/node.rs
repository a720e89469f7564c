//! What an address means to a link: a queue, an exchange, or addresses of the one namespace.

use crate::amqp::v1::codec::Symbols;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use windrose_event::{Address, Filter, PREDECLARED, TOPIC_EXCHANGE, Text, address_of, key_of};

/// What an address names.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// A queue.
    Queue {
        /// Its name.
        name: Text,
        /// Whether it is made if there is none.
        make: bool,
    },
    /// An exchange, with a key or binding key if the address has one.
    Exchange {
        /// Its name; empty: the default exchange.
        name: Text,
        /// The key.
        key: Option<Text>,
    },
    /// An address, or a filter.
    Plain(Text),
}

const BAD: &str =
    "the address is none that is understood: a queue's name, a/b, /queue/N, /topic/K, /exchange/E/K";

/// Reads an address. `queues` are those that are queues without saying so.
pub(super) fn parse(
    address: &str,
    capabilities: &Symbols<'_>,
    queues: &[Filter],
) -> Result<Node, &'static str> {
    if let Some(rest) = address.strip_prefix('/') {
        let (kind, rest) = rest.split_once('/').unwrap_or((rest, ""));
        match kind {
            "queue" | "queues" => return queue(rest, true),
            "amq" => match rest.strip_prefix("queue/") {
                Some(name) => return queue(name, false),
                None => return Err(BAD),
            },
            "topic" if !rest.is_empty() => {
                let name = Text::from_static(TOPIC_EXCHANGE);
                return Ok(Node::Exchange { name, key: Some(decoded(rest)?) });
            }
            "exchange" | "exchanges" if !rest.is_empty() => {
                let (name, key) = rest.split_once('/').map_or((rest, None), |(name, key)| (name, Some(key)));
                let key = key.map(decoded).transpose()?;
                return Ok(Node::Exchange { name: decoded(name)?, key });
            }
            "topic" | "exchange" | "exchanges" => return Err(BAD),
            _ => {}
        }
    }
    if address.is_empty() {
        return Err(BAD);
    }
    if capabilities.has("queue") {
        return Ok(Node::Queue { name: queue_name(address), make: true });
    }
    if PREDECLARED.iter().any(|(name, _)| *name == address) {
        return Ok(Node::Exchange { name: address.into(), key: None });
    }
    let wild = address.split('/').any(|level| matches!(level, "+" | "#"));
    if !wild && !capabilities.has("topic") && queues.iter().any(|filter| filter.matches(address)) {
        return Ok(Node::Queue { name: queue_name(address), make: true });
    }
    Ok(Node::Plain(address.into()))
}

fn queue(name: &str, make: bool) -> Result<Node, &'static str> {
    if name.is_empty() { Err(BAD) } else { Ok(Node::Queue { name: decoded(name)?, make }) }
}

fn decoded(part: &str) -> Result<Text, &'static str> {
    let text =
        percent_decode_str(part).decode_utf8().map_err(|_| "the address is not UTF-8 where it is encoded")?;
    Ok(match text {
        Cow::Borrowed(text) => text.into(),
        Cow::Owned(text) => text.into(),
    })
}

/// The name of the queue that an address is: as it stands, or if it has levels, as a routing key.
fn queue_name(address: &str) -> Text {
    if address.contains('/') { key_of(address).into() } else { address.into() }
}

/// The address at which a message happens that is sent to what an address of AMQP's names; `None`: that is none, or an
/// exchange, which needs a key.
pub(super) fn place(address: &str, queues: &[Filter]) -> Option<Address> {
    match parse(address, &Symbols::None, queues).ok()? {
        Node::Queue { name, .. } => address_of_queue(&name).ok(),
        Node::Exchange { name, key } => address_of(&name, &key?).ok(),
        Node::Plain(address) => Address::new(address).ok(),
    }
}

/// An address as it is told to peers, so that it is the same when they send to it: one without levels could be a queue's
/// name, whose dots are levels.
pub(super) fn written(address: &Address) -> Cow<'_, str> {
    let path = address.as_str();
    if path.contains('/') || !path.contains('.') {
        return Cow::Borrowed(path);
    }
    let key = key_of(path);
    let key = percent_encoding::utf8_percent_encode(&key, percent_encoding::NON_ALPHANUMERIC);
    Cow::Owned(format!("/topic/{key}"))
}

/// Where whoever publishes to a queue does so: at the address of its name.
pub(super) fn address_of_queue(name: &str) -> Result<Address, &'static str> {
    address_of("", name).map_err(|_| "the queue's name is no address")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_mean_what_clients_of_others_expect() {
        let queues = [Filter::new("+").unwrap()];
        let queue = |name: &str, make| Ok(Node::Queue { name: name.into(), make });
        let exchange = |name: &str, key: Option<&str>| {
            Ok(Node::Exchange { name: name.into(), key: key.map(Text::from) })
        };
        let plain = |address: &str| Ok(Node::Plain(address.into()));
        for (address, capability, node) in [
            ("examples", "", queue("examples", true)),
            ("my.queue", "", queue("my.queue", true)),
            ("examples", "topic", plain("examples")),
            ("a/b", "", plain("a/b")),
            ("a/b", "queue", queue("a.b", true)),
            ("+", "", plain("+")),
            ("a/#", "", plain("a/#")),
            ("/queue/q%2F1", "", queue("q/1", true)),
            ("/queues/q", "", queue("q", true)),
            ("/amq/queue/q", "", queue("q", false)),
            ("/topic/a.*.b", "", exchange("amq.topic", Some("a.*.b"))),
            ("/exchange/e", "", exchange("e", None)),
            ("/exchanges/e/k.x", "", exchange("e", Some("k.x"))),
            ("amq.fanout", "", exchange("amq.fanout", None)),
            ("/finance", "", plain("/finance")),
        ] {
            assert_eq!(parse(address, &Symbols::One(capability), &queues), node, "{address}");
        }
        for bad in ["", "/queue", "/queue/", "/exchange", "/exchange/", "/topic/", "/amq/x", "/queue/%ff"] {
            assert!(parse(bad, &Symbols::None, &queues).is_err(), "{bad}");
        }
    }
}
