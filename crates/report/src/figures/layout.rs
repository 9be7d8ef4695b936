//! Room for everything: margins measured from the text, small multiples with shared axes, the legend off the data.

use super::axis::{Scale, Span, Tick, range, ticks};
use super::figure::{Cell, Detail, Figure, Geometry, Layer, Panel};
use super::legend::{Legend, colour_bar_width};
use super::paper::{LEADING, Point, text_width};
use super::plot::{AxisSpec, LegendPlace};
use super::style::{LABEL, MM, TICK, TITLE};
use crate::error::ReportError;
use onsager_tables::time;

/// The length of a tick; plotters sets labels at twice this distance from the axis.
pub const TICK_LENGTH: f64 = 2.5;
pub const LABEL_GAP: f64 = 2.0 * TICK_LENGTH;
/// Room for the label of an axis beside its ticks' labels.
const AXIS_LABEL: f64 = LABEL + 5.0;
/// Free space at the left of the page, and at the right of a panel.
const LEFT: f64 = 2.0;
const RIGHT: f64 = 8.0;

/// A figure with the places of its parts.
pub struct Layout<'a> {
    pub figure: &'a Figure,
    pub size: Point,
    pub places: Vec<Place<'a>>,
    /// Where the bar of colours stands, if there is one: its left, top and height.
    pub bar: (f64, f64, f64),
    /// With its corner, and the width on which it is centred.
    pub legend: Option<(Legend<'a>, Point, Option<f64>)>,
}

/// A panel in its place.
pub struct Place<'a> {
    pub panel: &'a Panel,
    /// In lines that stay above the panel.
    pub title: String,
    pub x: Span,
    pub y: Span,
    /// The upper left corner and the size of the plot alone.
    pub at: Point,
    pub size: Point,
    /// The room for labels at its left and below it.
    pub left: f64,
    pub below: f64,
    /// Whether it carries the labels of the axes.
    pub x_label: bool,
    pub y_label: bool,
    /// Whether the names of categories stand upright, being too long.
    pub upright: bool,
}

impl Place<'_> {
    /// The room for the labels of the y ticks.
    fn tick_width(&self) -> f64 {
        LABEL_GAP + self.y.ticks.iter().map(|tick| text_width(&tick.label, TICK, false)).fold(0.0, f64::max)
    }

    /// The room for the labels of the x ticks.
    fn tick_height(&self) -> f64 {
        let labels = self.x.ticks.iter().map(|tick| tick.label.as_str());
        let height = if self.upright {
            labels.map(|label| text_width(label, TICK, false)).fold(0.0, f64::max)
        } else {
            let lines = labels.map(|label| label.lines().count()).max().unwrap_or(1).max(1);
            TICK * (1.0 + LEADING * (lines - 1) as f64)
        };
        LABEL_GAP + height
    }
}

impl Figure {
    /// Lays the figure out on paper.
    pub fn layout(&self) -> Result<Layout<'_>, ReportError> {
        let count = self.panels.len();
        if count == 0 {
            return Err(ReportError::Empty { reason: "the figure has no panel".into() });
        }
        let plot = &self.plot;
        let width = plot.width * MM;
        let fit = ((width / (48.0 * MM)).floor() as usize).max(1);
        let columns = plot.columns.unwrap_or_else(|| balanced(count, fit)).clamp(1, count);
        let rows = count.div_ceil(columns);
        let across = (plot.legend == LegendPlace::Below).then_some(width);
        let legend = Legend::new(&self.panels, across).filter(|_| plot.legend != LegendPlace::None);
        let (beside, below) = match &legend {
            Some(legend) if across.is_none() => (14.0 + legend.width(), 0.0),
            Some(legend) => (0.0, legend.height() + 4.0),
            None => (0.0, 0.0),
        };
        // The bar of colours stands between the panels and the legend.
        let bar = self.colours.as_ref().map_or(0.0, |(span, _)| 4.0 + colour_bar_width(span));
        let beside = beside + bar;

        // The number of ticks depends on the size and the margins on the ticks: a first guess, then the true size.
        let mut places = self.places(((width - beside) / columns as f64 - 40.0).max(30.0), rows, below)?;
        let mut inner = 0.0;
        for _ in 0..2 {
            for column in 0..columns {
                let members = || (column..count).step_by(columns);
                let ticks = members().map(|i| places[i].tick_width()).fold(0.0, f64::max);
                let label = if column == 0 && !self.y_label.is_empty() { AXIS_LABEL } else { 1.0 };
                members().for_each(|i| places[i].left = ticks + label);
            }
            let margins: f64 = places.iter().take(columns).map(|place| place.left + RIGHT).sum();
            inner = (width - LEFT - beside - margins) / columns as f64;
            if inner < 20.0 {
                return Err(ReportError::Draw {
                    message: format!(
                        "{columns} panels in a row do not fit in {} mm; widen it or set `columns`",
                        plot.width
                    ),
                });
            }
            let left: Vec<f64> = places.iter().map(|place| place.left).collect();
            places = self.places(inner, rows, below)?;
            places.iter_mut().zip(left).for_each(|(place, left)| place.left = left);
        }

