//! The run's side of a paper: the pipeline that it belongs to, its numbers, and which of its results are what it says now.

use crate::kind::registry::Registry;
use crate::pipeline::graph::{Graph, Source};
use crate::pipeline::project;
use crate::plan::planned::plan;
use crate::run::claims::{self, Checked};
use crate::run::error::SessionError;
use crate::run::session::Session;
use crate::run::settings::Settings;
use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::files::StoreError;
use crate::store::members::Members;
use crate::store::objects::{Content, Shape};
use crate::values::document;
use onsager_tables::names::list;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The kind whose results a paper reads.
const KIND: &str = "values";

/// Why a paper cannot be compared with a run.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("no pipeline of the project has a stage of the kind `values`; name it with `--pipeline`")]
    NoPipeline,
    #[error("{} have stages of the kind `values`; name the paper's with `--pipeline`", list(.files))]
    Several { files: Vec<String> },
    #[error("`{pipeline}` has no stage of the kind `values`")]
    NoValues { pipeline: String },
    #[error(
        "the numbers of `{task}` are not computed as the pipeline is now; `onsager run {pipeline}` does it"
    )]
    NotComputed { task: String, pipeline: String },
    #[error("the numbers of `{task}` cannot be read: {message}")]
    Damaged { task: String, message: String },
}

/// What a paper may take.
pub struct Results {
    /// The pipeline's file, as it is told.
    pub pipeline: String,
    pub store: Store,
    /// The numbers, figures and tables of every stage that the paper takes them from, one after the other.
    pub values: Vec<Values>,
    /// The digest of every output that is what the pipeline says now, and of what is inside folders.
    pub made: HashSet<Digest>,
    pub claims: Vec<Checked>,
    /// The `bbl` of the stage that builds the paper.
    pub references: Option<Content>,
}

/// The results of a stage of the kind `values`.
pub struct Values {
    pub task: String,
    pub document: document::Document,
    /// `values.tex` and `onsager.sty`.
    pub tex: Content,
    pub style: Content,
    files: Option<Members>,
}

impl Values {
    /// A figure or table below `files/`.
    pub fn file(&self, path: &str) -> Result<Option<Content>, StoreError> {
        let Some(inside) = path.strip_prefix("files/") else { return Ok(None) };
        self.files.as_ref().map_or(Ok(None), |files| files.get(Path::new(inside)))
    }
}

impl Results {
    /// Finds the results for the paper with this main file: of a pipeline, or of the one in the paper's project that builds it.
    pub fn find(
        main: &Path,
        pipeline: Option<&Path>,
        settings: &Settings,
        registry: &Registry,
    ) -> Result<Results, ResultsError> {
        if let Some(file) = pipeline {
            let session = Session::open(file, registry, settings.clone())?;
            let graph = session.graph()?;
            return Results::of(&session, &graph, main, registry);
        }
        let absolute = std::path::absolute(main).unwrap_or_else(|_| main.to_owned());
        let root = project::find(absolute.parent().unwrap_or(&absolute));
        let mut found = Vec::new();
        let here = std::env::current_dir().unwrap_or_default();
        for file in project::pipelines(&root) {
            // As a person here would name it.
            let file = file.strip_prefix(&here).map(Path::to_owned).unwrap_or(file);
            // One that cannot be read is none of the paper's.
            let Ok(session) = Session::open(&file, registry, settings.clone()) else { continue };
            let Ok(graph) = session.graph() else { continue };
            if graph.tasks.iter().any(|task| task.kind == KIND) {
                found.push((builder(&graph, main).is_some(), file, session, graph));
            }
        }
        if found.iter().any(|(builds, ..)| *builds) {
            found.retain(|(builds, ..)| *builds);
        }
        match found.as_slice() {
            [] => Err(ResultsError::NoPipeline),
            [(_, _, session, graph)] => Results::of(session, graph, main, registry),
            several => {
                let shown = |file: &PathBuf| file.strip_prefix(&root).unwrap_or(file).display().to_string();
                Err(ResultsError::Several {
                    files: several.iter().map(|(_, file, ..)| shown(file)).collect(),
                })
            }
        }
    }

