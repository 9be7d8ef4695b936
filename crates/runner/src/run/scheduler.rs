//! What a run has in hand, and the transitions of its tasks: a method for each that more than one part of the run makes.
//!
//! `known.rs` looks results up, `start.rs` starts what fits, `reports.rs` takes what workers report, and `drive.rs` goes on until no
//! task can change its state any more.

use crate::command::usage::Usage;
use crate::pipeline::graph::{Dependents, Graph, Task};
use crate::plan::error::EngineError;
use crate::plan::resolve::Resolver;
use crate::run::away::Away;
use crate::run::commit::Asked;
use crate::run::events::{Event, Observer, Record};
use crate::run::growth::Growth;
use crate::run::options::Options;
use crate::run::pools::Share;
use crate::run::requests::Requests;
use crate::run::retry::{Failure, Retrying};
use crate::run::state::{Phase, TaskState};
use crate::run::states::TaskStates;
use crate::run::waits::{For, Waiting, Waits};
use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::locks::Lock;
use crate::store::objects::Content;
use crate::store::view::View;
use crate::worker::executor::Executor;
use crate::worker::folders::Folders;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::time::Instant;

/// A task that a worker has.
pub struct Running {
    /// How the executor calls the attempt: the task may get another number.
    pub attempt: usize,
    pub key: Digest,
    pub share: Share,
    pub deadline: Option<Instant>,
    pub timed_out: bool,
    /// It is ended by force, and begins again.
    pub again: bool,
    /// How often a job of a cluster has begun with it.
    pub begun: u32,
    /// Which attempt at the task it is in this run, from 1, and how long it waited.
    pub number: u32,
    pub waited: Waits,
    pub work: PathBuf,
    pub checkpoints: PathBuf,
    pub log: PathBuf,
    /// The names of its curves.
    pub metrics: BTreeSet<String>,
    /// What it took, of an attempt that does not end well.
    pub usage: Option<Usage>,
    /// When its progress was written to the record last.
    pub last_record: Instant,
    pub _lock: Lock,
    pub _places: Vec<Lock>,
}

/// A run.
pub struct Scheduler<'a, 'r> {
    pub resolver: Resolver<'r>,
    pub store: &'a Store,
    pub options: &'a Options,
    pub executor: &'a mut dyn Executor,
    pub observer: &'a mut dyn Observer,
    pub record: Record,
    /// Whether the record has the tasks of the run.
    pub listed: bool,
    /// What is asked of the run while it goes on.
    pub requests: Requests,
    pub view: View,
    pub run: String,
    pub folders: Folders,
    pub states: TaskStates,
    /// The outputs of each task, as far as they are known; the store may lack their bytes.
    pub results: Vec<Option<Vec<Content>>>,
    pub dependents: Dependents,
    /// Waiting tasks whose inputs are all known now.
    pub decidable: Vec<usize>,
    /// Tasks whose known result is made again because its bytes are needed, each with the tasks that wait for it.
    pub remade: HashMap<usize, Vec<usize>>,
    /// Tasks whose known result was found damaged: they are executed, whether somebody needs the bytes or not.
    pub damaged: HashSet<usize>,
    /// Inputs that tasks found damaged or gone when they were about to begin.
    pub lost: HashSet<(usize, Digest)>,
    pub running: BTreeMap<usize, Running>,
    pub retrying: Retrying,
    pub waits: Waiting,
    pub git: Asked,
    /// Tasks that were reported as waiting for places that another run has.
    pub queued: HashSet<usize>,
    /// How many attempts there were.
    pub attempts: usize,
    pub growth: Growth,
    pub away: Away<'a>,
    /// Of the machine, in bytes.
    pub memory: u64,
    pub failed: bool,
    /// How often Ctrl-C was pressed, as far as the run has acted on it.
    pub interrupts: usize,
}

impl<'a, 'r> Scheduler<'a, 'r> {
    /// The same run with the graph that its own has grown into; the numbers of tasks are still the old ones.
    pub fn on<'b>(self, graph: &'b Graph, options: &'b Options) -> Result<Scheduler<'b, 'b>, EngineError>
    where
        'a: 'b,
        'r: 'b,
    {
        Ok(Scheduler {
            resolver: self.resolver.grown(graph)?,
            store: self.store,
            options,
            executor: self.executor,
            observer: self.observer,
            record: self.record,
            listed: self.listed,
            requests: self.requests,
            view: self.view,
            run: self.run,
            folders: self.folders,
            states: self.states,
            results: self.results,
            dependents: self.dependents,
            decidable: self.decidable,
            remade: self.remade,
            damaged: self.damaged,
            lost: self.lost,
            running: self.running,
            retrying: self.retrying,
            waits: self.waits,
            git: self.git,
            queued: self.queued,
            attempts: self.attempts,
            growth: self.growth,
            away: self.away,
            memory: self.memory,
            failed: self.failed,
            interrupts: self.interrupts,
        })
    }
}

