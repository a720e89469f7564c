//! What is kept of a password.

use super::METHOD;
use crate::identities::passwords::PasswordError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use windrose_event::Secret;

/// Iterations of the keys that are made here (RFC 7677 §4 asks for 4,096 at least; OWASP for more).
pub(crate) const ITERATIONS: u32 = 100_000;
/// The fewest, and the most, that keys in the file may have: clients compute as many.
const FEWEST: u32 = 4_096;
const MOST: u32 = 10_000_000;

/// A SHA-256.
pub(crate) type Hash = [u8; 32];

/// What the node needs to know of a password, and no more (RFC 5802 §3).
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) iterations: u32,
    pub(crate) salt: Box<[u8]>,
    pub(crate) stored: Hash,
    pub(crate) server: Hash,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl Keys {
    /// Reads them as they are written in the file of devices.
    pub(crate) fn read(text: &str) -> Result<Self, PasswordError> {
        let wrong = |why: &str| PasswordError::of(format!("these are no keys of {METHOD}: {why}"));
        let rest = text.strip_prefix(METHOD).and_then(|rest| rest.strip_prefix('$'));
        let rest = rest.ok_or_else(|| wrong("they do not begin `SCRAM-SHA-256$`"))?;
        let parts = rest.split_once('$').and_then(|(salted, keys)| {
            let (iterations, salt) = salted.split_once(':')?;
            Some((iterations, salt, keys.split_once(':')?))
        });
        let (iterations, salt, (stored, server)) =
            parts.ok_or_else(|| wrong("they are not ITERATIONS:SALT$STORED_KEY:SERVER_KEY"))?;
        let iterations: u32 = iterations.parse().map_err(|_| wrong("the iterations are no number"))?;
        if !(FEWEST..=MOST).contains(&iterations) {
            return Err(wrong(&format!("the iterations are from {FEWEST} to {MOST}")));
        }
        let salt = STANDARD.decode(salt).map_err(|_| wrong("the salt is not in base64"))?;
        if !(8..=128).contains(&salt.len()) {
            return Err(wrong("the salt has from 8 to 128 bytes"));
        }
        let hash = |text: &str| STANDARD.decode(text).ok().and_then(|bytes| Hash::try_from(bytes).ok());
        let (stored, server) =
            hash(stored).zip(hash(server)).ok_or_else(|| wrong("a key is not 32 bytes in base64"))?;
        Ok(Self { iterations, salt: salt.into(), stored, server })
    }

    /// Those of a password (RFC 5802 §3).
    pub(crate) fn of(password: &[u8], salt: &[u8], iterations: u32) -> Self {
        let salted = salted(password, salt, iterations);
        let stored = Sha256::digest(hmac(&salted, &[b"Client Key"])).into();
        Self { iterations, salt: salt.into(), stored, server: hmac(&salted, &[b"Server Key"]) }
    }

    /// Those that the registry keeps; `None`: what it keeps are none.
    pub(crate) fn of_secret(secret: &Secret) -> Option<Self> {
        std::str::from_utf8(secret.reveal()).ok().and_then(|text| Self::read(text).ok())
    }

    fn written(&self) -> String {
        let [salt, stored, server] =
            [&self.salt[..], &self.stored, &self.server].map(|bytes| STANDARD.encode(bytes));
        format!("{METHOD}${}:{salt}${stored}:{server}", self.iterations)
    }
}

/// Makes the keys of a password, for `scram_sha_256` in the file of devices.
///
/// # Errors
/// The password is empty, or not of the letters, digits and signs of ASCII: clients would prepare others each in its own way
/// (RFC 4013). The system has no randomness.
pub fn scram_keys(password: &[u8]) -> Result<String, PasswordError> {
    if password.is_empty() || !password.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        let text = "the password is empty, or not of the printable characters of ASCII only";
        return Err(PasswordError::of(text.to_owned()));
    }
    let salt = argon2::password_hash::try_generate_salt()
        .map_err(|error| PasswordError::of(format!("the system has no randomness: {error}")))?;
    Ok(Keys::of(password, &salt, ITERATIONS).written())
}

/// Checks that a text is keys of SCRAM-SHA-256, as [`scram_keys`] makes them.
///
/// # Errors
/// What is wrong with it.
pub fn check_scram_keys(text: &str) -> Result<(), PasswordError> {
    Keys::read(text).map(|_| ())
}

/// What SCRAM calls Hi: PBKDF2 (RFC 8018 §5.2) with HMAC-SHA-256.
pub(super) fn salted(password: &[u8], salt: &[u8], iterations: u32) -> Hash {
    pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password, salt, iterations)
}

/// HMAC (RFC 2104) with SHA-256, of parts one after the other.
pub(crate) fn hmac(key: &[u8], parts: &[&[u8]]) -> Hash {
    use hmac::digest::{KeyInit, Mac};
    // Keys of any length are taken.
    let Ok(mut mac) = hmac::Hmac::<Sha256>::new_from_slice(key) else { return Hash::default() };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn hmac_is_as_in_rfc_4231() {
        let hex = |hash: Hash| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(
            hex(hmac(b"Jefe", &[b"what do ya want ", b"for nothing?"])),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(hmac(&[0xaa; 131], &[b"Test Using Larger Than Block-Size Key - Hash Key First"])),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn keys_are_written_and_read() {
        let keys = Keys::of(b"pencil", b"0123456789abcdef", 4_096);
        assert_eq!(Keys::read(&keys.written()).unwrap(), keys);
        assert!(Keys::read(&scram_keys(b"a secret").unwrap()).is_ok());
        assert!(scram_keys(b"").is_err() && scram_keys("geheim\u{e4}".as_bytes()).is_err());
        for wrong in [
            "",
            "SCRAM-SHA-256$",
            "SCRAM-SHA-256$1:MDEyMzQ1Njc=$a:b",
            "SCRAM-SHA-256$4096:MDEyMzQ1Njc=$a:b",
            "SCRAM-SHA-256$4096:!$a:b",
            "SCRAM-SHA-1$4096:MDEyMzQ1Njc=$a:b",
        ] {
            assert!(Keys::read(wrong).is_err(), "{wrong}");
        }
    }
}
