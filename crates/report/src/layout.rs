//! From a figure to shapes on paper: margins measured from the text, shared small multiples, the legend off the data.

use super::axis::{Scale, Tick, range, ticks};
use super::error::ReportError;
use super::figure::{Axis, Datum, Figure, Geometry, Layer, LegendPlace, Panel};
use super::marks::{self, View};
use super::scene::{Anchor, Colour, Pen, Scene, text_width};

/// Points per millimetre.
pub const MM: f64 = 72.0 / 25.4;
/// Sizes of text in points: titles, labels and legend, tick labels.
const TITLE: f64 = 9.0;
const LABEL: f64 = 8.0;
const TICK: f64 = 7.0;
/// Distances in points.
const TICK_LENGTH: f64 = 3.0;
const GAP: f64 = 3.0;

/// A panel with its ranges and ticks.
struct Frame<'a> {
    panel: &'a Panel,
    x: (f64, f64),
    y: (f64, f64),
    x_ticks: Vec<Tick>,
    y_ticks: Vec<Tick>,
    /// The lines of each category's name; upright when they are too long.
    categories: Vec<Vec<String>>,
    upright: bool,
}

impl Frame<'_> {
    /// Room for the labels of the y ticks.
    fn tick_width(&self) -> f64 {
        self.y_ticks.iter().map(|tick| text_width(&tick.label, TICK, false)).fold(0.0, f64::max)
    }

    /// Room below the axis for the labels of the x ticks.
    fn tick_height(&self) -> f64 {
        let lines = self.categories.iter().map(Vec::len).max().unwrap_or(1).max(1);
        let longest =
            self.categories.iter().flatten().map(|line| text_width(line, TICK, false)).fold(0.0, f64::max);
        TICK_LENGTH + 2.0 + if self.upright { longest } else { TICK * 1.15 * lines as f64 }
    }
}

