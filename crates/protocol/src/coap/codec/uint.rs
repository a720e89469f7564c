//! Numbers in options: as few bytes as there are, none for zero (RFC 7252 §3.2).

/// A number as an option's value.
#[derive(Clone, Copy, Debug)]
pub struct Uint {
    bytes: [u8; 4],
    skip: u8,
}

impl Uint {
    /// Writes the number.
    pub const fn new(value: u32) -> Self {
        Self { bytes: value.to_be_bytes(), skip: (value.leading_zeros() / 8) as u8 }
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(usize::from(self.skip)..).unwrap_or_default()
    }
}

/// Reads a number; leading zeros are allowed. `None`: it has more than four bytes.
pub fn read_uint(bytes: &[u8]) -> Option<u32> {
    (bytes.len() <= 4).then(|| bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
}
