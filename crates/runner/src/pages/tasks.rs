//! The tasks of a run, stage by stage: how each stands, and why it ran.

use crate::pages::attempts;
use crate::pages::graph::{self, Stage};
use crate::pages::made::Made;
use crate::pages::names::anchor;
use crate::pages::reasons::Reasons;
use crate::pages::shell::{state, stranger};
use crate::run::account::{Account, Standing, TaskAccount};
use crate::words::{count, duration, plural, size};
use maud::{Markup, html};
use std::collections::{BTreeMap, HashMap};

/// A run of more tasks is shown in figures for each stage, with the tasks that took longest or went wrong.
pub const ROWS: usize = 10_000;
/// How many tasks of a stage are shown then.
const PICKED: usize = 20;
/// How many stages are shown then.
const STAGES: usize = 400;
/// A stage of no more tasks is open at first.
const OPEN: usize = 25;
/// More reasons of one task are counted.
const REASONS: usize = 12;

/// The numbers of the tasks, for anchors.
pub type Numbers<'a> = HashMap<&'a str, usize>;

/// The section.
pub fn section(account: &Account, stages: &[Stage], reasons: &Reasons, numbers: &Numbers) -> Markup {
    let all = account.tasks.len();
    let aggregated = all > ROWS;
    let most = if aggregated { STAGES } else { usize::MAX };
    let joined = |stage: &Stage| stages.len() > graph::STAGES && stage.tasks.len() == 1;
    html! {
        h2 id="tasks" { "Tasks" }
        @if aggregated {
            p { (count(all as u64)) " tasks: of each stage the totals, what went wrong, and the " (PICKED) " tasks that took longest." }
        }
        @if !aggregated && all > OPEN {
            div.tools {
                label for="find" hidden data-find { "Find a task or a reason" }
                input id="find" type="search" hidden data-find autocomplete="off";
                span.muted.small id="found" role="status" {}
            }
        }
        @for (at, stage) in stages.iter().enumerate().filter(|(_, stage)| !joined(stage)).take(most) {
            @let picked = if aggregated { pick(account, &stage.tasks) } else { stage.tasks.clone() };
            details.stage open[!aggregated && stages.len() <= OPEN && stage.tasks.len() <= OPEN] {
                summary {
                    h3 id=(anchor("stage", at)) { (stranger(stage.name)) }
                    " " span.muted { (stage.counts.text()) (time(account, stage)) }
                }
                @if aggregated { (shared(account, stage, reasons)) }
                (table(account, stage.name, &picked, reasons, numbers))
            }
        }
        @if stages.len() > most { p.muted { "The first " (STAGES) " of " (count(stages.len() as u64)) " stages are shown." } }
        @if stages.iter().any(joined) {
            @let single: Vec<&str> = stages.iter().filter(|stage| joined(stage)).flat_map(|stage| stage.tasks.iter().copied()).collect();
            @let picked = if aggregated { pick(account, &single) } else { single.clone() };
            details.stage {
                summary { h3 { "Stages of one task" } " " span.muted { (count(single.len() as u64)) } }
                (table(account, "stages of one task", &picked, reasons, numbers))
            }
        }
    }
}

fn table(account: &Account, of: &str, tasks: &[&str], reasons: &Reasons, numbers: &Numbers) -> Markup {
    html! {
        @if !tasks.is_empty() {
            div.scroll.tall tabindex="0" role="region" aria-label={ "Tasks of " (stranger(of)) } {
                table {
                    thead { tr { th scope="col" { "Task" } th scope="col" { "State" } th.n scope="col" { "Took" } th.n scope="col" { "CPU" } th.n scope="col" { "Memory" } th scope="col" { "Why it ran, what happened" } } }
                    tbody { @for task in tasks { (row(account, task, reasons, numbers)) } }
                }
            }
        }
    }
}

/// `; 4 min 10 s in all`.
fn time(account: &Account, stage: &Stage) -> String {
    let seconds: f64 = stage.tasks.iter().filter_map(|task| account.tasks[*task].seconds).sum();
    if seconds > 0.0 { format!("; {} in all", duration(seconds)) } else { String::new() }
}

