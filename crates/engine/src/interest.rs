//! Interest: what brokers are asked for, because somebody here subscribed to it and the document allows it.

use crate::io::Output;
use rustc_hash::FxHashMap;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{Filter, Moment};
use windrose_policy::Pool;

/// The most filters that are asked for within one of the document's: beyond them that one is asked for, whole.
const NARROW: usize = 256;

/// How long brokers are still asked for what nobody here wants any more: sessions that move from shard to shard are nowhere
/// for a moment, and must miss nothing in it.
const FADING: Duration = Duration::from_secs(5);

/// The most filters that fade away at once.
const MOST_FADING: usize = 10_000;

/// What all pools of brokers are asked for.
#[derive(Debug, Default)]
pub(crate) struct Interest {
    pools: Vec<Fetching>,
    /// Filters that nobody wants since the present input.
    unwanted: Vec<Filter>,
    fading: FxHashMap<Filter, Moment>,
    due: BTreeSet<(Moment, Filter)>,
}

/// What one pool is asked for.
#[derive(Debug)]
struct Fetching {
    pool: Arc<str>,
    allowed: Vec<Allowed>,
    /// What its members were told to send, and by how many of `allowed`.
    asked: FxHashMap<Filter, u32>,
}

/// One filter of the document, and what of it somebody here wants.
#[derive(Debug)]
struct Allowed {
    filter: Filter,
    /// The parts that are wanted, and by how many local filters each.
    parts: FxHashMap<Filter, u32>,
    /// Whether it is asked for whole.
    whole: bool,
}

impl Interest {
    /// Whether no broker is ever asked for anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.pools.is_empty()
    }

    /// Takes over the pools of a new document; `wanted` is what is subscribed to here.
    pub(crate) fn reload(
        &mut self,
        pools: &[Arc<Pool>],
        wanted: impl Fn() -> Vec<Filter>,
        outputs: &mut VecDeque<Output>,
    ) {
        let allowed = |pool: &Pool| pool.subscribe().to_vec();
        let mut former = std::mem::take(&mut self.pools);
        for pool in pools {
            let filters = allowed(pool);
            let place = former.iter().position(|old| old.pool == pool.name);
            if let Some(place) = place
                && former[place].allowed.iter().map(|allowed| &allowed.filter).eq(&filters)
            {
                self.pools.push(former.swap_remove(place));
                continue;
            }
            if filters.is_empty() {
                continue;
            }
            let mut fetching = Fetching::new(pool.name.clone(), filters);
            for filter in wanted().iter().chain(self.fading.keys()) {
                fetching.change(filter, true, outputs);
            }
            // What both ask for is asked for still: the order of the two words does not matter to who counts.
            self.pools.push(fetching);
        }
        for old in former {
            let now = self.pools.iter().find(|new| new.pool == old.pool);
            for filter in old.asked.into_keys() {
                if now.is_none_or(|now| !now.asked.contains_key(&filter)) {
                    outputs.push_back(Output::Fetch { pool: old.pool.clone(), filter, wanted: false });
                }
            }
        }
    }

    /// Somebody here wants a filter that nobody did.
    pub(crate) fn want(&mut self, filter: &Filter, outputs: &mut VecDeque<Output>) {
        let before = self.unwanted.len();
        self.unwanted.retain(|unwanted| unwanted != filter);
        if self.unwanted.len() < before {
            return;
        }
        match self.fading.remove(filter) {
            Some(due) => drop(self.due.remove(&(due, filter.clone()))),
            None => self.change(filter, true, outputs),
        }
    }

    /// Nobody here wants a filter any more.
    pub(crate) fn leave(&mut self, filter: &Filter) {
        let concerned = |fetching: &Fetching| {
            fetching.allowed.iter().any(|allowed| allowed.filter.intersection(filter).is_some())
        };
        if self.pools.iter().any(concerned) {
            self.unwanted.push(filter.clone());
        }
    }

    /// The end of an input: what nobody wants since then begins to fade.
    pub(crate) fn fade(&mut self, now: Moment) {
        for filter in self.unwanted.drain(..) {
            self.fading.insert(filter.clone(), now + FADING);
            self.due.insert((now + FADING, filter));
        }
    }

    /// Takes a filter that has faded away, and what its pools are not asked for any more.
    pub(crate) fn pop_faded(
        &mut self,
        now: Moment,
        outputs: &mut VecDeque<Output>,
    ) -> Option<Vec<(Arc<str>, Filter)>> {
        let (due, _) = self.due.first()?;
        if *due > now && self.due.len() <= MOST_FADING {
            return None;
        }
        let (_, filter) = self.due.pop_first()?;
        self.fading.remove(&filter);
        let before = outputs.len();
        self.change(&filter, false, outputs);
        let gone = outputs.range(before..).filter_map(|output| match output {
            Output::Fetch { pool, filter, wanted: false } => Some((pool.clone(), filter.clone())),
            _ => None,
        });
        Some(gone.collect())
    }

    /// When [`Interest::pop_faded`] is due.
    pub(crate) fn next_timeout(&self) -> Option<Moment> {
        self.due.first().map(|(due, _)| *due)
    }

    fn change(&mut self, filter: &Filter, wanted: bool, outputs: &mut VecDeque<Output>) {
        for fetching in &mut self.pools {
            fetching.change(filter, wanted, outputs);
        }
    }

    /// Whether a pool is asked for an address.
    pub(crate) fn is_asked(&self, pool: &str, address: &str) -> bool {
        let fetching = self.pools.iter().find(|fetching| *fetching.pool == *pool);
        fetching.is_some_and(|fetching| fetching.asked.keys().any(|filter| filter.matches(address)))
    }
}

