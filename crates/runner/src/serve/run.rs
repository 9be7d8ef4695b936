//! A run: how it stands, and its tasks.

use crate::compare::history;
use crate::pages::shell;
use crate::run::watched::{STATES, Watched};
use crate::serve::ask::{Ask, Fault, link};
use crate::serve::frame::{self, Paging};
use crate::serve::looking::Looking;
use crate::serve::rows;
use crate::words::{count, duration, moment};
use maud::{Markup, html};

/// So many tasks are on a page; more of them are found by what is asked for.
const SHOWN: usize = 250;

pub fn page(looking: &Looking, ask: &Ask) -> Result<String, Fault> {
    let run = ask.run(&looking.store)?;
    looking.watch(&run, |watched| shown(looking, ask, &run, watched))
}

fn shown(looking: &Looking, ask: &Ask, run: &str, watched: &Watched) -> Result<String, Fault> {
    let account = &watched.account;
    let chosen = rows::chosen(watched, ask);
    let paging = Paging::of(ask.get("page"), chosen.len(), SHOWN);
    let before = history::runs(&looking.store, Some(&account.pipeline))?;
    let before = before.iter().take_while(|past| past.run != run).last().map(|past| past.run.clone());
    let title = shell::stranger(&account.pipeline);
    let curves =
        account.tasks.iter().filter(|(_, task)| !task.metrics.is_empty()).map(|(name, _)| name.as_str());
    let curves: Vec<&str> = curves.take(6).collect();
    let body = html! {
        h1 { (title) }
        p { code { (run) } " " span #run-state { (shell::state(watched.state())) } }
        (facts(watched))
        (counts(watched))
        p.tools {
            @if let Some(before) = before { a href=(link("/compare", &[("old", &before), ("new", run)])) { "Compare with the run before" } }
            a href=(link("/report", &[("run", run)])) { "Timeline, graph and how each result was made" }
            @if !curves.is_empty() { a href=(curves_link(run, &curves)) { "Curves" } }
        }
        h2 { "Tasks" }
        (filters(ask, run))
        @if chosen.is_empty() { p.muted { "No task is known that this is asked of." } }
        div.scroll tabindex="0" role="region" aria-label="Tasks" {
            table #tasks data-run=(run) data-from=(watched.place()) data-going[watched.is_going()] {
                thead { tr {
                    @for (column, words) in &rows::COLUMNS[..2] { (head(ask, column, words)) }
                    th scope="col" { "Progress" }
                    (head(ask, "time", "Time"))
                    th scope="col" { "Why" }
                } }
                tbody { @for row in &chosen[paging.from..paging.to] { (rows::markup(run, row)) } }
            }
        }
        (paging.markup(|number| ask.with("/run", &[("page", &number.to_string())])))
        @if !account.notes.is_empty() {
            h2 { "Notes" }
            ul.plain { @for note in account.notes.iter().rev().take(50) { li { (shell::stranger(note)) } } }
        }
    };
    Ok(frame::page(&title, false, body))
}

fn facts(watched: &Watched) -> Markup {
    let account = &watched.account;
    let (done, total) = watched.progress();
    html! {
        p.overall {
            progress #overall value=(done) max=(total.max(1)) aria-label="tasks that have ended" {}
            " " span #overall-text { (overall(watched)) }
        }
        dl.facts {
            @if let Some(started) = account.started { dt { "Started" } dd { (moment(started)) } }
            dt { "On" } dd { (shell::stranger(&account.host)) ", " (account.jobs) " jobs, " (account.threads) " threads" }
            dt { "File" } dd { code { (shell::stranger(&account.file.display().to_string())) } }
            dt { "Version" } dd { (shell::stranger(&account.version)) ", kernel level " (shell::stranger(&account.kernel)) }
            @if let Some(commit) = &account.commit {
                dt { "Commit" } dd { code { (shell::stranger(&commit.commit)) } @if commit.dirty { " with changes" } }
            }
        }
    }
}

/// `12 of 45 tasks, 3 min 12 s, about 5 min 0 s left`.
pub fn overall(watched: &Watched) -> String {
    let (done, total) = watched.progress();
    let left =
        watched.left().map(|left| format!(", about {} left", duration(left.round()))).unwrap_or_default();
    format!("{} of {} tasks, {}{left}", count(done as u64), count(total as u64), duration(watched.seconds()))
}

fn counts(watched: &Watched) -> Markup {
    html! {
        dl.cards {
            @for (name, states) in STATES {
                @let n: usize = states.iter().map(|state| watched.count(*state)).sum();
                div.card { dt { (name) } dd data-count=(name) { (count(n as u64)) } }
            }
        }
    }
}

fn filters(ask: &Ask, run: &str) -> Markup {
    html! {
        form.tools method="get" action="/run" role="search" {
            input type="hidden" name="run" value=(run);
            @if let Some(sort) = ask.get("sort") { input type="hidden" name="sort" value=(sort); }
            label { "State " select name="state" {
                option value="" { "all" }
                @for (name, _) in STATES { option value=(name) selected[ask.get("state") == Some(name)] { (name) } }
            } }
            label { "Name has " input type="search" name="q" value=[ask.get("q")]; }
            button { "Show" }
        }
    }
}

fn head(ask: &Ask, column: &str, words: &str) -> Markup {
    let sorted = ask.get("sort");
    let down = format!("-{column}");
    let (next, how) = match sorted {
        Some(sorted) if sorted == column => (down.as_str(), Some("ascending")),
        Some(sorted) if sorted == down => (column, Some("descending")),
        _ => (column, None),
    };
    html! { th scope="col" aria-sort=[how] { a href=(ask.with("/run", &[("sort", next), ("page", "")])) { (words) } } }
}

fn curves_link(run: &str, tasks: &[&str]) -> String {
    let mut given = vec![("run", run)];
    given.extend(tasks.iter().map(|task| ("task", *task)));
    link("/curves", &given)
}
