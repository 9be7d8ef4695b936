//! What a pipeline or an experiment says of itself, for whoever finds its results: a title, words, a licence, its authors.

use crate::pipeline::spec::{shown, text, unknown};
use crate::pipeline::yaml::node::{Entry, Node, Yaml};
use crate::pipeline::yaml::sink::{Sink, Span};
use serde::{Deserialize, Serialize};

/// The fields of an author.
const AUTHOR: [&str; 4] = ["name", "orcid", "affiliation", "email"];
/// Where an ORCID iD leads.
pub const ORCID: &str = "https://orcid.org/";

/// What is said. Each field is always written: a kept graph tells them apart by their order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    pub title: Option<String>,
    pub description: Option<String>,
    /// An SPDX identifier, or several with `OR` between them.
    pub license: Option<String>,
    pub authors: Vec<Author>,
}

/// Who made a pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Author {
    /// `Ada Lovelace`, or `Lovelace, Ada`.
    pub name: String,
    /// `0000-0002-1825-0097`.
    pub orcid: Option<String>,
    pub affiliation: Option<String>,
    pub email: Option<String>,
}

impl About {
    /// What a file says of itself; what cannot be read is reported and left out.
    pub fn read(root: &Node, sink: &Sink) -> About {
        let words = |field: &str| root.get(field).and_then(|entry| text(entry, sink)).map(str::to_owned);
        let license = root.get("license").and_then(|entry| license(entry, sink));
        let authors = root.get("authors").map(|entry| authors(entry, sink)).unwrap_or_default();
        About { title: words("title"), description: words("description"), license, authors }
    }

    /// What an experiment says, and where it says nothing what its pipeline says.
    pub fn or(self, pipeline: About) -> About {
        About {
            title: self.title.or(pipeline.title),
            description: self.description.or(pipeline.description),
            license: self.license.or(pipeline.license),
            authors: if self.authors.is_empty() { pipeline.authors } else { self.authors },
        }
    }

    /// The identifiers of the licence, of which one may be chosen.
    pub fn licenses(&self) -> Vec<&str> {
        self.license.as_deref().map_or_else(Vec::new, |license| license.split(" OR ").collect())
    }
}

impl Author {
    /// (given names, family name); the first is empty where there is one word only.
    pub fn names(&self) -> (&str, &str) {
        match self.name.split_once(',') {
            Some((family, given)) => (given.trim(), family.trim()),
            None => self
                .name
                .trim()
                .rsplit_once(' ')
                .map_or(("", self.name.trim()), |(given, family)| (given.trim(), family)),
        }
    }

    /// Whether it is a group, whose name is all that it has: `The developers of onsager,`.
    pub fn is_group(&self) -> bool {
        self.name.trim().ends_with(',')
    }

    /// `Ada Lovelace`, however it was written.
    pub fn full_name(&self) -> String {
        let (given, family) = self.names();
        if given.is_empty() { family.to_owned() } else { format!("{given} {family}") }
    }
}

fn license(entry: &Entry, sink: &Sink) -> Option<String> {
    let text = text(entry, sink)?.trim();
    let plain =
        |id: &str| !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || "-.+".contains(c));
    if !text.split(" OR ").all(plain) {
        let message = format!("`{text}` is no SPDX identifier");
        sink.help(
            shown(entry),
            message,
            "write one like `CC-BY-4.0`, or several with `OR`: `MIT OR Apache-2.0`",
        );
        return None;
    }
    Some(text.to_owned())
}

fn authors(entry: &Entry, sink: &Sink) -> Vec<Author> {
    let Yaml::List(items) = &entry.value.value else {
        let message = format!("`authors` must be a list, but is {}", entry.value.what());
        sink.help(shown(entry), message, "write `authors: [{name: Ada Lovelace}]`");
        return Vec::new();
    };
    items.iter().filter_map(|item| author(item, sink)).collect()
}

fn author(item: &Node, sink: &Sink) -> Option<Author> {
    let Some(fields) = item.entries() else {
        let message = format!("an author is a mapping, but this is {}", item.what());
        sink.help(item.span, message, "write `{name: Ada Lovelace, orcid: 0000-0002-1825-0097}`");
        return None;
    };
    let mut author = Author::default();
    for field in fields {
        let Some(text) = AUTHOR.contains(&field.key.as_str()).then(|| text(field, sink)) else {
            unknown(field, &AUTHOR, "an author", sink);
            continue;
        };
        let Some(text) = text.map(str::trim) else { continue };
        match field.key.as_str() {
            "name" => text.clone_into(&mut author.name),
            "orcid" => author.orcid = orcid(text, shown(field), sink),
            "affiliation" => author.affiliation = Some(text.to_owned()),
            _ => author.email = Some(text.to_owned()),
        }
    }
    if item.get("name").is_none() {
        sink.help(item.span, "the author has no name", "add `name: Ada Lovelace`");
    }
    Some(author)
}

/// An ORCID iD, as it is or as an address. Its last sign is a check of the others.
fn orcid(text: &str, span: Span, sink: &Sink) -> Option<String> {
    let id = text.strip_prefix(ORCID).unwrap_or(text);
    let shaped = id.len() == 19
        && id.char_indices().all(|(at, c)| match at {
            4 | 9 | 14 => c == '-',
            18 => c.is_ascii_digit() || c == 'X',
            _ => c.is_ascii_digit(),
        });
    if !shaped {
        let help = "write the sixteen digits: `0000-0002-1825-0097`";
        sink.help(span, format!("`{text}` is no ORCID iD"), help);
        return None;
    }
    // ISO 7064, MOD 11-2.
    let digits = id[..18].bytes().filter(u8::is_ascii_digit).map(|digit| u32::from(digit - b'0'));
    let check = (12 - digits.fold(0, |sum, digit| (sum + digit) * 2) % 11) % 11;
    let last = if check == 10 { 'X' } else { char::from_digit(check, 10).unwrap_or('0') };
    if !id.ends_with(last) {
        let help = "a digit is wrong: the last one does not fit the others";
        sink.help(span, format!("`{text}` is no ORCID iD"), help);
        return None;
    }
    Some(id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        for (name, parts, full) in [
            ("Ada Lovelace", ("Ada", "Lovelace"), "Ada Lovelace"),
            (
                "van der Waals, Johannes Diderik",
                ("Johannes Diderik", "van der Waals"),
                "Johannes Diderik van der Waals",
            ),
            ("Plato", ("", "Plato"), "Plato"),
        ] {
            let author = Author { name: name.into(), ..Author::default() };
            assert_eq!((author.names(), author.full_name().as_str()), (parts, full));
        }
    }
}