        for (i, place) in places.iter_mut().enumerate() {
            place.y_label = i % columns == 0 && !self.y_label.is_empty();
            // A panel carries the label of x when none below it does.
            place.x_label = i + columns >= count && !self.x_label.is_empty();
            place.below = place.tick_height() + if place.x_label { AXIS_LABEL - 1.0 } else { 0.0 };
        }
        let above = |row: &[Place]| {
            5.0 + LEADING * LABEL * row.iter().map(|p| p.title.lines().count()).max().unwrap_or(0) as f64
        };
        let under = |row: &[Place]| row.iter().map(|place| place.below).fold(0.0, f64::max);
        let top = plot.title.as_ref().map_or(2.0, |_| TITLE + 8.0);
        let fixed =
            top + 3.0 + below + places.chunks(columns).map(|row| above(row) + under(row) + 4.0).sum::<f64>()
                - 4.0;
        let height = match plot.height {
            Some(height) => ((height * MM - fixed) / rows as f64).max(20.0),
            None => inner * plot.aspect,
        };
        let mut y = top;
        for row in places.chunks_mut(columns) {
            y += above(row);
            let next = y + height + under(row) + 4.0;
            let mut x = LEFT;
            for place in row {
                place.at = (x + place.left, y);
                place.size = (inner, height);
                x += place.left + inner + RIGHT;
            }
            y = next;
        }
        let first = places[0].at.1;
        let legend = legend.map(|legend| match across {
            Some(width) => (legend, (0.0, y + 1.0), Some(width)),
            None => (legend, (width - beside + bar + 10.0, first + 4.0), None),
        });
        let last = &places[count - 1];
        let bar = (width - beside + 4.0, first, last.at.1 + last.size.1 - first);
        Ok(Layout { figure: self, size: (width, fixed + rows as f64 * height), places, bar, legend })
    }

    /// The panels with the ticks that fit a plot of this width; their places are still to be found.
    fn places(&self, width: f64, rows: usize, below: f64) -> Result<Vec<Place<'_>>, ReportError> {
        let plot = &self.plot;
        let height = plot.height.map_or(width * plot.aspect, |height| {
            (height * MM / rows as f64 - 34.0 - below / rows as f64).max(30.0)
        });
        let mut places = Vec::new();
        for panel in &self.panels {
            let near = |share: bool| if share { &self.panels[..] } else { std::slice::from_ref(panel) };
            let layers = |share: bool| near(share).iter().flat_map(|panel| &panel.layers);
            let ys: Vec<f64> = layers(plot.y.share).flat_map(|layer| y_extent(layer, plot.y.scale)).collect();
            let y = match self.rows.is_empty() {
                true => {
                    let spec = filled(&plot.y, layers(plot.y.share), |cell| cell.y);
                    span("y", &spec, ys, height, |_| 1.4 * TICK, ticks)?
                }
                false => self.row_axis(),
            };
            let (x, upright) = if self.categories.is_empty() {
                let xs: Vec<f64> = layers(plot.x.share).flat_map(x_extent).collect();
                let spec = filled(&plot.x, layers(plot.x.share), |cell| cell.x);
                let ticks = if self.times { time_ticks } else { ticks };
                (span("x", &spec, xs, width, |tick| text_width(&tick.label, TICK, false), ticks)?, false)
            } else {
                self.category_axis(width, layers(true).any(|layer| layer.geometry == Geometry::Cells))
            };
            // The names of times are long: one at an end would leave the page.
            let x = match self.times {
                true => {
                    let end = |tick: &Tick| {
                        x.place(tick.value) * width + 0.5 * text_width(&tick.label, TICK, false)
                    };
                    let ticks =
                        x.ticks.iter().filter(|tick| end(tick) < width + RIGHT - 1.0).cloned().collect();
                    Span { ticks, ..x }
                }
                false => x,
            };
            // Bold text is about a tenth wider.
            let title = wrap_text(&panel.title, (width + 2.0 * RIGHT) / 1.12, LABEL);
            let (at, size, left, below) = ((0.0, 0.0), (width, height), 0.0, 0.0);
            places.push(Place {
                panel,
                title,
                x,
                y,
                at,
                size,
                left,
                below,
                x_label: false,
                y_label: false,
                upright,
            });
        }
        Ok(places)
    }

    /// The names of the categories broken into lines that fit their slots, or upright when a word does not.
    fn category_axis(&self, width: f64, cells: bool) -> (Span, bool) {
        let count = self.categories.len() as f64;
        let slot = width / (count + 0.2) - 3.0;
        let wrapped: Vec<_> = self.categories.iter().map(|name| wrap_text(name, slot, TICK)).collect();
        let upright =
            wrapped.iter().flat_map(|name| name.lines()).any(|line| text_width(line, TICK, false) > slot);
        let names = if upright { self.categories.clone() } else { wrapped };
        let ticks = names.into_iter().enumerate().map(|(i, label)| Tick { value: i as f64, label }).collect();
        // Cells fill the panel.
        let margin = if cells { 0.5 } else { 0.6 };
        (Span { scale: Scale::Linear, low: -margin, high: count - 1.0 + margin, ticks }, upright)
    }

    /// The names of the categories of y, the first at the top.
    fn row_axis(&self) -> Span {
        let ticks = self.rows.iter().enumerate();
        let ticks = ticks.map(|(i, label)| Tick { value: -(i as f64), label: label.clone() }).collect();
        Span { scale: Scale::Linear, low: 0.5 - self.rows.len() as f64, high: 0.5, ticks }
    }
}

