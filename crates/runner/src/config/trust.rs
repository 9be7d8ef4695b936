//! Whom a project trusts: `[trust]` of `onsager.toml`.

use crate::trust::key::PublicKey;
use jiff::civil::Date;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// The scope of results that all share.
pub const MAIN: &str = "main";
/// What the key is called that signs here, unless the project names it.
pub const OWN: &str = "your own key";

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
    /// The key that signs here: what it signed counts, too.
    #[serde(skip)]
    own: Option<PublicKey>,
    /// Whether results count, too, that nobody signed: it was said of where they come from.
    #[serde(skip)]
    unsigned: bool,
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
    #[error("there is a key `{0}` already: give another name, or change it in `onsager.toml`")]
    There(String),
    #[error("`{first}` and `{second}` are one key: trust it by one name")]
    Twice { first: String, second: String },
}

impl Trust {
    /// The project's over the user's: its keys besides those, and its scopes instead of those.
    pub fn over(mut self, project: Trust) -> Trust {
        self.keys.extend(project.keys);
        self.read = project.read.or(self.read);
        self.write = project.write.or(self.write);
        self
    }

    /// The same where this key signs.
    pub fn with_own(self, own: Option<PublicKey>) -> Trust {
        Trust { own, ..self }
    }

    /// The same for a place whose results count whoever signed them, or nobody.
    pub fn accepting_unsigned(self) -> Trust {
        Trust { unsigned: true, ..self }
    }

    /// Whether results count that nobody signed.
    pub fn accepts_unsigned(&self) -> bool {
        self.unsigned
    }

    /// What a key may do here, with what it is called: one that is named, or that of whoever is here. None for any other.
    pub fn of(&self, key: &PublicKey) -> Option<(&str, Option<&Trusted>)> {
        let named = self.keys.iter().find(|(_, trusted)| trusted.key == *key);
        let named = named.map(|(name, trusted)| (name.as_str(), Some(trusted)));
        named.or_else(|| (self.own.as_ref() == Some(key)).then_some((OWN, None)))
    }

    /// The same with a key more, or what is wrong with that.
    pub fn with(mut self, name: &str, trusted: &Trusted) -> Result<Trust, TrustFault> {
        if self.keys.insert(name.to_owned(), trusted.clone()).is_some() {
            return Err(TrustFault::There(name.to_owned()));
        }
        self.check().map(|()| self)
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

/// The text of an `onsager.toml` with a key more; none where a table cannot stand at its end.
pub fn add(text: &str, name: &str, trusted: &Trusted) -> Option<String> {
    let mut text = text.trim_end().to_owned();
    if !text.is_empty() {
        text += "\n\n";
    }
    text += &format!("[trust.keys.{name}]\nkey = \"{}\"\n", trusted.key);
    if let Some(until) = trusted.until {
        text += &format!("until = \"{until}\"\n");
    }
    if trusted.scopes != main() {
        text += &format!("scopes = [\"{}\"]\n", trusted.scopes.join("\", \""));
    }
    let read: toml::Table = toml::from_str(&text).ok()?;
    read.get("trust")?.get("keys")?.get(name).is_some().then_some(text)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::key::SecretKey;

    fn trusted(scopes: &[&str]) -> Trusted {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        Trusted { key: SecretKey::random().unwrap().public(), until: None, scopes }
    }

    #[derive(Deserialize)]
    struct Whole {
        trust: Trust,
    }

    #[test]
    fn a_key_is_added_and_comments_stay() {
        let before = "# ours\n[trust]\nread = [\"main\"] # only this\n\n[on.x]\nengine = \"slurm\"\n";
        let anna = Trusted { until: Some("2027-03-01".parse().unwrap()), ..trusted(&["main", "pr-*"]) };
        let text = add(before, "anna", &anna).unwrap();
        let end = format!(
            "\n[trust.keys.anna]\nkey = \"{}\"\nuntil = \"2027-03-01\"\nscopes = [\"main\", \"pr-*\"]\n",
            anna.key
        );
        assert_eq!(text, format!("{before}{end}"));
        let first = add("", "bo", &trusted(&["main"])).unwrap();
        let read: Whole = toml::from_str(&first).unwrap();
        assert_eq!(read.trust.keys["bo"].scopes, ["main"]);
        // A day without quotes is one, too; a table within a line takes no other.
        let bare = first.clone() + "until = 2027-12-31\n";
        let until = toml::from_str::<Whole>(&bare).unwrap().trust.keys["bo"].until;
        assert_eq!(until, Some("2027-12-31".parse().unwrap()));
        assert_eq!(add("trust = {keys = {}}\n", "bo", &anna), None);
    }

    #[test]
    fn scopes_are_read_and_written_as_they_are_named() {
        let own = trusted(&["main", "pr-*"]);
        for (scope, writes) in
            [("main", true), ("pr-17", true), ("pr-", true), ("mainz", false), ("other", false)]
        {
            assert_eq!(own.writes(scope), writes, "{scope}");
        }
        assert!(trusted(&["*"]).writes("anything"));
        let trust = Trust::default();
        assert_eq!((trust.write_scope(), trust.read_scopes()), ("main", vec!["main"]));
        // A pull request takes what `main` has, and its own.
        let request = trust.clone().for_scope(Some("pr-17".into())).unwrap();
        assert_eq!((request.write_scope(), request.read_scopes()), ("pr-17", vec!["main", "pr-17"]));
        assert!(!trust.reads("pr-17") && request.reads("pr-17"));
        for wrong in ["", "../main", ".hidden", "a/b", "a b", "a\nb"] {
            let fault = Err(TrustFault::Scope(wrong.to_owned()));
            assert_eq!(trust.clone().for_scope(Some(wrong.into())), fault, "{wrong:?}");
        }
    }

    #[test]
    fn names_that_are_none_and_keys_with_two_names_are_refused() {
        let one = trusted(&["main"]);
        let trust = Trust::default().with("anna", &one).unwrap();
        assert_eq!(trust.clone().with("anna", &trusted(&["main"])), Err(TrustFault::There("anna".into())));
        let twice = TrustFault::Twice { first: "anna".into(), second: "bo".into() };
        assert_eq!(trust.clone().with("bo", &one), Err(twice));
        assert_eq!(trust.clone().with("a.b", &trusted(&["main"])), Err(TrustFault::Name("a.b".into())));
        let scope = TrustFault::Scope("a/*".into());
        assert_eq!(trust.with("cy", &trusted(&["a/*"])), Err(scope));
    }
}
