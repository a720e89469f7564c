//! Changes: how often subscriptions came and went, by what their filters begin with.
//!
//! What is known of an address holds until a filter that may match it comes or goes. A thing that subscribes to its own
//! addresses must not make everybody else's unknown: things of a large fleet come and go all the time.

use rustc_hash::FxHasher;
use std::hash::Hasher;
use windrose_event::Filter;

/// Counters by first levels, and by the first two.
const FIRSTS: usize = 64;
const SECONDS: usize = 1_024;

/// Counts of changes. They only grow, so a sum of some is the same for as long as each of them is.
#[derive(Debug)]
pub(crate) struct Changes {
    /// Of filters that begin with a wildcard.
    any: u64,
    /// Of filters with one level before their first wildcard, by that level.
    firsts: Box<[u64]>,
    /// Of filters with more levels before it, by the first two.
    seconds: Box<[u64]>,
}

/// Which counters are about an address, or about a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begins {
    first: u16,
    second: u16,
}

impl Default for Changes {
    fn default() -> Self {
        Self { any: 0, firsts: vec![0; FIRSTS].into(), seconds: vec![0; SECONDS].into() }
    }
}

impl Begins {
    /// Of an address or a filter.
    pub(crate) fn of(path: &[u8]) -> Self {
        let mut levels = path.split(|byte| *byte == b'/');
        let first = hash(0, levels.next().unwrap_or_default());
        let second = hash(first, levels.next().unwrap_or_default());
        Self { first: (first % FIRSTS as u64) as u16, second: (second % SECONDS as u64) as u16 }
    }
}

impl Changes {
    /// A subscription to a filter came, went, or is another now.
    pub(crate) fn note(&mut self, filter: &Filter) {
        let Begins { first, second } = Begins::of(filter.as_str().as_bytes());
        let literal = filter.levels().take(2).take_while(|level| !matches!(*level, "+" | "#"));
        *match literal.count() {
            0 => &mut self.any,
            1 => &mut self.firsts[usize::from(first)],
            _ => &mut self.seconds[usize::from(second)],
        } += 1;
    }

    /// What any address means may have changed.
    pub(crate) const fn note_all(&mut self) {
        self.any += 1;
    }

    /// Stays the same for as long as no subscription changes that may match addresses that begin so.
    #[inline]
    pub(crate) fn stamp(&self, begins: Begins) -> u64 {
        self.any + self.firsts[usize::from(begins.first)] + self.seconds[usize::from(begins.second)]
    }
}

/// The low bits are good ones.
fn hash(seed: u64, level: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write_u64(seed);
    hasher.write(level);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_change_that_matters_is_never_missed(
            filter in "([ab+]|)(/([ab+]|)){0,3}(/#)?".prop_filter_map("a filter", |text| Filter::new(&text).ok()),
            address in "([ab]|)(/([ab]|)){0,3}",
        ) {
            let begins = Begins::of(address.as_bytes());
            let mut changes = Changes::default();
            let before = changes.stamp(begins);
            changes.note(&filter);
            prop_assert!(changes.stamp(begins) != before || !filter.matches(&address), "{} {}", filter, address);
        }
    }

    #[test]
    fn what_a_thing_subscribes_to_for_itself_concerns_few_others() {
        let mut changes = Changes::default();
        let others: Vec<_> =
            (0..1_000).map(|number| Begins::of(format!("devices/{number}/telemetry").as_bytes())).collect();
        let before: Vec<_> = others.iter().map(|begins| changes.stamp(*begins)).collect();
        for thing in 2_000..2_010 {
            changes.note(&Filter::new(&format!("devices/{thing}/commands/#")).unwrap());
        }
        let same = others.iter().zip(before).filter(|(begins, before)| changes.stamp(**begins) == *before);
        assert!(same.count() > 950);
        changes.note(&Filter::new("devices/+/telemetry").unwrap());
        assert!(changes.stamp(others[7]) > 0);
    }
}
