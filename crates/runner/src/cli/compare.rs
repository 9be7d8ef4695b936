//! `onsager compare`.

use crate::cli::common::{self, Asked, CliError};
use crate::cli::documents::{CompareDocument, CompareRow};
use crate::cli::exit;
use crate::compare::comparison::{self, Choice, ChoiceError, Compared};
use crate::compare::gather::{self, GatherError, Missing, Note, Sample};
use crate::compare::rows::Row;
use crate::kind::registry::Registry;
use crate::plan::resolve::Resolver;
use crate::run::session::Session;
use clap::{Args, ValueEnum};
use onsager_tables::cells::Style;
use onsager_tables::error::TableError;
use onsager_tables::names::series;
use onsager_tables::table::Table;
use std::path::PathBuf;

/// Compare the metrics of an experiment's points, or of a pipeline's runs, in one table
///
/// Points that are not finished with the code and parameters of now are left out and listed.
///
/// Examples:
///   onsager compare experiments/tube-count.yaml
///   onsager compare experiments/*.yaml --sort -slope --where 'tubes>=40' --format latex -o table.tex
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Compare {
    /// The YAML files of experiments or pipelines
    #[arg(value_name = "EXPERIMENT", required = true)]
    files: Vec<PathBuf>,
    /// Average over this parameter; may be repeated [default: `seed` and what ends in `_seed`]
    #[arg(long, value_name = "PARAMETER")]
    over: Vec<String>,
    /// Show every point: average over nothing
    #[arg(long, conflicts_with = "over")]
    each: bool,
    /// Show the parameters that are the same everywhere, too
    #[arg(long)]
    all_params: bool,
    /// Keep the rows for which this holds, for example `tubes>=40`; may be repeated
    #[arg(long = "where", value_name = "CONDITION")]
    conditions: Vec<String>,
    /// Sort by these columns; `-slope` sorts downwards
    #[arg(long, value_name = "COLUMN", value_delimiter = ',', allow_hyphen_values = true)]
    sort: Vec<String>,
    /// Show these columns only, in this order
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    columns: Vec<String>,
    /// Compare with the rows for which this holds, for example `model=ddpm`; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    baseline: Vec<String>,
    /// With `--baseline`: the difference of a metric that counts as none, for example `loss=0.1`; may be repeated
    #[arg(long = "margin", value_name = "METRIC=NUMBER", requires = "baseline")]
    margins: Vec<String>,
    /// The form of the table
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Write the table to this file
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    asked: Asked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Csv,
    Markdown,
    Latex,
    Parquet,
}

impl From<GatherError> for CliError {
    fn from(error: GatherError) -> CliError {
        match error {
            GatherError::Engine(error) => error.into(),
            error => CliError::Request(error.to_string()),
        }
    }
}

impl From<ChoiceError> for CliError {
    fn from(error: ChoiceError) -> CliError {
        CliError::Request(error.to_string())
    }
}

impl Compare {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        if self.format == Format::Parquet && self.output.is_none() && !self.asked.json {
            return Err(CliError::Request("Parquet is no text: add `--output FILE`".to_owned()));
        }
        let conditions =
            |texts: &[String]| texts.iter().map(|text| text.parse()).collect::<Result<Vec<_>, ChoiceError>>();
        let mut choice = Choice {
            over: self.over.clone(),
            all_params: self.all_params,
            conditions: conditions(&self.conditions)?,
            sort: self.sort.clone(),
            columns: self.columns.clone(),
            baseline: conditions(&self.baseline)?,
            margins: conditions(&self.margins)?,
        };
        let (samples, missing) = self.gather(registry)?;
        if self.over.is_empty() && !self.each {
            choice.over = comparison::seeds(&samples);
        }
        if samples.is_empty() && !self.asked.json {
            common::print(&format!("nothing is finished yet\n{}", list(&missing)));
            return Ok(exit::DONE);
        }
        let notes = gather::notes(&samples)?;
        let compared = comparison::compare(&samples, &choice)?;
        if self.asked.json {
            common::print_json(&document(compared, notes, missing));
            return Ok(exit::DONE);
        }
        let mut note = reasons(&notes, samples.len());
        if compared.rows.is_empty() {
            let conditions = series(&self.conditions);
            note = format!("no row is left: none of {} passes {conditions}\n", compared.left_out) + &note;
        }
        note += &list(&missing);
        let table = compared.table(matches!(self.format, Format::Text | Format::Markdown | Format::Latex));
        let text = match self.format {
            Format::Text => text(&table),
            Format::Csv => table.csv(),
            Format::Markdown => table.markdown(),
            Format::Latex => table.latex(),
            Format::Parquet => String::new(),
        };
        match &self.output {
            Some(path) if self.format == Format::Parquet => match registry.parquet() {
                Some(parquet) => {
                    common::check_folder(path)?;
                    parquet.write(&table, path)?
                }
                None => return Err(TableError::NoParquet { path: path.clone() }.into()),
            },
            Some(path) => common::write_to(path, &text)?,
            None => common::print(&text),
        }
        match self.format {
            Format::Text if self.output.is_none() => common::print(&note),
            _ if !note.is_empty() => common::print_error(note.trim_end()),
            _ => {}
        }
        Ok(exit::DONE)
    }

    fn gather(&self, registry: &Registry) -> Result<(Vec<Sample>, Vec<Missing>), CliError> {
        let settings = self.asked.settings()?;
        let (mut samples, mut missing) = (Vec::new(), Vec::new());
        for file in &self.files {
            let session = Session::open(file, registry, settings.clone())?;
            let level = session.level()?;
            let graph = session.graph()?;
            let store = session.store().clone();
            if graph.experiment {
                let mut resolver = Resolver::new(&graph, registry, &store, level)?;
                gather::points(&mut resolver, &store, registry.parquet(), &mut samples, &mut missing)?;
            } else {
                gather::runs(&graph.name, &graph.points[0], &store, registry.parquet(), &mut samples)?;
            }
        }
        Ok((samples, missing))
    }
}

