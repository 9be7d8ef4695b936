//! What one source file says: the modules, files and crates that its tokens name.

use super::tokens::{collect_literals, group, ident, is_brace, is_punct, is_separator};
use super::{ClosureError, slashed};
use proc_macro2::{Delimiter, TokenTree};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// What one source file says.
#[derive(Default)]
pub struct Source {
    pub digest: String,
    pub module: Vec<String>,
    /// The paths into this crate, from its root; declared child modules among them.
    pub paths: BTreeSet<Vec<String>>,
    /// Identifiers that may name an external crate.
    pub externs: BTreeSet<String>,
    /// Files taken in by the `include` macros, relative to the package.
    pub includes: BTreeSet<String>,
    /// The types and traits defined here.
    pub defines: BTreeSet<String>,
    /// The names in the header of each `impl`.
    pub impls: Vec<BTreeSet<String>>,
    /// The modules declared here for tests alone.
    pub test_modules: Vec<String>,
    /// Whether there is anything but declarations of modules.
    pub has_code: bool,
}

/// Reads one file's tokens into its [`Source`].
pub struct Scan<'a> {
    pub root: &'a Path,
    pub file: &'a str,
    pub package: &'a str,
    pub source: &'a mut Source,
}

impl Scan<'_> {
    /// The items of a file or of an inline module: definitions and `impl` headers besides the paths.
    pub fn items(&mut self, tokens: &[TokenTree], module: &[String]) -> Result<(), ClosureError> {
        for (at, token) in tokens.iter().enumerate() {
            let TokenTree::Ident(word) = token else { continue };
            let after_item = match at.checked_sub(1).map(|before| &tokens[before]) {
                None | Some(TokenTree::Group(_)) => true,
                Some(TokenTree::Punct(mark)) => mark.as_char() == ';',
                Some(TokenTree::Ident(before)) => *before == "unsafe",
                Some(TokenTree::Literal(_)) => false,
            };
            match (word.to_string().as_str(), tokens.get(at + 1)) {
                ("struct" | "enum" | "union" | "trait" | "type", Some(TokenTree::Ident(name))) => {
                    self.source.defines.insert(name.to_string());
                }
                ("impl", _) if after_item => {
                    let header = tokens[at + 1..].iter().take_while(|token| !is_brace(token));
                    self.source.impls.push(header.filter_map(ident).collect());
                }
                _ => {}
            }
        }
        self.paths(tokens, module)
    }

    /// Every path, declared module and included file, at any depth.
    fn paths(&mut self, tokens: &[TokenTree], module: &[String]) -> Result<(), ClosureError> {
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let before = at.checked_sub(1).map(|before| &tokens[before]);
            at += 1;
            if let Some((delimiter, inner)) = group(token) {
                let attribute =
                    delimiter == Delimiter::Bracket && before.is_some_and(|mark| is_punct(mark, '#'));
                if attribute && inner.first().and_then(ident).as_deref() == Some("path") {
                    return Err(ClosureError::PathAttribute(self.file.to_owned()));
                }
                self.paths(&inner, module)?;
                continue;
            }
            let Some(word) = ident(token) else { continue };
            let next = tokens.get(at);
            if word == "mod"
                && let Some(child) = next.and_then(ident)
            {
                let mut path = module.to_vec();
                path.push(child);
                match tokens.get(at + 1).and_then(group) {
                    Some((_, inner)) => self.items(&inner, &path)?,
                    None => drop(self.source.paths.insert(path)),
                }
                at += 2;
            } else if is_separator(tokens, at) && self.is_local(&word) {
                let start = match word.as_str() {
                    "self" => module.to_vec(),
                    "super" => parent(module),
                    _ => Vec::new(),
                };
                at += self.path(&tokens[at..], start);
            } else if matches!(word.as_str(), "include" | "include_str" | "include_bytes")
                && next.is_some_and(|mark| is_punct(mark, '!'))
            {
                self.include(tokens.get(at + 1))?;
            } else {
                let named = matches!(before.and_then(ident).as_deref(), Some("use" | "crate"));
                let renamed = next.and_then(ident).as_deref() == Some("as");
                if named || renamed || is_separator(tokens, at) {
                    self.source.externs.insert(word);
                }
            }
        }
        Ok(())
    }

    fn is_local(&self, word: &str) -> bool {
        matches!(word, "crate" | "self" | "super") || word == self.package.replace('-', "_")
    }

    /// Follows `::a::b`, `::{a, b::c}` from `prefix`, records each end, and returns the number of tokens read.
    fn path(&mut self, tokens: &[TokenTree], mut prefix: Vec<String>) -> usize {
        let mut at = 0;
        while is_separator(tokens, at) {
            let Some(part) = tokens.get(at + 2) else { break };
            if let Some(word) = ident(part) {
                step(&mut prefix, word);
                at += 3;
            } else if let Some((Delimiter::Brace, inner)) = group(part) {
                // A comma at the end has nothing behind it.
                for branch in inner.split(|token| is_punct(token, ',')).filter(|branch| !branch.is_empty()) {
                    let mut longer = prefix.clone();
                    if let Some(word) = branch.first().and_then(ident) {
                        step(&mut longer, word);
                    }
                    self.path(branch.get(1..).unwrap_or_default(), longer);
                }
                return at + 3;
            } else {
                break;
            }
        }
        self.source.paths.insert(prefix);
        at
    }

    /// The file of an `include` macro: its string literals in one, from the file's folder or `env!("CARGO_MANIFEST_DIR")`.
    fn include(&mut self, argument: Option<&TokenTree>) -> Result<(), ClosureError> {
        let mut literals = Vec::new();
        if let Some((_, inner)) = argument.and_then(group) {
            collect_literals(&inner, &mut literals);
        }
        let folder = match literals.first().map(String::as_str) {
            // What the build script writes is made from sources that have their own way in.
            Some("OUT_DIR") => return Ok(()),
            Some("CARGO_MANIFEST_DIR") => {
                literals.remove(0);
                PathBuf::new()
            }
            _ => Path::new(self.file).parent().unwrap_or(Path::new("")).to_owned(),
        };
        let path = literals.concat();
        if path.is_empty() {
            return Err(ClosureError::Include(self.file.to_owned()));
        }
        let mut clean = PathBuf::new();
        for part in folder.join(path.trim_start_matches('/')).components() {
            match part {
                Component::ParentDir => drop(clean.pop()),
                Component::Normal(name) => clean.push(name),
                _ => {}
            }
        }
        if let Err(error) = fs::metadata(self.root.join(&clean)) {
            return Err(ClosureError::Included { by: self.file.to_owned(), file: clean, error });
        }
        self.source.includes.insert(slashed(&clean));
        Ok(())
    }
}

/// Goes one segment along a path.
fn step(path: &mut Vec<String>, segment: String) {
    match segment.as_str() {
        "self" => {}
        "super" => drop(path.pop()),
        _ => path.push(segment),
    }
}

fn parent(module: &[String]) -> Vec<String> {
    module[..module.len().saturating_sub(1)].to_vec()
}