impl Figure {
    /// Lays the figure out on paper.
    pub fn scene(&self) -> Result<Scene, ReportError> {
        if self.panels.is_empty() {
            return Err(ReportError::Empty { reason: "the figure has no panel".into() });
        }
        let width = self.width * MM;
        let count = self.panels.len();
        let fit = ((width / (48.0 * MM)).floor() as usize).max(1);
        let columns = self.columns.unwrap_or_else(|| balanced(count, fit)).clamp(1, count);
        let rows = count.div_ceil(columns);
        let ranges = self.ranges()?;

        let entries = marks::legend(&self.panels);
        let legend =
            if self.legend == LegendPlace::None || entries.is_empty() { None } else { Some(self.legend) };
        let side = match legend {
            Some(LegendPlace::Right) => 14.0 + marks::legend_width(&entries, LABEL),
            _ => 0.0,
        };

        // The number of ticks depends on the size and the margins on the ticks: a first guess, then the true size.
        let mut plot = ((width - side) / columns as f64 - 40.0).max(30.0);
        let mut frames = Vec::new();
        let mut margins = vec![0.0; columns];
        let same_y = self.panels.iter().all(|panel| panel.y.label == self.panels[0].y.label);
        let right = 8.0;
        for _ in 0..2 {
            let height = self.height.map_or(plot * self.aspect, |height| {
                (height * MM / rows as f64 - 34.0 - if legend.is_some() { 16.0 } else { 0.0 } / rows as f64)
                    .max(30.0)
            });
            frames = self
                .panels
                .iter()
                .zip(&ranges)
                .map(|(panel, r)| frame(panel, *r, plot, height))
                .collect::<Vec<_>>();
            for (column, margin) in margins.iter_mut().enumerate() {
                let ticks =
                    frames.iter().skip(column).step_by(columns).map(Frame::tick_width).fold(0.0, f64::max);
                let label = if (column == 0 || !same_y) && self.has_y_label() { LABEL + 5.0 } else { 0.0 };
                *margin = label + ticks + TICK_LENGTH + 3.0 + if column > 0 { 5.0 } else { 0.0 };
            }
            plot = (width - side - margins.iter().sum::<f64>() - right * columns as f64) / columns as f64;
            if plot < 20.0 {
                return Err(ReportError::Draw {
                    message: format!(
                        "{columns} panels in a row do not fit in {} mm; widen it or set `columns`",
                        self.width
                    ),
                });
            }
        }

        let titles: Vec<_> = self.panels.iter().map(|panel| title_lines(&panel.title, plot)).collect();
        let above: Vec<f64> = titles
            .chunks(columns)
            .map(|row| 5.0 + 1.25 * LABEL * row.iter().map(Vec::len).max().unwrap_or(0) as f64)
            .collect();
        let top = self.title.as_ref().map_or(2.0, |_| TITLE + 8.0);
        let same_x = self.panels.iter().all(|panel| panel.x.label == self.panels[0].x.label);
        // A panel carries the x label when none below it does.
        let labelled = |i: usize| !self.panels[i].x.label.is_empty() && (!same_x || i + columns >= count);
        let below: Vec<f64> = (0..rows)
            .map(|row| {
                let members = row * columns..((row + 1) * columns).min(count);
                let ticks = frames[members.clone()].iter().map(Frame::tick_height).fold(0.0, f64::max);
                let label = members.clone().any(labelled);
                ticks + if label { LABEL + 5.0 } else { 0.0 } + if row + 1 < rows { 7.0 } else { 3.0 }
            })
            .collect();
        let legend_height = match legend {
            Some(LegendPlace::Below) => marks::legend_height(&entries, width, LABEL) + 4.0,
            _ => 0.0,
        };
        let fixed = top + above.iter().sum::<f64>() + below.iter().sum::<f64>() + legend_height;
        let plot_height = match self.height {
            Some(height) => ((height * MM - fixed) / rows as f64).max(20.0),
            None => plot * self.aspect,
        };
        let height = fixed + rows as f64 * plot_height;

        let mut scene = Scene::new(width, height);
        if let Some(title) = &self.title {
            scene.text((0.5 * width, TITLE + 2.0), title, TITLE, Anchor::Middle).bold = true;
        }
        let mut y = top;
        for (row, below) in below.iter().enumerate() {
            y += above[row];
            let mut x = 0.0;
            for (column, margin) in margins.iter().enumerate() {
                x += margin;
                let i = row * columns + column;
                if let Some(frame) = frames.get(i) {
                    let view = View {
                        left: x,
                        top: y,
                        width: plot,
                        height: plot_height,
                        x: frame.x,
                        y: frame.y,
                        scales: (frame.panel.x.scale, frame.panel.y.scale),
                    };
                    let y_label = column == 0 || !same_y;
                    draw_panel(&mut scene, frame, &view, labelled(i), y_label.then_some(x - margin + LABEL));
                    draw_title(&mut scene, &titles[i], &view);
                }
                x += plot + right;
            }
            y += plot_height + below;
        }
        match legend {
            Some(LegendPlace::Right) => {
                marks::draw_legend(
                    &mut scene,
                    &entries,
                    (width - side + 10.0, top + above[0] + 4.0),
                    0.0,
                    LABEL,
                );
            }
            Some(_) => marks::draw_legend(&mut scene, &entries, (0.0, y + 2.0), width, LABEL),
            None => {}
        }
        Ok(scene)
    }

    fn has_y_label(&self) -> bool {
        self.panels.iter().any(|panel| !panel.y.label.is_empty())
    }

    /// The x and y range of each panel.
    fn ranges(&self) -> Result<Vec<((f64, f64), (f64, f64))>, ReportError> {
        let mut out = Vec::new();
        for panel in &self.panels {
            let near = |share: bool| if share { &self.panels[..] } else { std::slice::from_ref(panel) };
            let xs: Vec<f64> =
                near(self.share.0).iter().flat_map(|panel| &panel.layers).flat_map(x_extent).collect();
            let ys: Vec<f64> = near(self.share.1)
                .iter()
                .flat_map(|panel| &panel.layers)
                .flat_map(|layer| y_extent(layer, panel.y.scale))
                .collect();
            positive("x", panel.x.scale, &xs)?;
            positive("y", panel.y.scale, &ys)?;
            let x = if panel.x.categories.is_empty() {
                range(panel.x.scale, xs.into_iter(), panel.x.min, panel.x.max)
            } else {
                (-0.6, panel.x.categories.len() as f64 - 0.4)
            };
            out.push((x, range(panel.y.scale, ys.into_iter(), panel.y.min, panel.y.max)));
        }
        Ok(out)
    }
}

