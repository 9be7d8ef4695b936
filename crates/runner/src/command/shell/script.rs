//! What is known of the text of a shell script.

use std::ops::Range;

/// What a place in a script is surrounded by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// Words with blanks between them: the script itself, and `$(…)`.
    Words,
    /// The same inside backquotes, where a backslash counts twice.
    Backquotes,
    /// `"…"`
    Double,
    /// `'…'`
    Single,
    /// `$((…))`, and `((…))` of bash.
    Arithmetic,
    /// The shell's own `${x:-…}`.
    Default,
    /// A here document whose variables are filled in: `<<END`.
    Document,
    /// A here document that is taken as it is: `<<'END'`.
    Verbatim,
    /// From `#` to the end of the line.
    Comment,
    /// `$'…'`, after a backslash, or nested beyond reason: only text that means itself everywhere can stand there.
    Unclear,
}

/// The end of a here document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delimiter {
    pub text: String,
    /// Whether tabs before it are passed over: `<<-END`.
    pub tabs: bool,
}

/// A `${…}` of onsager's in a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference<'t> {
    pub name: &'t str,
    /// All of it, in bytes.
    pub range: Range<usize>,
    /// What it stands in, the outermost first.
    pub frames: Vec<Frame>,
    /// The end of the here document that it stands in.
    pub delimiter: Option<Delimiter>,
}

/// What is known of a script.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Script<'t> {
    pub references: Vec<Reference<'t>>,
    /// Where each `|` between two commands is.
    pub pipes: Vec<usize>,
    /// Whether it says `set -o pipefail`.
    pub pipefail: bool,
}

impl Delimiter {
    /// Whether this line is the end of the document.
    pub fn ends(&self, line: &str) -> bool {
        let line = if self.tabs { line.trim_start_matches('\t') } else { line };
        line == self.text
    }
}
