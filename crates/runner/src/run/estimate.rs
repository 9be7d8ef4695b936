//! How long a run will still take, from how long its tasks took before and how far they are now.

use crate::run::events::{self, Event};
use crate::store::Store;
use crate::store::files::StoreError;
use std::collections::{HashMap, HashSet};

/// So many earlier runs are looked at, unless fewer have told all that there is to learn.
const RUNS: usize = 20;
/// A rate is taken from this many seconds on.
const RATE_AFTER: f64 = 0.5;

/// How long executions of tasks took, in seconds.
#[derive(Debug, Clone, Default)]
pub struct Durations {
    tasks: HashMap<String, f64>,
    /// By stage: the sum, and over how many.
    stages: HashMap<String, (f64, u32)>,
}

impl Durations {
    /// What the latest runs of a pipeline tell.
    pub fn of(store: &Store, pipeline: &str) -> Result<Durations, StoreError> {
        let mut found = Durations::default();
        for record in events::records(store, pipeline)?.rev().take(RUNS) {
            let (mut finished, mut new) = (0, 0);
            for event in record?.events {
                if let Event::TaskFinished { task, seconds, .. } = event {
                    finished += 1;
                    // The latest run was read first.
                    if !found.tasks.contains_key(&task) {
                        new += 1;
                        found.learn(&task, seconds);
                    }
                }
            }
            if finished > 0 && new == 0 {
                break;
            }
        }
        Ok(found)
    }

    /// Adds what earlier runs tell to what this one has shown.
    pub fn take_before(&mut self, before: Durations) {
        for (task, seconds) in before.tasks {
            if !self.tasks.contains_key(&task) {
                self.learn(&task, seconds);
            }
        }
    }

    /// An execution has ended.
    pub fn learn(&mut self, task: &str, seconds: f64) {
        self.tasks.insert(task.to_owned(), seconds);
        let (sum, count) = self.stages.entry(stage(task).to_owned()).or_default();
        *sum += seconds;
        *count += 1;
    }

    /// How long a task is expected to take: as the last time, else as its stage's others.
    fn expected(&self, task: &str) -> Option<f64> {
        let own = self.tasks.get(task).copied();
        own.or_else(|| self.stages.get(stage(task)).map(|(sum, count)| sum / f64::from((*count).max(1))))
    }
}

/// The stage of a task: `fit` of `tubes=40/fit[part=3]`.
pub fn stage(task: &str) -> &str {
    let named = task.split('[').next().unwrap_or(task);
    named.rsplit('/').next().unwrap_or(named)
}

/// An attempt that goes on.
#[derive(Debug, Clone, Copy)]
struct Begun {
    at: f64,
    /// What it said first and last: when, and how much of its work was done.
    first: Option<(f64, u64)>,
    last: Option<(f64, u64, u64)>,
}

impl Begun {
    /// How much it does a second.
    fn rate(&self) -> Option<f64> {
        let ((since, from), (at, done, _)) = (self.first?, self.last?);
        (at - since >= RATE_AFTER && done > from).then(|| (done - from) as f64 / (at - since))
    }

    /// How many seconds it still takes, by its own rate.
    fn by_rate(&self, now: f64) -> Option<f64> {
        let ((at, done, total), rate) = (self.last?, self.rate()?);
        Some((total.saturating_sub(done) as f64 / rate - (now - at)).max(0.0))
    }
}

/// What is left of a run: hears its events, with the time of each in seconds of any clock.
#[derive(Debug, Clone, Default)]
pub struct Outlook {
    pub durations: Durations,
    /// Whether the tasks of the run are known.
    listed: bool,
    waiting: HashSet<String>,
    running: HashMap<String, Begun>,
    ended: HashSet<String>,
    /// The most that ran side by side.
    side_by_side: usize,
}

impl Outlook {
    pub fn event(&mut self, event: &Event, now: f64) {
        match event {
            Event::RunTasks { tasks, cached } => {
                self.listed = true;
                self.ended.extend(cached.iter().cloned());
                let left = tasks
                    .iter()
                    .filter(|task| !self.ended.contains(*task) && !self.running.contains_key(*task));
                self.waiting = left.cloned().collect();
            }
            Event::TaskStarted { task, .. } => {
                self.waiting.remove(task);
                self.running.insert(task.clone(), Begun { at: now, first: None, last: None });
                self.side_by_side = self.side_by_side.max(self.running.len());
            }
            Event::TaskProgress { task, done, total, .. } => {
                if let Some(begun) = self.running.get_mut(task) {
                    begun.first.get_or_insert((now, *done));
                    begun.last = Some((now, *done, *total));
                }
            }
            Event::TaskFinished { task, seconds, .. } => {
                self.durations.learn(task, *seconds);
                self.end(task);
            }
            Event::TaskCached { task, .. }
            | Event::TaskFailed { task, .. }
            | Event::TaskInterrupted { task, .. }
            | Event::TaskSkipped { task, .. }
            | Event::TaskNotRun { task, .. }
            | Event::TaskLeft { task } => self.end(task),
            Event::TaskRetrying { task, .. } | Event::TaskAgain { task } | Event::ResultLost { task } => {
                self.running.remove(task);
                self.ended.remove(task);
                self.waiting.insert(task.clone());
            }
            _ => {}
        }
    }

