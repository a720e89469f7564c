//! `listeners[].amqp`.

use crate::document::{Located, Reading};
use crate::keys::AmqpKeys;
use crate::snapshot::AmqpOptions;
use std::time::Duration;
use windrose_event::{Filter, is_system};

pub(super) fn options(keys: AmqpKeys, reading: &mut Reading<'_>) -> AmqpOptions {
    let default = AmqpOptions::default();
    if let Some(redirect) = &keys.redirect.0
        && !is_place(&redirect.value)
    {
        reading
            .mistake(&redirect.at, format!("`{}` is not a host and a port", redirect.value))
            .help("write such as `other.example:5671` or `[2001:db8::1]:5671`");
    }
    let queues = match keys.queues.0 {
        Some(list) => list.value.iter().filter_map(|text| filter(text, reading)).collect(),
        None => default.queues,
    };
    let heartbeat = match keys.heartbeat.get() {
        Some(wait) => Some(wait.0).filter(|wait| *wait != Duration::ZERO),
        None => default.heartbeat,
    };
    AmqpOptions { queues, redirect: keys.redirect.get().map(Into::into), heartbeat }
}

fn filter(text: &Located<String>, reading: &mut Reading<'_>) -> Option<Filter> {
    match Filter::new(&text.value) {
        Ok(_) if is_system(&text.value) => {
            reading.mistake(&text.at, "addresses that begin with `$` are the node's own: none is a queue");
            None
        }
        Ok(filter) => Some(filter),
        Err(error) => {
            reading.mistake(&text.at, format!("this is not a filter: {error}"));
            None
        }
    }
}

/// Whether a text is `host:port`.
fn is_place(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_name = |host: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        !host.is_empty() && host.len() <= 253 && host.bytes().all(fits)
    };
    let is_address = |host: &str| {
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        inner.is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok())
    };
    port.parse::<u16>().is_ok_and(|port| port != 0) && (is_name(host) || is_address(host))
}
