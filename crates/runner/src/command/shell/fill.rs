//! Scripts with what their `${…}` stand for.

use crate::command::shell::Language;
use crate::command::shell::quote::{self, QuoteError, foreign, quote};
use crate::command::shell::scan::scan;
use crate::command::shell::script::Reference;
use std::ops::Range;

/// What a name stands for.
pub enum Found {
    /// A text, or several: one word each.
    Texts(Vec<Vec<u8>>),
    /// Paths.
    Paths(Vec<Vec<u8>>),
    /// It stays as it is, for it is filled in later.
    Later,
}

/// Why a script cannot be filled in: the reference at fault, as it is written, and what is wrong.
#[derive(Debug, thiserror::Error)]
#[error("`{written}` cannot be filled in: {reason}")]
pub struct FillError {
    pub written: String,
    pub reason: QuoteError,
}

/// A script in the making.
#[derive(Default)]
struct Filled {
    /// What is filled in by now.
    bytes: Vec<u8>,
    /// The parts that are filled in later.
    later: Vec<Range<usize>>,
}

/// Fills in a script. Where `keep` is set the outcome is a script to be filled in once more, in which `$${` stays the shell's own
/// `${`; else it is what the shell gets. A name that `find` gives nothing for was reported by it: then there is no outcome.
pub fn fill<'t>(
    script: &'t str,
    language: &Language,
    keep: bool,
    mut find: impl FnMut(&'t str) -> Option<Found>,
) -> Option<Result<Vec<u8>, FillError>> {
    let references = match language {
        Language::Shell => scan(script).references,
        Language::Other(_) => plain_references(script),
    };
    let mut filled = Filled::default();
    let mut documents = Vec::new();
    let (mut at, mut sound) = (0, true);
    for reference in &references {
        let written = &script[reference.range.clone()];
        let fail = |reason| Some(Err(FillError { written: written.to_owned(), reason }));
        filled.bytes.extend(unescaped(&script[at..reference.range.start]));
        at = reference.range.end;
        let (texts, path) = match find(reference.name) {
            None => {
                sound = false;
                continue;
            }
            Some(Found::Later) => {
                if filled.bytes.ends_with(b"$") {
                    return fail(QuoteError::Dollar);
                }
                let start = filled.bytes.len();
                filled.bytes.extend(written.as_bytes());
                filled.later.push(start..filled.bytes.len());
                continue;
            }
            Some(Found::Texts(texts)) => (texts, false),
            Some(Found::Paths(paths)) => (paths, true),
        };
        let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
        let quoted = match language {
            Language::Shell => quote(&texts, reference, &script.as_bytes()[at..]),
            Language::Other(program) => foreign(&texts.join(&b' '), path, program),
        };
        let start = filled.bytes.len();
        match quoted {
            Ok(quoted) => filled.bytes.extend(quoted),
            Err(reason) => return fail(reason),
        }
        if let Some(delimiter) = &reference.delimiter {
            documents.push((start..filled.bytes.len(), delimiter, written));
        }
    }
    filled.bytes.extend(unescaped(&script[at..]));
    for (range, delimiter, written) in documents {
        if quote::ends_document(&filled.bytes, range.clone(), delimiter) {
            let reason = QuoteError::EndsDocument { text: quote::shown(&filled.bytes[range]) };
            return Some(Err(FillError { written: written.to_owned(), reason }));
        }
    }
    sound.then(|| Ok(if keep { filled.escaped() } else { filled.bytes }))
}

impl Filled {
    /// With `$${` for every `${` that is not filled in later.
    fn escaped(self) -> Vec<u8> {
        let mut escaped = Vec::with_capacity(self.bytes.len());
        let mut at = 0;
        for later in self.later {
            escaped.extend(escape(&self.bytes[at..later.start]));
            escaped.extend(&self.bytes[later.clone()]);
            at = later.end;
        }
        escaped.extend(escape(&self.bytes[at..]));
        escaped
    }
}

/// The shell's own `${` as a script has it.
pub fn escape(text: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(text.len());
    for (at, byte) in text.iter().enumerate() {
        if text[at..].starts_with(b"${") {
            escaped.push(b'$');
        }
        escaped.push(*byte);
    }
    escaped
}

fn unescaped(text: &str) -> Vec<u8> {
    text.replace("$${", "${").into_bytes()
}

/// The references of a text in another language, in which nothing but `$${` and `${…}` is known.
fn plain_references(text: &str) -> Vec<Reference<'_>> {
    let mut references = Vec::new();
    let mut at = 0;
    while let Some(found) = text[at..].find("${") {
        let start = at + found;
        at = start + 2;
        if text[..start].ends_with('$') {
            continue;
        }
        let Some(length) = text[start..].find('}') else { break };
        let range = start..start + length + 1;
        references.push(Reference {
            name: &text[start + 2..start + length],
            range,
            frames: Vec::new(),
            delimiter: None,
        });
        at = start + length + 1;
    }
    references
}
