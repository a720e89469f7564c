//! UTF-8 text, in place if it is short, or in the shared buffer it arrived in.

use bytes::Bytes;
use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::str::Utf8Error;

/// The longest text that is kept in place, in bytes: most addresses are no longer.
const SHORT: usize = 38;

/// UTF-8 text. A short one is kept in place; a longer one shares the buffer it arrived in: cloning it is a reference
/// count, slicing a packet costs no copy.
///
/// A longer `Text` keeps its whole buffer alive. What outlives the event it came with (a session's name, a filter) is kept
/// as an `Arc<str>` instead.
#[derive(Clone)]
pub struct Text(Repr);

/// Always UTF-8.
#[derive(Clone)]
enum Repr {
    Short { length: u8, bytes: [u8; SHORT] },
    Long(Bytes),
}

impl Text {
    /// Text that is part of the program.
    pub const fn from_static(text: &'static str) -> Self {
        Self(Repr::Long(Bytes::from_static(text.as_bytes())))
    }

    /// Checks that `bytes` are UTF-8 and takes them without copying, unless they are few.
    pub fn from_utf8(bytes: Bytes) -> Result<Self, Utf8Error> {
        std::str::from_utf8(&bytes)?;
        Ok(Self::short(&bytes).unwrap_or(Self(Repr::Long(bytes))))
    }

    /// Checks that `bytes` are UTF-8 and copies them.
    pub fn copy_from_utf8(bytes: &[u8]) -> Result<Self, Utf8Error> {
        if !is_plain_ascii(bytes) {
            std::str::from_utf8(bytes)?;
        }
        Ok(Self::short(bytes).unwrap_or_else(|| Self(Repr::Long(Bytes::copy_from_slice(bytes)))))
    }

    fn short(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; SHORT];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        Some(Self(Repr::Short { length: text.len() as u8, bytes }))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // Constructors admit UTF-8 only, so the fallback is never taken; the check keeps this crate free of `unsafe`. What
        // is done for each event looks at the bytes instead.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The text's bytes, without checking them again.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Short { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Repr::Long(bytes) => bytes,
        }
    }

    /// The text in a buffer that can be shared.
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Repr::Short { .. } => Bytes::copy_from_slice(self.as_bytes()),
            Repr::Long(bytes) => bytes,
        }
    }
}

/// Whether text is of the kind that nearly all is: printable ASCII. Made to be looked at many bytes at once.
#[inline]
pub fn is_plain_ascii(text: &[u8]) -> bool {
    text.iter().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'))
}

impl Default for Text {
    fn default() -> Self {
        Self::from_static("")
    }
}

impl Deref for Text {
    type Target = str;
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::short(text.as_bytes()).unwrap_or_else(|| Self(Repr::Long(Bytes::from(text))))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        let bytes = text.as_bytes();
        Self::short(bytes).unwrap_or_else(|| Self(Repr::Long(Bytes::copy_from_slice(bytes))))
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_text_is_the_same_in_place_and_in_its_buffer() {
        for length in [0, 1, SHORT - 1, SHORT, SHORT + 1, 500] {
            let text = "é".repeat(length / 2) + &"x".repeat(length % 2);
            assert_eq!(text.len(), length);
            let all = [
                Text::from(&*text),
                Text::from(text.clone()),
                Text::from_utf8(Bytes::from(text.clone())).unwrap(),
                Text::copy_from_utf8(text.as_bytes()).unwrap(),
            ];
            for one in all {
                assert_eq!(one.as_str(), text);
                assert_eq!(one.clone(), Text::from(&*text));
                assert_eq!(one.into_bytes(), text.as_bytes());
            }
        }
        assert!(Text::from_utf8(Bytes::from_static(b"\xff")).is_err());
        assert!(Text::copy_from_utf8(b"plain, then \xc3").is_err());
        assert!(Text::copy_from_utf8(&[0xe9; 100]).is_err());
    }
}
