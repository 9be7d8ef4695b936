//! The stage kinds that a file defines: `impl Stage for Train { const KIND: &'static str = "train"; … }`.

use crate::tokens::{Token, is_brace, is_punct, is_word, string};

/// The name of each kind, at any depth, macros included; nothing for a name that is no string literal.
pub fn kinds(tokens: &[Token]) -> Vec<Option<String>> {
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if let Token::Group(_, inner) = token {
            found.extend(kinds(inner));
        } else if is_word(Some(token), "impl")
            && let Some(length) = tokens[at..].iter().position(is_brace)
            && is_stage(&tokens[at..at + length])
            && let Token::Group(_, body) = &tokens[at + length]
        {
            // Without a name it implements another trait that is called `Stage`.
            found.extend(name(body));
        }
    }
    found
}

/// Whether the header of an `impl` says `Stage for`.
fn is_stage(header: &[Token]) -> bool {
    header.windows(2).any(|pair| is_word(pair.first(), "Stage") && is_word(pair.last(), "for"))
}

/// What the body of an `impl` says behind `const KIND … =`.
fn name(body: &[Token]) -> Option<Option<String>> {
    let is_kind = |pair: &[Token]| is_word(pair.first(), "const") && is_word(pair.last(), "KIND");
    let constant = &body[body.windows(2).position(is_kind)?..];
    let value = constant.iter().position(|token| is_punct(Some(token), '='))? + 1;
    let literal = constant.get(value).filter(|_| is_punct(constant.get(value + 1), ';'));
    Some(literal.and_then(string).map(str::to_owned))
}
