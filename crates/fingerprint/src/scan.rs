//! What one source file says: the modules, files and crates that its tokens name.

use crate::error::Error;
use crate::names::{Names, is_runner_interface};
use crate::paths::normal;
use crate::tokens::{
    Delimiter, Token, collect_strings, collect_words, is_brace, is_punct, is_separator, is_word, string, word,
};
use crate::uses::{Import, imports, statement};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What one source file says. A path begins with the folder of a crate's sources: `["crates/science/src", "motion", "tubes"]`.
#[derive(Default)]
pub struct Source {
    pub digest: String,
    /// The place of its package among those at hand.
    pub package: usize,
    pub module: Vec<String>,
    /// The paths into the crates at hand; declared child modules among them.
    pub paths: BTreeSet<Vec<String>>,
    /// Identifiers that may name an external crate.
    pub externs: BTreeSet<String>,
    /// Whether it imports from a crate that no dependency has the name of: a library can be called other than its package.
    pub strangers: bool,
    /// The features that it asks about: `cfg(feature = "simd")`.
    pub features: BTreeSet<String>,
    /// Files taken in by the `include` macros.
    pub includes: BTreeSet<PathBuf>,
    /// Whether it includes what the build script of its package wrote.
    pub includes_built: bool,
    /// The types and traits defined here.
    pub defines: BTreeSet<String>,
    /// The items of the file itself, without its inline modules.
    pub items: BTreeSet<String>,
    /// What the names mean that it takes from elsewhere.
    pub imports: BTreeMap<String, Vec<Target>>,
    /// What of this others can name through it.
    pub exports: Vec<Target>,
    /// What it takes all names of.
    pub globs: Vec<Target>,
    /// The names in the header of each `impl`.
    pub impls: Vec<BTreeSet<String>>,
    /// The stage kinds; nothing for one whose name is no literal.
    pub kinds: Vec<Option<String>>,
    /// The modules declared here, and those for tests alone.
    pub modules: BTreeSet<Vec<String>>,
    pub test_modules: Vec<Vec<String>>,
    /// Whether there is anything but declarations of modules.
    pub has_code: bool,
}

/// What an imported name stands for.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// A path into the crates at hand.
    Local(Vec<String>),
    /// Something of an external crate.
    Extern(String),
}

/// Reads one file's tokens into its [`Source`].
pub struct Scan<'a> {
    /// The name of the file for errors, and where it and its package are.
    pub file: &'a str,
    pub path: &'a Path,
    pub package: &'a Path,
    pub names: &'a Names,
    pub source: &'a mut Source,
    /// The words that paths begin with and that can be crates, and the words that are something else.
    heads: BTreeSet<String>,
    brought: BTreeSet<String>,
}

