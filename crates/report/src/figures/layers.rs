//! The layers of a panel as series and elements of plotters.

use super::axis::{Scale, Span};
use super::figure::{Cell, Detail, Geometry, Layer};
use super::paper::{Page, Paper, Point, fill};
use super::style::{Colour, LineStyle, Marker, TICK};
use crate::error::ReportError;
use plotters::chart::ChartContext;
use plotters::coord::CoordTranslate;
use plotters::coord::cartesian::Cartesian2d;
use plotters::drawing::DrawingArea;
use plotters::element::{Circle, DynElement, EmptyElement, IntoDynElement, PathElement, Polygon, Rectangle};
use plotters::series::{AreaSeries, DashedLineSeries, DottedLineSeries, LineSeries};
use plotters::style::colors::colormaps::{ColorMap, ViridisRGB};
use plotters::style::{RGBColor, ShapeStyle};
use plotters_backend::BackendCoord;

/// A panel's chart.
pub type Chart<'a, 'b> = ChartContext<'b, Paper<'a>, Cartesian2d<Span, Span>>;

/// The most points that are drawn large, with caps on their error bars.
const FEW: usize = 40;

/// Draws a layer inside its panel; nothing crosses the panel's edge.
pub fn draw<'a>(
    page: &Page<'a>,
    chart: &mut Chart<'a, '_>,
    (x, y): (&Span, &Span),
    layer: &Layer,
) -> Result<(), ReportError> {
    let data = layer.data.iter().map(|datum| (datum.x, datum.y));
    let area = chart.plotting_area();
    let line = |points: Vec<Point>| -> Result<(), ReportError> {
        let width = if layer.geometry == Geometry::LinePoints { 0.9 } else { 1.1 };
        for run in inside(&points, x, y) {
            stroke(page, area, run, layer.line, page.pen(width, layer.colour))?;
        }
        Ok(())
    };
    match layer.geometry {
        Geometry::Points => points(page, area, layer, x, y)?,
        Geometry::LinePoints => {
            line(data.collect())?;
            points(page, area, layer, x, y)?;
        }
        Geometry::Line => line(data.collect())?,
        Geometry::Steps => line(steps(data))?,
        Geometry::Band => {
            let ends = layer.data.iter().filter_map(|datum| Some((datum.x, datum.interval?)));
            let (over, under): (Vec<_>, Vec<_>) = ends.map(|(x, (low, high))| ((x, high), (x, low))).unzip();
            let outline = over.into_iter().chain(under.into_iter().rev());
            let outline: Vec<_> = outline.map(|(at, value)| (x.clamp(at), y.clamp(value))).collect();
            if outline.len() > 2 {
                area.draw(&Polygon::new(outline, fill(band(layer))))?;
            }
        }
        Geometry::Bars => {
            // One area for all bars, so that no seams show between them.
            let base = y.clamp(if y.scale == Scale::Linear { 0.0 } else { y.low });
            let tops: Vec<_> = steps(data).into_iter().map(|(at, top)| (x.clamp(at), y.clamp(top))).collect();
            if let (Some(first), Some(last)) = (tops.first(), tops.last()) {
                let (first, last) = ((first.0, base), (last.0, base));
                let outline = [first].into_iter().chain(tops).chain([last]);
                let bars = AreaSeries::new(outline, base, fill(band(layer)));
                chart.draw_series(bars.border_style(page.pen(0.7, layer.colour)))?;
            }
        }
        Geometry::Cells => cells(page, chart, (x, y), layer)?,
        Geometry::Boxes => boxes(page, area, (x, y), layer)?,
        Geometry::Texts => {
            let Detail::Texts(texts) = &layer.detail else { return Ok(()) };
            for (datum, (text, dark)) in layer.data.iter().zip(texts) {
                if x.holds(datum.x) && y.holds(datum.y) {
                    let (across, down) = chart.backend_coord(&(datum.x, datum.y));
                    let colour = if *dark { Colour(0xFF, 0xFF, 0xFF, 1.0) } else { layer.colour };
                    page.write(text, TICK, colour, (across, down))?;
                }
            }
        }
        Geometry::Slope { slope, intercept } => {
            // A straight line is curved on a logarithmic scale.
            let parts = if (x.scale, y.scale) == (Scale::Linear, Scale::Linear) { 1 } else { 64 };
            let at = (0..=parts).map(|i| x.value(f64::from(i) / f64::from(parts)));
            let points = at.map(|at| (at, slope * at + intercept));
            line(points.filter(|&(_, value)| y.scale == Scale::Linear || value > 0.0).collect())?;
        }
        Geometry::Vertical(at) => line(vec![(at, y.low), (at, y.high)])?,
        Geometry::Horizontal(value) => line(vec![(x.low, value), (x.high, value)])?,
    }
    Ok(())
}

