//! JSON of tokens and of the hook, read strictly: no name twice, not deep, not many values (RFC 8725 §2.4 and §3: what readers disagree
//! about must not pass).

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::Cell;
use std::fmt;

/// Values in one object, all levels together.
const VALUES: usize = 512;
/// Objects and lists in one another.
const DEPTH: u8 = 6;

/// Reads an object.
pub(crate) fn read_object(bytes: &[u8]) -> Result<Map<String, Value>, String> {
    let budget = Cell::new(VALUES);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { budget: &budget, depth: DEPTH }.deserialize(&mut reader);
    match value.and_then(|value| reader.end().map(|()| value)) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("it is no JSON object".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[derive(Clone, Copy)]
struct Strict<'b> {
    budget: &'b Cell<usize>,
    depth: u8,
}

impl Strict<'_> {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("it is nested too deep"))?;
        Ok(Self { depth, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        let left =
            self.budget.get().checked_sub(1).ok_or_else(|| D::Error::custom("it has too many values"))?;
        self.budget.set(left);
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("it has a number that is none"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(inner)?;
            if object.contains_key(&name) {
                return Err(A::Error::custom("it has a name twice"));
            }
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_readers_could_disagree_about_is_refused() {
        let read = |text: &str| read_object(text.as_bytes());
        assert_eq!(read(r#"{"a": [1, "b", null, true, -2, 1.5]}"#).unwrap().len(), 1);
        assert!(read(r#"{"a": 1, "a": 2}"#).unwrap_err().contains("twice"));
        assert!(read(r#"{"x": {"a": 1, "a": 2}}"#).unwrap_err().contains("twice"));
        assert!(read(r#"{"a": 1} {"a": 2}"#).is_err());
        assert!(read("[1]").is_err());
        assert!(read("").is_err());
        assert!(read("{\"a\": \"\\ud800\"}").is_err(), "half a character");
    }

    #[test]
    fn bombs_are_refused() {
        for depth in [10, 1_000, 100_000] {
            let bomb = format!("{{\"a\": {}1{}}}", "[".repeat(depth), "]".repeat(depth));
            assert!(read_object(bomb.as_bytes()).is_err());
        }
        let wide = format!("{{\"a\": [{}1]}}", "1,".repeat(VALUES));
        assert!(read_object(wide.as_bytes()).unwrap_err().contains("too many"));
    }
}
