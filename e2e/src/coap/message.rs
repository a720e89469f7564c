//! Messages: RFC 7252 §3.

/// A code, as its class and detail are written: `2.05`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(pub u8);

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:02}", self.0 >> 5, self.0 & 0x1f)
    }
}

/// Codes that tests name.
pub mod code {
    use super::Code;

    const fn of(class: u8, detail: u8) -> Code {
        Code(class << 5 | detail)
    }

    /// No request and no response.
    pub const EMPTY: Code = of(0, 0);
    /// GET.
    pub const GET: Code = of(0, 1);
    /// POST.
    pub const POST: Code = of(0, 2);
    /// PUT.
    pub const PUT: Code = of(0, 3);
    /// DELETE.
    pub const DELETE: Code = of(0, 4);
    /// FETCH (RFC 8132).
    pub const FETCH: Code = of(0, 5);
    /// PATCH (RFC 8132).
    pub const PATCH: Code = of(0, 6);
    /// iPATCH (RFC 8132).
    pub const IPATCH: Code = of(0, 7);
    /// 2.01 Created.
    pub const CREATED: Code = of(2, 1);
    /// 2.02 Deleted.
    pub const DELETED: Code = of(2, 2);
    /// 2.03 Valid.
    pub const VALID: Code = of(2, 3);
    /// 2.04 Changed.
    pub const CHANGED: Code = of(2, 4);
    /// 2.05 Content.
    pub const CONTENT: Code = of(2, 5);
    /// 2.31 Continue (RFC 7959).
    pub const CONTINUE: Code = of(2, 31);
    /// 4.00 Bad Request.
    pub const BAD_REQUEST: Code = of(4, 0);
    /// 4.01 Unauthorized.
    pub const UNAUTHORIZED: Code = of(4, 1);
    /// 4.02 Bad Option.
    pub const BAD_OPTION: Code = of(4, 2);
    /// 4.03 Forbidden.
    pub const FORBIDDEN: Code = of(4, 3);
    /// 4.04 Not Found.
    pub const NOT_FOUND: Code = of(4, 4);
    /// 4.05 Method Not Allowed.
    pub const METHOD_NOT_ALLOWED: Code = of(4, 5);
    /// 4.06 Not Acceptable.
    pub const NOT_ACCEPTABLE: Code = of(4, 6);
    /// 4.08 Request Entity Incomplete (RFC 7959).
    pub const INCOMPLETE: Code = of(4, 8);
    /// 4.12 Precondition Failed.
    pub const PRECONDITION_FAILED: Code = of(4, 12);
    /// 4.13 Request Entity Too Large.
    pub const TOO_LARGE: Code = of(4, 13);
    /// 4.15 Unsupported Content-Format.
    pub const UNSUPPORTED_FORMAT: Code = of(4, 15);
    /// 5.03 Service Unavailable.
    pub const UNAVAILABLE: Code = of(5, 3);
    /// 5.04 Gateway Timeout.
    pub const TIMED_OUT: Code = of(5, 4);
    /// 5.05 Proxying Not Supported.
    pub const NO_PROXY: Code = of(5, 5);
}

