//! The memory of exchanges: which messages came, and what was answered, so that the same message is not taken twice and is
//! answered alike (RFC 7252 §4.2, §4.8.2).
//!
//! All exchanges live equally long, so they stand in a log in the order they came, in chunks that are given back as a whole.
//! An index finds them by endpoint and message identifier. An exchange with a short answer costs about 60 bytes in all.

use super::chance::EndpointHash;
use hashbrown::HashTable;
use std::collections::VecDeque;
use std::time::Duration;
use windrose_event::Moment;

/// How many exchanges a chunk of the log has: 40 KiB.
const CHUNK: usize = 1_024;

/// The index is in parts, so that no single insertion moves all of it when it grows.
const PARTS: usize = 64;

/// An exchange's position in the log, in the order they came; wraps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position(pub(super) u32);

/// What a repetition of the message is answered with.
#[derive(Debug)]
pub(super) enum Answer {
    /// Nothing yet: it is under way as the ask of this number.
    Awaited(u32),
    /// These bytes; none: nothing.
    Short { length: u8, bytes: [u8; 22] },
    /// These bytes.
    Long(Box<[u8]>),
    /// It is taken as if it came for the first time: it asks for what has no effect, and the answer is large
    /// (RFC 7252 §4.5: a server may relax this for idempotent requests).
    Afresh,
}

impl Answer {
    /// Remembers bytes.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut short = [0; 22];
        match short.get_mut(..bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                Self::Short { length: bytes.len() as u8, bytes: short }
            }
            None => Self::Long(bytes.into()),
        }
    }

    /// Whether bytes of this length are kept in place.
    pub(super) const fn is_short(length: usize) -> bool {
        length <= 22
    }

    /// The bytes to repeat.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Short { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Self::Long(bytes) => bytes,
            Self::Awaited(_) | Self::Afresh => &[],
        }
    }

    /// What it costs besides its place in the log.
    fn weight(&self) -> usize {
        match self {
            Self::Long(bytes) => bytes.len() + 16,
            _ => 0,
        }
    }
}

/// One exchange.
#[derive(Debug)]
struct Exchange {
    endpoint: u64,
    /// Milliseconds, wrapping: it lives much shorter than 49 days.
    came: u32,
    id: u16,
    answer: Answer,
}

/// Where the index says that an exchange is. Its own bits of the hash spare a look at what is not meant, and at all others when
/// the index grows: they are far apart.
#[derive(Clone, Copy, Debug)]
struct Slot {
    position: u32,
    place: u32,
}

impl Slot {
    /// The hash as the table takes it: the lower bits tell where, the upper seven are compared first.
    fn hash(place: u32) -> u64 {
        u64::from(place) | u64::from(place.wrapping_mul(0x9e37_79b1)) << 32
    }
}

/// Exchanges of one kind, by confirmable or by non-confirmable messages.
#[derive(Debug)]
pub(super) struct Exchanges {
    lifetime: Duration,
    /// How many are remembered at most: the oldest go first.
    most: usize,
    /// How many bytes of answers that are not kept in place at most.
    most_bytes: usize,
    bytes: usize,
    chunks: VecDeque<Vec<Exchange>>,
    /// Position of the oldest that is remembered, and its index in the first chunk.
    first: u32,
    first_in_chunk: usize,
    length: usize,
    index: Box<[HashTable<Slot>; PARTS]>,
    forgotten: u64,
    /// When it was last looked at.
    seen: Moment,
}

impl Exchanges {
    pub(super) fn new(lifetime: Duration, most: usize, most_bytes: usize) -> Self {
        Self {
            lifetime,
            most: most.clamp(1, 1 << 30),
            most_bytes,
            bytes: 0,
            chunks: VecDeque::new(),
            first: 0,
            first_in_chunk: 0,
            length: 0,
            index: Box::new([const { HashTable::new() }; PARTS]),
            forgotten: 0,
            seen: Moment::default(),
        }
    }

    /// The bounds have changed.
    pub(super) fn apply(&mut self, lifetime: Duration, most: usize) {
        self.lifetime = lifetime;
        self.most = most.clamp(1, 1 << 30);
        while self.length > self.most {
            self.forget_oldest();
            self.forgotten += 1;
        }
    }

    /// How many are remembered.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// How many were forgotten before their time, because there were too many.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The exchange of an endpoint's message, unless its lifetime is over.
    pub(super) fn find(&self, now: Moment, endpoint: EndpointHash, id: u16) -> Option<Position> {
        let (part, place) = place(endpoint.0, id);
        let slot = self.index.get(part)?.find(Slot::hash(place), |slot| {
            slot.place == place
                && self
                    .get(slot.position)
                    .is_some_and(|exchange| exchange.id == id && exchange.endpoint == endpoint.0)
        })?;
        let position = slot.position;
        let exchange = self.get(position)?;
        (!self.is_over(now, exchange)).then_some(Position(position))
    }

    /// What is answered to a repetition.
    pub(super) fn answer(&self, position: Position) -> Option<&Answer> {
        self.get(position.0).map(|exchange| &exchange.answer)
    }

