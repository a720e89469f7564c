//! Option numbers, and what a number alone tells (RFC 7252 §5.4, §5.10).

macro_rules! options {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $repeatable:literal, $min:literal..=$max:literal;)*) => {
        $($(#[$doc])* pub const $name: u16 = $number;)*

        /// What the option's definition says of its form; `None`: the number is not known here.
        pub const fn form(number: u16) -> Option<Form> {
            match number {
                $($number => Some(Form { repeatable: $repeatable, min: $min, max: $max }),)*
                _ => None,
            }
        }
    };
}

/// What an option's definition says of its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Form {
    /// Whether it may occur more than once (RFC 7252 §5.4.5).
    pub repeatable: bool,
    /// Its least length (RFC 7252 §5.4.3).
    pub min: u16,
    /// Its greatest length (RFC 7252 §5.4.3).
    pub max: u16,
}

options! {
    /// RFC 7252 §5.10.8.1.
    IF_MATCH = 1, true, 0..=8;
    /// RFC 7252 §5.10.1.
    URI_HOST = 3, false, 1..=255;
    /// RFC 7252 §5.10.6.
    ETAG = 4, true, 1..=8;
    /// RFC 7252 §5.10.8.2.
    IF_NONE_MATCH = 5, false, 0..=0;
    /// RFC 7641 §2.
    OBSERVE = 6, false, 0..=3;
    /// RFC 7252 §5.10.1.
    URI_PORT = 7, false, 0..=2;
    /// RFC 7252 §5.10.7.
    LOCATION_PATH = 8, true, 0..=255;
    /// RFC 7252 §5.10.1.
    URI_PATH = 11, true, 0..=255;
    /// RFC 7252 §5.10.3.
    CONTENT_FORMAT = 12, false, 0..=2;
    /// RFC 7252 §5.10.5.
    MAX_AGE = 14, false, 0..=4;
    /// RFC 7252 §5.10.1.
    URI_QUERY = 15, true, 0..=255;
    /// RFC 8768 §3.
    HOP_LIMIT = 16, false, 1..=1;
    /// RFC 7252 §5.10.4.
    ACCEPT = 17, false, 0..=2;
    /// RFC 7252 §5.10.7.
    LOCATION_QUERY = 20, true, 0..=255;
    /// RFC 7959 §2.1.
    BLOCK2 = 23, false, 0..=3;
    /// RFC 7959 §2.1.
    BLOCK1 = 27, false, 0..=3;
    /// RFC 7959 §4.
    SIZE2 = 28, false, 0..=4;
    /// RFC 7252 §5.10.2.
    PROXY_URI = 35, false, 1..=1034;
    /// RFC 7252 §5.10.2.
    PROXY_SCHEME = 39, false, 1..=255;
    /// RFC 7252 §5.10.9, RFC 7959 §4.
    SIZE1 = 60, false, 0..=4;
    /// RFC 9175 §2.2.1.
    ECHO = 252, false, 1..=40;
    /// RFC 7967 §2.
    NO_RESPONSE = 258, false, 0..=1;
    /// RFC 9175 §3.2.1.
    REQUEST_TAG = 292, true, 0..=8;
}

/// Object security (RFC 8613 §2): critical, and not known here.
pub const OSCORE: u16 = 9;

/// Whether a message with an option of this number that is not understood must be refused (RFC 7252 §5.4.1, §5.4.6).
pub const fn is_critical(number: u16) -> bool {
    number & 1 != 0
}

/// Whether a proxy that does not understand the option must not forward it (RFC 7252 §5.4.2, §5.4.6).
pub const fn is_unsafe(number: u16) -> bool {
    number & 2 != 0
}

/// Whether the option is no part of a cache's key (RFC 7252 §5.4.2, §5.4.6).
pub const fn is_no_cache_key(number: u16) -> bool {
    number & 0x1e == 0x1c
}
