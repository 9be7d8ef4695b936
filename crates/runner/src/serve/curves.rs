//! Curves of several tasks of several runs, one beside the other, while they grow.

use crate::compare::history;
use crate::pages::shell::{self, data};
use crate::serve::ask::{Ask, Fault, link, named_run};
use crate::serve::frame;
use crate::serve::looking::Looking;
use maud::{Markup, html};
use std::collections::{BTreeMap, BTreeSet};

/// So many of the latest runs can be chosen.
const RUNS: usize = 40;
/// So many tasks are drawn where none is named.
const TASKS: usize = 6;

pub fn page(looking: &Looking, ask: &Ask) -> Result<String, Fault> {
    let store = &looking.store;
    let mut past = history::runs(store, None)?;
    past.reverse();
    let runs: Vec<&str> = ask.all("run").collect();
    // By task, the names of its curves.
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for run in &runs {
        looking.watch(named_run(store, run)?, |watched| {
            for (name, task) in watched.account.tasks.iter().filter(|(_, task)| !task.metrics.is_empty()) {
                known.entry(name.clone()).or_default().extend(task.metrics.iter().cloned());
            }
            Ok::<_, Fault>(())
        })?;
    }
    let mut tasks: Vec<&str> = ask.all("task").collect();
    if tasks.is_empty() {
        tasks = known.keys().map(String::as_str).take(TASKS).collect();
    }
    let names: BTreeSet<&str> = known.values().flatten().map(String::as_str).collect();
    let chosen: Vec<&str> = ask.all("name").collect();
    let mut sources = Vec::new();
    for run in &runs {
        sources.extend(tasks.iter().map(|task| match runs.len() {
            1 => shell::stranger(task),
            _ => format!("{} of {run}", shell::stranger(task)),
        }));
    }
    let mut given: Vec<(&str, &str)> = runs.iter().map(|run| ("run", *run)).collect();
    given.extend(tasks.iter().map(|task| ("task", *task)));
    given.extend(chosen.iter().map(|name| ("name", *name)));
    let body = html! {
        h1 { "Curves" }
        form method="get" action="/curves" {
            details.box open[runs.is_empty()] {
                summary { "Runs" }
                @if past.is_empty() { p { "There is no run yet." } }
                (boxes("run", past.iter().take(RUNS).map(|past| (past.run.as_str(), format!("{} {}", past.run, shell::stranger(&past.pipeline)))), &runs))
            }
            @if !known.is_empty() {
                details.box { summary { "Tasks" } (boxes("task", known.keys().map(|task| (task.as_str(), shell::stranger(task))), &tasks)) }
                details.box { summary { "Names" } (boxes("name", names.iter().map(|name| (*name, shell::stranger(name))), &chosen)) }
            }
            p.tools { button { "Show" } }
        }
        @if !sources.is_empty() && !known.is_empty() {
            (data("curve-sources", &sources))
            div.curves #curves data-live=(link("/curves/live", &given)) {}
            h2 { "Latest values" }
            div.scroll tabindex="0" role="region" aria-label="Latest values" { table {
                thead { tr { th scope="col" { "Curve" } th scope="col" { "Of" } th.n scope="col" { "Step" } th.n scope="col" { "Value" } } }
                tbody #latest {}
            } }
        } @else if !runs.is_empty() {
            p { "These runs have measured nothing so far. Kinds like " code { "train" } " do by themselves, and a command by what it writes to " code { "$ONSAGER_METRICS" } "." }
        }
    };
    Ok(frame::page("Curves", true, body))
}

fn boxes<'a>(name: &str, all: impl Iterator<Item = (&'a str, String)>, chosen: &[&str]) -> Markup {
    html! {
        ul.plain.choices { @for (value, words) in all { li { label {
            input type="checkbox" name=(name) value=(value) checked[chosen.contains(&value)]; " " (words)
        } } } }
    }
}
