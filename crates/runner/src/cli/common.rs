//! What the commands share: their common arguments, errors and output.

use crate::cli::exit;
use crate::kind::registry::Registry;
use crate::pipeline::experiments::overrides::{Given, Override};
use crate::pipeline::graph::{Graph, SelectError};
use crate::pipeline::load::{load, project_root};
use crate::pipeline::template::TemplateError;
use crate::pipeline::yaml::diagnostics::Diagnostics;
use crate::plan::graph_cache::GraphCache;
use crate::plan::key::Change;
use crate::plan::resolve::{EngineError, Resolver};
use crate::store::Store;
use crate::store::files::StoreError;
use clap::Args;
use onsager_numerics::kernel::{Level, LevelError};
use onsager_tables::error::TableError;
use serde::Serialize;
use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use std::io::Write;
use std::path::PathBuf;

/// The arguments of every command that takes a pipeline.
#[derive(Args)]
pub struct Common {
    /// The YAML file of a pipeline or of an experiment
    pub pipeline: PathBuf,
    /// Lay a YAML file of parameters over the pipeline's, before `--set`; may be repeated
    #[arg(long = "params", value_name = "FILE")]
    pub params: Vec<PathBuf>,
    /// Set a parameter of the pipeline, as if it were written in the file; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The folder of the store and the outputs [default: `artifacts` in the project's root]
    #[arg(long, value_name = "DIR")]
    pub artifacts: Option<PathBuf>,
    /// Pin the kernel level of numeric stages: portable, avx2 or avx512 [default: the machine's best]
    #[arg(long, value_name = "LEVEL")]
    pub kernel: Option<Level>,
    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

/// Why a command did not do its work.
#[derive(Debug)]
pub enum CliError {
    Pipeline(Diagnostics),
    Select(SelectError),
    Level(LevelError),
    Engine(EngineError),
    /// A table or a drawing that cannot be written.
    Report(TableError),
    Template(TemplateError),
    /// Something else that was asked for and is not there.
    Request(String),
}

impl CliError {
    pub fn code(&self) -> u8 {
        match self {
            CliError::Engine(_) | CliError::Report(_) => exit::FAILED,
            _ => exit::WRONG,
        }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CliError::Pipeline(diagnostics) => writeln!(f, "{diagnostics}"),
            CliError::Select(error) => writeln!(f, "error: {error}"),
            CliError::Level(error) => writeln!(f, "error: {error}"),
            CliError::Engine(error) => writeln!(f, "error: {error}"),
            CliError::Report(error) => {
                write!(f, "error: {error}")?;
                error.source().map_or(writeln!(f), |source| writeln!(f, ": {source}"))
            }
            CliError::Template(error) => writeln!(f, "error: {error}"),
            CliError::Request(message) => writeln!(f, "error: {message}"),
        }
    }
}

macro_rules! from {
    ($($error:ty => $variant:ident),*) => {
        $(impl From<$error> for CliError {
            fn from(error: $error) -> CliError {
                CliError::$variant(error.into())
            }
        })*
    };
}
from!(Diagnostics => Pipeline, SelectError => Select, LevelError => Level,
      EngineError => Engine, StoreError => Engine, TableError => Report, TemplateError => Template);

impl Common {
    /// The expanded, validated pipeline: as it was kept, if nothing that it was read from has changed.
    pub fn graph(&self, registry: &Registry) -> Result<Graph, CliError> {
        let store = self.store()?;
        let cache = self.cache(&store, registry);
        if let Some(graph) = cache.get() {
            return Ok(graph);
        }
        let mut graph = load(&self.pipeline, &given(&self.params, &self.set)?, registry)?;
        cache.keep(&mut graph, registry)?;
        Ok(graph)
    }

    /// The same, kept in a new store if there is none yet.
    pub fn graph_to_run(&self, registry: &Registry) -> Result<Graph, CliError> {
        let fresh = !self.artifacts_folder().join(".onsager").exists();
        let mut graph = self.graph(registry)?;
        if fresh {
            self.cache(&self.open_store()?, registry).keep(&mut graph, registry)?;
        }
        Ok(graph)
    }

    /// The store, which need not exist.
    pub fn store(&self) -> Result<Store, CliError> {
        Ok(Store::at(&self.artifacts_folder())?)
    }

