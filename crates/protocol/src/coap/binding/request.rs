//! A request's options, read once.

use crate::coap::codec::{Block, Code, OptionView, Options, option, read_uint};
use crate::coap::{Request, Response, format};
use bytes::Bytes;
use smallvec::SmallVec;
use std::time::Duration;
use windrose_event::{Address, Assurance, Details, Filter, Publication, Text};

/// Named values that an event may have.
const MAX_HEADERS: usize = 64;

/// What keeps requests of one endpoint apart: the method and the options that a cache looks at (RFC 7252 §5.6), without
/// those of blocks and observation. What is alike is about the same body (RFC 7959 §2.4, RFC 9175 §3.3).
pub(super) type Key = SmallVec<[u8; 64]>;

/// What the options of a request say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    pub(super) format: Option<u16>,
    pub(super) accept: Option<u16>,
    pub(super) observe: Option<u32>,
    pub(super) block1: Option<Block>,
    pub(super) block2: Option<Block>,
    pub(super) size1: Option<u32>,
    /// Whether there is If-Match or If-None-Match.
    pub(super) is_conditional: bool,
    has_query: bool,
    /// The classes of codes that the client does not want to hear of (RFC 7967 §2.1), by bit.
    pub(super) quiet: u8,
}

/// Reads a request's options, and appends its path to `path`: segments joined by `/`, an empty one is one.
///
/// # Errors
/// The response that says what is wrong with them.
pub(super) fn read(request: &Request<'_>, path: &mut Vec<u8>) -> Result<Asked, Response> {
    let mut asked = Asked::default();
    let mut is_first = true;
    for OptionView { number, value } in request.options {
        match number {
            option::URI_PATH => {
                if matches!(value, b"." | b"..") || value.contains(&b'/') {
                    let problem = "a segment of the path is '.' or '..', or has a '/'";
                    return Err(Response::diagnostic(Code::BAD_REQUEST, problem));
                }
                if !std::mem::take(&mut is_first) {
                    path.push(b'/');
                }
                path.extend_from_slice(value);
            }
            option::IF_MATCH | option::IF_NONE_MATCH => asked.is_conditional = true,
            option::CONTENT_FORMAT => asked.format = asked.format.or(short(value)),
            option::ACCEPT => asked.accept = asked.accept.or(short(value)),
            option::OBSERVE if value.len() <= 3 => asked.observe = asked.observe.or(read_uint(value)),
            option::BLOCK1 => asked.block1 = Block::parse(value),
            option::BLOCK2 => asked.block2 = Block::parse(value),
            option::SIZE1 => asked.size1 = asked.size1.or(read_uint(value)),
            option::URI_QUERY => asked.has_query = true,
            option::NO_RESPONSE if value.len() <= 1 => asked.quiet = value.first().copied().unwrap_or(0),
            option::PROXY_URI | option::PROXY_SCHEME => {
                return Err(Response::diagnostic(Code::PROXYING_NOT_SUPPORTED, "this is no forward proxy"));
            }
            _ => {}
        }
    }
    Ok(asked)
}

/// A number of two bytes at most; a longer one counts as an option that is not known (RFC 7252 §5.4.3).
fn short(value: &[u8]) -> Option<u16> {
    read_uint(value).filter(|_| value.len() <= 2).and_then(|number| u16::try_from(number).ok())
}

/// The key of a request.
pub(super) fn key(code: Code, options: Options<'_>) -> Key {
    let mut key = Key::new();
    key.push(code.0);
    for OptionView { number, value } in options {
        let is_part = match number {
            option::OBSERVE | option::ETAG | option::BLOCK1 | option::BLOCK2 => false,
            number => !option::is_no_cache_key(number),
        };
        if is_part {
            key.extend_from_slice(&number.to_be_bytes());
            key.extend_from_slice(&(value.len() as u16).to_be_bytes());
            key.extend_from_slice(value);
        }
    }
    key
}

/// A path as an address.
///
/// # Errors
/// The response that says why it is none.
pub(super) fn address(path: &[u8]) -> Result<Address, Response> {
    if let Some(address) = Address::from_plain_ascii(path) {
        return Ok(address);
    }
    Address::from_bytes(Bytes::copy_from_slice(path))
        .map_err(|error| Response::diagnostic(Code::BAD_REQUEST, format!("the path is no address: {error}")))
}

