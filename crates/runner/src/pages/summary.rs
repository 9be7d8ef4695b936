//! What a run was and how it ended: the first that a reader sees.

use crate::compare::history::Past;
use crate::numbers::claims::judge::Outcome;
use crate::pages::graph::Counts;
use crate::pages::graph::Stage;
use crate::pages::names::{pipeline_word, shell_word};
use crate::pages::shell::{command, state, stranger};
use crate::run::account::{Account, Standing};
use crate::store::Store;
use crate::store::tail;
use crate::words::{count, duration, moment, plural};
use maud::{Markup, html};
use onsager_tables::value::Value;
use std::fs::File;

/// How many failed tasks are told of, and how much of the log of each.
const FAILED: usize = 20;
const LINES: usize = 20;
const BYTES: u64 = 4 << 10;
/// How many parameters are listed of a point, and how many points.
const PARAMETERS: usize = 200;
const POINTS: usize = 20;

/// The word for how the run stands. `going` says whether its process is there.
pub fn outcome(account: &Account, going: bool) -> &'static str {
    match &account.ended {
        None if going => "running",
        None => "killed",
        Some(ended) if ended.interrupted => "interrupted",
        Some(ended) if ended.failed > 0 => "failed",
        Some(_) => "done",
    }
}

/// The section.
pub fn section(account: &Account, stages: &[Stage], going: bool, metrics: &[(String, String)]) -> Markup {
    let mut counts = Counts::default();
    account.tasks.values().for_each(|task| counts.add(task.standing));
    let seconds = match (&account.ended, account.started, account.last) {
        (Some(ended), ..) => ended.seconds,
        (None, Some(started), Some(last)) => {
            (last.as_millisecond() - started.as_millisecond()) as f64 / 1000.0
        }
        _ => 0.0,
    };
    let outcome = outcome(account, going);
    let colour = match outcome {
        "done" => "cached",
        "killed" => "failed",
        other => other,
    };
    html! {
        h1 { (stranger(&account.pipeline)) " " span class={ "state state-" (colour) } { (outcome) } }
        p.muted { "Run " code { (stranger(&account.run)) } " of " code { (pipeline_word(&account.file)) } }
        dl.cards {
            @if let Some(started) = account.started { div.card { dt { "Started" } dd { (moment(started)) } } }
            div.card { dt { "Took" } dd { (duration(seconds)) } }
            div.card { dt { "Tasks" } dd { (count(account.total as u64)) " in " (plural(stages.len(), "stage")) } }
            div.card { dt { "They were" } dd { @for (count, standing) in counts.parts() { span.together { (count) " " (state(standing.name())) } " " } @if counts == Counts::default() { "cached" } } }
            div.card { dt { "On" } dd { (stranger(&account.host)) ", " (plural(account.threads, "thread")) ", " (plural(account.jobs, "job")) " at a time" } }
            @if let Some(commit) = &account.commit {
                div.card { dt { "Commit" } dd { code { (commit.commit.chars().take(12).collect::<String>()) } @if let Some(branch) = &commit.branch { " " (stranger(branch)) } @if commit.dirty { " with changes" } } }
            }
        }
        @if !metrics.is_empty() {
            div.scroll.narrow tabindex="0" role="region" aria-label="Metrics" {
                table {
                    thead { tr { th scope="col" { "Metric" } th.n scope="col" { "Value" } } }
                    tbody { @for (metric, value) in metrics { tr { td { (stranger(metric)) } td.n { (stranger(value)) } } } }
                }
            }
        }
    }
}

