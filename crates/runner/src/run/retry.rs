//! Failed tasks that are tried again, each after its wait.

use crate::command::usage::Usage;
use crate::pipeline::spec::resources::Retries;
use crate::store::digest::Digest;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What went wrong in an attempt.
#[derive(Debug, Clone)]
pub struct Failure {
    pub message: String,
    pub help: Option<String>,
    pub log: Option<PathBuf>,
    /// What the attempt took, where it is known.
    pub usage: Option<Usage>,
}

impl Failure {
    /// An error that came before there was a log.
    pub fn before_start(error: &dyn std::error::Error) -> Failure {
        Failure { message: error.to_string(), help: None, log: None, usage: None }
    }

    /// A result that is made and cannot be shown.
    pub fn to_show(error: &dyn std::error::Error, log: Option<PathBuf>) -> Failure {
        let help = "the result is in the store: put this right, and run again to have it shown";
        Failure { message: error.to_string(), help: Some(help.to_owned()), log, usage: None }
    }

    /// What the scheduler found wrong with an attempt.
    pub fn of(fault: &Fault, log: PathBuf, usage: Option<Usage>) -> Failure {
        Failure { message: fault.to_string(), help: Some(fault.help().to_owned()), log: Some(log), usage }
    }
}

/// What the scheduler itself finds wrong with an attempt, whatever its worker says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("input `{}` was changed while the task ran", .path.display())]
    InputChanged { path: PathBuf },
    #[error("object {object} of an input is damaged again after it was made anew")]
    InputLost { object: Digest },
    #[error("the time limit of {} s was reached", .limit.as_secs())]
    TimeLimit { limit: Duration },
}

impl Fault {
    fn help(&self) -> &'static str {
        match self {
            Fault::InputChanged { .. } => "run again: the result is not kept",
            Fault::InputLost { .. } => "check the disk; `onsager store verify` tells what else is damaged",
            Fault::TimeLimit { .. } => {
                "raise `resources: {time: …}`; a stage with checkpoints goes on from the last"
            }
        }
    }
}

/// A further try that is granted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Again {
    /// Which of the retries it is, from 1.
    pub retry: u32,
    pub of: u32,
    pub wait: Duration,
}

/// The tasks that wait for their next try.
#[derive(Debug, Default)]
pub struct Retrying {
    /// How many retries each task has had.
    had: HashMap<usize, u32>,
    waiting: BTreeMap<usize, (Instant, Failure)>,
}

impl Retrying {
    /// Lets a failed task wait for another try, if it has one left; else gives the failure back.
    pub fn put(
        &mut self,
        number: usize,
        retries: Option<&Retries>,
        now: Instant,
        failure: Failure,
    ) -> Result<Again, Failure> {
        let had = self.had.get(&number).copied().unwrap_or(0);
        let Some(retries) = retries.filter(|retries| had < retries.times) else { return Err(failure) };
        let again = Again { retry: had + 1, of: retries.times, wait: wait_before(retries, had + 1) };
        self.had.insert(number, again.retry);
        // What it took is told now.
        self.waiting.insert(number, (now + again.wait, Failure { usage: None, ..failure }));
        Ok(again)
    }

    /// The tasks whose wait is over; they wait no longer.
    pub fn due(&mut self, now: Instant) -> Vec<usize> {
        let due = self.waiting.iter().filter(|(_, (at, _))| *at <= now).map(|(number, _)| *number);
        let due: Vec<usize> = due.collect();
        for number in &due {
            self.waiting.remove(number);
        }
        due
    }

    /// Takes a task out; false if it does not wait.
    pub fn remove(&mut self, number: usize) -> bool {
        self.waiting.remove(&number).is_some()
    }

    /// A task that was asked for has all its retries once more, and waits no longer.
    pub fn forget(&mut self, number: usize) {
        self.had.remove(&number);
        self.waiting.remove(&number);
    }

    /// Every task that still waits, with its last failure; none waits afterwards.
    pub fn give_up(&mut self) -> impl Iterator<Item = (usize, Failure)> + use<> {
        std::mem::take(&mut self.waiting).into_iter().map(|(number, (_, failure))| (number, failure))
    }

    /// Gives the tasks other numbers; those without one are forgotten.
    pub fn renumber(&mut self, new: impl Fn(usize) -> Option<usize>) {
        let had = std::mem::take(&mut self.had).into_iter();
        self.had = had.filter_map(|(number, had)| Some((new(number)?, had))).collect();
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        self.waiting = waiting.filter_map(|(number, wait)| Some((new(number)?, wait))).collect();
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// The wait before a retry, counted from 1.
fn wait_before(retries: &Retries, retry: u32) -> Duration {
    let seconds = retries.wait.as_secs_f64() * libm::pow(retries.factor, f64::from(retry.saturating_sub(1)));
    // Beyond what a duration can hold it is longer than the longest in any case.
    Duration::try_from_secs_f64(seconds).map_or(retries.longest, |wait| wait.min(retries.longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest() {
        let seconds = Duration::from_secs;
        let retries = Retries { times: 500, wait: seconds(2), factor: 3.0, longest: seconds(50) };
        let waits: Vec<Duration> = (1..=5).map(|retry| wait_before(&retries, retry)).collect();
        assert_eq!(waits, [seconds(2), seconds(6), seconds(18), seconds(50), seconds(50)]);
        assert_eq!(wait_before(&retries, 500), seconds(50));
    }

    #[test]
    fn a_task_has_its_retries_and_no_more() {
        let failure = || Failure { message: "no".into(), help: None, log: None, usage: None };
        let retries = Retries { times: 1, wait: Duration::from_secs(1), ..Retries::default() };
        let (mut retrying, now) = (Retrying::default(), Instant::now());
        assert!(retrying.put(7, None, now, failure()).is_err());
        let again = Again { retry: 1, of: 1, wait: Duration::from_secs(1) };
        assert_eq!(retrying.put(7, Some(&retries), now, failure()).ok(), Some(again));
        assert!(retrying.due(now).is_empty());
        assert_eq!(retrying.due(now + again.wait), [7]);
        assert!(retrying.is_empty());
        assert!(retrying.put(7, Some(&retries), now, failure()).is_err());
    }
}
