//! A table whose entries stay where they are.

/// Entries of one chunk.
const CHUNK: usize = 128;

/// Entries by small numbers. It grows chunk by chunk: a vector would copy all entries whenever it doubles, and what it had
/// before would stay in the process's memory, which for a hundred thousand connections is no trifle.
#[derive(Debug)]
pub struct Table<T> {
    chunks: Vec<Box<[Option<T>; CHUNK]>>,
    len: usize,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }
}

impl<T> Table<T> {
    /// An entry.
    #[inline]
    pub fn get(&self, number: u32) -> Option<&T> {
        let (chunk, place) = split(number);
        self.chunks.get(chunk)?.get(place)?.as_ref()
    }

    /// An entry, to be changed.
    #[inline]
    pub fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let (chunk, place) = split(number);
        self.chunks.get_mut(chunk)?.get_mut(place)?.as_mut()
    }

    /// Enters an entry, and returns what had its number. Numbers should be small: there is room for all smaller ones.
    pub fn put(&mut self, number: u32, entry: T) -> Option<T> {
        let (chunk, place) = split(number);
        while self.chunks.len() <= chunk {
            self.chunks.push(Box::new([const { None }; CHUNK]));
        }
        let former = self.chunks.get_mut(chunk)?.get_mut(place)?.replace(entry);
        self.len += usize::from(former.is_none());
        former
    }

    /// Takes an entry out.
    pub fn take(&mut self, number: u32) -> Option<T> {
        let (chunk, place) = split(number);
        let entry = self.chunks.get_mut(chunk)?.get_mut(place)?.take()?;
        self.len -= 1;
        Some(entry)
    }

    /// How many entries there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All entries with their numbers, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let places = self.chunks.iter().flat_map(|chunk| chunk.iter());
        (0..).zip(places).filter_map(|(number, entry)| Some((number, entry.as_ref()?)))
    }
}

const fn split(number: u32) -> (usize, usize) {
    (number as usize / CHUNK, number as usize % CHUNK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_keep_their_numbers_across_chunks() {
        let mut table = Table::default();
        assert_eq!(table.put(300, "far"), None);
        assert_eq!(table.put(0, "near"), None);
        assert_eq!(table.put(300, "farther"), Some("far"));
        assert_eq!((table.len(), table.get(300), table.get(299)), (2, Some(&"farther"), None));
        assert_eq!(table.get(1_000_000), None);
        assert_eq!(table.iter().collect::<Vec<_>>(), [(0, &"near"), (300, &"farther")]);
        assert_eq!(table.take(300), Some("farther"));
        assert_eq!((table.take(300), table.len(), table.is_empty()), (None, 1, false));
    }
}
