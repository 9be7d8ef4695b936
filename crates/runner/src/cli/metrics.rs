//! `onsager metrics`.

use crate::cli::common::{self, CliError};
use crate::cli::curve_documents::{MetricsDocument, MetricsPoint, MetricsTask};
use crate::cli::exit;
use crate::cli::past::Among;
use crate::kind::registry::Registry;
use crate::run::account::Account;
use crate::run::events::Stamped;
use crate::store::Store;
use crate::store::curves::{Change, Curves, Follow, Line, Point};
use crate::store::digest::Digest;
use crate::store::log::Tail;
use crate::store::tail;
use clap::Args;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often curves that are followed are looked at.
const PERIOD: Duration = Duration::from_millis(200);
/// How many signs the drawing of a curve has.
const WIDTH: usize = 24;

/// Show the curves of a run: what its tasks measure while they go on, like the loss of a training
///
/// A run is named by its name or the beginning of it, by `last`, or by `last~1` for the one before.
///
/// Examples:
///   onsager metrics
///   onsager metrics last train --follow
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Metrics {
    /// The run
    #[arg(value_name = "RUN", default_value = "last")]
    run: String,
    /// Only this task or stage
    #[arg(value_name = "TASK")]
    task: Option<String>,
    #[command(flatten)]
    among: Among,
    /// While the run goes on, print every point that comes; end with it
    #[arg(long, short, conflicts_with = "json")]
    follow: bool,
    /// Print one JSON document instead of text
    #[arg(long)]
    json: bool,
}

impl Metrics {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        let runs = self.among.runs(registry)?;
        let run = runs.find(&self.run)?.run.clone();
        if self.follow {
            return self.follow(&runs.store, &run);
        }
        let account = Account::read(&runs.store, &run)?;
        let mut found: Vec<(String, Digest, Curves)> = Vec::new();
        for (task, of) in account.tasks.iter().filter(|(task, _)| self.is_meant(task)) {
            if let Some(key) = of.key {
                found.push((task.clone(), key, runs.store.curves(&key)?));
            }
        }
        if let (Some(task), true) = (&self.task, found.is_empty()) {
            return Err(CliError::Request(format!("run {run} has no task `{task}`")));
        }
        found.retain(|(_, _, curves)| !curves.0.is_empty());
        if self.json {
            let tasks = found.into_iter().map(|(task, key, curves)| document(task, key, curves)).collect();
            common::print_json(&MetricsDocument { run, pipeline: account.pipeline, tasks });
            return Ok(exit::DONE);
        }
        if found.is_empty() {
            common::print(&format!("the tasks of run {run} have no curves\n"));
        }
        for (task, _, curves) in found {
            common::print(&text(&task, &curves));
        }
        Ok(exit::DONE)
    }

    fn is_meant(&self, task: &str) -> bool {
        let Some(word) = &self.task else { return true };
        // A stage of any point of a sweep.
        let names = [task, task.rsplit_once('/').map_or(task, |(_, name)| name)];
        names.iter().any(|name| {
            *name == word || name.strip_prefix(word.as_str()).is_some_and(|rest| rest.starts_with('['))
        })
    }

    /// Prints the points as they come.
    fn follow(&self, store: &Store, run: &str) -> Result<u8, CliError> {
        let mut account = Account::default();
        let mut record = Tail::from(&store.record(run), 0);
        let mut followed: BTreeMap<String, (Follow, BTreeMap<String, u64>)> = BTreeMap::new();
        loop {
            // Before they are read: what is measured before the end is then read too.
            let going = store.is_going(run);
            loop {
                let lines = record.more::<Stamped>()?;
                if lines.is_empty() {
                    break;
                }
                lines.into_iter().for_each(|(_, line)| account.add(line));
            }
            for (task, of) in account.tasks.iter().filter(|(task, _)| self.is_meant(task)) {
                if let Some(key) = of.key {
                    followed.entry(task.clone()).or_insert_with(|| (Follow::of(store, key), BTreeMap::new()));
                }
            }
            for (task, (follow, told)) in &mut followed {
                let lines = match follow.poll()? {
                    Change::Nothing => continue,
                    Change::More(lines) => lines,
                    Change::Anew(curves) => flat(curves),
                };
                for Line { step, name, value, .. } in lines {
                    // What an attempt measures once more is told once.
                    if told.get(&name).is_none_or(|last| *last < step) {
                        let (task, curve) = (tail::shown(task), tail::shown(&name));
                        common::print(&format!("{task}  {curve}  {step}  {value}\n"));
                        told.insert(name, step);
                    }
                }
            }
            if !going || common::printed().is_err() {
                return Ok(exit::DONE);
            }
            std::thread::sleep(PERIOD);
        }
    }
}

/// All points, in the order of their steps.
fn flat(curves: Curves) -> Vec<Line> {
    let lines = curves.0.into_iter().flat_map(|(name, points)| {
        points.into_iter().map(move |Point { step, value, at }| Line { step, name: name.clone(), value, at })
    });
    let mut lines: Vec<Line> = lines.collect();
    lines.sort_by_key(|line| line.step);
    lines
}

fn document(task: String, key: Digest, curves: Curves) -> MetricsTask {
    let point = |Point { step, value, at }: Point| MetricsPoint { step, value, at };
    let curves = curves.0.into_iter().map(|(name, points)| (name, points.into_iter().map(point).collect()));
    MetricsTask { task, key, curves: curves.collect() }
}

/// A line for each curve: how far it goes, its first and its last value, and its shape.
fn text(task: &str, curves: &Curves) -> String {
    let mut text = format!("{}\n", tail::shown(task));
    let width = curves.0.keys().map(|name| name.chars().count()).max().unwrap_or(0);
    for (name, points) in &curves.0 {
        let (Some(first), Some(last)) = (points.first(), points.last()) else { continue };
        let values = format!("{} → {}", short(first.value), short(last.value));
        text += &format!(
            "  {:width$}  {:<WIDTH$}  {values}, {} to step {}\n",
            tail::shown(name),
            drawing(points),
            common::plural(points.len(), "point"),
            common::count(last.step)
        );
    }
    text
}

fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        0.001..100_000.0 => format!("{value:.4}"),
        _ => format!("{value:.3e}"),
    }
}

/// A curve in one line of signs: the mean of each part of its steps, from the least to the greatest.
fn drawing(points: &[Point]) -> String {
    const SIGNS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return String::new() };
    let parts = WIDTH.min(points.len());
    let mut sums = vec![(0.0, 0); parts];
    let steps = (last.step - first.step).max(1) as f64;
    for point in points.iter().filter(|point| point.value.is_finite()) {
        let at = (point.step - first.step) as f64 / steps * parts as f64;
        let (sum, count) = &mut sums[(at as usize).min(parts - 1)];
        (*sum, *count) = (*sum + point.value, *count + 1);
    }
    let means: Vec<Option<f64>> =
        sums.iter().map(|(sum, count)| (*count > 0).then(|| sum / f64::from(*count))).collect();
    let (least, greatest) = means
        .iter()
        .flatten()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), mean| (least.min(*mean), most.max(*mean)));
    let sign = |mean: &Option<f64>| match mean {
        None => ' ',
        Some(mean) if greatest > least => {
            let level = (mean - least) / (greatest - least) * (SIGNS.len() - 1) as f64;
            SIGNS[(level.round() as usize).min(SIGNS.len() - 1)]
        }
        Some(_) => SIGNS[0],
    };
    means.iter().map(sign).collect()
}
