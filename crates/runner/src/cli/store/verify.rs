//! `onsager store verify`.

use crate::cli::common::{self, CliError, Common, duration};
use crate::cli::documents::RerunTask;
use crate::cli::exit;
use crate::cli::store::text::{self, Place};
use crate::kind::registry::Registry;
use crate::run::rerun::{self, Comparison, Rerun, Scratch};
use crate::run::workers;
use crate::store::files;
use crate::store::inventory::Maker;
use crate::store::verify::{self, Damage, Report};
use clap::Args;
use onsager_numerics::kernel::Level;
use onsager_tables::names::series;
use std::path::{Path, PathBuf};

/// Read everything in the store again and compare it with its digests
///
/// What is damaged is moved away, and the results that consist of it are forgotten: the next run makes exactly those again.
///
/// Examples:
///   onsager store verify --dry-run
///   onsager store verify experiments/quickstart.yaml --rerun law
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Verify {
    #[command(flatten)]
    place: Place,
    /// Only tell what is damaged
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Instead, execute this task again in a scratch folder and compare its bytes with the stored ones; may be repeated
    #[arg(long, value_name = "TASK", requires = "pipeline")]
    rerun: Vec<String>,
    /// The pipeline of the tasks of `--rerun`
    #[arg(value_name = "PIPELINE", requires = "rerun")]
    pipeline: Option<PathBuf>,
    /// With `--rerun`, set a parameter of the pipeline; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", requires = "rerun")]
    set: Vec<String>,
    /// With `--rerun`, a YAML file of parameters that are laid over the pipeline's; may be repeated
    #[arg(long = "params", value_name = "FILE", requires = "rerun")]
    params: Vec<PathBuf>,
    /// With `--rerun`, pin the kernel level of numeric stages
    #[arg(long, value_name = "LEVEL", requires = "rerun")]
    kernel: Option<Level>,
}

impl Verify {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        if let Some(pipeline) = &self.pipeline {
            return self.execute_again(pipeline, registry);
        }
        let report = verify::verify(&self.place.store()?, self.dry_run)?;
        if self.place.json {
            common::print_json(&report);
        } else {
            common::print(&self.text(&report));
        }
        Ok(if report.damage.is_empty() { exit::DONE } else { exit::FAILED })
    }

    fn execute_again(&self, pipeline: &Path, registry: &Registry) -> Result<u8, CliError> {
        let common = Common {
            pipeline: pipeline.to_owned(),
            set: self.set.clone(),
            params: self.params.clone(),
            artifacts: self.place.artifacts.clone(),
            kernel: self.kernel,
            json: self.place.json,
        };
        let opened = common.session(registry)?;
        let graph = opened.graph()?;
        let tasks = graph.select_all(&self.rerun)?;
        opened.make_store()?;
        let store = opened.store();
        let mut resolver = opened.resolver(&graph)?;
        let (work, _lock) = store.start_work(&format!("rerun-{}", files::random()))?;
        let scratch = Scratch::new(&work)?;
        let interrupts = workers::interrupts()?;
        let mut executor = workers::local(&scratch.store, opened.level()?, "text", work.join("workers.log"))?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let mut documents = Vec::new();
        let mut text = String::new();
        let mut code = exit::DONE;
        for number in tasks {
            let id = &graph.tasks[number].id;
            let done =
                rerun::rerun(&mut resolver, store, number, &scratch, &mut executor, threads, &interrupts)?;
            text += &comparison_text(id, &done);
            code = code.max(match &done {
                Rerun::Compared { outputs, .. } => {
                    let same = outputs.iter().all(|output| output.comparison == Comparison::Same);
                    if same { exit::DONE } else { exit::FAILED }
                }
                Rerun::Interrupted => exit::INTERRUPTED,
                _ => exit::FAILED,
            });
            documents.push(RerunTask { task: id.clone(), rerun: done });
            if code == exit::INTERRUPTED {
                break;
            }
        }
        drop(executor);
        files::remove(&work)?;
        if self.place.json {
            common::print_json(&documents);
        } else {
            common::print(&text);
        }
        Ok(code)
    }

    fn text(&self, report: &Report) -> String {
        let mut lines: Vec<String> = report.damage.iter().map(line).collect();
        lines.extend(report.edited.iter().map(|path| {
            format!("note: `{}` was edited or removed; the next run restores it", path.0.display())
        }));
        if !report.forgotten.is_empty() {
            let verb =
                if self.dry_run { "to be made again" } else { "forgotten, to be made again by the next run" };
            lines.push(format!("{verb}: {}", tasks(&report.forgotten)));
        }
        let total = format!("{}, {}", text::counted(report.objects, "object"), text::size(report.bytes));
        lines.push(match report.damage.len() {
            0 => format!("{total}: all intact"),
            n => format!("{total}: {n} damaged"),
        });
        lines.join("\n") + "\n"
    }
}

