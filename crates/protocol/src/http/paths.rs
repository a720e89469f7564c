//! Resources: what a request's path and query name.

use super::wishes::read_duration;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// `/v1/events`: events that bring their address along.
    Events,
    /// `/v1/events/{address}`: one address, or with server-sent events a filter; in percent-encoding.
    Event(&'a str),
    /// `/v1/requests/{address}`: a question to a thing; in percent-encoding.
    Request(&'a str),
    /// `/v1/openapi.json`: the description of all this.
    OpenApi,
    /// `/.well-known/jwks.json`: the keys that identity tokens are signed with (RFC 7517 §5).
    PublicKeys,
}

impl<'a> Resource<'a> {
    /// Every resource, as the description names its path.
    pub const ALL: [(&'static str, Resource<'static>); 5] = [
        ("/v1/events", Resource::Events),
        ("/v1/events/{address}", Resource::Event("")),
        ("/v1/requests/{address}", Resource::Request("")),
        ("/v1/openapi.json", Resource::OpenApi),
        ("/.well-known/jwks.json", Resource::PublicKeys),
    ];

    /// The resource that a path names, if it names one.
    pub fn of(path: &'a str) -> Option<Self> {
        if path == "/.well-known/jwks.json" {
            return Some(Self::PublicKeys);
        }
        let path = path.strip_prefix("/v1/")?;
        match path.split_once('/') {
            Some(("events", "")) | None if matches!(path, "events" | "events/") => Some(Self::Events),
            Some(("events", address)) => Some(Self::Event(address)),
            Some(("requests", address)) if !address.is_empty() => Some(Self::Request(address)),
            None if path == "openapi.json" => Some(Self::OpenApi),
            _ => None,
        }
    }

    /// The methods that it answers, as `Allow` writes them.
    pub const fn methods(self) -> &'static str {
        match self {
            Self::Events | Self::Request(_) => "POST",
            Self::Event(_) => "GET, HEAD, POST, PUT, DELETE",
            Self::OpenApi | Self::PublicKeys => "GET, HEAD",
        }
    }
}

/// Why a path is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// `%2F`: a level cannot contain the character that separates levels.
    EncodedSlash,
    /// A `%` that two hexadecimal digits do not follow.
    BadEscape,
    /// It is not UTF-8.
    NotUtf8,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EncodedSlash => "a level of an address cannot contain '/' (%2F in the path)",
            Self::BadEscape => "'%' must be followed by two hexadecimal digits; write '%' itself as %25",
            Self::NotUtf8 => "it is not UTF-8 in percent-encoding",
        })
    }
}

impl std::error::Error for PathError {}

/// Takes an address or a filter out of its percent-encoding. `+` stands for itself; `#` is written `%23`.
pub fn read_path(encoded: &str) -> Result<Cow<'_, str>, PathError> {
    for (at, _) in encoded.match_indices('%') {
        let digits = encoded.as_bytes().get(at + 1..at + 3).ok_or(PathError::BadEscape)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(PathError::BadEscape);
        }
        if digits.eq_ignore_ascii_case(b"2f") {
            return Err(PathError::EncodedSlash);
        }
    }
    percent_decode_str(encoded).decode_utf8().map_err(|_| PathError::NotUtf8)
}

/// A request's query: `wait=5s&group=g`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    /// The part of a request's target after `?`, if it has one.
    pub fn new(query: Option<&'a str>) -> Self {
        Self(query.unwrap_or_default())
    }

    /// A parameter's value; the first one counts.
    pub fn get(self, name: &str) -> Option<Cow<'a, str>> {
        self.0.split('&').find_map(|pair| {
            let (given, value) = pair.split_once('=').unwrap_or((pair, ""));
            (given == name).then(|| match value.contains('+') {
                // Forms write a blank as `+`.
                true => percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned().into(),
                false => percent_decode_str(value).decode_utf8_lossy(),
            })
        })
    }

    /// A parameter that is a duration, or the reason why it is none.
    pub fn duration(self, name: &str) -> Result<Option<Duration>, String> {
        self.get(name)
            .map(|text| {
                read_duration(&text)
                    .ok_or_else(|| format!("the query's {name} is a duration such as 5s or 500ms"))
            })
            .transpose()
    }

    /// A parameter that is yes (`true`, `1`, or nothing) or no (`false`, `0`), or the reason why it is neither.
    pub fn flag(self, name: &str) -> Result<Option<bool>, String> {
        match self.get(name).as_deref() {
            None => Ok(None),
            Some("" | "true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(_) => Err(format!("the query's {name} is true or false")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_name_resources() {
        assert_eq!(Resource::of("/v1/events"), Some(Resource::Events));
        assert_eq!(Resource::of("/v1/events/"), Some(Resource::Events));
        assert_eq!(Resource::of("/v1/events/a/b"), Some(Resource::Event("a/b")));
        assert_eq!(Resource::of("/v1/events//a"), Some(Resource::Event("/a")), "an empty level is a level");
        assert_eq!(Resource::of("/v1/requests/a"), Some(Resource::Request("a")));
        assert_eq!(Resource::of("/v1/openapi.json"), Some(Resource::OpenApi));
        for unknown in [
            "/",
            "",
            "/v1",
            "/v1/",
            "/v1/requests",
            "/v1/requests/",
            "/v2/events",
            "/v1/eventsx",
            "/v1/openapi",
        ] {
            assert_eq!(Resource::of(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn paths_are_decoded_level_by_level() {
        assert_eq!(read_path("devices/+/telemetry").as_deref(), Ok("devices/+/telemetry"));
        assert_eq!(read_path("a/%23").as_deref(), Ok("a/#"));
        assert_eq!(read_path("caf%C3%A9/x%20y").as_deref(), Ok("caf\u{e9}/x y"));
        assert_eq!(read_path("a%2Fb"), Err(PathError::EncodedSlash));
        assert_eq!(read_path("a%2fb"), Err(PathError::EncodedSlash));
        assert_eq!(read_path("a%2"), Err(PathError::BadEscape));
        assert_eq!(read_path("a%zz"), Err(PathError::BadEscape));
        assert_eq!(read_path("a%ff"), Err(PathError::NotUtf8));
    }

    #[test]
    fn queries_are_read() {
        let query = Query::new(Some("wait=5s&group=my+cars&retained=false&x%20&wait=9s"));
        assert_eq!(query.duration("wait"), Ok(Some(Duration::from_secs(5))));
        assert_eq!(query.get("group").as_deref(), Some("my cars"));
        assert_eq!(query.flag("retained"), Ok(Some(false)));
        assert_eq!(query.flag("absent"), Ok(None));
        assert!(query.duration("group").is_err());
        assert!(query.flag("wait").is_err());
        assert_eq!(Query::new(None).get("wait"), None);
    }

    proptest! {
        #[test]
        fn no_target_breaks_the_reader(path in ".{0,30}", query in ".{0,30}") {
            if let Some(Resource::Event(address) | Resource::Request(address)) = Resource::of(&path) {
                let _ = read_path(address);
            }
            let _ = read_path(&path);
            let query = Query::new(Some(&query));
            let _ = (query.get("a"), query.duration(""), query.flag("a"));
        }
    }
}
