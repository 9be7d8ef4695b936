//! `onsager run`.

use crate::cli::common::{self, CliError, Common};
use crate::cli::documents::{FailedTask, RunDocument, RunOutput, RunTasks, SkippedTask};
use crate::cli::exit;
use crate::cli::progress::Progress;
use crate::cli::remote::choice::Choice;
use crate::export::tensorboard::Live;
use crate::kind::registry::Registry;
use crate::numbers::claims::judge::Outcome;
use crate::pages::names::shell_word;
use crate::pipeline::files::project_root;
use crate::run::claims::Checked;
use crate::run::error::SessionError;
use crate::run::events::{Event, Interrupt, Observer};
use crate::run::options::Summary;
use crate::run::outcome::{self, Finished, Watcher};
use crate::run::session::{self, Session};
use crate::run::settings::Request;
use crate::run::state::TaskState;
use crate::run::workers;
use crate::store::Store;
use crate::store::files::StoreError;
use crate::worker::cluster::detach::Detached;
use clap::Args;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

/// Run a pipeline: what is cached stays, what was interrupted goes on
///
/// Examples:
///   onsager run experiments/quickstart.yaml
///   onsager run pipelines/path-action.yaml law --set particles=1000000 --jobs 2
///   onsager run experiments/quickstart.yaml --watch
///   onsager run pipelines/path-action.yaml --on cluster --detach
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
    #[command(flatten)]
    choice: Choice,
    /// Send the results that are made to the remote store
    #[arg(long, conflicts_with = "no_remote")]
    push: bool,
    /// End with exit code 3 where a claim of the pipeline fails, or is of what the run has not computed
    #[arg(long)]
    check_claims: bool,
    /// After the run, wait until the pipeline or a file that it reads changes, and run again
    #[arg(long)]
    watch: bool,
    /// Submit the run itself as a job of the profile, and return at once
    #[arg(long, requires = "on", conflicts_with_all = ["watch", "json"])]
    detach: bool,
    /// Write the curves of the tasks as event files for TensorBoard, too, while they grow
    #[arg(long, value_name = "DIR")]
    tensorboard: Option<PathBuf>,
    /// The form of the tasks' logs
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    log_format: String,
}

impl Run {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        let request = self.request()?;
        let session = self.common.session(registry)?;
        if self.detach {
            let arguments = std::env::args_os().skip(1).filter(|word| word != "--detach");
            let Detached { job, output } = session.detach(arguments.collect())?;
            common::print(&format!(
                "submitted job {job}, which runs the pipeline\nwhat it prints: {}\n`onsager jobs` shows where it is\n",
                output.display()
            ));
            return Ok(exit::DONE);
        }
        self.use_remote(&session)?;
        let mut screen = Screen {
            progress: Progress::new(session.store()),
            json: self.common.asked.json,
            store: session.store(),
            remote: String::new(),
            fetched: Vec::new(),
            check_claims: self.check_claims,
            tensorboard: self.tensorboard.as_ref().map(|folder| Live::new(session.store(), folder)),
        };
        if self.watch {
            session.watch(&request, &mut screen);
            return Ok(exit::INTERRUPTED);
        }
        let ended = session.run(&request, &mut screen)?;
        let code = match &ended {
            outcome::Outcome::Unchanged { name, tasks, skipped, claims } => {
                let numbers = [*tasks, 0, tasks - skipped, 0, *skipped];
                let counts = outputs_and_counts(session.store(), name, numbers, "");
                common::print(&(judged(claims) + &counts));
                claims_code(claims, self.check_claims)
            }
            outcome::Outcome::Finished(finished) => {
                screen.ended(Ok(finished));
                exit_code(&finished.summary, self.check_claims)
            }
        };
        // Freeing a large graph piece by piece takes longer than to look it all over; it ends with the process.
        std::mem::forget(ended);
        Ok(code)
    }

    /// Lets the runs use the remote store that is chosen.
    fn use_remote(&self, session: &Session) -> Result<(), CliError> {
        match self.choice.find(&self.common.pipeline)? {
            // A build without remote stores runs all the same where none is asked for.
            Some(_) if !cfg!(feature = "remote") && !self.choice.is_named() && !self.push => Ok(()),
            Some(chosen) => chosen.link(session, self.push),
            None if self.push => self.choice.need(&project_root(&self.common.pipeline)).map(|_| ()),
            None => Ok(()),
        }
    }

    fn request(&self) -> Result<Request, CliError> {
        let all = Request::default();
        Ok(Request {
            tasks: self.tasks.clone(),
            force: self.force.clone(),
            pools: self.pools.clone(),
            jobs: self.jobs.map_or(all.jobs, usize::from),
            threads: self.threads.map_or(all.threads, usize::from),
            sandbox: self.sandbox,
            keep_going: self.keep_going,
            execute: true,
            everything: false,
            json_logs: self.log_format == "json",
            // The document names every task.
            look_at_all: self.common.asked.json,
            interrupts: workers::interrupts()?,
        })
    }
}

