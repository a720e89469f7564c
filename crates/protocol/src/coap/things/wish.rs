//! What a thing asks of the directory: to be registered, to stay so, to be forgotten (RFC 9176 §5).

use crate::coap::codec::{Code, option};
use crate::coap::{Request, Response, format};
use percent_encoding::percent_decode_str;
use std::time::Duration;
use windrose_event::Filter;

/// How long a registration lasts that does not say (RFC 9176 §5).
const LIFETIME: Duration = Duration::from_secs(90_000);
/// The longest that one lasts.
const LIFETIME_MAX: Duration = Duration::from_secs(30 * 24 * 3_600);
/// Resources of one thing.
const MOST_RESOURCES: usize = 64;
/// The longest endpoint name (RFC 9176 §5).
const LONGEST_NAME: usize = 63;

/// A wish that the directory understands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Register the sender with the links in the payload (RFC 9176 §5), or with those that it has itself: it is to be
    /// asked for them (RFC 9176 §5.1).
    Register {
        /// What it is to be known as.
        name: String,
        /// For how long.
        lifetime: Duration,
        /// Its resources, as paths without a slash before them; `None`: ask it.
        resources: Option<Vec<String>>,
    },
    /// The registration lasts longer (RFC 9176 §5.3.1).
    Renew {
        /// Which.
        key: u64,
        /// For how long, if not as before.
        lifetime: Option<Duration>,
    },
    /// Forget the registration (RFC 9176 §5.3.2).
    Remove {
        /// Which.
        key: u64,
    },
}

/// Whether a request may be for the directory: it is then looked at by [`wish`].
pub(super) fn is_meant(request: &Request<'_>) -> bool {
    // Most are for somebody else: one look is enough.
    if !matches!(request.options.get(option::URI_PATH), Some(b"rd" | b".well-known")) {
        return false;
    }
    let mut path = request.options.values(option::URI_PATH);
    // Nearly every request ends here: events have other addresses.
    match path.next() {
        Some(b"rd") => match (path.next(), path.next()) {
            (None, _) => request.code == Code::POST && query(request, "ep").is_some(),
            (Some(key), None) => parse_key(key).is_some(),
            _ => false,
        },
        Some(b".well-known") => {
            request.code == Code::POST && path.next() == Some(b"rd") && path.next().is_none()
        }
        _ => false,
    }
}

/// What a request for the directory wishes, or the answer that says what is wrong with it.
pub(super) fn wish(request: &Request<'_>) -> Result<Wish, Response> {
    let bad = |why: &'static str| Response::diagnostic(Code::BAD_REQUEST, why);
    let segments: Vec<&[u8]> = request.options.values(option::URI_PATH).collect();
    let lifetime = match query(request, "lt") {
        None => None,
        Some(text) => {
            let seconds: u32 = text
                .parse()
                .ok()
                .filter(|seconds| *seconds > 0)
                .ok_or_else(|| bad("lt is a number of seconds from 1"))?;
            Some(Duration::from_secs(seconds.into()).min(LIFETIME_MAX))
        }
    };
    if query(request, "base").is_some() {
        // Requests would go to whomever a stranger names.
        return Err(bad("base is not taken: register from the socket that requests are to go to"));
    }
    if let [b"rd", key] = segments[..] {
        let key = parse_key(key).ok_or_else(|| Response::new(Code::NOT_FOUND))?;
        return match request.code {
            Code::POST if request.payload.is_empty() => Ok(Wish::Renew { key, lifetime }),
            Code::POST => Err(bad("links cannot be changed: register anew")),
            Code::DELETE => Ok(Wish::Remove { key }),
            _ => Err(Response::new(Code::METHOD_NOT_ALLOWED)),
        };
    }
    let name = query(request, "ep").ok_or_else(|| bad("ep is missing: the name to be known as"))?;
    let is_level = !name.is_empty() && name.len() <= LONGEST_NAME && is_path(name) && !name.contains('/');
    if !is_level {
        return Err(bad("ep is not a name of 1 to 63 bytes that an address can have as a level"));
    }
    let resources = match request.options.uint(option::CONTENT_FORMAT) {
        _ if segments.len() == 2 => None,
        None | Some(FORMAT) => {
            let text = std::str::from_utf8(request.payload).map_err(|_| bad("the links are not UTF-8"))?;
            let resources =
                resources(text).ok_or_else(|| bad("the payload is no list of links (RFC 6690)"))?;
            if resources.is_empty() {
                return Err(bad("no link leads to a resource of its own"));
            }
            Some(resources)
        }
        Some(_) => return Err(Response::new(Code::UNSUPPORTED_CONTENT_FORMAT)),
    };
    Ok(Wish::Register { name: name.to_owned(), lifetime: lifetime.unwrap_or(LIFETIME), resources })
}

const FORMAT: u32 = format::LINK_FORMAT as u32;

/// The paths that links lead to on the thing itself (RFC 6690 §2); `None`: it is no list of links.
pub(super) fn resources(links: &str) -> Option<Vec<String>> {
    let mut resources = Vec::new();
    let mut rest = links.trim();
    while !rest.is_empty() {
        let (target, after) = rest.strip_prefix('<')?.split_once('>')?;
        rest = after_attributes(after)?;
        let path = target.split('?').next().unwrap_or_default();
        // Links to other hosts, and to what is known of every server, are not this thing's resources.
        let Some(path) = path.strip_prefix('/').filter(|path| !path.starts_with('/')) else { continue };
        let Ok(path) = percent_decode_str(path).decode_utf8() else { continue };
        if path.starts_with(".well-known/") || !is_path(&path) || resources.iter().any(|known| *known == path)
        {
            continue;
        }
        if resources.len() == MOST_RESOURCES {
            return None;
        }
        resources.push(path.into_owned());
    }
    Some(resources)
}

/// What follows a link's attributes and the comma behind them; commas in quotes are theirs.
fn after_attributes(text: &str) -> Option<&str> {
    let mut quoted = false;
    let mut escaped = false;
    for (index, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => return text.get(index + 1..).map(str::trim_start),
            _ => {}
        }
    }
    (!quoted).then_some("")
}

/// Whether an address can end with it.
fn is_path(path: &str) -> bool {
    !path.is_empty() && !path.contains(['+', '#', '\0']) && Filter::new(path).is_ok()
}

/// A parameter of the query.
fn query<'a>(request: &Request<'a>, name: &str) -> Option<&'a str> {
    request
        .options
        .values(option::URI_QUERY)
        .find_map(|query| std::str::from_utf8(query).ok()?.strip_prefix(name)?.strip_prefix('='))
}

/// A registration's key, as its location has it.
fn parse_key(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() == 16)?;
    u64::from_str_radix(text, 16).ok()
}
