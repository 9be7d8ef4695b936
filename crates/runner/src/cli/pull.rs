//! `onsager pull`.

use crate::cli::common::{self, CliError, Common, plural};
use crate::cli::documents::PullDocument;
use crate::cli::exit;
use crate::cli::progress::Progress;
use crate::cli::remote::choice::Choice;
use crate::cli::store::text;
use crate::kind::registry::Registry;
use crate::run::events::{Event, Observer};
use crate::run::outcome::Outcome;
use crate::run::settings::Request;
use crate::run::state::TaskState;
use crate::run::workers;
use clap::Args;

/// Take results from a remote store, without executing anything
///
/// The records of all tasks come, and the bytes of the outputs that nothing else of the pipeline takes; with `--all`, those of every task.
/// `onsager run --remote NAME` does the same on its way, and executes what is not there.
///
/// Examples:
///   onsager pull experiments/quickstart.yaml
///   onsager pull pipelines/path-action.yaml law --remote lab
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Pull {
    #[command(flatten)]
    common: Common,
    /// Only these tasks and what they need: a stage, or instances like `motion[system=free]`
    #[arg(value_name = "TASK")]
    tasks: Vec<String>,
    #[command(flatten)]
    choice: Choice,
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
        let chosen = self.choice.need(&self.common.pipeline)?;
        let session = self.common.session(registry)?;
        chosen.link(&session, false)?;
        let request = Request {
            tasks: self.tasks.clone(),
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
        if self.common.json {
            common::print_json(&document);
        } else {
            common::print(&told(&document));
        }
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
