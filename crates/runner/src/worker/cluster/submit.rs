//! Jobs: how many are submitted, what the engine says of them, and finding the pilots that begin in them.

use crate::store::files::StoreError;
use crate::worker::cluster::desk::Answer;
use crate::worker::cluster::engine::{EngineFault, JobState, Submission, hint, quoted, unnoted};
use crate::worker::cluster::executor::{ClusterExecutor, PATIENCE, Setting};
use crate::worker::cluster::jobs::{Job, Submitted};
use crate::worker::cluster::messages::Orders;
use crate::worker::cluster::pilots::Pilot;
use crate::worker::cluster::place::PILOT;
use std::time::Instant;

impl ClusterExecutor {
    /// Submits as many jobs as there is work for.
    pub(super) fn submit(&mut self) -> Result<(), StoreError> {
        let pending = self.groups.values().any(|group| group.pending || group.sought);
        if self.cancelled || pending || self.queue.is_empty() {
            return Ok(());
        }
        let profile = &self.setting.profile;
        let threads: usize =
            self.tasks.values().map(|task| task.assignment.threads.min(profile.threads)).sum();
        let by_threads = threads.div_ceil(profile.threads);
        let by_count = profile.tasks.map_or(0, |tasks| self.tasks.len().div_ceil(tasks));
        let wanted = by_threads.max(by_count).min(profile.jobs);
        let at_work =
            |pilot: &&Pilot| pilot.is_at_work() && pilot.left() > profile.drain && !self.is_spent(pilot);
        let begun = self.pilots.values().filter(at_work).count();
        let to_begin = self.groups.values().flat_map(|group| &group.jobs);
        let to_begin = to_begin.filter(|job| job.is_to_begin()).count();
        // What is given back is submitted anew; what is spent makes room for another.
        let Some(count) = wanted.checked_sub(begun + to_begin).filter(|count| *count > 0) else {
            return Ok(());
        };
        let name = format!("{}.{}", self.setting.run, self.groups.len() + 1);
        let group = self.setting.store.group(&name);
        let Some(lock) = self.setting.store.try_coordinate(&group)? else { return Ok(()) };
        let Setting { store, name: profile_name, run, kernel, log_format, program, .. } = &self.setting;
        group.give(&Orders::of((profile_name.as_str(), profile), run, *kernel, log_format, program.1))?;
        let (program, artifacts) = (quoted(program.0.as_os_str()), quoted(store.artifacts().as_os_str()));
        let submission = Submission {
            group: group.clone(),
            count,
            name: format!("onsager-{profile_name}"),
            command: format!("{program} {PILOT} {artifacts} {} {{index}} {{elapsed}}", quoted(name.as_ref())),
        };
        self.groups.insert(name, Submitted { pending: true, ..Submitted::new(group, lock) });
        self.desk.submit(submission);
        Ok(())
    }

    pub(super) fn is_spent(&self, pilot: &Pilot) -> bool {
        self.setting.profile.tasks.is_some_and(|tasks| pilot.given >= tasks)
    }

    /// The jobs that have not ended.
    pub(super) fn jobs_out(&self) -> Vec<String> {
        let jobs = self.groups.values().flat_map(|group| &group.jobs).filter(|job| !job.over);
        jobs.map(|job| job.number.clone()).collect()
    }

    pub(super) fn answered(&mut self, answer: Answer) -> Result<(), StoreError> {
        match answer {
            Answer::Submitted { group, jobs } => {
                let Some(submitted) = self.groups.get_mut(&group) else { return Ok(()) };
                submitted.pending = false;
                match jobs {
                    Ok(numbers) => {
                        self.known(&group, numbers, "submitted")?;
                        (self.silent, self.asked) = (false, Some(Instant::now()));
                    }
                    Err(fault @ EngineFault::Silent { .. }) => {
                        // Whether it has taken the jobs is not known: pilots that begin all the same are welcome.
                        self.stays_silent(&fault);
                    }
                    Err(fault) => {
                        self.groups.remove(&group);
                        self.give_up(&fault.to_string());
                    }
                }
            }
            Answer::Listed(Ok(listed)) => {
                if std::mem::take(&mut self.silent) {
                    self.note("it answers again".to_owned());
                    let jobs = self.groups.values_mut().flat_map(|group| &mut group.jobs);
                    jobs.filter(|job| job.is_to_begin()).for_each(|job| job.doubtful = true);
                }
                let unknown = self.groups.iter().filter(|(_, group)| group.is_unknown());
                let found = unknown.map(|(name, of)| (name.clone(), unnoted(&of.group, listed.values())));
                for (name, numbers) in found.collect::<Vec<_>>() {
                    if !numbers.is_empty() {
                        self.known(&name, numbers, "an earlier run submitted")?;
                    }
                }
                self.groups.values_mut().for_each(|group| group.sought = false);
                self.look_for_pilots()?;
                let mut over = Vec::new();
                for (name, group) in &mut self.groups {
                    for job in &mut group.jobs {
                        if job.hear(&listed) {
                            over.push((name.clone(), job.clone()));
                        }
                    }
                }
                let useless = over.iter().filter(|(_, job)| job.has_to_be_cancelled());
                let useless: Vec<String> = useless.map(|(_, job)| job.number.clone()).collect();
                if !useless.is_empty() {
                    self.desk.cancel(useless);
                }
                for (group, job) in over.iter().filter(|(_, job)| !job.begun) {
                    self.stillborn(group, job);
                }
            }
            Answer::Listed(Err(fault)) => {
                self.groups.values_mut().for_each(|group| group.sought = false);
                self.stays_silent(&fault);
            }
            Answer::Cancelled(Err(fault)) => self.note(format!("jobs were not cancelled: {fault}")),
            Answer::Cancelled(Ok(())) => {}
        }
        Ok(())
    }

