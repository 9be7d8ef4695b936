//! What a pipeline is, beside the record of a run: what it says of itself, the files that it was read from, its stages with the names of
//! their files. It is a text in the store's manifests, which runs of an unchanged pipeline share. Nothing of it enters a key.

use crate::pipeline::graph::{Graph, StageInfo};
use crate::pipeline::spec::about::About;
use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::files::StoreError;
use crate::store::names;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// A pipeline as it was when it ran.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Description {
    #[serde(flatten)]
    pub about: About,
    /// The files that it was read from, each with its text in the store's manifests: from the project's folder on where they are in it. The
    /// first is the one that was run.
    #[serde(with = "names::pairs")]
    pub files: Vec<(PathBuf, Digest)>,
    /// In the order of declaration.
    pub stages: Vec<Described>,
}

/// A stage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Described {
    pub name: String,
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The file or folder of each output, in the stage's folder.
    pub outputs: Vec<(String, String)>,
    /// The outputs that are data sets for others, with what they are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<(String, String)>,
}

impl Description {
    /// Keeps that of a graph, and gives its name; none for a pipeline that a program made.
    pub fn keep(graph: &Graph, store: &Store) -> Result<Option<Digest>, StoreError> {
        let mut files = Vec::new();
        for (path, digest) in &graph.sources {
            // The points of a search are no part of the pipeline. A file that has changed meanwhile is not the one that was read.
            let yaml = path.extension() != Some(OsStr::new("json"));
            let Some(text) = fs::read(path).ok().filter(|text| yaml && Digest::of(text) == *digest) else {
                continue;
            };
            store.manifests().keep(&text)?;
            files.push((within(path, &graph.root), *digest));
        }
        if files.is_empty() {
            return Ok(None);
        }
        let stages = graph.stages.iter().map(|stage| described(stage, graph)).collect();
        let description = Description { about: graph.about.clone(), files, stages };
        let text = serde_json::to_vec(&description)
            .map_err(|error| StoreError::io("describe", &graph.file)(error.into()))?;
        store.manifests().keep(&text).map(Some)
    }

    /// The one of this name; none where it is not there any more.
    pub fn read(store: &Store, digest: &Digest) -> Result<Option<Description>, StoreError> {
        let text = store.manifests().text(digest)?;
        Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
    }

    pub fn stage(&self, name: &str) -> Option<&Described> {
        self.stages.iter().find(|stage| stage.name == name)
    }
}

/// A file from the project's folder on.
fn within(path: &Path, root: &Path) -> PathBuf {
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    path.strip_prefix(root).or_else(|_| real.strip_prefix(root)).unwrap_or(path).to_owned()
}

fn described(stage: &StageInfo, graph: &Graph) -> Described {
    let outputs = stage.tasks.first().and_then(|task| graph.tasks.get(*task)).map(|task| &task.outputs);
    let outputs = outputs.into_iter().flat_map(|outputs| outputs.iter());
    Described {
        name: stage.name.clone(),
        kind: stage.kind.clone(),
        description: stage.description.clone(),
        outputs: outputs.map(|output| (output.name.clone(), output.file.clone())).collect(),
        publish: stage.publish.clone(),
    }
}
