//! What was meant: shapes read nodes and describe themselves.

use super::tree::{At, Node, Value as Tree};
use super::{Reading, suggestion};
use serde_json::{Value, json};

/// Something that a part of a document can be read as.
pub trait Shape: Sized {
    /// Reads a node. `None` after noting a mistake.
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self>;

    /// Its JSON Schema, without a description.
    fn schema() -> Value;
}

/// A value with its place, for mistakes that only show later.
#[derive(Clone, Debug)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub at: At,
}

impl<T: Shape> Shape for Located<T> {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        T::read(node, reading).map(|value| Self { value, at: node.at.clone() })
    }

    fn schema() -> Value {
        T::schema()
    }
}

/// A list; parts with mistakes are left out.
impl<T: Shape> Shape for Vec<Located<T>> {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        match &node.value {
            Tree::List(items) => Some(items.iter().filter_map(|item| Located::read(item, reading)).collect()),
            _ => {
                reading.unexpected(node, "a list");
                None
            }
        }
    }

    fn schema() -> Value {
        json!({"type": "array", "items": T::schema()})
    }
}

/// Names that the operator chooses, each with a value; those with mistakes are left out.
impl<T: Shape> Shape for Vec<(Located<String>, Located<T>)> {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let Tree::Map(entries) = &node.value else {
            reading.unexpected(node, "names with values");
            return None;
        };
        let mut list: Self = Vec::with_capacity(entries.len().min(1024));
        for (index, (key, value)) in entries.iter().enumerate() {
            if entries.iter().take(index).any(|(earlier, _)| earlier.text == key.text) {
                reading.mistake(&key.at, format!("`{}` is there twice", key.text));
            }
            if let Some(value) = Located::read(value, reading) {
                list.push((Located { value: key.text.clone(), at: key.at.clone() }, value));
            }
        }
        Some(list)
    }

    fn schema() -> Value {
        json!({"type": "object", "additionalProperties": T::schema()})
    }
}

/// One value, or a list of them.
#[derive(Clone, Debug)]
pub struct OneOrMore<T>(pub Vec<Located<T>>);

impl<T: Shape> Shape for OneOrMore<T> {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        match &node.value {
            Tree::List(items) if items.is_empty() => {
                reading.mistake(&node.at, "the list is empty");
                None
            }
            Tree::List(_) => Shape::read(node, reading).map(Self),
            _ => Located::read(node, reading).map(|one| Self(vec![one])),
        }
    }

    fn schema() -> Value {
        json!({"anyOf": [T::schema(), {"type": "array", "items": T::schema(), "minItems": 1}]})
    }
}

/// A choice between words.
pub trait Words: Sized + Copy + 'static {
    /// What is chosen between, for messages: `a protocol`.
    const WHAT: &'static str;
    /// The words and their meanings.
    const WORDS: &'static [(&'static str, Self)];
    /// Words that are no mistake in spelling: they mean something that is not in this version.
    const LATER: &'static [(&'static str, &'static str)] = &[];
}

impl<T: Words> Shape for T {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let scalar = reading.scalar(node, T::WHAT)?;
        let text = scalar.text.as_str();
        if let Some((_, value)) = T::WORDS.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        if let Some((word, help)) = T::LATER.iter().find(|(word, _)| *word == text) {
            reading.mistake(&node.at, format!("`{word}` is not in this version")).help(*help);
            return None;
        }
        let mistake = reading.mistake(&node.at, format!("`{text}` is not {}", T::WHAT));
        let words = T::WORDS.iter().map(|(word, _)| *word);
        mistake.help(match suggestion(text, words.clone()) {
            Some(word) => format!("did you mean `{word}`?"),
            None => format!("write {}", listed(words)),
        });
        None
    }

    fn schema() -> Value {
        or_variable(json!({"enum": T::WORDS.iter().map(|(word, _)| *word).collect::<Vec<_>>()}))
    }
}

/// Words in a sentence: `` `a`, `b` or `c` ``.
fn listed<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let words: Vec<_> = words.map(|word| format!("`{word}`")).collect();
    match words.as_slice() {
        [before @ .., last] if !before.is_empty() => format!("{} or {last}", before.join(", ")),
        words => words.concat(),
    }
}

/// The schema of a value that may also be taken from the environment, as `${NAME}` in text.
pub fn or_variable(schema: Value) -> Value {
    json!({"anyOf": [schema, {"type": "string", "pattern": "\\$\\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\\}"}]})
}
