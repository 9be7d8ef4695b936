//! From a `dvc.yaml` to a pipeline file: stages, dependencies, outputs, `foreach` and `matrix`, and values of `params.yaml`.
//!
//! `read` reads the stages with their places, `template` turns DVC's `${…}` into ours, `convert` finds which stage makes what
//! another one reads, and `write` writes the pipeline. What has no counterpart is told with its line and column, and left out.

mod convert;
mod read;
mod template;
mod write;

use crate::pipeline::files;
use crate::pipeline::yaml::diagnostics::Diagnostics;
use crate::pipeline::yaml::node::Node;
use crate::pipeline::yaml::sink::Sink;
use serde_json::{Map, Value};
use std::path::Path;

/// A pipeline file that says what a `dvc.yaml` says.
#[derive(Debug)]
pub struct Converted {
    /// The name of the pipeline, from the folder's.
    pub name: String,
    /// The text of the pipeline file.
    pub text: String,
    /// What is left to do by hand, each with its place in the `dvc.yaml`.
    pub left: Vec<String>,
}

/// Converts this `dvc.yaml`. Nothing is executed, and files are only looked at to tell folders from files.
pub fn convert(file: &Path) -> Result<Converted, Diagnostics> {
    let mut sink = Sink::default();
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(root) = tree(file, &mut sink) else {
        return Err(diagnostics(sink, file));
    };
    let mut values = Map::new();
    let default = folder.join("params.yaml");
    if default.exists() {
        merge(&mut values, &default, &mut sink);
    }
    for vars in root.get("vars").and_then(|vars| vars.value.items()).unwrap_or_default() {
        match vars.text() {
            // `params.yaml:train` takes a part of the file; the whole does no harm.
            Some(name) => merge(&mut values, &folder.join(name.split(':').next().unwrap_or(name)), &mut sink),
            None => {
                values.extend(vars.json().as_ref().and_then(Value::as_object).cloned().unwrap_or_default())
            }
        }
    }
    let stages = read::stages(&root, &values, &sink);
    let name = name(folder);
    let pipeline = convert::pipeline(&name, &stages, &values, folder, &sink);
    if sink.count() > 0 {
        return Err(diagnostics(sink, file));
    }
    Ok(Converted { name, text: write::text(&pipeline), left: sink.warnings() })
}

fn diagnostics(sink: Sink, file: &Path) -> Diagnostics {
    sink.finish(file.to_owned())
        .unwrap_or_else(|| Diagnostics::whole(file.to_owned(), "cannot be read", None))
}

/// The tree of a YAML file.
fn tree(file: &Path, sink: &mut Sink) -> Option<Node> {
    let text = files::open(file, None, sink)?;
    Node::parse(sink.whole(text), text, 0, sink)
}

fn merge(values: &mut Map<String, Value>, file: &Path, sink: &mut Sink) {
    let read = tree(file, sink).and_then(|node| node.json());
    values.extend(read.as_ref().and_then(Value::as_object).cloned().unwrap_or_default());
}

/// The folder's name as a pipeline may be called.
fn name(folder: &Path) -> String {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let own = absolute.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    convert::slug(&own, "pipeline")
}