impl Fetching {
    fn new(pool: Arc<str>, filters: Vec<Filter>) -> Self {
        let allowed = filters
            .into_iter()
            .map(|filter| Allowed { filter, parts: FxHashMap::default(), whole: false })
            .collect();
        Self { pool, allowed, asked: FxHashMap::default() }
    }

    fn change(&mut self, filter: &Filter, wanted: bool, outputs: &mut VecDeque<Output>) {
        let Self { pool, allowed, asked } = self;
        for allowed in allowed {
            allowed.change(filter, wanted, |filter, wanted| {
                let count = asked.entry(filter.clone()).or_insert(0);
                let before = *count;
                *count = if wanted { before + 1 } else { before.saturating_sub(1) };
                let after = *count;
                if after == 0 {
                    asked.remove(filter);
                }
                if (before == 0) != (after == 0) {
                    let filter = filter.clone();
                    outputs.push_back(Output::Fetch { pool: pool.clone(), filter, wanted });
                }
            });
        }
    }
}

impl Allowed {
    /// Calls `ask` for what is to be asked for, or no longer.
    fn change(&mut self, filter: &Filter, wanted: bool, mut ask: impl FnMut(&Filter, bool)) {
        let Some(part) = self.filter.intersection(filter) else { return };
        let count = self.parts.entry(part.clone()).or_insert(0);
        let before = *count;
        *count = if wanted { before + 1 } else { before.saturating_sub(1) };
        let after = *count;
        if after == 0 {
            self.parts.remove(&part);
        }
        if (before == 0) != (after == 0) && !self.whole {
            ask(&part, wanted);
        }
        if !self.whole && self.parts.len() > NARROW {
            self.whole = true;
            ask(&self.filter, true);
            self.parts.keys().for_each(|part| ask(part, false));
        } else if self.whole && self.parts.len() <= NARROW / 2 {
            self.whole = false;
            self.parts.keys().for_each(|part| ask(part, true));
            ask(&self.filter, false);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn filter(text: &str) -> Filter {
        Filter::new(text).unwrap()
    }

    fn asked(outputs: &mut VecDeque<Output>) -> Vec<String> {
        let word = |output| match output {
            Output::Fetch { filter, wanted, .. } => format!("{}{filter}", if wanted { '+' } else { '-' }),
            _ => String::new(),
        };
        outputs.drain(..).map(word).collect()
    }

    fn interest(allowed: &[&str]) -> Interest {
        let filters = allowed.iter().map(|text| filter(text)).collect();
        Interest { pools: vec![Fetching::new("p".into(), filters)], ..Interest::default() }
    }

    #[test]
    fn what_is_wanted_within_what_is_allowed_is_asked_for_once() {
        let mut interest = interest(&["weather/#", "a/+/c"]);
        let mut outputs = VecDeque::new();
        let mut change = |text: &str, wanted| {
            interest.change(&filter(text), wanted, &mut outputs);
            asked(&mut outputs)
        };
        assert_eq!(change("weather/north", true), ["+weather/north"]);
        assert_eq!(change("other", true), [""; 0]);
        assert_eq!(change("a/b/+", true), ["+a/b/c"], "what both match");
        assert_eq!(change("#", true), ["+weather/#", "+a/+/c"]);
        assert_eq!(change("+/#", true), [""; 0], "it is asked for");
        assert_eq!(change("#", false), [""; 0], "it is still wanted");
        assert_eq!(change("+/#", false), ["-weather/#", "-a/+/c"]);
        assert_eq!(change("weather/north", false), ["-weather/north"]);
        assert_eq!(change("a/b/+", false), ["-a/b/c"]);
        assert!(interest.pools[0].asked.is_empty() && interest.pools[0].allowed[0].parts.is_empty());
    }

    #[test]
    fn what_nobody_wants_is_asked_for_a_little_longer() {
        let mut interest = interest(&["a/#"]);
        let mut outputs = VecDeque::new();
        let start = Moment::default();
        interest.want(&filter("a/b"), &mut outputs);
        interest.leave(&filter("a/b"));
        interest.fade(start);
        interest.want(&filter("a/b"), &mut outputs);
        assert_eq!(asked(&mut outputs), ["+a/b"], "it came back in time");
        interest.leave(&filter("a/b"));
        interest.fade(start);
        assert_eq!(interest.pop_faded(start, &mut outputs), None);
        let due = interest.next_timeout().unwrap();
        assert_eq!(interest.pop_faded(due, &mut outputs), Some(vec![("p".into(), filter("a/b"))]));
        assert_eq!(asked(&mut outputs), ["-a/b"]);
        assert_eq!((interest.next_timeout(), interest.fading.len()), (None, 0));
    }

    #[test]
    fn of_very_many_parts_the_whole_is_asked_for_until_there_are_few() {
        let mut interest = interest(&["a/#"]);
        let mut outputs = VecDeque::new();
        for number in 0..=NARROW {
            interest.change(&filter(&format!("a/{number}")), true, &mut outputs);
        }
        let words = asked(&mut outputs);
        assert_eq!(words.len(), NARROW + 1 + 1 + NARROW + 1);
        assert_eq!(words[NARROW + 1], "+a/#");
        assert_eq!(interest.pools[0].asked.len(), 1);
        for number in 0..=NARROW {
            interest.change(&filter(&format!("a/{number}")), false, &mut outputs);
        }
        assert!(interest.pools[0].asked.is_empty());
    }
}