/// Numbers of options that tests name.
pub mod option {
    /// If-Match.
    pub const IF_MATCH: u16 = 1;
    /// Uri-Host.
    pub const URI_HOST: u16 = 3;
    /// ETag.
    pub const ETAG: u16 = 4;
    /// If-None-Match.
    pub const IF_NONE_MATCH: u16 = 5;
    /// Observe (RFC 7641).
    pub const OBSERVE: u16 = 6;
    /// Uri-Port.
    pub const URI_PORT: u16 = 7;
    /// Location-Path.
    pub const LOCATION_PATH: u16 = 8;
    /// Uri-Path.
    pub const URI_PATH: u16 = 11;
    /// Content-Format.
    pub const CONTENT_FORMAT: u16 = 12;
    /// Max-Age.
    pub const MAX_AGE: u16 = 14;
    /// Uri-Query.
    pub const URI_QUERY: u16 = 15;
    /// Accept.
    pub const ACCEPT: u16 = 17;
    /// Location-Query.
    pub const LOCATION_QUERY: u16 = 20;
    /// Block2 (RFC 7959).
    pub const BLOCK2: u16 = 23;
    /// Block1 (RFC 7959).
    pub const BLOCK1: u16 = 27;
    /// Size2 (RFC 7959).
    pub const SIZE2: u16 = 28;
    /// Proxy-Uri.
    pub const PROXY_URI: u16 = 35;
    /// Proxy-Scheme.
    pub const PROXY_SCHEME: u16 = 39;
    /// Size1.
    pub const SIZE1: u16 = 60;
    /// Echo (RFC 9175).
    pub const ECHO: u16 = 252;
    /// No-Response (RFC 7967).
    pub const NO_RESPONSE: u16 = 258;
    /// Request-Tag (RFC 9175).
    pub const REQUEST_TAG: u16 = 292;
}

/// The type of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Confirmable.
    Con,
    /// Non-confirmable.
    Non,
    /// Acknowledgement.
    Ack,
    /// Reset.
    Rst,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its type.
    pub kind: Kind,
    /// Its code.
    pub code: Code,
    /// Its message identifier.
    pub id: u16,
    /// Its token.
    pub token: Vec<u8>,
    /// Its options, in any order: they are sorted when it is written.
    pub options: Vec<(u16, Vec<u8>)>,
    /// Its payload.
    pub payload: Vec<u8>,
}

impl Message {
    /// A confirmable request; the client that sends it gives it an identifier and a token.
    pub fn request(code: Code, path: &str) -> Self {
        let mut request = Self {
            kind: Kind::Con,
            code,
            id: 0,
            token: Vec::new(),
            options: Vec::new(),
            payload: Vec::new(),
        };
        let segments = path.split('/').filter(|segment| !segment.is_empty());
        request.options.extend(segments.map(|segment| (option::URI_PATH, segment.as_bytes().to_vec())));
        request
    }

    /// A confirmable GET.
    pub fn get(path: &str) -> Self {
        Self::request(code::GET, path)
    }

    /// A confirmable PUT.
    pub fn put(path: &str, payload: impl Into<Vec<u8>>) -> Self {
        Self { payload: payload.into(), ..Self::request(code::PUT, path) }
    }

    /// A confirmable POST.
    pub fn post(path: &str, payload: impl Into<Vec<u8>>) -> Self {
        Self { payload: payload.into(), ..Self::request(code::POST, path) }
    }

    /// A confirmable DELETE.
    pub fn delete(path: &str) -> Self {
        Self::request(code::DELETE, path)
    }

    /// The message, non-confirmable.
    pub fn non(self) -> Self {
        Self { kind: Kind::Non, ..self }
    }

    /// The message with an option more.
    pub fn with(mut self, number: u16, value: impl Into<Vec<u8>>) -> Self {
        self.options.push((number, value.into()));
        self
    }

    /// The message with an option more whose value is a number, as short as it can be.
    pub fn uint(self, number: u16, value: u32) -> Self {
        let bytes = value.to_be_bytes();
        let skip = bytes.iter().take_while(|byte| **byte == 0).count();
        self.with(number, &bytes[skip..])
    }

    /// The message with Block1 or Block2 (RFC 7959 §2.2): the block's number, whether more follow, its size's exponent.
    pub fn block(self, number: u16, block: u32, more: bool, szx: u32) -> Self {
        self.uint(number, block << 4 | u32::from(more) << 3 | szx)
    }

    /// The message with an `Accept` or a `Content-Format`.
    pub fn format(self, format: u32) -> Self {
        self.uint(option::CONTENT_FORMAT, format)
    }

    /// The first value of an option.
    pub fn option(&self, number: u16) -> Option<&[u8]> {
        self.options.iter().find(|(own, _)| *own == number).map(|(_, value)| &value[..])
    }

