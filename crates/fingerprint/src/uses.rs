//! The names that a file takes from elsewhere with `use`, so that a path through it leads on to the one file that it means.

use crate::tokens::{Delimiter, Token, is_punct, is_separator, is_word, word};

/// One end of a `use` statement: the path as written, and the name that it gets; no name for a glob.
#[derive(Debug, PartialEq, Eq)]
pub struct Import {
    pub name: Option<String>,
    pub path: Vec<String>,
    /// Whether others can name it through this file: `pub`, or `pub(crate)`.
    pub public: bool,
}

/// The imports of a file's top level.
pub fn imports(tokens: &[Token]) -> Vec<Import> {
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if is_word(Some(token), "use") {
            let public = match &tokens[..at] {
                [.., word, Token::Group(Delimiter::Parenthesis, _)] | [.., word] => {
                    is_word(Some(word), "pub")
                }
                [] => false,
            };
            let from = found.len();
            tree(statement(&tokens[at + 1..]), Vec::new(), &mut found);
            found[from..].iter_mut().for_each(|import| import.public = public);
        }
    }
    found
}

/// The tokens up to the semicolon.
pub fn statement(tokens: &[Token]) -> &[Token] {
    let end = tokens.iter().position(|token| is_punct(Some(token), ';'));
    &tokens[..end.unwrap_or(tokens.len())]
}

/// Reads `a::b as c`, `a::*` or `a::{b, c}` below `path`.
fn tree(tokens: &[Token], mut path: Vec<String>, found: &mut Vec<Import>) {
    let mut at = if is_separator(tokens, 0) { 2 } else { 0 };
    while let Some(token) = tokens.get(at) {
        if let Token::Group(Delimiter::Brace, inner) = token {
            inner
                .split(|token| is_punct(Some(token), ','))
                .for_each(|branch| tree(branch, path.clone(), found));
            return;
        }
        if is_punct(Some(token), '*') {
            found.push(Import { name: None, path, public: false });
            return;
        }
        let Some(part) = word(token) else { return };
        // `a::{self}` is `a`; `self::a` keeps its beginning.
        if part != "self" || path.is_empty() {
            path.push(part.to_owned());
        }
        if is_separator(tokens, at + 1) {
            at += 3;
            continue;
        }
        let name = match is_word(tokens.get(at + 1), "as") {
            true => tokens.get(at + 2).and_then(word).map(str::to_owned),
            false => path.last().cloned(),
        };
        found.push(Import { name: Some(name.unwrap_or_default()), path, public: false });
        return;
    }
}
