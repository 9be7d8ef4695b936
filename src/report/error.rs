//! What can go wrong between a table and a printed page.

use std::path::PathBuf;

/// Why a figure, table or page could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot write `{}`", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("cannot read the table `{}`", path.display())]
    Table { path: PathBuf, source: polars::error::PolarsError },
    #[error("the table cannot be built")]
    Frame(#[from] polars::error::PolarsError),
    #[error("`{}`, line {line}: {message}", path.display())]
    Csv { path: PathBuf, line: usize, message: String },
    #[error("cannot read the JSON of `{}`: {message}", path.display())]
    Json { path: PathBuf, message: String },
    #[error("no column `{column}` in {table}; it has {}{}", list(columns), nearest(column, columns))]
    NoColumn { column: String, table: String, columns: Vec<String> },
    #[error("column `{column}` holds the text `{text}` where numbers are needed")]
    NotANumber { column: String, text: String },
    #[error("cannot understand the expression `{text}`: {message} at character {at}")]
    Expression { text: String, message: String, at: usize },
    #[error("no input `{input}`; the inputs are {}{}", list(inputs), nearest(input, inputs))]
    NoInput { input: String, inputs: Vec<String> },
    #[error("{what} needs `{field}`; add it")]
    Missing { what: String, field: &'static str },
    #[error(
        "two rows have {key}, so the cell under `{column}` is not unique; add a column to `rows`, or average first"
    )]
    PivotConflict { key: String, column: String },
    #[error("nothing to draw: {reason}")]
    Empty { reason: String },
    #[error(
        "the {axis} axis is logarithmic but has the value {value}; use a linear scale, or filter it out with `where`"
    )]
    NotPositive { axis: &'static str, value: f64 },
    #[error("cannot read the samples `{}`: {message}", path.display())]
    Samples { path: PathBuf, message: String },
    #[error("cannot draw: {message}")]
    Draw { message: String },
    #[error("cannot encode a PNG image")]
    Png(#[from] png::EncodingError),
    #[error("`{input}` is neither an SVG nor a PNG image; refer to the `svg` or `png` output of a figure")]
    NotAnImage { input: String },
}

/// `a`, `b` and `c`, in backticks.
fn list(names: &[String]) -> String {
    match names {
        [] => "none".into(),
        [one] => format!("`{one}`"),
        [most @ .., last] => {
            let most: Vec<_> = most.iter().map(|name| format!("`{name}`")).collect();
            format!("{} and `{last}`", most.join(", "))
        }
    }
}

/// `; did you mean ...?`, when one of the names is close.
fn nearest(name: &str, names: &[String]) -> String {
    let best = names.iter().map(|other| (strsim::jaro_winkler(name, other), other));
    match best.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((closeness, other)) if closeness > 0.75 => format!("; did you mean `{other}`?"),
        _ => String::new(),
    }
}
