//! `onsager store verify`.

use crate::cli::common::{self, CliError};
use crate::cli::exit;
use crate::cli::store::again;
use crate::cli::store::text::{self, Place};
use crate::kind::registry::Registry;
use crate::pipeline::graph::Graph;
use crate::run::sample::{self, Sample};
use crate::run::session::Session;
use crate::run::settings::Settings;
use crate::store::inventory::Maker;
use crate::store::verify::{self, Damage, Report};
use crate::trust::judge::Refusal;
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
///   onsager store verify experiments/quickstart.yaml --rerun --foreign --sample 5%
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Verify {
    #[command(flatten)]
    place: Place,
    /// Only tell what is damaged
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Instead, execute this task again in a scratch folder and compare its bytes with the stored ones; may be repeated; without a task,
    /// every one that has a result
    #[arg(long, value_name = "TASK", requires = "pipeline", num_args = 0..=1, default_missing_value = "")]
    rerun: Vec<String>,
    /// With `--rerun`, only some of the tasks, picked at random: a number, or a part like `5%`
    #[arg(long, value_name = "N", requires = "rerun")]
    sample: Option<Sample>,
    /// With `--rerun`, only results that came from elsewhere: from a remote store, or from an archive
    #[arg(long, requires = "rerun")]
    foreign: bool,
    /// With `--sample`, pick the same tasks as another time, which told its seed
    #[arg(long, value_name = "SEED", requires = "sample")]
    seed: Option<u64>,
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
        let report = verify::verify(&self.place.store()?, &self.place.trust()?, self.dry_run)?;
        if self.place.json {
            common::print_json(&report);
        } else {
            common::print(&self.text(&report));
        }
        Ok(if report.damage.is_empty() { exit::DONE } else { exit::FAILED })
    }

    fn execute_again(&self, pipeline: &Path, registry: &Registry) -> Result<u8, CliError> {
        let settings = Settings {
            params: self.params.clone(),
            sets: common::overrides(&self.set)?,
            artifacts: self.place.artifacts.clone(),
            kernel: self.kernel,
            on: None,
        };
        let opened = Session::open(pipeline, registry, settings)?;
        let graph = opened.graph()?;
        let tasks = self.chosen(&opened, &graph)?;
        let again = again::rerun(&opened, &graph, &tasks)?;
        if self.place.json {
            common::print_json(&again.documents);
        } else {
            common::print(&again.text);
        }
        Ok(again.code)
    }

    /// The tasks that are executed again.
    fn chosen(&self, opened: &Session, graph: &Graph) -> Result<Vec<usize>, CliError> {
        let words: Vec<&String> = self.rerun.iter().filter(|word| !word.is_empty()).collect();
        let named = match words.is_empty() {
            true => None,
            false => Some(graph.select_all(&words)?),
        };
        if let (Some(named), None, false) = (&named, self.sample, self.foreign) {
            return Ok(named.clone());
        }
        let mut known = again::known(opened, graph, |action| !self.foreign || action.origin.is_some())?;
        known.retain(|(number, _)| named.as_ref().is_none_or(|named| named.contains(number)));
        if known.is_empty() {
            let what = if self.foreign { "that came from elsewhere" } else { "of these tasks" };
            common::print_error(&format!("the store has no result {what}: nothing is computed again"));
        }
        let Some(sample) = self.sample.filter(|_| !known.is_empty()) else {
            return Ok(known.into_iter().map(|(number, _)| number).collect());
        };
        let picked = sample::pick(known, sample, self.seed).map_err(CliError::Output)?;
        common::print_error(&picked.told);
        Ok(picked.tasks)
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
        if report.unchecked > 0 {
            let records = text::counted(report.unchecked, "record");
            lines.push(format!("note: the keys of {records} cannot be computed again: they are redacted, or of an old onsager"));
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
        Damage::Key { path, task } => {
            format!("action record `{}` of `{task}` is wrong: {}", path.display(), Refusal::Key)
        }
        Damage::Distrusted { path, task, message } => {
            format!(
                "action record `{}` of `{task}`, from elsewhere, does not count any more: {message}",
                path.display()
            )
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
