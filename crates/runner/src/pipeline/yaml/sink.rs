//! Where the steps of loading report what is wrong, by span; it turns into [`Diagnostics`] at the end.

use crate::pipeline::yaml::diagnostics::{Diagnostic, Diagnostics, Place};
use crate::store::digest::Digest;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

/// No more errors than these are kept.
const LIMIT: usize = 1000;
/// No more than so many bytes are filled in for the `${…}` of all texts together.
const FILLED_IN: usize = 2 << 30;

/// A range of bytes in one of the [`Sink`]'s texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The text, by its number in the [`Sink`].
    pub text: u32,
    pub start: u32,
    pub end: u32,
}

/// A text that spans point into.
#[derive(Debug)]
pub struct Text {
    /// The file as the user gave it, or the argument.
    pub name: String,
    pub text: String,
    /// Whether it is an argument of the command line.
    pub argument: bool,
}

/// Collects errors. Shared by reference: reporting needs no exclusive access.
#[derive(Debug, Default)]
pub struct Sink {
    /// The files that were read, with the digest of each.
    pub files: Vec<(PathBuf, Digest)>,
    /// The texts of these files.
    pub read: Vec<(PathBuf, String)>,
    /// Texts of files that are not to be read again.
    pub kept: Vec<(PathBuf, String)>,
    texts: Vec<Text>,
    found: RefCell<Found>,
    warnings: RefCell<Vec<(Span, String, String)>>,
    /// The variables of the environment that were read, with the digest of each.
    env: RefCell<BTreeMap<String, Digest>>,
    filled_in: Cell<usize>,
}

#[derive(Debug, Default)]
struct Found {
    errors: Vec<(Option<Span>, String, Option<String>)>,
    /// Instances of a matrix find the same error; it is told once.
    seen: HashSet<(Option<Span>, String)>,
    wrong: HashSet<Span>,
}

impl Sink {
    /// Adds a text that spans may point into, and gives its number. The first one is the file that was asked for.
    pub fn add_text(&mut self, text: Text) -> u32 {
        self.texts.push(text);
        self.texts.len() as u32 - 1
    }

    /// The whole of a text.
    pub fn whole(&self, text: u32) -> &str {
        self.texts.get(text as usize).map_or("", |text| &text.text)
    }

    /// Reports an error at a place.
    pub fn error(&self, span: Span, message: impl Into<String>) {
        self.add(Some(span), message.into(), None);
    }

    /// Reports an error at a place, with what to do.
    pub fn help(&self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.add(Some(span), message.into(), Some(help.into()));
    }

    /// Reports an error, with what to do if it is known.
    pub fn add(&self, span: Option<Span>, message: String, help: Option<String>) {
        let mut found = self.found.borrow_mut();
        if found.errors.len() < LIMIT && found.seen.insert((span, message.clone())) {
            found.errors.push((span, message, help));
        }
    }

    /// Notes something that is allowed, and still likely to be a mistake, with what to do.
    pub fn warn(&self, span: Span, message: String, help: impl Into<String>) {
        self.warnings.borrow_mut().push((span, message, help.into()));
    }

    /// The warnings as text, each once, in the order of the file.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.warnings.borrow().clone();
        warnings.sort_by_key(|(span, ..)| (span.text, span.start));
        warnings.dedup();
        let line = |(span, message, help): (Span, String, String)| {
            let text = self.texts.get(span.text as usize)?;
            let Place { file, line, column, .. } = place(text, &line_starts(&text.text), span);
            Some(format!("{file}:{line}:{column}: {message}; {help}"))
        };
        warnings.into_iter().filter_map(line).collect()
    }

    /// A variable of the environment, which the pipeline depends on from now on.
    pub fn variable(&self, name: &str) -> Option<String> {
        let value = std::env::var(name).ok()?;
        self.env.borrow_mut().insert(name.to_owned(), Digest::of(value.as_bytes()));
        Some(value)
    }

    /// The variables that were read.
    pub fn variables(&self) -> Vec<(String, Digest)> {
        self.env.borrow().iter().map(|(name, value)| (name.clone(), *value)).collect()
    }

    /// How many errors there are so far.
    pub fn count(&self) -> usize {
        self.found.borrow().errors.len()
    }

    /// Notes that the value at this place is wrong, and told to be.
    pub fn wrong(&self, span: Span) {
        self.found.borrow_mut().wrong.insert(span);
    }

    /// Whether the value at this place is wrong: what needs it has nothing new to tell.
    pub fn is_wrong(&self, span: Span) -> bool {
        self.found.borrow().wrong.contains(&span)
    }

    /// Whether further errors would be dropped, so that looking for suggestions is wasted.
    pub fn full(&self) -> bool {
        self.count() >= LIMIT
    }

    /// Counts bytes that are filled in for `${…}`; false when they are too many.
    pub fn filled_in(&self, bytes: usize) -> bool {
        self.filled_in.set(self.filled_in.get().saturating_add(bytes));
        self.filled_in.get() <= FILLED_IN
    }

    /// The text of a span.
    pub fn text(&self, span: Span) -> &str {
        self.whole(span.text).get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// The file, line and column of a span.
    pub fn where_is(&self, span: Span) -> Option<(String, usize, usize)> {
        let text = self.texts.get(span.text as usize)?;
        let Place { file, line, column, .. } = place(text, &line_starts(&text.text), span);
        Some((file, line, column))
    }

    /// The part of `span` that holds `part`, else the whole span.
    pub fn narrow(&self, span: Span, part: &str) -> Span {
        match self.text(span).find(part) {
            Some(at) => {
                let start = span.start + at as u32;
                Span { start, end: start + part.len() as u32, ..span }
            }
            None => span,
        }
    }

    /// The diagnostics in the order of the file, those without a place first; none when all is well.
    pub fn finish(self, file: PathBuf) -> Option<Diagnostics> {
        let mut errors = self.found.into_inner().errors;
        if errors.is_empty() {
            return None;
        }
        errors.sort_by_key(|(span, ..)| span.map(|span| (span.text, span.start)));
        let starts: Vec<Vec<usize>> = self.texts.iter().map(|text| line_starts(&text.text)).collect();
        let place = |span: Span| {
            let text = self.texts.get(span.text as usize)?;
            Some(place(text, &starts[span.text as usize], span))
        };
        let all = errors
            .into_iter()
            .map(|(span, message, help)| Diagnostic { message, place: span.and_then(place), help })
            .collect();
        let source = self.texts.into_iter().next().map(|text| text.text).unwrap_or_default();
        Some(Diagnostics { file, source, all })
    }
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

fn place(text: &Text, starts: &[usize], span: Span) -> Place {
    let mut at = (span.start as usize).min(text.text.len());
    while !text.text.is_char_boundary(at) {
        at -= 1;
    }
    let line = starts.partition_point(|&start| start <= at) - 1;
    let whole = &text.text[starts[line]..];
    let whole = whole.split('\n').next().unwrap_or_default().trim_end_matches('\r');
    let column = text.text[starts[line]..at].chars().count();
    let end = (span.end as usize).max(at).min(starts[line] + whole.len());
    let width = text.text.get(at..end).map_or(1, |part| part.trim_end().chars().count()).max(1);
    Place {
        file: text.name.clone(),
        line: line + 1,
        column: column + 1,
        text: whole.to_owned(),
        width,
        argument: text.argument,
    }
}
