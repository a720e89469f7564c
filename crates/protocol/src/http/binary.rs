//! Binary mode: attributes as headers, payload as body (CloudEvents HTTP binding §3.1).

use super::attributes::{Name, Piece, each};
use super::envelope;
use super::media::{JSON, PayloadType};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;
use windrose_event::Event;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Appends the event's attributes and its payload's type to `headers` and returns the body.
pub fn write_binary(node: &str, event: &Event, headers: &mut HeaderMap) -> Bytes {
    let event = &*envelope::open(event);
    write_content_type(event, headers);
    // All values in one buffer, which they share: no allocation for each of them.
    let mut values = Vec::with_capacity(192 + node.len() + event.address.as_bytes().len());
    let mut spans: SmallVec<[(HeaderName, usize); 16]> = SmallVec::new();
    each(node, event, |name, pieces| {
        let Some(header) = header(name) else { return };
        write_value(pieces, &mut values);
        spans.push((header, values.len()));
    });
    let values = Bytes::from(values);
    headers.reserve(spans.len() + 2);
    let mut start = 0;
    for (name, end) in spans {
        let value = HeaderValue::from_maybe_shared(values.slice(start..end));
        start = end;
        // Encoded values have visible ASCII characters only.
        let Ok(value) = value else { continue };
        if name == CE_TRACEPARENT {
            headers.insert(TRACEPARENT, value.clone());
        } else if name == CE_TRACESTATE {
            headers.insert(TRACESTATE, value.clone());
        }
        headers.append(name, value);
    }
    event.payload.clone()
}

/// Appends the event's attributes and its payload's type to `lines`, as the header lines of HTTP/1.1, and returns the body.
pub fn write_binary_lines(node: &str, event: &Event, lines: &mut Vec<u8>) -> Bytes {
    let event = &*envelope::open(event);
    lines.extend_from_slice(b"content-type: ");
    lines.extend_from_slice(PayloadType::of(event).as_str().as_bytes());
    lines.extend_from_slice(b"\r\n");
    each(node, event, |name, pieces| {
        if write_name(name, lines).is_none() {
            return;
        }
        write_value(pieces, lines);
        lines.extend_from_slice(b"\r\n");
        let twin = match name {
            Name::TraceParent => &TRACEPARENT,
            Name::TraceState => &TRACESTATE,
            _ => return,
        };
        write_line_start(twin, lines);
        write_value(pieces, lines);
        lines.extend_from_slice(b"\r\n");
    });
    event.payload.clone()
}

/// Writes an attribute's header up to its value; `None`: it cannot be one.
fn write_name(name: Name<'_>, lines: &mut Vec<u8>) -> Option<()> {
    let start: &[u8] = match name {
        Name::SpecVersion => b"ce-specversion: ",
        Name::Id => b"ce-id: ",
        Name::Source => b"ce-source: ",
        Name::Type => b"ce-type: ",
        Name::Subject => b"ce-subject: ",
        Name::Time => b"ce-time: ",
        Name::DeviceId => b"ce-deviceid: ",
        Name::OwnerId => b"ce-ownerid: ",
        Name::Protocol => b"ce-protocol: ",
        // Those that few events have.
        name => {
            write_line_start(&header(name)?, lines);
            return Some(());
        }
    };
    lines.extend_from_slice(start);
    Some(())
}

fn write_line_start(name: &HeaderName, lines: &mut Vec<u8>) {
    lines.extend_from_slice(name.as_str().as_bytes());
    lines.extend_from_slice(b": ");
}

/// Sets `Content-Type` to the payload's type.
pub fn write_content_type(event: &Event, headers: &mut HeaderMap) {
    let value = match PayloadType::of(event) {
        PayloadType::Given(text) => HeaderValue::from_maybe_shared(text.clone().into_bytes()).ok(),
        PayloadType::Json => Some(HeaderValue::from_static(JSON)),
        PayloadType::Guessed(text) => Some(HeaderValue::from_static(text)),
    };
    if let Some(value) = value {
        headers.insert(CONTENT_TYPE, value);
    }
}

