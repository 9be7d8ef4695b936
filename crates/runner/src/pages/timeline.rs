//! When each attempt ran, and where: a lane for each worker of each host. Attempts that are too short to be seen one by one are drawn as
//! one, so the drawing stays small whatever the run is.

use crate::pages::attempts;
use crate::pages::shell::{stranger, zoom};
use crate::run::account::{Account, Attempt};
use crate::words::{count, duration, plural};
use maud::{Markup, html};
use std::collections::BTreeMap;

/// The drawing is as wide as the page has room: what lies along the time is in hundredths of that.
const WIDTH: f64 = 100.0;
/// The height of a lane.
const LANE: f64 = 26.0;
/// Attempts of less than these hundredths are drawn together with their neighbours.
const NARROW: f64 = 0.12;
/// More lanes than these are left out.
const LANES: usize = 200;

/// An attempt in its lane.
struct Bar<'a> {
    task: &'a str,
    attempt: &'a Attempt,
    outcome: &'static str,
    start: f64,
    end: f64,
}

/// The name of a lane, and what is in it, in the order of time.
struct Lane<'a> {
    name: String,
    bars: Vec<Bar<'a>>,
}

/// The section.
pub fn section(account: &Account) -> Markup {
    let Some(began) = account.started.map(|at| at.as_millisecond() as f64 / 1000.0) else { return html! {} };
    let last = account.last.map_or(began, |at| at.as_millisecond() as f64 / 1000.0);
    let span = (last - began).max(0.001);
    let lanes = lanes(account, began, last);
    let attempts: usize = lanes.iter().map(|lane| lane.bars.len()).sum();
    let left_out = lanes.len().saturating_sub(LANES);
    let shown = &lanes[..lanes.len() - left_out];
    html! {
        h2 id="timeline" { "Timeline" }
        @if attempts == 0 {
            p { "Nothing was executed: every result was there." }
        } @else {
            p.muted.small {
                (plural(attempts, "attempt")) " on " (plural(lanes.len(), "worker")) " in " (duration(span)) ". "
                "Attempts too short to be told apart are drawn as one. The table of tasks below has every attempt in words."
                @if left_out > 0 { " The first " (LANES) " workers are drawn, " (left_out) " are not." }
            }
            (key())
            (zoom("time", &[1, 2, 4, 8, 16]))
            div.lanes {
                div.lane-names aria-hidden="true" {
                    @for lane in shown { div.lane-name title=(stranger(&lane.name)) { (stranger(&lane.name)) } }
                }
                div.time id="time" tabindex="0" role="region" aria-label="Timeline of attempts" { (drawing(shown, began, span)) }
            }
        }
    }
}

/// What the colours mean.
fn key() -> Markup {
    let entry = |class: &str, words: &str| {
        html! { span { svg viewBox="0 0 14 8" aria-hidden="true" { rect x="0.5" y="0.5" width="13" height="7" class=(class) {} } (words) } }
    };
    html! {
        div.key {
            (entry("bar-executed", "executed")) (entry("bar-failed", "failed")) (entry("bar-interrupted", "interrupted"))
            (entry("bar-running", "running")) (entry("bar-wait", "waiting before it")) (entry("bar-pause", "pause before a retry"))
            span { svg viewBox="0 0 14 8" aria-hidden="true" { circle cx="7" cy="4" r="3" class="mark" {} } "checkpoint" }
        }
    }
}

fn lanes(account: &Account, began: f64, last: f64) -> Vec<Lane<'_>> {
    let seconds = |at: jiff::Timestamp| at.as_millisecond() as f64 / 1000.0;
    let mut by_worker: BTreeMap<(&str, Option<u32>), Vec<Bar>> = BTreeMap::new();
    for (task, known) in &account.tasks {
        for (attempt, outcome) in attempts::of(known) {
            let (start, end) = (seconds(attempt.started), attempt.ended.map_or(last, seconds));
            let host = attempt.job.as_ref().map(|job| job.node.as_str()).filter(|node| !node.is_empty());
            let host = host.unwrap_or(&attempt.host);
            let bar = Bar { task, attempt, outcome, start: start.max(began), end: end.max(start) };
            by_worker.entry((host, attempt.worker)).or_default().push(bar);
        }
    }
    let mut lanes = Vec::new();
    for ((host, worker), mut bars) in by_worker {
        bars.sort_by(|a, b| a.start.total_cmp(&b.start).then_with(|| a.task.cmp(b.task)));
        // A record that does not tell the worker: as many lanes as there are attempts at one time.
        let mut rows: Vec<Vec<Bar>> = Vec::new();
        for bar in bars {
            let free = rows.iter_mut().find(|row| row.last().is_none_or(|before| before.end <= bar.start));
            match free {
                Some(row) => row.push(bar),
                None => rows.push(vec![bar]),
            }
        }
        for (number, bars) in (1..).zip(rows) {
            let name = match worker {
                Some(worker) => format!("{host} · {worker}"),
                None => format!("{host} · {number}"),
            };
            lanes.push(Lane { name, bars });
        }
    }
    lanes
}

