//! LaTeX as far as it has to be understood: comments, commands with their arguments, and where the text is.

use std::ops::Range;

/// What stands between these is taken as it is.
const VERBATIM: [&str; 4] = ["verbatim", "verbatim*", "lstlisting", "comment"];

/// A command with its arguments, as ranges of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Without the backslash; a star behind it is left out.
    pub name: String,
    /// From the backslash to the end of the last argument.
    pub range: Range<usize>,
    /// What is in brackets.
    pub options: Vec<Range<usize>>,
    /// What is in braces.
    pub arguments: Vec<Range<usize>>,
}

/// The text without comments and what is verbatim: blanks stand there, so that every byte keeps its place.
pub fn without_comments(text: &str) -> String {
    let mut out = text.as_bytes().to_vec();
    let mut at = 0;
    while at < out.len() {
        match out[at] {
            b'\\' => {
                let rest = &text[at..];
                let verbatim = VERBATIM.iter().find(|name| rest.starts_with(&format!("\\begin{{{name}}}")));
                if let Some(name) = verbatim {
                    let end = format!("\\end{{{name}}}");
                    let stop = rest.find(&end).map_or(text.len(), |found| at + found);
                    blank(&mut out, at..stop);
                    at = stop.max(at + 1);
                } else if let Some(inside) = rest.strip_prefix("\\verb").filter(|after| {
                    after.starts_with(|c: char| !c.is_alphanumeric() && c != '*' && !c.is_whitespace())
                }) {
                    let mark = inside.chars().next().unwrap_or('|');
                    let length = inside[mark.len_utf8()..]
                        .find(mark)
                        .map_or(inside.len(), |found| mark.len_utf8() + found + mark.len_utf8());
                    let stop = at + "\\verb".len() + length;
                    blank(&mut out, at..stop);
                    at = stop;
                } else {
                    // Whatever stands behind a backslash is no comment.
                    at += 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
                }
            }
            b'%' => {
                let stop = text[at..].find('\n').map_or(text.len(), |found| at + found);
                blank(&mut out, at..stop);
                at = stop;
            }
            _ => at += 1,
        }
    }
    String::from_utf8(out).unwrap_or_default()
}

/// Blanks in the place of bytes; lines stay.
fn blank(bytes: &mut [u8], range: Range<usize>) {
    for byte in &mut bytes[range] {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

/// The same with blanks in these places.
pub fn without(text: &str, ranges: impl IntoIterator<Item = Range<usize>>) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for range in ranges {
        if range.end <= bytes.len() {
            blank(&mut bytes, range);
        }
    }
    // Whole characters were taken, as the ranges end at braces.
    String::from_utf8(bytes).unwrap_or_default()
}

/// Every command of a text without comments.
pub fn calls(text: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut at = 0;
    while let Some(found) = text[at..].find('\\') {
        let start = at + found;
        let rest = &text[start + 1..];
        let length = rest.find(|c: char| !c.is_ascii_alphabetic() && c != '@').unwrap_or(rest.len());
        if length == 0 {
            at = start + 1 + rest.chars().next().map_or(0, char::len_utf8);
            continue;
        }
        let mut end = start + 1 + length;
        let name = text[start + 1..end].to_owned();
        at = end;
        if text[end..].starts_with('*') {
            end += 1;
        }
        let mut call = Call { name, range: start..end, options: Vec::new(), arguments: Vec::new() };
        loop {
            let behind = &text[end..];
            let blanks = behind.len() - behind.trim_start_matches([' ', '\t', '\n', '\r']).len();
            // A new paragraph has nothing to do with it.
            if behind[..blanks].matches('\n').count() > 1 {
                break;
            }
            let open = end + blanks;
            let (close, into) = match text[open..].chars().next() {
                Some('[') => (closing(text, open, b'[', b']'), &mut call.options),
                Some('{') => (closing(text, open, b'{', b'}'), &mut call.arguments),
                _ => break,
            };
            let Some(close) = close else { break };
            into.push(open + 1..close);
            end = close + 1;
        }
        call.range.end = end;
        calls.push(call);
    }
    calls
}

/// Where the bracket ends that opens here; braces inside are kept together.
fn closing(text: &str, open: usize, opens: u8, closes: u8) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut depth, mut braces) = (0usize, 0usize);
    let mut at = open;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            byte if byte == opens && (opens == b'{' || braces == 0) => depth += 1,
            byte if byte == closes && (opens == b'{' || braces == 0) => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            b'{' => braces += 1,
            b'}' => braces = braces.checked_sub(1)?,
            _ => {}
        }
        at += 1;
    }
    None
}

/// The line and the column of a byte, both from 1.
pub fn place(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    (line, before[start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_verbatim_are_blank_and_nothing_moves() {
        let text = "a 50\\% % 0.498\n\\verb|%| b\n\\begin{verbatim}\n0.5 é\n\\end{verbatim} c";
        let plain = without_comments(text);
        assert_eq!(plain.len(), text.len());
        assert!(plain.contains("a 50\\% ") && plain.contains(" b\n") && plain.ends_with("\\end{verbatim} c"));
        assert!(!plain.contains("0.498") && !plain.contains("0.5") && !plain.contains("verb|"));
    }

    #[test]
    fn commands_have_arguments() {
        let text = "\\onsager[3]{free.slope} \\includegraphics [width={a]}] {x_{1}}\\\\ \\alpha b \\open{";
        let found = calls(text);
        let names: Vec<&str> = found.iter().map(|call| call.name.as_str()).collect();
        assert_eq!(names, ["onsager", "includegraphics", "alpha", "open"]);
        assert_eq!(
            (&text[found[0].options[0].clone()], &text[found[0].arguments[0].clone()]),
            ("3", "free.slope")
        );
        assert_eq!(&text[found[1].options[0].clone()], "width={a]}");
        assert_eq!(&text[found[1].arguments[0].clone()], "x_{1}");
        assert!(found[2].arguments.is_empty() && found[3].arguments.is_empty());
        assert_eq!(place("a\nbé c", 6), (2, 4));
    }
}
