//! The legend, which stands off the data: plotters would set it on them.

use super::axis::Span;
use super::figure::{Geometry, Layer, Panel};
use super::layers::{band, heat, marker, stroke};
use super::paper::{Page, Point, fill, text_width};
use super::style::{Colour, LABEL, TICK};
use crate::error::ReportError;
use plotters::element::{PathElement, Rectangle};
use plotters::style::FontTransform;
use plotters::style::text_anchor::{HPos, VPos};

/// The length of a line's key, and the room after it and between entries.
const KEY: f64 = 18.0;
const SPACE: f64 = 4.0;
const BETWEEN: f64 = 14.0;
/// The width of the bar of colours.
const BAR: f64 = 8.0;
/// From one line of entries to the next.
const LINE: f64 = 1.5 * LABEL;

/// One entry: a label with every layer that carries it.
struct Entry<'a> {
    label: &'a str,
    layers: Vec<&'a Layer>,
    /// The length of its key.
    key: f64,
}

impl Entry<'_> {
    fn width(&self) -> f64 {
        self.key + SPACE + text_width(self.label, LABEL, false)
    }
}

/// The bar that tells the values of a heatmap's colours, at this corner and of this height.
pub fn colour_bar(
    page: &Page,
    span: &Span,
    label: &str,
    (left, top): Point,
    height: f64,
) -> Result<(), ReportError> {
    const STEPS: usize = 128;
    let right = left + BAR;
    for i in 0..STEPS {
        let at = |i: usize| top + height * (1.0 - i as f64 / STEPS as f64);
        // Each step lies below the next one, so that no seams show.
        let corners = [page.at((left, at(i + 1))), page.at((right, top + height))];
        let from = [corners[0], (corners[1].0, page.at((0.0, at(i))).1)];
        page.area.draw(&Rectangle::new(from, fill(heat((i as f64 + 0.5) / STEPS as f64))))?;
    }
    let ink = page.pen(0.6, Colour::INK);
    let outline = [(left, top), (right, top), (right, top + height), (left, top + height), (left, top)];
    page.area.draw(&PathElement::new(outline.map(|at| page.at(at)).to_vec(), ink))?;
    for tick in span.ticks.iter().filter(|tick| (span.low..=span.high).contains(&tick.value)) {
        let y = top + height * (1.0 - span.place(tick.value));
        let length = if tick.label.is_empty() { 1.5 } else { 2.5 };
        page.area.draw(&PathElement::new(vec![page.at((right, y)), page.at((right + length, y))], ink))?;
        page.text(&tick.label, &page.font(TICK, false), (right + 5.0, y), (HPos::Left, VPos::Center))?;
    }
    let font = page.font(LABEL, false).transform(FontTransform::Rotate270);
    let beside = (right + 5.0 + tick_width(span) + 3.0, top + 0.5 * height);
    page.text(label, &font, beside, (HPos::Center, VPos::Top))
}

/// The room that the bar takes, with its ticks and label.
pub fn colour_bar_width(span: &Span) -> f64 {
    BAR + 5.0 + tick_width(span) + 3.0 + LABEL + 4.0
}

fn tick_width(span: &Span) -> f64 {
    span.ticks.iter().map(|tick| text_width(&tick.label, TICK, false)).fold(0.0, f64::max)
}

/// Entries in lines across the page, or below one another.
pub struct Legend<'a> {
    lines: Vec<Vec<Entry<'a>>>,
}

impl<'a> Legend<'a> {
    /// The labels of the layers in the order of appearance, in lines no wider than `width`; in a line each without it. None
    /// when no layer has one.
    pub fn new(panels: &'a [Panel], width: Option<f64>) -> Option<Legend<'a>> {
        let mut entries: Vec<Entry> = Vec::new();
        for layer in panels.iter().flat_map(|panel| &panel.layers) {
            let Some(label) = layer.label.as_deref().filter(|label| !label.is_empty()) else { continue };
            match entries.iter_mut().find(|entry| entry.label == label) {
                None => entries.push(Entry { label, layers: vec![layer], key: KEY }),
                Some(entry) => {
                    let kind = |layer: &Layer| (std::mem::discriminant(&layer.geometry), layer.marker);
                    if !entry.layers.iter().any(|other| kind(other) == kind(layer)) {
                        entry.layers.push(layer);
                    }
                }
            }
        }
        let (mut lines, mut used) = (Vec::new(), f64::INFINITY);
        for mut entry in entries {
            // In a line of entries a key of markers alone needs less room.
            if width.is_some() && entry.layers.iter().all(|layer| layer.geometry == Geometry::Points) {
                entry.key = 0.4 * KEY;
            }
            used += BETWEEN + entry.width();
            match lines.last_mut() {
                Some(line) if width.is_some_and(|width| used <= width) => Vec::push(line, entry),
                _ => {
                    used = entry.width();
                    lines.push(vec![entry]);
                }
            }
        }
        (!lines.is_empty()).then_some(Legend { lines })
    }

    /// The width of its widest line.
    pub fn width(&self) -> f64 {
        self.lines.iter().map(|line| line_width(line)).fold(0.0, f64::max)
    }

    /// The height of its lines.
    pub fn height(&self) -> f64 {
        LINE * self.lines.len() as f64 + 2.0
    }

    /// Draws it: its lines centred on `width`, or from the left corner `at` without it.
    pub fn draw(&self, page: &Page, at: Point, width: Option<f64>) -> Result<(), ReportError> {
        for (row, line) in self.lines.iter().enumerate() {
            let mut x = at.0 + width.map_or(0.0, |width| 0.5 * (width - line_width(line)));
            let y = at.1 + LINE * row as f64 + 0.6 * LABEL;
            for entry in line {
                for layer in &entry.layers {
                    draw_key(page, layer, (x, y), entry.key)?;
                }
                let place = (HPos::Left, VPos::Center);
                page.text(entry.label, &page.font(LABEL, false), (x + entry.key + SPACE, y), place)?;
                x += entry.width() + BETWEEN;
            }
        }
        Ok(())
    }
}

fn line_width(line: &[Entry]) -> f64 {
    line.iter().map(|entry| entry.width() + BETWEEN).sum::<f64>() - BETWEEN
}

fn draw_key(page: &Page, layer: &Layer, (x, y): Point, width: f64) -> Result<(), ReportError> {
    let line = |pen: f64| {
        let ends = vec![page.at((x, y)), page.at((x + width, y))];
        stroke(page, &page.area, ends, layer.line, page.pen(pen, layer.colour))
    };
    match layer.geometry {
        Geometry::Points | Geometry::LinePoints => {
            if layer.geometry == Geometry::LinePoints {
                line(0.9)?;
            }
            let middle = x + 0.5 * width;
            if layer.data.len() <= 40 && layer.data.iter().any(|datum| datum.interval.is_some()) {
                let bar = vec![page.at((middle, y - 4.0)), page.at((middle, y + 4.0))];
                page.area.draw(&PathElement::new(bar, page.pen(0.7, layer.colour)))?;
            }
            page.area.draw(&marker(page, page.at((middle, y)), layer.marker, 2.3, layer.colour))?;
        }
        Geometry::Band | Geometry::Bars | Geometry::Boxes => {
            let corners = [page.at((x + 1.0, y - 3.0)), page.at((x + width - 1.0, y + 3.0))];
            page.area.draw(&Rectangle::new(corners, fill(band(layer))))?;
        }
        _ => line(1.1)?,
    }
    Ok(())
}
