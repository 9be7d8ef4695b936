//! Experiments as tables: the metrics of their points with intervals, as `onsager compare` gives them, from what the records say.

use crate::compare::comparison::{self, Choice, ChoiceError, Compared};
use crate::compare::gather::{self, GatherError, Missing};
use crate::compare::history::{self, Past};
use crate::pages::shell;
use crate::serve::ask::{Ask, Fault, link};
use crate::serve::frame::{self, Paging};
use crate::serve::looking::Looking;
use crate::words::plural;
use maud::{Markup, html};
use onsager_tables::cells::Style;
use std::collections::BTreeMap;

/// So many rows are on a page.
const SHOWN: usize = 500;
/// So many points that lack something are named.
const NAMED: usize = 20;

impl From<GatherError> for Fault {
    fn from(error: GatherError) -> Fault {
        match error {
            GatherError::Engine(error) => Fault::failed(error),
            error => Fault::missing(error),
        }
    }
}

impl From<ChoiceError> for Fault {
    fn from(error: ChoiceError) -> Fault {
        Fault::wrong(error)
    }
}

/// The pipelines and experiments whose runs have metrics.
pub fn list(looking: &Looking, _: &Ask) -> Result<String, Fault> {
    let mut latest: BTreeMap<String, (Past, usize)> = BTreeMap::new();
    for past in history::runs(&looking.store, None)? {
        let runs = latest.get(&past.pipeline).map_or(0, |(_, runs)| *runs) + 1;
        latest.insert(past.pipeline.clone(), (past, runs));
    }
    latest.retain(|_, (past, _)| past.points.iter().any(|point| !point.metrics.is_empty()));
    let body = html! {
        h1 { "Experiments" }
        @if latest.is_empty() { p { "No run has metrics: add " code { "metrics:" } " to an experiment or a pipeline." } } @else {
            div.scroll tabindex="0" role="region" aria-label="Experiments" { table {
                thead { tr { th scope="col" { "Name" } th.n scope="col" { "Points" } th.n scope="col" { "Runs" } th scope="col" { "Metrics" } th scope="col" { "Latest run" } } }
                tbody { @for (name, (past, runs)) in &latest { tr {
                    td { a href=(link("/experiment", &[("name", name)])) { (shell::stranger(name)) } }
                    td.n { (past.points.len()) }
                    td.n { (runs) }
                    td { (shell::stranger(&metrics(past).join(", "))) }
                    td { a href=(link("/run", &[("run", &past.run)])) { code { (past.run) } } }
                } } }
            } }
        }
    };
    Ok(frame::page("Experiments", false, body))
}

fn metrics(past: &Past) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for metric in past.points.iter().flat_map(|point| &point.metrics) {
        if !names.contains(&metric.name) {
            names.push(metric.name.clone());
        }
    }
    names
}

