//! Writing maps.

use super::value::{Map, Value};
use super::write::{put_string, put_symbol, put_value};

/// A map that is put together to be written.
#[derive(Clone, Debug, Default)]
pub struct MapWriter {
    count: u32,
    items: Vec<u8>,
}

impl MapWriter {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// A pair whose key is a symbol.
    pub fn symbol(&mut self, key: &str, value: &Value<'_>) -> &mut Self {
        put_symbol(&mut self.items, key);
        put_value(&mut self.items, value);
        self.count += 2;
        self
    }

    /// A pair whose key is a string.
    pub fn string(&mut self, key: &str, value: &Value<'_>) -> &mut Self {
        put_string(&mut self.items, key);
        put_value(&mut self.items, value);
        self.count += 2;
        self
    }

    /// A pair that is encoded already.
    pub fn raw(&mut self, key: &[u8], value: &[u8]) -> &mut Self {
        self.items.extend_from_slice(key);
        self.items.extend_from_slice(value);
        self.count += 2;
        self
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The map.
    pub fn map(&self) -> Map<'_> {
        Map { count: self.count, items: &self.items }
    }
}