    fn end(&mut self, task: &str) {
        self.waiting.remove(task);
        self.running.remove(task);
        self.ended.insert(task.to_owned());
    }

    /// How much a running task does a second.
    pub fn rate(&self, task: &str) -> Option<f64> {
        self.running.get(task)?.rate()
    }

    /// About how many seconds a running task still takes.
    pub fn left_of(&self, task: &str, now: f64) -> Option<f64> {
        let begun = self.running.get(task)?;
        // One that takes longer than the last time may take as much longer once more.
        let before = || Some((self.durations.expected(task)? - (now - begun.at)).abs());
        begun.by_rate(now).or_else(before)
    }

    /// About how many seconds the run still takes; none while that is unknown of some task.
    pub fn left(&self, now: f64) -> Option<f64> {
        if !self.listed {
            return None;
        }
        let (mut sum, mut longest) = (0.0f64, 0.0f64);
        let of_running = self.running.keys().map(|task| self.left_of(task, now));
        for left in of_running.chain(self.waiting.iter().map(|task| self.durations.expected(task))) {
            let left = left?;
            sum += left;
            longest = longest.max(left);
        }
        Some(longest.max(sum / self.side_by_side.max(1) as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::digest::Digest;
    use serde_json::json;

    fn started(task: &str) -> Event {
        let key = Digest::of(task.as_bytes());
        // As of an old record: what an event has besides is of no matter here.
        let line = json!({"event": "task-started", "task": task, "key": key, "threads": 1, "log": "log"});
        serde_json::from_value(line).unwrap()
    }

    fn finished(task: &str, seconds: f64) -> Event {
        let (task, key) = (task.to_owned(), Digest::of(task.as_bytes()));
        Event::TaskFinished { task, key, seconds, outputs: Vec::new(), usage: None }
    }

    fn names(all: &[&str]) -> Vec<String> {
        all.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_stage_of_a_task() {
        for (task, expected) in [
            ("fit", "fit"),
            ("fit[part=a/b]", "fit"),
            ("tubes=40/fit[part=3]", "fit"),
            ("tubes=40/law", "law"),
        ] {
            assert_eq!(stage(task), expected);
        }
    }

    #[test]
    fn what_is_left_is_that_of_all_tasks_over_those_side_by_side() {
        let mut outlook = Outlook::default();
        outlook.event(
            &Event::RunTasks { tasks: names(&["a", "b[x=1]", "b[x=2]", "c"]), cached: names(&["a"]) },
            0.0,
        );
        assert_eq!(outlook.left(0.0), None, "nothing is known of any task");
        outlook.durations.learn("b[x=1]", 10.0);
        outlook.durations.learn("c", 4.0);
        // 10 + 10 (as the other of its stage) + 4, one after the other.
        assert_eq!(outlook.left(0.0), Some(24.0));
        outlook.event(&started("b[x=1]"), 0.0);
        outlook.event(&started("b[x=2]"), 0.0);
        assert_eq!(outlook.left(0.0), Some(12.0));
        assert_eq!(outlook.left(6.0), Some(6.0));
        outlook.event(&finished("b[x=1]", 8.0), 8.0);
        // Its stage takes 9 s on average now.
        assert_eq!(outlook.left(8.0), Some(4.0));
        outlook.event(&finished("b[x=2]", 8.0), 8.0);
        outlook.event(&finished("c", 4.0), 12.0);
        assert_eq!(outlook.left(12.0), Some(0.0));
    }

    #[test]
    fn a_task_that_tells_how_far_it_is_is_believed() {
        let mut outlook = Outlook::default();
        outlook.event(&Event::RunTasks { tasks: names(&["a"]), cached: Vec::new() }, 0.0);
        outlook.event(&started("a"), 0.0);
        let progress =
            |done| Event::TaskProgress { task: "a".into(), done, total: 100, unit: "steps".into() };
        // It went on from a checkpoint: only what it did itself counts.
        outlook.event(&progress(50), 1.0);
        assert_eq!(outlook.left(1.0), None);
        outlook.event(&progress(60), 2.0);
        assert_eq!(outlook.left(2.0), Some(4.0));
        assert_eq!(outlook.left(3.0), Some(3.0));
        let lost = Event::ResultLost { task: "a".into() };
        outlook.event(&finished("a", 6.0), 6.0);
        assert_eq!(outlook.left(6.0), Some(0.0));
        outlook.event(&lost, 6.0);
        assert_eq!(outlook.left(6.0), Some(6.0));
    }
}
