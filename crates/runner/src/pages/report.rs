//! The page of one run: everything that is known of it in one file.

use crate::compare::difference::{self, Difference};
use crate::compare::history::Past;
use crate::pages::made::Made;
use crate::pages::names::Places;
use crate::pages::reasons::Reasons;
use crate::pages::results::{self, Sources};
use crate::pages::shell::{Assets, Shell};
use crate::pages::{curves, difference as differences, graph, records, summary, tasks, timeline};
use crate::plan::error::EngineError;
use crate::run::account::Account;
use crate::store::Store;
use maud::html;
use onsager_tables::read::Parquet;
use std::collections::HashSet;

/// A run of no more tasks has the record of each on its page; else only those that figures and tables stand on.
const ALL_RECORDS: usize = 300;

/// Makes the page of a run, of what its record says. `others` are the runs that it is compared with, `assets` where its style and scripts are.
pub fn page(
    store: &Store,
    parquet: Option<&dyn Parquet>,
    account: &Account,
    past: &Past,
    others: &[&Past],
    assets: Assets,
) -> Result<String, EngineError> {
    let made = Made::read(store, account)?;
    let reasons = Reasons::read(store, account)?;
    let arrows = made.arrows();
    let stages = graph::stages(account, &arrows);
    let numbers = account.tasks.keys().map(String::as_str).zip(0..).collect();
    let shown = results::find(store, account, &made);
    let curves = curves::read(store, account)?;
    let metrics = difference::metrics_of(store, parquet, past)?;
    let differences = others
        .iter()
        .map(|other| difference::difference(store, parquet, other, past))
        .collect::<Result<Vec<Difference>, _>>()?;

    let mut told = Vec::new();
    let mut seen = HashSet::new();
    for result in &shown {
        told.extend(made.chain(result.task).into_iter().filter(|task| seen.insert(task.clone())));
    }
    if account.tasks.len() <= ALL_RECORDS {
        told.extend(account.tasks.keys().filter(|task| seen.insert((*task).clone())).cloned());
    }
    told.retain(|task| made.record(task).is_some());

    let commits = results::commits(store, account, &made, &shown)?;
    let places = Places::default();
    let sources = Sources {
        store,
        account,
        made: &made,
        parquet,
        numbers: &numbers,
        commits: &commits,
        places: &places,
    };
    let body = html! {
        (summary::section(account, &stages, store.is_going(&account.run), &metrics))
        (summary::failures(store, account))
        (summary::claims(account))
        (results::section(&shown, &sources))
        (timeline::section(account))
        (graph::section(&stages, &made, &arrows))
        (curves::section(&curves))
        (tasks::section(account, &stages, &reasons, &numbers))
        (tasks::cached(account, &made))
        (differences::section(&differences))
        (records::section(&made, &told, &numbers, &places))
        (summary::facts(store, account, past))
        p.muted.small { "Made by onsager " (env!("CARGO_PKG_VERSION")) " from the record of the run and the store." }
    };
    let body = body.into_string();
    // What is there.
    let sections = [
        ("failed", "Failures"),
        ("claims", "Claims"),
        ("results", "Figures"),
        ("timeline", "Timeline"),
        ("graph", "Graph"),
        ("curves", "Curves"),
        ("tasks", "Tasks"),
        ("cached", "Cached"),
        ("differences", "Differences"),
        ("made", "Records"),
        ("facts", "Facts"),
    ];
    let there = sections.into_iter().filter(|(id, _)| body.contains(&format!("<h2 id=\"{id}\">")));
    let nav: Vec<(String, String)> = there.map(|(id, words)| (format!("#{id}"), words.to_owned())).collect();
    let title = format!("{} · {}", account.pipeline, account.run);
    let shell =
        Shell { title: &title, assets, curves: !curves.is_empty(), nav: &nav, body: maud::PreEscaped(body) };
    Ok(shell.html())
}
