//! Slurm, by its command line. Accounting may be off: nothing here needs it.

use crate::config::profiles::Profile;
use crate::store::files;
use crate::worker::cluster::engine::{
    Engine, EngineFault, JobState, Listed, SCRIPT, Submission, ask, script, script_path,
};
use std::path::Path;

/// Of so many jobs that the queue does not have it is asked whether Slurm remembers them; none of it is needed.
const MOST_ABSENT: usize = 8;

/// Slurm with the options of a profile.
pub struct Slurm {
    profile: Profile,
}

impl Slurm {
    pub fn new(profile: Profile) -> Slurm {
        Slurm { profile }
    }

    fn options(&self, submission: &Submission) -> Vec<String> {
        let Profile { partition, account, qos, threads, memory, time, options, .. } = &self.profile;
        // Slurm counts whole minutes.
        let minutes = time.as_secs().div_ceil(60).max(1);
        let mut words = vec![
            "--parsable".to_owned(),
            format!("--job-name={}", submission.name),
            format!("--array=0-{}", submission.count - 1),
            "--ntasks=1".to_owned(),
            format!("--cpus-per-task={threads}"),
            format!("--time={minutes}"),
            "--requeue".to_owned(),
            "--open-mode=append".to_owned(),
            format!("--output={}/%a.out", submission.group.folder.display()),
        ];
        words.extend(memory.map(|bytes| format!("--mem={}K", bytes.div_ceil(1024))));
        for (name, value) in [("partition", partition), ("account", account), ("qos", qos)] {
            words.extend(value.as_ref().map(|value| format!("--{name}={value}")));
        }
        words.extend(options.iter().cloned());
        words
    }
}

impl Engine for Slurm {
    fn submit(&self, submission: &Submission) -> Result<Vec<String>, EngineFault> {
        let refused = |said: String| EngineFault::Refused { program: "sbatch".into(), said };
        let path = script_path(&submission.group, None);
        let text = script(&self.profile, submission, "\"$SLURM_ARRAY_TASK_ID\"");
        files::write_atomic(&path, text.as_bytes()).map_err(|error| refused(error.to_string()))?;
        let mut words = self.options(submission);
        words.push(path.display().to_string());
        let said = ask("sbatch", &words)?;
        // `123`, or `123;cluster` where there are several.
        let job = said.trim().split(';').next().unwrap_or_default().to_owned();
        if job.is_empty() || !job.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(refused(format!("it printed `{}` and no number of a job", said.trim())));
        }
        Ok((0..submission.count).map(|index| format!("{job}_{index}")).collect())
    }

    fn list(&self, jobs: &[String]) -> Result<Vec<Listed>, EngineFault> {
        // All of this user's: to ask for a job that it has forgotten is an error.
        let words = ["--noheader", "--array", "--me", "--states=all", "--format=%i|%T|%N|%r|%o"];
        let said = ask("squeue", &words.map(str::to_owned))?;
        let mut there: Vec<Listed> = said.lines().filter_map(listed).collect();
        there.retain(|listed| listed.group.is_some() || jobs.contains(&listed.job));
        let absent = jobs.iter().filter(|job| !there.iter().any(|listed| listed.job == **job));
        let remembered: Vec<Listed> = absent.take(MOST_ABSENT).filter_map(|job| remembered(job)).collect();
        there.extend(remembered);
        Ok(there)
    }

    fn cancel(&self, jobs: &[String]) -> Result<(), EngineFault> {
        match ask("scancel", jobs) {
            // They have ended already.
            Err(EngineFault::Refused { said, .. }) if said.contains("Invalid job id") => Ok(()),
            done => done.map(|_| ()),
        }
    }
}

/// What Slurm remembers of a job that is in its queue no more; it need not remember anything.
fn remembered(job: &str) -> Option<Listed> {
    let shown = ask("scontrol", &["--oneliner".into(), "show".into(), "job".into(), job.into()]);
    if let Ok(shown) = shown {
        let field = |name: &str| shown.split_whitespace().find_map(|word| word.strip_prefix(name));
        let reason = field("Reason=").unwrap_or_default();
        let state = state(field("JobState=")?, "", reason);
        return Some(Listed { job: job.to_owned(), state, group: None });
    }
    let words = ["--noheader", "--parsable2", "--allocations", "--format=State", "--jobs"].map(str::to_owned);
    let said = ask("sacct", &words.into_iter().chain([job.to_owned()]).collect::<Vec<_>>()).ok()?;
    // `CANCELLED by 1000`.
    let word = said.lines().next()?.split_whitespace().next()?;
    Some(Listed { job: job.to_owned(), state: state(word, "", ""), group: None })
}

/// `123_0|RUNNING|node1|None|/…/job.sh`. The script of a job tells its group.
fn listed(line: &str) -> Option<Listed> {
    let mut fields = line.trim().splitn(5, '|');
    let (job, state, node, reason) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let script = Path::new(fields.next()?);
    let group = script.parent().filter(|_| script.file_name().is_some_and(|name| name == SCRIPT));
    Some(Listed {
        job: job.to_owned(),
        state: self::state(state, node, reason),
        group: group.map(Path::to_owned),
    })
}

fn state(word: &str, node: &str, reason: &str) -> JobState {
    match word {
        "RUNNING" | "COMPLETING" | "SUSPENDED" | "STOPPED" | "SIGNALING" | "STAGE_OUT" => {
            JobState::Running(node.to_owned())
        }
        // A preempted job waits for its next turn.
        "PENDING" | "CONFIGURING" | "PREEMPTED" | "REQUEUED" | "REQUEUE_HOLD" | "REQUEUE_FED"
        | "RESV_DEL_HOLD" | "SPECIAL_EXIT" | "RESIZING" => {
            const NEVER: [&str; 5] = [
                "PartitionTimeLimit",
                "PartitionConfig",
                "BadConstraints",
                "launch failed",
                "DependencyNeverSatisfied",
            ];
            match reason {
                "None" => JobState::Waiting(String::new()),
                reason if NEVER.iter().any(|never| reason.contains(never)) => {
                    JobState::Stuck(reason.to_owned())
                }
                reason => JobState::Waiting(reason.to_owned()),
            }
        }
        _ => JobState::Ended(state_and_reason(word, reason)),
    }
}

fn state_and_reason(state: &str, reason: &str) -> String {
    match reason {
        "" | "None" => state.to_owned(),
        reason => format!("{state}, {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_squeue_are_read() {
        let state = |line: &str| listed(&format!("{line}|/a/job.sh")).map(|listed| listed.state);
        assert_eq!(state("7_0|RUNNING|node1|None"), Some(JobState::Running("node1".into())));
        assert_eq!(state("7_1|PENDING||Resources"), Some(JobState::Waiting("Resources".into())));
        assert_eq!(state("7_1|PREEMPTED|node1|None"), Some(JobState::Waiting(String::new())));
        assert_eq!(
            state("7_2|FAILED|node1|JobLaunchFailure"),
            Some(JobState::Ended("FAILED, JobLaunchFailure".into()))
        );
        assert_eq!(state("7_2|NODE_FAIL|node1|None"), Some(JobState::Ended("NODE_FAIL".into())));
        assert_eq!(listed("slurm_load_jobs error"), None);
        let group = |line: &str| listed(line).and_then(|listed| listed.group);
        assert_eq!(group("7_0|RUNNING|node1|None|/a b/pilots/r.1/job.sh"), Some("/a b/pilots/r.1".into()));
        assert_eq!(group("7_0|RUNNING|node1|None|/home/me/other.sh"), None);
    }
}
