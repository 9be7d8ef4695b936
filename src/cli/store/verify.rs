//! `onsager store verify`.

use super::text::{self, Place};
use crate::cli::common::{self, CliError};
use crate::cli::exit;
use crate::stages::registry::Registry;
use crate::store::inventory::Maker;
use crate::store::verify::{self, Damage, Report};
use clap::Args;

/// Read everything in the store again and compare it with its digests
///
/// What is damaged is moved away, and the results that consist of it are forgotten: the next run makes exactly those again.
///
/// Example: onsager store verify --dry-run
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Verify {
    #[command(flatten)]
    place: Place,
    /// Only tell what is damaged
    #[arg(long, short = 'n')]
    dry_run: bool,
}

impl Verify {
    pub fn execute(&self, _registry: &Registry) -> Result<u8, CliError> {
        let report = verify::verify(&self.place.store()?, self.dry_run)?;
        if self.place.json {
            common::print_json(&report);
        } else {
            common::print(&self.text(&report));
        }
        Ok(if report.damage.is_empty() { exit::DONE } else { exit::FAILED })
    }

    fn text(&self, report: &Report) -> String {
        let mut lines: Vec<String> = report.damage.iter().map(line).collect();
        lines.extend(report.edited.iter().map(|path| {
            format!("note: `{}` was edited or removed; the next run restores it", path.display())
        }));
        if !report.forgotten.is_empty() {
            let verb =
                if self.dry_run { "to be made again" } else { "forgotten, to be made again by the next run" };
            lines.push(format!("{verb}: {}", tasks(&report.forgotten)));
        }
        let total = format!("{}, {}", text::counted(report.objects, "object"), text::size(report.bytes));
        lines.push(match report.damage.len() {
            0 => format!("{total}: all intact"),
            n => format!("{total}: {n} damaged"),
        });
        lines.join("\n") + "\n"
    }
}

fn line(damage: &Damage) -> String {
    match damage {
        Damage::Object { digest, message, made_by } => {
            format!("object {digest} is damaged: {message}; {}", made(made_by))
        }
        Damage::Missing { digest, made_by } => format!("object {digest} is missing; {}", made(made_by)),
        Damage::Record { path } => format!("action record `{}` is damaged", path.display()),
        Damage::Checkpoint { path } => format!("checkpoint `{}` is damaged", path.display()),
        Damage::Copy { path, task } => format!("copy `{}` of `{task}` is damaged", path.display()),
    }
}

fn made(makers: &[Maker]) -> String {
    if makers.is_empty() {
        return "no result consists of it".to_owned();
    }
    let by: Vec<String> =
        makers.iter().map(|maker| format!("`{}` in run {}", maker.task, maker.run)).collect();
    format!("made by {}", by.join(", "))
}

fn tasks(makers: &[Maker]) -> String {
    let mut tasks: Vec<String> = makers.iter().map(|maker| format!("`{}`", maker.task)).collect();
    tasks.dedup();
    tasks.join(", ")
}
