//! A run as a job of the cluster itself: whoever started it can log out.

use crate::config::profiles::Profile;
use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use crate::worker::cluster::engine::{Engine, EngineFault, JobState, Submission, quoted};
use crate::worker::cluster::engines;
use crate::worker::cluster::messages::Orders;
use crate::worker::cluster::place::Group;
use onsager_numerics::kernel::Level;
use std::collections::HashSet;
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
    forget_ended(store, name, engine.as_ref())?;
    let group = store.group(&format!("{run}.run"));
    let words: Vec<String> = arguments.iter().map(|word| quoted(word)).collect();
    let orders = Orders::of((name, &profile), &run, kernel, "text", program.1);
    group.give(&Orders { detached: true, ..orders })?;
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

/// Removes what is left of runs that were submitted to this profile and have ended.
fn forget_ended(store: &Store, profile: &str, engine: &dyn Engine) -> Result<(), StoreError> {
    let is_meant = |orders: Orders| orders.detached && orders.profile == profile;
    let groups = store.groups()?.into_iter();
    let old: Vec<Group> = groups.filter(|group| group.orders().is_some_and(is_meant)).collect();
    if old.is_empty() {
        return Ok(());
    }
    // It may have ended, or not, where nobody answers.
    let jobs: Vec<String> = old.iter().flat_map(Group::jobs).collect();
    let Ok(listed) = engine.list(&jobs) else { return Ok(()) };
    let alive = listed.iter().filter(|listed| !matches!(listed.state, JobState::Ended(_)));
    let alive: HashSet<&String> = alive.map(|listed| &listed.job).collect();
    for group in old {
        let jobs = group.jobs();
        // One without a number may be on its way.
        if !jobs.is_empty() && !jobs.iter().any(|job| alive.contains(job)) {
            files::remove(&group.folder)?;
        }
    }
    Ok(())
}
