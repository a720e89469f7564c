//! Codes: methods, response codes and signals.

use std::fmt;

/// A code (RFC 7252 §3, §12.1): three bits of class, five of detail.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u8);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $class:literal, $detail:literal, $text:literal;)*) => {
        impl Code {
            $($(#[$doc])* pub const $name: Code = Code::new($class, $detail);)*

            /// Its name in its registry, if it is registered and known here.
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// No code: an empty message (RFC 7252 §4.1).
    EMPTY = 0, 0, "Empty";
    /// RFC 7252 §5.8.1.
    GET = 0, 1, "GET";
    /// RFC 7252 §5.8.2.
    POST = 0, 2, "POST";
    /// RFC 7252 §5.8.3.
    PUT = 0, 3, "PUT";
    /// RFC 7252 §5.8.4.
    DELETE = 0, 4, "DELETE";
    /// RFC 8132 §2.
    FETCH = 0, 5, "FETCH";
    /// RFC 8132 §3.
    PATCH = 0, 6, "PATCH";
    /// RFC 8132 §3: PATCH that may be repeated.
    IPATCH = 0, 7, "iPATCH";
    /// RFC 7252 §5.9.1.1.
    CREATED = 2, 1, "Created";
    /// RFC 7252 §5.9.1.2.
    DELETED = 2, 2, "Deleted";
    /// RFC 7252 §5.9.1.3.
    VALID = 2, 3, "Valid";
    /// RFC 7252 §5.9.1.4.
    CHANGED = 2, 4, "Changed";
    /// RFC 7252 §5.9.1.5.
    CONTENT = 2, 5, "Content";
    /// RFC 7959 §2.9.1.
    CONTINUE = 2, 31, "Continue";
    /// RFC 7252 §5.9.2.1.
    BAD_REQUEST = 4, 0, "Bad Request";
    /// RFC 7252 §5.9.2.2.
    UNAUTHORIZED = 4, 1, "Unauthorized";
    /// RFC 7252 §5.9.2.3.
    BAD_OPTION = 4, 2, "Bad Option";
    /// RFC 7252 §5.9.2.4.
    FORBIDDEN = 4, 3, "Forbidden";
    /// RFC 7252 §5.9.2.5.
    NOT_FOUND = 4, 4, "Not Found";
    /// RFC 7252 §5.9.2.6.
    METHOD_NOT_ALLOWED = 4, 5, "Method Not Allowed";
    /// RFC 7252 §5.9.2.7.
    NOT_ACCEPTABLE = 4, 6, "Not Acceptable";
    /// RFC 7959 §2.9.2.
    REQUEST_ENTITY_INCOMPLETE = 4, 8, "Request Entity Incomplete";
    /// RFC 8132 §3.4.
    CONFLICT = 4, 9, "Conflict";
    /// RFC 7252 §5.9.2.8.
    PRECONDITION_FAILED = 4, 12, "Precondition Failed";
    /// RFC 7252 §5.9.2.9.
    REQUEST_ENTITY_TOO_LARGE = 4, 13, "Request Entity Too Large";
    /// RFC 7252 §5.9.2.10.
    UNSUPPORTED_CONTENT_FORMAT = 4, 15, "Unsupported Content-Format";
    /// RFC 8132 §3.4.
    UNPROCESSABLE_ENTITY = 4, 22, "Unprocessable Entity";
    /// RFC 8516 §4.
    TOO_MANY_REQUESTS = 4, 29, "Too Many Requests";
    /// RFC 7252 §5.9.3.1.
    INTERNAL_SERVER_ERROR = 5, 0, "Internal Server Error";
    /// RFC 7252 §5.9.3.2.
    NOT_IMPLEMENTED = 5, 1, "Not Implemented";
    /// RFC 7252 §5.9.3.3.
    BAD_GATEWAY = 5, 2, "Bad Gateway";
    /// RFC 7252 §5.9.3.4.
    SERVICE_UNAVAILABLE = 5, 3, "Service Unavailable";
    /// RFC 7252 §5.9.3.5.
    GATEWAY_TIMEOUT = 5, 4, "Gateway Timeout";
    /// RFC 7252 §5.9.3.6.
    PROXYING_NOT_SUPPORTED = 5, 5, "Proxying Not Supported";
    /// RFC 8768 §6.
    HOP_LIMIT_REACHED = 5, 8, "Hop Limit Reached";
    /// RFC 8323 §5.3.
    CSM = 7, 1, "CSM";
    /// RFC 8323 §5.4.
    PING = 7, 2, "Ping";
    /// RFC 8323 §5.4.
    PONG = 7, 3, "Pong";
    /// RFC 8323 §5.5.
    RELEASE = 7, 4, "Release";
    /// RFC 8323 §5.6.
    ABORT = 7, 5, "Abort";
}

impl Code {
    /// A code by its two numbers, as in `4.04`.
    pub const fn new(class: u8, detail: u8) -> Self {
        Self(class << 5 | detail & 0x1f)
    }

    /// The class: 0 a request, 2 success, 4 the client's error, 5 the server's, 7 a signal (RFC 8323 §5.1).
    pub const fn class(self) -> u8 {
        self.0 >> 5
    }

    /// The detail.
    pub const fn detail(self) -> u8 {
        self.0 & 0x1f
    }

    /// Whether it is a method, known or not (RFC 7252 §12.1.1).
    pub const fn is_request(self) -> bool {
        self.class() == 0 && self.0 != 0
    }

    /// Whether it is a response code, known or not (RFC 7252 §12.1.2).
    pub const fn is_response(self) -> bool {
        matches!(self.class(), 2 | 4 | 5)
    }

    /// Whether it is a signal of a stream (RFC 8323 §5).
    pub const fn is_signal(self) -> bool {
        self.class() == 7
    }

    /// Whether it is of the class of success.
    pub const fn is_success(self) -> bool {
        self.class() == 2
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.class(), self.detail())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        self.name().map_or(Ok(()), |name| write!(f, " {name}"))
    }
}
