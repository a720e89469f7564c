//! One-time codes: `wre_` and 26 characters that a person can read to another.
//!
//! They are 130 bits of chance in Crockford's base 32, so that nobody guesses one, and only their digest is stored.

use std::fmt::Write;
use windrose_event::Secret;

/// What every code begins with, so that one is told from a password, and found where it was left lying about.
const PREFIX: &str = "wre_";

/// Characters after the prefix.
const LENGTH: usize = 26;

/// Crockford's alphabet, in lower case: without i, l, o and u, which are read as others.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A new code. Show it once; [`crate::Lookup::code`] is what the registry keeps of it.
///
/// # Errors
/// The system has no randomness: the sentence says so.
pub fn new_code() -> Result<Secret, String> {
    let mut random = [0; LENGTH];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| "the system has no randomness for a code".to_owned())?;
    let mut code = String::with_capacity(PREFIX.len() + LENGTH);
    code.push_str(PREFIX);
    for byte in random {
        // 256 is a multiple of 32: every character is as likely as another.
        if let Some(character) = ALPHABET.get(usize::from(byte % 32)) {
            let _ = code.write_char(char::from(*character));
        }
    }
    Ok(Secret::new(code.into_bytes()))
}

/// Whether it looks like a one-time code, however it was typed.
pub fn is_code(text: &[u8]) -> bool {
    normal(text).is_some()
}

/// A code as it was made: in lower case, with the digits that look like the letters that somebody typed. `None`: it is none.
pub(crate) fn normal(text: &[u8]) -> Option<Vec<u8>> {
    let (prefix, rest) = text.split_at_checked(PREFIX.len())?;
    if !prefix.eq_ignore_ascii_case(PREFIX.as_bytes()) || rest.len() != LENGTH {
        return None;
    }
    let mut code = PREFIX.as_bytes().to_vec();
    for byte in rest {
        let character = match byte.to_ascii_lowercase() {
            b'o' => b'0',
            b'i' | b'l' => b'1',
            other => other,
        };
        if !ALPHABET.contains(&character) {
            return None;
        }
        code.push(character);
    }
    Some(code)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Lookup;

    #[test]
    fn codes_differ_and_are_known_for_codes() {
        let (one, other) = (new_code().unwrap(), new_code().unwrap());
        assert_ne!(one.reveal(), other.reveal());
        assert_eq!(one.reveal().len(), 30);
        assert!(is_code(one.reveal()));
        for none in
            ["", "wre_", "password", "wre_0123456789abcdefghjkmnpqr", "wre_u123456789abcdefghjkmnpqrs"]
        {
            assert!(!is_code(none.as_bytes()), "{none}");
        }
    }

    #[test]
    fn a_code_that_a_person_typed_is_the_same() {
        let code = Lookup::code(b"wre_0011abcdefghjkmnpqrstvwxyz");
        assert_eq!(code, Lookup::code(b"WRE_oOlIABCDEFGHJKMNPQRSTVWXYZ"));
        assert_ne!(code, Lookup::code(b"wre_0011abcdefghjkmnpqrstvwxy0"));
    }
}
