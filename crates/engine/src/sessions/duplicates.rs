//! Duplicates: two things with one identity take each other's session for ever.
//!
//! A device on a bad line takes its own session over, too: its old connection is still there when the new one comes. That
//! comes from the address that the old one came from, so such a takeover weighs less. Those of one name are counted on one
//! shard, whichever shards they happen on.

use crate::io::ShardId;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::net::SocketAddr;
use std::sync::Arc;
use windrose_event::{Moment, Principal, Suspicion};
use windrose_policy::Duplicates as Rule;

/// Names that are counted at once on a shard. Others have their turn when these have been quiet.
const MOST: usize = 4_096;

/// How much a takeover from another address weighs, and how much one from the same.
const ELSEWHERE: u32 = 4;
const SAME_PLACE: u32 = 1;

/// Addresses that are remembered of a name, the last ones.
const PEERS: usize = 4;

/// A session was taken over.
#[derive(Clone, Debug)]
pub struct TakenOver {
    pub(crate) session: Arc<str>,
    pub(crate) principal: Principal,
    /// Where the connection came from that had it.
    pub(crate) from: Option<SocketAddr>,
    /// Where the one comes from that has it now.
    pub(crate) to: Option<SocketAddr>,
}

/// The shard of how many that counts the takeovers of a name.
pub(crate) fn counted_on(session: &str, shards: u32) -> ShardId {
    // A node has at most as many shards as 16 bits can number.
    let shard = (super::hash(session) >> 32) % u64::from(shards.max(1));
    ShardId(u16::try_from(shard).unwrap_or_default())
}

#[derive(Debug)]
struct Row {
    since: Moment,
    weight: u32,
    takeovers: u32,
    peers: SmallVec<[SocketAddr; PEERS]>,
}

/// Takeovers of late, by the session's name.
#[derive(Debug, Default)]
pub(crate) struct Duplicates {
    rows: FxHashMap<Arc<str>, Row>,
}

impl Duplicates {
    /// A session was taken over. Says so if that was once too often.
    pub(crate) fn note(&mut self, now: Moment, rule: &Rule, takeover: &TakenOver) -> Option<Suspicion> {
        let is_over = |row: &Row| now.since(row.since) > rule.within;
        if self.rows.len() >= MOST && !self.rows.contains_key(&takeover.session) {
            self.rows.retain(|_, row| !is_over(row));
            if self.rows.len() >= MOST {
                return None;
            }
        }
        let begun = || Row { since: now, weight: 0, takeovers: 0, peers: SmallVec::new() };
        let row = self.rows.entry(takeover.session.clone()).or_insert_with(begun);
        if is_over(row) {
            *row = begun();
        }
        let ip = |peer: Option<SocketAddr>| peer.map(|peer| peer.ip());
        let weight = if ip(takeover.from) == ip(takeover.to) { SAME_PLACE } else { ELSEWHERE };
        row.weight = row.weight.saturating_add(weight);
        row.takeovers = row.takeovers.saturating_add(1);
        for peer in [takeover.from, takeover.to].into_iter().flatten() {
            if !row.peers.contains(&peer) {
                if row.peers.len() >= PEERS {
                    row.peers.remove(0);
                }
                row.peers.push(peer);
            }
        }
        if row.weight < rule.takeovers.max(1).saturating_mul(ELSEWHERE) {
            return None;
        }
        let row = self.rows.remove(&takeover.session)?;
        Some(Suspicion {
            principal: takeover.principal.clone(),
            session: takeover.session.clone(),
            takeovers: row.takeovers,
            peers: row.peers.into_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::Duration;

    fn rule() -> Rule {
        Rule { takeovers: 3, within: Duration::from_secs(60), quarantine: None }
    }

    fn taken(from: &str, to: &str) -> TakenOver {
        TakenOver {
            session: "car-7".into(),
            principal: Principal::Device { id: "car-7".into(), owner: None },
            from: Some(from.parse().unwrap()),
            to: Some(to.parse().unwrap()),
        }
    }

    const A: &str = "192.0.2.1:1000";
    const B: &str = "192.0.2.2:2000";

    #[test]
    fn two_addresses_in_turn_are_suspicious() {
        let mut duplicates = Duplicates::default();
        let now = Moment::default();
        assert!(duplicates.note(now, &rule(), &taken(A, B)).is_none());
        assert!(duplicates.note(now, &rule(), &taken(B, A)).is_none());
        let suspicion = duplicates.note(now, &rule(), &taken(A, B)).unwrap();
        assert_eq!((suspicion.takeovers, suspicion.peers.len()), (3, 2));
        assert!(duplicates.note(now, &rule(), &taken(B, A)).is_none(), "it is counted anew");
    }

    #[test]
    fn one_that_comes_back_is_given_four_times_as_many() {
        let mut duplicates = Duplicates::default();
        let now = Moment::default();
        let noted: Vec<_> = (0..12).map(|_| duplicates.note(now, &rule(), &taken(A, A)).is_some()).collect();
        assert_eq!(noted.iter().position(|suspicious| *suspicious), Some(11));
    }

    #[test]
    fn takeovers_of_long_ago_do_not_count() {
        let mut duplicates = Duplicates::default();
        let mut now = Moment::default();
        for _ in 0..100 {
            assert!(duplicates.note(now, &rule(), &taken(A, B)).is_none());
            now = now + Duration::from_secs(31);
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut duplicates = Duplicates::default();
        let now = Moment::default();
        for number in 0..3 * MOST {
            let takeover = TakenOver { session: number.to_string().into(), ..taken(A, B) };
            duplicates.note(now, &rule(), &takeover);
        }
        assert_eq!(duplicates.rows.len(), MOST);
        let later = now + Duration::from_secs(61);
        duplicates.note(later, &rule(), &taken(A, B));
        assert_eq!(duplicates.rows.len(), 1);
    }
}