/// What the user sees of runs: progress on standard error, the outcome on standard output.
struct Screen<'a> {
    progress: Progress,
    json: bool,
    store: &'a Store,
    /// The remote store that results came from, and their tasks.
    remote: String,
    fetched: Vec<String>,
    check_claims: bool,
    /// Until it cannot write any more.
    tensorboard: Option<Live>,
}

impl Observer for Screen<'_> {
    fn event(&mut self, event: &Event) {
        match event {
            Event::RunStarted { .. } => self.fetched.clear(),
            Event::ResultFound { task, remote, .. } => {
                self.remote.clone_from(remote);
                self.fetched.push(task.clone());
            }
            _ => {}
        }
        self.progress.event(event);
        self.keep_curves(|live| live.event(event));
    }

    fn tick(&mut self) {
        self.progress.tick();
        self.keep_curves(Live::take);
    }

    fn interrupted(&mut self, tasks: usize) -> Interrupt {
        if workers::told_to_end() {
            return Interrupt::Leave;
        }
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Interrupt::Stop;
        }
        self.progress.close();
        loop {
            common::print_error(&format!(
                "jobs have {}: (s)top them, they save checkpoints; (l)eave them, the same command picks up what they finish; (g)o on?",
                common::plural(tasks, "task")
            ));
            let mut answer = String::new();
            match io::stdin().read_line(&mut answer) {
                // The terminal is gone: nobody wants anything.
                Ok(0) | Err(_) => return Interrupt::Leave,
                Ok(_) => {}
            }
            match answer.trim() {
                "s" | "stop" => return Interrupt::Stop,
                "l" | "leave" => return Interrupt::Leave,
                "g" | "go on" => return Interrupt::GoOn,
                _ => {}
            }
        }
    }
}

impl Watcher for Screen<'_> {
    fn ended(&mut self, outcome: Result<&Finished, &SessionError>) {
        self.progress.close();
        match outcome {
            Ok(finished) if self.json => {
                let fetched = std::mem::take(&mut self.fetched);
                let exit = exit_code(&finished.summary, self.check_claims);
                common::print_json(&document(finished, self.store, fetched, exit));
            }
            Ok(finished) => {
                common::print(&report(finished, self.store, &self.came()));
                // A program that reads the last line finds the counts there.
                if io::stdout().is_terminal()
                    && let Some(next) = to_look_at(finished, self.store)
                {
                    common::print(&format!("look at: {next}\n"));
                }
            }
            Err(error) => common::print_error(common::session_error(error).trim_end()),
        }
    }

    fn waiting(&mut self) {
        common::print_error("waiting for changes; press Ctrl-C to end");
    }

    fn changed(&mut self, path: &Path) {
        common::print_error(&format!("changed: {}", path.display()));
    }
}

impl Screen<'_> {
    /// Writes event files, where that was asked for.
    fn keep_curves(&mut self, write: impl FnOnce(&mut Live) -> Result<(), StoreError>) {
        if let Some(Err(error)) = self.tensorboard.as_mut().map(write) {
            self.tensorboard = None;
            self.progress.close();
            common::print_error(&format!(
                "warning: {error}; no more is written for TensorBoard, `onsager export tensorboard` makes up for it"
            ));
        }
    }

    /// How many results came from a remote store.
    fn came(&self) -> String {
        match self.fetched.len() {
            0 => String::new(),
            count => format!(" ({count} from `{}`)", self.remote),
        }
    }
}

/// What a person reads at the end.
fn report(Finished { graph, summary }: &Finished, store: &Store, came: &str) -> String {
    let count = |of: fn(&TaskState) -> bool| summary.count(of);
    let left = count(|state| matches!(state, TaskState::NotRun | TaskState::Interrupted));
    let failed = count(|state| matches!(state, TaskState::Failed { .. }));
    let mut text = String::new();
    if left > 0 {
        let why = if summary.interrupted { "interrupted" } else { "not run" };
        text += &format!("{why}: {}; give the same command to go on\n", common::plural(left, "task"));
    }
    text += &judged(&summary.claims);
    let all = summary.states.iter().flatten().count();
    let executed = count(|state| matches!(state, TaskState::Executed { .. }));
    let cached = count(|state| matches!(state, TaskState::Cached { .. }));
    let skipped = count(|state| matches!(state, TaskState::Skipped { .. }));
    let numbers = [all, executed, cached, failed, skipped];
    text + &match failed + left {
        0 => outputs_and_counts(store, &graph.name, numbers, came),
        _ => counts(numbers, came),
    }
}