/// The number of columns that fills the rows best: 5 panels on 3 columns stand 3 + 2, 4 stand 2 + 2.
fn balanced(count: usize, fit: usize) -> usize {
    count.div_ceil(count.div_ceil(fit))
}

fn positive(axis: &'static str, scale: Scale, values: &[f64]) -> Result<(), ReportError> {
    match values.iter().find(|value| scale == Scale::Log && **value <= 0.0) {
        Some(&value) => Err(ReportError::NotPositive { axis, value }),
        None => Ok(()),
    }
}

fn x_extent(layer: &Layer) -> Vec<f64> {
    match layer.geometry {
        Geometry::Vertical(x) => vec![x],
        _ => layer.data.iter().map(|datum| datum.x).collect(),
    }
}

/// The values of y that a layer has; of an interval that a log scale cannot show whole, those that it can.
fn y_extent(layer: &Layer, scale: Scale) -> Vec<f64> {
    let ends = |datum: &Datum| {
        let (low, high) = datum.interval.unwrap_or((datum.y, datum.y));
        let shown = scale == Scale::Linear || low > 0.0;
        [datum.y, if shown { low } else { datum.y }, high]
    };
    match layer.geometry {
        Geometry::Horizontal(y) => vec![y],
        Geometry::Bars => layer.data.iter().map(|datum| datum.y).chain([0.0]).collect(),
        _ => layer.data.iter().flat_map(ends).collect(),
    }
}

fn frame<'a>(panel: &'a Panel, (x, y): ((f64, f64), (f64, f64)), width: f64, height: f64) -> Frame<'a> {
    let (categories, upright) = wrap_categories(&panel.x, width);
    let x_ticks = if panel.x.categories.is_empty() {
        fitting_ticks(panel.x.scale, x, width, |tick| text_width(&tick.label, TICK, false))
    } else {
        Vec::new()
    };
    let y_ticks = fitting_ticks(panel.y.scale, y, height, |_| 1.4 * TICK);
    Frame { panel, x, y, x_ticks, y_ticks, categories, upright }
}

/// As many ticks as fit on `length` points without their labels touching, each label taking up `extent` points.
fn fitting_ticks(scale: Scale, (low, high): (f64, f64), length: f64, extent: fn(&Tick) -> f64) -> Vec<Tick> {
    let start = scale.even(low);
    let place = |value: f64| (scale.even(value) - start) / (scale.even(high) - start) * length;
    let mut found = Vec::new();
    for target in (2..=8).rev() {
        found = ticks(scale, low, high, target);
        let labelled: Vec<_> = found.iter().filter(|tick| !tick.label.is_empty()).collect();
        let fits = labelled.windows(2).all(|pair| {
            place(pair[1].value) - place(pair[0].value) > 0.5 * (extent(pair[0]) + extent(pair[1])) + 6.0
        });
        if fits {
            break;
        }
    }
    found
}

/// The names of the categories broken into lines that fit their slots, or upright when a word does not.
fn wrap_categories(axis: &Axis, width: f64) -> (Vec<Vec<String>>, bool) {
    let slot = width / (axis.categories.len() as f64 + 0.2) - 3.0;
    let wrapped: Vec<_> = axis.categories.iter().map(|name| wrap_text(name, slot, TICK)).collect();
    let fits = wrapped.iter().flatten().all(|line| text_width(line, TICK, false) <= slot);
    if fits {
        (wrapped, false)
    } else {
        (axis.categories.iter().map(|name| vec![name.clone()]).collect(), true)
    }
}

/// Breaks a text at its spaces into lines no wider than `width`, where it can.
pub fn wrap_text(text: &str, width: f64, size: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    // `K = 4` stays together.
    let text = [" = ", " < ", " > ", " ± "]
        .iter()
        .fold(text.to_owned(), |text, sign| text.replace(sign, &sign.replace(' ', "\u{a0}")));
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if text_width(&format!("{line} {word}"), size, false) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}

