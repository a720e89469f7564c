//! Values as text, for those who know nothing else: simple ones as they read, compound ones as JSON.

use super::ids::uuid;
use crate::amqp::v1::codec::Value;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Number, Value as Json};
use windrose_event::Text;

/// The text of a simple value; of a compound one, JSON. `None`: null.
pub(crate) fn text_of(value: &Value<'_>) -> Option<Text> {
    Some(match value {
        Value::String(text) | Value::Symbol(text) => Text::from(*text),
        Value::Boolean(true) => Text::from_static("true"),
        Value::Boolean(false) => Text::from_static("false"),
        Value::Null => return None,
        value => match json_of(value, 0) {
            Json::String(text) => text.into(),
            other => other.to_string().into(),
        },
    })
}

/// Levels of compound values that are looked into.
const MOST_LEVELS: usize = 16;

/// The value as JSON. What JSON has no word for is a string.
pub(super) fn json_of(value: &Value<'_>, level: usize) -> Json {
    if level > MOST_LEVELS {
        return Json::Null;
    }
    let next = |value: Value<'_>| json_of(&value, level + 1);
    match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => Json::Bool(*value),
        Value::Ulong(number) => (*number).into(),
        Value::Float(number) => float((*number).into()),
        Value::Double(number) => float(*number),
        Value::Char(one) => Json::String(one.to_string()),
        Value::Timestamp(millis) => Json::String(rfc3339(*millis)),
        Value::Uuid(bytes) => Json::String(uuid(bytes)),
        Value::Binary(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Json::String(text.to_owned()),
            Err(_) => Json::String(STANDARD.encode(bytes)),
        },
        Value::String(text) | Value::Symbol(text) => Json::String((*text).to_owned()),
        Value::List(list) => Json::Array(list.iter().map_while(Result::ok).map(next).collect()),
        Value::Array(array) => Json::Array(array.iter().map_while(Result::ok).map(next).collect()),
        Value::Map(map) => {
            let pair = |(key, value): (Value<'_>, Value<'_>)| {
                (text_of(&key).map(|key| key.to_string()).unwrap_or_default(), next(value))
            };
            Json::Object(map.iter().map_while(Result::ok).map(pair).collect())
        }
        Value::Described(described) => described.value().map_or(Json::Null, next),
        Value::Decimal32(bytes) => Json::String(hex(bytes)),
        Value::Decimal64(bytes) => Json::String(hex(bytes)),
        Value::Decimal128(bytes) => Json::String(hex(bytes)),
        number => match number.integer().map(i64::try_from) {
            Some(Ok(number)) => number.into(),
            _ => Json::Null,
        },
    }
}

fn float(number: f64) -> Json {
    Number::from_f64(number).map_or_else(|| Json::String(number.to_string()), Json::Number)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `2026-11-21T07:16:19.123Z`; years before 0 and after 9999 as they are.
pub(super) fn rfc3339(millis: i64) -> String {
    let (days, of_day) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
    // Days since 0000-03-01, in eras of 400 years.
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second, milli) =
        (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1_000 % 60, of_day % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_everybody_writes_them() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_400_001), "2000-02-29T00:00:00.001Z");
        assert_eq!(rfc3339(1_795_245_379_123), "2026-11-21T07:16:19.123Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn simple_values_read_as_they_are() {
        for (value, text) in [
            (Value::Int(-7), "-7"),
            (Value::Ulong(u64::MAX), "18446744073709551615"),
            (Value::Boolean(true), "true"),
            (Value::Double(1.5), "1.5"),
            (Value::Symbol("s"), "s"),
            (Value::Uuid([0x11; 16]), "11111111-1111-1111-1111-111111111111"),
            (Value::Binary(b"\xff"), "/w=="),
        ] {
            assert_eq!(text_of(&value).as_deref(), Some(text));
        }
        assert_eq!(text_of(&Value::Null), None);
    }
}
