//! Secrets that are made here, so that nobody thinks up a weak one.

use std::fmt::Write;
use windrose_event::Secret;

/// Bytes of chance in a secret: as many as AES-256 takes.
const LENGTH: usize = 32;

/// A new secret as 64 hex digits, for a password or an API key; its bytes make a pre-shared key. Show it once.
///
/// # Errors
/// The system has no randomness: the sentence says so.
pub fn new_secret() -> Result<Secret, String> {
    let mut random = [0; LENGTH];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| "the system has no randomness for a secret".to_owned())?;
    let text = random.iter().fold(String::with_capacity(2 * LENGTH), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    Ok(Secret::new(text.into_bytes()))
}
