//! What can go wrong between a table and a printed page.

use onsager_tables::error::TableError;
use onsager_tables::names::{list, nearest};
use plotters::drawing::DrawingAreaErrorKind;
use std::path::PathBuf;

/// Why a figure, table or page could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error(transparent)]
    Data(#[from] TableError),
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot write `{}`", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("cannot read the table `{}`", path.display())]
    Table { path: PathBuf, source: polars::error::PolarsError },
    #[error("column `{column}` of `{}` holds decimals, which are not read; write it as floats or as texts", path.display())]
    Decimal { path: PathBuf, column: String },
    #[error("the headings in the table `{}` are damaged: make it again", path.display())]
    Heading { path: PathBuf, source: serde_json::Error },
    #[error("the table cannot be built")]
    Frame(#[from] polars::error::PolarsError),
    #[error("no input `{input}`; the inputs are {}{}", list(inputs), nearest(input, inputs))]
    NoInput { input: String, inputs: Vec<String> },
    #[error("{what} needs `{field}`; add it")]
    Missing { what: String, field: &'static str },
    #[error(
        "two rows have {key}, so the cell under `{column}` is not unique; add a column to `rows`, or average first"
    )]
    PivotConflict { key: String, column: String },
    #[error(
        "{} hold `{value}`, so it is not clear which `names.{value}` is for; write `names: {{{first}: {{{value}: …}}}}`",
        list(columns)
    )]
    UnclearName { value: String, columns: Vec<String>, first: String },
    #[error(
        "a heatmap has one cell for each `{x}` and `{y}`{}, but two rows have the same; choose with `where`, or average first",
        of_panel(panel)
    )]
    TwoCells { x: String, y: String, panel: Option<String> },
    #[error("nothing to draw: {reason}")]
    Empty { reason: String },
    #[error(
        "nothing to draw: every point is {side} `{end}` of the {axis} axis, {limit}, the nearest at {nearest}; change `{end}`, or leave it out"
    )]
    Hidden { axis: &'static str, end: &'static str, limit: f64, side: &'static str, nearest: f64 },
    #[error(
        "the {axis} axis is logarithmic but has the value {value}; use a linear scale, or filter it out with `where`"
    )]
    NotPositive { axis: &'static str, value: f64 },
    #[error(
        "the {axis} axis would run from {low} to {high}; set `{end}` {side} the other end, or leave it out"
    )]
    Inverted { axis: &'static str, low: f64, high: f64, end: &'static str, side: &'static str },
    #[error(
        "the {axis} axis is logarithmic, so `{end}` must be above 0, but it is {value}; raise it, or leave it out"
    )]
    LogEnd { axis: &'static str, end: &'static str, value: f64 },
    #[error("cannot read the samples `{}`: {message}", path.display())]
    Samples { path: PathBuf, message: String },
    #[error("cannot draw: {message}")]
    Draw { message: String },
    #[error("the text `{}` {source}", shortened(text))]
    Text { text: String, source: crate::page::markup::TextError },
    #[error("cannot use the font of figures: {message}")]
    Font { message: String },
    #[error("cannot write the PDF")]
    Pdf(#[from] std::io::Error),
    #[error("cannot encode a PNG image")]
    Png(#[from] png::EncodingError),
    #[error("`{input}` is neither an SVG nor a PNG image; refer to the `svg` or `png` output of a figure")]
    NotAnImage { input: String },
}

impl<E: std::error::Error + Send + Sync> From<DrawingAreaErrorKind<E>> for ReportError {
    fn from(error: DrawingAreaErrorKind<E>) -> ReportError {
        ReportError::Draw { message: error.to_string() }
    }
}

fn of_panel(panel: &Option<String>) -> String {
    panel.as_ref().map_or(String::new(), |panel| format!(" in each panel of `{panel}`"))
}

/// The beginning of a text.
fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