fn draw_panel(scene: &mut Scene, frame: &Frame, view: &View, x_label: bool, y_label: Option<f64>) {
    let panel = frame.panel;
    let (right, bottom) = (view.left + view.width, view.top + view.height);
    let middle = view.left + 0.5 * view.width;
    for tick in frame.x_ticks.iter().filter(|tick| !tick.label.is_empty()) {
        let x = view.x(tick.value);
        scene.line(vec![(x, view.top), (x, bottom)], Pen::solid(0.4, Colour::GRID));
    }
    for tick in frame.y_ticks.iter().filter(|tick| !tick.label.is_empty()) {
        let y = view.y(tick.value);
        scene.line(vec![(view.left, y), (right, y)], Pen::solid(0.4, Colour::GRID));
    }
    for layer in &panel.layers {
        marks::draw_layer(scene, view, layer);
    }
    let pen = Pen::solid(0.6, Colour::INK);
    scene.line(vec![(view.left, view.top), (view.left, bottom), (right, bottom)], pen.clone());
    for tick in &frame.x_ticks {
        let x = view.x(tick.value);
        let length = if tick.label.is_empty() { 0.6 * TICK_LENGTH } else { TICK_LENGTH };
        scene.line(vec![(x, bottom), (x, bottom + length)], pen.clone());
        if !tick.label.is_empty() {
            scene.text((x, bottom + TICK_LENGTH + 1.5 + TICK), &tick.label, TICK, Anchor::Middle);
        }
    }
    for (i, lines) in frame.categories.iter().enumerate() {
        let x = view.x(i as f64);
        scene.line(vec![(x, bottom), (x, bottom + TICK_LENGTH)], pen.clone());
        for (j, line) in lines.iter().enumerate() {
            if frame.upright {
                let text = scene.text((x + 0.36 * TICK, bottom + TICK_LENGTH + 2.0), line, TICK, Anchor::End);
                text.vertical = true;
            } else {
                let y = bottom + TICK_LENGTH + 1.5 + TICK * (1.0 + 1.15 * j as f64);
                scene.text((x, y), line, TICK, Anchor::Middle);
            }
        }
    }
    for tick in &frame.y_ticks {
        let y = view.y(tick.value);
        let length = if tick.label.is_empty() { 0.6 * TICK_LENGTH } else { TICK_LENGTH };
        scene.line(vec![(view.left - length, y), (view.left, y)], pen.clone());
        if !tick.label.is_empty() {
            scene.text((view.left - TICK_LENGTH - 2.0, y + 0.36 * TICK), &tick.label, TICK, Anchor::End);
        }
    }
    // A label longer than its axis is set smaller rather than clipped.
    let fit =
        |text: &str, length: f64| LABEL * (length / text_width(text, LABEL, false).max(1.0)).clamp(0.6, 1.0);
    if x_label {
        let size = fit(&panel.x.label, view.width + 8.0);
        scene.text(
            (middle, bottom + frame.tick_height() + GAP + LABEL),
            &panel.x.label,
            size,
            Anchor::Middle,
        );
    }
    if let Some(x) = y_label {
        let size = fit(&panel.y.label, view.height + 8.0);
        let text = scene.text((x, view.top + 0.5 * view.height), &panel.y.label, size, Anchor::Middle);
        text.vertical = true;
    }
}

/// A panel's title in lines that stay above it.
fn title_lines(title: &str, plot: f64) -> Vec<String> {
    // Bold text is about a tenth wider.
    if title.is_empty() { Vec::new() } else { wrap_text(title, (plot + 20.0) / 1.12, LABEL) }
}

fn draw_title(scene: &mut Scene, lines: &[String], view: &View) {
    for (i, line) in lines.iter().rev().enumerate() {
        let at = (view.left + 0.5 * view.width, view.top - 4.0 - 1.25 * LABEL * i as f64);
        scene.text(at, line, LABEL, Anchor::Middle).bold = true;
    }
}
