//! All jobs that a store knows of: what `onsager jobs` shows, and ending them.

use crate::store::Store;
use crate::store::files::{self, StoreError};
use crate::worker::cluster::engine::{Engine, EngineFault, JobState, Listed, unnoted};
use crate::worker::cluster::messages::Orders;
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

/// A group with its jobs.
struct GroupView {
    group: Group,
    orders: Orders,
    jobs: Vec<JobView>,
}

/// Looks at every job.
pub fn look(store: &Store, engines: &Engines) -> Result<Overview, StoreError> {
    let (groups, faults) = look_at_groups(store, engines)?;
    Ok(Overview { jobs: groups.into_iter().flat_map(|view| view.jobs).collect(), faults })
}

fn look_at_groups(
    store: &Store,
    engines: &Engines,
) -> Result<(Vec<GroupView>, Vec<EngineFault>), StoreError> {
    let groups = store.groups()?.into_iter();
    let groups: Vec<(Group, Orders)> =
        groups.filter_map(|group| Some((group.clone(), group.orders()?))).collect();
    let (mut listed, mut faults) = (BTreeMap::new(), Vec::new());
    for (name, engine) in engines {
        let own = groups.iter().filter(|(_, orders)| orders.profile == *name);
        let own: Vec<&Group> = own.map(|(group, _)| group).collect();
        if own.is_empty() {
            continue;
        }
        match engine.list(&own.iter().flat_map(|group| group.jobs()).collect::<Vec<_>>()) {
            Ok(jobs) => _ = listed.insert(name.clone(), jobs),
            Err(fault) if faults.contains(&fault) => {}
            Err(fault) => faults.push(fault),
        }
    }
    let mut views = Vec::new();
    for (group, orders) in groups {
        let listed = listed.get(&orders.profile).map(Vec::as_slice);
        let jobs = jobs_of(store, &group, &orders, listed)?;
        views.push(GroupView { group, orders, jobs });
    }
    Ok((views, faults))
}

/// The jobs of a group; `listed` is what their engine said, if it was asked and answered.
fn jobs_of(
    store: &Store,
    group: &Group,
    orders: &Orders,
    listed: Option<&[Listed]>,
) -> Result<Vec<JobView>, StoreError> {
    let mut pilots = Vec::new();
    for name in group.pilots()? {
        // Asked before its last words are read.
        let going = store.has_pilot(group, &name);
        let mut pilot = OrphanPilot::of(group, name)?;
        pilot.hear()?;
        if going && !pilot.over {
            pilots.push(pilot);
        }
    }
    let mut numbers = group.jobs();
    if numbers.is_empty() {
        numbers = unnoted(group, listed.unwrap_or_default());
    }
    let coordinated = store.is_coordinated(group);
    let view = |(index, job): (usize, String)| {
        let pilot = pilots.iter().find(|pilot| pilot.name.index == index);
        let (mut state, reason, mut node) = state_of(&job, listed);
        if let Some(pilot) = pilot {
            // It works, whatever its scheduler says.
            state = JobWord::Running;
            node = Some(pilot.node.clone());
        }
        let tasks = pilot.map_or_else(Vec::new, |pilot| {
            pilot.running.values().map(|in_hand| in_hand.task.clone()).collect()
        });
        let (profile, run, detached) = (orders.profile.clone(), orders.run.clone(), orders.detached);
        JobView { job, profile, run, coordinated, state, reason, node, detached, tasks }
    };
    Ok(numbers.into_iter().enumerate().map(view).collect())
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
    let (groups, mut faults) = look_at_groups(store, engines)?;
    let runs_go_on = groups.iter().any(|view| store.is_coordinated(&view.group));
    let mut jobs = Vec::new();
    for GroupView { group, orders, jobs: mut own } in groups {
        own.retain(|job| job.state != JobWord::Ended && chosen(job));
        // A run that is told to stop ends by itself.
        let ends_by_itself = orders.detached && runs_go_on;
        if ends_by_itself || own.is_empty() {
            jobs.extend(own);
            continue;
        }
        let numbers: Vec<String> = own.iter().map(|view| view.job.clone()).collect();
        if store.is_coordinated(&group) {
            group.ask_to_stop()?;
        } else if let Some(Err(fault)) = engines.get(&orders.profile).map(|engine| engine.cancel(&numbers)) {
            faults.push(fault);
        }
        jobs.extend(own);
    }
    Ok(Overview { jobs, faults })
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
