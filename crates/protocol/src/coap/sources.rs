//! What source addresses may be sent: of one that has not shown itself, no more than three times what came from it
//! (RFC 9175 §2.4), so that nobody has us flood a victim whose address it forged. And the Echo option, by which a source shows
//! itself (RFC 9175 §2).

use super::messaging::{Chance, Key};
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use windrose_event::Moment;

/// How much more than it sent a source may be sent before it has shown itself.
const FACTOR: usize = 3;

/// How long a source counts as shown, and an Echo value as fresh.
const SHOWN: Duration = Duration::from_secs(300);

/// The most credit that a source gathers, in bytes.
const CREDIT_MAX: u64 = 0xffff;

/// What a source that has shown itself may at least be sent after that has become old: a notification with its repetitions, so
/// that an observer who is seldom told anything can show itself anew.
const TRUST: u64 = 8_192;

/// Sources that share a place compete for it: as many words as a line of the cache has.
const WAYS: usize = 8;

/// An Echo option's value: a time and a proof.
pub type Echo = [u8; 12];

/// What is known of source addresses, in a table of fixed size that all shards share without locks.
///
/// A source that loses its place to another is treated as if it had never been seen.
#[derive(Debug)]
pub struct Sources {
    secret: [u8; 32],
    key: Key,
    /// Of each: 32 bits of its hash, 16 bits of the time until which it counts as shown, 16 bits of credit.
    places: Box<[[AtomicU64; WAYS]]>,
}

impl Sources {
    /// A table with room for `sources` addresses, 8 bytes each; the secret is chance that nobody else knows.
    pub fn new(sources: usize, secret: [u8; 32]) -> Self {
        let digest = Sha256::new().chain_update(b"sources").chain_update(secret).finalize();
        let seed = digest.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let key = Key::new(&mut Chance::new(seed));
        let rows = (sources / WAYS).next_power_of_two();
        let places = (0..rows).map(|_| std::array::from_fn(|_| AtomicU64::new(0))).collect();
        Self { secret, key, places }
    }

    /// How many bytes may be sent for so many that came.
    pub const fn worth(bytes: usize) -> usize {
        FACTOR * bytes
    }

    /// So many bytes came from a source.
    pub fn received(&self, now: Moment, source: IpAddr, bytes: usize) {
        self.update(now, source, |word| Some(word.with_credit(word.credit() + Self::worth(bytes) as u64)));
    }

    /// Whether a source has shown itself lately.
    pub fn is_shown(&self, now: Moment, source: IpAddr) -> bool {
        self.find(source).is_some_and(|word| word.is_shown(now))
    }

    /// How many bytes a source may be sent.
    pub fn credit(&self, now: Moment, source: IpAddr) -> usize {
        match self.find(source) {
            Some(word) if word.is_shown(now) => usize::MAX,
            Some(word) => word.credit() as usize,
            None => 0,
        }
    }

    /// Whether a source may be sent so many bytes; if so, they count as sent.
    pub fn spend(&self, now: Moment, source: IpAddr, bytes: usize) -> bool {
        self.update(now, source, |word| match word.is_shown(now) {
            true => Some(word),
            false => word.credit().checked_sub(bytes as u64).map(|credit| word.with_credit(credit)),
        })
    }

    /// A source has shown that it receives what is sent to it.
    pub fn show(&self, now: Moment, source: IpAddr) {
        self.update(now, source, |word| {
            Some(word.shown_until(now + SHOWN).with_credit(word.credit().max(TRUST)))
        });
    }

    /// The value of an Echo option that is good for a source for a while (RFC 9175 §2.3). Nothing is kept.
    pub fn echo(&self, now: Moment, source: IpAddr) -> Echo {
        let time = seconds(now).to_be_bytes();
        let mut echo = [0; 12];
        let (head, proof) = echo.split_at_mut(4);
        head.copy_from_slice(&time);
        proof.copy_from_slice(&self.proof(time, source));
        echo
    }

    /// Whether an Echo option's value is one that this source was given lately.
    pub fn verify(&self, now: Moment, source: IpAddr, echo: &[u8]) -> bool {
        let Some((time, proof)) = echo.split_first_chunk::<4>() else { return false };
        let age = seconds(now).wrapping_sub(u32::from_be_bytes(*time));
        let expected = self.proof(*time, source);
        let differs = expected.iter().zip(proof).fold(0, |differs, (a, b)| differs | a ^ b);
        proof.len() == expected.len() && differs == 0 && u64::from(age) <= SHOWN.as_secs()
    }

