//! `onsager store du`.

use crate::cli::common::{self, CliError};
use crate::cli::exit;
use crate::cli::store::text::{self, Place};
use crate::store::usage::{self, Level, Usage};
use clap::{Args, ValueEnum};

/// Show what takes the space
///
/// `objects` counts what the results consist of, those of earlier runs too; `shared` is the part that other rows have as well.
///
/// Example: onsager store du --by task
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Du {
    #[command(flatten)]
    place: Place,
    /// A row for each of these
    #[arg(long, value_name = "LEVEL", default_value = "stage")]
    by: By,
}

#[derive(Clone, Copy, ValueEnum)]
enum By {
    Pipeline,
    Stage,
    Task,
}

impl Du {
    pub fn execute(&self) -> Result<u8, CliError> {
        let level = match self.by {
            By::Pipeline => Level::Pipeline,
            By::Stage => Level::Stage,
            By::Task => Level::Task,
        };
        let usage = usage::usage(&self.place.store()?, level)?;
        if self.place.json {
            common::print_json(&usage);
        } else {
            common::print(&table(&usage));
        }
        Ok(exit::DONE)
    }
}

fn table(usage: &Usage) -> String {
    let name = |row: &usage::Row| match (&row.task, &row.stage) {
        (Some(inner), _) | (None, Some(inner)) => format!("{}/{inner}", row.pipeline),
        (None, None) => row.pipeline.clone(),
    };
    let names: Vec<String> = usage.rows.iter().map(name).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(12);
    let mut lines = vec![format!("{:width$} {:>10} {:>10} {:>10}", "", "objects", "shared", "copies")];
    for (name, row) in names.iter().zip(&usage.rows) {
        let (bytes, shared, copies) = (text::size(row.bytes), text::size(row.shared), text::size(row.copies));
        lines.push(format!("{name:width$} {bytes:>10} {shared:>10} {copies:>10}"));
    }
    lines.push(String::new());
    for (name, bytes) in [
        ("objects", usage.object_bytes),
        ("copies", usage.copies),
        ("checkpoints", usage.checkpoints),
        ("fetched", usage.fetched),
        ("environments", usage.environments),
        ("records", usage.records),
        ("logs", usage.logs),
        ("other", usage.other),
    ] {
        lines.push(format!("{name:width$} {:>10}", text::size(bytes)));
    }
    lines.push(format!(
        "{}; `onsager store gc` would free {}",
        text::counted(usage.objects, "object"),
        text::size(usage.unreachable)
    ));
    lines.join("\n") + "\n"
}
