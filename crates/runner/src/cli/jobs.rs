//! `onsager jobs` and `onsager cancel`.

use crate::cli::common::{self, CliError};
use crate::cli::documents::JobsDocument;
use crate::cli::exit;
use crate::cli::store::text::Place;
use crate::worker::cluster::engines;
use crate::worker::cluster::overview::{self, Engines, JobView, JobWord, Overview};
use clap::Args;

/// Show the cluster's jobs of this project: where they run, and what they have in hand
///
/// Example: onsager jobs
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Jobs {
    #[command(flatten)]
    place: Place,
}

/// End jobs of a cluster: their tasks save a checkpoint and stop
///
/// A run that goes on elsewhere is told to stop, so that it submits no others. The next run goes on from the checkpoints.
///
/// Examples:
///   onsager cancel --all
///   onsager cancel 1234_0 1234_1
///   onsager cancel 2026-11-29T15-25-02-053eb593
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Cancel {
    /// Jobs, or runs with all of their jobs
    #[arg(value_name = "JOB|RUN", required_unless_present = "all")]
    names: Vec<String>,
    /// All jobs of this project
    #[arg(long, conflicts_with = "names")]
    all: bool,
    #[command(flatten)]
    place: Place,
}

impl Jobs {
    pub fn execute(&self) -> Result<u8, CliError> {
        let store = self.place.store()?;
        let Overview { jobs, faults } = overview::look(&store, &engines(&self.place)?)?;
        for fault in &faults {
            common::print_error(&format!("warning: {fault}"));
        }
        if self.place.json {
            common::print_json(&JobsDocument { jobs });
        } else {
            common::print(&table(&jobs));
        }
        Ok(exit::DONE)
    }
}

impl Cancel {
    pub fn execute(&self) -> Result<u8, CliError> {
        let store = self.place.store()?;
        let named = |job: &JobView| {
            let array = job.job.split('_').next().unwrap_or_default();
            self.all || self.names.iter().any(|name| *name == job.job || *name == job.run || name == array)
        };
        let Overview { jobs, faults } = overview::cancel(&store, &engines(&self.place)?, named)?;
        for fault in &faults {
            common::print_error(&format!("error: {fault}"));
        }
        if self.place.json {
            common::print_json(&JobsDocument { jobs });
        } else if jobs.is_empty() {
            common::print("no job to end: `onsager jobs` lists them\n");
        } else {
            let names: Vec<&str> = jobs.iter().map(|job| job.job.as_str()).collect();
            common::print(&format!("ending {}: {}\n", common::plural(jobs.len(), "job"), names.join(", ")));
        }
        Ok(if faults.is_empty() { exit::DONE } else { exit::FAILED })
    }
}

/// The engines of the profiles that this project has.
fn engines(place: &Place) -> Result<Engines, CliError> {
    let config = place.config()?;
    let engines = config.on.iter().filter_map(|(name, profile)| Some((name.clone(), engines::of(profile)?)));
    Ok(engines.collect())
}

fn table(jobs: &[JobView]) -> String {
    if jobs.is_empty() {
        return "no jobs\n".to_owned();
    }
    let rows: Vec<[String; 5]> = jobs
        .iter()
        .map(|job| {
            let state = match job.state {
                JobWord::Waiting => "waiting",
                JobWord::Running => "running",
                JobWord::Ended => "ended",
                JobWord::Unknown => "unknown",
            };
            let state = job.reason.as_ref().map_or(state.to_owned(), |reason| format!("{state} ({reason})"));
            let run = if job.coordinated || job.detached {
                job.run.clone()
            } else {
                format!("{} (ended)", job.run)
            };
            let tasks = if job.detached { "the run itself".to_owned() } else { job.tasks.join(", ") };
            [job.job.clone(), state, job.node.clone().unwrap_or_default(), run, tasks]
        })
        .collect();
    let head = ["job", "state", "node", "run", "tasks"].map(str::to_owned);
    let all: Vec<&[String; 5]> = std::iter::once(&head).chain(&rows).collect();
    let widths: Vec<usize> =
        (0..5).map(|at| all.iter().map(|row| row[at].chars().count()).max().unwrap_or(0)).collect();
    let line = |row: &&[String; 5]| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned() + "\n"
    };
    all.iter().map(line).collect()
}
