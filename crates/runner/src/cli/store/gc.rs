//! `onsager store gc`.

use crate::cli::common::{self, CliError};
use crate::cli::documents::GcDocument;
use crate::cli::exit;
use crate::cli::store::text::{self, Place};
use crate::pipeline::spec::resources;
use crate::store::gc::{self, Collected, Options, What};
use clap::Args;
use std::time::Duration;

/// How many of the things that go are shown one by one.
const SHOWN: usize = 20;

/// Drop objects that are not needed, and what dead runs left behind; results stay known
///
/// Without `--older-than` and `--max-size`: what no view shows and none of the last runs used.
///
/// Examples:
///   onsager store gc --dry-run
///   onsager store gc --older-than 30d --max-size 20GiB
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Gc {
    #[command(flatten)]
    place: Place,
    /// Drop objects, fetched files and environments that no run used for this long, like `30d` or `12h`
    #[arg(long, value_name = "TIME", value_parser = time)]
    older_than: Option<Duration>,
    /// Drop the least recently used of these until the rest fits, like `20GiB`
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    max_size: Option<u64>,
    /// Keep the results of the last N runs of each pipeline [default: 10, or 0 with `--older-than` or `--max-size`]
    #[arg(long, value_name = "N")]
    keep_runs: Option<usize>,
    /// Drop the records and logs of runs before those as well
    #[arg(long)]
    logs: bool,
    /// Only show what would go
    #[arg(long, short = 'n')]
    dry_run: bool,
}

fn time(text: &str) -> Result<Duration, String> {
    resources::time(text).ok_or_else(|| "write numbers with units, like `90s`, `12h` or `30d`".to_owned())
}

fn bytes(text: &str) -> Result<u64, String> {
    resources::memory(text).ok_or_else(|| "write a number with a unit, like `512MiB` or `20GiB`".to_owned())
}

impl Gc {
    pub fn execute(&self) -> Result<u8, CliError> {
        let store = self.place.store()?;
        let collected = gc::collect(
            &store,
            &Options {
                older_than: self.older_than,
                max_size: self.max_size,
                keep_runs: self.keep_runs,
                logs: self.logs,
                dry_run: self.dry_run,
            },
        )?;
        if self.place.json {
            common::print_json(&GcDocument { dry_run: self.dry_run, collected });
        } else {
            common::print(&self.report(&collected));
        }
        Ok(exit::DONE)
    }

    fn report(&self, collected: &Collected) -> String {
        let mut text = String::new();
        if self.dry_run {
            for item in collected.items.iter().take(SHOWN) {
                let mut tasks: Vec<&str> = item.made_by.iter().map(|maker| maker.task.as_str()).collect();
                tasks.dedup();
                let of = if tasks.is_empty() { item.path.display().to_string() } else { tasks.join(", ") };
                text += &format!("{:>10}  {:12} {of}\n", text::size(item.bytes), noun(item.what));
            }
            if collected.items.len() > SHOWN {
                text += &format!(
                    "… and {} more (`--json` shows all)\n",
                    common::count((collected.items.len() - SHOWN) as u64)
                );
            }
        }
        let of = |objects: bool| {
            let of = collected.items.iter().filter(|item| (item.what == What::Object) == objects);
            of.fold((0, 0), |(count, bytes), item| (count + 1, bytes + item.bytes))
        };
        let ((objects, bytes), (others, other_bytes)) = (of(true), of(false));
        let verb = if self.dry_run { "would drop" } else { "dropped" };
        text += &format!("{verb} {}, {}", text::counted(objects, "object"), text::size(bytes));
        if others > 0 {
            text += &format!(", and {}, {}", text::counted(others, "other thing"), text::size(other_bytes));
        }
        text += &format!(
            "; {} left, {}\n",
            text::counted(collected.objects_left, "object"),
            text::size(collected.bytes_left)
        );
        if !collected.running.is_empty() {
            text +=
                &format!("kept what {} may need\n", common::plural(collected.running.len(), "running run"));
        }
        text
    }
}

fn noun(what: What) -> &'static str {
    match what {
        What::Object => "object",
        What::Fetched => "fetched file",
        What::Environment => "environment",
        What::Checkpoints => "checkpoints",
        What::Metrics => "curves",
        What::Leftover => "leftover",
        What::Damaged => "damaged",
        What::Graph => "cached graph",
        What::Log => "log",
    }
}
