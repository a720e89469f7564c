//! Backoff: how long an event waits before another attempt, and how long a failing member rests.

use crate::random::Random;
use std::time::Duration;
use windrose_event::Outcome;
use windrose_policy::Pool;

/// How long an event waits after its attempt number `attempts` (from 1) failed: doubled each time up to
/// `backoff_max`, with jitter, and at least as long as the member asked for, within the same bound.
pub(super) fn retry_wait(pool: &Pool, attempts: u32, outcome: &Outcome, random: &mut Random) -> Duration {
    let most = pool.backoff_max.max(pool.backoff);
    let ceiling = doubled(pool.backoff, attempts).min(most);
    let asked = match outcome {
        Outcome::Busy { retry_after: Some(after) } | Outcome::Unavailable { retry_after: Some(after) } => {
            (*after).min(most)
        }
        _ => Duration::ZERO,
    };
    random.between(pool.backoff, ceiling).max(asked)
}

/// How long a member rests after its probe number `rests` (from 1) failed. Half of `backoff_max` at most: a single probe
/// is cheap, and a service that is back should not be left waiting.
pub(super) fn rest(pool: &Pool, rests: u32, random: &mut Random) -> Duration {
    let ceiling = doubled(pool.backoff, rests.saturating_sub(1)).min(pool.backoff_max / 2).max(MIN_REST);
    random.between(ceiling / 2, ceiling)
}

/// Even with a backoff of nothing a dead member is not asked in a tight loop.
const MIN_REST: Duration = Duration::from_millis(10);

fn doubled(wait: Duration, times: u32) -> Duration {
    wait.saturating_mul(1u32.checked_shl(times).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::super::pool::tests::pool;
    use super::*;

    #[test]
    fn waits_double_up_to_the_most_and_heed_the_member() {
        let pool = pool();
        let mut random = Random::new(1);
        let failed = Outcome::unavailable();
        for attempts in 1..80 {
            let wait = retry_wait(&pool, attempts, &failed, &mut random);
            let ceiling = Duration::from_millis(100 << attempts.min(10)).min(Duration::from_secs(2));
            assert!(wait >= pool.backoff && wait <= ceiling, "{wait:?} after {attempts}");
            assert!(rest(&pool, attempts, &mut random) <= Duration::from_secs(1));
        }
        let asked = |after| Outcome::Busy { retry_after: Some(Duration::from_secs(after)) };
        assert!(retry_wait(&pool, 1, &asked(1), &mut random) >= Duration::from_secs(1));
        assert_eq!(retry_wait(&pool, 1, &asked(3600), &mut random), Duration::from_secs(2));
    }
}
