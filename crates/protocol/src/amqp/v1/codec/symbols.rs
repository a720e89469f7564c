//! Fields that have any number of symbols (part 1 §1.4, multiple).

use super::value::{Array, Value};

/// Any number of symbols: nothing, one, or an array, as peers write it or as we do.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Symbols<'a> {
    /// None.
    #[default]
    None,
    /// One, by itself.
    One(&'a str),
    /// An array that was read.
    Array(Array<'a>),
    /// Those that are to be written.
    Slice(&'a [&'a str]),
}

impl<'a> Symbols<'a> {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let (one, array, slice): (_, _, &[&str]) = match *self {
            Self::None => (None, None, &[]),
            Self::One(one) => (Some(one), None, &[]),
            Self::Array(array) => (None, Some(array), &[]),
            Self::Slice(slice) => (None, None, slice),
        };
        let of_array = array.into_iter().flat_map(|array| array.iter()).filter_map(|value| match value {
            Ok(Value::Symbol(symbol)) => Some(symbol),
            _ => None,
        });
        one.into_iter().chain(of_array).chain(slice.iter().copied())
    }

    /// Whether one of them is this.
    pub fn has(&self, symbol: &str) -> bool {
        self.iter().any(|one| one == symbol)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}
