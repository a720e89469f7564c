//! Messages of a stream (RFC 8323 §3.2), and of a WebSocket, whose frames tell their length (RFC 8323 §4.2).

use crate::Transmit;
use crate::coap::codec::{Code, Malformed, Options, encode_token_length, parse_token};
use bytes::Bytes;

/// How messages are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Each begins with its length: TCP and TLS.
    Length,
    /// Each is a message of a WebSocket.
    WebSocket,
}

/// A message, as it stands in what was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) code: Code,
    pub(super) token: &'a [u8],
    pub(super) options: Options<'a>,
    pub(super) payload: &'a [u8],
}

/// Why bytes are no message; the stream cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameError {
    /// It is larger than is taken here.
    TooLarge,
    /// It breaks the format's rules.
    Malformed(Malformed),
}

/// How long the message is that these bytes begin with, its head included. `None`: too few bytes have come to tell.
///
/// # Errors
/// It will be longer than `most`: it need not be waited for.
pub(super) fn length(bytes: &[u8], most: u32) -> Result<Option<usize>, FrameError> {
    let Some(first) = bytes.first() else { return Ok(None) };
    let (head, length) = match (first >> 4, bytes) {
        (length @ 0..=12, _) => (2, u64::from(length)),
        (13, [_, byte, ..]) => (3, u64::from(*byte) + 13),
        (14, [_, high, low, ..]) => (4, u64::from(u16::from_be_bytes([*high, *low])) + 269),
        (15, [_, a, b, c, d, ..]) => (6, u64::from(u32::from_be_bytes([*a, *b, *c, *d])) + 65_805),
        _ => return Ok(None),
    };
    // The token's length may be extended by two bytes behind the code (RFC 8974 §2.1).
    let (more, token) = match (first & 0xf, bytes.get(head..)) {
        (token @ 0..=12, _) => (0, u64::from(token)),
        (13, Some([byte, ..])) => (1, u64::from(*byte) + 13),
        (14, Some([high, low, ..])) => (2, u64::from(u16::from_be_bytes([*high, *low])) + 269),
        (15, _) => return Err(FrameError::Malformed(Malformed::ReservedTokenLength)),
        _ if length > u64::from(most) => return Err(FrameError::TooLarge),
        _ => return Ok(None),
    };
    let whole = head as u64 + more + token + length;
    if whole > u64::from(most) {
        return Err(FrameError::TooLarge);
    }
    usize::try_from(whole).map(Some).map_err(|_| FrameError::TooLarge)
}

/// Reads a message that has come whole.
///
/// # Errors
/// It breaks the format's rules.
pub(super) fn parse(bytes: &[u8], framing: Framing, token_bytes: u16) -> Result<Frame<'_>, FrameError> {
    let truncated = FrameError::Malformed(Malformed::Truncated);
    let first = *bytes.first().ok_or(truncated)?;
    let extension = match (framing, first >> 4) {
        (Framing::WebSocket, _) | (_, 0..=12) => 0,
        (_, 13) => 1,
        (_, 14) => 2,
        _ => 4,
    };
    let rest = bytes.get(1 + extension..).ok_or(truncated)?;
    let (code, rest) = rest.split_first().ok_or(truncated)?;
    let (token, rest) = parse_token(first & 0xf, rest, token_bytes).map_err(FrameError::Malformed)?;
    let (options, payload) = Options::parse(rest).map_err(FrameError::Malformed)?;
    Ok(Frame { code: Code(*code), token, options, payload })
}

/// Appends a message. Returns how many bytes it has.
pub(super) fn write(
    transmit: &mut Transmit,
    framing: Framing,
    code: Code,
    token: &[u8],
    options: Options<'_>,
    payload: &Bytes,
) -> usize {
    let before = transmit.len();
    let options = options.as_bytes();
    let length = options.len() + payload.len() + usize::from(!payload.is_empty());
    let (token_nibble, token_extension) = encode_token_length(token.len());
    let out = transmit.frame(10 + token.len() + options.len(), payload.len());
    match (framing, length) {
        (Framing::WebSocket, _) => out.push(token_nibble),
        (_, 0..=12) => out.push((length as u8) << 4 | token_nibble),
        (_, 13..=268) => out.extend_from_slice(&[13 << 4 | token_nibble, (length - 13) as u8]),
        (_, 269..=65_804) => {
            let [high, low] = ((length - 269) as u16).to_be_bytes();
            out.extend_from_slice(&[14 << 4 | token_nibble, high, low]);
        }
        _ => {
            // No message is larger than its reader takes, which is a number of 32 bits.
            let [a, b, c, d] = ((length - 65_805) as u32).to_be_bytes();
            out.extend_from_slice(&[15 << 4 | token_nibble, a, b, c, d]);
        }
    }
    out.push(code.0);
    match token_nibble {
        13 => out.extend_from_slice(&token_extension[1..]),
        14 => out.extend_from_slice(&token_extension),
        _ => {}
    }
    out.extend_from_slice(token);
    out.extend_from_slice(options);
    if !payload.is_empty() {
        out.push(0xff);
        transmit.payload(payload);
    }
    transmit.len() - before
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::coap::codec::OptionsBuf;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            code in any::<u8>(),
            token in prop::collection::vec(any::<u8>(), 0..300),
            option in prop::collection::vec(any::<u8>(), 0..400),
            payload in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..300),
                (60_000usize..70_000).prop_map(|length| vec![7; length]),
            ],
            websocket in any::<bool>(),
        ) {
            let framing = if websocket { Framing::WebSocket } else { Framing::Length };
            let options: OptionsBuf = [(11, &option[..])].into_iter().collect();
            let mut transmit = Transmit::default();
            let payload = Bytes::from(payload);
            let written = write(&mut transmit, framing, Code(code), &token, options.as_options(), &payload);
            let bytes: Vec<u8> = transmit.parts().flatten().copied().collect();
            prop_assert_eq!(bytes.len(), written);
            if !websocket {
                prop_assert_eq!(length(&bytes, u32::MAX), Ok(Some(written)));
                prop_assert_eq!(length(&bytes, written as u32 - 1), Err(FrameError::TooLarge));
                for cut in 0..6.min(written) {
                    prop_assert!(matches!(length(&bytes[..cut], u32::MAX), Ok(None | Some(_))));
                }
            }
            let frame = parse(&bytes, framing, 300).unwrap();
            prop_assert_eq!((frame.code, frame.token, frame.payload), (Code(code), &token[..], &payload[..]));
            prop_assert_eq!(frame.options.get(11), Some(&option[..]).filter(|option| option.len() <= 255));
        }

        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..40), websocket in any::<bool>()) {
            let framing = if websocket { Framing::WebSocket } else { Framing::Length };
            let _ = length(&bytes, 100);
            let _ = parse(&bytes, framing, 32);
        }
    }
}
