//! An account of a run: what its record says, task by task and attempt by attempt. For whoever shows a run, be it over or going on.

use crate::command::usage::Usage;
use crate::pipeline::graph::Point;
use crate::run::claims::Checked;
use crate::run::commit::Commit;
use crate::run::events::{Event, JobOf, Stamped};
use crate::run::facts::Facts;
use crate::run::waits::Waits;
use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::files::StoreError;
use crate::store::log;
use crate::store::objects::Outputs;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What a record says of its run.
#[derive(Debug, Clone, Default)]
pub struct Account {
    pub run: String,
    pub pipeline: String,
    pub file: PathBuf,
    /// The text of that file, in the store's manifests.
    pub source: Option<Digest>,
    /// What the pipeline is, there too.
    pub description: Option<Digest>,
    /// The settings of the parameters.
    pub points: Vec<Point>,
    pub version: String,
    pub kernel: String,
    pub host: String,
    pub jobs: usize,
    pub threads: usize,
    /// How many tasks it has.
    pub total: usize,
    pub facts: Option<Facts>,
    pub commit: Option<Commit>,
    pub started: Option<Timestamp>,
    /// When the latest line was written.
    pub last: Option<Timestamp>,
    pub ended: Option<Ended>,
    /// What became of the pipeline's claims.
    pub claims: Vec<Checked>,
    /// Those that the record names.
    pub tasks: BTreeMap<String, TaskAccount>,
    /// Their names in the order of the graph, as far as that is known.
    pub order: Vec<String>,
    /// What the user was told of the place where tasks run.
    pub notes: Vec<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    pub manifest: Digest,
    pub executed: usize,
    pub cached: usize,
    pub failed: usize,
    pub skipped: usize,
    pub interrupted: bool,
    pub seconds: f64,
}

/// What a record says of a task.
#[derive(Debug, Clone, Default)]
pub struct TaskAccount {
    pub key: Option<Digest>,
    pub standing: Standing,
    pub attempts: Vec<Attempt>,
    /// Of a task that was executed; of a cached one the action record of its key has them.
    pub outputs: Outputs,
    /// How long it took, of one that was executed.
    pub seconds: Option<f64>,
    /// Why it was skipped or not tried.
    pub because: Option<String>,
    /// Of its latest failure, if no attempt has ended well since.
    pub message: Option<String>,
    pub help: Option<String>,
    /// The remote store that had its result.
    pub remote: Option<String>,
    /// How far the attempt is that goes on: done, of, in what unit.
    pub progress: Option<(u64, u64, String)>,
    /// When that attempt told how far it is for the first time, and how far it was; and when it told it last.
    pub progress_since: Option<(Timestamp, u64)>,
    pub progress_at: Option<Timestamp>,
    /// The names of its curves.
    pub metrics: BTreeSet<String>,
}

/// Where a task stands in a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// The result was known.
    Cached,
    /// Another run computes it, or it waits for what it reads to be made again.
    #[default]
    Waiting,
    /// Other runs have the places of its pools.
    Queued,
    Running,
    /// An attempt failed, and another follows.
    Retrying,
    Executed,
    Failed,
    Interrupted,
    /// A job of a cluster goes on with it.
    Left,
    Skipped,
    NotRun,
}

impl Standing {
    /// As it is called in tables and documents.
    pub fn name(self) -> &'static str {
        match self {
            Standing::Cached => "cached",
            Standing::Waiting => "waiting",
            Standing::Queued => "queued",
            Standing::Running => "running",
            Standing::Retrying => "retrying",
            Standing::Executed => "executed",
            Standing::Failed => "failed",
            Standing::Interrupted => "interrupted",
            Standing::Left => "left to its job",
            Standing::Skipped => "skipped",
            Standing::NotRun => "not run",
        }
    }
}

/// One try at a task.
#[derive(Debug, Clone, Default)]
pub struct Attempt {
    /// From 1; 0 where the record does not tell.
    pub number: u32,
    pub started: Timestamp,
    pub ended: Option<Timestamp>,
    /// The machine.
    pub host: String,
    /// The process on it.
    pub worker: Option<u32>,
    /// On a cluster.
    pub job: Option<JobOf>,
    pub threads: usize,
    pub waited: Option<Waits>,
    /// The step of the checkpoint that it went on from.
    pub resumed: Option<u64>,
    /// The checkpoints that it saved, with their steps.
    pub checkpoints: Vec<(Timestamp, u64)>,
    pub usage: Option<Usage>,
    /// Why it failed.
    pub message: Option<String>,
    /// How long the next one waits, in seconds.
    pub wait: Option<f64>,
}

impl Account {
    /// Of the run of this name; an empty one where there is no record.
    pub fn read(store: &Store, run: &str) -> Result<Account, StoreError> {
        let mut account = Account::default();
        log::read_lines(&store.record(run))?.into_iter().for_each(|line| account.add(line));
        // The file's name, not what it says of itself: it may come from elsewhere.
        run.clone_into(&mut account.run);
        account.add_cached(store)?;
        Ok(account)
    }

    /// Adds the tasks whose result was known, once the run is over.
    pub fn add_cached(&mut self, store: &Store) -> Result<(), StoreError> {
        let Some(ended) = &self.ended else { return Ok(()) };
        let listed = store.manifests().get(&ended.manifest)?.unwrap_or_default();
        if self.order.is_empty() {
            self.order = listed.iter().map(|listed| listed.task.clone()).collect();
        }
        for listed in listed {
            let cached = TaskAccount { standing: Standing::Cached, ..TaskAccount::default() };
            let task = self.tasks.entry(listed.task).or_insert(cached);
            // Another run made it after all, or its bytes were lost and are there again.
            if matches!(task.standing, Standing::Waiting | Standing::Queued) {
                task.standing = Standing::Cached;
            }
            task.key.get_or_insert(listed.key);
        }
        Ok(())
    }

