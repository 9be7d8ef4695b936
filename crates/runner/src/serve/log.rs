//! The log of a task: its end, and what follows.

use crate::pages::shell;
use crate::serve::ask::{Ask, Fault, link};
use crate::serve::looking::Looking;
use crate::serve::{frame, live};
use crate::store::Store;
use maud::{Markup, html};

/// So many lines are shown, of no more than 64 KiB: a log may be of any size.
const LINES: usize = 2_000;

pub fn page(looking: &Looking, ask: &Ask) -> Result<String, Fault> {
    let (run, task) = (ask.run(&looking.store)?, ask.task()?);
    let title = format!("Log of {}", shell::stranger(task));
    let body = html! {
        h1 { (title) }
        p { a href=(link("/task", &[("run", &run), ("task", task)])) { "the task" } " of run " a href=(link("/run", &[("run", &run)])) { code { (run) } } }
        (section(&looking.store, &run, task, LINES))
    };
    Ok(frame::page(&title, false, body))
}

/// The end of a log as a part of a page.
pub fn section(store: &Store, run: &str, task: &str, lines: usize) -> Markup {
    let Some((shown, at)) = live::log_tail(store, run, task, lines) else {
        return html! { p.muted { "There is no log." } };
    };
    let follow = link("/log/live", &[("run", run), ("task", task), ("from", &at.to_string())]);
    html! {
        pre.log #log tabindex="0" role="log" aria-label="log" data-live=(follow) { @for line in &shown { (line) "\n" } }
        p.small { label { input type="checkbox" #follow-log checked; " keep the end in view" } }
    }
}
