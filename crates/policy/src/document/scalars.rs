//! Single values: text, numbers, truth values, durations, sizes, names, paths, addresses.

use super::tree::{Node, Value as Tree};
use super::{Reading, Shape, or_variable, variables};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A single value as written, its environment variables filled in.
#[derive(Debug)]
pub struct Scalar {
    /// The value.
    pub text: String,
    /// Whether it may be a number or a truth value: it had no quotes, or it came from the environment.
    pub plain: bool,
}

impl Reading<'_> {
    /// A node as a single value. `None` after noting that it is none, or that `expected` is missing.
    pub fn scalar(&mut self, node: &Node, expected: &str) -> Option<Scalar> {
        let Tree::Scalar { text, plain } = &node.value else {
            self.unexpected(node, expected);
            return None;
        };
        if node.is_null() {
            self.unexpected(node, expected);
            return None;
        }
        let (text, filled) = variables::fill(text, &node.at, self)?;
        Some(Scalar { plain: *plain || filled, text: text.into_owned() })
    }

    /// A node as a whole number in a range.
    fn whole(&mut self, node: &Node, min: u64, max: u64) -> Option<u64> {
        let scalar = self.scalar(node, "a whole number")?;
        let digits = scalar.text.replace('_', "");
        let written = scalar.text.starts_with(|first: char| first.is_ascii_digit());
        match digits.parse::<u64>() {
            Ok(number) if scalar.plain && written => self.bounded(node, number, min, max),
            Ok(_) if written => {
                self.mistake(&node.at, "expected a whole number, found text").help("take the quotes away");
                None
            }
            _ => {
                self.mistake(&node.at, format!("expected a whole number, found `{}`", scalar.text));
                None
            }
        }
    }

    fn bounded(&mut self, node: &Node, number: u64, min: u64, max: u64) -> Option<u64> {
        if (min..=max).contains(&number) {
            return Some(number);
        }
        self.mistake(&node.at, format!("{number} is out of range"))
            .help(format!("write a number from {min} to {max}"));
        None
    }
}

/// Any text.
impl Shape for String {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        reading.scalar(node, "text").map(|scalar| scalar.text)
    }

    fn schema() -> Value {
        json!({"type": "string"})
    }
}

/// Text that is a secret: neither messages nor `Debug` show it.
pub struct Concealed(pub String);

impl std::fmt::Debug for Concealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Concealed(..)")
    }
}

impl Shape for Concealed {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        reading.conceal(&node.at);
        String::read(node, reading).map(Self)
    }

    fn schema() -> Value {
        String::schema()
    }
}

/// `true` or `false`.
impl Shape for bool {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let scalar = reading.scalar(node, "`true` or `false`")?;
        match scalar.text.as_str() {
            "true" if scalar.plain => Some(true),
            "false" if scalar.plain => Some(false),
            text => {
                reading.mistake(&node.at, format!("expected `true` or `false`, found `{text}`"));
                None
            }
        }
    }

    fn schema() -> Value {
        or_variable(json!({"type": "boolean"}))
    }
}

/// A file or a folder, as written: a relative one is meant from the document's folder.
impl Shape for PathBuf {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let text = reading.scalar(node, "a path")?.text;
        if text.is_empty() || text.contains('\0') {
            reading.mistake(&node.at, "expected a path, found an empty one");
            return None;
        }
        Some(text.into())
    }

    fn schema() -> Value {
        json!({"type": "string", "minLength": 1})
    }
}

/// A file that may be none, as written: an empty name is none, so that a variable of the environment can leave it out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MaybeFile(pub Option<PathBuf>);

impl Shape for MaybeFile {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        if reading.scalar(node, "a path")?.text.is_empty() {
            return Some(Self(None));
        }
        PathBuf::read(node, reading).map(|file| Self(Some(file)))
    }

    fn schema() -> Value {
        json!({"type": "string"})
    }
}

/// An IP address and a port.
impl Shape for SocketAddr {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let text = reading.scalar(node, "an address and a port")?.text;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            reading
                .mistake(&node.at, format!("`{text}` is not an IP address with a port"))
                .help("write such as `127.0.0.1:1883`, `0.0.0.0:8883` or `[::]:8883`");
        }
        parsed
    }

    fn schema() -> Value {
        json!({"type": "string", "pattern": "^.+:.+$", "examples": ["127.0.0.1:1883", "[::]:8883"]})
    }
}

/// A name in the document, in metrics and in logs: letters, digits, `-`, `_` and `.`, at most 64 of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(pub String);

