//! Passwords as argon2id hashes (RFC 9106), written as PHC strings: `$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Argon2, Params};
use std::fmt;

/// The most that a hash in the file may cost to verify: 1 GiB, 32 passes, 32 lanes.
const MAX_COST: (u32, u32, u32) = (1 << 20, 32, 32);

/// Why a password could not be hashed, or why a text is no hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordError(String);

impl fmt::Display for PasswordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PasswordError {}

impl PasswordError {
    pub(crate) fn of(text: String) -> Self {
        Self(text)
    }
}

/// Hashes a password for `password_hash` in the file of devices. Takes about 20 ms and 19 MiB.
pub fn hash_password(password: &[u8]) -> Result<String, PasswordError> {
    if password.is_empty() {
        return Err(PasswordError("the password is empty".to_owned()));
    }
    let hash = Argon2::default().hash_password(password);
    hash.map(|hash: PasswordHash| hash.to_string())
        .map_err(|error| PasswordError(format!("the password could not be hashed: {error}")))
}

/// Checks that a text is a hash that can be verified at a bearable cost.
///
/// # Errors
/// What is wrong with it.
pub fn check_password_hash(text: &str) -> Result<(), PasswordError> {
    let no_hash = |why: String| PasswordError(format!("this is not a hash of a password: {why}"));
    let hash = PasswordHash::new(text).map_err(|error| no_hash(error.to_string()))?;
    if hash.algorithm.as_str() != "argon2id" {
        return Err(no_hash(format!("it is of `{}` instead of `argon2id`", hash.algorithm.as_str())));
    }
    if hash.version.is_some_and(|version| version != 19) {
        return Err(no_hash("its version is not 19".to_owned()));
    }
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err(no_hash("its salt or its hash is missing".to_owned()));
    }
    let cost = Params::try_from(&hash).map_err(|error| no_hash(error.to_string()))?;
    let (memory, passes, lanes) = MAX_COST;
    if cost.m_cost() > memory || cost.t_cost() > passes || cost.p_cost() > lanes {
        let most = format!("m={memory},t={passes},p={lanes}");
        return Err(PasswordError(format!("verifying this hash would cost too much: the most is {most}")));
    }
    Ok(())
}

/// Whether the password is the one that was hashed. Costs what the hash says; run it off the shards' threads.
pub(crate) fn verify(password: &[u8], hash: &str) -> bool {
    // The parameters are the hash's own, whatever the default is.
    PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use argon2::{Algorithm, Version};

    /// A hash that costs next to nothing.
    pub(crate) fn cheap(password: &str) -> String {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
        let hash: PasswordHash = argon2.hash_password(password.as_bytes()).unwrap();
        hash.to_string()
    }

    #[test]
    fn a_password_fits_its_hash_and_no_other() {
        let hash = hash_password(b"correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_eq!(check_password_hash(&hash), Ok(()));
        assert!(verify(b"correct horse", &hash));
        assert!(!verify(b"correct horsf", &hash));
        assert_ne!(hash_password(b"correct horse").unwrap(), hash, "each has its own salt");
        assert!(hash_password(b"").is_err());
    }

    #[test]
    fn what_is_no_hash_is_told() {
        let why = |text: &str| check_password_hash(text).unwrap_err().to_string();
        assert!(why("secret").starts_with("this is not a hash of a password"));
        assert!(why("$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA").contains("`argon2i`"));
        assert!(why("$argon2id$v=19$m=8,t=1,p=1").contains("missing"));
        assert!(why(&cheap("x").replace("m=8", "m=4000000")).contains("would cost too much"));
        assert!(why(&cheap("x").replace("m=8,", "m=1,")).starts_with("this is not a hash"));
    }
}
