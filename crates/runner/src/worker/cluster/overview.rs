//! All jobs that a store knows of: what `onsager jobs` shows, and ending them.

use crate::store::Store;
use crate::store::files::{self, StoreError};
use crate::worker::cluster::engine::{Engine, EngineFault, JobState, Listed};
use crate::worker::cluster::orphans::OrphanPilot;
use crate::worker::cluster::place::Group;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// A job, as a person wants to know of it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct JobView {
    /// As its scheduler calls it.
    pub job: String,
    pub profile: String,
    /// The run that submitted it.
    pub run: String,
    /// Whether that run, or one that took over from it, goes on.
    pub coordinated: bool,
    pub state: JobWord,
    /// Why it waits or how it ended, in the scheduler's words.
    pub reason: Option<String>,
    pub node: Option<String>,
    /// Whether it is a run that was started with `--detach`, and no pilot.
    pub detached: bool,
    /// The tasks that it has in hand.
    pub tasks: Vec<String>,
}

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobWord {
    Waiting,
    Running,
    Ended,
    /// The scheduler was not asked, or did not answer.
    Unknown,
}

/// The jobs, and what schedulers did not answer.
pub struct Overview {
    pub jobs: Vec<JobView>,
    pub faults: Vec<EngineFault>,
}

/// The engines of the profiles by their names.
pub type Engines = BTreeMap<String, Box<dyn Engine>>;

/// Looks at every job.
pub fn look(store: &Store, engines: &Engines) -> Result<Overview, StoreError> {
    let mut overview = Overview { jobs: Vec::new(), faults: Vec::new() };
    for group in store.groups()? {
        let Some(orders) = group.orders() else { continue };
        let jobs = group.jobs();
        let listed = match engines.get(&orders.profile).map(|engine| engine.list(&jobs)) {
            Some(Ok(listed)) => Some(listed),
            Some(Err(fault)) => {
                if !overview.faults.contains(&fault) {
                    overview.faults.push(fault);
                }
                None
            }
            None => None,
        };
        let mut pilots = Vec::new();
        for name in group.pilots()? {
            // Asked before its last words are read.
            let going = store.is_going(&group.lease(&name));
            let mut pilot = OrphanPilot::of(&group, name)?;
            pilot.hear()?;
            if going && !pilot.over {
                pilots.push(pilot);
            }
        }
        let coordinated = store.is_coordinated(&group);
        for (index, job) in jobs.into_iter().enumerate() {
            let pilot = pilots.iter().find(|pilot| pilot.name.index == index);
            let (mut state, reason, mut node) = state_of(&job, listed.as_deref());
            if let Some(pilot) = pilot {
                // It works, whatever its scheduler says.
                state = JobWord::Running;
                node = Some(pilot.node.clone());
            }
            let tasks = pilot.map_or_else(Vec::new, |pilot| {
                pilot.running.values().map(|in_hand| in_hand.task.clone()).collect()
            });
            let (profile, run) = (orders.profile.clone(), orders.run.clone());
            let detached = orders.detached;
            overview.jobs.push(JobView {
                job,
                profile,
                run,
                coordinated,
                state,
                reason,
                node,
                detached,
                tasks,
            });
        }
    }
    Ok(overview)
}

fn state_of(job: &str, listed: Option<&[Listed]>) -> (JobWord, Option<String>, Option<String>) {
    let Some(listed) = listed else { return (JobWord::Unknown, None, None) };
    let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    match listed.iter().find(|listed| listed.job == job).map(|listed| &listed.state) {
        Some(JobState::Waiting(reason) | JobState::Stuck(reason)) => (JobWord::Waiting, some(reason), None),
        Some(JobState::Running(node)) => (JobWord::Running, None, some(node)),
        Some(JobState::Ended(how)) => (JobWord::Ended, some(how), None),
        None => (JobWord::Ended, None, None),
    }
}

/// Ends the jobs that are chosen. A run that goes on is told to stop, so that it submits no others. Gives the jobs, and what schedulers
/// did not do.
pub fn cancel(
    store: &Store,
    engines: &Engines,
    chosen: impl Fn(&JobView) -> bool,
) -> Result<Overview, StoreError> {
    let mut overview = look(store, engines)?;
    overview.jobs.retain(|job| job.state != JobWord::Ended && chosen(job));
    let groups = store.groups()?;
    let runs_go_on = groups.iter().any(|group| store.is_coordinated(group));
    for group in groups {
        let Some(orders) = group.orders() else { continue };
        // A run that is told to stop ends by itself.
        if orders.detached && runs_go_on {
            continue;
        }
        let numbers = group.jobs();
        let of_group: Vec<String> =
            overview.jobs.iter().map(|view| view.job.clone()).filter(|job| numbers.contains(job)).collect();
        if of_group.is_empty() {
            continue;
        }
        if store.is_coordinated(&group) {
            group.ask_to_stop()?;
        } else if let Some(Err(fault)) = engines.get(&orders.profile).map(|engine| engine.cancel(&of_group)) {
            overview.faults.push(fault);
        }
    }
    Ok(overview)
}

impl Group {
    /// Tells the coordinator that its jobs are to end, and its run with them.
    fn ask_to_stop(&self) -> Result<(), StoreError> {
        files::write_atomic(&self.folder.join(STOP), b"")
    }

    /// Whether that was told.
    pub fn is_to_stop(&self) -> bool {
        self.folder.join(STOP).exists()
    }
}

/// The file in a group's folder that says so.
const STOP: &str = "stop";
