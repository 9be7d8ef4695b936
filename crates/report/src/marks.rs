//! The marks of a panel and the legend.

use super::axis::Scale;
use super::figure::{Datum, Geometry, Layer, LineStyle, Marker, Panel};
use super::scene::{Anchor, Colour, Pen, Point, Scene, Shape, text_width};

/// From data to paper: the rectangle of a panel and its ranges.
pub struct View {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
    pub x: (f64, f64),
    pub y: (f64, f64),
    pub scales: (Scale, Scale),
}

impl View {
    /// The place of an x value, in points from the left.
    pub fn x(&self, value: f64) -> f64 {
        let even = |v| self.scales.0.even(v);
        self.left + (even(value) - even(self.x.0)) / (even(self.x.1) - even(self.x.0)) * self.width
    }

    /// The place of a y value, in points from the top; below the rectangle for the end of an interval that a log scale
    /// does not have.
    pub fn y(&self, value: f64) -> f64 {
        let even = |v| self.scales.1.even(v);
        let up = (even(value) - even(self.y.0)) / (even(self.y.1) - even(self.y.0));
        let up = if up == f64::NEG_INFINITY { -1.0 } else { up };
        self.top + self.height - up * self.height
    }

    fn inside(&self, (x, y): Point) -> bool {
        let slack = 0.01;
        (self.left - slack..=self.left + self.width + slack).contains(&x)
            && (self.top - slack..=self.top + self.height + slack).contains(&y)
    }

    /// The part of a segment inside the rectangle (Liang and Barsky 1984).
    fn clip(&self, a: Point, b: Point) -> Option<(Point, Point)> {
        let (mut enter, mut leave) = (0.0f64, 1.0f64);
        let d = (b.0 - a.0, b.1 - a.1);
        let edges = [
            (-d.0, a.0 - self.left),
            (d.0, self.left + self.width - a.0),
            (-d.1, a.1 - self.top),
            (d.1, self.top + self.height - a.1),
        ];
        for (p, q) in edges {
            if p == 0.0 {
                if q < 0.0 {
                    return None;
                }
            } else if p < 0.0 {
                enter = enter.max(q / p);
            } else {
                leave = leave.min(q / p);
            }
        }
        let along = |t: f64| (a.0 + t * d.0, a.1 + t * d.1);
        (enter <= leave).then(|| (along(enter), along(leave)))
    }

    /// A polyline, cut where it leaves the rectangle.
    fn polyline(&self, scene: &mut Scene, points: &[Point], pen: &Pen) {
        let mut run: Vec<Point> = Vec::new();
        for pair in points.windows(2) {
            match self.clip(pair[0], pair[1]) {
                Some((from, to)) => {
                    if run.last() != Some(&from) {
                        if run.len() > 1 {
                            scene.line(std::mem::take(&mut run), pen.clone());
                        }
                        run = vec![from];
                    }
                    run.push(to);
                }
                None if run.len() > 1 => scene.line(std::mem::take(&mut run), pen.clone()),
                None => run.clear(),
            }
        }
        if run.len() > 1 {
            scene.line(run, pen.clone());
        }
    }
}

