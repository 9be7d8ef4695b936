//! Rust tokens: what to leave out of a digest, how the rest enters it, and small questions about them.

use crate::digest::{hex, of_bytes};
use proc_macro2::{Spacing, TokenStream, TokenTree};
use sha2::{Digest, Sha256};

pub use proc_macro2::Delimiter;

/// One token, or what stands between two delimiters.
#[derive(Debug)]
pub enum Token {
    Group(Delimiter, Vec<Token>),
    /// A character, and whether the next one belongs to the same operator: `< <` and `<<` are not the same.
    Punct(char, bool),
    Word(String),
    Literal(String),
}

/// The tokens of a file without comments; nothing when it is not valid Rust.
pub fn parse(text: &str) -> Option<Vec<Token>> {
    Some(convert(text.parse().ok()?))
}

fn convert(stream: TokenStream) -> Vec<Token> {
    let tokens = stream.into_iter().map(|token| match token {
        TokenTree::Group(group) => Token::Group(group.delimiter(), convert(group.stream())),
        TokenTree::Punct(mark) => Token::Punct(mark.as_char(), mark.spacing() == Spacing::Joint),
        TokenTree::Ident(word) => Token::Word(word.to_string()),
        TokenTree::Literal(value) => Token::Literal(value.to_string()),
    });
    tokens.collect()
}

/// Takes out documentation and items for tests alone: `#[doc]`, which is what `///` stands for, and `#[cfg(test)]` with the
/// item behind it.
pub fn strip(tokens: &mut Vec<Token>) {
    let mut dropped = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let end = match attribute(tokens, at) {
            Some((attribute, after)) if is_word(attribute.first(), "doc") => Some(after),
            Some(_) => test_item(tokens, at),
            None => None,
        };
        dropped.extend(end.map(|end| at..end).into_iter().flatten());
        at = end.unwrap_or(at + 1);
    }
    let (mut at, mut dropped) = (0, dropped.into_iter().peekable());
    tokens.retain(|_| {
        at += 1;
        dropped.next_if_eq(&(at - 1)).is_none()
    });
    for token in tokens {
        if let Token::Group(_, inner) = token {
            strip(inner);
        }
    }
}

/// The contents of the attribute at `at`, and where it ends.
fn attribute(tokens: &[Token], at: usize) -> Option<(&[Token], usize)> {
    if !is_punct(tokens.get(at), '#') {
        return None;
    }
    let group_at = at + 1 + usize::from(is_punct(tokens.get(at + 1), '!'));
    match tokens.get(group_at) {
        Some(Token::Group(Delimiter::Bracket, contents)) => Some((contents, group_at + 1)),
        _ => None,
    }
}

/// Where the item ends that the attributes at `at` keep for tests: behind its first block or semicolon.
fn test_item(tokens: &[Token], mut at: usize) -> Option<usize> {
    const ITEMS: [&str; 15] = [
        "pub",
        "mod",
        "fn",
        "use",
        "const",
        "static",
        "struct",
        "enum",
        "impl",
        "trait",
        "type",
        "unsafe",
        "async",
        "extern",
        "macro_rules",
    ];
    let mut for_tests = false;
    while let Some((contents, after)) = attribute(tokens, at) {
        for_tests |= is_cfg_test(contents);
        at = after;
    }
    // Fields, statements and expressions end elsewhere; they stay in.
    let is_item = tokens.get(at).and_then(word).is_some_and(|word| ITEMS.contains(&word));
    if !for_tests || !is_item {
        return None;
    }
    let ends = |token: &Token| is_brace(token) || is_punct(Some(token), ';');
    let end = at + tokens[at..].iter().position(ends)? + 1;
    // The semicolon behind the braces of a `use`.
    Some(end + usize::from(is_punct(tokens.get(end), ';')))
}

/// The modules that a file declares for tests alone: `#[cfg(test)] mod x;`.
pub fn test_modules(tokens: &[Token]) -> Vec<String> {
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        if let Some(end) = test_item(tokens, at)
            && let [.., Token::Word(declared), name, Token::Punct(';', _)] = &tokens[at..end]
            && declared == "mod"
        {
            found.extend(word(name).map(str::to_owned));
        }
    }
    found
}

