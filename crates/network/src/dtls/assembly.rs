//! Putting handshake messages together from fragments that come in any order, twice, or overlapping (RFC 6347 §4.2.3).

use super::message::Fragment;

/// How many messages ahead of the one that is due are kept: a client's flight has no more.
const AHEAD: usize = 4;
/// How many fragments one message may have that do not follow each other.
const MAX_PIECES: usize = 32;

/// A message of which parts are there.
#[derive(Debug)]
struct Partial {
    kind: u8,
    length: usize,
    /// What is there, in order, without overlaps: offsets and bytes.
    pieces: Vec<(usize, Vec<u8>)>,
}

/// The messages of a peer that are due.
#[derive(Debug)]
pub(super) struct Assembly {
    due: u16,
    /// The largest message that is put together.
    most: usize,
    messages: [Option<Partial>; AHEAD],
}

impl Assembly {
    /// For messages from number `due` on, of up to so many bytes.
    pub(super) fn new(due: u16, most: usize) -> Self {
        Self { due, most, messages: Default::default() }
    }

    /// From now on larger ones are expected.
    pub(super) fn allow(&mut self, most: usize) {
        self.most = most;
    }

    /// Whether a fragment is of the message that is due, and that is larger than any may be.
    pub(super) fn is_too_large(&self, fragment: &Fragment<'_>) -> bool {
        fragment.sequence == self.due && fragment.length > self.most
    }

    /// Takes a fragment. What cannot belong to what is there is dropped; a repeated message is told by `true`, so that the
    /// flight that answered it can be repeated too.
    pub(super) fn push(&mut self, fragment: &Fragment<'_>) -> bool {
        let Some(ahead) = fragment.sequence.checked_sub(self.due) else { return true };
        let Some(slot) = self.messages.get_mut(usize::from(ahead)) else { return false };
        if fragment.length > self.most {
            return false;
        }
        let partial = slot.get_or_insert_with(|| Partial {
            kind: fragment.kind,
            length: fragment.length,
            pieces: Vec::new(),
        });
        if partial.kind == fragment.kind && partial.length == fragment.length {
            partial.push(fragment.offset, fragment.bytes);
        }
        false
    }

    /// The message that is due, if all of it is there: its type, number and body.
    pub(super) fn pop(&mut self) -> Option<(u8, u16, Vec<u8>)> {
        let first = self.messages.first_mut()?;
        if !first.as_ref()?.is_complete() {
            return None;
        }
        let partial = first.take()?;
        let sequence = self.due;
        self.due = self.due.checked_add(1)?;
        self.messages.rotate_left(1);
        let body = partial.pieces.into_iter().next().map(|(_, bytes)| bytes).unwrap_or_default();
        Some((partial.kind, sequence, body))
    }
}

impl Partial {
    /// Whether all of it is there: one piece then, since neighbours are joined.
    fn is_complete(&self) -> bool {
        match self.pieces.first() {
            None => self.length == 0,
            Some((offset, bytes)) => *offset == 0 && bytes.len() == self.length,
        }
    }

