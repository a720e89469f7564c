//! What a machine wants written to its peer.

use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io::IoSlice;

/// Payloads of at least this many bytes are queued as they are; smaller ones are copied beside their headers.
const SHARE_FROM: usize = 2_048;

/// Room that a buffer has at least: enough for most of what is written at once, so that it hardly ever grows.
const FIRST: usize = 512;

/// The unit in which it is remembered how much was written at once lately, and the most that is made room for from the start.
const KIB: usize = 1_024;
const MOST_KIB: usize = 32;

/// Bytes that wait to be written, in order. Frames are appended to one buffer; large payloads keep their own and are
/// written with it by one vectored write. When everything is written it owns no memory: an idle connection costs none.
#[derive(Debug, Default)]
pub struct Transmit {
    /// Finished segments, before `tail`.
    segments: VecDeque<Bytes>,
    /// The segment that is being written to.
    tail: Vec<u8>,
    /// Bytes of `tail` already written to the peer.
    tail_start: usize,
    /// Bytes in `segments`.
    segment_bytes: usize,
    /// How much waited at once lately, in KiB: a busy connection's buffer is made in one piece.
    lately: u8,
    /// The lengths of the messages that wait, where each goes in a frame of its own.
    messages: Option<Box<Messages>>,
}

/// Lengths of messages, first to last. Few connections have such: it is not part of the others.
#[derive(Debug, Default)]
struct Messages(VecDeque<usize>);

impl Transmit {
    /// The buffer to append frames to.
    #[inline]
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        if self.tail.capacity() == 0 {
            self.tail.reserve_exact(FIRST.max(usize::from(self.lately) * KIB));
        }
        &mut self.tail
    }

    /// The buffer to append a frame to, with room for its head and for a payload that is to follow.
    pub(crate) fn frame(&mut self, head: usize, payload: usize) -> &mut Vec<u8> {
        let room = if payload < SHARE_FROM { head + payload } else { head };
        let tail = self.buffer();
        tail.reserve(room);
        tail
    }

    /// Appends a payload, sharing it when it is large.
    #[inline]
    pub fn payload(&mut self, payload: &Bytes) {
        if payload.len() < SHARE_FROM {
            self.tail.extend_from_slice(payload);
            return;
        }
        self.seal();
        self.segment_bytes += payload.len();
        self.segments.push_back(payload.clone());
    }

    /// The last bytes, if none of them is written yet: the last word may still be put otherwise.
    pub(crate) fn last_unsent(&mut self, length: usize) -> Option<&mut [u8]> {
        let start = self.tail.len().checked_sub(length).filter(|start| *start >= self.tail_start)?;
        self.tail.get_mut(start..)
    }

    /// The last `length` bytes are a message, which goes in a frame of its own if frames carry it.
    pub(crate) fn end_message(&mut self, length: usize) {
        self.messages.get_or_insert_default().0.push_back(length);
    }

    /// Bytes of the frame that is next: the first message, or all that waits.
    pub(crate) fn frame_len(&self) -> usize {
        let first = self.messages.as_ref().and_then(|messages| messages.0.front());
        first.copied().unwrap_or_else(|| self.len())
    }

    /// Bytes that wait.
    #[inline]
    pub fn len(&self) -> usize {
        self.segment_bytes + self.tail.len() - self.tail_start
    }

    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `slices` for one vectored write; returns how many were filled.
    pub fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slot, part) in slices.iter_mut().zip(self.parts()) {
            *slot = IoSlice::new(part);
            filled += 1;
        }
        filled
    }

    /// What waits, in order.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let tail = &self.tail[self.tail_start..];
        self.segments.iter().map(|segment| &segment[..]).chain((!tail.is_empty()).then_some(tail))
    }

    /// Forgets the first `written` bytes.
    pub fn advance(&mut self, mut written: usize) {
        self.advance_messages(written);
        while written > 0 {
            let Some(front) = self.segments.front_mut() else { break };
            let step = written.min(front.len());
            front.advance(step);
            self.segment_bytes -= step;
            written -= step;
            if front.is_empty() {
                self.segments.pop_front();
            }
        }
        self.tail_start = (self.tail_start + written).min(self.tail.len());
        if self.is_empty() {
            // A little more, lest a buffer that is nearly large enough grow to twice its size each time.
            let lately = (self.tail.len() * 9 / 8).div_ceil(KIB).min(MOST_KIB) as u8;
            *self = Self { lately, ..Self::default() };
        }
    }

    fn advance_messages(&mut self, mut written: usize) {
        let Some(messages) = &mut self.messages else { return };
        while let Some(first) = messages.0.front_mut() {
            let step = written.min(*first);
            *first -= step;
            written -= step;
            if *first > 0 {
                break;
            }
            messages.0.pop_front();
        }
    }

    fn seal(&mut self) {
        if self.tail.is_empty() {
            return;
        }
        let mut sealed = Bytes::from(std::mem::take(&mut self.tail));
        sealed.advance(std::mem::take(&mut self.tail_start));
        self.segment_bytes += sealed.len();
        if !sealed.is_empty() {
            self.segments.push_back(sealed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(transmit: &mut Transmit, step: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while !transmit.is_empty() {
            let mut slices = [IoSlice::new(&[]), IoSlice::new(&[]), IoSlice::new(&[])];
            let filled = transmit.io_slices(&mut slices);
            let all: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
            let written = all.len().min(step);
            out.extend_from_slice(&all[..written]);
            transmit.advance(written);
        }
        out
    }

    #[test]
    fn order_survives_sharing_and_short_writes() {
        let large = Bytes::from(vec![7; 5_000]);
        let mut expected = b"head".to_vec();
        expected.extend_from_slice(&large);
        expected.extend_from_slice(b"tailsmall");
        for step in [1, 3, 4_096, usize::MAX] {
            let mut transmit = Transmit::default();
            transmit.buffer().extend_from_slice(b"head");
            transmit.payload(&large);
            transmit.buffer().extend_from_slice(b"tail");
            transmit.payload(&Bytes::from_static(b"small"));
            assert_eq!(transmit.len(), expected.len());
            assert_eq!(drain(&mut transmit, step), expected);
            assert_eq!(transmit.tail.capacity(), 0, "idle owns no memory");
        }
    }
}
