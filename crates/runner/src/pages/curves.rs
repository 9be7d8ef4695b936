//! What tasks measured while they ran, as curves: drawn here, so that they are there without a script, and by uPlot where there is one.

use crate::pages::names::anchor;
use crate::pages::shell::{data, stranger};
use crate::run::account::Account;
use crate::store::Store;
use crate::store::curves::Point;
use crate::store::files::StoreError;
use crate::words::plural;
use maud::{Markup, html};
use serde::Serialize;
use std::collections::BTreeMap;

/// How many names are shown, and how many curves of each.
const NAMES: usize = 30;
const CURVES: usize = 12;
/// How many points of a curve are drawn.
const POINTS: usize = 400;
/// How many colours the style has for curves.
pub const COLOURS: usize = 6;
/// The drawing's own units.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 60.0;
const BOTTOM: f64 = 24.0;
const TOP: f64 = 8.0;

/// The curve of a task.
#[derive(Debug, Clone, Serialize)]
pub struct Curve {
    pub task: String,
    pub steps: Vec<u64>,
    /// None where the value is no finite number.
    pub values: Vec<Option<f64>>,
}

/// The curves of a run's tasks by their names.
pub fn read(store: &Store, account: &Account) -> Result<BTreeMap<String, Vec<Curve>>, StoreError> {
    let mut by_name: BTreeMap<String, Vec<Curve>> = BTreeMap::new();
    for (task, known) in &account.tasks {
        let Some(key) = &known.key else { continue };
        for (name, points) in store.curves(key)?.0 {
            by_name.entry(name).or_default().push(curve(task, &points));
        }
    }
    Ok(by_name)
}

/// A curve of no more points than can be seen. Of each stretch the least and the greatest value stay, so that no peak is lost.
fn curve(task: &str, points: &[Point]) -> Curve {
    let stretch = points.len().div_ceil(POINTS / 2).max(1);
    let mut kept: Vec<&Point> = Vec::with_capacity(POINTS);
    for part in points.chunks(stretch) {
        let finite = || part.iter().filter(|point| point.value.is_finite());
        let least = finite().min_by(|a, b| a.value.total_cmp(&b.value));
        let greatest = finite().max_by(|a, b| a.value.total_cmp(&b.value));
        let mut ends: Vec<&Point> = match (least, greatest) {
            (Some(least), Some(greatest)) => vec![least, greatest],
            _ => part.first().into_iter().collect(),
        };
        ends.sort_by_key(|point| point.step);
        ends.dedup_by_key(|point| point.step);
        kept.extend(ends);
    }
    Curve {
        task: task.to_owned(),
        steps: kept.iter().map(|point| point.step).collect(),
        values: kept.iter().map(|point| Some(point.value).filter(|value| value.is_finite())).collect(),
    }
}

/// The section.
pub fn section(curves: &BTreeMap<String, Vec<Curve>>) -> Markup {
    html! {
        @if !curves.is_empty() {
            h2 id="curves" { "Curves" }
            @if curves.len() > NAMES { p { "The first " (NAMES) " of " (plural(curves.len(), "measured quantity")) "." } }
            div.curves {
                @for (number, (name, curves)) in curves.iter().take(NAMES).enumerate() {
                    @let shown = &curves[..curves.len().min(CURVES)];
                    figure.curve {
                        h3 { (stranger(name)) }
                        div id=(anchor("curve", number)) data-curves=(anchor("points", number)) { (drawing(name, shown)) }
                        (data(&anchor("points", number), &shown))
                        figcaption.small {
                            @for (number, curve) in shown.iter().enumerate() {
                                span.key { svg viewBox="0 0 14 8" aria-hidden="true" { path d="M0 4H14" class={ "line line-" (number % COLOURS) } {} } (stranger(&curve.task)) }
                            }
                            @if curves.len() > CURVES { span.muted { "and " (curves.len() - CURVES) " more tasks" } }
                        }
                    }
                }
            }
        }
    }
}

/// The curves as lines, with the ends of the axes.
fn drawing(name: &str, curves: &[Curve]) -> Markup {
    let values = || curves.iter().flat_map(|curve| curve.values.iter().flatten().copied());
    let steps = || curves.iter().flat_map(|curve| curve.steps.iter().map(|step| *step as f64));
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    let (first, last) = (steps().fold(f64::INFINITY, f64::min), steps().fold(f64::NEG_INFINITY, f64::max));
    if low > high {
        return html! { p.muted { "No finite number was measured." } };
    }
    let share = |at: f64, from: f64, to: f64| if to > from { (at - from) / (to - from) } else { 0.5 };
    let x = |step: f64| LEFT + share(step, first, last) * (WIDTH - LEFT - 8.0);
    let y = |value: f64| HEIGHT - BOTTOM - share(value, low, high) * (HEIGHT - BOTTOM - TOP);
    let path = |curve: &Curve| {
        let mut path = String::new();
        let mut pen = 'M';
        for (step, value) in curve.steps.iter().zip(&curve.values) {
            match value {
                Some(value) => {
                    path += &format!("{pen}{:.1} {:.1}", x(*step as f64), y(*value));
                    pen = 'L';
                }
                None => pen = 'M',
            }
        }
        path
    };
    html! {
        svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label={ (stranger(name)) " by step, from " (number(low)) " to " (number(high)) } {
            path class="grid" d={ "M" (LEFT) " " (TOP) "V" (HEIGHT - BOTTOM) "H" (WIDTH - 8.0) } fill="none" {}
            text.tick x=(LEFT - 6.0) y=(TOP + 8.0) text-anchor="end" { (number(high)) }
            text.tick x=(LEFT - 6.0) y=(HEIGHT - BOTTOM) text-anchor="end" { (number(low)) }
            text.tick x=(LEFT) y=(HEIGHT - 6.0) { (number(first)) }
            text.tick x=(WIDTH - 8.0) y=(HEIGHT - 6.0) text-anchor="end" { "step " (number(last)) }
            @for (at, curve) in curves.iter().enumerate() { path class={ "line line-" (at % COLOURS) } d=(path(curve)) {} }
        }
    }
}

/// A number with as many digits as an axis needs.
fn number(value: f64) -> String {
    let size = value.abs();
    match size {
        0.0 => "0".into(),
        _ if !(1e-3..1e6).contains(&size) => format!("{value:.2e}"),
        _ if value.fract() == 0.0 => format!("{value}"),
        _ if size >= 100.0 => format!("{value:.1}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_curve_keeps_its_peaks() {
        let point = |step: u64| Point {
            step,
            value: if step == 7_777 { 9.0 } else { 1.0 / (1.0 + step as f64) },
            at: 0,
        };
        let points: Vec<Point> = (0..100_000).map(point).collect();
        let curve = curve("train", &points);
        assert!(curve.steps.len() <= POINTS, "{}", curve.steps.len());
        assert!(curve.steps.is_sorted() && curve.values.contains(&Some(9.0)));
    }

    #[test]
    fn what_is_no_number_is_a_gap() {
        let point = |(step, value)| Point { step, value, at: 0 };
        let points: Vec<Point> = [(1, 2.0), (2, f64::NAN), (3, 1.0)].map(point).to_vec();
        let curve = curve("train", &points);
        assert_eq!(curve.values, [Some(2.0), None, Some(1.0)]);
        let drawing = drawing("loss", &[curve]).into_string();
        assert!(drawing.contains("d=\"M60.0 8.0M592.0 196.0\""), "{drawing}");
    }
}
