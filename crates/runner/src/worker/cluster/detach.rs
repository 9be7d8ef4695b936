//! A run as a job of the cluster itself: whoever started it can log out.

use crate::config::profiles::Profile;
use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use crate::worker::cluster::engine::{EngineFault, JobState, Submission, quoted};
use crate::worker::cluster::engines;
use crate::worker::cluster::messages::Orders;
use onsager_numerics::kernel::Level;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What is submitted.
pub struct Detach<'a> {
    pub name: &'a str,
    pub profile: &'a Profile,
    /// The name that the submission gets.
    pub run: String,
    pub kernel: Level,
    pub program: (PathBuf, Digest),
    /// The arguments of the program.
    pub arguments: Vec<OsString>,
    /// Where it is started.
    pub folder: &'a Path,
}

/// The job, and where it prints.
pub struct Detached {
    pub job: String,
    pub output: PathBuf,
}

/// Why a run cannot be submitted.
#[derive(Debug, thiserror::Error)]
pub enum DetachError {
    #[error("profile `{name}` is this machine: `--detach` submits the run as a job of a cluster")]
    Here { name: String },
    #[error("profile `{name}`: {fault}")]
    Engine { name: String, fault: EngineFault },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Submits a run.
pub fn detach(store: &Store, detach: Detach) -> Result<Detached, DetachError> {
    let Detach { name, profile, run, kernel, program, arguments, folder } = detach;
    // It only tells others what to do.
    let mut profile = Profile { threads: 1, memory: None, tasks: None, ..profile.clone() };
    profile.setup.push(format!("cd {} || exit", quoted(folder.as_os_str())));
    let engine = engines::of(&profile).ok_or_else(|| DetachError::Here { name: name.to_owned() })?;
    let fault = |fault| DetachError::Engine { name: name.to_owned(), fault };
    for old in
        store.groups()?.into_iter().filter(|group| group.orders().is_some_and(|orders| orders.detached))
    {
        let jobs = old.jobs();
        let Ok(listed) = engine.list(&jobs) else { continue };
        if listed.iter().all(|job| matches!(job.state, JobState::Ended(_))) {
            files::remove(&old.folder)?;
        }
    }
    let group = store.group(&format!("{run}.run"));
    let words: Vec<String> = arguments.iter().map(|word| quoted(word)).collect();
    group.give(&Orders {
        run,
        profile: name.to_owned(),
        detached: true,
        kernel,
        log_format: "text".to_owned(),
        threads: 1,
        memory: None,
        time: profile.time,
        idle: profile.idle,
        drain: profile.drain,
        tasks: None,
        program: program.0.clone(),
        digest: program.1,
    })?;
    let submission = Submission {
        group: group.clone(),
        count: 1,
        name: "onsager-run".to_owned(),
        command: format!("{} {}", quoted(program.0.as_os_str()), words.join(" ")),
    };
    let jobs = match engine.submit(&submission) {
        Ok(jobs) => jobs,
        Err(refused) => {
            files::remove(&group.folder)?;
            return Err(fault(refused));
        }
    };
    group.submitted(&jobs)?;
    let output = group.folder.join("0.out");
    Ok(Detached { job: jobs.into_iter().next().unwrap_or_default(), output })
}