/// What went wrong, and what took longest.
fn pick<'a>(account: &Account, tasks: &[&'a str]) -> Vec<&'a str> {
    let tried = |task: &&str| !account.tasks[*task].attempts.is_empty();
    let mut tasks: Vec<&str> = tasks.iter().copied().filter(tried).collect();
    let weight = |task: &&str| {
        let known = &account.tasks[*task];
        let wrong = matches!(known.standing, Standing::Failed | Standing::Interrupted);
        (wrong, known.seconds.unwrap_or(0.0))
    };
    tasks.sort_by(|a, b| {
        let ((a_wrong, a_took), (b_wrong, b_took)) = (weight(a), weight(b));
        b_wrong.cmp(&a_wrong).then(b_took.total_cmp(&a_took)).then_with(|| a.cmp(b))
    });
    tasks.truncate(PICKED);
    tasks
}

/// The reasons that tasks of a stage share, each with their number.
fn shared(account: &Account, stage: &Stage, reasons: &Reasons) -> Markup {
    let mut by_reason: BTreeMap<String, usize> = BTreeMap::new();
    for task in stage.tasks.iter().filter(|task| !account.tasks[**task].attempts.is_empty()) {
        let texts: Vec<String> =
            reasons.of(task).iter().take(3).map(|reason| stranger(&reason.to_string())).collect();
        *by_reason.entry(texts.join("; ")).or_default() += 1;
    }
    let mut counted: Vec<(String, usize)> = by_reason.into_iter().collect();
    counted.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    html! {
        @if !counted.is_empty() {
            ul.plain.small { @for (reason, tasks) in counted.iter().take(8) { li { (plural(*tasks, "task")) ": " (reason) } } }
        }
    }
}

fn row(account: &Account, task: &str, reasons: &Reasons, numbers: &Numbers) -> Markup {
    let known = &account.tasks[task];
    let usage = known.attempts.iter().rev().find_map(|attempt| attempt.usage);
    let id = numbers.get(task).map(|number| anchor("task", *number));
    html! {
        tr id=[id] {
            td.name { (stranger(task)) }
            td { (state(known.standing.name())) }
            td.n { @if let Some(seconds) = known.seconds { (duration(seconds)) } }
            td.n { @if let Some(usage) = usage { (duration(usage.cpu)) } }
            td.n { @if let Some(usage) = usage { (size(usage.memory)) } }
            td.why { (why(known, reasons.of(task))) }
        }
        "\n"
    }
}

/// Why a task ran, and what is worth to be told of it.
fn why(known: &TaskAccount, reasons: &[crate::plan::planned::Reason]) -> Markup {
    let eventful = known.attempts.len() > 1
        || known.standing != Standing::Executed
        || known.attempts.iter().any(|attempt| {
            attempt.resumed.is_some()
                || !attempt.checkpoints.is_empty()
                || !attempts::waits(attempt).is_empty()
        });
    let told = if eventful { known.attempts.len() } else { 0 };
    html! {
        @for reason in reasons.iter().take(REASONS) { div { (stranger(&reason.to_string())) } }
        @if reasons.len() > REASONS { div.muted { "and " (reasons.len() - REASONS) " more" } }
        @if let Some(because) = &known.because { div { (stranger(because)) } }
        @for (number, (attempt, outcome)) in attempts::of(known).enumerate().take(told.min(20)) {
            div.muted.small { @if told > 1 { "attempt " (number + 1) ": " } (stranger(&attempts::words(attempt, outcome))) }
        }
    }
}

/// The cached tasks of a run, folded by the run that made them.
pub fn cached(account: &Account, made: &Made) -> Markup {
    let mut by_run: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for (task, _) in account.tasks.iter().filter(|(_, known)| known.standing == Standing::Cached) {
        let action = made.record(task).map(|record| &record.action);
        let run = action.map_or("", |action| action.run.as_str());
        let host = action.map_or("", |action| action.host.as_str());
        by_run.entry((run, host)).or_default().push(task);
    }
    html! {
        @if !by_run.is_empty() {
            h2 id="cached" { "Cached results" }
            p.muted.small { "Results that were there, folded by the run that made them." }
            @for ((run, host), tasks) in &by_run {
                details {
                    summary {
                        (plural(tasks.len(), "task")) " from "
                        @if run.is_empty() { "a run that is no longer known" } @else { "run " code { (stranger(run)) } }
                        @if !host.is_empty() { " on " (stranger(host)) }
                    }
                    p.small {
                        @for task in tasks.iter().take(500) { (stranger(task)) br; }
                        @if tasks.len() > 500 { "and " (count(tasks.len() as u64 - 500)) " more" }
                    }
                }
            }
        }
    }
}
