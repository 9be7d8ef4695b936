//! The stage kind `table`: a table for print from the rows of its inputs.

use crate::kinds::report::figure::{joined, required};
use onsager_report::tables::print::{self, TableSpec};
use onsager_report::tables::{frame, presentation};
use onsager_runner::kind::context::Context;
use onsager_runner::kind::stage::{Checks, Inputs, Issue, Output, Stage, StageError};
use std::fs;

/// Writes a table as Parquet, CSV, Markdown and LaTeX.
pub struct TableStage;

impl Stage for TableStage {
    type Params = TableSpec;

    const KIND: &'static str = "table";
    const SUMMARY: &'static str =
        "Joins, averages and pivots tables, and writes them as Parquet, CSV, Markdown and LaTeX.";

    fn inputs() -> Inputs {
        Inputs::any()
    }

    fn outputs(_: &TableSpec) -> Vec<Output> {
        vec![
            Output::file(
                "parquet",
                "table.parquet",
                "the columns with full precision, and their headings as metadata",
            ),
            Output::file("csv", "table.csv", "the columns with full precision"),
            Output::file("markdown", "table.md", "the table for people"),
            Output::file("latex", "table.tex", "the table for a paper, with the rules of booktabs"),
        ]
    }

    fn check(spec: &TableSpec) -> Vec<Issue> {
        let mut checks = Checks::default();
        for (i, column) in spec.columns.iter().enumerate() {
            let digits = column.digits;
            checks.ensure((1..=17).contains(&digits), &format!("columns[{i}].digits"), || {
                format!("must be from 1 to 17, but is {digits}")
            });
            let decimals = column.decimals.unwrap_or(0);
            checks.ensure(decimals <= 17, &format!("columns[{i}].decimals"), || {
                format!("must be from 0 to 17, but is {decimals}")
            });
        }
        if let Some(average) = &spec.average {
            checks.ensure(!average.values.is_empty(), "average.values", || {
                "must name at least one column".into()
            });
        }
        if let Some(pivot) = &spec.pivot {
            checks.ensure(!pivot.rows.is_empty(), "pivot.rows", || "must name at least one column".into());
        }
        checks.0
    }

    fn run(spec: &TableSpec, ctx: &Context) -> Result<(), StageError> {
        let names =
            if spec.inputs.is_empty() { ctx.inputs().keys().cloned().collect() } else { spec.inputs.clone() };
        let mut parts = Vec::new();
        for name in &names {
            parts.push((joined(required(ctx, name)?)?, Vec::new()));
        }
        let table = print::of(&frame::stack(&parts)?, spec)?;
        presentation::save(&table, ctx.output("parquet")?)?;
        fs::write(ctx.output("csv")?, table.csv())?;
        fs::write(ctx.output("markdown")?, table.markdown())?;
        fs::write(ctx.output("latex")?, table.latex())?;
        Ok(())
    }
}
