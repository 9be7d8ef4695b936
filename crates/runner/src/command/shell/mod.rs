//! Shells: what a command is given to, and how text is put into its script.

pub mod fill;
pub mod quote;
pub mod scan;
pub mod script;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What a script is given to, as its last argument: the name of a shell, or a program with its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Shell {
    Named(Name),
    Program(Vec<String>),
}

/// The shells that have a name here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Name {
    /// `sh -e`.
    Sh,
    /// `bash -euo pipefail`.
    Bash,
}

impl Name {
    pub const ALL: [(&'static str, Name); 2] = [("sh", Name::Sh), ("bash", Name::Bash)];
}

/// How text becomes part of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Language {
    /// By the rules of the POSIX shells.
    Shell,
    /// The language of this program: as it is, or not at all.
    Other(String),
}

/// The programs that quote as the POSIX shell does.
const SHELLS: [&str; 7] = ["sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"];
/// Arguments behind which a program takes its script as text; without them it takes a file.
const TEXT: [&str; 4] = ["-c", "-e", "-E", "--eval"];

impl Default for Shell {
    fn default() -> Shell {
        Shell::Named(Name::Sh)
    }
}

impl Shell {
    /// The program with the arguments that come before the script.
    pub fn words(&self) -> Vec<String> {
        let words: &[&str] = match self {
            Shell::Named(Name::Sh) => &["sh", "-e", "-c"],
            Shell::Named(Name::Bash) => &["bash", "-euo", "pipefail", "-c"],
            Shell::Program(words) => return words.clone(),
        };
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    /// The same for a script in a file, where the program takes one.
    pub fn words_for_file(&self) -> Option<Vec<String>> {
        let mut words = self.words();
        let last = words.pop()?;
        (TEXT.contains(&last.as_str()) && !words.is_empty()).then_some(words)
    }

    /// What the script is written in.
    pub fn language(&self) -> Language {
        let words = self.words();
        // `env` starts another program.
        let mut names =
            words.iter().map(|word| Path::new(word).file_name().unwrap_or_default().to_string_lossy());
        let mut program = names.next().unwrap_or_default();
        if program == "env" {
            program = names.find(|name| !name.starts_with('-') && !name.contains('=')).unwrap_or(program);
        }
        match SHELLS.contains(&&*program) {
            true => Language::Shell,
            false => Language::Other(program.into_owned()),
        }
    }

    /// Whether a failure before a `|` goes unseen.
    pub fn hides_failures(&self) -> bool {
        self.language() == Language::Shell && !self.words().iter().any(|word| word.contains("pipefail"))
    }
}

#[cfg(test)]
mod tests;
