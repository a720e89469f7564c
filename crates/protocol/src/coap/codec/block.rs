//! The value of Block1 and Block2 (RFC 7959 §2.2).

use super::{Uint, read_uint};

/// A block's place in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Which block: at most 2^20 - 1.
    pub number: u32,
    /// Whether more follow.
    pub more: bool,
    /// Its size as an exponent: 0 to 6 for 16 to 1,024 bytes; 7 is reserved on datagrams (RFC 7959 §2.2) and means several
    /// blocks of 1,024 bytes on streams (RFC 8323 §6).
    pub exponent: u8,
}

impl Block {
    /// The largest block number.
    pub const NUMBER_MAX: u32 = (1 << 20) - 1;

    /// Reads the option's value. `None`: it has more than three bytes.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let value = read_uint(value).filter(|_| value.len() <= 3)?;
        Some(Self { number: value >> 4, more: value & 8 != 0, exponent: (value & 7) as u8 })
    }

    /// The option's value.
    pub const fn value(self) -> Uint {
        Uint::new(self.number << 4 | (self.more as u32) << 3 | (self.exponent & 7) as u32)
    }

    /// Its size in bytes; with the exponent 7 the unit in which its number counts, 1,024.
    pub const fn size(self) -> usize {
        if self.exponent >= 7 { 1_024 } else { 16 << self.exponent }
    }

    /// Where it begins in the body.
    pub const fn offset(self) -> usize {
        self.number as usize * self.size()
    }
}
