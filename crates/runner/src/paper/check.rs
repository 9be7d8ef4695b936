//! What is wrong with a paper beside its run.

use crate::numbers::claims::judge::Outcome;
use crate::paper::document::{Document, Source};
use crate::paper::figures;
use crate::paper::numbers;
use crate::paper::results::Results;
use crate::paper::scan::{Call, place};
use crate::values::document::Value;
use onsager_tables::names::did_you_mean;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Wrong {
    /// A number is written by hand and equals one of the run.
    Number,
    /// A command names something that the run does not have.
    Unknown,
    /// A figure is not from this run.
    Figure,
    /// A claim fails, or is stale.
    Claim,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    pub wrong: Wrong,
    /// The file, as the user gave its folder.
    pub file: String,
    pub line: usize,
    pub column: usize,
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Checked {
    /// In the order of the text.
    pub findings: Vec<Finding>,
    /// Numbers, figures and tables that the text does not use.
    pub unused: Vec<String>,
    /// How often the text names something of the run.
    pub used: usize,
}

/// Compares a paper with its run.
pub fn check(document: &Document, results: &Results) -> Checked {
    let mut checked = Checked::default();
    let mut used: BTreeSet<String> = BTreeSet::new();
    let values: BTreeMap<String, Value> =
        results.values.iter().flat_map(|values| values.document.values.clone()).collect();
    for source in &document.sources {
        let before = checked.findings.len();
        for call in &source.calls {
            if let Some((kind, names)) = names(&call.name, results) {
                let Some((name, at)) = source.argument(call) else { continue };
                if names.contains(name) {
                    checked.used += 1;
                    used.insert(format!("{kind} {name}"));
                } else if !is_pattern(name, call) {
                    let help = did_you_mean(name, names.iter().map(String::as_str), "there are");
                    let message = format!("there is no {kind} `{name}` in the run");
                    checked.findings.push(finding(Wrong::Unknown, source, at, message, help));
                }
            }
        }
        for found in numbers::by_hand(source, &values) {
            let told: Vec<String> =
                found.meant.iter().map(|(name, value, _)| format!("`{name}` ({value})")).collect();
            let commands: Vec<String> =
                found.meant.iter().map(|(_, _, command)| format!("`{command}`")).collect();
            let message = format!("`{}` is {}", found.text, told.join(" or "));
            let help = Some(format!("write {}", commands.join(" or ")));
            checked.findings.push(finding(Wrong::Number, source, found.at, message, help));
        }
        for figure in figures::figures(document, source) {
            let message = match &figure.path {
                Some(path) if figures::is_made(document, path, &results.made) => continue,
                Some(_) => format!("figure `{}` is not from this run", figure.name),
                None => format!("there is no figure `{}`", figure.name),
            };
            let help = "give the run's to the stage `values` as an input, and write `\\onsagerfigure{name}`";
            checked.findings.push(finding(Wrong::Figure, source, figure.at, message, Some(help.to_owned())));
        }
        checked.findings[before..].sort_by_key(|finding| (finding.line, finding.column));
    }
    for claim in results.claims.iter().filter(|claim| claim.outcome != Outcome::Holds) {
        let what = if claim.outcome == Outcome::Fails { "fails" } else { "is stale" };
        let help = (claim.outcome == Outcome::Stale).then(|| format!("`onsager run {}`", results.pipeline));
        checked.findings.push(Finding {
            wrong: Wrong::Claim,
            file: claim.file.clone(),
            line: claim.line,
            column: claim.column,
            message: format!("claim `{}` {what}: {}", claim.claim, claim.reached),
            help,
        });
    }
    for values in &results.values {
        let document = &values.document;
        let named = |kind: &'static str, names: Vec<&String>| -> Vec<String> {
            let unused = names.into_iter().filter(|name| !used.contains(&format!("{kind} {name}")));
            unused.map(|name| if kind == "value" { name.clone() } else { format!("{kind} {name}") }).collect()
        };
        checked.unused.extend(named("value", document.values.keys().collect()));
        checked.unused.extend(named("figure", document.figures.keys().collect()));
        checked.unused.extend(named("table", document.tables.keys().collect()));
    }
    checked
}

/// What a command names, and the names that there are.
fn names(command: &str, results: &Results) -> Option<(&'static str, BTreeSet<String>)> {
    let all = || results.values.iter().map(|values| &values.document);
    Some(match command {
        "onsager" | "onsagerpm" | "onsagerunit" => {
            ("value", all().flat_map(|document| document.values.keys().cloned()).collect())
        }
        "onsagerfigure" => ("figure", all().flat_map(|document| document.figures.keys().cloned()).collect()),
        "onsagertable" => ("table", all().flat_map(|document| document.tables.keys().cloned()).collect()),
        "onsagerclaim" => {
            let claims = all().flat_map(|document| &document.claims);
            ("claim", claims.filter_map(|claim| claim.name.clone()).collect())
        }
        _ => return None,
    })
}

/// In a command of the user's own the name is filled in later.
fn is_pattern(name: &str, call: &Call) -> bool {
    name.contains('#') || name.contains('\\') || call.arguments.is_empty()
}

fn finding(wrong: Wrong, source: &Source, at: usize, message: String, help: Option<String>) -> Finding {
    let (line, column) = place(&source.text, at);
    Finding { wrong, file: source.shown.clone(), line, column, message, help }
}
