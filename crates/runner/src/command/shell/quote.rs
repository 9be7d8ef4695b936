//! Text as a word of a script, whatever it is and whatever kind of quotes it stands in.

use crate::command::shell::script::{Delimiter, Frame, Reference};

/// Why a text cannot stand at a place in a script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuoteError {
    #[error("a text with a NUL character cannot be part of a command")]
    Nul,
    #[error("`{text}` is no whole number, but stands in arithmetic")]
    NoNumber { text: String },
    #[error("`{text}` would need quotes that are not certain to work at this place: {place}")]
    Unclear { text: String, place: &'static str },
    #[error("`{text}` would end the here document that it stands in")]
    EndsDocument { text: String },
    #[error("`{text}` may mean something to `{program}`, whose quotes are not known")]
    Foreign { text: String, program: String },
    #[error("a text that ends in `$` cannot stand before the name of a path")]
    Dollar,
}

impl QuoteError {
    /// What to do.
    pub fn help(&self) -> &'static str {
        match self {
            QuoteError::Nul => "remove it",
            QuoteError::NoNumber { .. } => "give a number, or put the text into a variable first: `x=${…}`",
            QuoteError::Unclear { .. } => {
                "put it into a variable first, `x=${…}`, and write `$x` here; or write `$(…)` for backquotes"
            }
            QuoteError::EndsDocument { .. } => "use another word for the end of the here document",
            QuoteError::Foreign { .. } => {
                "hand it over in the environment, `env: {NAME: \"${…}\"}`, or write `${raw:…}` to insert it as it is"
            }
            QuoteError::Dollar => "put a blank between them, or put the text into a variable first: `x=${…}`",
        }
    }
}

/// Texts, one word for each where words are; `next` is what comes behind.
pub fn quote(texts: &[&[u8]], reference: &Reference, next: &[u8]) -> Result<Vec<u8>, QuoteError> {
    let frames = reference.frames.as_slice();
    let Some((inner, outer)) = frames.split_last() else { return Ok(texts.join(&b' ')) };
    if texts.iter().any(|text| text.contains(&0)) {
        return Err(QuoteError::Nul);
    }
    let whole = texts.join(&b' ');
    let lossy = || shown(&whole);
    let mut quoted = match inner {
        Frame::Words | Frame::Backquotes => words(texts, next),
        Frame::Single => replace(&whole, b"'", b"'\\''"),
        Frame::Double => escape(&whole, b"\\\"$`"),
        Frame::Document => escape(&whole, b"\\$`"),
        Frame::Verbatim => whole,
        Frame::Comment => replace(&whole, b"\n", b" "),
        Frame::Arithmetic if is_number(&whole) => whole,
        Frame::Arithmetic => return Err(QuoteError::NoNumber { text: lossy() }),
        Frame::Default | Frame::Unclear if texts.iter().all(|text| is_plain(text)) => whole,
        Frame::Default if among_words(outer) => words(texts, next),
        Frame::Default => {
            return Err(QuoteError::Unclear {
                text: lossy(),
                place: "inside `${…}` of the shell, inside quotes",
            });
        }
        Frame::Unclear => {
            let place = "after a backslash, inside `$'…'`, or in backquotes within backquotes";
            return Err(QuoteError::Unclear { text: lossy(), place });
        }
    };
    // Backquotes take away one backslash before their content is read.
    for _ in frames.iter().filter(|frame| **frame == Frame::Backquotes) {
        quoted = escape(&quoted, b"\\`$");
    }
    Ok(quoted)
}

/// Whether the shell's own `${…}` stands among words, not in quotes.
fn among_words(outer: &[Frame]) -> bool {
    let around = outer.iter().rev().find(|frame| **frame != Frame::Default);
    matches!(around, Some(Frame::Words | Frame::Backquotes))
}

fn words(texts: &[&[u8]], next: &[u8]) -> Vec<u8> {
    let words: Vec<Vec<u8>> = texts.iter().map(|text| word(text, next)).collect();
    words.join(&b' ')
}

/// A text as one word; in quotes only where it must be, so that scripts stay easy to read.
fn word(text: &[u8], next: &[u8]) -> Vec<u8> {
    // A number before a redirection would be that of a file: `2>out`.
    let number = matches!(next.first(), Some(b'<' | b'>')) && text.iter().all(u8::is_ascii_digit);
    if is_plain(text) && !number {
        return text.to_vec();
    }
    [b"'", replace(text, b"'", b"'\\''").as_slice(), b"'"].concat()
}

/// Whether a text means itself in every kind of quotes, and in none.
pub fn is_plain(text: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+=,:@%".contains(byte);
    // `a=b` may be an assignment.
    let assigns = text.contains(&b'=') && !text.starts_with(b"/") && !text.starts_with(b"-");
    !text.is_empty() && text.iter().all(plain) && !assigns && !is_reserved(text)
}

/// The words that mean something to a shell where a command may begin.
fn is_reserved(text: &[u8]) -> bool {
    const WORDS: [&str; 22] = [
        "if", "then", "else", "elif", "fi", "case", "esac", "for", "while", "until", "do", "done", "in",
        "function", "select", "time", "coproc", "eval", "exec", "set", "trap", "alias",
    ];
    WORDS.iter().any(|word| word.as_bytes() == text)
}

/// A whole number, with its sign.
fn is_number(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

fn escape(text: &[u8], special: &[u8]) -> Vec<u8> {
    text.iter().flat_map(|byte| special.contains(byte).then_some(b'\\').into_iter().chain([*byte])).collect()
}

fn replace(text: &[u8], from: &[u8; 1], with: &[u8]) -> Vec<u8> {
    text.iter().flat_map(|byte| if *byte == from[0] { with.to_vec() } else { vec![*byte] }).collect()
}

/// A text for a program whose quotes are not known: as it is, if it means nothing there.
pub fn foreign(text: &[u8], path: bool, program: &str) -> Result<Vec<u8>, QuoteError> {
    let Ok(known) = std::str::from_utf8(text) else {
        return Err(QuoteError::Foreign { text: shown(text), program: program.to_owned() });
    };
    // A path stands inside quotes of that language; any other text may stand outside.
    let harmless = |c: char| match path {
        true => !c.is_control() && !"\"'`\\${}".contains(c),
        false => c.is_alphanumeric() || " /._-+=,:@%".contains(c),
    };
    match known.chars().all(harmless) {
        true => Ok(text.to_vec()),
        false => Err(QuoteError::Foreign { text: shown(text), program: program.to_owned() }),
    }
}

/// The part of a script from `range` on, as lines: does one of them end the document?
pub fn ends_document(script: &[u8], range: std::ops::Range<usize>, delimiter: &Delimiter) -> bool {
    let start = script[..range.start].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let end =
        script[range.end..].iter().position(|byte| *byte == b'\n').map_or(script.len(), |at| range.end + at);
    String::from_utf8_lossy(&script[start..end]).split('\n').any(|line| delimiter.ends(line))
}

/// A text in a message.
pub fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let short: String = text.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if short.len() < text.len() && text.chars().count() > 60 { format!("{short}…") } else { short }
}
