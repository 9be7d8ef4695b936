//! A kind of somebody else's with fields of its stages, like `command`.

use crate::kind::context::Context;
use crate::kind::fields::{Field, Fields, Need};
use crate::kind::stage::{Inputs, Output, Stage, StageError};
use crate::pipeline::builder::{Pipeline, StageEntry};
use crate::pipeline::graph::Graph;
use crate::pipeline::schema;
use crate::pipeline::tests::registry;
use crate::pipeline::yaml::diagnostics::Diagnostics;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

/// Runs a script in a language of its own; it is never confined, and keeps no checkpoint.
struct Script;

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ScriptParams {
    run: String,
    #[serde(default = "nothing")]
    outputs: BTreeMap<String, String>,
}

fn nothing() -> BTreeMap<String, String> {
    BTreeMap::from([("text".to_owned(), "text.txt".to_owned())])
}

impl Stage for Script {
    type Params = ScriptParams;
    const KIND: &'static str = "script";
    const SUMMARY: &'static str = "Runs a script.";
    const FIELDS: Fields = Fields::of(&[(Field::Run, Need::Required), (Field::Outputs, Need::Optional)]);

    fn inputs() -> Inputs {
        Inputs::any()
    }

    fn outputs(params: &ScriptParams) -> Vec<Output> {
        params.outputs.iter().map(|(name, file)| Output::file(name, file, "")).collect()
    }

    fn run(_: &ScriptParams, _: &Context) -> Result<(), StageError> {
        Ok(())
    }
}

fn load(stage: StageEntry) -> Result<Graph, Diagnostics> {
    let mut registry = registry();
    registry.add::<Script>("1");
    Pipeline::new("own").param("word", 1.5).stage(stage).graph(Path::new("/"), &registry)
}

fn messages(stage: StageEntry) -> Vec<String> {
    let wrong = load(stage).err().map(|diagnostics| diagnostics.all).unwrap_or_default();
    wrong.into_iter().map(|one| one.message).collect()
}

#[test]
fn its_parameters_are_fields_of_the_stage() {
    let graph = load(
        StageEntry::new("s", "script")
            .field("run", json!("say ${params.word} ${outputs.a}"))
            .output("a", "a"),
    );
    let task = &graph.unwrap().tasks[0];
    assert_eq!(task.params.value(), json!({"run": "say 1.5 ${outputs.a}", "outputs": {"a": "a"}}));
    assert_eq!(task.outputs[0].file, "a");
}

#[test]
fn what_is_left_out_has_its_default() {
    let graph = load(StageEntry::new("s", "script").field("run", json!("say")));
    assert_eq!(graph.unwrap().tasks[0].outputs[0].file, "text.txt");
}

#[test]
fn what_does_not_fit_is_told_with_the_kinds_that_it_fits() {
    let stage = StageEntry::new("s", "script").param("width", 3).field("env", json!({"A": 1}));
    assert_eq!(
        messages(stage),
        [
            "script stage `s` has no `run`",
            "a `script` stage takes no `params`",
            "`env` is a field of `command` stages, but the kind is `script`",
        ]
    );
    let stage = StageEntry::new("s", "motion").field("run", json!("say"));
    assert!(
        messages(stage)
            .contains(&"`run` is a field of `command` and `script` stages, but the kind is `motion`".into())
    );
}

#[test]
fn the_schema_knows_it() {
    let mut registry = registry();
    registry.add::<Script>("1");
    let schema = schema::pipeline(&registry);
    let stage = &schema["$defs"]["stage"];
    let about = stage["properties"]["run"]["description"].as_str().unwrap();
    assert!(about.starts_with("The shell command of a `command` or `script` stage"), "{about}");
    let branches = stage["allOf"].as_array().unwrap();
    let own = branches.iter().find(|branch| branch["if"]["properties"]["kind"]["const"] == "script").unwrap();
    assert_eq!(own["then"]["required"], json!(["run"]));
    assert_eq!(own["then"]["properties"]["params"], json!(false));
    assert_eq!(own["then"]["properties"]["sandbox"], json!(false));
    assert_eq!(own["then"]["properties"]["outputs"], json!(null));
}
