//! A pipeline built in a program instead of a YAML file, with the same checks.
//!
//! ```
//! use onsager_runner::pipeline::builder::{Pipeline, StageEntry};
//! # fn main() -> Result<(), onsager_runner::pipeline::yaml::diagnostics::Diagnostics> {
//! let graph = Pipeline::new("words")
//!     .param("word", "hello")
//!     .stage(
//!         StageEntry::command("say", "echo ${params.word} ${matrix.n} > ${outputs.text}")
//!             .axis("n", [1, 2])
//!             .output("text", "said.txt"),
//!     )
//!     .stage(
//!         StageEntry::command("join", "cat ${inputs.texts} > ${outputs.text}")
//!             .input("texts", "say")
//!             .output("text", "joined.txt"),
//!     )
//!     .graph(std::path::Path::new("."), &onsager_runner::builtin())?;
//! assert_eq!(graph.tasks.len(), 3);
//! # Ok(())
//! # }
//! ```

use crate::command::CommandStage;
use crate::kind::registry::Registry;
use crate::kind::stage::Stage;
use crate::pipeline::experiments::overrides::Overrides;
use crate::pipeline::graph::Graph;
use crate::pipeline::load;
use crate::pipeline::yaml::diagnostics::Diagnostics;
use serde_json::{Map, Value, json};
use std::path::Path;

/// A pipeline in the making: the fields of a pipeline file.
#[derive(Debug, Clone)]
pub struct Pipeline {
    name: String,
    params: Map<String, Value>,
    stages: Vec<StageEntry>,
}

/// A stage of a pipeline: the fields of its entry in a pipeline file.
#[derive(Debug, Clone)]
pub struct StageEntry {
    name: String,
    fields: Map<String, Value>,
}

impl Pipeline {
    pub fn new(name: &str) -> Pipeline {
        Pipeline { name: name.to_owned(), params: Map::new(), stages: Vec::new() }
    }

    /// A value for `${params.…}`.
    pub fn param(mut self, name: &str, value: impl Into<Value>) -> Pipeline {
        self.params.insert(name.to_owned(), value.into());
        self
    }

    pub fn stage(mut self, stage: StageEntry) -> Pipeline {
        self.stages.push(stage);
        self
    }

    /// The pipeline file that says the same. It is JSON, and so YAML too.
    pub fn text(&self) -> String {
        // Written stage by stage: in a map, a second stage of the same name would replace the first instead of being refused.
        let stages: Vec<String> = self.stages.iter().map(StageEntry::text).collect();
        format!(
            "{{\n  \"name\": {},\n  \"params\": {},\n  \"stages\": {{\n    {}\n  }}\n}}\n",
            Value::from(self.name.as_str()),
            Value::Object(self.params.clone()),
            stages.join(",\n    ")
        )
    }

    /// The expanded, checked graph. Relative file inputs start at `root`. Lines and columns of what is wrong are those of [`Self::text`].
    pub fn graph(&self, root: &Path, registry: &Registry) -> Result<Graph, Diagnostics> {
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        load::load_text(self.text(), Path::new(&self.name), &root, &Overrides::default(), registry)
    }
}

impl StageEntry {
    /// A stage of this kind.
    pub fn new(name: &str, kind: &str) -> StageEntry {
        StageEntry { name: name.to_owned(), fields: Map::from_iter([("kind".to_owned(), json!(kind))]) }
    }

    /// A stage that runs a shell command.
    pub fn command(name: &str, run: &str) -> StageEntry {
        StageEntry::new(name, CommandStage::KIND).field("run", json!(run))
    }

    /// Any other field, like `matrix` or `resources`, as it would stand in the file; `matrix` replaces the axes so far.
    pub fn field(mut self, name: &str, value: Value) -> StageEntry {
        self.fields.insert(name.to_owned(), value);
        self
    }

    /// A parameter of the kind.
    pub fn param(self, name: &str, value: impl Into<Value>) -> StageEntry {
        self.within("params", name, value.into())
    }

    /// An axis of the matrix.
    pub fn axis<V: Into<Value>>(self, name: &str, values: impl IntoIterator<Item = V>) -> StageEntry {
        self.within("matrix", name, Value::Array(values.into_iter().map(V::into).collect()))
    }

    /// An input from other stages: `stage`, `stage.output`, `stage[axis=value].output` or `stage[matching]`.
    pub fn input(self, name: &str, reference: &str) -> StageEntry {
        self.within("inputs", name, json!(reference))
    }

    /// An input from a file or folder that no stage makes.
    pub fn file(self, name: &str, path: &str) -> StageEntry {
        self.within("inputs", name, json!({"file": path}))
    }

    /// A file that a command writes.
    pub fn output(self, name: &str, file: &str) -> StageEntry {
        self.within("outputs", name, json!(file))
    }

    fn within(mut self, field: &str, name: &str, value: Value) -> StageEntry {
        let slot = self.fields.entry(field).or_insert_with(|| json!({}));
        match slot {
            Value::Object(map) => _ = map.insert(name.to_owned(), value),
            // `field` put something else there; the later word counts.
            other => *other = json!({name: value}),
        }
        self
    }

    fn text(&self) -> String {
        format!("{}: {}", Value::from(self.name.as_str()), Value::Object(self.fields.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin;

    #[test]
    fn a_built_pipeline_is_the_written_one() {
        let built = Pipeline::new("words")
            .param("word", "he said: \"hello\" ☃\n")
            .stage(
                StageEntry::command("say", "echo ${params.word} ${matrix.n} > ${outputs.text}")
                    .axis("n", [1, 2])
                    .output("text", "said.txt"),
            )
            .graph(Path::new("/"), &builtin())
            .unwrap();
        let written = "name: words\nparams: {word: \"he said: \\\"hello\\\" ☃\\n\"}\nstages:\n  say:\n    kind: command\n    \
                       matrix: {n: [1, 2]}\n    run: echo ${params.word} ${matrix.n} > ${outputs.text}\n    \
                       outputs: {text: said.txt}\n";
        let mut written = load::load_text(
            written.into(),
            Path::new("words"),
            Path::new("/"),
            &Overrides::default(),
            &builtin(),
        )
        .unwrap();
        // Their texts are not the same.
        let mut built = built;
        built.sources.clear();
        written.sources.clear();
        assert_eq!(format!("{built:?}"), format!("{written:?}"));
    }

    #[test]
    fn what_is_wrong_is_told_at_once() {
        let wrong = Pipeline::new("wrong")
            .stage(StageEntry::new("a", "comand"))
            .stage(StageEntry::command("b", "true").input("x", "c").output("y", "y"))
            .stage(StageEntry::command("b", "true").output("y", "y"))
            .graph(Path::new("/"), &builtin())
            .unwrap_err();
        let messages: Vec<&str> = wrong.all.iter().map(|one| one.message.as_str()).collect();
        assert!(messages.iter().any(|text| text.contains("`b`")), "{messages:?}");
    }
}
