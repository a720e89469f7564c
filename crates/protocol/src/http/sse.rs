//! Server-sent events: how a subscription is written to an HTTP response (HTML §9.2).

use super::attributes::with_type_and_id;
use super::structured::write_structured;
use windrose_event::Event;

/// A comment that shows both ends that the connection lives.
pub const HEARTBEAT: &[u8] = b":\n\n";

/// Appends an event to `out`: its `id`, its `type` as the event's name, and as data the CloudEvent in structured mode, in
/// one line.
pub fn write_frame(node: &str, event: &Event, out: &mut Vec<u8>) {
    with_type_and_id(event, |kind, id| {
        out.extend_from_slice(b"id: ");
        one_line(id, out);
        out.extend_from_slice(b"\nevent: ");
        one_line(kind, out);
        out.extend_from_slice(b"\ndata: ");
    });
    let start = out.len();
    write_structured(node, event, out);
    // JSON has line breaks between its parts only, where a blank means the same.
    for byte in out.iter_mut().skip(start) {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    out.extend_from_slice(b"\n\n");
}

/// A field ends with its line, whatever a sender wrote into it.
fn one_line(text: &str, out: &mut Vec<u8>) {
    out.extend(text.bytes().map(|byte| if matches!(byte, b'\n' | b'\r' | 0) { b' ' } else { byte }));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::http::samples::{device_event, with_headers};
    use serde_json::Value;

    #[test]
    fn an_event_is_one_frame_of_three_lines() {
        let mut out = Vec::new();
        let event =
            with_headers(device_event("a/b", b"{\n  \"x\": \"1\\n2\"\n}"), &[("ce-id", "7\ndata: forged")]);
        write_frame("edge-1", &event, &mut out);
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<_> = text.split('\n').collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert_eq!(lines[0], "id: 7 data: forged");
        assert_eq!(lines[1], "event: io.windrose.event");
        let data: Value = serde_json::from_str(lines[2].strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(data["data"]["x"], "1\n2");
        assert_eq!(data["subject"], "a/b");
        assert_eq!((lines[3], lines[4]), ("", ""));
    }
}
