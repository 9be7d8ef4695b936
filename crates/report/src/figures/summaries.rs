//! What a mark makes of its rows: running means, the density of a histogram, boxes, the edges of a heatmap's cells.

use super::axis::Scale;
use super::figure::{Datum, Detail, Quartiles};
use super::plot::{MarkSpec, NumberOrColumn};
use crate::error::ReportError;
use crate::tables::frame;
use polars::frame::DataFrame;

/// Running means over `window` neighbours, fewer at the ends.
pub(super) fn smooth(data: Vec<Datum>, window: usize) -> Vec<Datum> {
    if window < 2 {
        return data;
    }
    let half = window / 2;
    (0..data.len())
        .map(|i| {
            // As many on either side, so that the ends are not biased by their slope.
            let reach = half.min(i).min(data.len() - 1 - i);
            let near = &data[i - reach..=i + reach];
            Datum { y: near.iter().map(|datum| datum.y).sum::<f64>() / near.len() as f64, ..data[i] }
        })
        .collect()
}

/// The density of a column's values in equal bins between its extremes: each bar's left end and height.
pub(super) fn histogram(group: &DataFrame, mark: &MarkSpec, table: &str) -> Result<Vec<Datum>, ReportError> {
    let Some(NumberOrColumn::Column(x)) = &mark.x else {
        return Err(ReportError::Missing { what: "a histogram".into(), field: "x" });
    };
    let values = frame::numbers(group, x, table)?.into_iter().flatten();
    let values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    let (low, high) =
        values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)));
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let bins = mark.bins.max(1);
    let width = if high > low { (high - low) / bins as f64 } else { 1.0 };
    let mut counts = vec![0u64; bins];
    for value in &values {
        counts[(((value - low) / width) as usize).min(bins - 1)] += 1;
    }
    let density = |count: u64| count as f64 / (values.len() as f64 * width);
    let bar =
        |(i, &count): (usize, &u64)| Datum { x: low + i as f64 * width, y: density(count), interval: None };
    Ok(counts.iter().enumerate().map(bar).chain([Datum { x: high, y: 0.0, interval: None }]).collect())
}

/// The different positions with the edges between them: in the middle on the axis' scale, at the ends as far out as in.
pub(super) fn edges(positions: &[Option<f64>], scale: Scale) -> Vec<(f64, (f64, f64))> {
    let mut all: Vec<f64> =
        positions.iter().flatten().copied().filter(|x| scale.even(*x).is_finite()).collect();
    all.sort_by(f64::total_cmp);
    all.dedup();
    let middle = |a: f64, b: f64| scale.value(0.5 * (scale.even(a) + scale.even(b)));
    let beyond = |at: f64, inner: f64| scale.value(2.0 * scale.even(at) - scale.even(inner));
    let edge = |i: usize| {
        let at = all[i];
        let (below, above) = (i.checked_sub(1).map(|i| all[i]), all.get(i + 1).copied());
        let (low, high) = (below.map(|below| middle(below, at)), above.map(|above| middle(at, above)));
        let alone = || if scale == Scale::Log { (at / 2.0, at * 2.0) } else { (at - 0.5, at + 0.5) };
        match (low, high) {
            (Some(low), Some(high)) => (low, high),
            (Some(low), None) => (low, beyond(at, low)),
            (None, Some(high)) => (beyond(at, high), high),
            (None, None) => alone(),
        }
    };
    (0..all.len()).map(|i| (all[i], edge(i))).collect()
}

/// The edges of the cell at a position.
pub(super) fn around(edges: &[(f64, (f64, f64))], at: f64) -> (f64, f64) {
    edges.iter().find(|(position, _)| *position == at).map_or((at, at), |(_, ends)| *ends)
}

/// A box for each x, in the order of x.
pub(super) fn boxes(
    xs: Vec<Option<f64>>,
    group: &DataFrame,
    mark: &MarkSpec,
    table: &str,
) -> Result<(Vec<Datum>, Detail), ReportError> {
    let Some(NumberOrColumn::Column(y)) = &mark.y else {
        return Err(ReportError::Missing { what: "a box".into(), field: "y" });
    };
    let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
    let ys = frame::numbers(group, y, table)?;
    let mut points: Vec<(f64, f64)> =
        xs.into_iter().zip(ys).filter_map(|(x, y)| Some((finite(x)?, finite(y)?))).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let (mut data, mut all) = (Vec::new(), Vec::new());
    for chunk in points.chunk_by(|a, b| a.0 == b.0) {
        let ys: Vec<f64> = chunk.iter().map(|(_, y)| *y).collect();
        let (lower, median, upper) = (quantile(&ys, 0.25), quantile(&ys, 0.5), quantile(&ys, 0.75));
        let reach = 1.5 * (upper - lower);
        let within = |y: &&f64| (lower - reach..=upper + reach).contains(*y);
        let low = ys.iter().find(within).copied().unwrap_or(lower);
        let high = ys.iter().rev().find(within).copied().unwrap_or(upper);
        let outliers = ys.iter().filter(|y| !within(y)).copied().collect();
        data.push(Datum { x: chunk[0].0, y: median, interval: Some((ys[0], ys[ys.len() - 1])) });
        all.push(Quartiles { lower, upper, whiskers: (low, high), outliers, half: 0.0 });
    }
    // On an axis of numbers a box is as wide as fits between the nearest two.
    let gaps = data.windows(2).map(|pair| pair[1].x - pair[0].x);
    let gap = gaps.fold(f64::INFINITY, f64::min);
    let half = if gap.is_finite() { 0.3 * gap } else { 0.25 };
    all.iter_mut().for_each(|quartiles| quartiles.half = half);
    Ok((data, Detail::Boxes(all)))
}

/// The quantile of sorted values, linear between them.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (low, part) = (at as usize, at - libm::floor(at));
    let next = sorted[(low + 1).min(sorted.len() - 1)];
    sorted[low] + part * (next - sorted[low])
}