impl Scheduler<'_, '_> {
    pub fn task(&self, number: usize) -> &Task {
        &self.resolver.graph.tasks[number]
    }

    /// Shows an event and writes it to the record.
    pub fn emit(&mut self, event: Event) -> Result<(), EngineError> {
        self.observer.event(&event);
        Ok(self.record.write(&event)?)
    }

    /// Whether no further task is to be started.
    pub fn stopping(&self) -> bool {
        self.interrupts > 0 || (self.failed && !self.options.keep_going)
    }

    /// Brings a task into another state.
    pub fn set(&mut self, number: usize, state: TaskState) -> Result<(), EngineError> {
        match state {
            TaskState::Ready { .. } => self.waits.wait_for(number, For::Threads),
            TaskState::Elsewhere { .. } => self.waits.wait_for(number, For::Lock),
            TaskState::Waiting { .. } => self.waits.wait_for(number, For::Inputs),
            TaskState::Retrying { .. } => self.waits.wait_for(number, For::Retry),
            _ => {}
        }
        self.states.set(number, state).map_err(|refused| EngineError::Transition {
            task: self.resolver.graph.tasks[number].id.clone(),
            from: refused.from.map_or("outside the run", Phase::name),
            to: refused.to.name(),
        })
    }

    /// A known result needs no execution. The record has it in its manifest, and by itself only while something is executed: a run of
    /// many tasks in which nothing has changed keeps a short record.
    pub fn cached(&mut self, number: usize, key: Digest, outputs: Vec<Content>) -> Result<(), EngineError> {
        let task = self.task(number).id.clone();
        let event = Event::TaskCached { task, key };
        if self.listed {
            self.emit(event)?;
        } else {
            self.observer.event(&event);
        }
        self.has_result(number, TaskState::Cached { key }, outputs)
    }

    /// Writes down what tasks the run has, once something is executed: whoever looks at the run meanwhile knows them by that.
    pub fn list_tasks(&mut self) -> Result<(), EngineError> {
        if std::mem::replace(&mut self.listed, true) {
            return Ok(());
        }
        let all = self.resolver.graph.tasks.iter().enumerate();
        let chosen = all.filter(|(number, _)| self.options.selected[*number]);
        let (mut tasks, mut cached) = (Vec::new(), Vec::new());
        for (number, task) in chosen {
            tasks.push(task.id.clone());
            if self.states.get(number).is_some_and(|state| state.phase() == Phase::Cached) {
                cached.push(task.id.clone());
            }
        }
        self.emit(Event::RunTasks { tasks, cached })
    }

    /// A result is known: the tasks that wait for it may go on.
    pub fn has_result(
        &mut self,
        number: usize,
        state: TaskState,
        outputs: Vec<Content>,
    ) -> Result<(), EngineError> {
        self.set(number, state)?;
        self.results[number] = Some(outputs);
        // Made again: the others went on long ago.
        let waiting = self.remade.remove(&number);
        for dependent in waiting.as_deref().unwrap_or(self.dependents.of(number)) {
            if self.states.input_known(*dependent) {
                self.decidable.push(*dependent);
            }
        }
        Ok(())
    }

    /// The pipeline says that it is not to run. What reads it has nothing of it; what the view had of it is out of date.
    pub fn skip(&mut self, number: usize, because: String) -> Result<(), EngineError> {
        let task = self.task(number).id.clone();
        self.view.leave(&task)?;
        self.emit(Event::TaskSkipped { task, because: because.clone() })?;
        let nothing = vec![Content::ABSENT; self.task(number).outputs.len()];
        self.has_result(number, TaskState::Skipped { because }, nothing)
    }

    /// It went wrong, for good.
    pub fn fail(&mut self, number: usize, failure: Failure) -> Result<(), EngineError> {
        self.failed = true;
        let Failure { message, help, log, usage } = failure;
        self.set(number, TaskState::Failed { message: message.clone() })?;
        let task = self.task(number).id.clone();
        self.emit(Event::TaskFailed { task, message, help, log, usage })
    }

    /// It was stopped on request.
    pub fn interrupt(&mut self, number: usize, usage: Option<Usage>) -> Result<(), EngineError> {
        self.set(number, TaskState::Interrupted)?;
        let task = self.task(number).id.clone();
        self.emit(Event::TaskInterrupted { task, usage })
    }
}
