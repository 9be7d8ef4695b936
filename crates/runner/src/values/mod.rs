//! `values`: the numbers, figures and tables of a pipeline for a text: as JSON, and as commands of LaTeX.

pub mod document;
pub mod params;
pub mod parts;
pub mod tex;

use crate::kind::context::{Context, Item};
use crate::kind::stage::{Checks, Inputs, Issue, Output, Stage, StageError};
use crate::numbers::number::{AtPoint, Number, numbers};
use crate::numbers::read::{Asked, Part, Reader};
use crate::values::document::{Document, Source};
use crate::values::params::{Params, Wanted};
use onsager_tables::read::Parquet;
use onsager_tables::value::Value;
use std::fs;

/// What LaTeX reads.
const STYLE: &str = include_str!("onsager.sty");

/// Writes what the pipeline's metrics say, and figures and tables, for a text.
pub struct Values;

/// A number that a text cannot have.
#[derive(Debug, thiserror::Error)]
pub enum ValuesError {
    #[error("metric `{name}` has no value: {reason}")]
    NoValue { name: String, reason: String },
    #[error("metric `{name}` is {value}, which is no number for a text")]
    NotFinite { name: String, value: f64 },
}

impl Stage for Values {
    type Params = Params;

    const KIND: &'static str = "values";
    const SUMMARY: &'static str =
        "Writes the pipeline's metrics, with figures and tables, as JSON and as commands of LaTeX.";
    const METRICS: bool = true;
    const PARALLEL: bool = false;

    fn inputs() -> Inputs {
        Inputs::any()
    }

    fn outputs(_: &Params) -> Vec<Output> {
        outputs()
    }

    fn check(params: &Params) -> Vec<Issue> {
        check(params)
    }

    fn run(params: &Params, ctx: &Context) -> Result<(), StageError> {
        run(params, ctx, None)
    }
}

/// The outputs of the kind.
pub fn outputs() -> Vec<Output> {
    vec![
        Output::file("json", "values.json", "the numbers with their intervals and sources"),
        Output::file("tex", "values.tex", "the same for `onsager.sty`"),
        Output::file("sty", "onsager.sty", "the commands of LaTeX"),
        Output {
            folder: true,
            ..Output::file("files", "files", "the figures and tables, by the names of the inputs")
        },
    ]
}

/// Refuses what only the pipeline may fill in.
pub fn check(params: &Params) -> Vec<Issue> {
    let mut checks = Checks::default();
    checks.ensure(params.numbers.is_empty(), "numbers", || "is filled in by onsager: remove it".into());
    checks.ensure(params.swept.is_empty(), "swept", || "is filled in by onsager: remove it".into());
    checks.ensure(params.claims.is_empty(), "claims", || "is filled in by onsager: remove it".into());
    checks.0
}

/// Writes the outputs; Parquet is read by `parquet`.
pub fn run(params: &Params, ctx: &Context, parquet: Option<&dyn Parquet>) -> Result<(), StageError> {
    let mut document = Document::default();
    let mut reader = Reader::new(parquet);
    for wanted in &params.numbers {
        let source = Source::of(ctx.items(&wanted.input), &wanted.from)?;
        for number in read(wanted, &params.swept, ctx, &mut reader)? {
            document.add(number, wanted, &source);
        }
    }
    document.judge(&params.claims)?;
    let files = ctx.output("files")?;
    fs::create_dir_all(files)?;
    let taken = |name: &str| params.numbers.iter().any(|wanted| wanted.input == name);
    for (name, items) in ctx.inputs().iter().filter(|(name, _)| !taken(name)) {
        parts::add(name, items, files, &mut document)?;
    }
    let mut text = serde_json::to_string_pretty(&document)?;
    text.push('\n');
    fs::write(ctx.output("json")?, text)?;
    fs::write(ctx.output("tex")?, tex::text(&document, &params.numbers))?;
    Ok(fs::write(ctx.output("sty")?, STYLE)?)
}

/// The numbers of a metric: one, or of a sweep over more than seeds one for each setting.
fn read(
    wanted: &Wanted,
    swept: &[String],
    ctx: &Context,
    reader: &mut Reader,
) -> Result<Vec<Number>, ValuesError> {
    let asked = Asked { from: &wanted.from, pick: &wanted.pick, spread: wanted.spread.as_ref() };
    // The artifacts of a point stand together.
    let mut groups: Vec<(Vec<(String, Value)>, Vec<&Item>)> = Vec::new();
    for item in ctx.items(&wanted.input) {
        let label = |name: &String| Some((name.clone(), Value::from(item.label(name)?)));
        let varied: Vec<(String, Value)> = swept.iter().filter_map(label).collect();
        match groups.iter_mut().find(|(other, _)| *other == varied) {
            Some((_, items)) => items.push(item),
            None => groups.push((varied, vec![item])),
        }
    }
    let name = || wanted.name.clone();
    let mut points = Vec::with_capacity(groups.len());
    for (varied, items) in groups {
        let open: Vec<_> = items.iter().map(|item| move || Ok(item.path.clone())).collect();
        let parts = items.iter().zip(&open).map(|(item, open)| Part {
            id: item.path.to_string_lossy().into_owned(),
            name: item.name.clone(),
            labels: &item.labels,
            open,
        });
        let parts: Vec<Part> = parts.collect();
        let reading = reader
            .read(asked, &parts)
            .map_err(|reason| ValuesError::NoValue { name: name(), reason: reason.to_string() })?;
        if let Value::Number(value) = reading.value
            && !value.is_finite()
        {
            return Err(ValuesError::NotFinite { name: name(), value });
        }
        points.push(AtPoint { varied, reading });
    }
    Ok(numbers(&wanted.name, points))
}
