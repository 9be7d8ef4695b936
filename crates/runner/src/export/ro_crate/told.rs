//! Everything that a crate tells of a run, from which its texts are made.

use crate::export::ro_crate::entities::encoded;
use crate::export::ro_crate::layout::{Input, Result, Text};
use crate::pages::made::Made;
use crate::run::account::Account;
use crate::run::description::Description;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Everything that is told of a run.
pub struct Told<'a> {
    pub account: &'a Account,
    pub made: &'a Made,
    pub description: &'a Description,
    /// The tasks that have a result, with others that it stands for.
    pub tasks: &'a [(String, Vec<String>)],
    pub results: &'a [Result],
    pub inputs: &'a [Input],
    pub texts: &'a [Text],
    /// Whether the results are in the crate.
    pub objects: bool,
    /// Further files of the crate: their places, with what they are.
    pub others: &'a [(&'static str, &'static str)],
}

impl Told<'_> {
    pub fn title(&self) -> &str {
        self.description.about.title.as_deref().unwrap_or(&self.account.pipeline)
    }

    pub fn words(&self) -> String {
        let account = self.account;
        self.description.about.description.clone().map(|text| text.trim().to_owned()).unwrap_or_else(|| {
            format!("A run of the pipeline `{}` by onsager {}.", account.pipeline, account.version)
        })
    }

    /// When the run ended, as far as its record tells.
    pub fn ended(&self) -> Timestamp {
        self.account.last.or(self.account.started).unwrap_or_default()
    }

    /// The file that was run.
    pub fn workflow(&self) -> String {
        self.texts.first().map(|text| encoded(&text.path)).unwrap_or_default()
    }
}

/// The pipeline's parameters with their values: of a sweep those of its first point.
pub fn parameters(told: &Told) -> BTreeMap<String, Value> {
    let params = told.account.points.iter().flat_map(|point| &point.params);
    let mut parameters = BTreeMap::new();
    for (name, value) in params {
        parameters.entry(name.clone()).or_insert_with(|| value.clone());
    }
    parameters
}

/// The type of a parameter with this value, and the value as a crate has it: what has parts is JSON in a text.
pub fn typed(value: &Value) -> (&'static str, Value) {
    match value {
        Value::Bool(_) => ("Boolean", value.clone()),
        Value::Number(number) if number.is_f64() => ("Float", value.clone()),
        Value::Number(_) => ("Integer", value.clone()),
        Value::String(_) => ("Text", value.clone()),
        Value::Null | Value::Array(_) | Value::Object(_) => ("Text", json!(value.to_string())),
    }
}
