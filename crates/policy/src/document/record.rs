//! Records: shapes with named keys.

use super::tree::{Node, Value as Tree};
use super::{At, Located, Reading, Shape, suggestion};
use serde_json::{Value, json};

/// A key that may be left out.
#[derive(Debug)]
pub struct Optional<T>(pub Option<Located<T>>);

/// A key that must be there. `None` only after its mistake was noted.
#[derive(Debug)]
pub struct Required<T>(pub Option<Located<T>>);

impl<T> Optional<T> {
    /// The value, or `default` if it was left out.
    pub fn or(self, default: T) -> T {
        self.get().unwrap_or(default)
    }

    /// The value, if it was written.
    pub fn get(self) -> Option<T> {
        self.0.map(|located| located.value)
    }

    /// Where it was written.
    pub fn at(&self) -> Option<&At> {
        self.0.as_ref().map(|located| &located.at)
    }
}

impl<T> Default for Optional<T> {
    fn default() -> Self {
        Self(None)
    }
}

/// What a record's fields are made of: whether the key must be there, and the shape of its value.
pub trait Field {
    /// Whether the key must be there.
    const REQUIRED: bool;

    /// Reads the value of a key, if the key is there.
    fn take(value: Option<&Node>, reading: &mut Reading<'_>) -> Self;

    /// The value's schema.
    fn schema() -> Value;
}

impl<T: Shape> Field for Optional<T> {
    const REQUIRED: bool = false;

    fn take(value: Option<&Node>, reading: &mut Reading<'_>) -> Self {
        Self(value.and_then(|node| Located::read(node, reading)))
    }

    fn schema() -> Value {
        T::schema()
    }
}

impl<T: Shape> Field for Required<T> {
    const REQUIRED: bool = true;

    fn take(value: Option<&Node>, reading: &mut Reading<'_>) -> Self {
        Self(value.and_then(|node| Located::read(node, reading)))
    }

    fn schema() -> Value {
        T::schema()
    }
}

/// The keys of a node that is to be a record.
pub struct Keys<'n>(Vec<(&'n str, &'n Node)>);

impl<'n> Keys<'n> {
    /// Takes a node's keys. Notes those that are not in `known`, are there twice, or are `required` and not there;
    /// `later` are keys that this version does not have yet, each with what to do instead.
    pub fn of(
        node: &'n Node,
        known: &[&'static str],
        required: &[&'static str],
        later: &[(&'static str, &'static str)],
        reading: &mut Reading<'_>,
    ) -> Option<Self> {
        let Tree::Map(entries) = &node.value else {
            reading.unexpected(node, "keys with values");
            return None;
        };
        let mut keys: Vec<(&str, &Node)> = Vec::with_capacity(entries.len().min(known.len()));
        for (key, value) in entries {
            let name = key.text.as_str();
            if keys.iter().any(|(earlier, _)| *earlier == name) {
                reading.mistake(&key.at, format!("`{name}` is there twice")).help("keep one of the two");
            } else if known.contains(&name) {
                keys.push((name, &**value));
            } else if let Some((_, help)) = later.iter().find(|(word, _)| *word == name) {
                reading.mistake(&key.at, format!("`{name}` is not in this version")).help(*help);
            } else {
                let near = suggestion(name, known.iter().copied());
                let mistake = reading.mistake(&key.at, format!("there is no key `{name}` here"));
                mistake.help(match near {
                    Some(word) => format!("did you mean `{word}`?"),
                    None => format!("the keys here are {}", known.join(", ")),
                });
            }
        }
        for name in required {
            if !keys.iter().any(|(key, _)| key == name) {
                reading.mistake(&node.at, format!("the key `{name}` is missing"));
            }
        }
        Some(Self(keys))
    }

    /// The value of a key.
    pub fn value(&self, name: &str) -> Option<&'n Node> {
        self.0.iter().find(|(key, _)| *key == name).map(|(_, node)| *node)
    }
}

/// A schema with a description: the lines of a doc comment.
pub fn described(mut schema: Value, lines: &[&str]) -> Value {
    let description = lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
    schema["description"] = description.trim().into();
    schema
}

/// The schema of a record.
pub fn record_schema(about: &[&str], properties: Value, required: &[&str]) -> Value {
    let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    described(schema, about)
}

/// Declares a record: a struct whose fields are keys of the document. Reading and JSON Schema both come from it.
///
/// A field is an `Optional<T>` or a `Required<T>`; its doc comment is the key's description. `later { "key" => "help" }`
/// after the fields names keys that are known but not in this version.
#[macro_export]
macro_rules! record {
    (
        $(#[doc = $about:literal])*
        $visibility:vis struct $name:ident {
            $( $(#[doc = $doc:literal])* $field:ident : $type:ty ),* $(,)?
        }
        $( later { $( $later:literal => $help:literal ),* $(,)? } )?
    ) => {
        $(#[doc = $about])*
        #[derive(Debug)]
        $visibility struct $name {
            $( $(#[doc = $doc])* $visibility $field: $type, )*
        }

        impl $crate::document::Shape for $name {
            fn read(
                node: &$crate::document::Node,
                reading: &mut $crate::document::Reading<'_>,
            ) -> Option<Self> {
                const KEYS: &[&str] = &[ $( $crate::document::key(stringify!($field)) ),* ];
                const LATER: &[(&str, &str)] = &[ $( $( ($later, $help) ),* )? ];
                let keys = $crate::document::Keys::of(node, KEYS, &Self::required(), LATER, reading)?;
                Some(Self {
                    $( $field: $crate::document::Field::take(
                        keys.value($crate::document::key(stringify!($field))), reading,
                    ), )*
                })
            }

            fn schema() -> $crate::document::Json {
                let mut properties = $crate::document::Json::Object(Default::default());
                $( properties[$crate::document::key(stringify!($field))] = $crate::document::described(
                    <$type as $crate::document::Field>::schema(), &[ $( $doc ),* ],
                ); )*
                $crate::document::record_schema(&[ $( $about ),* ], properties, &Self::required())
            }
        }

        impl $name {
            fn required() -> Vec<&'static str> {
                let mut required = Vec::new();
                $( if <$type as $crate::document::Field>::REQUIRED {
                    required.push($crate::document::key(stringify!($field)));
                } )*
                required
            }
        }
    };
}

/// A field's name as a key: `r#match` is `match`.
pub const fn key(field: &'static str) -> &'static str {
    match field.as_bytes() {
        [b'r', b'#', ..] => field.split_at(2).1,
        _ => field,
    }
}
