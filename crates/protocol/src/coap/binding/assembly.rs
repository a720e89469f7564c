//! Bodies of requests, put together block by block: whole or not at all (RFC 7959 §2.5).

use super::outcome;
use super::request::Key;
use crate::coap::codec::{Block, Code, option};
use crate::coap::{Remote, Response};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use windrose_event::Moment;

/// How long the next block is waited for: as long as a request is sent again (RFC 7252 §4.8.2, MAX_TRANSMIT_WAIT).
const WAIT: Duration = Duration::from_secs(93);

/// How long a body must have stood still before it makes room for another.
const STALLED: Duration = Duration::from_secs(10);

/// Bounds on bodies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The largest body.
    pub(super) body: u32,
    /// What all unfinished bodies may take.
    pub(super) bytes: u64,
}

/// Bodies that are not complete, by whose and for which request.
#[derive(Debug, Default)]
pub(super) struct Assemblies {
    parts: HashMap<Name, Part>,
    /// The same, by when a block came last.
    order: BTreeMap<(Moment, u32), Name>,
    bytes: usize,
    serials: u32,
}

type Name = (Remote, Key);

#[derive(Debug)]
struct Part {
    body: Vec<u8>,
    /// Its place in the order.
    touched: (Moment, u32),
}

impl Assemblies {
    /// Takes a block. `None`: more must come.
    ///
    /// # Errors
    /// The response that says why the body is given up.
    pub(super) fn take(
        &mut self,
        now: Moment,
        name: Name,
        block: Block,
        payload: &[u8],
        announced: Option<u32>,
        bounds: Bounds,
    ) -> Result<Option<Bytes>, Response> {
        let is_whole = payload.len().is_multiple_of(block.size())
            && !payload.is_empty()
            && (block.exponent == 7 || payload.len() == block.size());
        if (block.more && !is_whole) || (block.exponent < 7 && payload.len() > block.size()) {
            self.drop_part(&name);
            return Err(Response::diagnostic(Code::BAD_REQUEST, "the block has another size than it says"));
        }
        let most = bounds.body as usize;
        let end = block.offset().saturating_add(payload.len());
        if end > most || (block.number == 0 && announced.is_some_and(|size| size as usize > most)) {
            self.drop_part(&name);
            return Err(outcome::too_large(bounds.body));
        }
        if block.number == 0 {
            self.drop_part(&name);
            if !block.more {
                return Ok(Some(Bytes::copy_from_slice(payload)));
            }
            self.make_room(now, weight(&name, payload.len()), bounds.bytes)?;
            self.bytes += weight(&name, 0);
            self.parts.insert(name.clone(), Part { body: Vec::new(), touched: (now, 0) });
        } else if self.parts.contains_key(&name) {
            self.touch(now, &name);
            self.make_room(now, payload.len(), bounds.bytes)?;
        }
        self.touch(now, &name);
        let Some(part) = self.parts.get_mut(&name) else { return Err(incomplete()) };
        if part.body.len() == end && block.more && part.body.ends_with(payload) {
            // Said again, in a message of its own.
            return Ok(None);
        }
        if part.body.len() != block.offset() {
            self.drop_part(&name);
            return Err(incomplete());
        }
        part.body.extend_from_slice(payload);
        self.bytes += payload.len();
        if block.more {
            return Ok(None);
        }
        Ok(self.drop_part(&name).map(Bytes::from))
    }

    /// Gives up what has waited for too long.
    pub(super) fn handle_timeout(&mut self, now: Moment) {
        while self.next_timeout().is_some_and(|due| due <= now) {
            self.drop_oldest();
        }
    }

    /// When something will have waited for too long.
    pub(super) fn next_timeout(&self) -> Option<Moment> {
        self.order.first_key_value().map(|((touched, _), _)| *touched + WAIT)
    }

    /// A block came.
    fn touch(&mut self, now: Moment, name: &Name) {
        let Some(part) = self.parts.get_mut(name) else { return };
        self.order.remove(&part.touched);
        self.serials = self.serials.wrapping_add(1);
        part.touched = (now, self.serials);
        self.order.insert(part.touched, name.clone());
    }

    fn drop_part(&mut self, name: &Name) -> Option<Vec<u8>> {
        let part = self.parts.remove(name)?;
        self.order.remove(&part.touched);
        self.bytes -= weight(name, part.body.len());
        Some(part.body)
    }

    fn drop_oldest(&mut self) {
        let oldest = self.order.first_key_value().map(|(_, name)| name.clone());
        if let Some(name) = oldest {
            self.drop_part(&name);
        }
    }

    /// Makes room by giving up bodies that stand still, oldest first.
    fn make_room(&mut self, now: Moment, wanted: usize, most: u64) -> Result<(), Response> {
        while (self.bytes + wanted) as u64 > most {
            let oldest = self.order.first_key_value();
            if oldest.is_none_or(|((touched, _), _)| *touched + STALLED > now) {
                let problem = "too many bodies are under way; send it again later";
                return Err(outcome::unavailable(problem, None));
            }
            self.drop_oldest();
        }
        Ok(())
    }
}

