//! The facts of a run and of its attempts, as `--json` documents have them.

use crate::run::account::{Account, Attempt};
use crate::store::digest::Digest;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// Who ran what, and where.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RunFacts {
    /// RFC 3339, UTC.
    pub started: Option<String>,
    /// When the run ended; null while it goes on, and of one that was killed.
    pub ended: Option<String>,
    /// Of onsager.
    pub version: String,
    /// The digest of the code of all stage kinds that the program has.
    #[schemars(with = "Option<String>")]
    pub program: Option<Digest>,
    pub kernel: String,
    pub host: String,
    /// The operating system and its processor's architecture.
    pub system: Option<String>,
    pub user: Option<String>,
    /// How the program was called, without its own name, and in which folder.
    pub arguments: Vec<String>,
    pub folder: Option<String>,
    /// The variables that change how programs compute, or where, as far as they were set.
    pub environment: BTreeMap<String, String>,
    /// What git had checked out; null where there is no git, or where nothing was computed.
    pub commit: Option<String>,
    pub branch: Option<String>,
    /// Whether files that git knows differed from the commit.
    pub dirty: Option<bool>,
    /// The digest of what `git diff` told of that.
    #[schemars(with = "Option<String>")]
    pub difference: Option<Digest>,
}

impl RunFacts {
    pub fn of(account: &Account) -> RunFacts {
        let facts = account.facts.clone();
        let commit = account.commit.clone();
        RunFacts {
            started: account.started.map(|at| at.to_string()),
            ended: account.ended.and(account.last).map(|at| at.to_string()),
            version: account.version.clone(),
            program: facts.as_ref().and_then(|facts| facts.program),
            kernel: account.kernel.clone(),
            host: account.host.clone(),
            system: facts.as_ref().map(|facts| facts.system.clone()),
            user: facts.as_ref().and_then(|facts| facts.user.clone()),
            arguments: facts.as_ref().map(|facts| facts.arguments.clone()).unwrap_or_default(),
            folder: facts.as_ref().map(|facts| facts.folder.clone()),
            environment: facts.map(|facts| facts.environment).unwrap_or_default(),
            commit: commit.as_ref().map(|commit| commit.commit.clone()),
            branch: commit.as_ref().and_then(|commit| commit.branch.clone()),
            dirty: commit.as_ref().map(|commit| commit.dirty),
            difference: commit.and_then(|commit| commit.difference),
        }
    }
}

/// One try at a task.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AttemptFacts {
    /// From 1; 0 where the record does not tell.
    pub attempt: u32,
    /// RFC 3339, UTC.
    pub started: String,
    /// Null while it goes on, and of one that was killed with its run.
    pub ended: Option<String>,
    /// The machine.
    pub host: String,
    /// The process on it, where it is this run's own.
    pub worker: Option<u32>,
    /// The job of a cluster.
    pub job: Option<String>,
    pub threads: usize,
    /// How long it waited before it started, in seconds: for what it reads, for another run that had its key, for places of a pool, for
    /// room beside other tasks, and for a job of a cluster.
    pub waited_for_inputs: Option<f64>,
    pub waited_for_lock: Option<f64>,
    pub waited_for_pool: Option<f64>,
    pub waited_for_threads: Option<f64>,
    pub waited_for_job: Option<f64>,
    /// The step of the checkpoint that it went on from.
    pub resumed: Option<u64>,
    /// The steps of the checkpoints that it saved.
    pub checkpoints: Vec<u64>,
    /// CPU time of all its processes, in seconds.
    pub cpu: Option<f64>,
    /// The most memory that one of its processes held, in bytes.
    pub memory: Option<u64>,
    /// The bytes that all its processes read and wrote by system calls.
    pub read: Option<u64>,
    pub written: Option<u64>,
    /// Why it failed.
    pub failure: Option<String>,
}

impl AttemptFacts {
    /// The attempts at a task.
    pub fn of(account: &Account, task: &str) -> Vec<AttemptFacts> {
        let attempts = account.tasks.get(task).map_or(&[][..], |task| &task.attempts);
        attempts.iter().map(AttemptFacts::of_one).collect()
    }

    fn of_one(attempt: &Attempt) -> AttemptFacts {
        let (waited, usage) = (attempt.waited, attempt.usage);
        AttemptFacts {
            attempt: attempt.number,
            started: attempt.started.to_string(),
            ended: attempt.ended.map(|at| at.to_string()),
            host: attempt.host.clone(),
            worker: attempt.worker,
            job: attempt.job.as_ref().map(|job| job.job.clone()),
            threads: attempt.threads,
            waited_for_inputs: waited.map(|waited| waited.inputs),
            waited_for_lock: waited.map(|waited| waited.lock),
            waited_for_pool: waited.map(|waited| waited.pool),
            waited_for_threads: waited.map(|waited| waited.threads),
            waited_for_job: attempt.job.as_ref().map(|job| job.queued),
            resumed: attempt.resumed,
            checkpoints: attempt.checkpoints.iter().map(|(_, step)| *step).collect(),
            cpu: usage.map(|usage| usage.cpu),
            memory: usage.map(|usage| usage.memory),
            read: usage.map(|usage| usage.read),
            written: usage.map(|usage| usage.written),
            failure: attempt.message.clone(),
        }
    }
}