    /// Adds the next line of the record.
    pub fn add(&mut self, line: Stamped) {
        let at = line.at.parse().unwrap_or_default();
        self.last = Some(at);
        match line.event {
            Event::RunStarted {
                run,
                pipeline,
                file,
                version,
                kernel,
                tasks,
                jobs,
                threads,
                host,
                source,
                description,
                facts,
                points,
            } => {
                (self.run, self.pipeline, self.file, self.source) = (run, pipeline, file, source);
                (self.description, self.points) = (description, points);
                (self.version, self.kernel, self.host) = (version, kernel, host);
                (self.jobs, self.threads, self.total) = (jobs, threads, tasks);
                (self.facts, self.started) = (facts.map(|facts| *facts), Some(at));
            }
            Event::RunCommit(commit) => self.commit = Some(commit),
            Event::RunGrew { tasks, points } => (self.total, self.points) = (tasks, points),
            Event::RunTasks { tasks, cached } => {
                cached.into_iter().for_each(|task| _ = self.stands(task, Standing::Cached));
                tasks.iter().for_each(|task| _ = self.tasks.entry(task.clone()).or_default());
                self.order = tasks;
            }
            Event::Note { text } => self.notes.push(text),
            Event::ClaimsJudged { claims } => self.claims = claims,
            Event::RunFinished { manifest, executed, cached, failed, skipped, interrupted, seconds } => {
                self.ended =
                    Some(Ended { manifest, executed, cached, failed, skipped, interrupted, seconds });
            }
            event => self.add_of_task(at, event),
        }
    }

    fn add_of_task(&mut self, at: Timestamp, event: Event) {
        match event {
            Event::TaskWaiting { task, key } => {
                let task = self.stands(task, Standing::Waiting);
                task.key = Some(key);
            }
            Event::TaskCached { task, key } => self.stands(task, Standing::Cached).key = Some(key),
            Event::TaskAgain { task } => _ = self.stands(task, Standing::Waiting),
            Event::TaskQueued { task, .. } => _ = self.stands(task, Standing::Queued),
            Event::ResultLost { task } => _ = self.stands(task, Standing::Waiting),
            Event::TaskStarted { task, key, threads, job, attempt, host, worker, waited, log: _ } => {
                let here = self.host.clone();
                let task = self.stands(task, Standing::Running);
                (task.key, task.progress) = (Some(key), None);
                (task.progress_since, task.progress_at) = (None, None);
                let node = job.as_ref().map(|job| job.node.clone());
                task.attempts.push(Attempt {
                    number: attempt,
                    started: at,
                    host: node.or(host).unwrap_or(here),
                    worker,
                    job,
                    threads,
                    waited,
                    ..Attempt::default()
                });
            }
            Event::TaskResumed { task, step } => {
                if let Some(attempt) = self.going(&task) {
                    attempt.resumed = Some(step);
                }
            }
            Event::TaskProgress { task, done, total, unit } => {
                let task = self.tasks.entry(task).or_default();
                task.progress = Some((done, total, unit));
                task.progress_since.get_or_insert((at, done));
                task.progress_at = Some(at);
            }
            Event::TaskCheckpoint { task, step } => {
                if let Some(attempt) = self.going(&task) {
                    attempt.checkpoints.push((at, step));
                }
            }
            Event::TaskMetric { task, name, .. } => {
                self.tasks.entry(task).or_default().metrics.insert(name);
            }
            Event::TaskFinished { task, key, seconds, outputs, usage } => {
                self.end(&task, at, usage, None);
                let task = self.stands(task, Standing::Executed);
                (task.key, task.seconds, task.outputs) = (Some(key), Some(seconds), outputs);
                (task.message, task.help) = (None, None);
            }
            Event::TaskRetrying { task, message, help, wait, usage, .. } => {
                self.end(&task, at, usage, Some(message.clone()));
                let task = self.stands(task, Standing::Retrying);
                (task.message, task.help) = (Some(message), help);
                if let Some(attempt) = task.attempts.last_mut() {
                    attempt.wait = Some(wait);
                }
            }
            Event::TaskFailed { task, message, help, usage, .. } => {
                self.end(&task, at, usage, Some(message.clone()));
                let task = self.stands(task, Standing::Failed);
                (task.message, task.help) = (Some(message), help);
            }
            Event::TaskInterrupted { task, usage } => {
                self.end(&task, at, usage, None);
                self.stands(task, Standing::Interrupted);
            }
            Event::ResultFound { task, key, remote, .. } => {
                let task = self.tasks.entry(task).or_default();
                (task.key, task.remote) = (Some(key), Some(remote));
            }
            Event::TaskLeft { task } => _ = self.stands(task, Standing::Left),
            Event::TaskSkipped { task, because } => {
                self.stands(task, Standing::Skipped).because = Some(because);
            }
            Event::TaskNotRun { task, because } => self.stands(task, Standing::NotRun).because = because,
            // They say nothing of where a task stands, or are in no record.
            _ => {}
        }
    }

    fn stands(&mut self, task: String, standing: Standing) -> &mut TaskAccount {
        let task = self.tasks.entry(task).or_default();
        task.standing = standing;
        task
    }

    /// The attempt at a task that goes on.
    fn going(&mut self, task: &str) -> Option<&mut Attempt> {
        self.tasks.get_mut(task)?.attempts.last_mut().filter(|attempt| attempt.ended.is_none())
    }

    fn end(&mut self, task: &str, at: Timestamp, usage: Option<Usage>, message: Option<String>) {
        if let Some(attempt) = self.going(task) {
            (attempt.ended, attempt.usage, attempt.message) = (Some(at), usage, message);
        }
    }
}
