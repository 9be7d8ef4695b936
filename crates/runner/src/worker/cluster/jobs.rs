//! The jobs of a coordinator, as the engine tells of them. An empty answer is neither success nor failure; what a pilot says counts for
//! more than what the engine says of its job.

use crate::store::locks::Lock;
use crate::worker::cluster::engine::{JobState, Listed};
use crate::worker::cluster::place::Group;
use std::collections::HashMap;

/// A job that the engine does not list so many times in a row has ended.
const ABSENT: u32 = 2;

/// The jobs of one submission.
pub struct Submitted {
    pub group: Group,
    pub jobs: Vec<Job>,
    /// Until the engine has answered.
    pub pending: bool,
    /// Others leave the group alone while this coordinator has it.
    pub _lock: Lock,
}

/// A job.
#[derive(Debug, Clone)]
pub struct Job {
    pub number: String,
    pub index: usize,
    /// As it was listed last.
    pub state: Option<JobState>,
    /// How often the engine did not list it since.
    absent: u32,
    /// Whether a pilot of it has begun.
    pub begun: bool,
    /// It has ended, and will not start again.
    pub over: bool,
}

impl Job {
    /// The job at a place of its array.
    pub fn numbered((index, number): (usize, String)) -> Job {
        Job { number, index, state: None, absent: 0, begun: false, over: false }
    }

    /// Takes in what the engine lists. Gives whether the job has ended by it, when its pilot had not begun.
    pub fn hear(&mut self, listed: &HashMap<String, Listed>) -> bool {
        if self.over {
            return false;
        }
        match listed.get(&self.number).map(|listed| &listed.state) {
            None => self.absent += 1,
            Some(state) => {
                // It may be listed as ended before the file system shows that its pilot began.
                self.absent = if matches!(state, JobState::Ended(_)) { self.absent + 1 } else { 0 };
                self.state = Some(state.clone());
                if matches!(state, JobState::Stuck(_)) {
                    self.over = true;
                    return !self.begun;
                }
            }
        }
        self.over = self.absent >= ABSENT;
        self.over && !self.begun
    }

    /// How it ended, as far as that is known.
    pub fn end(&self) -> String {
        match &self.state {
            Some(JobState::Ended(how) | JobState::Stuck(how)) => how.clone(),
            _ => "ended".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(state: Option<JobState>) -> HashMap<String, Listed> {
        let job = "7_0".to_owned();
        state.map(|state| (job.clone(), Listed { job, state })).into_iter().collect()
    }

    #[test]
    fn a_job_ends_when_it_is_absent_twice() {
        let mut job = Job::numbered((0, "7_0".into()));
        let running = || Some(JobState::Running("node1".into()));
        for state in [None, running(), None, Some(JobState::Waiting("BeginTime".into())), None] {
            assert!(!job.hear(&listed(state)));
        }
        assert!(job.hear(&listed(None)));
        // Told once.
        assert!(!job.hear(&listed(None)));
        let mut job = Job::numbered((0, "7_0".into()));
        let failed = || Some(JobState::Ended("FAILED".into()));
        assert!(!job.hear(&listed(failed())));
        job.begun = true;
        assert!(!job.hear(&listed(failed())));
        assert!(job.over);
        assert_eq!(job.end(), "FAILED");
    }
}