    /// Remembers a message that came; those whose time is over, or for which there is no room, are forgotten.
    pub(super) fn insert(
        &mut self,
        now: Moment,
        endpoint: EndpointHash,
        id: u16,
        answer: Answer,
    ) -> Position {
        self.expire(now);
        while self.length >= self.most {
            self.forget_oldest();
            self.forgotten += 1;
        }
        self.bytes += answer.weight();
        let exchange = Exchange { endpoint: endpoint.0, came: millis(now), id, answer };
        if self.chunks.back().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push_back(Vec::with_capacity(CHUNK));
        }
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.push(exchange);
        }
        let position = self.first.wrapping_add(self.length as u32);
        self.length += 1;
        let (part, place) = place(endpoint.0, id);
        if let Some(part) = self.index.get_mut(part) {
            part.insert_unique(Slot::hash(place), Slot { position, place }, |slot| Slot::hash(slot.place));
        }
        Position(position)
    }

    /// Notes what a repetition is to be answered with. Nothing happens if the exchange is forgotten meanwhile.
    pub(super) fn set_answer(&mut self, position: Position, answer: Answer) {
        let weight = answer.weight();
        let offset = self.first_in_chunk + position.0.wrapping_sub(self.first) as usize;
        if let Some(exchange) =
            self.chunks.get_mut(offset / CHUNK).and_then(|chunk| chunk.get_mut(offset % CHUNK))
        {
            self.bytes = self.bytes - exchange.answer.weight() + weight;
            exchange.answer = answer;
        }
        while self.bytes > self.most_bytes && self.length > 0 {
            self.forget_oldest();
            self.forgotten += 1;
        }
    }

    /// Forgets those whose time is over.
    pub(super) fn expire(&mut self, now: Moment) {
        self.seen = now;
        while let Some(oldest) = self.get(self.first)
            && self.is_over(now, oldest)
        {
            self.forget_oldest();
        }
    }

    /// When [`Exchanges::expire`] has something to do: somewhat later than it could, so that it has much to do at once.
    pub(super) fn next_timeout(&self) -> Option<Moment> {
        const TOGETHER: Duration = Duration::from_millis(500);
        let oldest = self.get(self.first)?;
        let age = Duration::from_millis(u64::from(millis(self.seen).wrapping_sub(oldest.came)));
        Some(self.seen + self.lifetime.saturating_sub(age) + TOGETHER)
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.get(self.first) else { return };
        let (part, place) = place(oldest.endpoint, oldest.id);
        let position = self.first;
        self.bytes -= oldest.answer.weight();
        if let Some(part) = self.index.get_mut(part) {
            if let Ok(entry) = part.find_entry(Slot::hash(place), |slot| slot.position == position) {
                entry.remove();
            }
            if part.is_empty() {
                *part = HashTable::new();
            }
        }
        self.first = self.first.wrapping_add(1);
        self.length -= 1;
        self.first_in_chunk += 1;
        if self.first_in_chunk == CHUNK || self.length == 0 {
            self.chunks.pop_front();
            self.first_in_chunk = 0;
        } else if let Some(oldest) =
            self.chunks.front_mut().and_then(|chunk| chunk.get_mut(self.first_in_chunk - 1))
        {
            oldest.answer = Answer::Afresh;
        }
        self.shrink();
    }

    /// Gives the index's memory back when much less is in it than there was. A part at a time, as chunks go.
    fn shrink(&mut self) {
        if !self.first_in_chunk.is_multiple_of(CHUNK / PARTS) {
            return;
        }
        let number = self.first_in_chunk / (CHUNK / PARTS);
        if let Some(part) = self.index.get_mut(number % PARTS)
            && part.capacity() > 64
            && part.len() < part.capacity() / 4
        {
            part.shrink_to(part.len() * 2, |slot| Slot::hash(slot.place));
        }
    }

    fn get(&self, position: u32) -> Option<&Exchange> {
        let offset = self.first_in_chunk + position.wrapping_sub(self.first) as usize;
        self.chunks.get(offset / CHUNK)?.get(offset % CHUNK)
    }

    fn is_over(&self, now: Moment, exchange: &Exchange) -> bool {
        u128::from(millis(now).wrapping_sub(exchange.came)) >= self.lifetime.as_millis()
    }

    /// Bytes that it holds, roughly.
    #[cfg(test)]
    pub(super) fn footprint(&self) -> usize {
        let index: usize = self.index.iter().map(|part| part.capacity() * 8 / 7 * 9).sum();
        self.chunks.len() * CHUNK * size_of::<Exchange>() + index + self.bytes
    }
}

/// Where an exchange stands in the index: the part, and where in it. Sixteen message identifiers that follow one another stand
/// side by side: a peer that counts up stays in one line of the cache.
fn place(endpoint: u64, id: u16) -> (usize, u32) {
    let block = endpoint ^ u64::from(id >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let block = block.wrapping_mul(0xd6e8_feb8_6659_fd93);
    let place = (block >> 32) as u32 & !0xf | u32::from(id & 0xf);
    ((block >> 16) as usize % PARTS, place)
}

fn millis(moment: Moment) -> u32 {
    (moment.as_micros() / 1_000) as u32
}
