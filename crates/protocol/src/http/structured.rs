//! Structured and batch mode: events as JSON (CloudEvents JSON format; HTTP binding §3.2 and §3.3).

use super::attributes::{Piece, each};
use super::envelope;
use super::media::{self, PayloadType};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Borrow;
use windrose_event::Event;

/// Appends the event as one JSON object to `out`: a JSON payload as it is, text as a string, anything else in Base64.
pub fn write_structured(node: &str, event: &Event, out: &mut Vec<u8>) {
    let event = &*envelope::open(event);
    out.reserve(256 + event.payload.len());
    let mut separator = b'{';
    each(node, event, |name, pieces| {
        let Some(name) = name.text() else { return };
        out.push(separator);
        separator = b',';
        out.push(b'"');
        let start = out.len();
        out.extend_from_slice(name.as_bytes());
        out[start..].make_ascii_lowercase();
        out.extend_from_slice(b"\":\"");
        for piece in pieces {
            match piece {
                Piece::Plain(bytes) => out.extend_from_slice(bytes),
                Piece::Text(text) => escape(text, out),
            }
        }
        out.push(b'"');
    });
    if !event.payload.is_empty() {
        let content_type = PayloadType::of(event);
        out.extend_from_slice(b",\"datacontenttype\":\"");
        escape(content_type.as_str().as_bytes(), out);
        out.push(b'"');
        if content_type == PayloadType::Json {
            out.extend_from_slice(b",\"data\":");
            out.extend_from_slice(&event.payload);
        } else {
            data(content_type.as_str(), &event.payload, out);
        }
    }
    out.push(b'}');
}

/// Appends the events as one JSON array to `out`.
pub fn write_batch(node: &str, events: &[impl Borrow<Event>], out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_structured(node, event.borrow(), out);
    }
    out.push(b']');
}

fn data(content_type: &str, payload: &[u8], out: &mut Vec<u8>) {
    if media::is_json(content_type)
        && let Some(json) = media::json(payload)
    {
        out.extend_from_slice(b",\"data\":");
        out.extend_from_slice(json.as_bytes());
    } else if media::is_text(content_type)
        && let Ok(text) = std::str::from_utf8(payload)
    {
        out.extend_from_slice(b",\"data\":\"");
        escape(text.as_bytes(), out);
        out.push(b'"');
    } else {
        out.extend_from_slice(b",\"data_base64\":\"");
        let start = out.len();
        out.resize(start + payload.len().div_ceil(3) * 4, b'=');
        // The room is exact, so that this cannot fail.
        if let Some(room) = out.get_mut(start..) {
            let _ = STANDARD.encode_slice(payload, room);
        }
        out.push(b'"');
    }
}

/// Writes text inside a JSON string (RFC 8259 §7).
fn escape(mut text: &[u8], out: &mut Vec<u8>) {
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    while let Some(position) = text.iter().position(is_special) {
        let (plain, rest) = text.split_at(position);
        out.extend_from_slice(plain);
        let Some((byte, rest)) = rest.split_first() else { break };
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte => {
                out.extend_from_slice(b"\\u00");
                let hex = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
                out.extend_from_slice(&[hex(byte >> 4), hex(byte & 0xf)]);
            }
        }
        text = rest;
    }
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::http::body::read_structured;
    use crate::http::samples::{device_event, event, with_details, with_headers};
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use windrose_event::Details;

    fn written(event: &Event) -> Value {
        let mut out = Vec::new();
        write_structured("edge-1", event, &mut out);
        serde_json::from_slice(&out)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&out)))
    }

    #[test]
    fn a_json_payload_stays_json() {
        assert_eq!(
            written(&device_event("devices/car-7/telemetry", b"{\"speed\": 81}")),
            json!({
                "specversion": "1.0",
                "id": "019ff576-03e0-7000-8000-000000000001",
                "source": "windrose://edge-1/devices/car-7",
                "type": "io.windrose.event",
                "subject": "devices/car-7/telemetry",
                "time": "2026-08-12T10:13:00.000001Z",
                "deviceid": "car-7",
                "ownerid": "anna",
                "protocol": "mqtt",
                "datacontenttype": "application/json",
                "data": {"speed": 81},
            })
        );
    }

    #[test]
    fn text_is_a_string_and_bytes_are_base64() {
        let text = Details { is_text: Some(true), ..Details::default() };
        let value = written(&with_details(event("a", "21.5 \u{b0}C \"\n".as_bytes()), text));
        assert_eq!(value["data"], "21.5 \u{b0}C \"\n");
        let value = written(&event("a", b"\xff\x00\x01\x02"));
        assert_eq!(value["data_base64"], "/wABAg==");
        assert_eq!(value["datacontenttype"], "application/octet-stream");
        let value = written(&event("a", b""));
        assert_eq!((value.get("data"), value.get("datacontenttype")), (None, None));
    }

    #[test]
    fn what_claims_to_be_json_and_is_not_is_sent_as_bytes() {
        let details = Details { content_type: Some("application/json".into()), ..Details::default() };
        let value = written(&with_details(event("a", b"{\"a\":1},\"deviceid\":\"x\""), details));
        assert_eq!(value["data_base64"], "eyJhIjoxfSwiZGV2aWNlaWQiOiJ4Ig==");
        assert_eq!(value.get("deviceid"), None);
    }

    #[test]
    fn a_batch_is_an_array() {
        let events = [event("a", b"[1]"), event("b", b"2")];
        let mut out = Vec::new();
        write_batch("edge-1", &events, &mut out);
        let value: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value[0]["data"], json!([1]));
        assert_eq!(value[1]["subject"], "b");
        assert_eq!(value.as_array().unwrap().len(), 2);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            payload in proptest::collection::vec(any::<u8>(), 0..64),
            value in ".{0,20}",
            is_text: Option<bool>,
        ) {
            let mut event = with_headers(event("a/b", b""), &[("mood", &value), ("ce-type", &value)]);
            event.payload = payload.clone().into();
            if let Some(details) = &mut event.details { details.is_text = is_text; }
            let mut out = Vec::new();
            write_structured("edge-1", &event, &mut out);
            let back = read_structured(&out.into()).map_err(|problem| TestCaseError::fail(format!("{problem:?}")))?;
            // A JSON payload may come back without its surrounding blanks.
            if !payload.starts_with(b"{") && !payload.starts_with(b"[") {
                prop_assert_eq!(&back.payload[..], &payload[..]);
            }
            prop_assert!(back.details.headers.iter().any(|(name, text)| name == "ce-mood" && *text == *value));
        }
    }
}
