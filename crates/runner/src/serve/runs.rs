//! The list of runs.

use crate::compare::history;
use crate::pages::shell;
use crate::run::events::{Event, Stamped};
use crate::serve::ask::{Ask, Fault, link};
use crate::serve::frame::{self, Paging};
use crate::serve::looking::Looking;
use crate::store::Store;
use crate::store::tail;
use crate::words::{duration, plural};
use maud::{Markup, html};
use std::fs::File;

/// So many runs are on a page: of each the end of its record is read.
const SHOWN: usize = 100;
/// The last line of a record is shorter than this.
const LAST_LINE: u64 = 4 << 10;

pub fn page(looking: &Looking, ask: &Ask) -> Result<String, Fault> {
    let store = &looking.store;
    let mut runs = history::runs(store, None)?;
    runs.reverse();
    let mut pipelines: Vec<String> = runs.iter().map(|past| past.pipeline.clone()).collect();
    pipelines.sort();
    pipelines.dedup();
    if let Some(pipeline) = ask.get("pipeline") {
        runs.retain(|past| past.pipeline == pipeline);
    }
    let paging = Paging::of(ask.get("page"), runs.len(), SHOWN);
    let body = html! {
        h1 { "Runs" }
        p.muted { (plural(runs.len(), "run")) " in " code { (shell::stranger(&store.artifacts().display().to_string())) } }
        form.tools method="get" action="/" {
            label { "Pipeline " select name="pipeline" {
                option value="" { "all" }
                @for name in &pipelines { option value=(name) selected[ask.get("pipeline") == Some(name)] { (shell::stranger(name)) } }
            } }
            button { "Show" }
        }
        @if runs.is_empty() { p { "There is no run yet: `onsager run` makes one." } } @else {
            form method="get" action="/curves" {
                div.scroll tabindex="0" role="region" aria-label="Runs" { table {
                    thead { tr { th scope="col" { "Pick" } th scope="col" { "Run" } th scope="col" { "Pipeline" } th scope="col" { "State" } th scope="col" { "Tasks" } th.n scope="col" { "Time" } th scope="col" { "Version" } } }
                    tbody { @for past in &runs[paging.from..paging.to] {
                        @let end = end_of(store, &past.run);
                        tr {
                            td { input type="checkbox" name="run" value=(past.run) aria-label={ "pick run " (past.run) }; }
                            td { a href=(link("/run", &[("run", &past.run)])) { code { (past.run) } } }
                            td.name { (shell::stranger(&past.pipeline)) }
                            (state_and_counts(store, &past.run, end))
                            td { (shell::stranger(&past.version)) }
                        }
                    } }
                } }
                p.tools { button formaction="/compare" { "Compare two runs" } button { "Curves of the picked runs" } }
            }
            (paging.markup(|number| ask.with("/", &[("page", &number.to_string())])))
        }
    };
    Ok(frame::page("Runs", false, body))
}

fn state_and_counts(store: &Store, run: &str, end: Option<Event>) -> Markup {
    let Some(Event::RunFinished { executed, cached, failed, skipped, interrupted, seconds, .. }) = end else {
        let words = if store.is_going(run) { "running" } else { "killed" };
        return html! { td { (shell::state(words)) } td {} td {} };
    };
    let words = match (failed, interrupted) {
        (0, false) => "done",
        (0, true) => "interrupted",
        _ => "failed",
    };
    let counts = [(executed, "executed"), (cached, "cached"), (failed, "failed"), (skipped, "skipped")];
    let counts: Vec<String> =
        counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    html! { td { (shell::state(words)) } td { (counts.join(", ")) } td.n { (duration(seconds)) } }
}

/// The last line of a record, if it is its end.
fn end_of(store: &Store, run: &str) -> Option<Event> {
    let mut file = File::open(store.record(run)).ok()?;
    let line = tail::last_lines(&mut file, 1, LAST_LINE).ok()?.pop()?;
    let Stamped { event, .. } = serde_json::from_str(&line).ok()?;
    matches!(event, Event::RunFinished { .. }).then_some(event)
}
