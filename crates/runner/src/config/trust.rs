//! Whom a project trusts: `[trust]` of `onsager.toml`.

use crate::trust::key::PublicKey;
use jiff::civil::Date;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// The scope of results that all share.
pub const MAIN: &str = "main";

/// Whose results count, and which.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trust {
    /// By the names that the project calls them: `[trust.keys.anna]`.
    #[serde(default)]
    pub keys: BTreeMap<String, Trusted>,
    /// The scopes whose results are taken; `main` where none is named.
    #[serde(default)]
    read: Option<Vec<String>>,
    /// The scope that results are signed for; `main` where none is named.
    #[serde(default)]
    write: Option<String>,
}

/// A key that a project trusts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trusted {
    pub key: PublicKey,
    /// The last day on which what it signs counts.
    #[serde(default, deserialize_with = "date")]
    pub until: Option<Date>,
    /// The scopes that it may sign for: names, or beginnings of names with `*` behind them.
    #[serde(default = "main")]
    pub scopes: Vec<String>,
}

/// What is wrong with `[trust]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustFault {
    #[error("`{0}` is no name of a scope: use letters, digits, `-`, `_` and `.`, like `main` or `pr-17`")]
    Scope(String),
    #[error("`{0}` is no name of a key: use letters, digits, `-` and `_`")]
    Name(String),
    #[error("`{first}` and `{second}` are one key: trust it by one name")]
    Twice { first: String, second: String },
}

impl Trust {
    /// The project's over the user's: its keys besides those, and its scopes instead of those.
    pub fn over(mut self, project: Trust) -> Trust {
        self.keys.extend(project.keys);
        Trust { keys: self.keys, read: project.read.or(self.read), write: project.write.or(self.write) }
    }

    /// Whether everything in it has a fit name.
    pub fn check(&self) -> Result<(), TrustFault> {
        for (name, trusted) in &self.keys {
            check_name(name)?;
            let twice = |(other, theirs): &(&String, &Trusted)| theirs.key == trusted.key && *other < name;
            if let Some((first, _)) = self.keys.iter().find(twice) {
                return Err(TrustFault::Twice { first: first.clone(), second: name.clone() });
            }
            for scope in &trusted.scopes {
                let name = scope.strip_suffix('*').unwrap_or(scope);
                if scope != "*" {
                    check_scope(name).map_err(|_| TrustFault::Scope(scope.clone()))?;
                }
            }
        }
        self.read.iter().flatten().chain(&self.write).try_for_each(|scope| check_scope(scope))
    }

    /// The scope that results are signed for here.
    pub fn write_scope(&self) -> &str {
        self.write.as_deref().unwrap_or(MAIN)
    }

    /// The scopes whose results are taken here: those that are named, and the one that is written.
    pub fn read_scopes(&self) -> Vec<&str> {
        let mut scopes: Vec<&str> =
            self.read.as_ref().map_or(vec![MAIN], |read| read.iter().map(String::as_str).collect());
        let own = self.write_scope();
        if !scopes.contains(&own) {
            scopes.push(own);
        }
        scopes
    }

    /// Whether results of this scope are taken here.
    pub fn reads(&self, scope: &str) -> bool {
        self.read_scopes().contains(&scope)
    }

    /// The same for another scope, as CI says for a pull request.
    pub fn for_scope(self, scope: Option<String>) -> Result<Trust, TrustFault> {
        scope.iter().try_for_each(|scope| check_scope(scope))?;
        Ok(Trust { write: scope.or(self.write), ..self })
    }
}

impl Trusted {
    /// Whether what it signs for this scope counts.
    pub fn writes(&self, scope: &str) -> bool {
        self.scopes.iter().any(|own| match own.strip_suffix('*') {
            Some(start) => scope.starts_with(start),
            None => own == scope,
        })
    }
}

/// Whether it can be the name of a scope: it is one of a folder, too.
pub fn check_scope(scope: &str) -> Result<(), TrustFault> {
    let plain = scope.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let fit = plain && !scope.is_empty() && !scope.starts_with('.') && scope.len() <= 100;
    if fit { Ok(()) } else { Err(TrustFault::Scope(scope.to_owned())) }
}

/// Whether it can be what a key is called: a bare name of TOML, and one of a file.
pub fn check_name(name: &str) -> Result<(), TrustFault> {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if plain && !name.is_empty() && name.len() <= 100 {
        Ok(())
    } else {
        Err(TrustFault::Name(name.to_owned()))
    }
}

fn main() -> Vec<String> {
    vec![MAIN.to_owned()]
}

/// A day, as TOML writes it or as text.
fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Date>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Day(toml::value::Datetime),
        Text(String),
    }
    let text = match Written::deserialize(deserializer)? {
        Written::Day(day) => day.to_string(),
        Written::Text(text) => text,
    };
    text.parse().map(Some).map_err(|_| serde::de::Error::custom("write a day, like `2027-12-31`"))
}
