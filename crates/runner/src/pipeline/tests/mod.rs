//! Tests of the whole way from text to graph, with small kinds of their own.

mod fields;
mod fuzz;
mod graphs;
mod own_fields;
mod references;
mod syntax;
mod values;

use crate::command::CommandStage;
use crate::kind::context::Context;
use crate::kind::fields::Fields;
use crate::kind::registry::Registry;
use crate::kind::stage::{Checks, Input, Inputs, Issue, Output, Stage, StageError};
use crate::pipeline::experiments::overrides::Overrides;
use crate::pipeline::graph::Graph;
use crate::pipeline::load::load_text;
use crate::pipeline::yaml::diagnostics::Diagnostics;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A source with parameters of every sort.
struct Motion;

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum System {
    Free,
    Harmonic,
    Morse,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Layer {
    x: f64,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MotionParams {
    /// The system.
    system: System,
    /// In units of length, positive.
    #[serde(default = "one")]
    diffusion: f64,
    #[serde(default)]
    particles: u64,
    #[serde(default)]
    layers: Vec<Layer>,
    #[serde(default)]
    seed: u64,
}

fn one() -> f64 {
    1.0
}

impl Stage for Motion {
    type Params = MotionParams;
    const KIND: &'static str = "motion";
    const SUMMARY: &'static str = "A source of two tables.";

    fn inputs() -> Inputs {
        Inputs::none()
    }

    fn outputs(_: &MotionParams) -> Vec<Output> {
        vec![Output::file("tubes", "tubes.parquet", ""), Output::file("paths", "paths.parquet", "")]
    }

    fn check(params: &MotionParams) -> Vec<Issue> {
        let mut checks = Checks::default();
        let diffusion = params.diffusion;
        checks.ensure(diffusion > 0.0, "diffusion", || format!("must be positive, but is {diffusion}"));
        checks.0
    }

    fn run(_: &MotionParams, _: &Context) -> Result<(), StageError> {
        Ok(())
    }
}

/// Takes one model and any number of tables.
struct Fit;

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoParams {}

impl Stage for Fit {
    type Params = NoParams;
    const KIND: &'static str = "fit";
    const SUMMARY: &'static str = "Joins tables.";

    fn inputs() -> Inputs {
        Inputs::of(vec![
            Input::many("tubes", "the tables"),
            Input::one("model", "a single artifact").optional(),
        ])
    }

    fn outputs(_: &NoParams) -> Vec<Output> {
        vec![Output::file("fit", "fit.parquet", "")]
    }

    fn run(_: &NoParams, _: &Context) -> Result<(), StageError> {
        Ok(())
    }
}

/// The shape of the real command kind.
struct Command;

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CommandParams {
    run: String,
    outputs: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    env: std::collections::BTreeMap<String, String>,
}

impl Stage for Command {
    type Params = CommandParams;
    const KIND: &'static str = "command";
    const SUMMARY: &'static str = "Runs a program.";
    const FIELDS: Fields = CommandStage::FIELDS;

    fn inputs() -> Inputs {
        Inputs::any()
    }

    fn outputs(params: &CommandParams) -> Vec<Output> {
        let output =
            |(name, file): (&String, &serde_json::Value)| Output::file(name, file.as_str().unwrap_or(""), "");
        params.outputs.iter().map(output).collect()
    }

    fn run(_: &CommandParams, _: &Context) -> Result<(), StageError> {
        Ok(())
    }
}

fn registry() -> Registry {
    let mut registry = Registry::empty();
    registry.add::<Motion>("1").add::<Fit>("1").add::<Command>("1");
    registry
}

/// Loads a text as `pipelines/test.yaml` of this crate, with `--set` values.
fn load_with(source: &str, sets: &[&str]) -> Result<Graph, Diagnostics> {
    let given = Overrides { files: Vec::new(), sets: sets.iter().map(|set| set.parse().unwrap()).collect() };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    load_text(source.to_owned(), Path::new("pipelines/test.yaml"), root, &given, &registry())
}

fn load(source: &str) -> Graph {
    match load_with(source, &[]) {
        Ok(graph) => graph,
        Err(diagnostics) => panic!("{diagnostics}"),
    }
}

/// The diagnostics of a text, with the crate's folder written as ROOT.
fn errors(source: &str) -> String {
    errors_with(source, &[])
}

fn errors_with(source: &str, sets: &[&str]) -> String {
    match load_with(source, sets) {
        Ok(graph) => panic!("loaded: {:?}", graph.tasks),
        Err(diagnostics) => diagnostics.to_string().replace(env!("CARGO_MANIFEST_DIR"), "ROOT"),
    }
}