    /// All values of an option as texts.
    pub fn texts(&self, number: u16) -> Vec<String> {
        let own = self.options.iter().filter(|(own, _)| *own == number);
        own.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// The first value of an option as a number.
    pub fn number(&self, number: u16) -> Option<u32> {
        let value = self.option(number)?;
        assert!(value.len() <= 4, "option {number} is a number of 4 bytes at most: {value:02x?}");
        Some(value.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
    }

    /// Block1 or Block2: the block's number, whether more follow, its size's exponent.
    pub fn block_of(&self, number: u16) -> Option<(u32, bool, u32)> {
        let value = self.number(number)?;
        Some((value >> 4, value & 8 != 0, value & 7))
    }

    /// The payload as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }

    /// The message in bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0x40 | (self.kind as u8) << 4 | self.token.len() as u8, self.code.0];
        bytes.extend(self.id.to_be_bytes());
        bytes.extend(&self.token);
        bytes.extend(self.tail());
        bytes
    }

    /// Options and payload in bytes.
    pub fn tail(&self) -> Vec<u8> {
        let mut options = self.options.clone();
        // Stable: values of one option keep their order.
        options.sort_by_key(|(number, _)| *number);
        let mut bytes = Vec::new();
        let mut last = 0;
        for (number, value) in options {
            let (delta, delta_more) = nibble(usize::from(number - last));
            let (length, length_more) = nibble(value.len());
            bytes.push(delta << 4 | length);
            bytes.extend(delta_more);
            bytes.extend(length_more);
            bytes.extend(&value);
            last = number;
        }
        if !self.payload.is_empty() {
            bytes.push(0xff);
            bytes.extend(&self.payload);
        }
        bytes
    }

    /// A message from bytes.
    ///
    /// # Panics
    /// If they are none: the server is under test.
    pub fn decode(bytes: &[u8]) -> Self {
        assert!(bytes.len() >= 4 && bytes[0] >> 6 == 1, "the server sent no CoAP message: {bytes:02x?}");
        let kind = [Kind::Con, Kind::Non, Kind::Ack, Kind::Rst][usize::from(bytes[0] >> 4 & 3)];
        let token = usize::from(bytes[0] & 15);
        assert!(token <= 8 && bytes.len() >= 4 + token, "a token of {token} bytes: {bytes:02x?}");
        let id = u16::from_be_bytes([bytes[2], bytes[3]]);
        let (options, payload) = read_tail(&bytes[4 + token..]);
        Self { kind, code: Code(bytes[1]), id, token: bytes[4..4 + token].to_vec(), options, payload }
    }
}

/// Options, each with its number and value.
type Options = Vec<(u16, Vec<u8>)>;

/// Options and payload from bytes.
fn read_tail(mut bytes: &[u8]) -> (Options, Vec<u8>) {
    let mut options = Vec::new();
    let mut number = 0;
    while let [first, rest @ ..] = bytes {
        if *first == 0xff {
            assert!(!rest.is_empty(), "a payload marker is followed by a payload (§3)");
            return (options, rest.to_vec());
        }
        let (delta, rest) = number_of(first >> 4, rest);
        let (length, rest) = number_of(first & 15, rest);
        number += delta;
        let number = u16::try_from(number).expect("an option number has 16 bits");
        assert!(rest.len() >= length, "option {number} has its {length} bytes");
        options.push((number, rest[..length].to_vec()));
        bytes = &rest[length..];
    }
    (options, Vec::new())
}

fn nibble(value: usize) -> (u8, Vec<u8>) {
    match value {
        0..13 => (value as u8, Vec::new()),
        13..269 => (13, vec![(value - 13) as u8]),
        _ => (14, ((value - 269) as u16).to_be_bytes().to_vec()),
    }
}

fn number_of(nibble: u8, rest: &[u8]) -> (usize, &[u8]) {
    match nibble {
        13 => (usize::from(rest[0]) + 13, &rest[1..]),
        14 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])) + 269, &rest[2..]),
        15 => panic!("15 is reserved (§3.1)"),
        _ => (usize::from(nibble), rest),
    }
}
