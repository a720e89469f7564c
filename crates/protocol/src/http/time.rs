//! Times as text: RFC 3339 for CloudEvents, the IMF-fixdate of HTTP headers.

use windrose_event::Timestamp;

const DAY: u64 = 86_400;

/// `2026-11-21T07:16:19.000123Z`.
pub(super) fn rfc3339(time: Timestamp) -> [u8; 27] {
    let micros = time.as_micros();
    let seconds = micros / 1_000_000;
    let (year, month, day) = civil(seconds / DAY);
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    digits(&mut text[0..4], year);
    digits(&mut text[5..7], month);
    digits(&mut text[8..10], day);
    digits(&mut text[11..13], seconds % DAY / 3_600);
    digits(&mut text[14..16], seconds % 3_600 / 60);
    digits(&mut text[17..19], seconds % 60);
    digits(&mut text[20..26], micros % 1_000_000);
    text
}

fn digits(text: &mut [u8], mut number: u64) {
    for digit in text.iter_mut().rev() {
        // The remainder of ten fits a byte.
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Year, month and day from days since 1970-01-01 (Howard Hinnant's `civil_from_days`, for days that are not negative).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// Days since 1970-01-01 of a date from then on.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted_month + 2) / 5 + day.checked_sub(1)?;
    let of_era = year % 400 * 365 + year % 400 / 4 - year % 400 / 100 + of_year;
    (year / 400 * 146_097 + of_era).checked_sub(719_468)
}

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7); the obsolete forms are not understood.
pub(super) fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.trim().split(' ');
    words.next().filter(|weekday| weekday.len() == 4 && weekday.ends_with(','))?;
    let day = number(words.next()?, 1..=31)?;
    let month = words.next()?;
    let month = 1 + u64::try_from(MONTHS.iter().position(|name| *name == month)?).ok()?;
    let year = number(words.next()?, 1970..=9_999)?;
    let mut clock = words.next()?.split(':');
    let hour = number(clock.next()?, 0..=23)?;
    let minute = number(clock.next()?, 0..=59)?;
    let second = number(clock.next()?, 0..=60)?;
    (clock.next().is_none() && words.next() == Some("GMT") && words.next().is_none()).then_some(())?;
    Some(days(year, month, day)? * DAY + hour * 3_600 + minute * 60 + second)
}

/// Whether it is a time as RFC 3339 writes it, such as `2018-04-05T17:31:00Z` or `2018-04-05T17:31:00.5+02:00`.
pub(super) fn is_rfc3339(text: &str) -> bool {
    fn read(text: &str) -> Option<()> {
        let (date, rest) = text.split_at_checked(10)?;
        let mut parts = date.split('-');
        number(parts.next().filter(|year| year.len() == 4)?, 0..=9_999)?;
        number(parts.next().filter(|month| month.len() == 2)?, 1..=12)?;
        number(parts.next().filter(|day| day.len() == 2)?, 1..=31)?;
        let rest = rest.strip_prefix(['T', 't'])?;
        let (clock, rest) = rest.split_at_checked(8)?;
        let mut parts = clock.split(':').map(|part| (part.len() == 2).then_some(part));
        number(parts.next()??, 0..=23)?;
        number(parts.next()??, 0..=59)?;
        number(parts.next()??, 0..=60)?;
        let rest = match rest.strip_prefix('.') {
            Some(fraction) => {
                let end = fraction.find(|digit: char| !digit.is_ascii_digit())?;
                (end > 0).then(|| &fraction[end..])?
            }
            None => rest,
        };
        if matches!(rest, "Z" | "z") {
            return Some(());
        }
        let (hours, minutes) = rest.strip_prefix(['+', '-'])?.split_once(':')?;
        number(Some(hours).filter(|hours| hours.len() == 2)?, 0..=23)?;
        number(Some(minutes).filter(|minutes| minutes.len() == 2)?, 0..=59)?;
        Some(())
    }
    read(text).is_some()
}

fn number(text: &str, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|number| range.contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(seconds: u64, micros: u64) -> String {
        String::from_utf8_lossy(&rfc3339(Timestamp::from_micros(seconds * 1_000_000 + micros))).into_owned()
    }

    #[test]
    fn times_are_written_as_rfc_3339() {
        assert_eq!(written(0, 0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(written(951_782_400, 1), "2000-02-29T00:00:00.000001Z");
        assert_eq!(written(1_795_245_379, 123_456), "2026-11-21T07:16:19.123456Z");
        assert_eq!(written(4_102_444_799, 999_999), "2099-12-31T23:59:59.999999Z");
        assert!(is_rfc3339(&written(1_795_245_379, 5)));
    }

    #[test]
    fn http_dates_are_read() {
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(http_date("Tue, 29 Feb 2000 00:00:00 GMT"), Some(951_782_400));
        for bad in [
            "",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(http_date(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn only_rfc_3339_is_taken_for_a_time() {
        for good in ["2018-04-05T17:31:00Z", "2018-04-05t17:31:00.123456789z", "2018-04-05T17:31:00+02:00"] {
            assert!(is_rfc3339(good), "{good}");
        }
        for bad in [
            "",
            "yesterday",
            "2018-04-05",
            "2018-04-05T17:31:00",
            "2018-13-05T17:31:00Z",
            "2018-04-05T17:31:00.Z",
            "2018-04-05T17:31:00Z\r\n",
            "2018-04-05T17:31:00+2:00",
            "20\u{e9}8-04-05T17:31:00Z",
        ] {
            assert!(!is_rfc3339(bad), "{bad:?}");
        }
    }
}
