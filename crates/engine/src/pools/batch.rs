//! Batch: which waiting events go out in one request.

use super::pool::{Job, Queue};
use smallvec::SmallVec;
use windrose_event::{Moment, Now};
use windrose_policy::{CloudEventsMode, Pool};

/// When the events that wait may go out: at once, unless the pool collects them and has too few yet.
pub(super) fn ready_at(pool: &Pool, queue: &Queue) -> Option<Moment> {
    let oldest = queue.front()?;
    if pool.mode != CloudEventsMode::Batch || oldest.attempts > 0 || oldest.alone {
        return Some(Moment::default());
    }
    if queue.len() >= pool.batch_events {
        return Some(Moment::default());
    }
    Some(oldest.since + pool.batch_wait)
}

/// Takes the events of one request off the queue: the first, and in batch mode those after it that may go along.
pub(super) fn take(pool: &Pool, queue: &mut Queue, now: Now) -> SmallVec<[Job; 1]> {
    let mut jobs = SmallVec::new();
    jobs.extend(queue.pop());
    let alone = jobs.first().is_none_or(|job: &Job| job.alone);
    if pool.mode == CloudEventsMode::Batch && !alone {
        let joins = |job: &Job| !job.alone && !job.is_late(now.moment) && !job.event.is_expired(now.wall);
        while jobs.len() < pool.batch_events && queue.front().is_some_and(joins) {
            jobs.extend(queue.pop());
        }
    }
    jobs
}
