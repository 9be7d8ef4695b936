//! The text of a log: its end, and lines that do no harm to a terminal. A log may be of any size and hold anything.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// How much is read at once.
const BLOCK: usize = 64 << 10;

/// Where the last `lines` lines of a file begin.
pub fn start_of_tail(file: &mut File, lines: u64) -> io::Result<u64> {
    let end = file.seek(SeekFrom::End(0))?;
    let (mut at, mut found) = (end, 0);
    let mut block = vec![0; BLOCK];
    while at > 0 {
        let size = at.min(BLOCK as u64);
        at -= size;
        file.seek(SeekFrom::Start(at))?;
        let block = &mut block[..size as usize];
        file.read_exact(block)?;
        for (offset, _) in block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let next = at + offset as u64 + 1;
            // The end of the last line is not the beginning of one.
            if next < end {
                found += 1;
                if found == lines {
                    return Ok(next);
                }
            }
        }
    }
    Ok(if lines == 0 { end } else { 0 })
}

/// The last lines of what is left of a file, as a terminal may show them: no more than so many lines, of no more than so many bytes
/// in all. What is left out at the beginning is told.
pub fn last_lines(file: &mut File, lines: usize, bytes: u64) -> io::Result<Vec<String>> {
    let end = file.seek(SeekFrom::End(0))?;
    let start = end.saturating_sub(bytes);
    file.seek(SeekFrom::Start(start))?;
    let mut read = Vec::new();
    file.take(bytes).read_to_end(&mut read)?;
    let text = String::from_utf8_lossy(&read);
    let mut last = VecDeque::new();
    for line in text.lines() {
        if last.len() == lines {
            last.pop_front();
        }
        last.push_back(shown(line));
    }
    // A progress bar may be one line of megabytes.
    if start > 0 && text.lines().count() <= lines {
        last.push_front(format!("… ({start} bytes before this)"));
    }
    Ok(last.into())
}

/// Hands the rest of a file over as text, block by block; what is no UTF-8 is replaced.
pub fn for_each_text(
    file: &mut File,
    mut take: impl FnMut(&str) -> std::fmt::Result,
) -> io::Result<std::fmt::Result> {
    let mut bytes = Vec::with_capacity(BLOCK + 4);
    loop {
        let read = file.take(BLOCK as u64).read_to_end(&mut bytes)?;
        let mut rest = bytes.as_slice();
        let mut left = 0;
        for chunk in bytes.utf8_chunks() {
            if take(chunk.valid()).is_err() {
                return Ok(Err(std::fmt::Error));
            }
            rest = &rest[chunk.valid().len() + chunk.invalid().len()..];
            // The first bytes of a character, whose others come with the next block.
            if read > 0
                && rest.is_empty()
                && std::str::from_utf8(chunk.invalid()).is_err_and(|error| error.error_len().is_none())
            {
                left = chunk.invalid().len();
            } else if !chunk.invalid().is_empty() && take("\u{fffd}").is_err() {
                return Ok(Err(std::fmt::Error));
            }
        }
        if read == 0 {
            return Ok(Ok(()));
        }
        bytes.drain(..bytes.len() - left);
    }
}

/// A line as a terminal may show it: of what a progress bar wrote over itself only the last, without colours, other control
/// characters in the way of Rust (`\u{7}`).
pub fn shown(line: &str) -> String {
    let line = line.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default();
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = after_colour(rest) {
            rest = after;
            continue;
        }
        if c == '\t' || !harmful(c) {
            text.push(c);
        } else {
            text.extend(c.escape_unicode());
        }
        rest = &rest[c.len_utf8()..];
    }
    text
}

/// Control characters, and those that turn the direction of the text around.
fn harmful(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What follows a sequence that sets a colour or another look: `ESC [ 1 ; 31 m`.
fn after_colour(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("\u{1b}[")?;
    rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').strip_prefix('m')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_a_terminal_obeys_is_shown() {
        for (line, expected) in [
            ("plain\ttext ü ☃", "plain\ttext ü ☃"),
            ("\u{1b}[1;31merror\u{1b}[0m: no", "error: no"),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("\u{1b}[2J\u{1b}[?1049h", "\\u{1b}[2J\\u{1b}[?1049h"),
            ("a\0b", "a\\u{0}b"),
            ("10 %\r50 %\r100 %\r", "100 %"),
            ("\u{9b}31m\u{7f}\u{202e}x", "\\u{9b}31m\\u{7f}\\u{202e}x"),
            ("\u{1b}", "\\u{1b}"),
            ("\u{1b}[", "\\u{1b}["),
        ] {
            assert_eq!(shown(line), expected);
        }
    }

    #[test]
    fn the_tail_begins_at_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let tail = |text: &str, lines| {
            fs::write(&path, text).unwrap();
            text[start_of_tail(&mut File::open(&path).unwrap(), lines).unwrap() as usize..].to_owned()
        };
        assert_eq!(tail("", 3), "");
        assert_eq!(tail("a\nb\nc\n", 0), "");
        assert_eq!(tail("a\nb\nc\n", 1), "c\n");
        assert_eq!(tail("a\nb\nc", 2), "b\nc");
        assert_eq!(tail("a\n\n\n", 2), "\n\n");
        assert_eq!(tail("a\nb\n", 3), "a\nb\n");
        // Across blocks.
        let long = "x".repeat(BLOCK - 1);
        assert_eq!(tail(&format!("one\n{long}\n{long}\n"), 2), format!("{long}\n{long}\n"));
    }

    #[test]
    fn the_last_lines_are_few_and_short() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let last = |text: &str| {
            fs::write(&path, text).unwrap();
            last_lines(&mut File::open(&path).unwrap(), 3, 16).unwrap()
        };
        assert_eq!(last("a\nb\nc\nd\ne\n"), ["c", "d", "e"]);
        assert_eq!(last(&"x".repeat(20)), ["… (4 bytes before this)".to_owned(), "x".repeat(16)]);
        assert_eq!(last("aaaaaaaaaaaaaaaaaaaa\nb\nc\nd\n"), ["b", "c", "d"]);
        assert!(last("").is_empty());
    }
}
