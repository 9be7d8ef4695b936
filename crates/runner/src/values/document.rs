//! `values.json`: what a text may name.

use crate::kind::context::Item;
use crate::kind::stage::StageError;
use crate::numbers::claims::judge::{Judged, judge};
use crate::numbers::claims::read::{ReadError, read};
use crate::numbers::number::Number;
use crate::numbers::show;
use crate::store::digest::Digest;
use crate::values::params::{Said, Wanted};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many digits of a digest are the id of a source.
const ID: usize = 7;

/// What it is.
pub const FORMAT: &str = "onsager values";

/// The whole document.
#[derive(Debug, Serialize, Deserialize)]
pub struct Document {
    pub format: String,
    version: u32,
    /// Numbers by their names.
    pub values: BTreeMap<String, Value>,
    /// Figures by the names of the inputs.
    pub figures: BTreeMap<String, File>,
    /// Tables by the names of the inputs.
    pub tables: BTreeMap<String, File>,
    /// Claims of the numbers, in the order of the pipeline.
    pub claims: Vec<Claim>,
    /// What the numbers, figures and tables come from, by their ids.
    pub sources: BTreeMap<String, Source>,
}

/// A number.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Value {
    #[serde(flatten)]
    pub number: Number,
    /// As it is written in a text, in the mathematics of LaTeX.
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// The metric that it is of.
    pub metric: String,
    /// The id of its source.
    pub source: String,
}

/// A claim, and what became of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Claim {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub claim: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(flatten)]
    pub judged: Judged,
}

/// A figure or a table.
#[derive(Debug, Serialize, Deserialize)]
pub struct File {
    /// Below the stage's folder.
    pub file: String,
    pub source: String,
    /// Of a table: whether it floats by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub floats: bool,
}

/// Artifacts that something was read from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Source {
    #[serde(skip)]
    pub id: String,
    /// As the pipeline calls it.
    pub from: String,
    /// The SHA-256 of each artifact.
    pub sha256: Vec<String>,
}

impl Default for Document {
    fn default() -> Document {
        Document {
            format: FORMAT.to_owned(),
            version: 1,
            values: BTreeMap::new(),
            figures: BTreeMap::new(),
            tables: BTreeMap::new(),
            claims: Vec::new(),
            sources: BTreeMap::new(),
        }
    }
}

impl Document {
    /// Adds a number of a metric.
    pub fn add(&mut self, number: Number, wanted: &Wanted, source: &Source) {
        let (text, _) = show::short(&number, &wanted.show, None);
        let value = Value {
            text,
            unit: wanted.show.unit.clone(),
            about: wanted.show.about.clone(),
            metric: wanted.name.clone(),
            source: self.source(source),
            number,
        };
        self.values.insert(value.number.name.clone(), value);
    }

    /// Judges claims of the numbers that are there.
    pub fn judge(&mut self, claims: &[Said]) -> Result<(), ReadError> {
        let numbers: Vec<Number> = self.values.values().map(|value| value.number.clone()).collect();
        for Said { name, claim, text } in claims {
            let judged = judge(&read(claim)?, &numbers);
            let (name, claim, text) = (name.clone(), claim.clone(), text.clone());
            self.claims.push(Claim { name, claim, text, judged });
        }
        Ok(())
    }

    /// Adds a source, and gives its id.
    pub fn source(&mut self, source: &Source) -> String {
        self.sources.entry(source.id.clone()).or_insert_with(|| source.clone());
        source.id.clone()
    }
}

impl Source {
    /// The artifacts of an input.
    pub fn of(items: &[Item], from: &str) -> Result<Source, StageError> {
        let mut sha256 = Vec::with_capacity(items.len());
        for item in items {
            sha256.push(Digest::of_file(&item.path)?.0.to_string());
        }
        let mut id = match sha256.as_slice() {
            [only] => only.clone(),
            several => Digest::of(several.concat().as_bytes()).to_string(),
        };
        id.truncate(ID);
        Ok(Source { id, from: from.to_owned(), sha256 })
    }
}
