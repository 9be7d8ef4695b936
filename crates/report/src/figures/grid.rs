//! Grids of images, and scatters of points.

use super::axis::{Scale, Span};
use super::images::{ImageRow, ImageSpec, Samples};
use super::layout::wrap_text;
use super::paper::{Drawing, Page, Picture, Point, fill, text_width};
use super::style::{Colour, LABEL, MM, PALETTE, TITLE};
use crate::error::ReportError;
use plotters::chart::ChartBuilder;
use plotters::element::{Circle, PathElement};
use plotters::style::text_anchor::{HPos, VPos};

/// Between the images of a line, in points.
const GAP: f64 = 1.2;

/// A page of images or points.
pub struct Grid<'a> {
    size: Point,
    title: Option<&'a str>,
    labels: Vec<Label>,
    content: Content<'a>,
}

/// The title of a row of images (at its end) or of a panel of points (in its middle).
struct Label {
    at: Point,
    text: String,
}

enum Content<'a> {
    Images(Vec<Tile<'a>>),
    /// Square panels of this side, all from −`reach` to `reach`.
    Points {
        side: f64,
        reach: f64,
        panels: Vec<(Point, Vec<Point>)>,
    },
}

/// An image and its place.
struct Tile<'a> {
    at: Point,
    size: Point,
    samples: &'a Samples,
    image: usize,
}

/// The grid on a page `width` millimetres wide; `sources` holds each row's samples in the order of `spec.rows`.
pub fn grid<'a>(
    spec: &ImageSpec,
    sources: &'a [(ImageRow, Samples)],
    width: f64,
    title: Option<&'a str>,
) -> Result<Grid<'a>, ReportError> {
    let Some((_, first)) = sources.first() else {
        return Err(ReportError::Empty { reason: "the grid has no row".into() });
    };
    let points = first.shape.len() == 2;
    if let Some((row, _)) = sources.iter().find(|(_, samples)| (samples.shape.len() == 2) != points) {
        return Err(ReportError::Draw {
            message: format!("input `{}` mixes points with images in one grid", row.input),
        });
    }
    let top = title.map_or(3.0, |_| 19.0);
    let grid =
        if points { scatter(spec, sources, width * MM, top) } else { images(spec, sources, width * MM, top) };
    Ok(Grid { title, ..grid })
}

fn images<'a>(spec: &ImageSpec, sources: &'a [(ImageRow, Samples)], width: f64, top: f64) -> Grid<'a> {
    let texts: Vec<String> = sources.iter().map(|(_, s)| wrap_text(&s.label, 0.25 * width, LABEL)).collect();
    let label = texts
        .iter()
        .flat_map(|text| text.lines())
        .map(|line| text_width(line, LABEL, false))
        .fold(0.0, f64::max);
    let left = if label > 0.0 { label + 8.0 } else { 2.0 };
    let columns = spec.columns.max(1);
    let cell = (width - left - 2.0) / columns as f64;
    let (mut y, mut labels, mut tiles) = (top, Vec::new(), Vec::new());
    for ((row, samples), text) in sources.iter().zip(texts) {
        let height = cell * samples.shape[2] as f64 / samples.shape[3] as f64;
        let shown = samples.choose(row, columns * row.lines.max(1));
        let block = height * shown.len().div_ceil(columns).max(1) as f64;
        labels.push(Label { at: (left - 6.0, y + 0.5 * block), text });
        for (k, &image) in shown.iter().enumerate() {
            let at = (left + cell * (k % columns) as f64, y + height * (k / columns) as f64);
            tiles.push(Tile { at, size: (cell - GAP, height - GAP), samples, image });
        }
        y += block + 3.0;
    }
    Grid { size: (width, y + 1.0), title: None, labels, content: Content::Images(tiles) }
}

