//! What differs from other runs, as `onsager diff` tells it.

use crate::compare::difference::{Difference, TaskDifference};
use crate::pages::shell::stranger;
use crate::plan::explanation::Change;
use crate::words::{count, plural};
use maud::{Markup, html};

/// How many tasks that differ are shown of each run.
const TASKS: usize = 100;
/// How many changes of a task.
const CHANGES: usize = 12;

/// The section.
pub fn section(differences: &[Difference]) -> Markup {
    html! {
        @if !differences.is_empty() {
            h2 id="differences" { "Differences from other runs" }
            @for (number, difference) in differences.iter().enumerate() {
                details.box open[number == 0] {
                    summary { "from run " b { (stranger(&difference.old.run)) } " " span.muted { "of " (stranger(&difference.old.pipeline)) ", " (in_short(difference)) } }
                    (one(difference))
                }
            }
        }
    }
}

fn in_short(difference: &Difference) -> String {
    format!(
        "{} with another key, {} the same",
        plural(difference.tasks.len(), "task"),
        count(difference.same as u64)
    )
}

fn one(difference: &Difference) -> Markup {
    let only = |tasks: &[String], run: &str| {
        html! {
            @if !tasks.is_empty() {
                h3 { "Only in " (stranger(run)) }
                p.small { @for task in tasks.iter().take(TASKS) { (stranger(task)) br; } @if tasks.len() > TASKS { "and " (tasks.len() - TASKS) " more" } }
            }
        }
    };
    html! {
        @for (title, changes) in [("Parameters", &difference.params), ("Metrics", &difference.metrics)] {
            @if !changes.is_empty() { h3 { (title) } (table(changes, title, &difference.old.run)) }
        }
        @if !difference.tasks.is_empty() {
            h3 { "Tasks" }
            div.scroll.tall tabindex="0" role="region" aria-label={ "Tasks that differ from " (stranger(&difference.old.run)) } {
                table {
                    thead { tr { th scope="col" { "Task" } th scope="col" { "What entered its key" } th scope="col" { "Outputs" } } }
                    tbody { @for task in difference.tasks.iter().take(TASKS) { (row(task)) } }
                }
            }
            @if difference.tasks.len() > TASKS { p.small.muted { "and " (difference.tasks.len() - TASKS) " more" } }
        }
        (only(&difference.only_old, &difference.old.run))
        (only(&difference.only_new, &difference.new.run))
        @if difference.params.is_empty() && difference.metrics.is_empty() && difference.tasks.is_empty() { p.small { "Nothing differs." } }
    }
}

fn table(changes: &[Change], title: &str, run: &str) -> Markup {
    let value = |value: &Option<String>| value.as_deref().map_or("(none)".to_owned(), stranger);
    html! {
        div.scroll tabindex="0" role="region" aria-label={ (title) " that differ from " (stranger(run)) } {
            table {
                thead { tr { th scope="col" { (title) } th scope="col" { "There" } th scope="col" { "Here" } } }
                tbody { @for change in changes { tr { td { (stranger(&change.field)) } td.why { (value(&change.old)) } td.why { (value(&change.new)) } } } }
            }
        }
    }
}

fn row(task: &TaskDifference) -> Markup {
    let named = |same| {
        let outputs = task.outputs.iter().filter(|output| output.same == same);
        outputs.map(|output| stranger(&output.output)).collect::<Vec<_>>().join(", ")
    };
    let (differ, same) = (named(false), named(true));
    html! {
        tr {
            td.name { (stranger(&task.task)) }
            td.why {
                @for change in task.changes.iter().take(CHANGES) { div { (stranger(&change.to_string())) } }
                @if task.changes.len() > CHANGES { div.muted { "and " (task.changes.len() - CHANGES) " more" } }
                @if !task.known { span.muted { "the store no longer knows both results" } }
            }
            td.why {
                @if !differ.is_empty() { div { "other bytes: " (differ) } }
                @if !same.is_empty() { div.muted { "the same: " (same) } }
            }
        }
    }
}
