//! Where every task of a run stands. [`TaskStates::set`] is the only way to change it.

use crate::run::state::{Phase, TRANSITIONS, TaskState};
use std::collections::BTreeSet;

/// A transition that a task does not have: a mistake in the engine, which ends the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a task cannot go from {} to {}", .from.map_or("outside the run", Phase::name), .to.name())]
pub struct NoTransition {
    /// None for a task that is not part of the run.
    pub from: Option<Phase>,
    pub to: Phase,
}

/// The states of all tasks of a graph.
#[derive(Debug)]
pub struct TaskStates {
    /// None for a task that is not part of the run.
    states: Vec<Option<TaskState>>,
    /// Those in [`Phase::Ready`].
    ready: BTreeSet<usize>,
    /// Those in [`Phase::Elsewhere`].
    elsewhere: BTreeSet<usize>,
    #[cfg(test)]
    pub walked: Vec<(usize, Phase, Phase)>,
}

impl TaskStates {
    /// Every task waits: for each the number of inputs that are not known, and none for one that is not part of the run.
    pub fn new(missing: impl Iterator<Item = Option<usize>>) -> TaskStates {
        TaskStates {
            states: missing.map(|missing| missing.map(|missing| TaskState::Waiting { missing })).collect(),
            ready: BTreeSet::new(),
            elsewhere: BTreeSet::new(),
            #[cfg(test)]
            walked: Vec::new(),
        }
    }

    /// The states of tasks that a run has in hand.
    pub fn resume(states: Vec<Option<TaskState>>) -> TaskStates {
        let of = |phase: Phase| {
            let there = states.iter().enumerate();
            let there = there.filter(|(_, state)| state.as_ref().is_some_and(|state| state.phase() == phase));
            there.map(|(number, _)| number).collect()
        };
        TaskStates {
            ready: of(Phase::Ready),
            elsewhere: of(Phase::Elsewhere),
            states,
            #[cfg(test)]
            walked: Vec::new(),
        }
    }

    pub fn get(&self, number: usize) -> Option<&TaskState> {
        self.states[number].as_ref()
    }

    /// Brings a task into another state, if [`TRANSITIONS`] has a way there.
    pub fn set(&mut self, number: usize, state: TaskState) -> Result<(), NoTransition> {
        let (from, to) = (self.get(number).map(TaskState::phase), state.phase());
        let Some(from) = from.filter(|from| TRANSITIONS.contains(&(*from, to))) else {
            return Err(NoTransition { from, to });
        };
        match from {
            Phase::Ready => _ = self.ready.remove(&number),
            Phase::Elsewhere => _ = self.elsewhere.remove(&number),
            _ => {}
        }
        match to {
            Phase::Ready => _ = self.ready.insert(number),
            Phase::Elsewhere => _ = self.elsewhere.insert(number),
            _ => {}
        }
        self.states[number] = Some(state);
        #[cfg(test)]
        self.walked.push((number, from, to));
        Ok(())
    }

    /// One more input of a waiting task is known. True if it was the last.
    pub fn input_known(&mut self, number: usize) -> bool {
        match &mut self.states[number] {
            Some(TaskState::Waiting { missing: missing @ 1.. }) => {
                *missing -= 1;
                *missing == 0
            }
            _ => false,
        }
    }

    /// So many results that a waiting task reads are to be made again.
    pub fn wait_for(&mut self, number: usize, again: usize) {
        if let Some(TaskState::Waiting { missing }) = &mut self.states[number] {
            *missing = again;
        }
    }

    /// The first task from this number on that may be started: its key is known, and it is not running.
    pub fn next_to_start(&self, from: usize) -> Option<usize> {
        let next = [&self.ready, &self.elsewhere].into_iter().filter_map(|set| set.range(from..).next());
        next.min().copied()
    }

    /// Whether a task is in this state.
    pub fn any(&self, phase: Phase) -> bool {
        self.states.iter().flatten().any(|state| state.phase() == phase)
    }

    /// Whether another run has a task.
    pub fn any_elsewhere(&self) -> bool {
        !self.elsewhere.is_empty()
    }

    /// The tasks, of those of the run, that are not in a final state.
    pub fn unfinished(&self) -> Vec<usize> {
        let open = |(number, state): (usize, &Option<TaskState>)| {
            state.as_ref().filter(|state| !state.phase().is_final()).map(|_| number)
        };
        self.states.iter().enumerate().filter_map(open).collect()
    }

    /// The states at the end of a run.
    pub fn into_states(self) -> Vec<Option<TaskState>> {
        self.states
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::digest::Digest;

    /// Every state once.
    fn all() -> Vec<TaskState> {
        let key = Digest::of(b"key");
        let all = vec![
            TaskState::Waiting { missing: 1 },
            TaskState::Ready { key },
            TaskState::Elsewhere { key },
            TaskState::Running { key },
            TaskState::Retrying { key },
            TaskState::Cached { key },
            TaskState::Executed { key },
            TaskState::Failed { message: "no".into() },
            TaskState::Interrupted,
            TaskState::Skipped { because: "no".into() },
            TaskState::NotRun,
        ];
        let named = TRANSITIONS.iter().flat_map(|(from, to)| [*from, *to]).collect::<BTreeSet<_>>();
        assert_eq!(all.iter().map(TaskState::phase).collect::<BTreeSet<_>>(), named);
        all
    }

    #[test]
    fn every_other_transition_is_refused() {
        for from in all() {
            for to in all() {
                let mut states = TaskStates::new([Some(0)].into_iter());
                states.states[0] = Some(from.clone());
                let allowed = TRANSITIONS.contains(&(from.phase(), to.phase()));
                let refused = NoTransition { from: Some(from.phase()), to: to.phase() };
                assert_eq!(states.set(0, to.clone()), if allowed { Ok(()) } else { Err(refused) });
                assert_eq!(states.get(0), Some(if allowed { &to } else { &from }));
            }
        }
        let mut states = TaskStates::new([None].into_iter());
        let refused = NoTransition { from: None, to: Phase::NotRun };
        assert_eq!(states.set(0, TaskState::NotRun), Err(refused));
        assert_eq!(refused.to_string(), "a task cannot go from outside the run to NotRun");
    }

    #[test]
    fn what_may_start_follows_the_states() {
        let key = Digest::of(b"key");
        let mut states = TaskStates::new([Some(1), Some(2), Some(0)].into_iter());
        assert!(states.input_known(0));
        assert!(!states.input_known(1));
        assert!(!states.input_known(2));
        states.set(2, TaskState::Ready { key }).unwrap();
        states.set(0, TaskState::Ready { key }).unwrap();
        states.set(0, TaskState::Elsewhere { key }).unwrap();
        assert_eq!((states.next_to_start(0), states.next_to_start(1)), (Some(0), Some(2)));
        assert!(states.any_elsewhere());
        states.set(0, TaskState::Ready { key }).unwrap();
        assert!(!states.any_elsewhere());
        states.set(0, TaskState::Running { key }).unwrap();
        assert_eq!(states.next_to_start(0), Some(2));
        assert_eq!(states.unfinished(), [0, 1, 2]);
    }
}