/// One square panel per source, all with the same ranges.
fn scatter<'a>(spec: &ImageSpec, sources: &'a [(ImageRow, Samples)], width: f64, top: f64) -> Grid<'a> {
    let columns = spec.columns.clamp(1, sources.len()).min(((width / 90.0) as usize).max(1));
    let side = width / columns as f64 - 6.0;
    // The ranges hold all but a thousandth of the points on either side, so that one stray point does not shrink the rest.
    let values = sources.iter().flat_map(|(_, samples)| &samples.x).map(|v| v.abs());
    let mut values: Vec<f32> = values.filter(|v| v.is_finite()).collect();
    values.sort_unstable_by(f32::total_cmp);
    let reach = values
        .get(values.len().saturating_sub(1 + values.len() / 1000))
        .map_or(1.0, |&v| 1.05 * f64::from(v).max(1e-6));
    let header = if sources.iter().any(|(_, samples)| !samples.label.is_empty()) { LABEL + 5.0 } else { 3.0 };
    let (mut labels, mut panels) = (Vec::new(), Vec::new());
    for (k, (row, samples)) in sources.iter().enumerate() {
        let left = 3.0 + (side + 6.0) * (k % columns) as f64;
        let y = top + header + (side + header + 4.0) * (k / columns) as f64;
        labels.push(Label { at: (left + 0.5 * side, y - 2.0), text: samples.label.clone() });
        let point = |i: usize| (f64::from(samples.x[2 * i]), f64::from(samples.x[2 * i + 1]));
        let inside = |&(x, y): &Point| x.abs() <= reach && y.abs() <= reach;
        panels.push((
            (left, y),
            samples.choose(row, spec.points).into_iter().map(point).filter(inside).collect(),
        ));
    }
    let height = top + sources.len().div_ceil(columns) as f64 * (side + header + 4.0);
    Grid { size: (width, height), title: None, labels, content: Content::Points { side, reach, panels } }
}

impl Drawing for Grid<'_> {
    fn size(&self) -> Point {
        self.size
    }

    fn draw(&self, page: &Page) -> Result<(), ReportError> {
        if let Some(title) = self.title {
            page.text(title, &page.font(TITLE, true), (0.5 * self.size.0, 4.0), (HPos::Center, VPos::Top))?;
        }
        let (place, bold) = match &self.content {
            Content::Images(tiles) => {
                for tile in tiles {
                    let (x, y) = tile.at;
                    page.area.draw(&Picture {
                        corners: [page.at(tile.at), page.at((x + tile.size.0, y + tile.size.1))],
                        columns: tile.samples.shape[3],
                        rows: tile.samples.shape[2],
                        rgb: tile.samples.rgb(tile.image),
                    })?;
                }
                ((HPos::Right, VPos::Center), false)
            }
            Content::Points { side, reach, panels } => {
                for (at, points) in panels {
                    plate(page, *at, *side, *reach, points)?;
                }
                ((HPos::Center, VPos::Bottom), true)
            }
        };
        for label in &self.labels {
            page.text(&label.text, &page.font(LABEL, bold), label.at, place)?;
        }
        Ok(())
    }
}

/// A square panel of points.
fn plate(page: &Page, at: Point, side: f64, reach: f64, points: &[Point]) -> Result<(), ReportError> {
    let span = Span { scale: Scale::Linear, low: -reach, high: reach, ticks: Vec::new() };
    let part = page.part(at, (side, side));
    let mut chart = ChartBuilder::on(&part).build_cartesian_2d(span.clone(), span)?;
    let (radius, style) = (page.units(0.75).max(1), fill(PALETTE[0].fade(0.55)));
    chart.draw_series(points.iter().map(|&point| Circle::new(point, radius, style)))?;
    let corners = [(-reach, reach), (reach, reach), (reach, -reach), (-reach, -reach), (-reach, reach)];
    chart.plotting_area().draw(&PathElement::new(corners.to_vec(), page.pen(0.6, Colour::INK)))?;
    Ok(())
}
