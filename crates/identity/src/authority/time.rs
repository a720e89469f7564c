//! Points in time, as certificates and what goes with them write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use windrose_event::Timestamp;

/// Now, on the wall clock.
pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// From seconds since 1970.
pub(super) fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_micros(u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000))
}

/// The whole second that a point in time is in.
pub(super) fn second(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.as_micros() / 1_000_000 * 1_000_000)
}

/// The same for what writes certificates. Such have no years after 9999.
macro_rules! date_time {
    ($at:expr) => {
        rcgen::date_time_ymd(1970, 1, 1) + $crate::authority::time::since_1970($at)
    };
}
pub(super) use date_time;

/// Whole seconds since 1970, in the years that certificates have.
pub(super) fn since_1970(at: Timestamp) -> Duration {
    const YEAR_9999: u64 = 253_370_764_800;
    Duration::from_secs((at.as_micros() / 1_000_000).min(YEAR_9999))
}

/// As GeneralizedTime (RFC 5280 §4.1.2.5.2).
pub(super) fn generalized(at: Timestamp) -> String {
    let at = date_time!(at);
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    format!("{year:04}{month:02}{day:02}{:02}{:02}{:02}Z", at.hour(), at.minute(), at.second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_certificates_have_them() {
        assert_eq!(generalized(Timestamp::from_micros(0)), "19700101000000Z");
        assert_eq!(generalized(moment(1_795_305_599)), "20261121235959Z");
        assert_eq!(generalized(Timestamp::from_micros(u64::MAX)), "99990101000000Z");
    }
}
