//! Pre-shared keys: the secret that a constrained thing and we both have, each in a file of its own.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use windrose_event::Secret;

/// How many bytes a key has. Shorter ones can be guessed from one recorded handshake (RFC 4279 §7.2).
const KEY_BYTES: std::ops::RangeInclusive<usize> = 8..=64;
/// Keys with fewer bytes work, and are worth a word to the operator.
const STRONG_BYTES: usize = 16;
/// The largest file that is read: a key in hex, and a line's end.
const MAX_FILE_BYTES: u64 = 4 + 2 * 64 + 2;

/// Reads a file that holds a key: its bytes, less one line's end at the end of the file, or `hex:` and the bytes in hex.
///
/// # Errors
/// What is wrong with the file, never what is in it.
pub(crate) fn read_key(path: &Path) -> Result<Secret, String> {
    let mut file = File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    warn_if_open_to_others(path, &file);
    let mut bytes = Vec::new();
    let read = file.by_ref().take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("cannot be read: {error}"))?;
    let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    let key = match text.strip_prefix(b"hex:") {
        Some(digits) => from_hex(digits).ok_or("what follows `hex:` is not hex")?,
        None => text.to_vec(),
    };
    if !KEY_BYTES.contains(&key.len()) {
        return Err(format!("a key has from {} to {} bytes", KEY_BYTES.start(), KEY_BYTES.end()));
    }
    if key.len() < STRONG_BYTES {
        tracing::warn!(file = %path.display(), "a short pre-shared key: one of at least {STRONG_BYTES} random bytes cannot be guessed");
    }
    Ok(Secret::new(key))
}

fn from_hex(digits: &[u8]) -> Option<Vec<u8>> {
    let nibble = |digit: &u8| char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => Some(nibble(high)? << 4 | nibble(low)?),
        _ => None,
    });
    pairs.collect()
}

/// A key that others on this machine can read is no secret.
#[cfg(unix)]
fn warn_if_open_to_others(path: &Path, file: &File) {
    use std::os::unix::fs::PermissionsExt;
    if file.metadata().is_ok_and(|about| about.permissions().mode() & 0o007 != 0) {
        tracing::warn!(file = %path.display(), "everybody on this machine can read this pre-shared key: chmod o= it");
    }
}

#[cfg(not(unix))]
fn warn_if_open_to_others(_path: &Path, _file: &File) {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn key_of(content: &[u8]) -> Result<Vec<u8>, String> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("windrose-psk-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).unwrap();
        let key = read_key(&path).map(|key| key.reveal().to_vec());
        std::fs::remove_file(&path).unwrap();
        key
    }

    #[test]
    fn a_key_is_the_bytes_of_its_file_or_hex() {
        assert_eq!(key_of(b"0123456789abcdef").unwrap(), b"0123456789abcdef");
        assert_eq!(key_of(b"0123456789abcdef\n").unwrap(), b"0123456789abcdef");
        assert_eq!(key_of(b"hex:000102030405060708090A0b0c0d0e0f\n").unwrap(), (0..16).collect::<Vec<u8>>());
        assert_eq!(key_of(b"hex:zz").unwrap_err(), "what follows `hex:` is not hex");
        assert!(key_of(b"hex:001").unwrap_err().contains("not hex"));
    }

    #[test]
    fn a_key_that_is_too_short_or_too_long_is_refused() {
        assert!(key_of(b"1234567\n").unwrap_err().contains("from 8 to 64 bytes"));
        assert!(key_of(&[7; 65]).unwrap_err().contains("from 8 to 64 bytes"));
        assert!(key_of(&[7; 100_000]).unwrap_err().contains("from 8 to 64 bytes"));
    }
}