/// A path as a filter.
///
/// # Errors
/// The response that says why it is none.
pub(super) fn filter(path: &[u8]) -> Result<Filter, Response> {
    let text = std::str::from_utf8(path)
        .map_err(|_| Response::diagnostic(Code::BAD_REQUEST, "the path is no filter: it is not UTF-8"))?;
    Filter::new(text)
        .map_err(|error| Response::diagnostic(Code::BAD_REQUEST, format!("the path is no filter: {error}")))
}

/// What a request publishes, and how long it waits for an answer if it asks for one.
///
/// # Errors
/// The response that says what is wrong with its query.
pub(super) fn publication(
    request: &Request<'_>,
    asked: &Asked,
    address: Address,
    payload: Bytes,
) -> Result<(Publication, Option<Duration>), Response> {
    let assurance = if request.confirmable { Assurance::AtLeastOnce } else { Assurance::AtMostOnce };
    let mut publication =
        Publication { address, payload, assurance, retain: false, expiry: None, details: None };
    let mut wait = None;
    if let Some(format) = asked.format {
        let is_text = format == format::TEXT && std::str::from_utf8(&publication.payload).is_ok();
        publication.details = Some(Box::new(Details {
            content_type: Some(format::media_type(format)),
            is_text: is_text.then_some(true),
            ..Details::default()
        }));
    }
    if asked.has_query {
        for query in request.options.values(option::URI_QUERY) {
            read_query(query, &mut publication, &mut wait)?;
        }
    }
    Ok((publication, wait))
}

/// Reads one Uri-Query: a wish of ours, or a named value of the event.
fn read_query(
    query: &[u8],
    publication: &mut Publication,
    wait: &mut Option<Duration>,
) -> Result<(), Response> {
    let bad = |problem: &str| Response::diagnostic(Code::BAD_REQUEST, problem.to_owned());
    let query = std::str::from_utf8(query).map_err(|_| bad("a query is not UTF-8"))?;
    let (name, value) = query.split_once('=').unwrap_or((query, ""));
    let duration = || read_duration(value).ok_or_else(|| bad("a duration is written like 5s, 500ms or 2m"));
    match name {
        "wait" => *wait = Some(duration()?),
        "windrose-expiry" => publication.expiry = Some(duration()?),
        "windrose-reply-to" => {
            let address = Address::new(value)
                .map_err(|error| bad(&format!("windrose-reply-to is no address: {error}")))?;
            publication.details.get_or_insert_default().reply_to = Some(address);
        }
        "windrose-correlation" => {
            let correlation = from_hex(value).ok_or_else(|| bad("windrose-correlation is in hexadecimal"))?;
            publication.details.get_or_insert_default().correlation = Some(correlation);
        }
        _ => {
            let headers = &mut publication.details.get_or_insert_default().headers;
            if headers.len() == MAX_HEADERS {
                return Err(bad("an event may have 64 named values, not more"));
            }
            headers.push((Text::from(name), Text::from(value)));
        }
    }
    Ok(())
}

/// Bytes as the text that queries have.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0xf])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

fn from_hex(text: &str) -> Option<Bytes> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let bytes: Option<Vec<u8>> =
        pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    rest.is_empty().then_some(())?;
    bytes.map(Bytes::from)
}

/// Reads `500ms`, `5s`, `2m`, `1h`; never zero.
fn read_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let unit = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let millis = number.parse::<u64>().ok()?.checked_mul(unit)?;
    (millis > 0).then(|| Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, expected) in [
            ("500ms", Some(500)),
            ("5s", Some(5_000)),
            ("5", Some(5_000)),
            ("2m", Some(120_000)),
            ("1d", Some(86_400_000)),
            ("0s", None),
            ("s", None),
            ("", None),
            ("5 s", None),
            ("-1s", None),
            ("99999999999999999999s", None),
            ("9999999999999999999d", None),
        ] {
            assert_eq!(read_duration(text), expected.map(Duration::from_millis), "{text}");
        }
    }
}
