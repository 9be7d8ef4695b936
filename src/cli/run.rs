//! `onsager run`.

use super::common::{self, CliError, Common};
use super::exit;
use super::progress::Progress;
use crate::engine::local::{LocalExecutor, WorkerCommand};
use crate::engine::resolve::EngineError;
use crate::engine::run::{self, Options, Summary};
use crate::engine::state::TaskState;
use crate::pipeline::graph::Graph;
use crate::stages::registry::Registry;
use crate::store::Store;
use crate::store::view::View;
use clap::Args;
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Run a pipeline: what is cached stays, what was interrupted goes on
///
/// Examples:
///   onsager run pipelines/quickstart.yaml
///   onsager run pipelines/path-action.yaml law --set particles=1000000 --jobs 2
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Run {
    #[command(flatten)]
    common: Common,
    /// Run only these tasks and what they need: a stage, or instances like `motion[system=free]`
    #[arg(value_name = "TASK")]
    tasks: Vec<String>,
    /// How many tasks may run side by side [default: the number of cores]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// How many threads the running tasks may have in all [default: the number of cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// After a failure, go on with everything that does not depend on it
    #[arg(long, short)]
    keep_going: bool,
    /// Execute this task although its result is there, and tell whether its bytes differ; may be repeated
    #[arg(long, value_name = "TASK")]
    force: Vec<String>,
    /// The form of the tasks' logs
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    log_format: String,
}

impl Run {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        let graph = self.common.graph(registry)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let interrupts = Arc::new(AtomicUsize::new(0));
        let selected = common::select(&graph, &self.tasks)?;
        let options = Options {
            forced: common::forced(&graph, &self.force, &selected)?,
            selected,
            jobs: self.jobs.map_or(cores, usize::from),
            threads: self.threads.map_or(cores, usize::from),
            keep_going: self.keep_going,
            kernel: self.common.level()?,
            interrupts: interrupts.clone(),
        };
        listen(interrupts)?;
        let store = Store::open(&self.common.artifacts(&graph))?;
        let resolver = self.common.resolver(&graph, registry, &store)?;
        let name = run::new_run_name();
        let mut executor = LocalExecutor::new(WorkerCommand {
            program: this_program()?,
            arguments: vec![
                "worker".into(),
                store.artifacts().to_string_lossy().into_owned(),
                options.kernel.to_string(),
                self.log_format.clone(),
            ],
            stderr: store.runs().join(&name).join("workers.log"),
        });
        let total = options.selected.iter().filter(|selected| **selected).count();
        let mut progress = Progress::new(total, store.artifacts());
        let summary = run::run(resolver, &store, &options, &name, &mut executor, &mut progress)?;
        drop(executor);
        progress.close();
        let code = exit_code(&summary);
        if self.common.json {
            common::print_json(&document(&graph, &summary, &store, code)?);
        } else {
            self.report(&graph, &summary, &store);
        }
        Ok(code)
    }

    /// What a person reads at the end.
    fn report(&self, graph: &Graph, summary: &Summary, store: &Store) {
        let count = |of: fn(&TaskState) -> bool| summary.count(of);
        let left = count(|state| matches!(state, TaskState::Skipped | TaskState::Interrupted));
        let failed = count(|state| matches!(state, TaskState::Failed { .. }));
        let mut text = String::new();
        if left > 0 {
            let why = if summary.interrupted { "interrupted" } else { "not run" };
            text += &format!("{why}: {}; give the same command to go on\n", common::plural(left, "task"));
        }
        if failed == 0 && left == 0 {
            text += &format!("outputs: {}\n", store.artifacts().join(&graph.name).display());
        }
        text += &format!(
            "{}: {} executed, {} cached, {failed} failed\n",
            common::plural(summary.states.iter().flatten().count(), "task"),
            count(|state| matches!(state, TaskState::Executed { .. })),
            count(|state| matches!(state, TaskState::Cached { .. })),
        );
        common::print(&text);
    }
}

/// The program that workers run: on Linux the very file that this process was started from, even when it is built anew.
pub(super) fn this_program() -> Result<PathBuf, CliError> {
    if cfg!(target_os = "linux") {
        return Ok(PathBuf::from("/proc/self/exe"));
    }
    Ok(std::env::current_exe().map_err(EngineError::Worker)?)
}

fn exit_code(summary: &Summary) -> u8 {
    if summary.interrupted {
        exit::INTERRUPTED
    } else if summary.count(|state| matches!(state, TaskState::Failed { .. })) > 0 {
        exit::FAILED
    } else {
        exit::DONE
    }
}

/// Counts Ctrl-C (and a polite kill) from now on.
pub(super) fn listen(interrupts: Arc<AtomicUsize>) -> Result<(), CliError> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]).map_err(EngineError::Signals)?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            interrupts.fetch_add(1, Ordering::Relaxed);
        }
    });
    Ok(())
}

/// The `--json` document.
fn document(graph: &Graph, summary: &Summary, store: &Store, code: u8) -> Result<Value, CliError> {
    let view: View = store.view(&graph.name)?;
    let mut groups: [Vec<Value>; 4] = Default::default();
    let mut outputs = Map::new();
    for (task, state) in graph.tasks.iter().zip(&summary.states) {
        let Some(state) = state else { continue };
        let (group, entry) = match state {
            TaskState::Executed { .. } => (0, json!(task.id)),
            TaskState::Cached { .. } => (1, json!(task.id)),
            TaskState::Failed { message } => (2, json!({"task": task.id, "message": message})),
            _ => (3, json!(task.id)),
        };
        groups[group].push(entry);
        if let Some(made) = state.outputs() {
            let shown = view.shown(&task.id);
            let entries = made.iter().map(|(name, content)| {
                let place = shown.and_then(|shown| shown.outputs.iter().find(|output| output.name == *name));
                let path = place.map(|output| store.artifacts().join(&output.path));
                (name.clone(), json!({"digest": content.digest, "size": content.size, "path": path}))
            });
            outputs.insert(task.id.clone(), Value::Object(entries.collect()));
        }
    }
    let [executed, cached, failed, not_run] = groups;
    Ok(json!({
        "run": summary.run,
        "pipeline": graph.name,
        "exit": code,
        "interrupted": summary.interrupted,
        "seconds": summary.seconds,
        "tasks": {"executed": executed, "cached": cached, "failed": failed, "not_run": not_run},
        "outputs": outputs,
    }))
}
