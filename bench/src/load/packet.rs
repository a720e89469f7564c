//! MQTT packets that the load generator sends and counts. Written for this purpose and by hand: sharing the server's
//! codec would hide its mistakes.

use crate::Result;

/// MQTT 3.1.1 as a protocol level (MQTT 3.1.1 §3.1.2.2); MQTT 5 is 5.
const LEVEL_311: u8 = 4;

/// A packet that a server sent, as far as counting needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packet {
    /// PUBLISH; the packet identifier if it wants a PUBACK.
    Publish(Option<u16>),
    /// PUBACK.
    PubAck,
    /// CONNACK and its return or reason code.
    ConnAck(u8),
    /// SUBACK and its last return or reason code.
    SubAck(u8),
    /// Anything else, by its type.
    Other(u8),
}

/// CONNECT with a clean session and no credentials (MQTT 3.1.1 §3.1).
pub(crate) fn connect(level: u8, client: &str, keep_alive: u16) -> Vec<u8> {
    connect_with(level, client, keep_alive, false)
}

/// CONNECT with a clean session, a user name and a password (MQTT 3.1.1 §3.1.3.4).
pub(crate) fn connect_as(
    level: u8,
    client: &str,
    keep_alive: u16,
    username: &str,
    password: &str,
) -> Vec<u8> {
    let mut body = Vec::new();
    string(&mut body, "MQTT");
    body.extend([level, 0b1100_0010]);
    body.extend(keep_alive.to_be_bytes());
    properties(&mut body, level);
    for text in [client, username, password] {
        string(&mut body, text);
    }
    packet(0x10, &body)
}

/// CONNECT; `lasting`: with a session that outlives the connection, in MQTT 5 for an hour.
pub(crate) fn connect_with(level: u8, client: &str, keep_alive: u16, lasting: bool) -> Vec<u8> {
    let mut body = Vec::new();
    string(&mut body, "MQTT");
    body.extend([level, if lasting { 0 } else { 0b10 }]);
    body.extend(keep_alive.to_be_bytes());
    if lasting && level != LEVEL_311 {
        body.extend([5, 0x11, 0, 0, 0x0e, 0x10]);
    } else {
        properties(&mut body, level);
    }
    string(&mut body, client);
    packet(0x10, &body)
}

/// SUBSCRIBE to one filter (MQTT 3.1.1 §3.8).
pub(crate) fn subscribe(level: u8, filter: &str, qos: u8) -> Vec<u8> {
    let mut body = vec![0, 1];
    properties(&mut body, level);
    string(&mut body, filter);
    body.push(qos);
    packet(0x82, &body)
}

/// PUBLISH with packet identifier 0 if it has one, and the place to write a real one (MQTT 3.1.1 §3.3).
pub(crate) fn publish(level: u8, topic: &str, qos: u8, payload: &[u8]) -> (Vec<u8>, Option<usize>) {
    let mut body = Vec::new();
    string(&mut body, topic);
    if qos > 0 {
        body.extend([0, 0]);
    }
    properties(&mut body, level);
    body.extend(payload);
    let packet = packet(0x30 | qos << 1, &body);
    let head = packet.len() - body.len();
    (packet, (qos > 0).then_some(head + 2 + topic.len()))
}

/// PUBACK (MQTT 3.1.1 §3.4; in MQTT 5 success needs no more either).
pub(crate) const fn puback(id: u16) -> [u8; 4] {
    let [high, low] = id.to_be_bytes();
    [0x40, 2, high, low]
}

/// What a payload begins with, up to a text of any characters.
const PAYLOAD_HEAD: &str = r#"{"speed":81,"note":""#;

/// A payload of so many bytes that looks like telemetry: a JSON object.
pub(crate) fn payload(bytes: usize) -> Vec<u8> {
    let tail = r#""}"#;
    let filler = bytes.saturating_sub(PAYLOAD_HEAD.len() + tail.len());
    [PAYLOAD_HEAD.as_bytes(), &vec![b'x'; filler], tail.as_bytes()].concat()
}

/// Bytes of a number in a payload: hexadecimal digits.
const STAMP: usize = 16;

/// The shortest payload that has room for a number.
pub(crate) const STAMPED: usize = PAYLOAD_HEAD.len() + STAMP + 2;

/// Writes a number into the payload, of so many bytes, that a packet ends with.
pub(crate) fn stamp(packet: &mut [u8], payload: usize, number: u64) {
    let start = packet.len().saturating_sub(payload) + PAYLOAD_HEAD.len();
    let digits = format!("{number:016x}");
    if let Some(place) = packet.get_mut(start..start + STAMP) {
        place.copy_from_slice(digits.as_bytes());
    }
}

/// Reads that number.
pub(crate) fn stamped(packet: &[u8], payload: usize) -> Option<u64> {
    let start = packet.len().checked_sub(payload)? + PAYLOAD_HEAD.len();
    let digits = packet.get(start..start + STAMP)?;
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Hands each whole packet in `bytes` to `each`; gives how many bytes they were. The rest is the beginning of a packet.
pub(crate) fn scan(bytes: &[u8], mut each: impl FnMut(Packet)) -> Result<usize> {
    scan_bodies(bytes, |packet, _| each(packet))
}

/// The same, and what follows each packet's length.
pub(crate) fn scan_bodies<'b>(bytes: &'b [u8], mut each: impl FnMut(Packet, &'b [u8])) -> Result<usize> {
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        let Some((length, body)) = remaining_length(after)? else { break };
        let Some((body, next)) = body.split_at_checked(length) else { break };
        let packet = match (first >> 4, body) {
            (3, body) => publication(*first, body)?,
            (4, _) => Packet::PubAck,
            (2, [_, code, ..]) => Packet::ConnAck(*code),
            (9, [.., code]) => Packet::SubAck(*code),
            (other, _) => Packet::Other(other),
        };
        each(packet, body);
        rest = next;
    }
    Ok(bytes.len() - rest.len())
}