impl<'a> Scan<'a> {
    pub fn new(
        file: &'a str,
        path: &'a Path,
        package: &'a Path,
        names: &'a Names,
        source: &'a mut Source,
    ) -> Scan<'a> {
        Scan { file, path, package, names, source, heads: BTreeSet::new(), brought: BTreeSet::new() }
    }

    /// A whole file.
    pub fn file(&mut self, tokens: &[Token]) -> Result<(), Error> {
        let module = self.source.module.clone();
        self.items(tokens, &module)?;
        self.source.items.extend((0..tokens.len()).filter_map(|at| item(tokens, at)).map(str::to_owned));
        for Import { name, path, public } in imports(tokens) {
            let target = self.target(path);
            match name {
                Some(name) => {
                    self.source.exports.extend(target.clone().filter(|_| public));
                    self.source.imports.entry(name).or_default().extend(target);
                }
                None => self.source.globs.extend(target),
            }
        }
        self.source.strangers =
            self.heads.iter().any(|word| !self.names.is_known(word) && !self.brought.contains(word));
        Ok(())
    }

    /// The items of a file or of an inline module: definitions and `impl` headers besides the paths.
    fn items(&mut self, tokens: &[Token], module: &[String]) -> Result<(), Error> {
        for (at, token) in tokens.iter().enumerate() {
            let after_item = match at.checked_sub(1).map(|before| &tokens[before]) {
                None | Some(Token::Group(..) | Token::Punct(';', _)) => true,
                Some(Token::Word(before)) => before == "unsafe",
                Some(_) => false,
            };
            match (word(token), tokens.get(at + 1).and_then(word)) {
                (Some("struct" | "enum" | "union" | "trait" | "type"), Some(name)) => {
                    self.source.defines.insert(name.to_owned());
                }
                (Some("impl"), _) if after_item => {
                    let header = tokens[at + 1..].iter().take_while(|token| !is_brace(token));
                    self.source.impls.push(header.filter_map(word).map(str::to_owned).collect());
                }
                _ => {}
            }
        }
        self.paths(tokens, module)
    }

    /// Every path, declared module and included file, at any depth.
    fn paths(&mut self, tokens: &[Token], module: &[String]) -> Result<(), Error> {
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let before = at.checked_sub(1).map(|before| &tokens[before]);
            at += 1;
            if let Token::Group(delimiter, inner) = token {
                let attribute = *delimiter == Delimiter::Bracket && is_punct(before, '#');
                if attribute && sets_path(inner) {
                    return Err(Error::PathAttribute { file: self.file.to_owned() });
                }
                self.paths(inner, module)?;
                continue;
            }
            let Some(word) = word(token) else { continue };
            let next = tokens.get(at);
            let named = is_word(before, "use") || is_word(before, "crate");
            let renamed = is_word(next, "as");
            let continues = is_separator(tokens, at);
            if word == "mod" && matches!(next, Some(Token::Word(_))) {
                self.module(&tokens[at..], module)?;
                at += 2;
            } else if word == "use" {
                self.bring(&tokens[at..]);
            } else if word == "macro_rules" {
                self.brought.extend(tokens.get(at + 1).and_then(crate::tokens::word).map(str::to_owned));
            } else if let Some(start) = self.start(word, module)
                && (continues || (named || renamed) && self.names.local(word).is_some())
            {
                at += path(&tokens[at..], start, &mut self.source.paths);
            } else if self.names.is_runner(word) && (continues || named || renamed) {
                let mut ends = BTreeSet::new();
                at += path(&tokens[at..], Vec::new(), &mut ends);
                if !ends.iter().all(|end| is_runner_interface(end)) {
                    self.source.externs.insert(word.to_owned());
                }
            } else if matches!(word, "include" | "include_str" | "include_bytes") && is_punct(next, '!') {
                self.include(tokens.get(at + 1))?;
            } else if word == "feature" && is_punct(next, '=') {
                self.source.features.extend(tokens.get(at + 1).and_then(string).map(str::to_owned));
            } else if named || renamed || continues {
                let can_be_crate = word.starts_with(|first: char| first.is_lowercase() || first == '_');
                let generic = is_punct(tokens.get(at + 2), '<');
                if can_be_crate && (named || continues && !generic) && is_head(&tokens[..at - 1]) {
                    self.heads.insert(word.to_owned());
                }
                self.source.externs.insert(word.to_owned());
            }
        }
        Ok(())
    }

    /// What stands behind `mod`: a name, and a block or a semicolon.
    fn module(&mut self, tokens: &[Token], module: &[String]) -> Result<(), Error> {
        let Some(child) = tokens.first().and_then(word) else { return Ok(()) };
        self.brought.insert(child.to_owned());
        let path = [module, &[child.to_owned()]].concat();
        if let Some(Token::Group(_, inner)) = tokens.get(1) {
            return self.items(inner, &path);
        }
        self.source.modules.insert(path.clone());
        self.source.paths.insert(path);
        Ok(())
    }

    /// The words of a `use`, all but the first: what it brings is among them.
    fn bring(&mut self, tokens: &[Token]) {
        let mut words = Vec::new();
        collect_words(statement(tokens), &mut words);
        self.brought.extend(words.into_iter().skip(1).map(str::to_owned));
    }

    /// Where a path begins that starts with this word, if it leads into a crate at hand.
    fn start(&self, word: &str, module: &[String]) -> Option<Vec<String>> {
        match word {
            "self" => Some(module.to_vec()),
            "super" => Some(module[..(module.len() - 1).max(1)].to_vec()),
            "crate" => Some(module[..1].to_vec()),
            _ => Some(vec![self.names.local(word)?.to_owned()]),
        }
    }

    /// What a path in a `use` at the top of the file means.
    fn target(&self, path: Vec<String>) -> Option<Target> {
        let (first, rest) = path.split_first()?;
        let module = &self.source.module;
        let child = [module.as_slice(), std::slice::from_ref(first)].concat();
        let mut start = if self.source.modules.contains(&child) {
            child
        } else if let Some(start) = self.start(first, module) {
            start
        } else if self.names.is_runner(first) && is_runner_interface(rest) {
            return None;
        } else if self.names.is_known(first) {
            return Some(Target::Extern(first.clone()));
        } else {
            // Something that this very file defines or takes from elsewhere.
            child
        };
        rest.iter().for_each(|part| step(&mut start, part));
        Some(Target::Local(start))
    }

    /// The file of an `include` macro: its string literals in one, from the file's folder or `env!("CARGO_MANIFEST_DIR")`.
    fn include(&mut self, argument: Option<&Token>) -> Result<(), Error> {
        let mut literals = Vec::new();
        if let Some(Token::Group(_, inner)) = argument {
            collect_strings(inner, &mut literals);
        }
        let folder = match literals.first().copied() {
            Some("OUT_DIR") => {
                // The list of fingerprints cannot hold its own digest.
                self.source.includes_built = literals.get(1) != Some(&"/fingerprints.rs");
                return Ok(());
            }
            Some("CARGO_MANIFEST_DIR") => {
                literals.remove(0);
                self.package
            }
            _ => self.path.parent().unwrap_or(self.package),
        };
        let path = literals.concat();
        if path.is_empty() {
            return Err(Error::ComputedInclude { file: self.file.to_owned() });
        }
        self.source.includes.insert(normal(&folder.join(path.trim_start_matches('/'))));
        Ok(())
    }
}

