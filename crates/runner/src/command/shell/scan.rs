//! Reads the text of a shell script so far as to know in what kind of quotes each `${…}` of onsager's stands, and where pipes are.
//!
//! In the text `${inputs.x}` is a name of onsager's, and `$${` stands for the shell's own `${`. What is not closed is left to the
//! shell to complain of.

use crate::command::shell::script::{Delimiter, Frame, Reference, Script};

/// Deeper nesting is not followed.
const DEPTH: usize = 64;

/// Reads a script.
pub fn scan(text: &str) -> Script<'_> {
    let mut scanner = Scanner {
        text,
        at: 0,
        frames: Vec::new(),
        pending: Vec::new(),
        delimiter: None,
        found: Script::default(),
    };
    while scanner.at < text.len() {
        let before = scanner.at;
        scanner.inside(Frame::Words, |scanner| scanner.words(None));
        // A bracket too many: the shell will say so.
        if scanner.at == before {
            scanner.at += 1;
        }
    }
    scanner.found
}

struct Scanner<'t> {
    text: &'t str,
    at: usize,
    frames: Vec<Frame>,
    /// Here documents that begin with the next line, and whether each is taken as it is.
    pending: Vec<(Delimiter, bool)>,
    delimiter: Option<Delimiter>,
    found: Script<'t>,
}

/// Where in a `case` the reading is.
#[derive(PartialEq, Eq)]
enum Case {
    Subject,
    Pattern,
    Body,
}

/// What is known at a place among words.
struct Words {
    /// Where the word at hand began.
    word: Option<usize>,
    /// Whether the next word is the name of a command, or a word of the shell's like `if`.
    command: bool,
    /// The name of the command at hand.
    name: String,
    cases: Vec<Case>,
    parens: usize,
    /// Inside `[[ … ]]`.
    test: bool,
}