/// 4.08 (RFC 7959 §2.9.2).
fn incomplete() -> Response {
    Response::diagnostic(Code::REQUEST_ENTITY_INCOMPLETE, "earlier blocks are missing: begin again")
}

/// Bytes that a body costs, roughly.
fn weight(name: &Name, length: usize) -> usize {
    256 + 2 * name.1.len() + length
}

/// 2.31: more must come (RFC 7959 §2.9.1).
pub(super) fn go_on(block: Block) -> Response {
    Response::new(Code::CONTINUE).with(option::BLOCK1, block.value().as_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const BOUNDS: Bounds = Bounds { body: 1_000, bytes: 4_000 };

    fn name(port: u16) -> Name {
        (Remote::udp(([127, 0, 0, 1], port).into()), Key::new())
    }

    fn take(
        assemblies: &mut Assemblies,
        now: Moment,
        port: u16,
        number: u32,
        more: bool,
        payload: &[u8],
    ) -> Result<Option<Bytes>, Code> {
        let block = Block { number, more, exponent: 1 };
        assemblies.take(now, name(port), block, payload, None, BOUNDS).map_err(|response| response.code)
    }

    #[test]
    fn a_body_comes_out_whole_or_not_at_all() {
        let (mut all, now) = (Assemblies::default(), Moment::default());
        let mut block = |number, more, payload: &[u8]| take(&mut all, now, 1, number, more, payload);
        assert_eq!(block(0, true, &[1; 32]), Ok(None));
        assert_eq!(block(1, true, &[2; 32]), Ok(None));
        assert_eq!(block(1, true, &[2; 32]), Ok(None), "said again");
        let body = block(2, false, &[3; 5]).unwrap().unwrap();
        assert_eq!(body.len(), 69);
        assert_eq!(block(3, false, &[3; 5]), Err(Code::REQUEST_ENTITY_INCOMPLETE), "it is done with");
        assert_eq!(block(0, true, &[1; 32]), Ok(None));
        assert_eq!(block(2, true, &[1; 32]), Err(Code::REQUEST_ENTITY_INCOMPLETE), "a hole");
        assert_eq!(block(1, true, &[1; 32]), Err(Code::REQUEST_ENTITY_INCOMPLETE), "given up with the hole");
        assert_eq!(block(0, true, &[1; 31]), Err(Code::BAD_REQUEST), "a block that is not full");
        assert_eq!(block(0, true, &[]), Err(Code::BAD_REQUEST));
        assert_eq!(block(0, false, &[1; 33]), Err(Code::BAD_REQUEST), "a last block that is too long");
        assert_eq!(block(Block::NUMBER_MAX, false, &[1]), Err(Code::REQUEST_ENTITY_TOO_LARGE));
        assert_eq!(block(0, false, b"one"), Ok(Some(Bytes::from_static(b"one"))));
        assert_eq!((all.bytes, all.order.len()), (0, 0));
    }

    #[test]
    fn a_body_that_says_that_it_is_too_large_is_refused_at_once() {
        let block = Block { number: 0, more: true, exponent: 0 };
        let mut all = Assemblies::default();
        let refused = all.take(Moment::default(), name(1), block, &[0; 16], Some(1_001), BOUNDS).unwrap_err();
        assert_eq!(refused.options.as_options().uint(option::SIZE1), Some(1_000));
    }

    #[test]
    fn bodies_under_way_are_bounded_and_those_that_stand_still_make_room() {
        let (mut all, mut now) = (Assemblies::default(), Moment::default());
        let started: usize =
            (0..100).filter(|port| take(&mut all, now, *port, 0, true, &[0; 32]).is_ok()).count();
        assert!((5..50).contains(&started), "{started}");
        assert_eq!(take(&mut all, now, 200, 0, true, &[0; 32]), Err(Code::SERVICE_UNAVAILABLE));
        now = now + STALLED;
        assert_eq!(take(&mut all, now, 200, 0, true, &[0; 32]), Ok(None));
        now = now + WAIT;
        all.handle_timeout(now);
        assert_eq!((all.bytes, all.order.len(), all.parts.len()), (0, 0, 0));
        assert_eq!(take(&mut all, now, 200, 1, true, &[0; 32]), Err(Code::REQUEST_ENTITY_INCOMPLETE));
    }

    proptest! {
        #[test]
        fn no_blocks_break_the_bounds(
            blocks in prop::collection::vec((0u16..20, 0u32..5, any::<bool>(), 0usize..40, 0u64..20), 0..200),
        ) {
            let (mut all, mut now) = (Assemblies::default(), Moment::default());
            for (port, number, more, length, seconds) in blocks {
                now = now + Duration::from_secs(seconds);
                all.handle_timeout(now);
                let _ = take(&mut all, now, port, number, more, &vec![0; length]);
                prop_assert!(all.bytes as u64 <= BOUNDS.bytes);
                prop_assert_eq!(all.order.len(), all.parts.len());
                let sum: usize = all.parts.iter().map(|(name, part)| weight(name, part.body.len())).sum();
                prop_assert_eq!(all.bytes, sum);
            }
        }
    }
}