    /// HMAC (RFC 2104) with SHA-256 of time and address, the first 64 bits.
    fn proof(&self, time: [u8; 4], source: IpAddr) -> [u8; 8] {
        let padded = |byte: u8| {
            let mut pad = [byte; 64];
            for (place, secret) in pad.iter_mut().zip(self.secret) {
                *place ^= secret;
            }
            Sha256::new().chain_update(pad)
        };
        let address = match source {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        let inner = padded(0x36).chain_update(time).chain_update(address.octets()).finalize();
        let outer = padded(0x5c).chain_update(inner).finalize();
        outer.first_chunk().copied().unwrap_or_default()
    }

    fn find(&self, source: IpAddr) -> Option<Word> {
        let (row, tag) = self.place(source)?;
        row.iter().map(|place| Word(place.load(Relaxed))).find(|word| word.tag() == tag)
    }

    /// Changes a source's word, once; whether `change` had something to say.
    fn update(&self, now: Moment, source: IpAddr, change: impl Fn(Word) -> Option<Word>) -> bool {
        let Some((row, tag)) = self.place(source) else { return false };
        let known = row.iter().find(|place| Word(place.load(Relaxed)).tag() == tag);
        // The least is lost with one that has not shown itself and has the least credit.
        let least = || row.iter().min_by_key(|place| Word(place.load(Relaxed)).worth(now));
        let Some(place) = known.or_else(least) else { return false };
        place
            .fetch_update(Relaxed, Relaxed, |word| {
                let word = if Word(word).tag() == tag { Word(word) } else { Word(tag << 32) };
                change(word).map(|word| word.0)
            })
            .is_ok()
    }

    fn place(&self, source: IpAddr) -> Option<(&[AtomicU64; WAYS], u64)> {
        let hash = self.key.address(0, source);
        // A tag of zero is an empty place's.
        let row = self.places.get(hash as usize & (self.places.len() - 1))?;
        Some((row, (hash >> 32).max(1)))
    }
}

#[derive(Clone, Copy)]
struct Word(u64);

impl Word {
    const fn tag(self) -> u64 {
        self.0 >> 32
    }

    const fn credit(self) -> u64 {
        self.0 & CREDIT_MAX
    }

    fn with_credit(self, credit: u64) -> Self {
        Self(self.0 & !CREDIT_MAX | credit.min(CREDIT_MAX))
    }

    /// The time until which it counts as shown is in steps of 8 seconds, and wraps after six days; zero: not shown.
    fn shown_until(self, until: Moment) -> Self {
        let step = steps(until).max(1);
        Self(self.0 & !0xffff_0000 | u64::from(step) << 16)
    }

    fn is_shown(self, now: Moment) -> bool {
        let until = (self.0 >> 16) as u16;
        until != 0 && until.wrapping_sub(steps(now)) <= steps_of(SHOWN) + 1
    }

    fn worth(self, now: Moment) -> (bool, u64) {
        (self.is_shown(now), self.credit())
    }
}

fn seconds(moment: Moment) -> u32 {
    (moment.as_micros() / 1_000_000) as u32
}

fn steps(moment: Moment) -> u16 {
    (moment.as_micros() / 8_000_000) as u16
}

const fn steps_of(duration: Duration) -> u16 {
    (duration.as_secs() / 8) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn a_source_that_has_not_shown_itself_gets_three_times_what_it_sent() {
        let sources = Sources::new(64, [7; 32]);
        let now = Moment::from_micros(0);
        assert!(!sources.spend(now, source(1), 1), "nothing came from it");
        sources.received(now, source(1), 10);
        assert_eq!(sources.credit(now, source(1)), 30);
        assert!(sources.spend(now, source(1), 20));
        assert!(!sources.spend(now, source(1), 11));
        assert!(sources.spend(now, source(1), 10));
        sources.show(now, source(1));
        assert!(sources.spend(now, source(1), 100_000));
        assert!(!sources.spend(now, source(2), 1), "each for itself");
        let later = now + SHOWN + Duration::from_secs(20);
        assert!(!sources.is_shown(later, source(1)), "not for ever");
        assert!(sources.spend(later, source(1), 8_000), "a last notification");
        assert!(!sources.spend(later, source(1), 8_000));
    }

    #[test]
    fn an_echo_is_good_for_its_source_and_for_a_while() {
        let sources = Sources::new(64, [7; 32]);
        let now = Moment::from_micros(1_000_000_000);
        let echo = sources.echo(now, source(1));
        assert!(sources.verify(now, source(1), &echo));
        assert!(!sources.verify(now, source(2), &echo), "another's");
        assert!(!sources.verify(now + SHOWN + Duration::from_secs(1), source(1), &echo), "stale");
        assert!(!sources.verify(now, source(1), &echo[..11]), "cut");
        let mut forged = echo;
        forged[0] ^= 1;
        assert!(!sources.verify(now, source(1), &forged), "another time");
        assert!(!Sources::new(64, [8; 32]).verify(now, source(1), &echo), "another secret");
    }

    #[test]
    fn more_sources_than_places_forget_those_that_matter_least() {
        let sources = Sources::new(8, [7; 32]);
        let now = Moment::from_micros(0);
        sources.show(now, source(0));
        for last in 1..=255 {
            sources.received(now, source(last), 10);
            assert!(sources.spend(now, source(last), 30), "its own datagram's worth is always there");
        }
        assert!(sources.is_shown(now, source(0)));
    }
}
