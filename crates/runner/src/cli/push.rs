//! `onsager push`.

use crate::cli::common::{self, Asked, CliError, plural};
use crate::cli::documents::{NotPushed, PushDocument};
use crate::cli::exit;
use crate::cli::progress::difference_text;
use crate::cli::remote::choice::Choice;
use crate::cli::store::text;
use crate::cli::transfer::shown;
use crate::compare::history::{self, HistoryError};
use crate::kind::registry::Registry;
use crate::pipeline::files::project_root;
use crate::plan::planned::{Verdict, plan};
use crate::run::session::{self, Session};
use crate::run::workers;
use crate::store::Store;
use crate::store::actions::Action;
use crate::store::remote::link::runtime;
use crate::store::remote::push::{Pusher, Report};
use crate::store::runs::{self, Run};
use clap::Args;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Send results to a remote store
///
/// Of a pipeline's file, the results that it has now are sent, of all tasks or of some; of a run, all of its results. The objects go first
/// and the record last, so that no record is there without its objects. What is there already is not sent again. A result with other bytes
/// than one that is there is reported, and the one that came first stays.
///
/// Examples:
///   onsager push experiments/quickstart.yaml
///   onsager push pipelines/path-action.yaml law --remote lab
///   onsager push 2026-05-01T12-00-00-3fa9c1d2
///   onsager push last
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Push {
    /// A pipeline's file, or a run: its name or the beginning of one, or `last`
    #[arg(value_name = "FILE|RUN")]
    what: String,
    /// Of a file, only these tasks and what they need; of a run, further runs
    #[arg(value_name = "TASK|RUN")]
    words: Vec<String>,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    asked: Asked,
    /// Ask the server about everything again, instead of relying on what is known to be there
    #[arg(long)]
    anew: bool,
}

/// What is to be sent.
struct Cargo {
    store: Store,
    actions: Vec<Action>,
    runs: Vec<Run>,
    /// Tasks of the pipeline that have no result.
    without: usize,
}

impl Push {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        let file = Path::new(&self.what);
        let of_file = file.is_file();
        let root = if of_file { project_root(file) } else { common::root()? };
        let remote = self.choice.need(&root)?.open()?;
        let cargo = if of_file { self.of_file(file, registry)? } else { self.of_runs(&root)? };
        let interrupts = workers::interrupts()?;
        let runtime = runtime().map_err(remote.failed("open"))?;
        let (name, counters) = (remote.name.clone(), remote.counters.clone());
        let pusher = Arc::new(runtime.block_on(Pusher::begin(remote, cargo.store.clone(), self.anew))?);
        let without = cargo.without;
        let work = pusher.clone().all(cargo.actions, cargo.runs);
        let report = shown(&runtime, (&name, &counters), (&interrupts, 1), work);
        // What was sent is noted, and the mark goes, whatever came of the rest.
        let ended = runtime.block_on(pusher.end());
        let Some(report) = report else {
            runtime.shutdown_timeout(Duration::from_secs(1));
            common::print_error(
                "interrupted; give the same command to go on: what is there is not sent again",
            );
            return Ok(exit::INTERRUPTED);
        };
        let report = report?;
        ended?;
        let requests = counters.requests.load(Ordering::Relaxed);
        let document = document(name, report, requests, without);
        let code =
            if document.differs.is_empty() && document.failed.is_empty() { exit::DONE } else { exit::FAILED };
        if self.asked.json {
            common::print_json(&document);
        } else {
            common::print(&told(&document));
        }
        Ok(code)
    }

    fn of_file(&self, file: &Path, registry: &Registry) -> Result<Cargo, CliError> {
        let session = Session::open(file, registry, self.asked.settings()?)?;
        let (graph, store) = (session.graph()?, session.store().clone());
        let selected = session::select(&graph, &self.words)?;
        let mut resolver = session.resolver(&graph)?;
        let planned = plan(&mut resolver, &store, &store.view(&graph.name)?, &selected, &HashSet::new())?;
        let (mut actions, mut without) = (Vec::new(), 0);
        for planned in planned.into_iter().flatten() {
            let known = matches!(planned.verdict, Verdict::Current | Verdict::Restore);
            match planned.key.filter(|_| known).map(|key| store.actions().get(&key)).transpose()?.flatten() {
                Some(action) => actions.push(action),
                None => without += usize::from(!matches!(planned.verdict, Verdict::Skip { .. })),
            }
        }
        let latest = runs::all(&store)?.into_iter().rfind(|run| run.pipeline == graph.name && run.done);
        Ok(Cargo { store, actions, runs: latest.into_iter().collect(), without })
    }

    fn of_runs(&self, root: &Path) -> Result<Cargo, CliError> {
        let artifacts = self.asked.given.artifacts.clone().unwrap_or_else(|| root.join("artifacts"));
        let store = Store::at(&artifacts)?;
        let (all, past) = (runs::all(&store)?, history::runs(&store, None)?);
        let (mut actions, mut chosen, mut seen, mut without) = (Vec::new(), Vec::new(), HashSet::new(), 0);
        for word in std::iter::once(&self.what).chain(&self.words) {
            let unknown = || CliError::Request(format!("there is no pipeline file and no run `{word}`"));
            let id = match history::find(&past, word, None) {
                Err(HistoryError::Unknown { .. } | HistoryError::NoRun { .. }) => return Err(unknown()),
                found => &found?.run,
            };
            let run = all.iter().find(|run| run.id == *id).ok_or_else(unknown)?;
            for key in run.results.values().filter(|key| seen.insert(**key)) {
                match store.actions().get(key)? {
                    Some(action) => actions.push(action),
                    None => without += 1,
                }
            }
            chosen.push(run.clone());
        }
        Ok(Cargo { store, actions, runs: chosen, without })
    }
}

fn document(remote: String, report: Report, requests: u64, without: usize) -> PushDocument {
    let failed = report.failed.into_iter().map(|(task, message)| NotPushed { task, message }).collect();
    let Report { new, there, bytes, differs, unsigned, .. } = report;
    PushDocument { remote, new, there, without, differs, unsigned, failed, bytes, requests }
}

/// What a person reads.
fn told(document: &PushDocument) -> String {
    let mut text = String::new();
    for difference in &document.differs {
        text += &format!("{}\n", difference_text(difference));
    }
    for failed in &document.failed {
        text += &format!("{}: not pushed: {}\n", failed.task, failed.message);
    }
    text += &format!(
        "pushed {} to `{}`, {}; {} there already",
        plural(document.new, "result"),
        document.remote,
        text::size(document.bytes),
        document.there
    );
    for (count, words) in [
        (document.differs.len(), "with other bytes there"),
        (document.unsigned.len(), "not sent, which came from elsewhere unsigned"),
        (document.failed.len(), "not pushed"),
        (document.without, "without a result"),
    ] {
        if count > 0 {
            text += &format!(", {count} {words}");
        }
    }
    text + "\n"
}
