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

    /// Copies `bytes`, if they are printable ASCII.
    #[inline]
    pub fn from_plain_ascii(bytes: &[u8]) -> Option<Self> {
        is_plain_ascii(bytes).then(|| Self::copy(bytes))
    }

    /// Checks that `bytes` are UTF-8 and copies them.
    pub fn copy_from_utf8(bytes: &[u8]) -> Result<Self, Utf8Error> {
        std::str::from_utf8(bytes)?;
        Ok(Self::copy(bytes))
    }

    #[inline]
    fn copy(bytes: &[u8]) -> Self {
        Self::short(bytes).unwrap_or_else(|| Self(Repr::Long(Bytes::copy_from_slice(bytes))))
    }

    #[inline]
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

    /// Its length in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether it has no characters.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// The text in a buffer that can be shared.
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Repr::Short { .. } => Bytes::copy_from_slice(self.as_bytes()),
            Repr::Long(bytes) => bytes,
        }
    }
}

/// Whether text is of the kind that nearly all is: printable ASCII.
#[inline]
fn is_plain_ascii(text: &[u8]) -> bool {
    words(text, b' ', |word| {
        // Neither the bytes nor their successors reach 128, and none is under 32: each byte for itself, for none of the three
        // carries into its neighbour as long as no byte has its highest bit.
        (word | word.wrapping_add(ONES) | !((word | HIGHS).wrapping_sub(0x20 * ONES))) & HIGHS == 0
    })
}

/// Whether none of the bytes is one of these.
#[inline]
pub(crate) fn has_none_of<const N: usize>(text: &[u8], bytes: [u8; N]) -> bool {
    words(text, b' ', |word| {
        bytes.iter().all(|byte| {
            let zero_if_equal = word ^ (u64::from(*byte) * ONES);
            zero_if_equal.wrapping_sub(ONES) & !zero_if_equal & HIGHS == 0
        })
    })
}

const ONES: u64 = u64::MAX / 255;
const HIGHS: u64 = 0x80 * ONES;

/// Whether all of a text's bytes pass a test of eight at once. Eight are looked at in the place of each one, some twice; of
/// fewer than eight, `fill` makes up the rest.
#[inline]
fn words(text: &[u8], fill: u8, test: impl Fn(u64) -> bool) -> bool {
    let (whole, rest) = text.as_chunks::<8>();
    if !whole.iter().all(|word| test(u64::from_le_bytes(*word))) {
        return false;
    }
    if rest.is_empty() {
        return true;
    }
    let mut last = [fill; 8];
    match text.last_chunk::<8>() {
        Some(overlapping) => last = *overlapping,
        None => last.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte),
    }
    test(u64::from_le_bytes(last))
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
        Self::copy(text.as_bytes())
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
    }

    #[test]
    fn bytes_are_told_apart_wherever_they_lie() {
        for length in 0..40 {
            let plain: Vec<u8> = (0..length).map(|index| b'!' + index).collect();
            let without: Vec<u8> =
                plain.iter().map(|byte| if b"+#".contains(byte) { b'~' } else { *byte }).collect();
            assert!(is_plain_ascii(&plain) && has_none_of(&without, [b'+', b'#', 0]), "{length}");
            assert_eq!(Text::from_plain_ascii(&plain).map(Text::into_bytes), Some(plain.clone().into()));
            for index in 0..plain.len() {
                for byte in 0..=u8::MAX {
                    let mut one = without.clone();
                    one[index] = byte;
                    assert_eq!(
                        is_plain_ascii(&one),
                        matches!(byte, b' '..=b'~'),
                        "{byte} at {index} of {length}"
                    );
                    let is_none = !matches!(byte, b'+' | b'#' | 0);
                    assert_eq!(has_none_of(&one, [b'+', b'#', 0]), is_none, "{byte} at {index} of {length}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_text_is_refused() {
        assert!(Text::from_utf8(Bytes::from_static(b"\xff")).is_err());
        assert!(Text::copy_from_utf8(b"plain, then \xc3").is_err());
        assert!(Text::copy_from_utf8(&[0xe9; 100]).is_err());
    }
}