    fn of(
        session: &Session,
        graph: &Graph,
        main: &Path,
        registry: &Registry,
    ) -> Result<Results, ResultsError> {
        let store = session.store().clone();
        let pipeline = session.file().display().to_string();
        let mut resolver = session.resolver(graph)?;
        let view = store.view(&graph.name)?;
        let selected = vec![true; graph.tasks.len()];
        let planned =
            plan(&mut resolver, &store, &view, &selected, &HashSet::new()).map_err(SessionError::from)?;
        let outputs: Vec<Option<Vec<Content>>> =
            planned.into_iter().map(|planned| planned.and_then(|planned| planned.outputs)).collect();
        let mut made = HashSet::new();
        for content in outputs.iter().flatten().flatten() {
            made.insert(content.digest);
            if content.shape == Shape::Folder
                && let Some(members) = Members::of(&store.objects(), &content.digest)?
            {
                made.extend(members.all()?.into_iter().map(|content| content.digest));
            }
        }
        let claims = claims::check(graph, &outputs, &store, registry.parquet());
        let built_by = builder(graph, main);
        let mut tasks: Vec<usize> = match built_by {
            Some(task) => {
                graph.dependencies(task).into_iter().filter(|&up| graph.tasks[up].kind == KIND).collect()
            }
            None => (0..graph.tasks.len()).filter(|&at| graph.tasks[at].kind == KIND).collect(),
        };
        tasks.sort_unstable();
        tasks.dedup();
        if tasks.is_empty() {
            return Err(ResultsError::NoValues { pipeline });
        }
        let values = tasks
            .into_iter()
            .map(|task| values_of(graph, task, outputs[task].as_deref(), &store, &pipeline))
            .collect::<Result<_, _>>()?;
        let references = built_by.and_then(|task| {
            let at = graph.tasks[task].outputs.iter().position(|output| output.name == "bbl")?;
            outputs[task].as_ref()?.get(at).copied().filter(|content| !content.is_absent())
        });
        Ok(Results { pipeline, store, values, made, claims, references })
    }

    /// The number of this name.
    pub fn value(&self, name: &str) -> Option<&document::Value> {
        self.values.iter().find_map(|values| values.document.values.get(name))
    }

    /// The figure or table of this name, with the stage's results that have it.
    pub fn file(&self, name: &str, table: bool) -> Option<(&Values, &document::File)> {
        self.values.iter().find_map(|values| {
            let files = if table { &values.document.tables } else { &values.document.figures };
            Some((values, files.get(name)?))
        })
    }
}

/// The task that builds the paper: it reads the main file, and numbers.
fn builder(graph: &Graph, main: &Path) -> Option<usize> {
    let main = fs::canonicalize(main).ok()?;
    let reads = |task: &usize| {
        let sources = || graph.tasks[*task].inputs.iter().flat_map(|(_, sources)| sources);
        let file = sources().any(|source| match source {
            Source::File { chosen, .. } => fs::canonicalize(&chosen.path).is_ok_and(|path| path == main),
            _ => false,
        });
        file && sources().filter_map(Source::task).any(|up| graph.tasks[up].kind == KIND)
    };
    (0..graph.tasks.len()).find(reads)
}

fn values_of(
    graph: &Graph,
    number: usize,
    outputs: Option<&[Content]>,
    store: &Store,
    pipeline: &str,
) -> Result<Values, ResultsError> {
    let task = graph.tasks[number].id.clone();
    let missing = || ResultsError::NotComputed { task: task.clone(), pipeline: pipeline.to_owned() };
    let output = |name: &str| {
        let at = graph.tasks[number].outputs.iter().position(|output| output.name == name)?;
        let content = outputs?.get(at).copied()?;
        store.objects().contains(&content.digest).then_some(content)
    };
    let (Some(json), Some(tex), Some(style), Some(files)) =
        (output("json"), output("tex"), output("sty"), output("files"))
    else {
        return Err(missing());
    };
    let path = store.objects().checked_file(&json.digest)?;
    let damaged = |message: String| ResultsError::Damaged { task: task.clone(), message };
    let text = fs::read_to_string(path).map_err(|error| damaged(error.to_string()))?;
    let document = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    let files = Members::of(&store.objects(), &files.digest)?;
    Ok(Values { task, document, tex, style, files })
}