    /// The numbers of a group's jobs are known.
    fn known(&mut self, name: &str, numbers: Vec<String>, how: &str) -> Result<(), StoreError> {
        let Some(submitted) = self.groups.get_mut(name) else { return Ok(()) };
        submitted.group.submitted(&numbers)?;
        let text = format!("{how} {}", span(&numbers));
        submitted.known(numbers);
        // Pilots may have begun before.
        self.tell_jobs(name);
        self.note(text);
        Ok(())
    }

    /// Tells the jobs of a group which pilots have begun in them, and which are over.
    pub(super) fn tell_jobs(&mut self, name: &str) {
        let Some(submitted) = self.groups.get_mut(name) else { return };
        for job in &mut submitted.jobs {
            let own = self.pilots.values().filter(|pilot| pilot.group == submitted.group);
            let own = own.filter(|pilot| pilot.name.index == job.index);
            let (begun, over) = own.fold((0, 0), |(n, over), pilot| (n + 1, over + usize::from(pilot.over)));
            job.has_pilots(begun, over);
        }
    }

    /// An engine that does not answer is no failure.
    pub(super) fn stays_silent(&mut self, fault: &EngineFault) {
        if !std::mem::replace(&mut self.silent, true) {
            self.note(format!("{fault}; jobs that run go on, and it is asked again"));
        }
    }

    /// A job ended before its pilot began.
    pub(super) fn stillborn(&mut self, group: &str, job: &Job) {
        let Some(submitted) = self.groups.get_mut(group) else { return };
        let printed = submitted.group.printed(job.index);
        // Jobs of one submission may all have ended for the same reason.
        if !std::mem::replace(&mut submitted.stillborn, true) {
            let lost = job.may_have_been_lost() && printed.is_empty();
            self.stillborn += if lost { 1 } else { PATIENCE };
        }
        let goes_on = self.stillborn < PATIENCE * PATIENCE;
        if let Some(JobState::Stuck(reason)) = &job.state {
            let text = format!("job {} will not start ({reason}){}", job.number, hint(reason));
            // A node that was faulty may be the only one that is.
            return match goes_on && reason.contains("launch failed") {
                true => self.note(text),
                false => self.give_up(&text),
            };
        }
        let printed = if printed.is_empty() { String::new() } else { format!(": {}", printed.join("; ")) };
        let text = format!("job {} ended before it began ({}){printed}", job.number, job.end());
        match goes_on {
            true => self.note(text),
            false => self.give_up(&format!("{text}; do the `setup` lines of the profile work on a node?")),
        }
    }

    /// No job can be had: the run cannot go on.
    pub(super) fn give_up(&mut self, message: &str) {
        self.fault = Some(format!("profile `{}`: {message}", self.setting.name));
    }

    /// Finds the pilots that have begun.
    pub(super) fn look_for_pilots(&mut self) -> Result<(), StoreError> {
        let mut with_new = Vec::new();
        for (group, submitted) in &self.groups {
            // The numbers of its jobs may not be known.
            if !submitted.jobs.is_empty() && submitted.jobs.iter().all(|job| job.over) {
                continue;
            }
            for name in submitted.group.pilots()? {
                if !self.pilots.contains_key(&name) {
                    self.pilots.insert(name.clone(), Pilot::new(&submitted.group, name)?);
                    with_new.push(group.clone());
                }
            }
        }
        with_new.iter().for_each(|group| self.tell_jobs(group));
        Ok(())
    }

    /// Finds the pilots whose process is gone.
    pub(super) fn look_after_pilots(&mut self) {
        let store = &self.setting.store;
        let mut gone = false;
        for pilot in self.pilots.values_mut().filter(|pilot| !pilot.over && pilot.gone.is_none()) {
            if !store.has_pilot(&pilot.group, &pilot.name) {
                pilot.gone = Some(Instant::now());
                gone = true;
            }
        }
        if gone {
            // The engine may know why.
            self.asked = None;
        }
    }
}

/// `job 17_0`, `4 jobs, 17_0 to 17_3`.
fn span(numbers: &[String]) -> String {
    match numbers {
        [] => "no job".to_owned(),
        [one] => format!("job {one}"),
        [first, .., last] => format!("{} jobs, {first} to {last}", numbers.len()),
    }
}
