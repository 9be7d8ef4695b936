//! Colours, markers, dashes, and the sizes of things in print.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A position in printer's points.
pub type Point = (f64, f64);

/// Points per millimetre.
pub const MM: f64 = 72.0 / 25.4;
/// Sizes of text in points: titles, labels and legend, tick labels.
pub const TITLE: f64 = 9.0;
pub const LABEL: f64 = 8.0;
pub const TICK: f64 = 7.0;

/// A colour with its opacity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Colour(pub u8, pub u8, pub u8, pub f64);

impl Colour {
    pub const INK: Colour = Colour(0x22, 0x22, 0x22, 1.0);
    pub const GRID: Colour = Colour(0xE4, 0xE4, 0xE4, 1.0);

    /// The same colour, less opaque.
    pub fn fade(self, opacity: f64) -> Colour {
        Colour(self.0, self.1, self.2, self.3 * opacity)
    }
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
    /// The dashes that tell the lines of a series apart beyond the palette.
    pub fn of_series(number: usize) -> LineStyle {
        let styles = [LineStyle::Solid, LineStyle::Dashed, LineStyle::DashDotted, LineStyle::Dotted];
        styles[number / PALETTE.len() % styles.len()]
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
