//! What was written: YAML as a tree in which everything knows its place.

use super::Reading;
use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput};
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

/// The deepest nesting that is read.
const MAX_DEPTH: usize = 64;

/// At most how often the parts of a document may be reached through aliases: they must not multiply without end.
const MAX_ALIASES: usize = 1_000;

/// A place in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    /// Where it is in the structure, such as `routes[2].when`.
    pub path: Rc<str>,
    /// Its bytes in the text.
    pub span: Range<usize>,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

/// A piece of a document.
#[derive(Debug)]
pub struct Node {
    /// Where it is.
    pub at: At,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Debug)]
pub enum Value {
    /// A single value.
    Scalar {
        /// The value, its quotes and escapes taken away.
        text: String,
        /// Whether it was written without quotes, so that it may be a number, a truth value or nothing.
        plain: bool,
    },
    /// A list.
    List(Vec<Rc<Node>>),
    /// Keys and values, in the document's order.
    Map(Vec<(Key, Rc<Node>)>),
}

/// A key of a map.
#[derive(Clone, Debug)]
pub struct Key {
    /// The key.
    pub text: String,
    /// Where it is.
    pub at: At,
}

impl Node {
    /// What kind of value it is, in words for a message.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::List(_) => "a list",
            Value::Map(_) => "keys and values",
            Value::Scalar { .. } if self.is_null() => "nothing",
            Value::Scalar { text, plain: true } => match text.as_str() {
                "true" | "false" => "a truth value",
                text if text.parse::<f64>().is_ok() => "a number",
                _ => "text",
            },
            Value::Scalar { .. } => "text",
        }
    }

    /// Whether nothing was written, or `null`.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }
}

/// Reads the text of `reading`'s document; `None` if it is no YAML, which is then noted as a mistake.
pub(super) fn parse(reading: &mut Reading<'_>) -> Option<Rc<Node>> {
    let source = reading.source();
    let options = granit_parser::options! { emit_comments: false };
    let parser = Parser::new_from_str_with_options(&source, options);
    Builder { parser, anchors: HashMap::new(), aliases: 0, reading }.document()
}

struct Builder<'a, 'r, 'e> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Rc<Node>>,
    aliases: usize,
    reading: &'r mut Reading<'e>,
}

impl<'a> Builder<'a, '_, '_> {
    fn document(&mut self) -> Option<Rc<Node>> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                Event::StreamEnd => return root,
                _ if root.is_some() => {
                    self.reading.mistake(&place("".into(), span), "a second document begins here");
                    return None;
                }
                event => root = Some(self.node("".into(), event, span, 0)?),
            }
        }
    }

    fn next(&mut self) -> Option<(Event<'a>, Span)> {
        match self.parser.next_event()? {
            Ok(next) => Some(next),
            Err(error) => {
                let at = place("".into(), Span::empty(*error.marker()));
                self.reading.mistake(&at, format!("this is not YAML: {}", error.info()));
                None
            }
        }
    }

    fn node(&mut self, path: Rc<str>, event: Event<'a>, span: Span, depth: usize) -> Option<Rc<Node>> {
        let mut at = place(path, span);
        if depth > MAX_DEPTH {
            self.reading.mistake(&at, format!("it is nested deeper than {MAX_DEPTH} levels"));
            return None;
        }
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, _) => {
                (anchor, Value::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain })
            }
            Event::SequenceStart(_, anchor, _) => {
                let mut items = Vec::new();
                let end = loop {
                    let (event, span) = self.next()?;
                    if event == Event::SequenceEnd {
                        break span;
                    }
                    let path = format!("{}[{}]", at.path, items.len()).into();
                    items.push(self.node(path, event, span, depth + 1)?);
                };
                close(&mut at, items.first().map(|item| &item.at), end);
                (anchor, Value::List(items))
            }
            Event::MappingStart(_, anchor, _) => {
                let mut entries = Vec::new();
                let end = loop {
                    let (event, span) = self.next()?;
                    if event == Event::MappingEnd {
                        break span;
                    }
                    let key = self.key(&at.path, event, span)?;
                    let (event, span) = self.next()?;
                    let value = self.node(key.at.path.clone(), event, span, depth + 1)?;
                    entries.push((key, value));
                };
                close(&mut at, entries.first().map(|(key, _)| &key.at), end);
                (anchor, Value::Map(entries))
            }
            Event::Alias(id) => return self.alias(id, &at),
            _ => {
                self.reading.mistake(&at, "a value is expected here");
                return None;
            }
        };
        let node = Rc::new(Node { at, value });
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Some(node)
    }

    fn key(&mut self, parent: &str, event: Event<'a>, span: Span) -> Option<Key> {
        let Event::Scalar(text, ..) = event else {
            self.reading.mistake(&place(parent.into(), span), "a key must be text");
            return None;
        };
        let path = if parent.is_empty() { text.to_string() } else { format!("{parent}.{text}") };
        Some(Key { text: text.into_owned(), at: place(path.into(), span) })
    }

    fn alias(&mut self, id: usize, at: &At) -> Option<Rc<Node>> {
        self.aliases += 1;
        match self.anchors.get(&id) {
            // An alias inside of what it names is not known yet: such a tree would have no end.
            None => {
                self.reading.mistake(at, "this alias refers to what it is part of");
                None
            }
            Some(_) if self.aliases > MAX_ALIASES => {
                self.reading.mistake(at, format!("there are more than {MAX_ALIASES} aliases"));
                None
            }
            Some(node) => Some(node.clone()),
        }
    }
}

fn place(path: Rc<str>, span: Span) -> At {
    let start = span.start.byte_offset().unwrap_or_default();
    let end = span.end.byte_offset().unwrap_or_default().max(start);
    At { path, span: start..end, line: span.start.line(), column: span.start.col() + 1 }
}

/// Where a collection is shown: its brackets if it has them, otherwise its first part.
fn close(at: &mut At, first: Option<&At>, end: Span) {
    let written = !at.span.is_empty();
    match first {
        Some(first) if !written => {
            at.span = first.span.clone();
            (at.line, at.column) = (first.line, first.column);
        }
        _ => at.span.end = end.end.byte_offset().unwrap_or_default().max(at.span.end),
    }
}
