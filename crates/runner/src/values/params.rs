//! The parameters of the kind `values`: what a person gives, and what is filled in when the pipeline is read.

use crate::pipeline::spec::metrics::{Pick, Show, Spread};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The parameters of the kind `values`.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The metrics to take: names, or beginnings of names with `*` behind them; all of them when empty.
    #[serde(default)]
    pub metrics: Vec<String>,
    /// What the pipeline's `metrics` say of them. It is filled in when the pipeline is read.
    #[serde(default)]
    #[schemars(skip)]
    pub numbers: Vec<Wanted>,
    /// What varies between the points of the sweep, for a stage over all of them. It is filled in when the pipeline is read.
    #[serde(default)]
    #[schemars(skip)]
    pub swept: Vec<String>,
    /// What the pipeline claims of them. It is filled in when the pipeline is read.
    #[serde(default)]
    #[schemars(skip)]
    pub claims: Vec<Said>,
}

/// A claim as the pipeline says it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Said {
    pub name: Option<String>,
    pub claim: String,
    pub text: Option<String>,
}

/// A metric, and the input that it is read from.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Wanted {
    pub name: String,
    pub input: String,
    /// The artifact as written.
    pub from: String,
    pub pick: Pick,
    pub spread: Option<Spread>,
    pub show: Show,
}
