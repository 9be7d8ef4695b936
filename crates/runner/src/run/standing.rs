//! Where the tasks of a pipeline stand: what a run would find, and what the records of earlier runs tell.

use crate::pipeline::graph::Graph;
use crate::plan::error::EngineError;
use crate::plan::planned::{Verdict, plan};
use crate::run::error::SessionError;
use crate::run::events::{self, Event};
use crate::run::session::Session;
use crate::store::Store;
use std::collections::{HashMap, HashSet};

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// A run computes it just now.
    Running,
    /// Its result is known.
    Done,
    /// Its latest execution went wrong.
    Failed,
    ToDo,
    /// It is to do once what it needs is made.
    Waiting,
    /// The pipeline says that it is not to run.
    Skipped,
    /// What it is to read is not in what it is to be read from.
    ToFail,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Done => "done",
            State::Failed => "failed",
            State::ToDo => "to do",
            State::Waiting => "waiting",
            State::Skipped => "skipped",
            State::ToFail => "to fail",
        }
    }
}

/// A task and where it stands.
#[derive(Debug, Clone)]
pub struct Standing {
    pub task: String,
    pub state: State,
    /// How long its execution took, for a task that is done.
    pub seconds: Option<f64>,
    /// The message of its latest failure, if no execution has succeeded since.
    pub failure: Option<String>,
    /// The run that tried it last.
    pub run: Option<String>,
}

/// The tasks of a pipeline in their order, and the name of its last run.
pub struct Standings {
    pub tasks: Vec<Standing>,
    pub last_run: Option<String>,
}

impl Standings {
    pub fn of(session: &Session, graph: &Graph) -> Result<Standings, SessionError> {
        let store = session.store();
        let mut resolver = session.resolver(graph)?;
        let view = store.view(&graph.name)?;
        let selected = vec![true; graph.tasks.len()];
        let planned = plan(&mut resolver, store, &view, &selected, &HashSet::new())?;
        let (mut past, last_run) = history(store, &graph.name)?;
        let standing = |task: crate::plan::planned::Planned| {
            let Past { seconds, failure, run } = past.remove(&task.task).unwrap_or_default();
            let busy = task.key.is_some_and(|key| store.is_locked(&key));
            let state = match (&task.verdict, &failure) {
                (_, _) if busy => State::Running,
                (Verdict::Current | Verdict::Restore | Verdict::Fetch { .. }, _) => State::Done,
                (Verdict::Skip { .. }, _) => State::Skipped,
                (_, Some(_)) => State::Failed,
                (Verdict::Execute { .. }, None) => State::ToDo,
                (Verdict::Depends { .. } | Verdict::Each { .. }, None) => State::Waiting,
                (Verdict::Fail { .. }, None) => State::ToFail,
            };
            let seconds = seconds.filter(|_| state == State::Done);
            Standing { task: task.task, state, seconds, failure, run }
        };
        Ok(Standings { tasks: planned.into_iter().flatten().map(standing).collect(), last_run })
    }

    /// How many tasks stand so.
    pub fn count(&self, state: State) -> usize {
        self.tasks.iter().filter(|task| task.state == state).count()
    }
}

/// What the records of runs say of a task, the latest last.
#[derive(Default)]
struct Past {
    seconds: Option<f64>,
    failure: Option<String>,
    run: Option<String>,
}

/// What the records say of each task of a pipeline, and the name of its last run.
fn history(store: &Store, pipeline: &str) -> Result<(HashMap<String, Past>, Option<String>), EngineError> {
    let mut past: HashMap<String, Past> = HashMap::new();
    let mut last = None;
    for record in events::records(store, pipeline)? {
        let record = record?;
        let run = record.run;
        for event in record.events {
            match event {
                Event::TaskStarted { task, .. } => past.entry(task).or_default().run = Some(run.clone()),
                Event::TaskFinished { task, seconds, .. } => {
                    let past = past.entry(task).or_default();
                    (past.seconds, past.failure) = (Some(seconds), None);
                }
                Event::TaskFailed { task, message, .. } => {
                    past.entry(task).or_default().failure = Some(message);
                }
                _ => {}
            }
        }
        last = Some(run);
    }
    Ok((past, last))
}
