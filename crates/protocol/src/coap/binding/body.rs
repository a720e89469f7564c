//! Bodies of responses, block by block (RFC 7959 §2.4): one is cut out of a last value as it is now, or out of a body that
//! is kept because it cannot be made again.

use super::request::Key;
use crate::coap::codec::{Block, Code, option};
use crate::coap::{Remote, Response};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use windrose_event::Moment;

/// How long a body is kept for the rest of its blocks: as long as a request is sent again (RFC 7252 §4.8.2,
/// MAX_TRANSMIT_WAIT).
const KEPT_FOR: Duration = Duration::from_secs(93);

/// Leaves in a response the block that is wanted, or the first one if the whole body does not fit into `room`. `true`: more
/// follows.
///
/// # Errors
/// The response that says that there is no such block.
pub(super) fn cut(response: &mut Response, wanted: Option<Block>, room: u32) -> Result<bool, Response> {
    let length = response.payload.len();
    if wanted.is_none() && (length <= room as usize || room < 16) {
        return Ok(false);
    }
    let asked = wanted.unwrap_or(Block { number: 0, more: false, exponent: 6 });
    // The largest power of two that fits, of 16 to 1,024 bytes.
    let fitting = room.clamp(16, 1_024).ilog2() as u8 - 4;
    let (exponent, size) = match asked.exponent {
        // Several blocks of 1,024 bytes at once (RFC 8323 §6).
        7 if fitting == 6 => (7, room as usize / 1_024 * 1_024),
        exponent => (exponent.min(fitting), 16 << exponent.min(fitting)),
    };
    let offset = asked.offset();
    let number = u32::try_from(offset / Block { exponent, ..asked }.size()).unwrap_or(u32::MAX);
    if (offset >= length && number > 0) || number > Block::NUMBER_MAX {
        return Err(Response::diagnostic(Code::BAD_REQUEST, "there is no such block"));
    }
    let end = length.min(offset.saturating_add(size));
    let more = end < length;
    response.payload = response.payload.slice(offset.min(end)..end);
    response.options.insert(option::BLOCK2, Block { number, more, exponent }.value().as_bytes());
    if number == 0 {
        response.options.insert_uint(option::SIZE2, u32::try_from(length).unwrap_or(u32::MAX));
    }
    Ok(more)
}

/// Bodies that are kept, by whose and for which request.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    kept: HashMap<(Remote, Key), Kept>,
    /// The same, by when they were made.
    order: BTreeMap<(Moment, u32), (Remote, Key)>,
    bytes: usize,
    serials: u32,
}

#[derive(Debug)]
struct Kept {
    response: Response,
    /// Its place in the order.
    made: (Moment, u32),
}

impl Bodies {
    /// Keeps a response whole, in the place of an earlier one; the oldest go if more than `most` bytes are kept.
    pub(super) fn keep(&mut self, now: Moment, remote: Remote, key: &Key, response: &Response, most: u64) {
        self.forget(remote, key);
        self.serials = self.serials.wrapping_add(1);
        let made = (now, self.serials);
        self.bytes += weight(key, response);
        self.kept.insert((remote, key.clone()), Kept { response: response.clone(), made });
        self.order.insert(made, (remote, key.clone()));
        while self.bytes as u64 > most && !self.order.is_empty() {
            self.forget_oldest();
        }
    }

    /// The body of an earlier response to that endpoint.
    pub(super) fn get(&self, remote: Remote, key: &Key) -> Option<Response> {
        self.kept.get(&(remote, key.clone())).map(|kept| kept.response.clone())
    }

    /// There is a newer body, which need not be kept.
    pub(super) fn forget(&mut self, remote: Remote, key: &Key) {
        if self.kept.is_empty() {
            return;
        }
        if let Some(kept) = self.kept.remove(&(remote, key.clone())) {
            self.order.remove(&kept.made);
            self.bytes -= weight(key, &kept.response);
        }
    }

    /// Forgets what is old enough.
    pub(super) fn handle_timeout(&mut self, now: Moment) {
        while self.next_timeout().is_some_and(|due| due <= now) {
            self.forget_oldest();
        }
    }