    /// The store, made where there is none.
    pub fn open_store(&self) -> Result<Store, CliError> {
        Ok(Store::open(&self.artifacts_folder())?)
    }

    /// Where the expanded pipeline is kept.
    pub fn cache(&self, store: &Store, registry: &Registry) -> GraphCache {
        let files = self.params.iter().map(|file| format!("--params {}", file.display()));
        let sets = self.set.iter().map(|set| format!("--set {set}"));
        GraphCache::new(store, registry, &self.pipeline, &files.chain(sets).collect::<Vec<_>>())
    }

    /// The folder of the store and the outputs.
    fn artifacts_folder(&self) -> PathBuf {
        self.artifacts.clone().unwrap_or_else(|| project_root(&self.pipeline).join("artifacts"))
    }

    /// The files that were named, and the others that the graph was read from, like the pipeline of an experiment.
    pub fn files(&self, graph: Option<&Graph>) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = std::iter::once(&self.pipeline).chain(&self.params).cloned().collect();
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let named: Vec<PathBuf> = files.iter().map(absolute).collect();
        let read = graph.into_iter().flat_map(|graph| &graph.sources).map(|(path, _)| path);
        files.extend(read.filter(|path| !named.contains(path)).cloned());
        files
    }

    /// The kernel level asked for, else the machine's best.
    pub fn level(&self) -> Result<Level, CliError> {
        let level = self.kernel.unwrap_or_else(Level::detect);
        level.check()?;
        Ok(level)
    }

    pub fn resolver<'a>(
        &self,
        graph: &'a Graph,
        registry: &'a Registry,
        store: &'a Store,
    ) -> Result<Resolver<'a>, CliError> {
        Ok(Resolver::new(graph, registry, store, self.level()?)?)
    }
}

/// What the command line lays over a pipeline.
pub fn given(files: &[PathBuf], sets: &[String]) -> Result<Given, CliError> {
    let sets: Result<Vec<Override>, String> = sets.iter().map(|text| text.parse()).collect();
    Ok(Given { files: files.to_vec(), sets: sets.map_err(CliError::Request)? })
}

/// Which tasks these words name, with everything that they need; all tasks where there are no words.
pub fn select(graph: &Graph, words: &[String]) -> Result<Vec<bool>, CliError> {
    let mut selected = vec![false; graph.tasks.len()];
    for number in graph.ancestors(&graph.select_all(words)?) {
        selected[number] = true;
    }
    Ok(selected)
}

/// The tasks of `--force`.
pub fn forced(graph: &Graph, words: &[String], selected: &[bool]) -> Result<HashSet<usize>, CliError> {
    if words.is_empty() {
        return Ok(HashSet::new());
    }
    let forced: HashSet<usize> = graph.select_all(words)?.into_iter().collect();
    match forced.iter().find(|number| !selected[**number]) {
        None => Ok(forced),
        Some(left_out) => {
            let task = &graph.tasks[*left_out].id;
            Err(CliError::Request(format!("`--force {task}` names a task that is not to be run")))
        }
    }
}

/// Prints to standard output; a reader that has gone away (`| head`) is no error.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Prints a line to standard error, where nobody may be listening any more.
pub fn complain(line: &str) {
    // In one piece: other programs may write there too.
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// One JSON document.
pub fn json(value: &impl Serialize) -> String {
    // The values that commands print have string keys only, so this cannot fail.
    serde_json::to_string_pretty(value).map_or_else(|_| String::new(), |text| text + "\n")
}

/// Prints one JSON document.
pub fn print_json(value: &impl Serialize) {
    print(&json(value));
}

/// A duration as a person reads it.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 => format!("{s:.2} s"),
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7200.0 => format!("{} min {} s", s as u64 / 60, s as u64 % 60),
        s => format!("{} h {} min", s as u64 / 3600, s as u64 / 60 % 60),
    }
}

/// One task or several.
pub fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// `1,234`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `params.tubes: 40 → 60`, digests cut to what a person can tell apart.
pub fn change(change: &Change) -> String {
    let value = |value: &Option<String>| match value {
        Some(text) if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            text[..12].to_owned()
        }
        Some(text) => text.clone(),
        None => "(none)".to_owned(),
    };
    format!("{}: {} → {}", change.field, value(&change.old), value(&change.new))
}
