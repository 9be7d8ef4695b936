//! The description of a figure over named tables: which columns are drawn, and how.

use super::axis::Scale;
use super::images::ImageSpec;
use super::style::{ColourName, LineStyle, Marker};
use onsager_tables::value::{Filter, Names};
use polars::frame::DataFrame;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a figure shows. Wherever a column is asked for, an expression over columns may stand: `1/diffusion`, `-ln(p)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plot {
    /// A title above the figure; most figures do better with a caption.
    #[serde(default)]
    pub title: Option<String>,
    /// The width in millimetres, 30 to 400: a journal's column is about 85 wide, its page about 170.
    #[serde(default = "page")]
    pub width: f64,
    /// The height of the whole figure in millimetres; by the panels' `aspect` without it.
    #[serde(default)]
    pub height: Option<f64>,
    /// The height of each panel over its width, 0.1 to 4.
    #[serde(default = "aspect")]
    pub aspect: f64,
    /// The resolution of the PNG in pixels per inch, 50 to 600.
    #[serde(default = "resolution")]
    pub resolution: f64,
    /// A column: one panel for each of its values.
    #[serde(default)]
    pub panel: Option<String>,
    /// The number of panels in a row; chosen by the width without it.
    #[serde(default)]
    pub columns: Option<usize>,
    /// The horizontal axis.
    #[serde(default)]
    pub x: AxisSpec,
    /// The vertical axis.
    #[serde(default)]
    pub y: AxisSpec,
    /// The scale of the colours of a heatmap.
    #[serde(default)]
    pub colours: ColourSpec,
    /// Where the legend stands.
    #[serde(default)]
    pub legend: LegendPlace,
    /// What to print in place of a value (in panel titles, legends and categories): `{free: Free particle}`, or of the values
    /// of one column only, `{system: {free: Free particle}}`. A number that several columns hold needs its column.
    #[serde(default)]
    pub names: Names,
    /// What is drawn, the first at the bottom.
    #[serde(default)]
    pub marks: Vec<MarkSpec>,
    /// A grid of images, or scatters of points, from datasets and samples, in place of marks.
    #[serde(default)]
    pub images: Option<ImageSpec>,
}

fn page() -> f64 {
    170.0
}

fn aspect() -> f64 {
    0.75
}

fn resolution() -> f64 {
    300.0
}

/// An axis.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AxisSpec {
    /// The label, with its unit; the name of the first column drawn without it.
    pub label: Option<String>,
    pub scale: Scale,
    /// The lower end; from the data without it.
    pub min: Option<f64>,
    /// The upper end; from the data without it.
    pub max: Option<f64>,
    /// Whether every panel has the same range.
    pub share: bool,
    /// The order of the categories where the column holds texts; those not named follow.
    pub order: Vec<String>,
}

/// The colours of a heatmap, from dark to bright, the same in every panel.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ColourSpec {
    /// The label of the bar beside the figure, with its unit; the name of the column without it.
    pub label: Option<String>,
    pub scale: Scale,
    /// The value of the darkest colour; from the data without it.
    pub min: Option<f64>,
    /// The value of the brightest colour; from the data without it.
    pub max: Option<f64>,
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

/// One or several columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Columns {
    One(String),
    Many(Vec<String>),
}

impl Columns {
    pub fn names(&self) -> &[String] {
        match self {
            Columns::One(one) => std::slice::from_ref(one),
            Columns::Many(many) => many,
        }
    }
}

/// A number, or the column that holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum NumberOrColumn {
    Number(f64),
    Column(String),
}

/// The kinds of marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MarkKind {
    /// Markers at (x, y), with error bars from `lower` to `upper` where given.
    Points,
    /// Markers joined by a line.
    LinePoints,
    /// A line through (x, y) in the order of x.
    Line,
    /// A line that holds each y until the next x.
    Steps,
    /// The area between `lower` and `upper`.
    Band,
    /// A histogram of the column `x`, as a probability density.
    Histogram,
    /// A rectangle for each (x, y), the colour of which tells the column `value`.
    Heatmap,
    /// The quartiles of y for each x: a box with the median, whiskers to the last values within 1.5 times the height of the
    /// box, and those beyond as points.
    Box,
    /// The text `text` at (x, y).
    Text,
    /// A straight line across the panel: `slope` with `intercept`, or a constant `x` or `y`.
    Rule,
}

/// One kind of mark for the rows of one input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MarkSpec {
    /// What is drawn.
    pub mark: MarkKind,
    /// The input with the rows; every artifact of it is joined, with its coordinates as columns. A rule of constants needs none.
    #[serde(default)]
    pub input: Option<String>,
    /// The horizontal position: a column, or the number of a vertical rule. A column of texts makes categories, one of
    /// timestamps an axis of times.
    #[serde(default)]
    pub x: Option<NumberOrColumn>,
    /// The vertical position: a column, or the number of a horizontal rule. In a heatmap a column of texts makes categories.
    #[serde(default)]
    pub y: Option<NumberOrColumn>,
    /// The lower end of the interval of y.
    #[serde(default)]
    pub lower: Option<String>,
    /// The upper end of the interval of y.
    #[serde(default)]
    pub upper: Option<String>,
    /// Average y over the rows that agree in x, the series and the panel (over seeds, say), with a 95% t-interval.
    #[serde(default)]
    pub average: bool,
    /// The column, or columns, whose values tell the series apart, each with its own colour and marker.
    #[serde(default)]
    pub series: Option<Columns>,
    /// The rows to keep: a value, or a list of values, per column.
    #[serde(default, rename = "where")]
    pub filter: Filter,
    /// The legend's text; `{column}` stands for the value of a series column, and without one all series share an entry. Where
    /// there is no label, the values of the series.
    #[serde(default)]
    pub label: Option<String>,
    /// The column whose value the colours of a heatmap tell.
    #[serde(default)]
    pub value: Option<String>,
    /// What a text mark says; `{column}` stands for a value, numbers with three significant digits.
    #[serde(default)]
    pub text: Option<String>,
    /// A rule's slope: a number, or a column with a line for each of its values.
    #[serde(default)]
    pub slope: Option<NumberOrColumn>,
    /// A rule's value at x = 0.
    #[serde(default)]
    pub intercept: Option<NumberOrColumn>,
    /// The colour, when there is no series or all are to have the same.
    #[serde(default)]
    pub colour: Option<ColourName>,
    /// The marker; by the series without it.
    #[serde(default)]
    pub marker: Option<Marker>,
    /// The dashes of a line.
    #[serde(default)]
    pub line: Option<LineStyle>,
    /// Replace each y of a line by the mean of this many neighbours, 1 or more.
    #[serde(default = "one")]
    pub smooth: usize,
    /// The number of bars of a histogram, 1 to 500.
    #[serde(default = "thirty")]
    pub bins: usize,
}

fn one() -> usize {
    1
}

fn thirty() -> usize {
    30
}

/// The tables of a figure by input name.
pub type Frames = BTreeMap<String, DataFrame>;
