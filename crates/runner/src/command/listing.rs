//! The inputs and outputs of a command as JSON in its environment, so that it can tell which input is which.

use crate::kind::context::Context;
use crate::kind::stage::StageError;
use serde_json::{Map, Value, json};
use std::ffi::OsString;

/// A longer text goes into a file: a variable of the environment has at most 128 KiB on Linux.
const LONGEST: usize = 64 << 10;

/// `ONSAGER_INPUTS`, the artifacts of each input with path, name and labels, and `ONSAGER_OUTPUTS`, the path of each output. Where the
/// text would be too long, `ONSAGER_INPUTS_FILE` names a file that holds it.
pub fn variables(ctx: &Context) -> Result<Vec<(OsString, OsString)>, StageError> {
    let mut variables = Vec::new();
    let mut inputs = Map::new();
    for (name, items) in ctx.inputs().iter().filter(|(name, _)| is_own(name)) {
        let item = |item: &crate::kind::context::Item| {
            let labels: Map<String, Value> = item.labels.iter().cloned().collect();
            json!({"path": item.path.to_string_lossy(), "name": item.name, "labels": labels})
        };
        inputs.insert(name.clone(), items.iter().map(item).collect());
    }
    if !inputs.is_empty() {
        let text = Value::Object(inputs).to_string();
        if text.len() <= LONGEST {
            variables.push(("ONSAGER_INPUTS".into(), text.into()));
        } else {
            let file = ctx.log().with_extension("inputs.json");
            std::fs::write(&file, text)?;
            variables.push(("ONSAGER_INPUTS_FILE".into(), file.into()));
        }
    }
    let outputs = ctx.outputs().iter().map(|(name, path)| (name.clone(), path.to_string_lossy().into()));
    variables.push(("ONSAGER_OUTPUTS".into(), Value::Object(outputs.collect()).to_string().into()));
    Ok(variables)
}

/// Whether the stage itself named an input so: those that stand for its tools and its environment have a dot.
fn is_own(name: &str) -> bool {
    !name.contains('.')
}
