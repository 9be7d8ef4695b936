//! What onsager asks of a scheduler of jobs: submit, list, cancel. Who answers is behind a trait: Slurm, or commands of a profile.

use crate::config::profiles::Profile;
use crate::worker::cluster::place::Group;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// An engine that does not answer for so long is not waited for.
const PATIENCE: Duration = Duration::from_secs(100);

/// Jobs to submit: `count` times the same script.
#[derive(Debug, Clone)]
pub struct Submission {
    pub group: Group,
    pub count: usize,
    /// The name that lists of jobs show.
    pub name: String,
    /// What each runs; `{index}` stands for its place in the array, `{elapsed}` for its age in seconds.
    pub command: String,
}

/// A job as its engine lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub job: String,
    pub state: JobState,
    /// The folder of its group, if the engine tells it.
    pub group: Option<PathBuf>,
}

/// How a job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// With the engine's reason, if it gives one. A job that was preempted or requeued waits too.
    Waiting(String),
    /// It waits for something that will not come, with the engine's reason.
    Stuck(String),
    /// With its node, if the engine tells it.
    Running(String),
    /// With the engine's word for how.
    Ended(String),
}

/// Why an engine did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineFault {
    #[error("there is no `{program}` here; run onsager where jobs are submitted, on a login node")]
    NoProgram { program: String },
    /// It said no, and will say so again.
    #[error("`{program}` refused: {said}{}", hint(.said))]
    Refused { program: String, said: String },
    /// It may answer later.
    #[error("`{program}` does not answer: {said}")]
    Silent { program: String, said: String },
}

/// Submits, lists and cancels jobs.
pub trait Engine: Send {
    /// Gives the numbers of the jobs, in the order of their places.
    fn submit(&self, submission: &Submission) -> Result<Vec<String>, EngineFault>;
    /// Those of the jobs that the engine knows. One that it does not list has ended, or is about to be listed. Others of this user may
    /// be among them, with their group.
    fn list(&self, jobs: &[String]) -> Result<Vec<Listed>, EngineFault>;
    fn cancel(&self, jobs: &[String]) -> Result<(), EngineFault>;
}

/// The numbers of a group's jobs that an engine lists although nobody lived to note them. `17_2` tells of `17_0` and `17_1` as well, which
/// may have ended.
pub fn unnoted<'l>(group: &Group, listed: impl IntoIterator<Item = &'l Listed>) -> Vec<String> {
    let own = listed.into_iter().filter(|listed| listed.group.as_ref() == Some(&group.folder));
    let places = own.filter_map(|listed| {
        let (array, index) = listed.job.rsplit_once('_')?;
        Some((index.parse::<usize>().ok()?, array))
    });
    let last = places.max();
    last.map_or_else(Vec::new, |(last, array)| (0..=last).map(|index| format!("{array}_{index}")).collect())
}

/// What to do about the usual refusals.
pub fn hint(said: &str) -> &'static str {
    let said = said.to_lowercase();
    for (part, hint) in [
        (
            "partitiontimelimit",
            "; `sinfo` lists each partition's limit: lower `time` in the profile, or take another `partition`",
        ),
        (
            "partitionconfig",
            "; no node of the partition has so many threads or so much memory: lower them in the profile",
        ),
        ("partition", "; `sinfo` lists the partitions: set `partition` in the profile"),
        (
            "account",
            "; `sacctmgr show associations user=$USER` lists your accounts: set `account` in the profile",
        ),
        (
            "time limit",
            "; `sinfo` lists each partition's limit: lower `time` in the profile, or take another `partition`",
        ),
        ("memory", "; `sinfo -o '%P %m'` lists what nodes have: lower `memory` in the profile"),
        (
            "node configuration",
            "; no node has so many threads or so much memory: lower `threads` or `memory` in the profile",
        ),
        ("qos", "; set another `qos` in the profile"),
    ] {
        if said.contains(part) {
            return hint;
        }
    }
    ""
}

/// What a command printed, if it ended well.
pub fn ask(program: &str, arguments: &[String]) -> Result<String, EngineFault> {
    let silent = |said: String| EngineFault::Silent { program: program.to_owned(), said };
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let child = match child {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(EngineFault::NoProgram { program: program.to_owned() });
        }
        child => child.map_err(|error: io::Error| silent(error.to_string()))?,
    };
    let id = rustix::process::Pid::from_child(&child);
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(PATIENCE) else {
        // It fails only when it has ended meanwhile.
        let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
        return Err(silent(format!("no answer in {} s", PATIENCE.as_secs())));
    };
    let output = output.map_err(|error| silent(error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let said = if said.is_empty() { output.status.to_string() } else { said.join("; ") };
    const LATER: [&str; 7] =
        ["contact", "timed out", "connection", "unreachable", "zero bytes", "temporarily", "try again"];
    let lower = said.to_lowercase();
    match LATER.iter().any(|part| lower.contains(part)) {
        true => Err(silent(said)),
        false => Err(EngineFault::Refused { program: program.to_owned(), said }),
    }
}

/// The script of a job: the profile's lines, then the pilot.
pub fn script(profile: &Profile, submission: &Submission, index: &str) -> String {
    let setup: String = profile.setup.iter().map(|line| format!("{line}\n")).collect();
    let command = submission.command.replace("{index}", index).replace("{elapsed}", "\"$SECONDS\"");
    format!("#!/bin/bash\n{setup}exec {command}\n")
}

/// A path or a word as a shell reads it.
pub fn quoted(word: &std::ffi::OsStr) -> String {
    format!("'{}'", word.to_string_lossy().replace('\'', r"'\''"))
}

/// The script that all jobs of a group run, where an engine takes one for all.
pub const SCRIPT: &str = "job.sh";

/// Where the scripts of a group are.
pub fn script_path(group: &Group, index: Option<usize>) -> PathBuf {
    group.folder.join(index.map_or(SCRIPT.to_owned(), |index| format!("job-{index}.sh")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_that_nobody_noted_are_known_by_their_group() {
        let group = |name: &str| Group { name: name.to_owned(), folder: PathBuf::from("/pilots").join(name) };
        let listed = |job: &str, group: Option<&Group>| Listed {
            job: job.to_owned(),
            state: JobState::Waiting(String::new()),
            group: group.map(|group| group.folder.clone()),
        };
        let (one, two) = (group("run.1"), group("run.2"));
        let all = [
            listed("17_2", Some(&one)),
            listed("17_10", Some(&one)),
            listed("18_3", Some(&two)),
            listed("19_0", None),
        ];
        let numbers: Vec<String> = (0..=10).map(|index| format!("17_{index}")).collect();
        assert_eq!(unnoted(&one, &all), numbers);
        assert_eq!(unnoted(&two, &all), ["18_0", "18_1", "18_2", "18_3"]);
        assert!(unnoted(&group("run.3"), &all).is_empty());
    }
}
