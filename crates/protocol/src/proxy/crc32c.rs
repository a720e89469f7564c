//! The checksum of version 2 (RFC 4960 appendix B): a header is short, and needs no faster one than this.

const POLYNOMIAL: u32 = 0x82f6_3b78;

/// The sum over the parts, as one.
pub(super) fn of<const PARTS: usize>(parts: [&[u8]; PARTS]) -> u32 {
    !parts.into_iter().flatten().fold(u32::MAX, |sum, byte| {
        (0..8).fold(
            sum ^ u32::from(*byte),
            |sum, _| if sum & 1 == 1 { sum >> 1 ^ POLYNOMIAL } else { sum >> 1 },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn the_check_value_is_right() {
        assert_eq!(of([b"1234", b"56789"]), 0xe306_9283);
    }
}