/// The points that are missing, a line each.
fn list(missing: &[Missing]) -> String {
    let mut text = String::new();
    if !missing.is_empty() {
        text += &format!("not finished: {}\n", common::plural(missing.len(), "point"));
    }
    for Missing { experiment, point } in missing {
        text += &format!("  {}\n", if point.is_empty() { experiment } else { point });
    }
    text
}

/// The points that have no number for a metric, with the reason.
fn reasons(notes: &[Note], points: usize) -> String {
    let mut groups: Vec<(&Note, Vec<&str>)> = Vec::new();
    for note in notes {
        let point = if note.point.is_empty() { note.experiment.as_str() } else { note.point.as_str() };
        match groups
            .iter_mut()
            .find(|(first, _)| (&first.metric, &first.reason) == (&note.metric, &note.reason))
        {
            Some((_, points)) => points.push(point),
            None => groups.push((note, vec![point])),
        }
    }
    let mut text = String::new();
    for (Note { metric, reason, .. }, names) in groups {
        text += &format!("`{metric}` of {} of {}: {reason}\n", names.len(), common::plural(points, "point"));
        names.iter().for_each(|name| text += &format!("  {name}\n"));
    }
    text
}

/// The table for a terminal: columns of numbers at the right.
fn text(table: &Table) -> String {
    let mut columns: Vec<(Vec<String>, bool)> = Vec::new();
    for (at, head) in table.heads.iter().enumerate() {
        let cells = table.rows.iter().map(|row| row[at].show(head.digits, Style::Unicode));
        let texts: Vec<String> = std::iter::once(head.title.clone()).chain(cells).collect();
        let number = |text: &String| {
            text == "NaN" || text.starts_with(|c: char| c.is_ascii_digit() || "−-–∞(".contains(c))
        };
        let right = texts.iter().skip(1).all(number);
        columns.push((texts, right));
    }
    let mut out = String::new();
    for line in 0..=table.rows.len() {
        let mut row = String::new();
        for (texts, right) in &columns {
            let width = texts.iter().map(|text| text.chars().count()).max().unwrap_or(0);
            let gap = " ".repeat(width - texts[line].chars().count());
            let (before, after) = if *right { (gap.as_str(), "") } else { ("", gap.as_str()) };
            row += &format!("{before}{}{after}  ", texts[line]);
        }
        out += row.trim_end();
        out.push('\n');
    }
    out
}

/// The `--json` document.
fn document(compared: Compared, notes: Vec<Note>, missing: Vec<Missing>) -> CompareDocument {
    let row = |row: Row| CompareRow {
        experiment: row.experiment,
        params: row.params,
        points: row.points,
        metrics: row.metrics.into_iter().collect(),
    };
    CompareDocument {
        parameters: compared.parameters,
        metrics: compared.metrics,
        over: compared.over,
        rows: compared.rows.into_iter().map(row).collect(),
        notes,
        missing,
    }
}
