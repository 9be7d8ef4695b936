//! Two runs side by side: what differs, and figures one over the other.

use crate::compare::difference::{self, Difference};
use crate::compare::history;
use crate::pages::shell;
use crate::plan::explanation::Change;
use crate::serve::ask::{Ask, Fault, link, past_of};
use crate::serve::frame;
use crate::serve::looking::Looking;
use crate::serve::preview::{self, Sort};
use crate::store::Store;
use crate::store::digest::Digest;
use crate::words::plural;
use maud::{Markup, html};

/// So many of the latest runs can be chosen.
const RUNS: usize = 200;
/// So many tasks, lines and figures are shown.
const SHOWN: usize = 200;
const FIGURES: usize = 24;

pub fn page(looking: &Looking, ask: &Ask) -> Result<String, Fault> {
    let store = &looking.store;
    let mut runs = history::runs(store, None)?;
    runs.reverse();
    let last = |back: usize| runs.get(back).map(|past| past.run.as_str());
    // Of two that were picked from the list of runs, the newer one is the first.
    let mut picked = ask.all("run");
    let new = ask.get("new").or(picked.next()).or(last(0));
    let old = ask.get("old").or(picked.next()).or(last(1));
    let difference = match (old, new) {
        (Some(old), Some(new)) => {
            let (old, new) = (past_of(store, old)?, past_of(store, new)?);
            Some(
                difference::difference(store, looking.parquet.as_deref(), &old, &new)
                    .map_err(Fault::failed)?,
            )
        }
        _ => None,
    };
    let choose = |name: &str, words: &str, chosen: Option<&str>| {
        html! { label { (words) " " select name=(name) {
            @for past in runs.iter().take(RUNS) {
                option value=(past.run) selected[chosen == Some(&past.run)] { (past.run) " " (shell::stranger(&past.pipeline)) }
            }
        } } }
    };
    let body = html! {
        h1 { "Compare two runs" }
        @if runs.len() < 2 { p { "There are not two runs yet." } } @else {
            form.tools method="get" action="/compare" { (choose("old", "Old", old)) (choose("new", "New", new)) button { "Compare" } }
        }
        @if let Some(difference) = &difference { (all(store, difference)) }
    };
    Ok(frame::page("Compare", false, body))
}

fn all(store: &Store, difference: &Difference) -> Markup {
    let figures = figures(store, difference);
    html! {
        p { "Old " a href=(link("/run", &[("run", &difference.old.run)])) { code { (difference.old.run) } }
            ", new " a href=(link("/run", &[("run", &difference.new.run)])) { code { (difference.new.run) } } ": "
            (plural(difference.same, "task")) " the same, " (difference.tasks.len()) " with another key." }
        @if !difference.metrics.is_empty() { h2 { "Metrics" } (changes("Metrics that differ", &difference.metrics)) }
        @if !difference.params.is_empty() { h2 { "Parameters" } (changes("Parameters that differ", &difference.params)) }
        @if !figures.is_empty() { h2 { "Figures" } div.results { @for figure in figures.iter().take(FIGURES) { (figure) } }
            @if figures.len() > FIGURES { p.muted { "and " (figures.len() - FIGURES) " more" } } }
        @if !difference.tasks.is_empty() {
            h2 { "Tasks" }
            @for task in difference.tasks.iter().take(SHOWN) {
                details {
                    summary { (shell::stranger(&task.task)) " " span.muted { (task.outputs.iter().filter(|output| !output.same).count()) " of " (plural(task.outputs.len(), "output")) " differ" } }
                    @if !task.known { p.muted { "The store does not know both results." } }
                    @if !task.changes.is_empty() { (changes(&format!("What differs of {}", shell::stranger(&task.task)), &task.changes)) }
                    ul { @for output in &task.outputs { li {
                        (shell::stranger(&output.output)) ": "
                        @match (output.old, output.new) {
                            (Some(old), Some(new)) if old == new => { "the same " (artifact(&output.output, old)) },
                            (old, new) => { @if let Some(old) = old { (artifact(&output.output, old)) } @else { "none" } " → " @if let Some(new) = new { (artifact(&output.output, new)) } @else { "none" } }
                        }
                    } } }
                }
            }
            @if difference.tasks.len() > SHOWN { p.muted { "and " (difference.tasks.len() - SHOWN) " more" } }
        }
        (only("Only in the old run", &difference.only_old))
        (only("Only in the new run", &difference.only_new))
    }
}

fn only(words: &str, tasks: &[String]) -> Markup {
    html! { @if !tasks.is_empty() { details { summary { (words) ": " (plural(tasks.len(), "task")) } ul { @for task in tasks.iter().take(SHOWN) { li { (shell::stranger(task)) } } } } } }
}

fn artifact(name: &str, digest: Digest) -> Markup {
    html! { a href=(link("/artifact", &[("digest", &digest.to_string()), ("name", name)])) { code { (digest.short()) } } }
}

fn changes(label: &str, all: &[Change]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(label) { table {
            thead { tr { th scope="col" { "What" } th scope="col" { "Old" } th scope="col" { "New" } } }
            tbody { @for change in all.iter().take(SHOWN) { tr {
                td.name { (shell::stranger(&change.field)) }
                td.why { (change.old.as_deref().map(shell::stranger).unwrap_or_default()) }
                td.why { (change.new.as_deref().map(shell::stranger).unwrap_or_default()) }
            } } }
        } }
        @if all.len() > SHOWN { p.muted { "and " (all.len() - SHOWN) " more" } }
    }
}

/// The images that both runs have, and that differ.
fn figures(store: &Store, difference: &Difference) -> Vec<Markup> {
    let mut figures = Vec::new();
    for task in &difference.tasks {
        for output in task.outputs.iter().filter(|output| !output.same) {
            let (Some(old), Some(new)) = (output.old, output.new) else { continue };
            let image =
                |digest: &Digest| matches!(preview::sort(&store.objects().path(digest)), Ok(Sort::Image(_)));
            if image(&old) && image(&new) {
                figures.push(pair(&format!("{}.{}", task.task, output.output), old, new));
            }
        }
    }
    figures
}

/// One image over the other, with a slider between them and what differs of them.
fn pair(name: &str, old: Digest, new: Digest) -> Markup {
    let name = shell::stranger(name);
    let source = |digest: Digest| link("/object", &[("digest", &digest.to_string())]);
    html! {
        figure.result.wide.pair data-pair="" {
            h3 { (name) }
            div.plate.over {
                img.old src=(source(old)) alt={ "old " (name) };
                img.new src=(source(new)) alt={ "new " (name) };
                canvas hidden aria-label={ "where the two differ: " (name) } {}
            }
            div.tools {
                label { "Old on the left of " input.swipe type="range" min="0" max="100" value="50" aria-label={ "how much is shown of the old " (name) }; ", new on the right" }
                button type="button" data-differ="" aria-pressed="false" { "Difference" }
                span.differs role="status" {}
            }
        }
    }
}