fn line(damage: &Damage) -> String {
    match damage {
        Damage::Object { digest, message, made_by } => {
            format!("object {digest} is damaged: {message}; {}", made(made_by))
        }
        Damage::Missing { digest, made_by } => format!("object {digest} is missing; {}", made(made_by)),
        Damage::Record { path } => format!("action record `{}` is damaged", path.display()),
        Damage::Contradicted { path, task, message } => {
            format!("action record `{}` of `{task}` is contradicted: {message}", path.display())
        }
        Damage::Checkpoint { path } => format!("checkpoint `{}` is damaged", path.display()),
        Damage::Copy { path, task } => format!("copy `{}` of `{task}` is damaged", path.display()),
    }
}

fn made(makers: &[Maker]) -> String {
    if makers.is_empty() {
        return "no result consists of it".to_owned();
    }
    let by: Vec<String> =
        makers.iter().map(|maker| format!("`{}` in run {}", maker.task, maker.run)).collect();
    format!("made by {}", by.join(", "))
}

fn tasks(makers: &[Maker]) -> String {
    let mut tasks: Vec<&str> = makers.iter().map(|maker| maker.task.as_str()).collect();
    tasks.dedup();
    series(&tasks)
}

fn comparison_text(task: &str, done: &Rerun) -> String {
    match done {
        Rerun::Compared { seconds, outputs } => {
            let differ = outputs.iter().filter(|output| output.comparison != Comparison::Same);
            let lines: String = differ
                .map(|output| {
                    format!(
                        "{task}: output `{}` differs: {}\n",
                        output.output,
                        difference(&output.comparison)
                    )
                })
                .collect();
            if lines.is_empty() { format!("{task}: same bytes ({})\n", duration(*seconds)) } else { lines }
        }
        Rerun::Failed { message, help } => {
            format!("{task}: failed: {message}\n")
                + &help.as_ref().map_or(String::new(), |help| format!("  help: {help}\n"))
        }
        Rerun::Interrupted => format!("{task}: interrupted\n"),
        Rerun::NoResult => {
            format!("{task}: the store has no result to compare with; run the pipeline first\n")
        }
        Rerun::NoInput { input } => {
            format!("{task}: input `{input}` is no longer in the store; run what makes it with `--force`\n")
        }
    }
}

fn difference(comparison: &Comparison) -> String {
    match comparison {
        Comparison::Same => "not at all".to_owned(),
        Comparison::Line { line, stored, new } => {
            let shown = |text: &Option<String>| {
                text.as_ref().map_or("the end".to_owned(), |text| format!("`{text}`"))
            };
            format!("line {line} was {} and is {}", shown(stored), shown(new))
        }
        Comparison::Byte { byte, stored_size, new_size } => {
            format!("byte {byte} is the first that differs; it had {stored_size} bytes and has {new_size}")
        }
        Comparison::Inside { path, comparison: None } => format!("only one of them has `{path}`"),
        Comparison::Inside { path, comparison: Some(inner) } => format!("`{path}`: {}", difference(inner)),
        Comparison::Executable { new: true } => "it is executable now, and was not".to_owned(),
        Comparison::Executable { new: false } => "it was executable, and is not any more".to_owned(),
        Comparison::Collected => "the stored bytes were collected, and the digest is another".to_owned(),
    }
}
