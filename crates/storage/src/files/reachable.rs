//! Where a device can be asked that is a CoAP server itself.

use std::sync::Arc;
use windrose_event::{Filter, Identity, Reachable};
use windrose_policy::document::{Located, Optional, Reading};

/// CoAP's port (RFC 7252 §12.6).
const PORT: u16 = 5683;
/// Resources of one device.
const MOST_RESOURCES: usize = 64;
const EXAMPLE: &str = "write such as `coap: \"coap://10.0.0.5:5683\"` and `resources: [valve]`";

/// What a device's record says of it as a server, if anything.
pub(crate) fn reachable(
    identity: &Identity,
    url: Optional<String>,
    resources: Optional<Vec<Located<String>>>,
    reading: &mut Reading<'_>,
) -> Option<Reachable> {
    let (url, resources) = match (url.0, resources.0) {
        (None, None) => return None,
        (Some(url), Some(resources)) => (url, resources),
        (Some(Located { at, .. }), None) => {
            reading.mistake(&at, "nothing can be asked of it: it has no `resources`").help(EXAMPLE);
            return None;
        }
        (None, Some(Located { at, .. })) => {
            reading.mistake(&at, "it cannot be asked: `coap` says where").help(EXAMPLE);
            return None;
        }
    };
    if resources.value.is_empty() || resources.value.len() > MOST_RESOURCES {
        reading.mistake(&resources.at, format!("a device has from 1 to {MOST_RESOURCES} resources"));
    }
    let mut paths: Vec<Arc<str>> = Vec::new();
    for Located { value, at } in resources.value {
        let path = value.strip_prefix('/').unwrap_or(&value);
        let is_path = !path.is_empty() && !path.contains(['+', '#']) && Filter::new(path).is_ok();
        if !is_path || paths.iter().any(|known| **known == *path) {
            reading.mistake(&at, format!("`{}` is not the path of another resource", value.escape_debug()));
        }
        paths.push(path.into());
    }
    let Some((host, port)) = address(&url.value) else {
        reading.mistake(&url.at, "this is not where a CoAP server is").help(EXAMPLE);
        return None;
    };
    Some(Reachable { identity: identity.clone(), host: host.into(), port, resources: paths.into() })
}

/// Host and port of a URL that has nothing else (RFC 7252 §6.1).
fn address(url: &str) -> Option<(&str, u16)> {
    let authority = url.strip_prefix("coap://")?;
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port != 0)?,
        None => PORT,
    };
    (!host.is_empty() && host.bytes().all(is_host)).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_host_and_maybe_a_port() {
        assert_eq!(address("coap://10.0.0.5"), Some(("10.0.0.5", 5683)));
        assert_eq!(address("coap://meter.example:99/"), Some(("meter.example", 99)));
        assert_eq!(address("coap://[2001:db8::1]:99"), Some(("2001:db8::1", 99)));
        for bad in [
            "",
            "coap://",
            "coaps://a",
            "http://a",
            "coap://a:0",
            "coap://a:x",
            "coap://a:70000",
            "coap://a/b",
            "coap://u@a",
            "coap://[::1",
            "coap://[a]:1",
            "coap://a?b",
            "coap://:1",
        ] {
            assert_eq!(address(bad), None, "{bad}");
        }
    }
}