/// Whether an attribute says where a module's file is, if only for some builds.
fn sets_path(attribute: &[Token]) -> bool {
    match attribute {
        [Token::Word(name), Token::Group(_, inner)] if name == "cfg_attr" => {
            inner.windows(2).any(|pair| is_word(pair.first(), "path") && is_punct(pair.last(), '='))
        }
        _ => is_word(attribute.first(), "path"),
    }
}

/// Whether a path can begin behind these tokens: not behind `a::`, and not in the place of a macro's variable.
fn is_head(before: &[Token]) -> bool {
    match before {
        [.., last, Token::Punct(':', _), Token::Punct(':', _)] => {
            word(last).is_none() && !is_punct(Some(last), '>')
        }
        _ => !is_punct(before.last(), '$'),
    }
}

/// The name of the item that is defined at `at`.
fn item(tokens: &[Token], at: usize) -> Option<&str> {
    let name = tokens.get(at + 1).and_then(word);
    match word(&tokens[at])? {
        "struct" | "enum" | "union" | "trait" | "type" | "fn" | "const" | "static" => name,
        // A module in a file of its own is none of this file.
        "mod" if !is_punct(tokens.get(at + 2), ';') => name,
        "macro_rules" => tokens.get(at + 2).and_then(word),
        // The runner's macro of this name makes a module.
        "fingerprints" if is_punct(tokens.get(at + 1), '!') => Some("fingerprints"),
        _ => None,
    }
}

/// Follows `::a::b`, `::{a, b::c}` from `prefix`, records each end, and returns the number of tokens read.
fn path(tokens: &[Token], mut prefix: Vec<String>, ends: &mut BTreeSet<Vec<String>>) -> usize {
    let mut at = 0;
    while is_separator(tokens, at) {
        match tokens.get(at + 2) {
            Some(Token::Group(Delimiter::Brace, inner)) => {
                // A comma at the end has nothing behind it.
                let branches = inner.split(|token| is_punct(Some(token), ','));
                for branch in branches.filter(|branch| !branch.is_empty()) {
                    let mut longer = prefix.clone();
                    step(&mut longer, word(&branch[0]).unwrap_or("self"));
                    path(&branch[1..], longer, ends);
                }
                return at + 3;
            }
            Some(Token::Word(_)) => step(&mut prefix, tokens.get(at + 2).and_then(word).unwrap_or("self")),
            _ => break,
        }
        at += 3;
    }
    ends.insert(prefix);
    at
}

/// Goes one segment along a path, never above a crate.
fn step(path: &mut Vec<String>, segment: &str) {
    match segment {
        "self" => {}
        "super" if path.len() > 1 => drop(path.pop()),
        "super" => {}
        _ => path.push(segment.to_owned()),
    }
}