/// The cells of a heatmap. Each reaches a little below the ones drawn after it, so that no seams show between them.
fn cells<'a>(
    page: &Page<'a>,
    chart: &Chart<'a, '_>,
    (x, y): (&Span, &Span),
    layer: &Layer,
) -> Result<(), ReportError> {
    let overlap = page.units(0.3).max(1);
    let corner = |at: (f64, f64)| chart.backend_coord(&(x.clamp(at.0), y.clamp(at.1)));
    let (right, bottom) = corner((x.high, y.low));
    for cell in cells_of(layer) {
        let ((left, below), (over, above)) = (corner((cell.x.0, cell.y.0)), corner((cell.x.1, cell.y.1)));
        let to = ((over + overlap).min(right), (below + overlap).min(bottom));
        page.area.draw(&Rectangle::new([(left, above), to], fill(heat(cell.place))))?;
    }
    Ok(())
}

/// The cells from the upper left to the lower right corner.
fn cells_of(layer: &Layer) -> Vec<&Cell> {
    let Detail::Cells(cells) = &layer.detail else { return Vec::new() };
    let mut cells: Vec<&Cell> = cells.iter().collect();
    cells.sort_by(|a, b| b.y.0.total_cmp(&a.y.0).then(a.x.0.total_cmp(&b.x.0)));
    cells
}

/// The colour at a place of a heatmap's scale: viridis, which is as even to the eye as in grey.
pub fn heat(place: f64) -> Colour {
    let RGBColor(red, green, blue) = ViridisRGB.get_color_normalized(place, 0.0, 1.0);
    Colour(red, green, blue, 1.0)
}

/// Boxes with their medians, whiskers and outliers.
fn boxes<'a>(
    page: &Page<'a>,
    area: &DrawingArea<Paper<'a>, Cartesian2d<Span, Span>>,
    (x, y): (&Span, &Span),
    layer: &Layer,
) -> Result<(), ReportError> {
    let Detail::Boxes(boxes) = &layer.detail else { return Ok(()) };
    let (thin, thick) = (page.pen(0.7, layer.colour), page.pen(1.4, layer.colour));
    let line = |ends: [Point; 2], pen: ShapeStyle| -> Result<(), ReportError> {
        for run in inside(&ends, x, y) {
            area.draw(&PathElement::new(run, pen))?;
        }
        Ok(())
    };
    for (datum, quartiles) in layer.data.iter().zip(boxes) {
        let at = datum.x;
        let (left, right) = (at - quartiles.half, at + quartiles.half);
        let corners =
            [(left, quartiles.lower), (right, quartiles.upper)].map(|(a, b)| (x.clamp(a), y.clamp(b)));
        area.draw(&Rectangle::new(corners, fill(layer.colour.fade(0.25))))?;
        for side in [
            [(left, quartiles.lower), (left, quartiles.upper)],
            [(right, quartiles.lower), (right, quartiles.upper)],
        ] {
            line(side, thin)?;
        }
        for value in [quartiles.lower, quartiles.upper] {
            line([(left, value), (right, value)], thin)?;
        }
        line([(left, datum.y), (right, datum.y)], thick)?;
        for (end, from) in [(quartiles.whiskers.0, quartiles.lower), (quartiles.whiskers.1, quartiles.upper)]
        {
            line([(at, from), (at, end)], thin)?;
            line([(at - 0.5 * quartiles.half, end), (at + 0.5 * quartiles.half, end)], thin)?;
        }
        for &outlier in quartiles.outliers.iter().filter(|outlier| y.holds(**outlier)) {
            area.draw(&marker(page, (at, outlier), Marker::Circle, 1.1, layer.colour.fade(0.75)))?;
        }
    }
    Ok(())
}

/// The colour of the area of a band or of bars.
pub fn band(layer: &Layer) -> Colour {
    layer.colour.fade(if layer.geometry == Geometry::Band { 0.22 } else { 0.35 })
}

/// The corners of a line that holds each value until the next.
fn steps(points: impl Iterator<Item = Point>) -> Vec<Point> {
    let mut corners: Vec<Point> = Vec::new();
    for (x, y) in points {
        if let Some(&(_, held)) = corners.last() {
            corners.push((x, held));
        }
        corners.push((x, y));
    }
    corners
}

/// The parts of a polyline that lie inside the axes (Liang and Barsky 1984).
fn inside(points: &[Point], x: &Span, y: &Span) -> Vec<Vec<Point>> {
    let mut runs: Vec<Vec<Point>> = Vec::new();
    for pair in points.windows(2) {
        let places = [pair[0], pair[1]].map(|(at, value)| (x.place(at), y.place(value)));
        let (a, d) = (places[0], (places[1].0 - places[0].0, places[1].1 - places[0].1));
        let (mut enter, mut leave) = (0.0f64, 1.0f64);
        for (p, q) in [(-d.0, a.0), (d.0, 1.0 - a.0), (-d.1, a.1), (d.1, 1.0 - a.1)] {
            match p {
                0.0 if q < 0.0 => leave = -1.0,
                0.0 => {}
                p if p < 0.0 => enter = enter.max(q / p),
                p => leave = leave.min(q / p),
            }
        }
        if enter > leave {
            continue;
        }
        let along = |t: f64| (x.value(a.0 + t * d.0), y.value(a.1 + t * d.1));
        let from = if enter == 0.0 { pair[0] } else { along(enter) };
        let to = if leave == 1.0 { pair[1] } else { along(leave) };
        match runs.last_mut() {
            Some(run) if run.last() == Some(&from) => run.push(to),
            _ => runs.push(vec![from, to]),
        }
    }
    runs
}

