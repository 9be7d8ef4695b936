//! The tasks of a run as rows: which are asked for, and what is shown of each, on the page and in what follows it.

use crate::pages::shell;
use crate::run::account::Standing;
use crate::run::watched::{Row, STATES, Watched};
use crate::serve::ask::{Ask, link};
use crate::words::{count, duration};
use maud::{Markup, html};
use serde::Serialize;
use std::cmp::Ordering;

/// The columns that can be sorted by.
pub const COLUMNS: [(&str, &str); 3] = [("state", "State"), ("task", "Task"), ("time", "Time")];

/// The rows that are asked for, in the order that is.
pub fn chosen<'w>(watched: &'w Watched, ask: &Ask) -> Vec<Row<'w>> {
    let mut rows = watched.rows();
    let state = ask.get("state").and_then(|asked| STATES.iter().position(|(name, _)| *name == asked));
    rows.retain(|row| state.is_none_or(|state| row.rank() == state));
    if let Some(part) = ask.get("q") {
        let part = part.to_lowercase();
        rows.retain(|row| row.name.to_lowercase().contains(&part));
    }
    let sort = ask.get("sort").unwrap_or_default();
    let (column, down) = sort.strip_prefix('-').map_or((sort, false), |column| (column, true));
    let by: fn(&Row, &Row) -> Ordering = match column {
        "state" => |a, b| a.rank().cmp(&b.rank()),
        "task" => |a, b| a.name.cmp(b.name),
        "time" => |a, b| a.seconds.unwrap_or(-1.0).total_cmp(&b.seconds.unwrap_or(-1.0)),
        // Of a run that goes on, what goes on is of interest; else the graph's order.
        _ if watched.is_going() => |a, b| a.rank().cmp(&b.rank()),
        _ => |_, _| Ordering::Equal,
    };
    rows.sort_by(|a, b| if down { by(b, a) } else { by(a, b) });
    rows
}

/// What changes of a row while the run goes on.
#[derive(Debug, Serialize)]
pub struct Told {
    pub task: String,
    pub state: &'static str,
    pub done: u64,
    /// 0 where it is not known how far it is.
    pub total: u64,
    pub how_far: String,
    pub time: String,
    pub message: String,
}

impl Told {
    pub fn of(row: &Row) -> Told {
        let (done, total) = row.task.progress.as_ref().map_or((0, 0), |(done, total, _)| (*done, *total));
        let shown = row.task.standing == Standing::Running;
        Told {
            task: row.name.to_owned(),
            state: row.task.standing.name(),
            done,
            total: if shown { total } else { 0 },
            how_far: if shown { how_far(row) } else { String::new() },
            time: row.seconds.map(duration).unwrap_or_default(),
            message: row.message().map(shell::stranger).unwrap_or_default(),
        }
    }
}

/// `1,200 of 4,000 steps, 35/s, 1 min 20 s left`.
pub fn how_far(row: &Row) -> String {
    let Some((done, total, unit)) = &row.task.progress else {
        return row.left.map(|left| format!("about {} left", duration(left.round()))).unwrap_or_default();
    };
    let mut text = format!("{} of {} {}", count(*done), count(*total), shell::stranger(unit));
    if let Some(rate) = row.rate {
        text += &format!(", {}/s", if rate < 10.0 { format!("{rate:.1}") } else { count(rate as u64) });
    }
    if let Some(left) = row.left {
        text += &format!(", {} left", duration(left.round()));
    }
    text
}

/// A row of the table.
pub fn markup(run: &str, row: &Row) -> Markup {
    let told = Told::of(row);
    let name = shell::stranger(row.name);
    html! {
        tr data-task=(row.name) {
            td.state-cell { (shell::state(told.state)) }
            td.name { a href=(link("/task", &[("run", run), ("task", row.name)])) { (name) } }
            td.far {
                progress value=(told.done) max=(told.total.max(1)) aria-label={ "progress of " (name) } hidden[told.total == 0] {}
                span.how-far { (told.how_far) }
            }
            td.n.time { (told.time) }
            td.why { (told.message) }
        }
        "\n"
    }
}