impl Name {
    /// Why `text` cannot be a name, if it cannot.
    pub fn mistake(text: &str) -> Option<String> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        (!first || text.len() > 64 || !text.bytes().all(allowed))
            .then(|| format!("`{}` is not a name", text.chars().take(80).collect::<String>()))
    }

    /// What a name is made of, for the help of a mistake.
    pub const HELP: &'static str =
        "a name is at most 64 letters, digits, `-`, `_` and `.`, and begins with a letter or digit";
}

impl Shape for Name {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let text = reading.scalar(node, "a name")?.text;
        if let Some(message) = Self::mistake(&text) {
            reading.mistake(&node.at, message).help(Self::HELP);
            return None;
        }
        Some(Self(text))
    }

    fn schema() -> Value {
        or_variable(json!({"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"}))
    }
}

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole<const MIN: u64, const MAX: u64>(pub u64);

impl<const MIN: u64, const MAX: u64> Shape for Whole<MIN, MAX> {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        reading.whole(node, MIN, MAX).map(Self)
    }

    fn schema() -> Value {
        or_variable(json!({"type": "integer", "minimum": MIN, "maximum": MAX}))
    }
}

/// A size in bytes from `MIN` to `MAX`: a whole number, or one with `KiB`, `MiB` or `GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size<const MIN: u64, const MAX: u64>(pub u64);

impl<const MIN: u64, const MAX: u64> Shape for Size<MIN, MAX> {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let scalar = reading.scalar(node, "a size in bytes")?;
        let (number, unit) = split_unit(&scalar.text);
        let factor: u64 = match unit {
            "" => return reading.whole(node, MIN, MAX).map(Self),
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => {
                reading
                    .mistake(&node.at, format!("`{}` is not a size", scalar.text))
                    .help("write bytes as a number, or such as `64KiB`, `1MiB`, `2GiB`");
                return None;
            }
        };
        match number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)) {
            Some(bytes) => reading.bounded(node, bytes, MIN, MAX).map(Self),
            None => {
                reading.mistake(&node.at, format!("`{}` is not a size", scalar.text));
                None
            }
        }
    }

    fn schema() -> Value {
        or_variable(json!({"anyOf": [
            {"type": "integer", "minimum": MIN, "maximum": MAX},
            {"type": "string", "pattern": "^[0-9]+ ?(KiB|MiB|GiB)$"},
        ]}))
    }
}

/// A duration of at least `MIN` milliseconds: `500ms`, `2s`, `5m`, `1h`, `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait<const MIN: u64>(pub Duration);

/// The longest duration that is taken: 2^32 - 1 seconds, 136 years, the longest that MQTT 5 can name (§3.1.2.11.2).
const LONGEST: Duration = Duration::from_secs(u32::MAX as u64);

impl<const MIN: u64> Shape for Wait<MIN> {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let text = reading.scalar(node, "a duration")?.text;
        let (number, unit) = split_unit(&text);
        let milliseconds: Option<u64> = match unit {
            "ms" => Some(1),
            "s" => Some(1_000),
            "m" => Some(60_000),
            "h" => Some(3_600_000),
            "d" => Some(86_400_000),
            _ => None,
        };
        let number = number.parse::<u64>().ok();
        let (Some(number), Some(milliseconds)) = (number, milliseconds) else {
            let mistake = reading.mistake(&node.at, format!("`{text}` is not a duration"));
            mistake.help(match (number, unit) {
                (Some(number), "") => format!("write the unit: `{number}s` or `{number}ms`"),
                _ => "write a whole number and its unit: `500ms`, `2s`, `5m`, `1h` or `7d`".to_owned(),
            });
            return None;
        };
        let duration = number.checked_mul(milliseconds).map(Duration::from_millis);
        match duration.filter(|duration| *duration <= LONGEST) {
            Some(duration) if duration >= Duration::from_millis(MIN) => Some(Self(duration)),
            Some(_) => {
                reading
                    .mistake(&node.at, format!("`{text}` is too short"))
                    .help(format!("write `{MIN}ms` or more"));
                None
            }
            None => {
                reading.mistake(&node.at, format!("`{text}` is longer than 136 years"));
                None
            }
        }
    }

    fn schema() -> Value {
        or_variable(json!({
            "type": "string", "pattern": "^[0-9]+ ?(ms|s|m|h|d)$", "examples": ["500ms", "2s", "5m", "1h", "7d"],
        }))
    }
}

/// The digits that a text begins with, and what comes after them.
fn split_unit(text: &str) -> (&str, &str) {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    (number, unit.trim_start_matches(' '))
}
