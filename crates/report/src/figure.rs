//! A figure: panels of marks in data coordinates. [`Figure::scene`](super::figure::Figure::scene) lays it out.

use super::axis::Scale;
use super::scene::Colour;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A figure of one panel or more.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    pub title: Option<String>,
    /// Millimetres; a journal's column is about 85 wide, its page about 170.
    pub width: f64,
    /// Millimetres of the whole figure; from the panels' `aspect` without it.
    pub height: Option<f64>,
    /// Height of a panel over its width.
    pub aspect: f64,
    /// Panels in a row; chosen by their number and the width without it.
    pub columns: Option<usize>,
    pub panels: Vec<Panel>,
    pub legend: LegendPlace,
    /// Whether all panels have the same x range, and the same y range.
    pub share: (bool, bool),
}

/// Where the legend stands: never on the data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LegendPlace {
    #[default]
    Below,
    Right,
    None,
}

/// One plot.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub layers: Vec<Layer>,
}

/// One axis of a panel.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Axis {
    /// With its unit.
    pub label: String,
    pub scale: Scale,
    /// Fixed ends of the range.
    pub min: Option<f64>,
    pub max: Option<f64>,
    /// Names for the positions 0, 1, 2 … instead of numbers.
    pub categories: Vec<String>,
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

/// A marker's shape.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Marker {
    #[default]
    Circle,
    Square,
    Triangle,
    Diamond,
    TriangleDown,
    Cross,
    /// A small disc, for many points.
    Dot,
}

/// A line's dashes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LineStyle {
    #[default]
    Solid,
    Dashed,
    Dotted,
    DashDotted,
}

impl LineStyle {
    /// The lengths of dashes and gaps in points.
    pub fn dashes(self) -> Vec<f64> {
        match self {
            LineStyle::Solid => vec![],
            LineStyle::Dashed => vec![4.0, 2.2],
            LineStyle::Dotted => vec![1.0, 1.6],
            LineStyle::DashDotted => vec![4.0, 1.6, 1.0, 1.6],
        }
    }
}

/// The colours of Okabe and Ito (2008), which colour-blind readers can tell apart, in an order that begins with the strongest
/// contrasts.
pub const PALETTE: [Colour; 7] = [
    Colour(0x00, 0x72, 0xB2, 1.0),
    Colour(0xD5, 0x5E, 0x00, 1.0),
    Colour(0x00, 0x9E, 0x73, 1.0),
    Colour(0xCC, 0x79, 0xA7, 1.0),
    Colour(0xE6, 0x9F, 0x00, 1.0),
    Colour(0x56, 0xB4, 0xE9, 1.0),
    Colour(0x00, 0x00, 0x00, 1.0),
];

/// The markers, in the order of the palette.
pub const MARKERS: [Marker; 6] =
    [Marker::Circle, Marker::Square, Marker::Triangle, Marker::Diamond, Marker::TriangleDown, Marker::Cross];

/// A colour by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ColourName {
    Blue,
    Vermillion,
    Green,
    Purple,
    Orange,
    Sky,
    Black,
    Grey,
}

impl ColourName {
    pub fn colour(self) -> Colour {
        match self {
            ColourName::Blue => PALETTE[0],
            ColourName::Vermillion => PALETTE[1],
            ColourName::Green => PALETTE[2],
            ColourName::Purple => PALETTE[3],
            ColourName::Orange => PALETTE[4],
            ColourName::Sky => PALETTE[5],
            ColourName::Black => PALETTE[6],
            ColourName::Grey => Colour(0x77, 0x77, 0x77, 1.0),
        }
    }
}