impl<'t> Scanner<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn starts(&self, with: &str) -> bool {
        self.text.as_bytes()[self.at.min(self.text.len())..].starts_with(with.as_bytes())
    }

    fn inside(&mut self, frame: Frame, read: impl FnOnce(&mut Self)) {
        self.frames.push(if self.frames.len() < DEPTH { frame } else { Frame::Unclear });
        read(self);
        self.frames.pop();
    }

    /// Whether nothing more is opened.
    fn deep(&self) -> bool {
        self.frames.len() >= DEPTH
    }

    /// Notes a reference, if there is one here, and goes on behind it.
    fn reference(&mut self) -> bool {
        if !self.starts("${") {
            return false;
        }
        let rest = self.rest();
        let Some(end) = rest.find('}') else { return false };
        let range = self.at..self.at + end + 1;
        let (mut frames, delimiter) = (self.frames.clone(), self.delimiter.clone());
        if self.deep() {
            frames.push(Frame::Unclear);
        }
        self.found.references.push(Reference { name: &rest[2..end], range, frames, delimiter });
        self.at += end + 1;
        true
    }

    /// A backslash, with what it takes the meaning of.
    fn backslash(&mut self) {
        self.at += 1;
        if self.starts("$${") {
            self.at += 3;
        } else if self.starts("${") {
            self.inside(Frame::Unclear, |scanner| _ = scanner.reference());
        } else {
            self.at += self.rest().chars().next().map_or(0, char::len_utf8);
        }
    }

    /// What a dollar begins.
    fn dollar(&mut self) {
        if self.starts("$${") {
            self.at += 3;
            if !self.deep() {
                self.inside(Frame::Default, Self::default);
            }
        } else if self.reference() {
        } else if self.starts("$((") && self.closes_twice(self.at + 3) && !self.deep() {
            self.at += 3;
            self.inside(Frame::Arithmetic, Self::arithmetic);
        } else if self.starts("$(") && !self.deep() {
            self.at += 2;
            self.inside(Frame::Words, |scanner| scanner.words(Some(b')')));
            self.at += 1;
        } else {
            self.at += 1;
        }
    }

    /// Whether the brackets that were opened twice just before are closed by `))`, as those of arithmetic are.
    fn closes_twice(&self, from: usize) -> bool {
        let bytes = self.text.as_bytes();
        let mut depth = 2;
        for (at, byte) in bytes.iter().enumerate().skip(from) {
            match byte {
                b'(' => depth += 1,
                b')' if depth == 2 => return bytes.get(at + 1) == Some(&b')'),
                b')' => depth -= 1,
                _ => {}
            }
        }
        false
    }

    /// `$((…))` behind its beginning.
    fn arithmetic(&mut self) {
        let mut depth = 0;
        while let Some(byte) = self.byte() {
            match byte {
                b')' if depth == 0 => return self.at += 2,
                b'(' => (depth, self.at) = (depth + 1, self.at + 1),
                b')' => (depth, self.at) = (depth - 1, self.at + 1),
                b'$' => self.dollar(),
                b'`' => self.backquotes(),
                b'\\' => self.backslash(),
                _ => self.at += 1,
            }
        }
    }

    /// The shell's own `${…}` behind its beginning.
    fn default(&mut self) {
        let quoted = self.frames.iter().rev().find(|frame| **frame != Frame::Default);
        let quoted = matches!(quoted, Some(Frame::Double | Frame::Document));
        while let Some(byte) = self.byte() {
            match byte {
                b'}' => return self.at += 1,
                b'\'' if !quoted => self.single(),
                b'"' => self.double(),
                b'$' => self.dollar(),
                b'`' => self.backquotes(),
                b'\\' => self.backslash(),
                _ => self.at += 1,
            }
        }
    }

    fn single(&mut self) {
        self.at += 1;
        self.inside(Frame::Single, |scanner| scanner.until(b'\''));
    }

    /// Goes behind the next such byte; there is no meaning in anything before it.
    fn until(&mut self, end: u8) {
        while let Some(byte) = self.byte() {
            if byte == end {
                return self.at += 1;
            }
            if !self.skip_escaped() && !self.reference() {
                self.at += 1;
            }
        }
    }

    /// Passes over `$${`, which is no reference.
    fn skip_escaped(&mut self) -> bool {
        let found = self.starts("$${");
        if found {
            self.at += 3;
        }
        found
    }

    fn double(&mut self) {
        self.at += 1;
        if self.deep() {
            return;
        }
        self.inside(Frame::Double, |scanner| {
            while let Some(byte) = scanner.byte() {
                match byte {
                    b'"' => return scanner.at += 1,
                    b'\\' => scanner.backslash(),
                    b'$' => scanner.dollar(),
                    b'`' => scanner.backquotes(),
                    _ => scanner.at += 1,
                }
            }
        });
    }

    fn backquotes(&mut self) {
        self.at += 1;
        if self.deep() {
            return;
        }
        self.inside(Frame::Backquotes, |scanner| scanner.words(Some(b'`')));
        self.at += 1;
    }

    /// `$'…'` of bash.
    fn ansi(&mut self) {
        self.at += 2;
        self.inside(Frame::Unclear, |scanner| {
            while let Some(byte) = scanner.byte() {
                match byte {
                    b'\'' => return scanner.at += 1,
                    b'\\' => scanner.backslash(),
                    _ if scanner.skip_escaped() || scanner.reference() => {}
                    _ => scanner.at += 1,
                }
            }
        });
    }

    /// Words until the byte that closes them, which is left; to the end of the text where there is none.
    fn words(&mut self, close: Option<u8>) {
        let mut here = Words {
            word: None,
            command: true,
            name: String::new(),
            cases: Vec::new(),
            parens: 0,
            test: false,
        };
        while let Some(byte) = self.byte() {
            if matches!(byte, b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'(' | b')' | b'<' | b'>') {
                self.end_word(&mut here);
            } else if Some(byte) != close && here.word.is_none() && byte != b'#' {
                here.word = Some(self.at);
            }
            match byte {
                b'`' if close == Some(b'`') => return self.end_word(&mut here),
                b')' if here.cases.last() == Some(&Case::Pattern) => {
                    here.cases.pop();
                    here.cases.push(Case::Body);
                    here.command = true;
                    self.at += 1;
                }
                b')' if here.parens > 0 => {
                    here.parens -= 1;
                    here.command = true;
                    self.at += 1;
                }
                b')' if close == Some(b')') || close.is_none() => return,
                b'(' if here.cases.last() == Some(&Case::Pattern) => self.at += 1,
                b'(' if here.command
                    && self.starts("((")
                    && self.closes_twice(self.at + 2)
                    && !self.deep() =>
                {
                    self.at += 2;
                    self.inside(Frame::Arithmetic, Self::arithmetic);
                }
                b'(' => {
                    here.parens += 1;
                    here.command = true;
                    self.at += 1;
                }
                b'|' => self.bar(&mut here),
                b';' | b'&' => {
                    let two = self.starts(";;") || self.starts(";&");
                    if two && here.cases.last() == Some(&Case::Body) {
                        here.cases.pop();
                        here.cases.push(Case::Pattern);
                    }
                    here.command = true;
                    self.at += 1 + usize::from(two);
                }
                b'\n' => {
                    here.command = true;
                    self.at += 1;
                    self.documents();
                }
                b'<' if self.starts("<<<") => self.at += 3,
                b'<' if self.starts("<<") => self.here_document(),
                b'>' if self.starts(">|") || self.starts(">&") => self.at += 2,
                b'#' if here.word.is_none() => self.inside(Frame::Comment, |scanner| {
                    while scanner.byte().is_some_and(|byte| {
                        byte != b'\n' && Some(byte) != close.filter(|close| *close == b'`')
                    }) {
                        if !scanner.skip_escaped() && !scanner.reference() {
                            scanner.at += 1;
                        }
                    }
                }),
                b'\'' => self.single(),
                b'"' => self.double(),
                b'`' => self.backquotes(),
                b'$' if self.starts("$'") => self.ansi(),
                b'$' => self.dollar(),
                b'\\' if self.starts("\\`") && self.frames.contains(&Frame::Backquotes) => {
                    self.nested_backquotes()
                }
                b'\\' => self.backslash(),
                _ => self.at += 1,
            }
        }
        self.end_word(&mut here);
    }

    /// Backquotes inside backquotes: what stands there is left alone.
    fn nested_backquotes(&mut self) {
        self.at += 2;
        self.inside(Frame::Unclear, |scanner| {
            while let Some(byte) = scanner.byte() {
                if scanner.starts("\\`") {
                    return scanner.at += 2;
                }
                if byte == b'`' {
                    return;
                }
                if !scanner.skip_escaped() && !scanner.reference() {
                    scanner.at += 1;
                }
            }
        });
    }

    /// A `|`.
    fn bar(&mut self, here: &mut Words) {
        if self.starts("||") {
            self.at += 2;
        } else {
            if !here.test && here.cases.last() != Some(&Case::Pattern) {
                self.found.pipes.push(self.at);
            }
            self.at += 1;
        }
        here.command = true;
    }

    /// The word at hand is complete.
    fn end_word(&mut self, here: &mut Words) {
        let Some(start) = here.word.take() else { return };
        let word = self.text.get(start..self.at.min(self.text.len())).unwrap_or_default();
        let case = here.cases.last();
        if case == Some(&Case::Subject) && word == "in" {
            here.cases.pop();
            here.cases.push(Case::Pattern);
        } else if word == "esac"
            && (case == Some(&Case::Pattern) || case == Some(&Case::Body) && here.command)
        {
            here.cases.pop();
        } else if here.test {
            here.test = word != "]]";
        } else if here.command {
            match word {
                "case" => here.cases.push(Case::Subject),
                "[[" => here.test = true,
                _ => {}
            }
            let opens = ["if", "then", "elif", "else", "while", "until", "do", "{", "!", "time"];
            here.command = opens.contains(&word);
            here.name = word.to_owned();
        } else if here.name == "set" && word == "pipefail" {
            self.found.pipefail = true;
        }
    }

    /// `<<`, and the word that ends the document.
    fn here_document(&mut self) {
        self.at += 2;
        let tabs = self.starts("-");
        self.at += usize::from(tabs);
        while self.starts(" ") || self.starts("\t") {
            self.at += 1;
        }
        let (mut text, mut verbatim, mut quotes) = (String::new(), false, None);
        while let Some(c) = self.rest().chars().next() {
            match (c, quotes) {
                ('\n', _) => break,
                (' ' | '\t' | ';' | '&' | '|' | '<' | '>' | '(' | ')' | '`', None) => break,
                // It is not known here, so that nobody can tell where the document ends.
                ('$', _) => return,
                ('\'' | '"', None) => (quotes, verbatim) = (Some(c), true),
                ('\\', None) => verbatim = true,
                (c, Some(open)) if c == open => quotes = None,
                (c, _) => text.push(c),
            }
            self.at += c.len_utf8();
        }
        self.pending.push((Delimiter { text, tabs }, verbatim));
    }

    /// The here documents that begin here, at the start of a line.
    fn documents(&mut self) {
        for (delimiter, verbatim) in std::mem::take(&mut self.pending) {
            let outer = self.delimiter.replace(delimiter.clone());
            let frame = if verbatim { Frame::Verbatim } else { Frame::Document };
            self.inside(frame, |scanner| scanner.document(&delimiter, verbatim));
            self.delimiter = outer;
        }
    }

    fn document(&mut self, delimiter: &Delimiter, verbatim: bool) {
        loop {
            let line = self.rest().split('\n').next().unwrap_or_default();
            if delimiter.ends(line) || self.at >= self.text.len() {
                // The end of its line is that of the words before it.
                self.at += line.len() + 1;
                return;
            }
            while let Some(byte) = self.byte() {
                match byte {
                    b'\n' => {
                        self.at += 1;
                        break;
                    }
                    _ if verbatim => {
                        if !self.skip_escaped() && !self.reference() {
                            self.at += 1;
                        }
                    }
                    b'\\' => self.backslash(),
                    b'$' => self.dollar(),
                    b'`' => self.backquotes(),
                    _ => self.at += 1,
                }
            }
        }
    }
}
