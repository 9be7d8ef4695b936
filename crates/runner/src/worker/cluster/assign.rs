//! Which pilot gets which task.

use crate::config::profiles::Profile;
use crate::store::files::StoreError;
use crate::worker::cluster::error::LostTask;
use crate::worker::cluster::executor::ClusterExecutor;
use crate::worker::cluster::messages::{Attempt, ToPilot};
use crate::worker::cluster::pilots::Pilot;
use crate::worker::cluster::place::PilotName;
use crate::worker::protocol::Assignment;
use std::collections::VecDeque;
use std::time::Duration;

/// A pilot has so much work ahead that it need not wait for more, and no more than so many tasks for each thread.
const AHEAD: f64 = 2.0;
const MOST_AHEAD: usize = 16;

impl ClusterExecutor {
    /// Gives tasks to pilots that have room.
    pub(super) fn assign(&mut self) -> Result<(), StoreError> {
        if !self.cancelled {
            let (mean, count) = self.mean;
            let ahead = match count {
                0 => 0,
                _ if mean > 5.0 * AHEAD => 0,
                _ => (libm::ceil(AHEAD / mean.max(1e-3)) as usize).min(MOST_AHEAD),
            };
            // Those that fit nowhere stay in their order.
            let mut waiting = VecDeque::new();
            while self.pilots.values().any(|pilot| self.has_room(pilot, 1, Duration::ZERO, ahead))
                && let Some(number) = self.queue.pop_front()
            {
                match self.pilot_for(number, ahead) {
                    Some(name) => self.give(number, &name),
                    None => waiting.push_back(number),
                }
            }
            waiting.append(&mut self.queue);
            self.queue = waiting;
        }
        self.pilots.values_mut().filter(|pilot| !pilot.over).try_for_each(Pilot::send)
    }

    /// The pilot that has the most room for a task.
    pub(super) fn pilot_for(&self, number: usize, ahead: usize) -> Option<PilotName> {
        let assignment = &self.tasks.get(&number)?.assignment;
        let threads = assignment.threads.min(self.setting.profile.threads);
        let time = assignment.time.unwrap_or(Duration::from_secs(1));
        let fitting = self.pilots.values().filter(|pilot| self.has_room(pilot, threads, time, ahead));
        Some(fitting.min_by_key(|pilot| pilot.load())?.name.clone())
    }

    /// Whether a pilot has room for a task of so many threads that may take so long.
    fn has_room(&self, pilot: &Pilot, wanted: usize, time: Duration, ahead: usize) -> bool {
        let Profile { threads, drain, .. } = &self.setting.profile;
        pilot.is_at_work()
            && pilot.left() > time + *drain
            && !self.is_spent(pilot)
            && (pilot.tasks.is_empty() || pilot.load() + wanted <= threads + ahead * threads)
    }

    pub(super) fn give(&mut self, number: usize, name: &PilotName) {
        let (Some(task), Some(pilot)) = (self.tasks.get_mut(&number), self.pilots.get_mut(name)) else {
            return;
        };
        let attempt = Attempt { run: self.setting.run.clone(), number };
        task.pilot = Some(name.clone());
        let threads = task.assignment.threads.min(self.setting.profile.threads);
        pilot.tasks.insert(attempt.clone(), (threads, u64::MAX));
        pilot.given += 1;
        let (run, assignment) = (attempt.run.clone(), task.assignment.clone());
        pilot.unsent.push(ToPilot::Assign { run, assignment });
        self.attempts.insert(attempt, number);
    }

    /// What a task asks for and no job of the profile can have.
    pub(super) fn too_much(&self, assignment: &Assignment) -> Option<LostTask> {
        let Profile { time, drain, memory, .. } = &self.setting.profile;
        let longest = time.saturating_sub(*drain);
        match (assignment.time, assignment.memory, memory) {
            (Some(wanted), _, _) if wanted > longest => Some(LostTask::TooLong { wanted, longest }),
            (_, Some(wanted), Some(most)) if wanted > *most => {
                Some(LostTask::TooLarge { wanted, most: *most })
            }
            _ => None,
        }
    }
}