/// What became of the pipeline's claims.
pub fn claims(account: &Account) -> Markup {
    html! {
        @if !account.claims.is_empty() {
            h2 id="claims" { "Claims" }
            div.scroll tabindex="0" role="region" aria-label="Claims" {
                table {
                    thead { tr { th scope="col" { "Claim" } th scope="col" { "It" } th scope="col" { "Reached" } th scope="col" { "Where" } } }
                    tbody {
                        @for claim in &account.claims {
                            tr {
                                td { @if let Some(text) = &claim.text { (stranger(text)) br; } code { (stranger(&claim.claim)) } }
                                td { (judged(claim.outcome)) }
                                td { (stranger(&claim.reached)) }
                                td.code { (stranger(&format!("{}:{}:{}", claim.file, claim.line, claim.column))) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn judged(outcome: Outcome) -> Markup {
    let (colour, word) = match outcome {
        Outcome::Holds => ("cached", "holds"),
        Outcome::Fails => ("failed", "fails"),
        Outcome::Stale => ("skipped", "is stale"),
    };
    html! { span class={ "state state-" (colour) } { (word) } }
}

/// What went wrong, with the ends of the logs.
pub fn failures(store: &Store, account: &Account) -> Markup {
    let failed: Vec<_> = account.tasks.iter().filter(|(_, task)| task.standing == Standing::Failed).collect();
    html! {
        @if !failed.is_empty() {
            h2 id="failed" { "What failed" }
            @for (name, task) in failed.iter().take(FAILED) {
                h3 { (stranger(name)) }
                @if let Some(message) = task.attempts.last().and_then(|attempt| attempt.message.as_ref()).or(task.because.as_ref()) {
                    p.bad { @for line in message.lines() { (stranger(line)) br; } }
                }
                @let lines = log_tail(store, &account.run, name);
                @if !lines.is_empty() {
                    pre tabindex="0" { @for line in &lines { (line) "\n" } }
                }
                (command(&format!("onsager log {} {}", pipeline_word(&account.file), shell_word(name))))
            }
            @if failed.len() > FAILED { p { "and " (failed.len() - FAILED) " more: see " a href="#tasks" { "the tasks" } "." } }
        }
    }
}

/// The last lines of a task's log; none where it cannot be read.
fn log_tail(store: &Store, run: &str, task: &str) -> Vec<String> {
    let opened = File::open(store.task_log(run, task));
    opened.and_then(|mut file| tail::last_lines(&mut file, LINES, BYTES)).unwrap_or_default()
}

/// The facts of the run: who, where, with what.
pub fn facts(store: &Store, account: &Account, past: &Past) -> Markup {
    let source = account.source.and_then(|digest| store.manifests().text(&digest).ok().flatten());
    let source =
        source.map(|text| String::from_utf8_lossy(&text).into_owned()).filter(|text| text.len() < 200_000);
    let facts = account.facts.as_ref();
    html! {
        h2 id="facts" { "Facts" }
        dl.facts {
            dt { "Program" }
            dd {
                "onsager " (stranger(&account.version)) ", kernel level " (stranger(&account.kernel))
                @if let Some(program) = facts.and_then(|facts| facts.program) { ", code of its kinds " code { (program.short()) } }
            }
            dt { "Machine" }
            dd { (stranger(&account.host)) @if let Some(facts) = facts { ", " (stranger(&facts.system)) } }
            @if let Some(facts) = facts {
                @if let Some(user) = &facts.user { dt { "User" } dd { (stranger(user)) } }
                dt { "Folder" } dd.code { (stranger(&facts.folder)) }
                dt { "Command" } dd.code { "onsager" @for word in &facts.arguments { " " (stranger(&shell_word(word))) } }
            }
            @if let Some(commit) = &account.commit {
                dt { "Git" }
                dd {
                    "commit " code { (stranger(&commit.commit)) }
                    @if let Some(branch) = &commit.branch { ", branch " (stranger(branch)) }
                    @if commit.dirty {
                        ", with changes that are not committed"
                        @if let Some(difference) = &commit.difference { " (SHA-256 of `git diff`: " code { (difference.to_string()) } ")" }
                    } @else { ", without changes" }
                }
            }
        }
        @if let Some(facts) = facts.filter(|facts| !facts.environment.is_empty()) {
            details.box { summary { "Environment" }
                dl.facts.small { @for (name, value) in &facts.environment { dt.code { (stranger(name)) } dd.code { (stranger(value)) } } }
            }
        }
        @let with_parameters = past.points.iter().filter(|point| !point.params.is_empty());
        @for point in with_parameters.take(POINTS) {
            details.box { summary { "Parameters" @if !point.name.is_empty() { " of " (stranger(&point.name)) } }
                dl.facts.small {
                    @for (name, value) in point.params.iter().take(PARAMETERS) { dt.code { (stranger(name)) } dd.code { (stranger(&Value::from(value).to_string())) } }
                }
            }
        }
        @if past.points.len() > POINTS { p.small.muted { "and " (past.points.len() - POINTS) " more points" } }
        @if let Some(source) = source {
            details.box { summary { "The pipeline's file as it was" } pre tabindex="0" { code { @for line in source.lines() { (stranger(line)) "\n" } } } }
        }
        @if !account.notes.is_empty() {
            h3 { "Notes" }
            ul.small { @for note in account.notes.iter().take(100) { li { (stranger(note)) } } }
        }
    }
}