/// The number of columns that fills the rows best: 5 panels on 3 columns stand 3 + 2, 4 stand 2 + 2.
fn balanced(count: usize, fit: usize) -> usize {
    count.div_ceil(count.div_ceil(fit))
}

/// An axis of these values on `length` points, with as many ticks as fit without their labels touching, each label taking
/// up `extent` points.
fn span(
    name: &'static str,
    spec: &AxisSpec,
    values: Vec<f64>,
    length: f64,
    extent: fn(&Tick) -> f64,
    ticks: fn(Scale, f64, f64, usize) -> Vec<Tick>,
) -> Result<Span, ReportError> {
    let scale = spec.scale;
    if let Some(&value) = values.iter().find(|value| scale == Scale::Log && **value <= 0.0) {
        return Err(ReportError::NotPositive { axis: name, value });
    }
    for (end, value) in [("min", spec.min), ("max", spec.max)] {
        if let Some(value) = value.filter(|&value| scale == Scale::Log && value <= 0.0) {
            return Err(ReportError::LogEnd { axis: name, end, value });
        }
    }
    let (low, high) = range(scale, values.into_iter(), spec.min, spec.max);
    // The one end that is given is on the wrong side of the data, or the two are the wrong way round.
    if low >= high || low.is_nan() || high.is_nan() {
        let (end, side) = if spec.min.is_some() { ("min", "below") } else { ("max", "above") };
        return Err(ReportError::Inverted { axis: name, low, high, end, side });
    }
    let mut span = Span { scale, low, high, ticks: Vec::new() };
    for target in (2..=8).rev() {
        span.ticks = ticks(scale, low, high, target);
        let labelled: Vec<_> = span.ticks.iter().filter(|tick| !tick.label.is_empty()).collect();
        let fits = labelled.windows(2).all(|pair| {
            let apart = (span.place(pair[1].value) - span.place(pair[0].value)) * length;
            apart > 0.5 * (extent(pair[0]) + extent(pair[1])) + 6.0
        });
        if fits {
            break;
        }
    }
    Ok(span)
}

/// The axis with ends where those of the heatmap are, unless it has its own.
fn filled<'a>(
    spec: &AxisSpec,
    layers: impl Iterator<Item = &'a Layer>,
    side: fn(&Cell) -> (f64, f64),
) -> AxisSpec {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for layer in layers {
        let Detail::Cells(cells) = &layer.detail else { continue };
        for (a, b) in cells.iter().map(side) {
            (low, high) = (low.min(a), high.max(b));
        }
    }
    let found = |end: f64| Some(end).filter(|end| end.is_finite());
    AxisSpec { min: spec.min.or(found(low)), max: spec.max.or(found(high)), ..spec.clone() }
}

/// The ticks of an axis of times.
fn time_ticks(_: Scale, low: f64, high: f64, target: usize) -> Vec<Tick> {
    time::ticks(low, high, target).into_iter().map(|(value, label)| Tick { value, label }).collect()
}

fn x_extent(layer: &Layer) -> Vec<f64> {
    if let Detail::Boxes(boxes) = &layer.detail {
        let sides = layer.data.iter().zip(boxes);
        return sides
            .flat_map(|(datum, quartiles)| [datum.x - quartiles.half, datum.x + quartiles.half])
            .collect();
    }
    match layer.geometry {
        Geometry::Vertical(x) => vec![x],
        _ => layer.data.iter().map(|datum| datum.x).collect(),
    }
}

/// The values of y that a layer has; of an interval that a log scale cannot show whole, those that it can.
fn y_extent(layer: &Layer, scale: Scale) -> Vec<f64> {
    match layer.geometry {
        Geometry::Horizontal(y) => vec![y],
        Geometry::Bars => layer.data.iter().map(|datum| datum.y).chain([0.0]).collect(),
        _ => {
            let ends = layer.data.iter().flat_map(|datum| {
                let (low, high) = datum.interval.unwrap_or((datum.y, datum.y));
                let shown = scale == Scale::Linear || low > 0.0;
                [datum.y, if shown { low } else { datum.y }, high]
            });
            ends.collect()
        }
    }
}

/// Breaks a text at its spaces into lines no wider than `width`, where it can.
pub fn wrap_text(text: &str, width: f64, size: f64) -> String {
    // `K = 4` stays together.
    let text = [" = ", " < ", " > ", " ± "]
        .iter()
        .fold(text.to_owned(), |text, sign| text.replace(sign, &sign.replace(' ', "\u{a0}")));
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if text_width(&format!("{line} {word}"), size, false) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines.join("\n")
}
