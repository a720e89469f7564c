//! `pools`: services that take events.

use super::headers::header;
use super::{amqp_pools, authority, brokers, check_name, entries, pool_keys};
use crate::document::{Located, Optional, Reading};
use crate::keys::PoolKeys;
use crate::snapshot::{Balance, CloudEventsMode, HttpVersion, Member, Pool, PoolProtocol};
use http::Uri;
use std::sync::Arc;
use std::time::Duration;

/// The pools that can be delivered to, and the names of all that were written.
pub(super) struct Pools {
    pub(super) list: Vec<Arc<Pool>>,
    pub(super) names: Vec<String>,
}

pub(super) fn pools(
    section: Optional<Vec<(Located<String>, Located<PoolKeys>)>>,
    node: &str,
    reading: &mut Reading<'_>,
) -> Pools {
    let mut pools = Pools { list: Vec::new(), names: Vec::new() };
    for (name, keys) in entries(section) {
        check_name(&name, reading);
        pools.list.push(Arc::new(pool(&name.value, keys.value, node, reading)));
        pools.names.push(name.value);
    }
    pools
}

fn pool(name: &str, mut keys: PoolKeys, node: &str, reading: &mut Reading<'_>) -> Pool {
    let protocol = keys.protocol.0.take().map_or(PoolProtocol::Http, |protocol| protocol.value);
    pool_keys::check(&keys, protocol, reading);
    let members = members(keys.members.0, protocol, reading);
    let names = brokers::NameKeys {
        client_id: keys.client_id,
        username: keys.username,
        password: keys.password,
        keep_alive: keys.keep_alive,
    };
    let (mut mqtt, mut amqp) = (None, None);
    match protocol {
        PoolProtocol::Mqtt => {
            let brokers = brokers::Keys { names, subscribe: keys.subscribe, version: keys.mqtt_version };
            mqtt = Some(brokers::options(brokers, node, reading));
        }
        PoolProtocol::Amqp => {
            let brokers = amqp_pools::Keys {
                names,
                subscribe: keys.subscribe,
                version: keys.amqp_version,
                address: keys.address,
                exchange: keys.exchange,
                routing_key: keys.routing_key,
                consume: keys.consume,
                prefetch: keys.prefetch,
            };
            amqp = Some(amqp_pools::options(brokers, node, reading));
        }
        PoolProtocol::Http | PoolProtocol::Coap => {}
    }
    if let Some(at) = keys.ca.at()
        && !members.is_empty()
        && !members.iter().any(|member| member.tls)
    {
        reading.mistake(at, "no member of the pool has TLS: there is no certificate to verify");
    }
    let headers: Vec<_> =
        entries(keys.headers).iter().filter_map(|(name, value)| header(name, value, reading)).collect();
    let identity_token =
        keys.identity_token.get().and_then(|token| authority::identity_token(token, &headers, reading));
    let mode = keys.mode.or(CloudEventsMode::Binary);
    if let Some(at) = keys.batch.at()
        && mode != CloudEventsMode::Batch
    {
        reading
            .mistake(at, "batches are made only in batch mode")
            .help("write `mode: batch`, or take `batch` out");
    }
    let (events, wait) = match keys.batch.get() {
        Some(batch) => (batch.events.get(), batch.wait.get()),
        None => (None, None),
    };
    let backoff_max_at = keys.backoff_max.at().cloned();
    let backoff = keys.backoff.get().map_or(Duration::from_millis(100), |wait| wait.0);
    let backoff_max = keys.backoff_max.get().map_or(Duration::from_secs(2).max(backoff), |wait| wait.0);
    if let Some(at) = backoff_max_at
        && backoff_max < backoff
    {
        reading.mistake(&at, "the longest wait is shorter than the first one, `backoff`");
    }
    // Requests under way without congestion control are to be few (RFC 7252 §4.7, NSTART).
    let in_flight = if protocol == PoolProtocol::Coap { 16 } else { 256 };
    Pool {
        name: name.into(),
        protocol,
        members,
        balance: keys.balance.or(Balance::LeastOutstanding),
        mode,
        batch_events: events.and_then(|events| usize::try_from(events.0).ok()).unwrap_or(100),
        batch_wait: wait.map_or(Duration::from_millis(50), |wait| wait.0),
        http_version: keys.version.or(HttpVersion::Auto),
        timeout: keys.timeout.get().map_or(Duration::from_secs(10), |wait| wait.0),
        backoff,
        backoff_max,
        max_in_flight: keys
            .max_in_flight
            .get()
            .and_then(|count| u32::try_from(count.0).ok())
            .unwrap_or(in_flight),
        queue: keys.queue.get().and_then(|count| u32::try_from(count.0).ok()).unwrap_or(10_000),
        ca: keys.ca.get(),
        headers,
        mqtt,
        amqp,
        identity_token,
    }
}

