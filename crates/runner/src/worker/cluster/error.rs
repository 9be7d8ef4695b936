//! Why a task cannot come to its end on a cluster.

use crate::worker::memory::bytes;
use crate::worker::protocol::Outcome;
use std::time::Duration;

/// What is wrong with a task, or with its jobs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LostTask {
    #[error("the task may take {} s, and a job of the profile has {} s for it", .wanted.as_secs(), .longest.as_secs())]
    TooLong { wanted: Duration, longest: Duration },
    #[error("the task may take {}, and a job of the profile has {}", bytes(*.wanted), bytes(*.most))]
    TooLarge { wanted: u64, most: u64 },
    #[error("it was stopped {times} times at the end of a job's {} s, without a checkpoint between", .time.as_secs())]
    NeverEnds { times: u32, time: Duration },
    #[error("its job was lost {times} times, the last one {job} on node `{node}` ({how})")]
    Lost { times: u32, job: String, node: String, how: String },
}

impl LostTask {
    fn help(&self) -> &'static str {
        match self {
            LostTask::TooLong { .. } => {
                "raise `time` of the profile in onsager.toml, or lower the stage's `resources: {time: …}`"
            }
            LostTask::TooLarge { .. } => {
                "raise `memory` of the profile in onsager.toml, or lower the stage's `resources: {memory: …}`"
            }
            LostTask::NeverEnds { .. } => {
                "raise `time` of the profile in onsager.toml, or let the stage save a checkpoint"
            }
            LostTask::Lost { .. } => {
                "did it take more memory than the job has? give the stage `resources: {memory: …}`, and the profile more `memory`"
            }
        }
    }

    /// What it means for the task.
    pub fn outcome(&self, profile: &str) -> Outcome {
        Outcome::Failed {
            message: format!("profile `{profile}`: {self}"),
            help: Some(self.help().to_owned()),
        }
    }
}
