//! Records (RFC 6347 §4.1): what a datagram is made of, and which of them were there before.

/// Kinds of records (RFC 5246 §6.2.1, RFC 9146 §4).
pub(super) mod kind {
    pub(in crate::dtls) const CHANGE_CIPHER_SPEC: u8 = 20;
    pub(in crate::dtls) const ALERT: u8 = 21;
    pub(in crate::dtls) const HANDSHAKE: u8 = 22;
    pub(in crate::dtls) const APPLICATION_DATA: u8 = 23;
    pub(in crate::dtls) const WITH_CONNECTION_ID: u8 = 25;
}

/// DTLS 1.2 on the wire.
pub(super) const VERSION: [u8; 2] = [0xfe, 0xfd];
/// DTLS 1.0 on the wire: what the first records say, before a version is agreed on (RFC 6347 §4.2.1).
pub(super) const VERSION_1_0: [u8; 2] = [0xfe, 0xff];
/// The largest sequence number: 48 bits.
pub(super) const MAX_SEQUENCE: u64 = (1 << 48) - 1;
/// Bytes of a record's header.
pub(super) const HEADER: usize = 13;
/// The largest plaintext of a record (RFC 5246 §6.2.1).
pub(super) const MAX_PLAIN: usize = 1 << 14;

/// Where a record stands in its connection: the epoch in the upper 16 bits, the number in the lower 48. It is never used twice
/// with the same keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position(pub(super) u64);

impl Position {
    pub(super) fn new(epoch: u16, number: u64) -> Self {
        Self(u64::from(epoch) << 48 | number & MAX_SEQUENCE)
    }

    pub(super) fn epoch(self) -> u16 {
        u16::try_from(self.0 >> 48).unwrap_or_default()
    }

    pub(super) fn number(self) -> u64 {
        self.0 & MAX_SEQUENCE
    }
}

/// One record of a datagram.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) kind: u8,
    pub(super) position: Position,
    pub(super) payload: &'a mut [u8],
}

/// Takes the first record off a datagram. `None`: what is left is not a record of DTLS 1.x; it is dropped in silence (RFC 6347
/// §4.1.2.7).
pub(super) fn split_record<'a>(datagram: &mut &'a mut [u8]) -> Option<Record<'a>> {
    let bytes = std::mem::take(datagram);
    let (header, rest) = bytes.split_first_chunk_mut::<HEADER>()?;
    let [kind, major, _minor, position @ .., length_high, length_low] = *header;
    let length = usize::from(u16::from_be_bytes([length_high, length_low]));
    if major != 0xfe {
        return None;
    }
    let (payload, rest) = rest.split_at_mut_checked(length)?;
    *datagram = rest;
    Some(Record { kind, position: Position(u64::from_be_bytes(position)), payload })
}

/// Writes a record's header.
pub(super) fn put_header(out: &mut Vec<u8>, kind: u8, version: [u8; 2], position: Position, length: usize) {
    out.push(kind);
    out.extend_from_slice(&version);
    out.extend_from_slice(&position.0.to_be_bytes());
    out.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
}

/// Which of the last 64 records were there (RFC 6347 §4.1.2.6). Asked before a record is decrypted, told after it proved
/// genuine.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    /// The highest number that was seen, plus one.
    next: u64,
    /// A bit for each of the 64 numbers before `next`, the newest lowest.
    seen: u64,
}

impl Window {
    /// Whether a record of this number is news.
    pub(super) fn is_new(&self, number: u64) -> bool {
        match self.next.checked_sub(number + 1) {
            None => true,
            Some(age) => age < 64 && self.seen & (1 << age) == 0,
        }
    }

    /// A genuine record of this number arrived.
    pub(super) fn accept(&mut self, number: u64) {
        match self.next.checked_sub(number + 1) {
            None => {
                let ahead = number + 1 - self.next;
                self.seen =
                    u32::try_from(ahead).ok().and_then(|by| self.seen.checked_shl(by)).unwrap_or(0) | 1;
                self.next = number + 1;
            }
            Some(age) if age < 64 => self.seen |= 1 << age,
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_record_is_news_once_and_an_old_one_never() {
        let mut window = Window::default();
        assert!(window.is_new(0));
        window.accept(0);
        assert!(!window.is_new(0));
        assert!(window.is_new(5));
        window.accept(5);
        assert!(window.is_new(3));
        window.accept(3);
        assert!(!window.is_new(3) && !window.is_new(5) && !window.is_new(0) && window.is_new(4));
        window.accept(68);
        assert!(!window.is_new(5), "it is still remembered");
        assert!(!window.is_new(4), "too old to be known");
        assert!(window.is_new(6));
        window.accept(MAX_SEQUENCE);
        assert!(!window.is_new(68) && !window.is_new(MAX_SEQUENCE) && window.is_new(MAX_SEQUENCE - 1));
    }

    #[test]
    fn a_datagram_is_records_until_one_is_cut_off() {
        let mut bytes = Vec::new();
        put_header(&mut bytes, kind::ALERT, VERSION, Position::new(1, 7), 2);
        bytes.extend([1, 0]);
        put_header(&mut bytes, kind::HANDSHAKE, VERSION, Position::new(0, 8), 9);
        bytes.extend([1, 2, 3]);
        let mut rest = bytes.as_mut_slice();
        let record = split_record(&mut rest).unwrap();
        assert_eq!((record.kind, record.position.epoch(), record.position.number()), (kind::ALERT, 1, 7));
        assert_eq!(record.payload, [1, 0]);
        assert!(split_record(&mut rest).is_none());
        assert!(split_record(&mut rest).is_none());
    }
}