/// Whether an attribute is `cfg(test)` and nothing wider.
fn is_cfg_test(contents: &[Token]) -> bool {
    match contents {
        [Token::Word(name), Token::Group(_, condition)] => {
            name == "cfg" && condition.len() == 1 && is_word(condition.first(), "test")
        }
        _ => false,
    }
}

/// Whether a file holds nothing but `mod x;` lines.
pub fn only_declares_modules(tokens: &[Token]) -> bool {
    let mut at = 0;
    while at < tokens.len() {
        if let Some((contents, after)) = attribute(tokens, at) {
            // The macros of such a module are visible in the modules behind it.
            if is_word(contents.first(), "macro_use") {
                return false;
            }
            at = after;
            continue;
        }
        if is_word(tokens.get(at), "pub") {
            let restricted = matches!(tokens.get(at + 1), Some(Token::Group(Delimiter::Parenthesis, _)));
            at += 1 + usize::from(restricted);
        }
        if !is_word(tokens.get(at), "mod") || !is_punct(tokens.get(at + 2), ';') {
            return false;
        }
        at += 3;
    }
    true
}

/// The digest of tokens, in an encoding of our own, which no version of the parser can change.
pub fn digest(tokens: &[Token]) -> Sha256 {
    let mut bytes = Vec::new();
    encode(tokens, &mut bytes);
    Sha256::new_with_prefix(bytes)
}

fn encode(tokens: &[Token], bytes: &mut Vec<u8>) {
    for token in tokens {
        let mut letters = [0; 4];
        let (tag, text) = match token {
            Token::Group(delimiter, inner) => {
                bytes.push(match delimiter {
                    Delimiter::Parenthesis => b'(',
                    Delimiter::Brace => b'{',
                    Delimiter::Bracket => b'[',
                    Delimiter::None => b'<',
                });
                encode(inner, bytes);
                bytes.push(0);
                continue;
            }
            Token::Punct(mark, joint) => (if *joint { b'j' } else { b'p' }, &*mark.encode_utf8(&mut letters)),
            Token::Word(word) => (b'i', word.as_str()),
            Token::Literal(value) => (b'l', value.as_str()),
        };
        bytes.push(tag);
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    }
}

/// The contents of string literals, in order, at any depth.
pub fn collect_strings<'a>(tokens: &'a [Token], found: &mut Vec<&'a str>) {
    for token in tokens {
        match token {
            Token::Group(_, inner) => collect_strings(inner, found),
            other => found.extend(string(other)),
        }
    }
}

/// The identifiers, in order, at any depth.
pub fn collect_words<'a>(tokens: &'a [Token], found: &mut Vec<&'a str>) {
    for token in tokens {
        match token {
            Token::Group(_, inner) => collect_words(inner, found),
            other => found.extend(word(other)),
        }
    }
}

/// The contents of a string literal.
pub fn string(token: &Token) -> Option<&str> {
    let Token::Literal(text) = token else { return None };
    let (start, end) = (text.find('"')?, text.rfind('"')?);
    text.get(start + 1..end)
}

/// The word of an identifier, without `r#`.
pub fn word(token: &Token) -> Option<&str> {
    match token {
        Token::Word(word) => Some(word.trim_start_matches("r#")),
        _ => None,
    }
}

pub fn is_word(token: Option<&Token>, expected: &str) -> bool {
    token.and_then(word) == Some(expected)
}

pub fn is_brace(token: &Token) -> bool {
    matches!(token, Token::Group(Delimiter::Brace, _))
}

pub fn is_punct(token: Option<&Token>, expected: char) -> bool {
    matches!(token, Some(Token::Punct(mark, _)) if *mark == expected)
}

/// Whether `::` stands at `at`.
pub fn is_separator(tokens: &[Token], at: usize) -> bool {
    is_punct(tokens.get(at), ':') && is_punct(tokens.get(at + 1), ':')
}

/// The digest of a Rust file: that of its tokens, where it is valid Rust.
pub fn digest_of(text: &str) -> String {
    match parse(text) {
        Some(mut tokens) => {
            strip(&mut tokens);
            hex(digest(&tokens))
        }
        None => of_bytes(text.as_bytes()),
    }
}
