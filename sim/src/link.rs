//! Links: the byte pipes of a connection, in whatever pieces and however late the network likes.

use crate::rng::Rng;
use std::collections::VecDeque;
use std::time::Duration;
use windrose_event::Moment;

/// How a pipe treats bytes.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// The longest that a piece is on its way, in microseconds.
    pub latency: u64,
    /// Whether writes arrive in random pieces; otherwise each as it is.
    pub fragments: bool,
    /// Bytes that may be under way or unread: a writer waits for room.
    pub capacity: usize,
}

impl Weather {
    /// A network without faults: whole writes, at once.
    pub const CALM: Weather = Weather { latency: 0, fragments: false, capacity: 1 << 20 };
}

/// One direction of a connection: bytes in order, or not at all.
#[derive(Debug)]
pub struct Pipe {
    weather: Weather,
    /// What is on its way, and when each piece arrives.
    transit: VecDeque<(Moment, Vec<u8>)>,
    /// What has arrived and is not read.
    unread: Vec<u8>,
    used: usize,
    last_arrival: Moment,
    /// Bytes that were read.
    read: usize,
    /// The pipe breaks when so many bytes were read.
    breaks_at: Option<usize>,
    broken: bool,
}

impl Pipe {
    /// A pipe that breaks once `breaks_at` bytes were read from it.
    pub fn new(weather: Weather, breaks_at: Option<usize>) -> Self {
        Self {
            weather,
            transit: VecDeque::new(),
            unread: Vec::new(),
            used: 0,
            last_arrival: Moment::from_micros(0),
            read: 0,
            breaks_at,
            broken: false,
        }
    }

    /// Room for a writer. A broken pipe takes everything: its writer does not know yet.
    pub fn room(&self) -> usize {
        if self.broken { usize::MAX } else { self.weather.capacity - self.used.min(self.weather.capacity) }
    }

    /// Sends bytes for which there is room. Returns when the pieces arrive.
    pub fn write(&mut self, now: Moment, rng: &mut Rng, mut bytes: &[u8]) -> Vec<Moment> {
        let mut arrivals = Vec::new();
        while !bytes.is_empty() && !self.broken {
            let whole = !self.weather.fragments || rng.chance(60);
            let length = if whole { bytes.len() } else { rng.between(1, bytes.len()) };
            let (piece, rest) = bytes.split_at(length);
            let at = (now + rng.micros(0, self.weather.latency)).max(self.last_arrival);
            self.last_arrival = at;
            self.used += piece.len();
            self.transit.push_back((at, piece.to_vec()));
            arrivals.push(at);
            bytes = rest;
        }
        arrivals
    }

    /// Whether nothing is under way and nothing unread.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Bytes that were read.
    pub fn carried(&self) -> usize {
        self.read
    }

    /// When everything that was written has arrived.
    pub fn last_arrival(&self) -> Moment {
        self.last_arrival
    }

    /// What has arrived by `now`, for a reader that reads. Also says whether the pipe broke with it.
    pub fn read(&mut self, now: Moment) -> (Vec<u8>, bool) {
        while self.transit.front().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, piece)) = self.transit.pop_front() {
                self.unread.extend_from_slice(&piece);
            }
        }
        let mut bytes = std::mem::take(&mut self.unread);
        self.used -= bytes.len();
        let mut breaks = false;
        if let Some(limit) = self.breaks_at {
            let left = limit - self.read.min(limit);
            breaks = bytes.len() >= left && !self.broken;
            bytes.truncate(left);
        }
        self.read += bytes.len();
        (bytes, breaks)
    }

    /// Breaks the pipe: what is on its way is lost, but for the first `survive` percent of its bytes. Returns when the
    /// last survivor arrives.
    pub fn cut(&mut self, now: Moment, survive: usize) -> Moment {
        self.broken = true;
        let under_way: usize = self.transit.iter().map(|(_, piece)| piece.len()).sum();
        let mut left = under_way * survive / 100;
        let mut last = now;
        for (at, piece) in &mut self.transit {
            piece.truncate(left);
            left -= piece.len();
            if !piece.is_empty() {
                last = last.max(*at);
            }
        }
        self.transit.retain(|(_, piece)| !piece.is_empty());
        self.used = self.unread.len() + self.transit.iter().map(|(_, piece)| piece.len()).sum::<usize>();
        last
    }
}

/// How long a side takes to notice that its connection is gone.
#[derive(Clone, Copy, Debug)]
pub struct Notice {
    /// The client.
    pub client: Duration,
    /// The node; `None`: never, until its keep alive runs out.
    pub node: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_arrive_in_order_and_whole() {
        let mut rng = Rng::new(1);
        let weather = Weather { latency: 5_000, fragments: true, capacity: 1_000 };
        let mut pipe = Pipe::new(weather, None);
        let sent: Vec<u8> = (0..=255).collect();
        let mut arrivals = Vec::new();
        for piece in sent.chunks(50) {
            arrivals.extend(pipe.write(Moment::from_micros(0), &mut rng, piece));
        }
        assert_eq!(pipe.room(), 1_000 - 256);
        let mut got = Vec::new();
        for at in arrivals {
            let (bytes, breaks) = pipe.read(at);
            assert!(!breaks);
            got.extend(bytes);
        }
        assert_eq!(got, sent);
        assert_eq!(pipe.room(), 1_000);
    }

    #[test]
    fn a_pipe_breaks_after_the_byte_that_was_asked_for() {
        let mut pipe = Pipe::new(Weather::CALM, Some(3));
        pipe.write(Moment::from_micros(0), &mut Rng::new(1), b"ab");
        assert_eq!(pipe.read(Moment::from_micros(0)), (b"ab".to_vec(), false));
        pipe.write(Moment::from_micros(0), &mut Rng::new(1), b"cd");
        assert_eq!(pipe.read(Moment::from_micros(0)), (b"c".to_vec(), true));
    }

    #[test]
    fn of_a_cut_pipe_some_bytes_survive() {
        let mut pipe = Pipe::new(Weather::CALM, None);
        pipe.write(Moment::from_micros(0), &mut Rng::new(1), b"abcdefgh");
        let last = pipe.cut(Moment::from_micros(0), 50);
        assert_eq!(pipe.read(last).0, b"abcd");
        assert!(pipe.is_empty());
    }
}
