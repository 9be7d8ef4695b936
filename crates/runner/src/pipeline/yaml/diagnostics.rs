//! What is wrong with a pipeline file, as a person reads it: message, place, line with a caret, advice.

use serde::Serialize;
use std::error::Error;
use std::fmt;
use std::path::PathBuf;

/// More than these are counted, not printed.
const SHOWN: usize = 50;
/// The longest part of a source line that is printed, in characters.
const WIDTH: usize = 100;

/// Everything that is wrong with a pipeline file, in the order of the file.
#[derive(Debug, Clone)]
pub struct Diagnostics {
    /// The file, as the user gave it.
    pub file: PathBuf,
    /// The text of the file.
    pub source: String,
    pub all: Vec<Diagnostic>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    pub message: String,
    /// Where; none when it is about the file as a whole.
    #[serde(flatten)]
    pub place: Option<Place>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// A place in a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file as the user gave it, or the argument (`--set key=value`).
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The line's text.
    #[serde(skip)]
    pub text: String,
    /// How many characters the caret underlines, at least 1.
    #[serde(skip)]
    pub width: usize,
    /// Whether `file` is an argument of the command line.
    #[serde(skip)]
    pub argument: bool,
}

impl Diagnostics {
    /// One diagnostic about a file as a whole.
    pub fn whole(file: PathBuf, message: impl Into<String>, help: Option<String>) -> Diagnostics {
        let all = vec![Diagnostic { message: message.into(), place: None, help }];
        Diagnostics { file, source: String::new(), all }
    }

    /// What is wrong: files, and the command line.
    fn texts(&self) -> String {
        let mut texts: Vec<String> = Vec::new();
        for diagnostic in &self.all {
            let text = match &diagnostic.place {
                Some(place) if place.argument => "the arguments".to_owned(),
                Some(place) => place.file.clone(),
                None => self.file.display().to_string(),
            };
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        texts.join(", ")
    }
}

impl Error for Diagnostics {}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in self.all.iter().take(SHOWN) {
            writeln!(f, "{diagnostic}")?;
        }
        let count = match self.all.len() {
            1 => "1 error".to_owned(),
            n => format!("{n} errors"),
        };
        write!(f, "{count} in {}", self.texts())?;
        if self.all.len() > SHOWN { write!(f, ", the first {SHOWN} are shown") } else { Ok(()) }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", self.message)?;
        let mut gutter = 1;
        if let Some(place) = &self.place {
            let number = if place.argument { " ".to_owned() } else { place.line.to_string() };
            gutter = number.len();
            if place.argument {
                writeln!(f, "{:gutter$}--> {}", "", place.file)?;
            } else {
                writeln!(f, "{:gutter$}--> {}:{}:{}", "", place.file, place.line, place.column)?;
            }
            let (text, before, width) = window(place);
            writeln!(f, "{:gutter$} |", "")?;
            writeln!(f, "{}", format!("{number} | {text}").trim_end())?;
            writeln!(f, "{:gutter$} | {before}{}", "", "^".repeat(width))?;
        }
        if let Some(help) = &self.help {
            let mut lines = help.lines();
            writeln!(f, "{:gutter$} = help: {}", "", lines.next().unwrap_or_default())?;
            for line in lines {
                writeln!(f, "{:gutter$}         {line}", "")?;
            }
        }
        Ok(())
    }
}

/// The part of the line to print, the blank text before the caret, and the caret's width.
fn window(place: &Place) -> (String, String, usize) {
    let chars: Vec<char> = place.text.chars().collect();
    let column = (place.column - 1).min(chars.len());
    let start = if chars.len() <= WIDTH { 0 } else { column.saturating_sub(WIDTH / 2) };
    let end = chars.len().min(start + WIDTH);
    let cut = if start > 0 { "…" } else { "" };
    let mut text = String::from(cut);
    text.extend(&chars[start..end]);
    if end < chars.len() {
        text.push('…');
    }
    let mut before = " ".repeat(cut.chars().count());
    before.extend(chars[start..column].iter().map(|&c| if c == '\t' { '\t' } else { ' ' }));
    (text, before, place.width.min(end.saturating_sub(column)).max(1))
}
