//! A figure: panels of layers in data coordinates.

use super::axis::Span;
use super::plot::Plot;
use super::style::{Colour, LineStyle, Marker};

/// A figure of one panel or more, with the description that it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    pub plot: Plot,
    /// The labels of the axes, with their units.
    pub x_label: String,
    pub y_label: String,
    /// Names for the positions 0, 1, 2 … of x instead of numbers.
    pub categories: Vec<String>,
    /// The same for y, from the top.
    pub rows: Vec<String>,
    /// Whether x is a time, in seconds since 1970.
    pub times: bool,
    /// The scale of the colours, and its label.
    pub colours: Option<(Span, String)>,
    pub panels: Vec<Panel>,
}

/// The layers of one plot, the first at the bottom.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    pub title: String,
    pub layers: Vec<Layer>,
}

/// One series of marks.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Its entry in the legend; layers of the same label share one.
    pub label: Option<String>,
    pub geometry: Geometry,
    pub colour: Colour,
    pub marker: Marker,
    pub line: LineStyle,
    pub data: Vec<Datum>,
    /// What some geometries have besides.
    pub detail: Detail,
}

/// What heatmaps, boxes and texts have besides the places of their data.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Detail {
    #[default]
    None,
    /// For each datum its rectangle, and the place of its value between the darkest and the brightest colour.
    Cells(Vec<Cell>),
    Boxes(Vec<Quartiles>),
    /// For each datum its text, and whether it stands on a dark cell.
    Texts(Vec<(String, bool)>),
}

/// A rectangle of a heatmap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    pub x: (f64, f64),
    pub y: (f64, f64),
    pub value: f64,
    /// From 0 to 1.
    pub place: f64,
}

/// A box with its whiskers; the datum is its middle, and its interval reaches from the least to the greatest value.
#[derive(Debug, Clone, PartialEq)]
pub struct Quartiles {
    pub lower: f64,
    pub upper: f64,
    pub whiskers: (f64, f64),
    pub outliers: Vec<f64>,
    /// Its half width, in units of x.
    pub half: f64,
}

/// How data are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Geometry {
    /// Markers, with an error bar where `lower` and `upper` are given.
    Points,
    /// Markers joined by a line, with error bars.
    LinePoints,
    Line,
    /// A line that holds each value until the next.
    Steps,
    /// The area between `lower` and `upper`.
    Band,
    /// Rectangles whose colours tell values.
    Cells,
    /// Boxes of quartiles, with whiskers.
    Boxes,
    Texts,
    /// Bars from zero, each from its `x` to the next; the last datum only ends the bar before it.
    Bars,
    /// y = slope · x + intercept across the panel.
    Slope {
        slope: f64,
        intercept: f64,
    },
    /// x = constant.
    Vertical(f64),
    /// y = constant.
    Horizontal(f64),
}

/// A mark's position, with the ends of its interval in y.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Datum {
    pub x: f64,
    pub y: f64,
    pub interval: Option<(f64, f64)>,
}

impl Datum {
    /// The lowest and the highest y that are drawn.
    pub fn ends(&self) -> (f64, f64) {
        let (low, high) = self.interval.unwrap_or((self.y, self.y));
        (low.min(self.y), high.max(self.y))
    }
}
