//! Profiles: places where tasks may run, `[on.NAME]` of `onsager.toml`.

use crate::pipeline::spec::resources;
use onsager_numerics::kernel::Level;
use serde::{Deserialize, Deserializer};
use std::time::Duration;

/// A place where tasks may run: a cluster, by its engine.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    pub engine: Engine,
    /// Slurm's `--partition`.
    pub partition: Option<String>,
    /// Slurm's `--account`.
    pub account: Option<String>,
    /// Slurm's `--qos`.
    pub qos: Option<String>,
    /// Further options for the submit command.
    #[serde(default)]
    pub options: Vec<String>,
    /// Lines of shell that each job runs before its first task: `module load …`.
    #[serde(default)]
    pub setup: Vec<String>,
    /// The most jobs at a time.
    #[serde(default = "four")]
    pub jobs: usize,
    /// The threads of one job.
    #[serde(default = "one")]
    pub threads: usize,
    /// The memory of one job, in bytes: `"16GiB"`.
    #[serde(default, deserialize_with = "memory")]
    pub memory: Option<u64>,
    /// How long one job may take: `"4h"`.
    #[serde(default = "hour", deserialize_with = "time")]
    pub time: Duration,
    /// How long a job waits for another task before it ends.
    #[serde(default = "minute", deserialize_with = "time")]
    pub idle: Duration,
    /// How long before its end a job asks its tasks to save a checkpoint and stop.
    #[serde(default = "minute", deserialize_with = "time")]
    pub drain: Duration,
    /// How many tasks a job takes; none for as many as fit its time.
    pub tasks: Option<usize>,
    /// How often the engine is asked for its jobs.
    #[serde(default = "half_a_minute", deserialize_with = "time")]
    pub poll: Duration,
    /// The kernel level of numeric stages on these nodes.
    pub kernel: Option<Level>,
    /// Of the engine `command`: submits the script at the end of its words, and prints the job's number.
    pub submit: Option<String>,
    /// Of the engine `command`: lists the jobs that wait or run, one in a line that begins with its number.
    pub status: Option<String>,
    /// Of the engine `command`: ends the job `{job}`.
    pub cancel: Option<String>,
}

/// Who schedules the jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// This machine, as without a profile.
    Local,
    Slurm,
    /// Anything with commands that submit, list and cancel jobs: PBS, SGE, HyperQueue.
    Command,
}

/// What is wrong with a profile as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileFault {
    #[error("the engine `command` needs `{field}`")]
    Missing { field: &'static str },
    #[error("`{field}` is for the engine `{engine}` only")]
    Foreign { field: &'static str, engine: &'static str },
    #[error("`{field}` must be at least 1")]
    Zero { field: &'static str },
    #[error("`drain` must be shorter than `time`")]
    Drain,
}

impl Profile {
    /// This machine, as it is without a profile.
    pub fn here() -> Profile {
        Profile {
            engine: Engine::Local,
            partition: None,
            account: None,
            qos: None,
            options: Vec::new(),
            setup: Vec::new(),
            jobs: four(),
            threads: one(),
            memory: None,
            time: hour(),
            idle: minute(),
            drain: minute(),
            tasks: None,
            poll: half_a_minute(),
            kernel: None,
            submit: None,
            status: None,
            cancel: None,
        }
    }

    /// How many tasks a run may give to its jobs at a time, begun or not.
    pub fn in_hand(&self) -> usize {
        /// Short tasks are given to a job before it has room for them, so many for each of its threads.
        const AHEAD: usize = 17;
        /// Each holds a file open.
        const MOST: usize = 2000;
        (self.jobs * self.threads * AHEAD).min(MOST)
    }

    /// Whether its fields go together.
    pub fn check(&self) -> Result<(), ProfileFault> {
        let commands = [("submit", &self.submit), ("status", &self.status), ("cancel", &self.cancel)];
        for (field, command) in commands {
            match (self.engine, command) {
                (Engine::Command, None) => return Err(ProfileFault::Missing { field }),
                (Engine::Local | Engine::Slurm, Some(_)) => {
                    return Err(ProfileFault::Foreign { field, engine: "command" });
                }
                _ => {}
            }
        }
        let slurms = [("partition", &self.partition), ("account", &self.account), ("qos", &self.qos)];
        if let Some((field, _)) =
            slurms.iter().find(|(_, given)| given.is_some()).filter(|_| self.engine != Engine::Slurm)
        {
            return Err(ProfileFault::Foreign { field, engine: "slurm" });
        }
        for (field, count) in
            [("jobs", self.jobs), ("threads", self.threads), ("tasks", self.tasks.unwrap_or(1))]
        {
            if count == 0 {
                return Err(ProfileFault::Zero { field });
            }
        }
        if self.drain >= self.time { Err(ProfileFault::Drain) } else { Ok(()) }
    }
}

fn one() -> usize {
    1
}

fn four() -> usize {
    4
}

fn half_a_minute() -> Duration {
    Duration::from_secs(30)
}

fn minute() -> Duration {
    Duration::from_secs(60)
}

fn hour() -> Duration {
    Duration::from_secs(3600)
}

fn memory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let help = "write a number with a unit, like `512MiB`, `1.5GiB` or `2GB`";
    resources::memory(&text).map(Some).ok_or_else(|| serde::de::Error::custom(help))
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let nothing = text.trim() == "0" || text.trim() == "0s";
    let help = "write numbers with units, like `90s`, `30m`, `1h30m` or `2d`";
    let read = if nothing { Some(Duration::ZERO) } else { resources::time(&text) };
    read.ok_or_else(|| serde::de::Error::custom(help))
}
