//! One pass over a document: what is read from, and the mistakes found on the way.

use super::tree::{self, At, Node};
use super::{Mistake, Mistakes, Shape};
use std::rc::Rc;

/// Answers for `${NAME}` in values.
pub type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// The state of reading a document.
pub struct Reading<'e> {
    source: Rc<str>,
    environment: Option<Environment<'e>>,
    mistakes: Mistakes,
}

impl<'e> Reading<'e> {
    /// Begins to read `source`, which messages call `name`. `environment` answers for `${NAME}` in values.
    pub fn new(name: &str, source: &str, environment: Environment<'e>) -> Self {
        Self { source: source.into(), environment: Some(environment), mistakes: Mistakes::new(name, source) }
    }

    /// Begins to read a document in which `${NAME}` is nothing but these characters.
    pub fn without_variables(name: &str, source: &str) -> Self {
        Self { source: source.into(), environment: None, mistakes: Mistakes::new(name, source) }
    }

    /// The document's text.
    pub(super) fn source(&self) -> Rc<str> {
        self.source.clone()
    }

    /// The environment, if values may be taken from it.
    pub(super) fn environment(&self) -> Option<Environment<'e>> {
        self.environment
    }

    /// Reads the whole document. `None` if it cannot be read at all.
    pub fn document<T: Shape>(&mut self) -> Option<T> {
        let root = tree::parse(self);
        match root {
            Some(root) => T::read(&root, self),
            None => {
                if self.mistakes.is_empty() {
                    let start = At { path: "".into(), span: 0..0, line: 1, column: 1 };
                    self.mistake(&start, "the document is empty");
                }
                None
            }
        }
    }

    /// Notes a mistake; the caller may add what would fix it.
    pub fn mistake(&mut self, at: &At, message: impl Into<String>) -> &mut Mistake {
        self.mistakes.add(Mistake {
            line: at.line,
            column: at.column,
            path: at.path.to_string(),
            message: message.into(),
            help: None,
            span: at.span.clone(),
        })
    }

    /// Whether a mistake was noted within `at`: what is missing there may be what could not be read.
    pub fn has_mistake_in(&self, at: &At) -> bool {
        self.mistakes
            .iter()
            .any(|mistake| at.span.start <= mistake.span.start && mistake.span.end <= at.span.end)
    }

    /// Notes that what was written there is a secret: no message shows it.
    pub fn conceal(&mut self, at: &At) {
        self.mistakes.conceal(at.span.clone());
    }

    /// Notes that `node` is not what is `expected` there.
    pub fn unexpected(&mut self, node: &Node, expected: &str) -> &mut Mistake {
        let message = match node.is_null() {
            true => format!("a value is missing: expected {expected}"),
            false => format!("expected {expected}, found {}", node.kind()),
        };
        self.mistake(&node.at, message)
    }

    /// The place of a part of a value, if the value is written in the document as it is read; otherwise the place of
    /// the whole value. `part` counts bytes of `text`.
    pub fn within(&self, at: &At, text: &str, part: std::ops::Range<usize>) -> At {
        let written = self.source.get(at.span.clone()).unwrap_or_default();
        let (Some(offset), false) = (written.find(text), text.contains('\n')) else { return at.clone() };
        let (Some(before), Some(_)) = (text.get(..part.start), text.get(part.clone())) else {
            return at.clone();
        };
        let Some(skipped) = written.get(..offset) else { return at.clone() };
        if skipped.contains('\n') {
            return at.clone();
        }
        At {
            path: at.path.clone(),
            span: at.span.start + offset + part.start..at.span.start + offset + part.end,
            line: at.line,
            column: at.column + skipped.chars().count() + before.chars().count(),
        }
    }

    /// The value, if there were no mistakes; otherwise all of them. A reader gives `None` only after noting one.
    pub fn finish<T>(mut self, value: Option<T>) -> Result<T, Mistakes> {
        match value {
            Some(value) if self.mistakes.is_empty() => Ok(value),
            _ => {
                if self.mistakes.is_empty() {
                    let start = At { path: "".into(), span: 0..0, line: 1, column: 1 };
                    self.mistake(&start, "the document could not be read");
                }
                Err(self.mistakes.sorted())
            }
        }
    }
}

/// The word that was most likely meant by `written`, if one is near.
pub fn suggestion<'w>(written: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let written = written.to_lowercase().replace('-', "_");
    words
        .into_iter()
        .filter_map(|word| {
            let plain = word.to_lowercase().replace('-', "_");
            let begins = written.len() >= 3 && (plain.starts_with(&written) || written.starts_with(&plain));
            let distance = strsim::damerau_levenshtein(&written, &plain);
            (begins || distance <= 1.max(plain.len().min(written.len()) / 3)).then_some((distance, word))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}
