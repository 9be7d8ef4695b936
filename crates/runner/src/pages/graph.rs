//! The graph of a run: its stages with the states of their tasks, and what they take from each other.

use crate::pages::made::Made;
use crate::pages::names::{anchor, point_and_stage};
use crate::pages::shell::zoom;
use crate::plan::picture::{self, Edge, Ink, Picture, Tile};
use crate::run::account::{Account, Standing};
use crate::words::plural;
use maud::{Markup, PreEscaped, html};
use std::collections::{HashMap, HashSet};

/// A graph of more stages is not drawn: nobody could read it, and its layout takes long.
pub const STAGES: usize = 120;

/// Every standing of a task; the first that is there colours a whole stage.
const STANDINGS: [Standing; 11] = [
    Standing::Failed,
    Standing::Interrupted,
    Standing::Left,
    Standing::Running,
    Standing::Retrying,
    Standing::Executed,
    Standing::Cached,
    Standing::Queued,
    Standing::Waiting,
    Standing::NotRun,
    Standing::Skipped,
];

/// A stage of a run.
#[derive(Debug, Clone)]
pub struct Stage<'a> {
    pub name: &'a str,
    /// In the order of the graph.
    pub tasks: Vec<&'a str>,
    pub counts: Counts,
}

/// How many tasks stand how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts([usize; STANDINGS.len()]);

impl Counts {
    pub fn add(&mut self, standing: Standing) {
        if let Some(at) = STANDINGS.iter().position(|other| *other == standing) {
            self.0[at] += 1;
        }
    }

    /// Those that are there, the worst first.
    pub fn parts(&self) -> impl Iterator<Item = (usize, Standing)> {
        self.0.into_iter().zip(STANDINGS).filter(|(count, _)| *count > 0)
    }

    /// `12 executed, 3 cached`.
    pub fn text(&self) -> String {
        self.parts()
            .map(|(count, standing)| format!("{count} {}", standing.name()))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// The tasks of a run in the order of its graph, those of which that is not known last.
pub fn ordered(account: &Account) -> Vec<&str> {
    let mut seen = HashSet::with_capacity(account.tasks.len());
    let known = account.order.iter().filter(|task| account.tasks.contains_key(*task));
    known.chain(account.tasks.keys()).map(String::as_str).filter(|task| seen.insert(*task)).collect()
}

/// The stages of a run, each after those that it takes from.
pub fn stages<'a>(account: &'a Account, arrows: &[(String, String)]) -> Vec<Stage<'a>> {
    let mut names = Vec::new();
    let mut by_name: HashMap<&str, Stage> = HashMap::new();
    for task in ordered(account) {
        let name = point_and_stage(task).1;
        let stage = by_name.entry(name).or_insert_with(|| {
            names.push(name);
            Stage { name, tasks: Vec::new(), counts: Counts::default() }
        });
        stage.tasks.push(task);
        stage.counts.add(account.tasks[task].standing);
    }
    let mut sources: HashMap<&str, Vec<&str>> = HashMap::new();
    arrows.iter().for_each(|(from, to)| sources.entry(to).or_default().push(from));
    let mut order = Vec::with_capacity(names.len());
    let mut seen = HashSet::new();
    for name in names {
        let mut waiting = vec![(name, false)];
        while let Some((name, ready)) = waiting.pop() {
            match ready {
                true => order.push(name),
                false if seen.insert(name) => {
                    waiting.push((name, true));
                    waiting.extend(sources.get(name).into_iter().flatten().map(|source| (*source, false)));
                }
                false => {}
            }
        }
    }
    order.into_iter().filter_map(|name| by_name.remove(name)).collect()
}

/// The section.
pub fn section(stages: &[Stage], made: &Made, arrows: &[(String, String)]) -> Markup {
    html! {
        h2 id="graph" { "Graph" }
        @if stages.len() > STAGES {
            p { (plural(stages.len(), "stage")) ": too many to be drawn. " a href="#tasks" { "The table of tasks" } " has them all." }
        } @else {
            p.muted.small { "A box for each stage, with the states of its tasks; a click on its name leads to them." }
            (zoom("drawing", &[1, 2, 4]))
            div.drawing id="drawing" tabindex="0" role="region" aria-label="Graph of stages" { (drawing(stages, made, arrows)) }
        }
    }
}

fn drawing(stages: &[Stage], made: &Made, arrows: &[(String, String)]) -> Markup {
    let number: HashMap<&str, usize> =
        stages.iter().enumerate().map(|(at, stage)| (stage.name, at)).collect();
    let tile = |(at, stage): (usize, &Stage)| {
        let kind = stage
            .tasks
            .iter()
            .find_map(|task| made.record(task))
            .map_or(String::new(), |record| record.kind.clone());
        let title = match stage.tasks.len() {
            1 => stage.name.to_owned(),
            several => format!("{} ×{several}", stage.name),
        };
        Tile {
            lines: [title, kind, stage.counts.text()].into_iter().filter(|line| !line.is_empty()).collect(),
            fill: format!("var(--{})", colour(stage.counts.parts().next())),
            link: Some(format!("#{}", anchor("stage", at))),
        }
    };
    let edge = |(from, to): &(String, String)| {
        let (from, to) = (*number.get(from.as_str())?, *number.get(to.as_str())?);
        // The layout takes no arrow back.
        (from < to).then(|| Edge { from, to, label: String::new() })
    };
    let svg = picture::svg(&Picture {
        title: String::new(),
        tiles: stages.iter().enumerate().map(tile).collect(),
        edges: arrows.iter().filter_map(edge).collect(),
        ink: Ink::PAGE,
    });
    html! { (PreEscaped(svg)) }
}

/// The name of the style's colour for a stage, by the worst of its tasks.
fn colour(worst: Option<(usize, Standing)>) -> &'static str {
    match worst.map(|(_, standing)| standing) {
        Some(Standing::Executed) => "executed",
        Some(Standing::Cached) => "cached",
        Some(Standing::Failed) => "failed",
        Some(Standing::Running) => "running",
        Some(Standing::Retrying | Standing::Interrupted | Standing::Left) => "retry",
        Some(Standing::Skipped | Standing::NotRun) => "skipped",
        Some(Standing::Waiting | Standing::Queued) | None => "waiting",
    }
}
