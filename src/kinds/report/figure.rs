//! The stage kind `figure`: a figure of columns, or a grid of images, as SVG, PNG and PDF.

use onsager_report::figures::axis::Scale;
use onsager_report::figures::grid::grid;
use onsager_report::figures::images::{Samples, fill_label};
use onsager_report::figures::paper::{self, Drawing};
use onsager_report::figures::plot::{Frames, MarkKind, Plot};
use onsager_report::tables::{frame, read};
use onsager_runner::kind::context::{Context, Item};
use onsager_runner::kind::stage::{Checks, Inputs, Issue, Output, Stage, StageError};
use onsager_tables::error::TableError;
use onsager_tables::value::{Value, apart};
use polars::frame::DataFrame;
use std::fs;

/// Draws a figure.
pub struct FigureStage;

impl Stage for FigureStage {
    type Params = Plot;

    const KIND: &'static str = "figure";
    const SUMMARY: &'static str =
        "Draws columns of tables, or grids of images, as an SVG, a PNG and a PDF that are fit to print.";

    fn inputs() -> Inputs {
        Inputs::any()
    }

    fn outputs(_: &Plot) -> Vec<Output> {
        vec![
            Output::file("svg", "figure.svg", "the figure as vector graphics"),
            Output::file("png", "figure.png", "the figure as pixels"),
            Output::file("pdf", "figure.pdf", "the figure as vector graphics for a document"),
        ]
    }

    fn check(plot: &Plot) -> Vec<Issue> {
        let mut checks = Checks::default();
        let mut between = |field: &str, value: f64, low: f64, high: f64| {
            checks.ensure((low..=high).contains(&value), field, || {
                format!("must be from {low} to {high}, but is {value}")
            });
        };
        between("width", plot.width, 30.0, 400.0);
        if let Some(height) = plot.height {
            between("height", height, 15.0, 600.0);
        }
        between("aspect", plot.aspect, 0.1, 4.0);
        between("resolution", plot.resolution, 50.0, 600.0);
        if let Some(columns) = plot.columns {
            between("columns", columns as f64, 1.0, 20.0);
        }
        for (i, mark) in plot.marks.iter().enumerate() {
            between(&format!("marks[{i}].smooth"), mark.smooth as f64, 1.0, 1e6);
            between(&format!("marks[{i}].bins"), mark.bins as f64, 1.0, 500.0);
        }
        if let Some(images) = &plot.images {
            between("images.columns", images.columns as f64, 1.0, 100.0);
            for (i, row) in images.rows.iter().enumerate() {
                between(&format!("images.rows[{i}].lines"), row.lines as f64, 1.0, 100.0);
            }
        }
        for (name, axis) in [("x", &plot.x), ("y", &plot.y)] {
            let ordered = axis.min.zip(axis.max).is_none_or(|(min, max)| min < max);
            checks.ensure(ordered, &format!("{name}.max"), || "must be greater than `min`".into());
            let positive = |end: Option<f64>| end.is_none_or(|end| end > 0.0);
            let log = axis.scale == Scale::Log;
            checks.ensure(!log || (positive(axis.min) && positive(axis.max)), &format!("{name}.min"), || {
                "the ends of a logarithmic axis must be positive".into()
            });
        }
        for (i, mark) in plot.marks.iter().enumerate() {
            let mut need = |holds: bool, field: &str, message: &str| {
                checks.ensure(holds, &format!("marks[{i}].{field}"), || message.into());
            };
            match mark.mark {
                MarkKind::Rule => {
                    let some = mark.slope.is_some() || mark.x.is_some() || mark.y.is_some();
                    need(some, "mark", "a rule needs `slope`, `x` or `y`");
                }
                MarkKind::Histogram => need(mark.x.is_some(), "mark", "a histogram needs `x`"),
                MarkKind::Band => {
                    let ends = mark.average || (mark.lower.is_some() && mark.upper.is_some());
                    need(
                        mark.x.is_some() && ends,
                        "mark",
                        "a band needs `x`, and `lower` and `upper` or `average: true`",
                    );
                }
                MarkKind::Heatmap => {
                    let all = mark.x.is_some() && mark.y.is_some() && mark.value.is_some();
                    need(all, "mark", "a heatmap needs `x`, `y` and `value`");
                }
                MarkKind::Text => {
                    let all = mark.x.is_some() && mark.y.is_some() && mark.text.is_some();
                    need(all, "mark", "a text needs `x`, `y` and `text`");
                }
                _ => need(mark.x.is_some() && mark.y.is_some(), "mark", "this mark needs `x` and `y`"),
            }
            let heat = mark.mark == MarkKind::Heatmap;
            need(mark.value.is_none() || heat, "value", "goes with a heatmap alone");
            need(
                mark.text.is_none() || mark.mark == MarkKind::Text,
                "text",
                "goes with the mark `text` alone",
            );
            need(mark.input.is_some() || mark.mark == MarkKind::Rule, "input", "this mark needs an input");
            need(mark.lower.is_some() == mark.upper.is_some(), "lower", "`lower` and `upper` come together");
        }
        let one = plot.marks.is_empty() == plot.images.is_some();
        checks.ensure(one, "marks", || "give either `marks` or `images`".into());
        checks.0
    }

    fn run(plot: &Plot, ctx: &Context) -> Result<(), StageError> {
        let Some(spec) = &plot.images else {
            let mut frames = Frames::new();
            let mut names: Vec<_> = plot.marks.iter().filter_map(|mark| mark.input.as_ref()).collect();
            names.sort();
            names.dedup();
            for name in names {
                frames.insert(name.clone(), joined(required(ctx, name)?)?);
            }
            return write(plot, ctx, &plot.figure(&frames)?.layout()?);
        };
        let mut sources = Vec::new();
        for row in &spec.rows {
            let before = sources.len();
            for item in required(ctx, &row.input)?.iter().filter(|item| row.shows(&labels(item))) {
                let label = fill_label(&row.label, &labels(item));
                sources.push((row.clone(), Samples::load(&item.path, label)?));
            }
            if sources.len() == before {
                let (table, why) = (format!("input `{}`", row.input), apart(&row.filter));
                return Err(TableError::NoRow { table, field: "where", why }.into());
            }
        }
        write(plot, ctx, &grid(spec, &sources, plot.width, plot.title.as_deref())?)
    }
}

fn write(plot: &Plot, ctx: &Context, drawing: &dyn Drawing) -> Result<(), StageError> {
    fs::write(ctx.output("svg")?, paper::svg(drawing)?)?;
    fs::write(ctx.output("png")?, paper::png(drawing, plot.resolution)?)?;
    fs::write(ctx.output("pdf")?, paper::pdf(drawing)?)?;
    Ok(())
}

/// The artifacts of an input that the parameters name.
pub fn required<'a>(ctx: &'a Context, input: &str) -> Result<&'a [Item], StageError> {
    match ctx.items(input) {
        [] => {
            let inputs = ctx.inputs().keys().cloned().collect();
            Err(onsager_report::error::ReportError::NoInput { input: input.into(), inputs }.into())
        }
        items => Ok(items),
    }
}

/// The coordinates of an artifact.
pub fn labels(item: &Item) -> Vec<(String, Value)> {
    item.labels.iter().map(|(name, value)| (name.clone(), Value::from(value))).collect()
}

/// The tables of an input one below the other, with their coordinates as columns.
pub fn joined(items: &[Item]) -> Result<DataFrame, StageError> {
    let mut parts = Vec::new();
    for item in items {
        parts.push((read::load(&item.path)?, labels(item)));
    }
    Ok(frame::stack(&parts)?)
}