    /// When the oldest is forgotten.
    pub(super) fn next_timeout(&self) -> Option<Moment> {
        self.order.first_key_value().map(|((made, _), _)| *made + KEPT_FOR)
    }

    fn forget_oldest(&mut self) {
        if let Some((_, (remote, key))) =
            self.order.first_key_value().map(|(made, name)| (*made, name.clone()))
        {
            self.forget(remote, &key);
        }
    }
}

/// Bytes that keeping a body costs, roughly.
fn weight(key: &Key, response: &Response) -> usize {
    512 + 2 * key.len() + response.payload.len()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn body(length: usize) -> Response {
        let payload: Vec<u8> = (0..length).map(|index| index as u8).collect();
        Response { payload: Bytes::from(payload), ..Response::new(Code::CONTENT) }
    }

    fn block(response: &Response) -> Option<Block> {
        response.options.as_options().get(option::BLOCK2).and_then(Block::parse)
    }

    #[test]
    fn what_fits_is_not_cut_unless_a_block_is_asked_for() {
        let mut whole = body(1_024);
        assert_eq!(cut(&mut whole, None, 1_024), Ok(false));
        assert_eq!((whole.payload.len(), block(&whole)), (1_024, None));
        let mut first = body(20);
        let wanted = Block { number: 0, more: false, exponent: 6 };
        assert_eq!(cut(&mut first, Some(wanted), 1_024), Ok(false));
        assert_eq!(block(&first), Some(wanted));
        let mut unsendable = body(100);
        assert_eq!(cut(&mut unsendable, None, 15), Ok(false), "not even the smallest block fits");
        assert_eq!(unsendable.payload.len(), 100);
    }

    #[test]
    fn blocks_past_the_end_are_refused() {
        for (length, number, exponent) in [(100, 7, 0), (0, 1, 0), (100, Block::NUMBER_MAX, 6)] {
            let wanted = Block { number, more: false, exponent };
            let refused = cut(&mut body(length), Some(wanted), 1_024).unwrap_err();
            assert_eq!(refused.code, Code::BAD_REQUEST);
        }
    }

    proptest! {
        #[test]
        fn blocks_of_any_size_make_up_the_body(
            length in 0usize..5_000, room in 16u32..3_000, exponent in 0u8..8, asks in any::<bool>(),
        ) {
            let whole = body(length);
            let mut found = Vec::new();
            let mut wanted = asks.then_some(Block { number: 0, more: false, exponent });
            loop {
                let mut part = whole.clone();
                let more = cut(&mut part, wanted, room).unwrap();
                prop_assert!(part.payload.len() <= room as usize);
                found.extend_from_slice(&part.payload);
                if !more { break; }
                let given = block(&part).unwrap();
                prop_assert!(given.more);
                prop_assert_eq!(part.payload.len() % given.size(), 0);
                let taken = part.payload.len() / given.size();
                wanted = Some(Block { number: given.number + taken as u32, more: false, ..given });
            }
            prop_assert_eq!(found, whole.payload.to_vec());
        }

        #[test]
        fn bodies_are_kept_within_their_bound(
            lengths in prop::collection::vec((0u8..6, 0usize..4_000, 0u64..40), 0..60),
        ) {
            let mut bodies = Bodies::default();
            let mut now = Moment::default();
            let remote = Remote::udp("127.0.0.1:1".parse().unwrap());
            for (name, length, seconds) in lengths {
                now = now + Duration::from_secs(seconds);
                bodies.handle_timeout(now);
                bodies.keep(now, remote, &Key::from_slice(&[name]), &body(length), 10_000);
                prop_assert!(bodies.bytes <= 10_000);
                let sum: usize = bodies.kept.iter().map(|((_, key), kept)| weight(key, &kept.response)).sum();
                prop_assert_eq!(bodies.bytes, sum);
                prop_assert_eq!(bodies.order.len(), bodies.kept.len());
            }
            bodies.handle_timeout(now + KEPT_FOR);
            prop_assert_eq!((bodies.bytes, bodies.kept.len(), bodies.next_timeout()), (0, 0, None));
        }
    }
}
