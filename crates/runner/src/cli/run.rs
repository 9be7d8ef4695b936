//! `onsager run`.

use crate::cli::common::{self, CliError, Common};
use crate::cli::documents::{FailedTask, RunDocument, RunOutput, RunTasks};
use crate::cli::exit;
use crate::cli::progress::Progress;
use crate::kind::registry::Registry;
use crate::pipeline::graph::Graph;
use crate::plan::unchanged::Unchanged;
use crate::run::pools;
use crate::run::session;
use crate::run::state::TaskState;
use crate::run::watch::{self, Watch};
use crate::run::{Options, Summary};
use crate::store::Store;
use clap::Args;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Run a pipeline: what is cached stays, what was interrupted goes on
///
/// Examples:
///   onsager run pipelines/quickstart.yaml
///   onsager run pipelines/path-action.yaml law --set particles=1000000 --jobs 2
///   onsager run pipelines/quickstart.yaml --watch
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
    /// Give a pool of the pipeline another number of places, like `gpu=1`; may be repeated
    #[arg(long = "pool", value_name = "NAME=N", value_parser = pool)]
    pools: Vec<(String, u32)>,
    /// Confine every command to its declared inputs and outputs, as `sandbox: true` does for one
    #[arg(long)]
    sandbox: bool,
    /// After a failure, go on with everything that does not depend on it
    #[arg(long, short)]
    keep_going: bool,
    /// Execute this task although its result is there, and tell whether its bytes differ; may be repeated
    #[arg(long, value_name = "TASK")]
    force: Vec<String>,
    /// After the run, wait until the pipeline or a file that it reads changes, and run again
    #[arg(long)]
    watch: bool,
    /// The form of the tasks' logs
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    log_format: String,
}

impl Run {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        let interrupts = session::interrupts()?;
        if self.watch {
            return self.again_and_again(registry, &interrupts);
        }
        if let Some(code) = self.nothing_changed(registry)? {
            return Ok(code);
        }
        // Freeing a large graph piece by piece takes longer than to look it all over; it ends with the process.
        let graph: &'static Graph = Box::leak(Box::new(self.common.graph_to_run(registry)?));
        self.once(graph, registry, &interrupts)
    }

    /// The run of a whole pipeline in which nothing has changed since the last one, if this is one.
    fn nothing_changed(&self, registry: &Registry) -> Result<Option<u8>, CliError> {
        let plain =
            self.tasks.is_empty() && self.force.is_empty() && self.pools.is_empty() && !self.common.json;
        let store = self.common.store()?;
        let cache = self.common.cache(&store, registry);
        let Some(last) = plain.then(|| Unchanged::find(&store, &cache, self.common.level().ok()?)).flatten()
        else {
            return Ok(None);
        };
        let (jobs, threads) = self.room();
        session::nothing_changed(&store, &last, jobs, threads)?;
        common::print(&outcome(&store, &last.name, [last.tasks, 0, last.tasks, 0]));
        Ok(Some(exit::DONE))
    }

    /// How many tasks may run side by side, and how many threads they may have.
    fn room(&self) -> (usize, usize) {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        (self.jobs.map_or(cores, usize::from), self.threads.map_or(cores, usize::from))
    }

    /// Runs after every change, until an interrupt. What is wrong is told, and may be put right meanwhile.
    fn again_and_again(&self, registry: &Registry, interrupts: &Arc<AtomicUsize>) -> Result<u8, CliError> {
        let interrupted = || interrupts.load(Ordering::Relaxed) > 0;
        let mut told = None;
        let mut files = self.common.files(None);
        while !interrupted() {
            let mut watch = Watch::default();
            // Before they are read, so that no change meanwhile is missed.
            watch.add(files.clone());
            let graph = match self.common.graph_to_run(registry) {
                Ok(graph) => graph,
                Err(error) => {
                    // It may lie in files that are not even there, so it is tried again, and told when it is another one.
                    let error = error.to_string();
                    if told.as_ref() != Some(&error) {
                        common::complain(error.trim_end());
                        common::complain("waiting for changes; press Ctrl-C to end");
                    }
                    told = Some(error);
                    std::thread::sleep(Duration::from_millis(500));
                    continue;
                }
            };
            told = None;
            files = self.common.files(Some(&graph));
            watch.add(files.clone());
            watch.add(watch::external_inputs(&graph));
            if let Err(error) = self.once(&graph, registry, interrupts) {
                common::complain(error.to_string().trim_end());
            }
            if interrupted() {
                break;
            }
            common::complain("waiting for changes; press Ctrl-C to end");
            let changed = watch.wait(interrupts).unwrap_or_default();
            for path in changed {
                common::complain(&format!("changed: {}", path.display()));
            }
        }
        Ok(exit::INTERRUPTED)
    }

    fn once(
        &self,
        graph: &Graph,
        registry: &Registry,
        interrupts: &Arc<AtomicUsize>,
    ) -> Result<u8, CliError> {
        let (jobs, threads) = self.room();
        let selected = common::select(graph, &self.tasks)?;
        let options = Options {
            forced: common::forced(graph, &self.force, &selected)?,
            pools: pools::sizes(graph, &selected, &self.pools)
                .map_err(|error| CliError::Request(error.to_string()))?,
            sandbox: self.sandbox,
            selected,
            jobs,
            threads,
            keep_going: self.keep_going,
            kernel: self.common.level()?,
            json_logs: self.log_format == "json",
            interrupts: interrupts.clone(),
        };
        let store = self.common.open_store()?;
        let total = options.selected.iter().filter(|selected| **selected).count();
        let mut progress = Progress::new(total, store.artifacts());
        let summary = session::run(graph, registry, &store, &options, &mut progress)?;
        progress.close();
        let code = exit_code(&summary);
        if let Some(unchanged) = &summary.unchanged {
            self.common.cache(&store, registry).put_last(graph, unchanged);
        }
        if self.common.json {
            common::print_json(&document(graph, &summary, &store, code));
        } else {
            self.report(graph, &summary, &store);
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
        let all = summary.states.iter().flatten().count();
        let executed = count(|state| matches!(state, TaskState::Executed { .. }));
        let cached = count(|state| matches!(state, TaskState::Cached { .. }));
        text += &match failed + left {
            0 => outcome(store, &graph.name, [all, executed, cached, failed]),
            _ => counts([all, executed, cached, failed]),
        };
        common::print(&text);
    }
}