/// The first packet and what follows it, if all of it is there.
pub(crate) fn first(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, body) = remaining_length(bytes.get(1..)?).ok()??;
    bytes.split_at_checked(bytes.len() - body.len() + length)
}

/// The topic of a PUBLISH.
pub(crate) fn topic(packet: &[u8]) -> Option<&[u8]> {
    let (_, body) = remaining_length(packet.get(1..)?).ok()??;
    let (length, rest) = body.split_first_chunk()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}

/// Reads the Remaining Length (MQTT 3.1.1 §2.2.3); `None` if its end has not arrived.
fn remaining_length(bytes: &[u8]) -> Result<Option<(usize, &[u8])>> {
    let mut length = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((length, bytes.get(index + 1..).unwrap_or_default())));
        }
    }
    if bytes.len() < 4 { Ok(None) } else { Err("the server sent a packet without a length".into()) }
}

fn publication(first: u8, body: &[u8]) -> Result<Packet> {
    if first & 0b0110 == 0 {
        return Ok(Packet::Publish(None));
    }
    let [high, low, rest @ ..] = body else { return Err("the server sent a PUBLISH without a topic".into()) };
    let topic = usize::from(u16::from_be_bytes([*high, *low]));
    match rest.get(topic..) {
        Some([high, low, ..]) => Ok(Packet::Publish(Some(u16::from_be_bytes([*high, *low])))),
        _ => Err("the server sent a PUBLISH without a packet identifier".into()),
    }
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut length = body.len();
    loop {
        let byte = (length % 128) as u8;
        length /= 128;
        packet.push(if length > 0 { byte | 0x80 } else { byte });
        if length == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}

/// MQTT 5 has properties here (§2.2.2): none.
fn properties(body: &mut Vec<u8>, level: u8) {
    if level > LEVEL_311 {
        body.push(0);
    }
}

fn string(body: &mut Vec<u8>, text: &str) {
    body.extend((text.len() as u16).to_be_bytes());
    body.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    #[test]
    fn a_connect_is_as_the_specification_writes_it() {
        assert_eq!(connect(4, "a", 60), b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a");
        assert_eq!(connect(5, "a", 60), b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01a");
    }

    #[test]
    fn a_publish_carries_its_identifier_where_it_says() {
        let (mut frame, at) = publish(4, "t/1", 1, &payload(200));
        let at = at.unwrap();
        frame[at..at + 2].copy_from_slice(&7_u16.to_be_bytes());
        assert_eq!(&frame[..3], b"\x32\xcf\x01");
        let mut seen = Vec::new();
        assert_eq!(scan(&frame, |packet| seen.push(packet)).unwrap(), frame.len());
        assert_eq!(seen, [Packet::Publish(Some(7))]);
        assert!(publish(4, "t/1", 0, b"").1.is_none());
    }

    #[test]
    fn packets_are_found_however_they_are_cut() {
        let mut stream = b"\x20\x02\x00\x00\x90\x03\x00\x01\x01".to_vec();
        stream.extend(publish(4, "t", 0, &payload(128)).0);
        stream.extend(puback(9));
        stream.extend(publish(4, "t", 1, &payload(400)).0);
        let mut whole = Vec::new();
        scan(&stream, |packet| whole.push(packet)).unwrap();
        assert_eq!(whole.len(), 5);
        for cut in 0..=stream.len() {
            let mut seen = Vec::new();
            let consumed = scan(&stream[..cut], |packet| seen.push(packet)).unwrap();
            assert!(consumed <= cut);
            scan(&stream[consumed..], |packet| seen.push(packet)).unwrap();
            assert_eq!(seen, whole, "cut at {cut}");
        }
    }

    #[test]
    fn a_packet_is_split_off_only_when_it_is_whole() {
        let mut stream = publish(4, "t/1", 0, &payload(200)).0;
        let whole = stream.len();
        stream.extend(puback(9));
        assert_eq!(first(&stream).unwrap().0.len(), whole);
        assert_eq!(first(&stream).unwrap().1, puback(9));
        assert_eq!(topic(&stream), Some(&b"t/1"[..]));
        for cut in 0..whole {
            assert!(first(&stream[..cut]).is_none(), "cut at {cut}");
        }
    }

    #[test]
    fn a_number_comes_back_from_a_payload() {
        let mut frame = publish(5, "t/1", 1, &payload(STAMPED)).0;
        stamp(&mut frame, STAMPED, 0x1234_5678_9abc);
        assert_eq!(stamped(&frame, STAMPED), Some(0x1234_5678_9abc));
        let payload = frame.split_off(frame.len() - STAMPED);
        assert!(serde_json::from_slice::<serde_json::Value>(&payload).is_ok());
    }

    #[test]
    fn nonsense_is_an_error() {
        assert!(scan(b"\x30\xff\xff\xff\xff\xff", |_| ()).is_err());
        assert!(scan(b"\x32\x02\x00\x09", |_| ()).is_err());
    }

    #[test]
    fn payloads_are_json_of_the_asked_length() {
        for bytes in [32, 128, 1000] {
            let payload = payload(bytes);
            assert_eq!(payload.len(), bytes);
            assert!(serde_json::from_slice::<serde_json::Value>(&payload).is_ok());
        }
    }
}