    /// Adds what is new in `bytes`; what is there already stays as it is.
    fn push(&mut self, mut offset: usize, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            // The first piece that ends behind where these bytes begin.
            let at = self.pieces.iter().position(|(start, piece)| start + piece.len() > offset);
            let next =
                at.and_then(|at| self.pieces.get(at)).map(|(start, piece)| (*start, start + piece.len()));
            let fresh = match next {
                Some((start, end)) if start <= offset => {
                    bytes = bytes.get(end - offset..).unwrap_or_default();
                    offset = end;
                    continue;
                }
                Some((start, _)) => bytes.len().min(start - offset),
                None => bytes.len(),
            };
            let Some((new, rest)) = bytes.split_at_checked(fresh) else { return };
            if !self.insert(at.unwrap_or(self.pieces.len()), offset, new) {
                return;
            }
            bytes = rest;
            offset += fresh;
        }
    }

    /// Puts a piece before the one at `at`, joined to its neighbours; `false` if there are too many.
    fn insert(&mut self, at: usize, offset: usize, new: &[u8]) -> bool {
        let joins_before = at.checked_sub(1).filter(|before| {
            self.pieces.get(*before).is_some_and(|(start, piece)| start + piece.len() == offset)
        });
        if let Some((_, piece)) = joins_before.and_then(|before| self.pieces.get_mut(before)) {
            piece.extend_from_slice(new);
        } else if self.pieces.len() < MAX_PIECES {
            self.pieces.insert(at, (offset, new.to_vec()));
        } else {
            return false;
        }
        let this = joins_before.unwrap_or(at);
        let end = offset + new.len();
        if self.pieces.get(this + 1).is_some_and(|(start, _)| *start == end) {
            let (_, after) = self.pieces.remove(this + 1);
            if let Some((_, piece)) = self.pieces.get_mut(this) {
                piece.extend_from_slice(&after);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::message::MAX_MESSAGE;
    use super::*;

    fn fragment(sequence: u16, length: usize, offset: usize, bytes: &[u8]) -> Fragment<'_> {
        Fragment { kind: 16, length, sequence, offset, bytes }
    }

    #[test]
    fn fragments_in_any_order_twice_and_overlapping_make_their_message() {
        let body: Vec<u8> = (0..100).collect();
        let mut cuts = [(60, 100), (10, 30), (0, 20), (25, 70), (10, 30)];
        for _ in 0..cuts.len() {
            cuts.rotate_left(1);
            let mut assembly = Assembly::new(2, MAX_MESSAGE);
            for (index, (from, to)) in cuts.iter().enumerate() {
                assert!(!assembly.push(&fragment(2, 100, *from, body.get(*from..*to).unwrap())));
                if index < 3 {
                    assert!(assembly.pop().is_none());
                }
            }
            assert_eq!(assembly.pop(), Some((16, 2, body.clone())));
            assert!(assembly.push(&fragment(2, 100, 0, &body)), "a repetition is told");
            assert!(assembly.pop().is_none());
        }
    }

    #[test]
    fn messages_come_out_in_their_order() {
        let mut assembly = Assembly::new(0, MAX_MESSAGE);
        assembly.push(&fragment(1, 2, 0, b"cd"));
        assert!(assembly.pop().is_none());
        assembly.push(&fragment(0, 2, 0, b"ab"));
        assembly.push(&fragment(2, 0, 0, b""));
        assert_eq!(assembly.pop(), Some((16, 0, b"ab".to_vec())));
        assert_eq!(assembly.pop(), Some((16, 1, b"cd".to_vec())));
        assert_eq!(assembly.pop(), Some((16, 2, Vec::new())));
        assert_eq!(assembly.pop(), None);
    }

    #[test]
    fn what_a_peer_claims_takes_no_memory() {
        let mut assembly = Assembly::new(0, MAX_MESSAGE);
        assembly.push(&fragment(0, MAX_MESSAGE + 1, 0, b"a"));
        assembly.push(&fragment(4, 1, 0, b"a"));
        assert!(assembly.messages.iter().all(Option::is_none));
        for offset in 0..MAX_MESSAGE / 2 {
            assembly.push(&fragment(0, MAX_MESSAGE, offset * 2, b"a"));
            assembly.push(&fragment(1, MAX_MESSAGE, offset, b""));
        }
        let held = |at: usize| assembly.messages.get(at).unwrap().as_ref().unwrap().pieces.len();
        assert_eq!((held(0), held(1)), (MAX_PIECES, 0));
        // Another length or type under the same number is another message: it is not mixed in.
        assembly.push(&Fragment { kind: 11, ..fragment(0, MAX_MESSAGE, 1, b"b") });
        assembly.push(&fragment(0, 3, 1, b"b"));
        assert!(
            assembly
                .messages
                .iter()
                .flatten()
                .all(|partial| partial.pieces.iter().all(|(_, bytes)| !bytes.contains(&b'b')))
        );
    }
}