/// Draws a layer inside its panel; nothing crosses the panel's edge.
pub fn draw_layer(scene: &mut Scene, view: &View, layer: &Layer) {
    let place = |datum: &Datum| (view.x(datum.x), view.y(datum.y));
    let pen = Pen { width: 1.1, colour: layer.colour, dashes: layer.line.dashes() };
    match layer.geometry {
        Geometry::Points => draw_points(scene, view, layer),
        Geometry::LinePoints => {
            let points: Vec<_> = layer.data.iter().map(place).collect();
            view.polyline(scene, &points, &Pen { width: 0.9, ..pen });
            draw_points(scene, view, layer);
        }
        Geometry::Line => {
            let points: Vec<_> = layer.data.iter().map(place).collect();
            view.polyline(scene, &points, &pen);
        }
        Geometry::Steps => {
            let mut points: Vec<Point> = Vec::new();
            for datum in &layer.data {
                let (x, y) = place(datum);
                if let Some(&(_, held)) = points.last() {
                    points.push((x, held));
                }
                points.push((x, y));
            }
            view.polyline(scene, &points, &pen);
        }
        Geometry::Band => {
            let ends =
                layer.data.iter().filter_map(|datum| datum.interval.map(|(low, high)| (datum.x, low, high)));
            let ends: Vec<_> = ends.collect();
            let clamp = |y: f64| view.y(y).clamp(view.top, view.top + view.height);
            let over = ends.iter().map(|&(x, _, high)| (view.x(x), clamp(high)));
            let under = ends.iter().rev().map(|&(x, low, _)| (view.x(x), clamp(low)));
            let outline: Vec<Point> =
                over.chain(under).map(|(x, y)| (x.clamp(view.left, view.left + view.width), y)).collect();
            if outline.len() > 2 {
                scene.shapes.push(Shape::Area(outline, layer.colour.fade(0.22)));
            }
        }
        Geometry::Bars => {
            // One outline for all bars, so that no seams show between them.
            let clamp_x = |x: f64| view.x(x).clamp(view.left, view.left + view.width);
            let clamp_y = |y: f64| view.y(y).clamp(view.top, view.top + view.height);
            let base = if view.scales.1 == Scale::Linear { clamp_y(0.0) } else { view.top + view.height };
            let steps = layer.data.windows(2).flat_map(|pair| {
                let top = clamp_y(pair[0].y);
                [(clamp_x(pair[0].x), top), (clamp_x(pair[1].x), top)]
            });
            let steps: Vec<Point> = steps.collect();
            if let (Some(first), Some(last)) = (steps.first(), steps.last()) {
                let outline: Vec<Point> = [(first.0, base)]
                    .into_iter()
                    .chain(steps.iter().copied())
                    .chain([(last.0, base)])
                    .collect();
                scene.shapes.push(Shape::Area(outline.clone(), layer.colour.fade(0.35)));
                scene.line(outline, Pen::solid(0.7, layer.colour));
            }
        }
        Geometry::Slope { slope, intercept } => {
            // A straight line is curved on a logarithmic scale.
            let steps = if view.scales == (Scale::Linear, Scale::Linear) { 1 } else { 64 };
            let (low, high) = (view.scales.0.even(view.x.0), view.scales.0.even(view.x.1));
            let points = (0..=steps).map(|i| {
                let x = view.scales.0.value(low + (high - low) * f64::from(i) / f64::from(steps));
                (x, slope * x + intercept)
            });
            let seen = points.filter(|&(_, y)| view.scales.1 == Scale::Linear || y > 0.0);
            let points: Vec<_> = seen.map(|(x, y)| (view.x(x), view.y(y))).collect();
            view.polyline(scene, &points, &pen);
        }
        Geometry::Vertical(x) => {
            let x = view.x(x);
            view.polyline(scene, &[(x, view.top), (x, view.top + view.height)], &pen);
        }
        Geometry::Horizontal(y) => {
            let y = view.y(y);
            view.polyline(scene, &[(view.left, y), (view.left + view.width, y)], &pen);
        }
    }
}

/// Markers become smaller and lighter as they become many.
fn draw_points(scene: &mut Scene, view: &View, layer: &Layer) {
    let (radius, opacity) = match layer.data.len() {
        0..=40 => (2.3, 1.0),
        41..=300 => (1.7, 0.75),
        _ => (1.1, 0.5),
    };
    let colour = layer.colour.fade(opacity);
    for datum in &layer.data {
        let x = view.x(datum.x);
        if let Some((low, high)) = datum.interval {
            let pen = Pen::solid(0.7, layer.colour.fade(0.5 + 0.5 * f64::from(u8::from(opacity == 1.0))));
            let (top, bottom) = (view.y(high), view.y(low));
            view.polyline(scene, &[(x, top), (x, bottom)], &pen);
            if layer.data.len() <= 40 {
                for y in [top, bottom] {
                    view.polyline(scene, &[(x - 1.8, y), (x + 1.8, y)], &pen);
                }
            }
        }
        let at = (x, view.y(datum.y));
        if view.inside(at) {
            draw_marker(scene, at, layer.marker, radius, colour);
        }
    }
}

fn draw_marker(scene: &mut Scene, (x, y): Point, marker: Marker, r: f64, colour: Colour) {
    let area = |corners: &[(f64, f64)]| {
        Shape::Area(corners.iter().map(|&(dx, dy)| (x + r * dx, y + r * dy)).collect(), colour)
    };
    let shape = match marker {
        Marker::Circle => Shape::Disc { centre: (x, y), radius: r, colour },
        Marker::Dot => Shape::Disc { centre: (x, y), radius: 0.6 * r, colour },
        Marker::Square => area(&[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]),
        Marker::Triangle => area(&[(0.0, -1.25), (1.15, 0.8), (-1.15, 0.8)]),
        Marker::TriangleDown => area(&[(0.0, 1.25), (1.15, -0.8), (-1.15, -0.8)]),
        Marker::Diamond => area(&[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)]),
        Marker::Cross => {
            let pen = Pen::solid(0.45 * r, colour);
            scene.line(vec![(x - r, y - r), (x + r, y + r)], pen.clone());
            Shape::Line(vec![(x - r, y + r), (x + r, y - r)], pen)
        }
    };
    scene.shapes.push(shape);
}

/// One legend entry: a label with every layer that carries it.
pub struct Entry<'a> {
    label: &'a str,
    layers: Vec<&'a Layer>,
}