fn drawing(lanes: &[Lane], began: f64, span: f64) -> Markup {
    let height = LANE * lanes.len() as f64 + 18.0;
    let ticks = ticks(span);
    let x = |at: f64| WIDTH * ((at - began) / span).clamp(0.0, 1.0);
    let bottom = height - 18.0;
    html! {
        svg height=(height) role="img" aria-label="A bar for each attempt, a row for each worker" {
            @for at in &ticks {
                @let at_x = n(x(began + at));
                line.grid x1=(at_x) x2=(at_x) y1="0" y2=(bottom) {}
                text.tick x=(at_x) y=(height - 4.0) text-anchor=(anchor_of(x(began + at))) { (duration(*at)) }
            }
            @for (number, lane) in lanes.iter().enumerate() {
                @let top = LANE * number as f64 + 3.0;
                @for group in groups(&lane.bars, &x) { (bars(&group, top, &x)) }
                "\n"
            }
        }
    }
}

/// On which side of its mark a label has room.
fn anchor_of(at: f64) -> &'static str {
    match at {
        at if at < 3.0 => "start",
        at if at > 95.0 => "end",
        _ => "middle",
    }
}

/// Neighbours that are too narrow, and do alike, together.
fn groups<'b, 'a>(bars: &'b [Bar<'a>], x: &dyn Fn(f64) -> f64) -> Vec<Vec<&'b Bar<'a>>> {
    let mut groups: Vec<Vec<&Bar>> = Vec::new();
    for bar in bars {
        let narrow = |bar: &Bar| x(bar.end) - x(bar.start) < NARROW;
        let joins = groups.last().and_then(|group| Some((group.first()?, group.last()?))).is_some_and(
            |(first, before)| {
                let alike = before.outcome == bar.outcome;
                let near =
                    x(bar.start) - x(before.end) < NARROW && x(bar.end) - x(first.start) < 4.0 * NARROW;
                narrow(before) && narrow(bar) && alike && near
            },
        );
        match groups.last_mut().filter(|_| joins) {
            Some(group) => group.push(bar),
            None => groups.push(vec![bar]),
        }
    }
    groups
}

fn bars(group: &[&Bar], top: f64, x: &dyn Fn(f64) -> f64) -> Markup {
    let (Some(first), Some(last)) = (group.first(), group.last()) else { return html! {} };
    let (left, right) = (x(first.start), x(last.end));
    let width = (right - left).max(0.08);
    let (attempt, outcome) = (first.attempt, first.outcome);
    let class = format!("bar-{outcome}");
    let [only] = group else {
        let words = format!(
            "{}, {} to {}",
            plural(group.len(), "attempt"),
            stranger(first.task),
            stranger(last.task)
        );
        return html! { rect x=(n(left)) y=(top) width=(n(width)) height="20" class=(class) { title { (words) } } };
    };
    let waited: f64 = attempts::waits(attempt).iter().map(|(_, seconds)| seconds).sum();
    let pause = attempt.wait.filter(|pause| *pause > 0.0);
    html! {
        @if waited > 0.0 {
            @let from = x(only.start - waited);
            rect x=(n(from)) y=(top + 8.0) width=(n(left - from)) height="4" class="bar-wait" {
                title { (stranger(only.task)) " waited " (duration(waited)) }
            }
        }
        rect x=(n(left)) y=(top) width=(n(width)) height="20" class=(class) {
            title { (stranger(only.task)) ", " (outcome) " after " (duration(only.end - only.start)) }
        }
        @for (at, step) in attempt.checkpoints.iter().take(200) {
            @let at = x(at.as_millisecond() as f64 / 1000.0);
            circle cx=(n(at)) cy=(top + 17.0) r="2.5" class="mark" { title { "checkpoint after step " (count(*step)) } }
        }
        @if let Some(pause) = pause {
            @let to = x(only.end + pause);
            rect x=(n(right)) y=(top + 4.0) width=(n((to - right).max(0.08))) height="12" class="bar-pause" {
                title { (duration(pause)) " before the next try" }
            }
        }
    }
}

/// Where the lines of the time go: at most ten, at a whole number of seconds, minutes or hours where there are such.
fn ticks(span: f64) -> Vec<f64> {
    let steps = [
        0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0,
        7200.0, 14400.0,
    ];
    let mut step = steps.into_iter().find(|step| span / step <= 8.0).unwrap_or(21600.0);
    while span / step > 8.0 {
        step *= 2.0;
    }
    let marks = (0..10).map(|number| f64::from(number) * step);
    marks.take_while(|at| *at <= span).collect()
}

/// A place along the time, short.
fn n(value: f64) -> String {
    let text = format!("{value:.2}");
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_has_few_and_round_marks() {
        assert_eq!(ticks(0.35), [0.0, 0.1, 0.2, 0.30000000000000004]);
        assert_eq!(ticks(60.0), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0]);
        assert!(ticks(1e9).len() <= 10);
        assert_eq!([n(0.0), n(30.0), n(3.254)], ["0%", "30%", "3.25%"]);
    }
}