/// What became of the claims: what fails or is stale, line by line, and how many hold.
fn judged(claims: &[Checked]) -> String {
    if claims.is_empty() {
        return String::new();
    }
    let count = |outcome| claims.iter().filter(|claim| claim.outcome == outcome).count();
    let wrong = claims.iter().filter(|claim| claim.outcome != Outcome::Holds);
    let mut text: String = wrong.map(|claim| claim.line() + "\n").collect();
    let parts = [(Outcome::Holds, "hold"), (Outcome::Fails, "failed"), (Outcome::Stale, "stale")];
    let parts = parts.map(|(outcome, word)| (count(outcome), word));
    let told = parts.iter().filter(|(count, word)| *count > 0 || *word == "hold");
    let told: Vec<String> = told.map(|(count, word)| format!("{count} {word}")).collect();
    text += &format!("{}: {}\n", common::plural(claims.len(), "claim"), told.join(", "));
    text
}

/// What a person looks at next: the log of what failed, else the page, figure or metrics that the pipeline ends with.
fn to_look_at(Finished { graph, summary }: &Finished, store: &Store) -> Option<String> {
    let file = shell_word(&graph.file.to_string_lossy());
    let tasks = || graph.tasks.iter().zip(summary.states.iter().zip(&summary.outputs));
    let failed = tasks().find(|(_, (state, _))| matches!(state, Some(TaskState::Failed { .. })));
    if let Some((task, _)) = failed {
        return Some(format!("`onsager log {file} {}`", shell_word(&task.id)));
    }
    if summary.interrupted {
        return None;
    }
    let made = tasks().rev().filter_map(|(task, (_, made))| Some((task, made.as_ref()?)));
    let outputs: Vec<_> = made
        .flat_map(|(task, made)| {
            task.outputs.iter().zip(made).map(move |(output, content)| (task, output, content))
        })
        .filter(|(_, _, content)| !content.is_absent())
        .collect();
    let of = |endings: &[&str]| {
        let (task, output, _) = outputs
            .iter()
            .find(|(_, output, _)| endings.iter().any(|ending| output.file.ends_with(ending)))?;
        Some(session::output(graph, store, task, &output.name)?.display().to_string())
    };
    let metrics = graph.points.iter().any(|point| !point.metrics.is_empty());
    of(&[".html"])
        .or_else(|| metrics.then(|| format!("`onsager compare {file}`")))
        .or_else(|| of(&[".svg", ".png", ".pdf"]))
}

/// The last lines of a run in which all went well.
fn outputs_and_counts(store: &Store, name: &str, numbers: [usize; 5], came: &str) -> String {
    format!("outputs: {}\n{}", store.artifacts().join(name).display(), counts(numbers, came))
}

fn counts([all, executed, cached, failed, skipped]: [usize; 5], came: &str) -> String {
    let skipped = if skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
    format!(
        "{}: {executed} executed, {cached} cached{came}, {failed} failed{skipped}\n",
        common::plural(all, "task")
    )
}

/// `gpu=1`.
fn pool(text: &str) -> Result<(String, u32), String> {
    let read = text.split_once('=').and_then(|(name, size)| Some((name.to_owned(), size.parse().ok()?)));
    read.ok_or_else(|| "write a name and a number, like `gpu=1`".to_owned())
}

fn claims_code(claims: &[Checked], check: bool) -> u8 {
    let wrong = check && claims.iter().any(|claim| claim.outcome != Outcome::Holds);
    if wrong { exit::CLAIM } else { exit::DONE }
}

fn exit_code(summary: &Summary, check_claims: bool) -> u8 {
    if summary.interrupted {
        exit::INTERRUPTED
    } else if summary.count(|state| matches!(state, TaskState::Failed { .. })) > 0 {
        exit::FAILED
    } else {
        claims_code(&summary.claims, check_claims)
    }
}

/// The `--json` document.
fn document(
    Finished { graph, summary }: &Finished,
    store: &Store,
    fetched: Vec<String>,
    exit: u8,
) -> RunDocument {
    let mut tasks = RunTasks { fetched, ..RunTasks::default() };
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
            TaskState::Skipped { because } => {
                tasks.skipped.push(SkippedTask { task: id, because: because.clone() });
            }
            _ => tasks.not_run.push(id),
        }
        if let Some(made) = made {
            let there = task.outputs.iter().zip(made).filter(|(_, content)| !content.is_absent());
            let entries = there.map(|(output, content)| {
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
        claims: summary.claims.clone(),
    }
}
