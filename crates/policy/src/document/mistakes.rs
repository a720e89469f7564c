//! What is wrong with a document, and how it is shown.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use std::fmt;
use std::ops::Range;

/// At most how many mistakes are kept: a file of a million bad entries must not fill the memory with complaints.
const MAX_MISTAKES: usize = 100;

/// One mistake, in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// Where it is in the document's structure, such as `routes[2].when`; empty for the whole document.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What would fix it, if that can be said.
    pub help: Option<String>,
    /// The bytes of the document that it is about.
    pub span: Range<usize>,
}

impl Mistake {
    /// Says what would fix it.
    pub fn help(&mut self, help: impl Into<String>) {
        self.help = Some(help.into());
    }
}

/// Everything that is wrong with a document, in the order of the places.
///
/// `Display` shows each mistake with the line it is in, as compilers do; [`Mistakes::render`] does so in colour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    name: String,
    source: String,
    list: Vec<Mistake>,
    omitted: usize,
    concealed: Vec<Range<usize>>,
}

impl Mistakes {
    /// No mistakes yet in the document `source`, which messages call `name`.
    pub(super) fn new(name: &str, source: &str) -> Self {
        Self {
            name: name.to_owned(),
            source: source.to_owned(),
            list: Vec::new(),
            omitted: 0,
            concealed: Vec::new(),
        }
    }

    /// Notes a mistake. Past the bound it is counted only.
    pub(super) fn add(&mut self, mistake: Mistake) -> &mut Mistake {
        if self.list.len() > MAX_MISTAKES {
            self.omitted += 1;
            self.list.truncate(MAX_MISTAKES);
        }
        let last = self.list.len();
        self.list.push(mistake);
        &mut self.list[last]
    }

    /// Notes bytes of the document that must not be shown, because they are a secret.
    pub(super) fn conceal(&mut self, span: Range<usize>) {
        self.concealed.push(span);
    }

    /// Puts them in the order of their places.
    pub(super) fn sorted(mut self) -> Self {
        if self.list.len() > MAX_MISTAKES {
            self.omitted += 1;
            self.list.truncate(MAX_MISTAKES);
        }
        self.list.sort_by_key(|mistake| (mistake.line, mistake.column));
        self
    }

    /// The mistakes in the order of their places.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.list.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len() + self.omitted
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The document's name, as given to the reader.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Each mistake with its line, for a terminal if `color` and as plain text if not. Ends without a line break.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let mut text = String::new();
        for mistake in &self.list {
            if !text.is_empty() {
                text.push_str("\n\n");
            }
            text.push_str(&self.snippet(mistake, &renderer));
        }
        if self.omitted > 0 {
            text.push_str(&format!("\n\nand {} more", self.omitted));
        }
        text
    }

    fn snippet(&self, mistake: &Mistake, renderer: &Renderer) -> String {
        let title = match mistake.path.as_str() {
            "" => mistake.message.clone(),
            path => format!("{path}: {}", mistake.message),
        };
        let line = self.line_at(mistake.span.start);
        let from = mistake.span.start.clamp(line.start, line.end);
        let to = mistake.span.end.max(from + 1).clamp(from, line.end);
        let snippet = Snippet::source(self.shown(&line))
            .line_start(mistake.line)
            .path(self.name.as_str())
            .annotation(AnnotationKind::Primary.span(from - line.start..to - line.start));
        let mut group = Level::ERROR.primary_title(title).element(snippet);
        if let Some(help) = &mistake.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }

    /// The line that a byte is in.
    fn line_at(&self, at: usize) -> Range<usize> {
        let at = at.min(self.source.len());
        let begin = self.source.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |found| found + 1);
        let rest = self.source.get(begin..).unwrap_or_default();
        let line = rest.split('\n').next().unwrap_or_default().trim_end_matches('\r');
        begin..begin + line.len()
    }

    /// A line as it may be shown: secrets in it become stars, a star for each byte so that nothing moves.
    fn shown(&self, line: &Range<usize>) -> String {
        let mut shown = String::with_capacity(line.len());
        for (offset, character) in self.source.get(line.clone()).unwrap_or_default().char_indices() {
            let at = line.start + offset;
            match self.concealed.iter().any(|secret| secret.contains(&at)) {
                true => shown.extend(std::iter::repeat_n('*', character.len_utf8())),
                false => shown.push(character),
            }
        }
        shown
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Mistakes {}