fn write_value(pieces: &[Piece<'_>], out: &mut Vec<u8>) {
    for piece in pieces {
        match piece {
            Piece::Plain(bytes) => out.extend_from_slice(bytes),
            Piece::Text(text) => encode(text, out),
        }
    }
}

/// Writes a value as CloudEvents HTTP binding §3.1.3.2 does: what is not visible ASCII, `"` and `%` in percent-encoding.
fn encode(mut value: &[u8], out: &mut Vec<u8>) {
    let is_plain = |byte: u8| (byte > b' ') & (byte < 0x7f) & (byte != b'"') & (byte != b'%');
    // Nearly all values are plain as a whole; asked of every byte, without stopping, it is done for many at once. Once only,
    // lest a long value that is not costs its length for each of its bytes.
    if value.iter().fold(true, |plain, byte| plain & is_plain(*byte)) {
        return out.extend_from_slice(value);
    }
    while let Some(position) = value.iter().position(|byte| !is_plain(*byte)) {
        let (plain, rest) = value.split_at(position);
        out.extend_from_slice(plain);
        let Some((byte, rest)) = rest.split_first() else { break };
        out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xf)]]);
        value = rest;
    }
    out.extend_from_slice(value);
}

const CE_SPECVERSION: HeaderName = HeaderName::from_static("ce-specversion");
const CE_ID: HeaderName = HeaderName::from_static("ce-id");
const CE_SOURCE: HeaderName = HeaderName::from_static("ce-source");
const CE_TYPE: HeaderName = HeaderName::from_static("ce-type");
const CE_SUBJECT: HeaderName = HeaderName::from_static("ce-subject");
const CE_TIME: HeaderName = HeaderName::from_static("ce-time");
const CE_DATASCHEMA: HeaderName = HeaderName::from_static("ce-dataschema");
const CE_DEVICEID: HeaderName = HeaderName::from_static("ce-deviceid");
const CE_OWNERID: HeaderName = HeaderName::from_static("ce-ownerid");
const CE_PROTOCOL: HeaderName = HeaderName::from_static("ce-protocol");
const CE_ADDRESS: HeaderName = HeaderName::from_static("ce-address");
const CE_TRACEPARENT: HeaderName = HeaderName::from_static("ce-traceparent");
const CE_TRACESTATE: HeaderName = HeaderName::from_static("ce-tracestate");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

fn header(name: Name<'_>) -> Option<HeaderName> {
    Some(match name {
        Name::SpecVersion => CE_SPECVERSION,
        Name::Id => CE_ID,
        Name::Source => CE_SOURCE,
        Name::Type => CE_TYPE,
        Name::Subject => CE_SUBJECT,
        Name::Time => CE_TIME,
        Name::DataSchema => CE_DATASCHEMA,
        Name::DeviceId => CE_DEVICEID,
        Name::OwnerId => CE_OWNERID,
        Name::Protocol => CE_PROTOCOL,
        Name::Address => CE_ADDRESS,
        Name::TraceParent => CE_TRACEPARENT,
        Name::TraceState => CE_TRACESTATE,
        Name::Extension(name) => joined("ce-", name)?,
        Name::Property(name) => joined("windrose-property-", name)?,
    })
}

/// The longest name of a property that is worth a header.
const MAX_NAME: usize = 64;

