//! Rust tokens: what to leave out of a digest, how the rest enters it, and small questions about them.

use proc_macro2::{Delimiter, Group, Spacing, TokenTree};
use sha2::{Digest, Sha256};

/// The tokens without documentation and without items for tests alone: `#[doc]`, which is what `///` stands for, and
/// `#[cfg(test)]` with the item behind it.
pub fn strip(tokens: &[TokenTree]) -> Vec<TokenTree> {
    let mut kept = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if let Some((attribute, after)) = attribute(tokens, at) {
            if attribute.first().and_then(ident).as_deref() == Some("doc") {
                at = after;
                continue;
            }
            if let Some(end) = test_item(tokens, at) {
                at = end;
                continue;
            }
        }
        kept.push(match token {
            TokenTree::Group(inner) => {
                let contents: Vec<TokenTree> = inner.stream().into_iter().collect();
                TokenTree::Group(Group::new(inner.delimiter(), strip(&contents).into_iter().collect()))
            }
            other => other.clone(),
        });
        at += 1;
    }
    kept
}

/// The contents of the attribute at `at`, and where it ends.
fn attribute(tokens: &[TokenTree], at: usize) -> Option<(Vec<TokenTree>, usize)> {
    let hash = tokens.get(at).is_some_and(|token| is_punct(token, '#'));
    let inner = usize::from(tokens.get(at + 1).is_some_and(|token| is_punct(token, '!')));
    let group_at = at + 1 + inner;
    match tokens.get(group_at).and_then(group) {
        Some((Delimiter::Bracket, contents)) if hash => Some((contents, group_at + 1)),
        _ => None,
    }
}

/// Where the item ends that the attributes at `at` keep for tests: behind its first block or semicolon.
fn test_item(tokens: &[TokenTree], mut at: usize) -> Option<usize> {
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
        for_tests |= is_cfg_test(&contents);
        at = after;
    }
    // Fields, statements and expressions end elsewhere; they stay in.
    let is_item = tokens.get(at).and_then(ident).is_some_and(|word| ITEMS.contains(&word.as_str()));
    if !for_tests || !is_item {
        return None;
    }
    let ends = |token: &TokenTree| is_brace(token) || is_punct(token, ';');
    let end = at + tokens[at..].iter().position(ends)? + 1;
    // The semicolon behind the braces of a `use`.
    Some(end + usize::from(tokens.get(end).is_some_and(|token| is_punct(token, ';'))))
}

/// The modules that a file declares for tests alone: `#[cfg(test)] mod x;`.
pub fn test_modules(tokens: &[TokenTree]) -> Vec<String> {
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        if let Some(end) = test_item(tokens, at)
            && let [.., word, name, last] = &tokens[at..end]
            && ident(word).as_deref() == Some("mod")
            && is_punct(last, ';')
        {
            found.extend(ident(name));
        }
    }
    found
}

/// Whether an attribute is `cfg(test)` and nothing wider.
fn is_cfg_test(contents: &[TokenTree]) -> bool {
    let [name, condition] = contents else { return false };
    let condition = group(condition).map(|(_, inner)| inner).unwrap_or_default();
    ident(name).as_deref() == Some("cfg")
        && condition.len() == 1
        && ident(&condition[0]).as_deref() == Some("test")
}

/// Whether a file holds nothing but `mod x;` lines.
pub fn only_declares_modules(tokens: &[TokenTree]) -> bool {
    let mut at = 0;
    while at < tokens.len() {
        if let Some((contents, after)) = attribute(tokens, at) {
            // The macros of such a module are visible in the modules behind it.
            if contents.first().and_then(ident).as_deref() == Some("macro_use") {
                return false;
            }
            at = after;
            continue;
        }
        if ident(&tokens[at]).as_deref() == Some("pub") {
            at += 1;
            let restricted = matches!(tokens.get(at).and_then(group), Some((Delimiter::Parenthesis, _)));
            at += usize::from(restricted);
        }
        let declares = tokens.get(at).and_then(ident).as_deref() == Some("mod")
            && tokens.get(at + 2).is_some_and(|token| is_punct(token, ';'));
        if !declares {
            return false;
        }
        at += 3;
    }
    true
}

/// Feeds tokens to a digest in an encoding of our own, which no version of the parser can change.
pub fn feed(tokens: &[TokenTree], hash: &mut Sha256) {
    for token in tokens {
        let (tag, text) = match token {
            TokenTree::Group(inner) => {
                hash.update(match inner.delimiter() {
                    Delimiter::Parenthesis => b"(",
                    Delimiter::Brace => b"{",
                    Delimiter::Bracket => b"[",
                    Delimiter::None => b"<",
                });
                let inner: Vec<TokenTree> = inner.stream().into_iter().collect();
                feed(&inner, hash);
                hash.update(b"\0");
                continue;
            }
            // `< <` and `<<` are not the same.
            TokenTree::Punct(mark) if mark.spacing() == Spacing::Joint => (b'j', mark.as_char().to_string()),
            TokenTree::Punct(mark) => (b'p', mark.as_char().to_string()),
            TokenTree::Ident(word) => (b'i', word.to_string()),
            TokenTree::Literal(value) => (b'l', value.to_string()),
        };
        hash.update([tag]);
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
}

/// The contents of string literals, in order, at any depth.
pub fn collect_literals(tokens: &[TokenTree], found: &mut Vec<String>) {
    for token in tokens {
        match token {
            TokenTree::Group(inner) => {
                let inner: Vec<TokenTree> = inner.stream().into_iter().collect();
                collect_literals(&inner, found);
            }
            TokenTree::Literal(value) => {
                let text = value.to_string();
                if let (Some(start), Some(end)) = (text.find('"'), text.rfind('"')) {
                    found.push(text[start + 1..end].to_owned());
                }
            }
            _ => {}
        }
    }
}

/// The word of an identifier, without `r#`.
pub fn ident(token: &TokenTree) -> Option<String> {
    match token {
        TokenTree::Ident(word) => Some(word.to_string().trim_start_matches("r#").to_owned()),
        _ => None,
    }
}

/// The delimiter and the contents of a group.
pub fn group(token: &TokenTree) -> Option<(Delimiter, Vec<TokenTree>)> {
    match token {
        TokenTree::Group(inner) => Some((inner.delimiter(), inner.stream().into_iter().collect())),
        _ => None,
    }
}

pub fn is_brace(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(inner) if inner.delimiter() == Delimiter::Brace)
}

pub fn is_punct(token: &TokenTree, mark: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == mark)
}

/// Whether `::` stands at `at`.
pub fn is_separator(tokens: &[TokenTree], at: usize) -> bool {
    let colon = |at: usize| tokens.get(at).is_some_and(|token| is_punct(token, ':'));
    colon(at) && colon(at + 1)
}
