//! The directory's answers as JSON: the same on the command line and in the admin API.

use crate::{Counts, CredentialDetails, Details, Ownership, Status, Summary};
use serde_json::{Map, Value, json};
use windrose_event::Timestamp;

impl Summary {
    /// As JSON: what is not there is left out.
    pub fn json(&self) -> Value {
        Value::Object(self.object())
    }

    fn object(&self) -> Map<String, Value> {
        let mut object = Map::new();
        object.insert("id".to_owned(), json!(&*self.id));
        put(&mut object, "owner", self.owner.as_deref());
        object.insert("groups".to_owned(), self.groups.iter().map(|group| json!(&**group)).collect());
        object.insert("status".to_owned(), json!(self.status.name()));
        if let Status::Quarantined { until } = self.status {
            put(&mut object, "until", Some(rfc3339(until)));
        }
        object
    }
}

impl Details {
    /// As JSON: what is not there is left out.
    pub fn json(&self) -> Value {
        let mut object = self.summary.object();
        put(&mut object, "reason", self.reason.as_deref());
        let attributes = serde_json::from_str(&self.attributes).unwrap_or_else(|_| json!({}));
        object.insert("attributes".to_owned(), attributes);
        put(&mut object, "added", Some(rfc3339(self.added)));
        if self.summary.kind == crate::Kind::Owner {
            object.insert("devices".to_owned(), json!(self.devices));
        }
        let credentials = self.credentials.iter().map(CredentialDetails::json).collect();
        object.insert("credentials".to_owned(), credentials);
        Value::Object(object)
    }
}

impl CredentialDetails {
    /// As JSON: what is not there is left out.
    pub fn json(&self) -> Value {
        let mut object = Map::new();
        object.insert("id".to_owned(), json!(&*self.id));
        object.insert("kind".to_owned(), json!(self.kind.name()));
        put(&mut object, "name", self.name.as_deref());
        put(&mut object, "not_before", self.not_before.map(rfc3339));
        put(&mut object, "not_after", self.not_after.map(rfc3339));
        put(&mut object, "added", Some(rfc3339(self.added)));
        put(&mut object, "used", self.used.map(rfc3339));
        put(&mut object, "revoked", self.revoked.map(rfc3339));
        put(&mut object, "reason", self.reason.as_deref());
        Value::Object(object)
    }
}

impl Ownership {
    /// As JSON: what is not there is left out.
    pub fn json(&self) -> Value {
        let mut object = Map::new();
        object.insert("number".to_owned(), json!(self.number));
        put(&mut object, "at", Some(rfc3339(self.at)));
        put(&mut object, "act", Some(self.act));
        put(&mut object, "before", self.before.as_deref());
        put(&mut object, "after", self.after.as_deref());
        put(&mut object, "by", Some(&*self.by));
        Value::Object(object)
    }
}

impl Counts {
    /// As JSON.
    pub fn json(&self) -> Value {
        let Self { devices, owners, services, credentials } = self;
        json!({"devices": devices, "owners": owners, "services": services, "credentials": credentials})
    }
}

impl Status {
    /// Its name in the APIs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Revoked => "revoked",
            Self::Quarantined { .. } => "quarantined",
            Self::OwnerRevoked => "owner_revoked",
        }
    }
}

fn put<T: AsRef<str>>(object: &mut Map<String, Value>, name: &str, value: Option<T>) {
    if let Some(value) = value {
        object.insert(name.to_owned(), Value::String(value.as_ref().to_owned()));
    }
}

/// A time as RFC 3339 text in UTC, to the second; `9999-12-31T23:59:59Z` for what is later.
pub fn rfc3339(time: Timestamp) -> String {
    let seconds = (time.as_micros() / 1_000_000).min(253_402_300_799);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days are counted from the 1st of March of the year 0, so that a leap day ends a year: 400 years are one era.
    let (era, day_of_era) = ((days + 719_468) / 146_097, (days + 719_468) % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Reads what [`rfc3339`] writes, with an offset or a fraction if there is one; a date alone is its midnight in UTC.
pub fn read_rfc3339(text: &str) -> Option<Timestamp> {
    let number = |range: std::ops::Range<usize>| -> Option<u64> {
        let digits = text.get(range)?;
        digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
    };
    let is = |at: usize, what: &str| text.get(at..at + 1).is_some_and(|found| what.contains(found));
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + u64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if !is(4, "-") || !is(7, "-") || year < 1970 || !(1..=12).contains(&month) || !(1..=length).contains(&day)
    {
        return None;
    }
    let (from_march, year) = if month > 2 { (month - 3, year) } else { (month + 9, year - 1) };
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468;
    if text.len() == 10 {
        return Some(Timestamp::from_micros(days * 86_400_000_000));
    }
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if !is(10, "Tt ") || !is(13, ":") || !is(16, ":") || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let rest = text.get(19..)?;
    let rest = match rest.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|digit: char| digit.is_ascii_digit()),
        None => rest,
    };
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
    let seconds = if rest.eq_ignore_ascii_case("z") {
        seconds
    } else {
        let at = text.len() - rest.len();
        let (hours, minutes) = (number(at + 1..at + 3)?, number(at + 4..at + 6)?);
        let offset = hours * 3_600 + minutes * 60;
        if !is(at + 3, ":") || rest.len() != 6 || hours > 23 || minutes > 59 {
            return None;
        }
        if is(at, "+") {
            seconds.checked_sub(offset)?
        } else if is(at, "-") {
            seconds + offset
        } else {
            return None;
        }
    };
    Some(Timestamp::from_micros(seconds * 1_000_000))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_are_written_and_read() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00Z"),
            (1_795_245_379_000_000, "2026-11-21T07:16:19Z"),
            (4_107_542_399_000_000, "2100-02-28T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(Timestamp::from_micros(micros)), text);
            assert_eq!(read_rfc3339(text).unwrap().as_micros(), micros);
        }
        assert_eq!(rfc3339(Timestamp::from_micros(u64::MAX)), "9999-12-31T23:59:59Z");
        let same = read_rfc3339("2026-11-21T07:16:19Z").unwrap();
        assert_eq!(read_rfc3339("2026-11-21T08:16:19.25+01:00"), Some(same));
        assert_eq!(read_rfc3339("2026-11-20T23:16:19-08:00"), Some(same));
        assert_eq!(read_rfc3339("1970-01-02").unwrap().as_micros(), 86_400_000_000);
        for wrong in [
            "",
            "2026",
            "2026-13-01",
            "2026-02-29",
            "2100-02-29",
            "1969-12-31",
            "2026-11-21T24:00:00Z",
            "2026-11-21T07:16:19",
            "2026-11-21T07:16:19+1",
            "2026-11-21T07:16:19x01:00",
            "2026-11-21T07:16:19Zz",
            "2026-11-2\u{e4}",
        ] {
            assert_eq!(read_rfc3339(wrong), None, "{wrong}");
        }
    }
}