fn joined(prefix: &str, name: &str) -> Option<HeaderName> {
    let mut joined: SmallVec<[u8; 96]> = SmallVec::from_slice(prefix.as_bytes());
    joined.extend_from_slice(name.as_bytes().get(..MAX_NAME.min(name.len()))?);
    (name.len() <= MAX_NAME).then(|| HeaderName::from_bytes(&joined).ok()).flatten()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::http::samples::{device_event, event, with_details, with_headers};
    use proptest::prelude::*;
    use windrose_event::Details;

    fn written(event: &Event) -> (Vec<String>, Bytes) {
        let mut headers = HeaderMap::new();
        let body = write_binary("edge-1", event, &mut headers);
        let mut lines: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        assert_eq!(lines_of(event), (lines.clone(), body.clone()), "HTTP/1.1 says the same");
        (lines, body)
    }

    fn lines_of(event: &Event) -> (Vec<String>, Bytes) {
        let mut written = Vec::new();
        let body = write_binary_lines("edge-1", event, &mut written);
        let mut lines: Vec<_> =
            String::from_utf8(written).unwrap().split_terminator("\r\n").map(str::to_owned).collect();
        lines.sort();
        (lines, body)
    }

    fn value(event: &Event, name: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        write_binary("edge-1", event, &mut headers);
        assert!(headers.get_all(name).iter().count() <= 1, "{name} is written once");
        headers.get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_device_event_is_written_as_the_binding_says() {
        let (lines, body) = written(&device_event("devices/car-7/telemetry", b"{\"speed\":81}"));
        assert_eq!(
            lines,
            [
                "ce-deviceid: car-7",
                "ce-id: 019ff576-03e0-7000-8000-000000000001",
                "ce-ownerid: anna",
                "ce-protocol: mqtt",
                "ce-source: windrose://edge-1/devices/car-7",
                "ce-specversion: 1.0",
                "ce-subject: devices/car-7/telemetry",
                "ce-time: 2026-08-12T10:13:00.000001Z",
                "ce-type: io.windrose.event",
                "content-type: application/json",
            ]
        );
        assert_eq!(body, "{\"speed\":81}");
    }

    #[test]
    fn an_anonymous_event_names_no_device() {
        let (lines, _) = written(&event("a/\u{e9} b", b"x"));
        assert!(
            lines.contains(&"ce-source: windrose://edge-1/anonymous/s%2520%25221".to_owned()),
            "{lines:?}"
        );
        assert!(lines.contains(&"ce-subject: a/%C3%A9%20b".to_owned()), "{lines:?}");
        assert!(!lines.iter().any(|line| line.starts_with("ce-deviceid")), "{lines:?}");
    }

    #[test]
    fn a_senders_own_attributes_win_but_not_over_who_it_is() {
        let event = with_headers(
            device_event("devices/car-7/telemetry", b"x"),
            &[
                ("ce-id", "mine-1"),
                ("ce-source", "urn:mine"),
                ("ce-type", "com.example.speed"),
                ("CE-Subject", "engine"),
                ("ce-time", "2018-04-05T17:31:00Z"),
                ("ce-deviceid", "car-8"),
                ("ce-ownerid", "eve"),
                ("ce-protocol", "magic"),
                ("ce-address", "devices/car-8"),
                ("deviceid", "car-9"),
                ("ce-Region", "eu"),
                ("ce-region", "us"),
            ],
        );
        assert_eq!(value(&event, "ce-id").as_deref(), Some("mine-1"));
        assert_eq!(value(&event, "ce-source").as_deref(), Some("urn:mine"));
        assert_eq!(value(&event, "ce-type").as_deref(), Some("com.example.speed"));
        assert_eq!(value(&event, "ce-subject").as_deref(), Some("engine"));
        assert_eq!(value(&event, "ce-time").as_deref(), Some("2018-04-05T17:31:00Z"));
        assert_eq!(value(&event, "ce-deviceid").as_deref(), Some("car-7"));
        assert_eq!(value(&event, "ce-ownerid").as_deref(), Some("anna"));
        assert_eq!(value(&event, "ce-protocol").as_deref(), Some("mqtt"));
        assert_eq!(value(&event, "ce-address").as_deref(), Some("devices/car-7/telemetry"));
        assert_eq!(value(&event, "ce-region").as_deref(), Some("eu"));
    }

    #[test]
    fn mqtt_user_properties_are_attributes_as_the_mqtt_binding_says() {
        let given =
            [("specversion", "1.0"), ("id", "7"), ("type", "t"), ("source", "s"), ("deviceid", "car-8")];
        let event = with_headers(device_event("a", b"x"), &given);
        assert_eq!(value(&event, "ce-id").as_deref(), Some("7"));
        assert_eq!(value(&event, "ce-type").as_deref(), Some("t"));
        assert_eq!(value(&event, "ce-deviceid").as_deref(), Some("car-7"));
        let event = with_headers(device_event("a", b"x"), &given[1..]);
        assert_eq!(
            value(&event, "ce-type").as_deref(),
            Some("io.windrose.event"),
            "no specversion, no CloudEvent"
        );
        assert_eq!(value(&event, "windrose-property-type").as_deref(), Some("t"));
    }

    #[test]
    fn user_properties_become_extensions_or_property_headers() {
        let event = with_headers(
            event("a", b"x"),
            &[
                ("Colour", "deep blue"),
                ("fuel-level", "7%"),
                ("bad name", "x"),
                ("", "x"),
                ("a-rather-long-name", "y"),
            ],
        );
        assert_eq!(value(&event, "ce-colour").as_deref(), Some("deep%20blue"));
        assert_eq!(value(&event, "windrose-property-fuel-level").as_deref(), Some("7%25"));
        assert_eq!(value(&event, "windrose-property-a-rather-long-name").as_deref(), Some("y"));
        let (lines, _) = written(&event);
        assert!(!lines.iter().any(|line| line.contains("bad")), "{lines:?}");
    }

    #[test]
    fn too_many_properties_are_left_out() {
        let many: Vec<_> = (0..200).map(|index| (format!("p{index}"), "x".repeat(100))).collect();
        let many: Vec<_> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut headers = HeaderMap::new();
        write_binary("edge-1", &with_headers(event("a", b"x"), &many), &mut headers);
        let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        assert!(bytes < 5_000, "{bytes} bytes of headers");
        assert!(headers.contains_key("ce-p30"));
    }

    #[test]
    fn a_trace_goes_on() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let event = with_headers(event("a", b"x"), &[("traceparent", parent), ("tracestate", "k=v")]);
        for name in ["traceparent", "ce-traceparent"] {
            assert_eq!(value(&event, name).as_deref(), Some(parent));
        }
        assert_eq!(value(&event, "tracestate").as_deref(), Some("k=v"));
        let broken = with_headers(device_event("a", b"x"), &[("traceparent", "none"), ("tracestate", "k=v")]);
        assert_eq!(value(&broken, "traceparent"), None);
        assert_eq!(value(&broken, "tracestate"), None);
    }

    #[test]
    fn an_envelope_cannot_carry_a_false_device() {
        let payload = br#"{"specversion":"1.0","id":"9","source":"s","type":"t","deviceid":"car-8","mood":"good","data":{"a":1}}"#;
        let details =
            Details { content_type: Some("application/cloudevents+json".into()), ..Details::default() };
        let event = with_details(device_event("a", payload), details);
        let (lines, body) = written(&event);
        assert_eq!(body, "{\"a\":1}");
        for line in ["ce-deviceid: car-7", "ce-id: 9", "ce-mood: good", "content-type: application/json"] {
            assert!(lines.contains(&line.to_owned()), "{line} in {lines:?}");
        }
        let details =
            Details { content_type: Some("application/CloudEvents+json".into()), ..Details::default() };
        let (lines, _) = written(&with_details(device_event("a", b"no envelope"), details));
        assert!(lines.contains(&"content-type: application/octet-stream".to_owned()), "{lines:?}");
    }

    proptest! {
        #[test]
        fn no_sender_can_break_the_headers(name in ".{0,30}", text in ".{0,40}", address in "[^+#\0]{1,40}") {
            let event = with_headers(event(&address, b"x"), &[(&name, &text), ("ce-id", &text), ("ce-type", &text)]);
            let mut headers = HeaderMap::new();
            write_binary("edge-1", &event, &mut headers);
            for (name, value) in &headers {
                prop_assert!(value.as_bytes().iter().all(|byte| matches!(byte, b' '..=b'~')), "{name}");
            }
            prop_assert!(headers.contains_key("ce-subject"));
            let mut lines: Vec<_> =
                headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
            lines.sort();
            prop_assert_eq!(lines_of(&event).0, lines);
        }
    }
}
