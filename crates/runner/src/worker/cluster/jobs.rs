//! The jobs of a coordinator, as the engine tells of them. An empty answer is neither success nor failure; what a pilot says counts for
//! more than what the engine says of its job.

use crate::store::locks::Lock;
use crate::worker::cluster::engine::{JobState, Listed};
use crate::worker::cluster::place::Group;
use std::collections::HashMap;

/// A job that the engine does not list so many times in a row has ended. One that it lists so many times in a row as running although
/// its pilot is gone does nothing, and will not: a node or a daemon may be lost.
const TIMES: u32 = 2;

/// The jobs of one submission.
pub struct Submitted {
    pub group: Group,
    pub jobs: Vec<Job>,
    /// Until the engine has answered.
    pub pending: bool,
    /// Whoever submitted it did not live to note its jobs: until the engine has told of them.
    pub sought: bool,
    /// A job of it ended before it began.
    pub stillborn: bool,
    /// Others leave the group alone while this coordinator has it.
    pub _lock: Lock,
}

impl Submitted {
    pub fn new(group: Group, lock: Lock) -> Submitted {
        Submitted { group, jobs: Vec::new(), pending: false, sought: false, stillborn: false, _lock: lock }
    }

    /// Its jobs, now that their numbers are known.
    pub fn known(&mut self, numbers: Vec<String>) {
        self.jobs = numbers.into_iter().enumerate().map(Job::numbered).collect();
    }

    /// Whether the engine may have jobs of it whose numbers are not known.
    pub fn is_unknown(&self) -> bool {
        !self.pending && self.jobs.is_empty()
    }
}

/// A job.
#[derive(Debug, Clone)]
pub struct Job {
    pub number: String,
    pub index: usize,
    /// As it was listed last.
    pub state: Option<JobState>,
    /// How often the engine did not list it since, and how often it listed it as running without a pilot.
    absent: u32,
    idle: u32,
    /// Whether a pilot of it has begun.
    pub begun: bool,
    /// Whether all pilots that have begun in it are gone. Its engine may start it again, and with it another pilot.
    pub deserted: bool,
    /// The engine was away while it waited, and may have forgotten it.
    pub doubtful: bool,
    /// It has ended, and will not start again.
    pub over: bool,
}

impl Job {
    /// The job at a place of its array.
    pub fn numbered((index, number): (usize, String)) -> Job {
        Job {
            number,
            index,
            state: None,
            absent: 0,
            idle: 0,
            begun: false,
            deserted: false,
            doubtful: false,
            over: false,
        }
    }

    /// Whether a pilot will begin in it.
    pub fn is_to_begin(&self) -> bool {
        let again = self.deserted && matches!(self.state, Some(JobState::Waiting(_)));
        !self.over && (!self.begun || again)
    }

    /// So many pilots have begun in it, of which so many are over.
    pub fn has_pilots(&mut self, begun: usize, over: usize) {
        (self.begun, self.deserted) = (begun > 0, begun > 0 && over == begun);
    }

    /// Whether it may have ended for a reason that is none of its own: a node or a daemon that was lost.
    pub fn may_have_been_lost(&self) -> bool {
        match &self.state {
            Some(JobState::Ended(how)) => self.doubtful || how.starts_with("NODE_FAIL"),
            Some(JobState::Stuck(_)) | Some(JobState::Waiting(_)) | Some(JobState::Running(_)) | None => true,
        }
    }

    /// Takes in what the engine lists. Gives whether the job is over by it.
    pub fn hear(&mut self, listed: &HashMap<String, Listed>) -> bool {
        if self.over {
            return false;
        }
        match listed.get(&self.number).map(|listed| &listed.state) {
            None => self.absent += 1,
            Some(state) => {
                // It may be listed as ended before the file system shows that its pilot began.
                self.absent = if matches!(state, JobState::Ended(_)) { self.absent + 1 } else { 0 };
                let is_idle = self.deserted && matches!(state, JobState::Running(_));
                self.idle = if is_idle { self.idle + 1 } else { 0 };
                self.state = Some(state.clone());
            }
        }
        self.over = self.absent >= TIMES || self.has_to_be_cancelled();
        self.over
    }

    /// Whether the engine still has it, to no use.
    pub fn has_to_be_cancelled(&self) -> bool {
        matches!(self.state, Some(JobState::Stuck(_))) || self.idle >= TIMES
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
        state.map(|state| (job.clone(), Listed { job, state, group: None })).into_iter().collect()
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
        assert!(!job.has_to_be_cancelled());
        let mut job = Job::numbered((0, "7_0".into()));
        let failed = || Some(JobState::Ended("FAILED".into()));
        assert!(!job.hear(&listed(failed())));
        assert!(job.hear(&listed(failed())));
        assert_eq!(job.end(), "FAILED");
    }

    #[test]
    fn a_job_without_its_pilot_starts_again_or_is_cancelled() {
        let mut job = Job::numbered((0, "7_0".into()));
        let running = || listed(Some(JobState::Running("node1".into())));
        let waiting = |reason: &str| listed(Some(JobState::Waiting(reason.into())));
        assert!(job.is_to_begin());
        job.has_pilots(1, 0);
        assert!(!job.hear(&running()) && !job.is_to_begin());
        // It was requeued: another pilot will come.
        job.has_pilots(1, 1);
        assert!(!job.hear(&running()) && !job.is_to_begin());
        assert!(!job.hear(&waiting("BeginTime")) && job.is_to_begin());
        job.has_pilots(2, 1);
        assert!(!job.hear(&running()) && !job.is_to_begin());
        // Its engine does not know that its node is lost.
        job.has_pilots(2, 2);
        assert!(!job.hear(&running()));
        assert!(job.hear(&running()) && job.has_to_be_cancelled());
    }
}