/// The entries, in the order of appearance.
pub fn legend(panels: &[Panel]) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry> = Vec::new();
    for layer in panels.iter().flat_map(|panel| &panel.layers) {
        let Some(label) = layer.label.as_deref().filter(|label| !label.is_empty()) else { continue };
        match entries.iter_mut().find(|entry| entry.label == label) {
            None => entries.push(Entry { label, layers: vec![layer] }),
            Some(entry) => {
                let kind = |layer: &Layer| (std::mem::discriminant(&layer.geometry), layer.marker);
                if !entry.layers.iter().any(|other| kind(other) == kind(layer)) {
                    entry.layers.push(layer);
                }
            }
        }
    }
    entries
}

/// The length of a line's key.
const KEY: f64 = 18.0;
const SPACE: f64 = 4.0;
const BETWEEN: f64 = 14.0;

/// A key of markers alone needs less room.
fn key_width(entry: &Entry) -> f64 {
    if entry.layers.iter().all(|layer| layer.geometry == Geometry::Points) { 0.4 * KEY } else { KEY }
}

fn entry_width(entry: &Entry, size: f64) -> f64 {
    key_width(entry) + SPACE + text_width(entry.label, size, false)
}

/// The width of a legend of one column.
pub fn legend_width(entries: &[Entry], size: f64) -> f64 {
    entries.iter().map(|entry| KEY + SPACE + text_width(entry.label, size, false)).fold(0.0, f64::max) + 2.0
}

/// The entries in lines no wider than `width`; a line each when there is no width.
fn lines<'a, 'b>(entries: &'b [Entry<'a>], width: f64, size: f64) -> Vec<Vec<&'b Entry<'a>>> {
    let mut lines: Vec<Vec<&Entry>> = Vec::new();
    let mut used = f64::INFINITY;
    for entry in entries {
        let own = entry_width(entry, size);
        if used + BETWEEN + own > width {
            lines.push(Vec::new());
            used = -BETWEEN;
        }
        used += BETWEEN + own;
        if let Some(line) = lines.last_mut() {
            line.push(entry);
        }
    }
    lines
}

/// The height of a legend in lines across a page.
pub fn legend_height(entries: &[Entry], width: f64, size: f64) -> f64 {
    1.5 * size * lines(entries, width, size).len() as f64 + 2.0
}

/// Draws the legend: centred lines across `width`, or one column from the corner `at` when `width` is zero.
pub fn draw_legend(scene: &mut Scene, entries: &[Entry], at: Point, width: f64, size: f64) {
    for (row, line) in lines(entries, width, size).into_iter().enumerate() {
        let total: f64 = line.iter().map(|entry| entry_width(entry, size) + BETWEEN).sum::<f64>() - BETWEEN;
        let mut x = at.0 + if width > 0.0 { 0.5 * (width - total) } else { 0.0 };
        let y = at.1 + 1.5 * size * row as f64;
        for entry in line {
            let key = if width > 0.0 { key_width(entry) } else { KEY };
            for layer in &entry.layers {
                draw_key(scene, layer, (x, y + 0.6 * size), key);
            }
            scene.text((x + key + SPACE, y + 0.95 * size), entry.label, size, Anchor::Start);
            x += entry_width(entry, size) + BETWEEN;
        }
    }
}

fn draw_key(scene: &mut Scene, layer: &Layer, (x, y): Point, width: f64) {
    let pen = Pen { width: 1.1, colour: layer.colour, dashes: layer.line.dashes() };
    let middle = (x + 0.5 * width, y);
    match layer.geometry {
        Geometry::Points | Geometry::LinePoints => {
            if layer.geometry == Geometry::LinePoints {
                scene.line(vec![(x, y), (x + width, y)], Pen { width: 0.9, ..pen });
            }
            if layer.data.len() <= 40 && layer.data.iter().any(|datum| datum.interval.is_some()) {
                scene.line(vec![(middle.0, y - 4.0), (middle.0, y + 4.0)], Pen::solid(0.7, layer.colour));
            }
            draw_marker(scene, middle, layer.marker, 2.3, layer.colour);
        }
        Geometry::Band | Geometry::Bars => {
            let opacity = if layer.geometry == Geometry::Band { 0.22 } else { 0.35 };
            let corners = vec![
                (x + 1.0, y - 3.0),
                (x + width - 1.0, y - 3.0),
                (x + width - 1.0, y + 3.0),
                (x + 1.0, y + 3.0),
            ];
            scene.shapes.push(Shape::Area(corners, layer.colour.fade(opacity)));
        }
        Geometry::Line
        | Geometry::Steps
        | Geometry::Slope { .. }
        | Geometry::Vertical(_)
        | Geometry::Horizontal(_) => {
            scene.line(vec![(x, y), (x + width, y)], pen);
        }
    }
}

/// The dashes that tell the lines of a series apart beyond the palette.
pub fn line_style(index: usize) -> LineStyle {
    [LineStyle::Solid, LineStyle::Dashed, LineStyle::DashDotted, LineStyle::Dotted][index / 7 % 4]
}
