//! `onsager pull`.

use crate::cli::common::{self, Asked, CliError, plural};
use crate::cli::documents::PullDocument;
use crate::cli::exit;
use crate::cli::progress::{Progress, notice_text};
use crate::cli::remote::choice::Choice;
use crate::cli::store::text;
use crate::cli::transfer::shown;
use crate::kind::registry::Registry;
use crate::pipeline::files::project_root;
use crate::run::events::{Event, Observer};
use crate::run::outcome::Outcome;
use crate::run::session::Session;
use crate::run::settings::Request;
use crate::run::state::TaskState;
use crate::run::workers;
use crate::store::Store;
use crate::store::files;
use crate::store::remote::elsewhere::Notice;
use crate::store::remote::error::RemoteError;
use crate::store::remote::link::runtime;
use crate::store::remote::pull;
use clap::Args;
use std::path::PathBuf;

/// Take results from a remote store, without executing anything
///
/// Of a pipeline's file, the records of all tasks come, and the bytes of the outputs that nothing else of the pipeline takes; with `--all`,
/// those of every task. `onsager run --remote NAME` does the same on its way, and executes what is not there. Of a run, all of its results
/// come with their bytes, and its record, so that `log`, `compare` and `diff` know it.
///
/// Examples:
///   onsager pull experiments/quickstart.yaml
///   onsager pull pipelines/path-action.yaml law --remote lab
///   onsager pull 2026-05-01T12-00-00-3fa9c1d2
///   onsager pull last
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Pull {
    /// A pipeline's file, a run's name, or `last` for the run that was sent there last
    #[arg(value_name = "FILE|RUN")]
    what: PathBuf,
    /// Of a file, only these tasks and what they need: a stage, or instances like `motion[system=free]`; of a run, further runs
    #[arg(value_name = "TASK|RUN")]
    words: Vec<String>,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    asked: Asked,
    /// Fetch the bytes of every task's outputs
    #[arg(long)]
    all: bool,
}

/// What is heard of the run that takes the results.
struct Heard {
    progress: Progress,
    found: Vec<String>,
    received: u64,
    requests: u64,
    /// Nobody answers there.
    offline: Option<String>,
}

impl Observer for Heard {
    fn event(&mut self, event: &Event) {
        match event {
            Event::ResultFound { task, .. } => self.found.push(task.clone()),
            Event::RemoteTraffic { received, requests, .. } => {
                (self.received, self.requests) = (*received, *requests);
            }
            Event::RemoteNotice { notice, .. } => {
                self.offline = self.offline.take().or_else(|| notice.offline())
            }
            // Nothing is to be run.
            Event::TaskNotRun { .. } => return,
            _ => {}
        }
        self.progress.event(event);
    }

    fn tick(&mut self) {
        self.progress.tick();
    }
}

impl Pull {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        // A name with an ending is meant as a file, which may be missing.
        if self.what.is_file() || self.what.extension().is_some() {
            return self.of_file(registry);
        }
        self.of_runs()
    }

    /// The results of runs.
    fn of_runs(&self) -> Result<u8, CliError> {
        let root = common::root()?;
        let remote = self.choice.need(&root)?.open()?;
        let artifacts = self.asked.given.artifacts.clone().unwrap_or_else(|| root.join("artifacts"));
        let store = Store::open(&artifacts)?;
        let (work, _lease) = store.start_work(&format!("pull-{}", files::random()))?;
        let interrupts = workers::interrupts()?;
        let runtime = runtime().map_err(remote.failed("open"))?;
        let all = async {
            let mut all = pull::Report::default();
            for run in
                std::iter::once(self.what.to_string_lossy().into_owned()).chain(self.words.iter().cloned())
            {
                let latest = if run == "last" { pull::latest(&remote).await? } else { None };
                all.add(pull::run(&remote, &store, &latest.unwrap_or(run)).await?);
            }
            Ok::<_, RemoteError>(all)
        };
        let done = shown(&runtime, (&remote.name, &remote.counters), (&interrupts, 1), all);
        files::remove(&work)?;
        let Some(report) = done else {
            common::print_error(
                "interrupted; give the same command to go on: what came is not fetched again",
            );
            return Ok(exit::INTERRUPTED);
        };
        let pull::Report { found, known, missing, refused } = report?;
        if let Some((task, message)) = refused {
            common::print_error(&notice_text(&remote.name, &Notice::Refused { task, message }));
        }
        let traffic = remote.counters.traffic();
        self.print(&PullDocument {
            remote: remote.name,
            found,
            known,
            missing,
            bytes: traffic.received,
            requests: traffic.requests,
        });
        Ok(exit::DONE)
    }

    fn print(&self, document: &PullDocument) {
        if self.asked.json {
            common::print_json(document);
        } else {
            common::print(&told(document));
        }
    }

    fn of_file(&self, registry: &Registry) -> Result<u8, CliError> {
        let chosen = self.choice.need(&project_root(&self.what))?;
        let session = Session::open(&self.what, registry, self.asked.settings()?)?;
        chosen.link(&session, false)?;
        let request = Request {
            tasks: self.words.clone(),
            execute: false,
            everything: self.all,
            look_at_all: true,
            interrupts: workers::interrupts()?,
            ..Request::default()
        };
        let mut heard = Heard {
            progress: Progress::new(session.store()),
            found: Vec::new(),
            received: 0,
            requests: 0,
            offline: None,
        };
        let outcome = session.run(&request, &mut heard)?;
        heard.progress.close();
        let Outcome::Finished(finished) = outcome else { return Ok(exit::DONE) };
        let summary = &finished.summary;
        let ended = finished.graph.tasks.iter().zip(&summary.states);
        let missing =
            ended.filter(|(_, state)| matches!(state, Some(TaskState::NotRun | TaskState::Failed { .. })));
        let document = PullDocument {
            remote: chosen.name,
            found: heard.found,
            known: summary.count(|state| matches!(state, TaskState::Cached { .. })),
            missing: missing.map(|(task, _)| task.id.clone()).collect(),
            bytes: heard.received,
            requests: heard.requests,
        };
        self.print(&document);
        Ok(match heard.offline {
            _ if summary.interrupted => exit::INTERRUPTED,
            Some(_) => exit::FAILED,
            None => exit::DONE,
        })
    }
}

fn told(document: &PullDocument) -> String {
    let mut text = format!(
        "pulled {} from `{}`, {}; {} known here",
        plural(document.found.len(), "result"),
        document.remote,
        text::size(document.bytes),
        document.known
    );
    if !document.missing.is_empty() {
        text += &format!(", {} nowhere", document.missing.len());
    }
    text + "\n"
}