/// A line in its dashes.
pub fn stroke<'a, C: CoordTranslate>(
    page: &Page<'a>,
    area: &DrawingArea<Paper<'a>, C>,
    points: Vec<C::From>,
    line: LineStyle,
    pen: ShapeStyle,
) -> Result<(), ReportError>
where
    C::From: Clone + 'static,
{
    let dot = move |at: BackendCoord| Circle::new(at, pen.stroke_width.div_ceil(2), pen.filled());
    let dashed = |length: f64, gap: f64| {
        DashedLineSeries::new(points.clone(), page.units(length), page.units(gap), pen)
    };
    let dotted =
        |from: f64, gap: f64| DottedLineSeries::new(points.clone(), page.units(from), page.units(gap), dot);
    match line {
        LineStyle::Solid => LineSeries::new(points.clone(), pen).try_for_each(|part| area.draw(&part))?,
        LineStyle::Dashed => dashed(4.0, 2.2).into_iter().try_for_each(|part| area.draw(&part))?,
        LineStyle::Dotted => dotted(0.0, 2.6).into_iter().try_for_each(|part| area.draw(&part))?,
        LineStyle::DashDotted => {
            dashed(4.0, 4.2).into_iter().try_for_each(|part| area.draw(&part))?;
            dotted(6.1, 8.2).into_iter().try_for_each(|part| area.draw(&part))?;
        }
    }
    Ok(())
}

/// Markers become smaller and lighter as they become many.
fn points<'a>(
    page: &Page<'a>,
    area: &DrawingArea<Paper<'a>, Cartesian2d<Span, Span>>,
    layer: &Layer,
    x: &Span,
    y: &Span,
) -> Result<(), ReportError> {
    let (radius, opacity, lines) = match layer.data.len() {
        0..=FEW => (2.3, 1.0, 1.0),
        41..=300 => (1.7, 0.75, 0.5),
        _ => (1.1, 0.5, 0.5),
    };
    let pen = page.pen(0.7, layer.colour.fade(lines));
    let half = page.units(1.8);
    for datum in &layer.data {
        if let Some((low, high)) = datum.interval {
            for run in inside(&[(datum.x, low), (datum.x, high)], x, y) {
                area.draw(&PathElement::new(run, pen))?;
            }
            for end in [low, high] {
                if layer.data.len() <= FEW && x.holds(datum.x) && y.holds(end) {
                    let cap = PathElement::new(vec![(-half, 0), (half, 0)], pen);
                    area.draw(&(EmptyElement::at((datum.x, end)) + cap))?;
                }
            }
        }
        if x.holds(datum.x) && y.holds(datum.y) {
            area.draw(&marker(page, (datum.x, datum.y), layer.marker, radius, layer.colour.fade(opacity)))?;
        }
    }
    Ok(())
}

/// A marker of this radius in points.
pub fn marker<'a, C: Clone + 'a>(
    page: &Page<'a>,
    at: C,
    marker: Marker,
    radius: f64,
    colour: Colour,
) -> DynElement<'a, Paper<'a>, C> {
    let corners = |corners: &[Point]| {
        corners.iter().map(|&(x, y)| page.at((radius * x, radius * y))).collect::<Vec<_>>()
    };
    let shape = |outline: &[Point]| {
        (EmptyElement::at(at.clone()) + Polygon::new(corners(outline), fill(colour))).into_dyn()
    };
    let disc = |radius: f64| Circle::new(at.clone(), page.units(radius).max(1), fill(colour)).into_dyn();
    match marker {
        Marker::Circle => disc(radius),
        Marker::Dot => disc(0.6 * radius),
        Marker::Square => shape(&[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]),
        Marker::Triangle => shape(&[(0.0, -1.25), (1.15, 0.8), (-1.15, 0.8)]),
        Marker::TriangleDown => shape(&[(0.0, 1.25), (1.15, -0.8), (-1.15, -0.8)]),
        Marker::Diamond => shape(&[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)]),
        Marker::Cross => {
            let bar = |ends: &[Point]| PathElement::new(corners(ends), page.pen(0.45 * radius, colour));
            let cross = EmptyElement::at(at.clone())
                + bar(&[(-1.0, -1.0), (1.0, 1.0)])
                + bar(&[(-1.0, 1.0), (1.0, -1.0)]);
            cross.into_dyn()
        }
    }
}
