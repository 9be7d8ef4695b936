//! A run whose graph grows: as soon as an output is made that stages fan out over, the graph is made anew with its items, and what the
//! run has in hand goes over to it.

use crate::plan::error::EngineError;
use crate::run::events::Event;
use crate::run::retry::Failure;
use crate::run::scheduler::Scheduler;
use crate::run::state::{Phase, TaskState};
use crate::run::states::TaskStates;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

impl Scheduler<'_, '_> {
    /// What a task fans out over is made: notes its items, so that the graph grows by them.
    pub fn expand(&mut self, number: usize) -> Result<(), EngineError> {
        let graph = self.resolver.graph;
        let Some(open) = &graph.tasks[number].open else { return Ok(()) };
        if !self.can_look_inside(number)? {
            return Ok(());
        }
        let results = &self.results;
        match self.resolver.items(&open.items, &|up| results[up].as_deref()) {
            Ok(Some((task, output, content, items))) => {
                self.growth.known.insert(&task, &output, content, items);
                self.growth.ripe.push(number);
                Ok(())
            }
            // It stands on another one that is to become several tasks first.
            Ok(None) => Ok(()),
            Err(error) => self.fail(number, Failure::before_start(&error)),
        }
    }

    /// Whether it is time to grow: where nothing else can be done, or so rarely that most of the time goes into tasks; the more often
    /// it grew, the more rarely.
    pub fn should_grow(&self) -> bool {
        const SHARE: u32 = 10;
        const PAUSE: Duration = Duration::from_millis(20);
        let idle = self.running.is_empty() && self.states.next_to_start(0).is_none();
        let due = |(at, took): (Instant, Duration)| at.elapsed() >= took * SHARE + PAUSE * self.growth.times;
        !self.growth.ripe.is_empty() && (idle || self.growth.last.is_none_or(due))
    }

    /// The graph cannot grow: what would have is in error.
    pub fn fail_to_grow(&mut self, message: &str) -> Result<(), EngineError> {
        for number in std::mem::take(&mut self.growth.ripe) {
            if self.states.get(number).is_some_and(|state| state.phase() == Phase::Waiting) {
                let failure = Failure { message: message.to_owned(), help: None, log: None, usage: None };
                self.fail(number, failure)?;
            }
        }
        Ok(())
    }
}

/// Takes over what a run has in hand to the graph that its own has grown into. `old` are the tasks of the old graph.
pub fn take_over(scheduler: &mut Scheduler, old: &[String]) -> Result<(), EngineError> {
    let graph = scheduler.resolver.graph;
    let by_id: HashMap<&str, usize> =
        graph.tasks.iter().enumerate().map(|(at, task)| (task.id.as_str(), at)).collect();
    let places: Vec<Option<usize>> = old.iter().map(|id| by_id.get(id.as_str()).copied()).collect();
    let new = |number: usize| places.get(number).copied().flatten();
    let all = |numbers: HashSet<usize>| numbers.into_iter().filter_map(new).collect::<HashSet<usize>>();
    let mut results = vec![None; graph.tasks.len()];
    for (number, made) in std::mem::take(&mut scheduler.results).into_iter().enumerate() {
        if let Some(at) = new(number) {
            results[at] = made;
        }
    }
    scheduler.results = results;
    let remade = std::mem::take(&mut scheduler.remade)
        .into_iter()
        .filter_map(|(up, waiting)| Some((new(up)?, waiting.into_iter().filter_map(new).collect())));
    scheduler.remade = remade.collect();
    scheduler.damaged = all(std::mem::take(&mut scheduler.damaged));
    let lost = std::mem::take(&mut scheduler.lost).into_iter();
    scheduler.lost = lost.filter_map(|(number, object)| Some((new(number)?, object))).collect();
    scheduler.queued = all(std::mem::take(&mut scheduler.queued));
    let running = std::mem::take(&mut scheduler.running).into_iter();
    scheduler.running = running.filter_map(|(number, running)| Some((new(number)?, running))).collect();
    scheduler.retrying.renumber(new);
    scheduler.waits.renumber(new);
    scheduler.growth.ripe.clear();
    scheduler.away.forget_who_waits();
    scheduler.dependents = graph.dependents();
    let before = std::mem::replace(&mut scheduler.states, TaskStates::new(std::iter::empty()));
    #[cfg(test)]
    let walked: Vec<_> =
        before.walked.iter().filter_map(|(task, from, to)| Some((new(*task)?, *from, *to))).collect();
    let mut states: Vec<Option<TaskState>> =
        scheduler.options.selected.iter().map(|s| s.then_some(TaskState::Waiting { missing: 0 })).collect();
    for (number, state) in before.into_states().into_iter().enumerate() {
        if let (Some(at), Some(state)) = (new(number), state) {
            states[at] = Some(state);
        }
    }
    for at in 0..states.len() {
        if matches!(states[at], Some(TaskState::Waiting { .. })) {
            let missing = graph.dependencies(at).into_iter().filter(|up| {
                let made_again = scheduler.remade.get(up).is_some_and(|waiting| waiting.contains(&at));
                made_again || !states[*up].as_ref().is_some_and(|state| state.phase().is_settled())
            });
            let missing = missing.count();
            states[at] = Some(TaskState::Waiting { missing });
        }
    }
    let decidable = states.iter().enumerate().rev();
    let decidable = decidable.filter(|(_, state)| matches!(state, Some(TaskState::Waiting { missing: 0 })));
    scheduler.decidable = decidable.map(|(at, _)| at).collect();
    scheduler.states = TaskStates::resume(states);
    #[cfg(test)]
    {
        scheduler.states.walked = walked;
    }
    let tasks = scheduler.options.selected.iter().filter(|selected| **selected).count();
    scheduler.listed = false;
    scheduler.emit(Event::RunGrew { tasks, points: graph.points.clone() })
}
