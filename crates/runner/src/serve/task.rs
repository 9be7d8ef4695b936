//! A task of a run: its attempts, what it made, its curves and its log.

use crate::pages::shell;
use crate::run::account::Attempt;
use crate::run::watched::{Watched, seconds_of};
use crate::serve::ask::{Ask, Fault, link};
use crate::serve::looking::Looking;
use crate::serve::rows::{self, Told};
use crate::serve::{artifact, frame, log};
use crate::store::Store;
use crate::store::objects::Outputs;
use crate::words::{duration, moment, size};
use maud::{Markup, html};

/// How much of the log is shown.
const LINES: usize = 200;

pub fn page(looking: &Looking, ask: &Ask) -> Result<String, Fault> {
    let store = &looking.store;
    let (run, name) = (ask.run(store)?, ask.task()?);
    looking.watch(&run, |watched| shown(store, &run, name, watched))
}

fn shown(store: &Store, run: &str, name: &str, watched: &Watched) -> Result<String, Fault> {
    let row =
        watched.task(name).ok_or_else(|| Fault::missing(format!("run `{run}` has no task `{name}`")))?;
    let mut outputs: Outputs = row.task.outputs.clone();
    if outputs.is_empty()
        && let Some(key) = row.task.key
        && let Some(action) = store.actions().get(&key)?
    {
        outputs = action.outputs;
    }
    let title = shell::stranger(name);
    let body = html! {
        h1 { (title) }
        p { "in run " a href=(link("/run", &[("run", run)])) { code { (run) } } }
        div.scroll tabindex="0" role="region" aria-label="The task" { table data-run=(run) data-from=(watched.place()) data-going[watched.is_going()] #tasks {
            thead { tr { th scope="col" { "State" } th scope="col" { "Task" } th scope="col" { "Progress" } th scope="col" { "Time" } th scope="col" { "Why" } } }
            tbody { (rows::markup(run, &row)) }
        } }
        @if let Some(key) = row.task.key { p.small { "Key " code { (key) } } }
        @if !row.task.attempts.is_empty() { h2 { "Attempts" } (attempts(&row.task.attempts)) }
        @if !outputs.is_empty() { h2 { "Outputs" } div.results { @for (output, content) in &outputs { (artifact::card(store, output, content)) } } }
        @if !row.task.metrics.is_empty() {
            h2 { "Curves" }
            p { @for metric in &row.task.metrics { a href=(link("/curves", &[("run", run), ("task", name), ("name", metric)])) { (shell::stranger(metric)) } " " } }
        }
        h2 { "Log" }
        (log::section(store, run, name, LINES))
        p { a href=(link("/log", &[("run", run), ("task", name)])) { "more of the log" } }
    };
    // What it is called on the page is what follows it.
    debug_assert_eq!(Told::of(&row).task, name);
    Ok(frame::page(&title, false, body))
}

fn attempts(all: &[Attempt]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Attempts" { table {
            thead { tr { th.n scope="col" { "No." } th scope="col" { "Started" } th.n scope="col" { "Took" } th scope="col" { "On" } th.n scope="col" { "CPU time" } th.n scope="col" { "Memory" } th scope="col" { "Checkpoints" } th scope="col" { "Message" } } }
            tbody { @for attempt in all { tr {
                td.n { (attempt.number) }
                td { (moment(attempt.started)) }
                td.n { @if let Some(ended) = attempt.ended { (duration(seconds_of(ended) - seconds_of(attempt.started))) } }
                td { (shell::stranger(&attempt.host)) @if let Some(job) = &attempt.job { ", job " (shell::stranger(&job.job)) } }
                td.n { @if let Some(usage) = &attempt.usage { (duration(usage.cpu)) } }
                td.n { @if let Some(usage) = &attempt.usage { (size(usage.memory)) } }
                td { @if let Some(step) = attempt.resumed { "from step " (step) ", " } (attempt.checkpoints.len()) " saved" }
                td.why { @if let Some(message) = &attempt.message { (shell::stranger(message)) } }
            } } }
        } }
    }
}