/// The last lines of a run in which all went well.
fn outcome(store: &Store, name: &str, numbers: [usize; 4]) -> String {
    format!("outputs: {}\n{}", store.artifacts().join(name).display(), counts(numbers))
}

fn counts([all, executed, cached, failed]: [usize; 4]) -> String {
    format!("{}: {executed} executed, {cached} cached, {failed} failed\n", common::plural(all, "task"))
}

/// `gpu=1`.
fn pool(text: &str) -> Result<(String, u32), String> {
    let read = text.split_once('=').and_then(|(name, size)| Some((name.to_owned(), size.parse().ok()?)));
    read.ok_or_else(|| "write a name and a number, like `gpu=1`".to_owned())
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

/// The `--json` document.
fn document(graph: &Graph, summary: &Summary, store: &Store, exit: u8) -> RunDocument {
    let mut tasks = RunTasks::default();
    let mut outputs = BTreeMap::new();
    for (task, (state, made)) in graph.tasks.iter().zip(summary.states.iter().zip(&summary.outputs)) {
        let Some(state) = state else { continue };
        let id = task.id.clone();
        match state {
            TaskState::Executed { .. } => tasks.executed.push(id),
            TaskState::Cached { .. } => tasks.cached.push(id),
            TaskState::Failed { message } => {
                tasks.failed.push(FailedTask { task: id, message: message.clone() });
            }
            _ => tasks.not_run.push(id),
        }
        if let Some(made) = made {
            let entries = task.outputs.iter().zip(made).map(|(output, content)| {
                let path = session::output(graph, store, task, &output.name);
                (output.name.clone(), RunOutput { digest: content.digest, size: content.size, path })
            });
            outputs.insert(task.id.clone(), entries.collect());
        }
    }
    RunDocument {
        run: summary.run.clone(),
        pipeline: graph.name.clone(),
        exit,
        interrupted: summary.interrupted,
        seconds: summary.seconds,
        tasks,
        outputs,
    }
}
