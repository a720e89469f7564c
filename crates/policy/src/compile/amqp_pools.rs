//! `pools` with `protocol: amqp`: brokers of AMQP 1.0 and 0-9-1.

use super::brokers::{self, NameKeys, Names};
use crate::document::{Located, OneOrMore, Optional, Reading, Whole};
use crate::snapshot::{AmqpPool, AmqpVersion};
use std::sync::Arc;
use windrose_event::{Filter, TOPIC_EXCHANGE, Template};

/// The longest text that 0-9-1 has a field for (§4.2.5.3, short strings).
const LONGEST: usize = 255;

/// The keys that only pools of AMQP brokers have.
pub(super) struct Keys {
    pub(super) names: NameKeys,
    pub(super) subscribe: Optional<Vec<Located<String>>>,
    pub(super) version: Optional<AmqpVersion>,
    pub(super) address: Optional<String>,
    pub(super) exchange: Optional<String>,
    pub(super) routing_key: Optional<String>,
    pub(super) consume: Optional<OneOrMore<String>>,
    pub(super) prefetch: Optional<Whole<1, 32_768>>,
}

/// What the keys say; `node` is the node's name.
pub(super) fn options(keys: Keys, node: &str, reading: &mut Reading<'_>) -> AmqpPool {
    let version = keys.version.or(AmqpVersion::Auto);
    for (key, at, other) in [
        ("address", keys.address.at(), AmqpVersion::V091),
        ("exchange", keys.exchange.at(), AmqpVersion::V1),
        ("routing_key", keys.routing_key.at(), AmqpVersion::V1),
    ] {
        if let Some(at) = at
            && version == other
        {
            let (spoken, needed) = if other == AmqpVersion::V1 { ("1.0", "0-9-1") } else { ("0-9-1", "1.0") };
            let help = format!("take `{key}` out, or write `amqp_version: \"{needed}\"`");
            reading.mistake(at, format!("AMQP {spoken} has no use for `{key}`")).help(help);
        }
    }
    if let Some(at) = keys.names.password.at()
        && keys.names.username.0.is_none()
    {
        reading.mistake(at, "the password has no user name").help("add `username: NAME`");
    }
    let exchange = keys.exchange.0.map_or_else(|| TOPIC_EXCHANGE.into(), |text| short(&text, reading));
    let consume = keys.consume.0.map(|list| list.value.0).unwrap_or_default();
    let consume: Vec<Arc<str>> = consume.iter().map(|name| queue(name, reading)).collect();
    let Names { client_id, username, password, keep_alive } =
        brokers::names(keys.names, node, LONGEST, reading);
    let subscribe: Vec<Filter> = brokers::filters(keys.subscribe, reading);
    AmqpPool {
        version,
        client_id,
        username,
        password,
        keep_alive,
        address: template(keys.address, Template::address(), reading),
        exchange,
        routing_key: template(keys.routing_key, Template::key(), reading),
        subscribe,
        consume,
        prefetch: keys.prefetch.get().and_then(|count| u16::try_from(count.0).ok()).unwrap_or(256),
    }
}

/// A text with places for what is an event's own.
pub(super) fn template(text: Optional<String>, default: Template, reading: &mut Reading<'_>) -> Template {
    let Some(Located { value, at }) = text.0 else { return default };
    match Template::new(&value) {
        Ok(template) => template,
        Err(place) => {
            let help = format!("write {}", Template::PLACES);
            reading.mistake(&at, format!("`{place}` stands for nothing")).help(help);
            default
        }
    }
}

fn short(text: &Located<String>, reading: &mut Reading<'_>) -> Arc<str> {
    if text.value.len() > LONGEST {
        reading.mistake(&text.at, format!("expected a name of at most {LONGEST} bytes"));
    }
    text.value.as_str().into()
}

fn queue(name: &Located<String>, reading: &mut Reading<'_>) -> Arc<str> {
    if name.value.is_empty() {
        reading.mistake(&name.at, "a queue has a name");
    }
    short(name, reading)
}