fn members(
    list: Option<Located<Vec<Located<String>>>>,
    protocol: PoolProtocol,
    reading: &mut Reading<'_>,
) -> Vec<Member> {
    let Some(list) = list else { return Vec::new() };
    if list.value.is_empty() {
        reading.mistake(&list.at, "the pool has no members").help("add the URL of a service");
    }
    let mut members: Vec<Member> = Vec::with_capacity(list.value.len());
    for url in &list.value {
        match member(&url.value, protocol) {
            Ok(member) if members.iter().any(|other| other.url == member.url) => {
                reading.mistake(&url.at, "this member is there twice");
            }
            Ok(member) => members.push(member),
            Err((message, help)) => {
                if url.value.contains('@') {
                    reading.conceal(&url.at);
                }
                reading.mistake(&url.at, message).help(help);
            }
        }
    }
    members
}

/// What the URLs of a protocol look like.
struct Scheme {
    plain: &'static str,
    tls: &'static str,
    /// Without and with TLS.
    ports: (u16, u16),
    example: &'static str,
    credentials: &'static str,
}

fn scheme(protocol: PoolProtocol) -> Scheme {
    match protocol {
        PoolProtocol::Http => Scheme {
            plain: "http",
            tls: "https",
            ports: (80, 443),
            example: "write such as `http://127.0.0.1:9000/events` or `https://service.example/events`",
            credentials: "send them in a header: `headers: {Authorization: \"Basic ${CREDENTIALS}\"}`",
        },
        PoolProtocol::Mqtt => Scheme {
            plain: "mqtt",
            tls: "mqtts",
            ports: (1883, 8883),
            example: "write such as `mqtt://127.0.0.1:1883` or `mqtts://broker.example:8883`",
            credentials: "write `username: NAME` and `password: ${PASSWORD}`",
        },
        PoolProtocol::Amqp => Scheme {
            plain: "amqp",
            tls: "amqps",
            ports: (5672, 5671),
            example: "write such as `amqp://127.0.0.1:5672` or `amqps://broker.example/vhost`",
            credentials: "write `username: NAME` and `password: ${PASSWORD}`",
        },
        PoolProtocol::Coap => Scheme {
            plain: "coap",
            tls: "coaps",
            ports: (5683, 5684),
            example: "write such as `coap://10.0.0.5/events`",
            credentials: "take them out: CoAP has none in its requests",
        },
    }
}

/// Takes a URL apart (RFC 3986 §3).
fn member(url: &str, protocol: PoolProtocol) -> Result<Member, (String, &'static str)> {
    let scheme = scheme(protocol);
    let bad = |why: &str| (format!("this is not the URL of a service: {why}"), scheme.example);
    if url.contains('#') {
        return Err(bad("a service has no use for the part after `#`"));
    }
    let uri: Uri = url.parse().map_err(|error: http::uri::InvalidUri| bad(&error.to_string()))?;
    let tls = match uri.scheme_str() {
        Some(found) if found == scheme.plain => false,
        Some(found) if found == scheme.tls => true,
        Some(other) => {
            return Err(bad(&format!("`{other}` is neither `{}` nor `{}`", scheme.plain, scheme.tls)));
        }
        None => {
            return Err(bad(&format!("it does not begin with `{}://` or `{}://`", scheme.plain, scheme.tls)));
        }
    };
    if tls && protocol == PoolProtocol::Coap {
        let message = "DTLS to members arrives later".to_owned();
        return Err((message, "write `coap://` for a member on a network that you trust"));
    }
    let authority = uri.authority().ok_or_else(|| bad("it has no host"))?;
    if authority.as_str().contains('@') {
        let message = "credentials have no place in a URL: they end up in logs".to_owned();
        return Err((message, scheme.credentials));
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let port = match authority.port_u16() {
        Some(0) => return Err(bad("there is no port 0")),
        Some(port) => port,
        None if authority.as_str() != authority.host() => return Err(bad("a port is a number up to 65535")),
        None if tls => scheme.ports.1,
        None => scheme.ports.0,
    };
    if host.is_empty() {
        return Err(bad("it has no host"));
    }
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    if protocol == PoolProtocol::Mqtt && path != "/" {
        return Err(bad("a broker has no use for a path"));
    }
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok(Member { url: url.into(), tls, host: host.into(), port, path: path.into() })
}