/// One of them.
pub fn page(looking: &Looking, ask: &Ask) -> Result<String, Fault> {
    let store = &looking.store;
    let name = ask.get("name").ok_or_else(|| Fault::wrong("the address lacks `name=…`"))?;
    let runs = history::runs(store, Some(name))?;
    let last = runs.last().ok_or_else(|| Fault::missing(format!("there is no run of `{name}`")))?;
    let parquet = looking.parquet.as_deref();
    let (mut samples, mut missing) = (Vec::new(), Vec::new());
    // Of an experiment the points of a run are compared, of a pipeline its runs.
    let chosen = match ask.get("run") {
        Some(run) => runs
            .iter()
            .find(|past| past.run == run)
            .ok_or_else(|| Fault::missing(format!("there is no run `{run}` of `{name}`")))?,
        None => last,
    };
    match (chosen.points.as_slice(), ask.get("run")) {
        ([now], None) => gather::runs(name, now, store, parquet, &mut samples)?,
        _ => gather::recorded(chosen, store, parquet, &mut samples, &mut missing)?,
    }
    let conditions: Result<Vec<_>, ChoiceError> = ask.all("where").map(str::parse).collect();
    let over: Vec<String> = ask.all("over").map(str::to_owned).collect();
    let choice = Choice {
        over: match (ask.get("each"), over.is_empty()) {
            (Some(_), _) => Vec::new(),
            (None, true) => comparison::seeds(&samples),
            (None, false) => over,
        },
        all_params: ask.get("all").is_some(),
        conditions: conditions?,
        sort: ask.get("sort").map(str::to_owned).into_iter().collect(),
        ..Choice::default()
    };
    let compared = comparison::compare(&samples, &choice)?;
    let title = shell::stranger(name);
    let body = html! {
        h1 { (title) }
        p.muted { "From run " a href=(link("/run", &[("run", &chosen.run)])) { code { (chosen.run) } } ". Means over " (if compared.over.is_empty() { "nothing".to_owned() } else { shell::stranger(&compared.over.join(", ")) }) " with their 95 % intervals." }
        (filters(ask, name, &runs))
        @if samples.is_empty() { p { "Nothing is finished yet." } } @else { (table(ask, &compared)) }
        @if compared.left_out > 0 { p.muted { (plural(compared.left_out, "row")) " left out by the condition." } }
        (not_finished(&missing))
    };
    Ok(frame::page(&title, false, body))
}

fn filters(ask: &Ask, name: &str, runs: &[Past]) -> Markup {
    html! {
        form.tools method="get" action="/experiment" role="search" {
            input type="hidden" name="name" value=(name);
            @if let Some(sort) = ask.get("sort") { input type="hidden" name="sort" value=(sort); }
            label { "Only where " input type="text" name="where" value=[ask.get("where")] placeholder="tubes>=40"; }
            label { "Run " select name="run" {
                option value="" { "latest" }
                @for past in runs.iter().rev().take(40) { option value=(past.run) selected[ask.get("run") == Some(&past.run)] { (past.run) } }
            } }
            label { input type="checkbox" name="each" value="1" checked[ask.get("each").is_some()]; " every point" }
            label { input type="checkbox" name="all" value="1" checked[ask.get("all").is_some()]; " all parameters" }
            button { "Show" }
        }
    }
}

fn table(ask: &Ask, compared: &Compared) -> Markup {
    let table = compared.table(true);
    let paging = Paging::of(ask.get("page"), table.rows.len(), SHOWN);
    let sorted = ask.get("sort");
    html! {
        div.scroll tabindex="0" role="region" aria-label="Points" { table {
            thead { tr { @for (at, head) in table.heads.iter().enumerate() {
                @let down = format!("-{}", head.name);
                @let (next, how) = match sorted {
                    Some(sorted) if sorted == head.name => (down.as_str(), Some("ascending")),
                    Some(sorted) if sorted == down => (head.name.as_str(), Some("descending")),
                    _ => (head.name.as_str(), None),
                };
                th scope="col" class=[table.rows.iter().any(|row| row[at].numeric()).then_some("n")] aria-sort=[how] {
                    a href=(ask.with("/experiment", &[("sort", next), ("page", "")])) { (shell::stranger(&head.title)) }
                }
            } } }
            tbody { @for row in &table.rows[paging.from..paging.to] { tr { @for (cell, head) in row.iter().zip(&table.heads) {
                td class=[cell.numeric().then_some("n")] { (shell::stranger(&cell.show(head.digits, Style::Unicode))) }
            } } } }
        } }
        (paging.markup(|number| ask.with("/experiment", &[("page", &number.to_string())])))
    }
}

fn not_finished(missing: &[Missing]) -> Markup {
    html! {
        @if !missing.is_empty() {
            details { summary { "Not finished: " (plural(missing.len(), "point")) }
                ul { @for point in missing.iter().take(NAMED) { li { (shell::stranger(if point.point.is_empty() { &point.experiment } else { &point.point })) } } }
                @if missing.len() > NAMED { p.muted { "and " (missing.len() - NAMED) " more" } }
            }
        }
    }
}
