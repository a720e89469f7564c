//! An event as a request to a service: a POST to its path (RFC 7252 §5.8.2), with the event's attributes in the query.

use super::call::Outgoing;
use crate::coap::codec::{Code, OptionsBuf, option};
use crate::coap::link;
use percent_encoding::percent_decode_str;
use std::net::IpAddr;
use std::sync::Arc;
use windrose_event::{Event, Principal, Text, VIA};

/// The `type` of an event whose sender gave none.
const DEFAULT_TYPE: &str = "io.windrose.event";
/// Which thing, and whose: only the node says that.
const DEVICE_ID: &str = "ce-deviceid";
const OWNER_ID: &str = "ce-ownerid";
/// Named values of one event that travel.
const MAX_VALUES: usize = 16;
/// Bytes of all options together: what is over is left out, so that there is room for the payload.
const MAX_OPTIONS: usize = 512;

/// Where requests to a service go, by its URL (RFC 7252 §6.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    options: OptionsBuf,
    node: Arc<str>,
}

impl Target {
    /// A service by its host, and the path and query of its URL; `node` is this node's name, as in the source of events.
    pub fn new(host: &str, path_and_query: &str, node: Arc<str>) -> Self {
        let mut options = OptionsBuf::default();
        // An address is where the request goes anyway; a name tells hosts apart that share one.
        if host.parse::<IpAddr>().is_err() {
            options.insert(option::URI_HOST, host.to_ascii_lowercase().as_bytes());
        }
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let path = path.strip_prefix('/').unwrap_or(path);
        let parts = [(option::URI_PATH, path, '/'), (option::URI_QUERY, query, '&')];
        for (number, text, separator) in parts {
            for part in text.split(separator).filter(|_| !text.is_empty()) {
                let decoded: Vec<u8> = percent_decode_str(part).collect();
                insert(&mut options, number, &decoded);
            }
        }
        Self { options, node }
    }
}

/// An event as a request: its payload and format as they are, its attributes as `ce-NAME=VALUE` in the query, other named
/// values as `NAME=VALUE` (docs/coap-binding.md).
pub fn publication(target: &Target, event: &Event) -> Outgoing {
    let mut options = target.options.clone();
    if let Some(format) = link::format_of(event) {
        options.insert_uint(option::CONTENT_FORMAT, format.into());
    }
    let given = |name: &str| event.headers().iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    let mut query = |name: &str, value: &str| {
        if options.as_options().as_bytes().len() + name.len() + value.len() < MAX_OPTIONS {
            insert(&mut options, option::URI_QUERY, format!("{name}={value}").as_bytes());
        }
    };
    let identity = &event.origin.identity;
    let proved = |name: Option<&Arc<str>>| name.map(|name| name.to_string()).unwrap_or_default();
    let ours: [(&str, String); 6] = [
        ("ce-id", event.id.to_string()),
        ("ce-source", source(&target.node, event)),
        ("ce-type", DEFAULT_TYPE.to_owned()),
        ("ce-subject", event.address.as_str().to_owned()),
        (DEVICE_ID, proved(identity.device())),
        (OWNER_ID, proved(identity.owner())),
    ];
    for (name, value) in &ours {
        // Who it is and whose is the node's to say, whatever the sender writes.
        let theirs = given(name).filter(|_| ![DEVICE_ID, OWNER_ID].contains(name));
        let value = theirs.map_or(value.as_str(), |(_, value)| value.as_str());
        if !value.is_empty() {
            query(name, value);
        }
    }
    query(VIA, &target.node);
    let is_ours = |name: &Text| ours.iter().any(|(ours, _)| name.eq_ignore_ascii_case(ours));
    for (name, value) in event.headers().iter().filter(|(name, _)| !is_ours(name)).take(MAX_VALUES) {
        query(name, value);
    }
    Outgoing { code: Code::POST, options, payload: event.payload.clone() }
}

/// An event as a request to a thing's resource: a POST with its payload and format, and its named values in the query.
pub fn asked(resource: &str, event: &Event) -> Outgoing {
    let mut options = OptionsBuf::default();
    for segment in resource.split('/') {
        insert(&mut options, option::URI_PATH, segment.as_bytes());
    }
    if let Some(format) = link::format_of(event) {
        options.insert_uint(option::CONTENT_FORMAT, format.into());
    }
    let is_for_services = |name: &str| name.get(..3) == Some("ce-") || name == VIA;
    let values = event.headers().iter().filter(|(name, _)| !is_for_services(name));
    for (name, value) in values.take(MAX_VALUES) {
        if options.as_options().as_bytes().len() + name.len() + value.len() < MAX_OPTIONS {
            insert(&mut options, option::URI_QUERY, format!("{name}={value}").as_bytes());
        }
    }
    Outgoing { code: Code::POST, options, payload: event.payload.clone() }
}

/// Adds an option, if it is no longer than its definition allows.
fn insert(options: &mut OptionsBuf, number: u16, value: &[u8]) {
    if option::form(number).is_some_and(|form| value.len() <= usize::from(form.max)) {
        options.insert(number, value);
    }
}

fn source(node: &str, event: &Event) -> String {
    let (kind, name) = match &event.origin.identity.principal {
        Principal::Anonymous => ("anonymous", &event.origin.session),
        Principal::Device { id, .. } => ("devices", id),
        Principal::Owner { id } => ("owners", id),
        Principal::Service { name } => ("services", name),
    };
    format!("windrose://{node}/{kind}/{name}")
}
