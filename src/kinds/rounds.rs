//! Long work in rounds: progress, cancellation and checkpoints between them.
//!
//! A stage says how many items there are and what is done with a range of them; what it has so far is its state. A stage that is
//! killed or interrupted goes on behind the last round that was saved, and ends with the same bytes.

use onsager_runner::kind::context::Context;
use onsager_runner::kind::stage::StageError;
use rayon::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The least time between two checkpoints; it decides when work is saved, never what it is.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(5);

/// Like items to be worked through in order.
#[derive(Debug, Clone, Copy)]
pub struct Rounds<'a> {
    pub items: u64,
    /// The items between two looks at the interruption flag.
    pub per_round: u64,
    /// The steps of an item, which progress counts.
    pub steps: u64,
    /// What the steps are, in the plural.
    pub unit: &'a str,
}

/// The run was interrupted within a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancelled;

impl From<Cancelled> for StageError {
    fn from(_: Cancelled) -> StageError {
        StageError::Cancelled
    }
}

/// Counts the steps of a round while it runs.
pub struct Steps<'a> {
    ctx: &'a Context,
    rounds: Rounds<'a>,
    done: AtomicU64,
}

impl Steps<'_> {
    /// Reports so many more steps.
    pub fn add(&self, steps: usize) {
        let done = self.done.fetch_add(steps as u64, Ordering::Relaxed) + steps as u64;
        self.ctx.progress(done, self.rounds.items * self.rounds.steps, self.rounds.unit);
    }

    /// Reports so many more steps; an error once the run is interrupted.
    pub fn step(&self, steps: usize) -> Result<(), Cancelled> {
        self.add(steps);
        if self.ctx.cancelled() { Err(Cancelled) } else { Ok(()) }
    }
}

impl Rounds<'_> {
    /// Items of one step each.
    pub fn of(items: u64, per_round: u64, unit: &str) -> Rounds<'_> {
        Rounds { items, per_round, steps: 1, unit }
    }

    /// Does `work` on `state` for all items in order, from the latest checkpoint on. A round that fails must leave the state as it was.
    pub fn run<S: Serialize + DeserializeOwned>(
        &self,
        ctx: &Context,
        state: S,
        mut work: impl FnMut(&mut S, Range<u64>) -> Result<(), StageError>,
    ) -> Result<S, StageError> {
        in_phases(ctx, &[*self], state, |state, _, range| work(state, range))
    }

    /// What `compute` gives for the items of a round, in blocks of at most `block` on the threads granted.
    pub fn blocks<T: Send>(
        &self,
        ctx: &Context,
        round: Range<u64>,
        block: usize,
        compute: impl Fn(Range<usize>, &Steps<'_>) -> Result<T, StageError> + Sync,
    ) -> Result<Vec<T>, StageError> {
        let steps = Steps { ctx, rounds: *self, done: AtomicU64::new(round.start * self.steps) };
        let (start, end) = (round.start as usize, round.end as usize);
        let starts: Vec<usize> = (start..end).step_by(block).collect();
        let compute = |first: usize| match ctx.cancelled() {
            true => Err(StageError::Cancelled),
            false => compute(first..end.min(first + block), &steps),
        };
        starts.into_par_iter().map(compute).collect()
    }

    /// The numbers of all items, which `compute` gives block by block.
    pub fn collect<T: Serialize + DeserializeOwned + Send>(
        &self,
        ctx: &Context,
        block: usize,
        compute: impl Fn(Range<usize>, &Steps<'_>) -> Result<Vec<T>, StageError> + Sync,
    ) -> Result<Vec<T>, StageError> {
        self.run(ctx, Vec::new(), |all, round| {
            let blocks = self.blocks(ctx, round, block, &compute)?;
            all.extend(blocks.into_iter().flatten());
            Ok(())
        })
    }
}

/// Does the rounds of one phase after the other; `work` gets the state, the number of the phase and a range of its items.
pub fn in_phases<S: Serialize + DeserializeOwned>(
    ctx: &Context,
    phases: &[Rounds<'_>],
    mut state: S,
    mut work: impl FnMut(&mut S, usize, Range<u64>) -> Result<(), StageError>,
) -> Result<S, StageError> {
    // Items of all phases together.
    let mut done = 0;
    let total: u64 = phases.iter().map(|phase| phase.items).sum();
    if let Some(checkpoint) = ctx.latest_checkpoint()? {
        (done, state) = rmp_serde::from_slice(&fs::read(&checkpoint.path)?)?;
    }
    // Floating-point numbers are saved bit by bit, so resumed work is the same work.
    let save = |done: u64, state: &S| {
        ctx.save_checkpoint(done, |path| Ok(fs::write(path, rmp_serde::to_vec(&(done, state))?)?))
    };
    let (mut saved, mut saved_at) = (done, Instant::now());
    let mut before = 0;
    for (k, phase) in phases.iter().enumerate() {
        let progress = |done: u64| ctx.progress(done * phase.steps, phase.items * phase.steps, phase.unit);
        if done < before + phase.items {
            progress(done - before);
        }
        while done < before + phase.items {
            let first = done - before;
            let last = phase.items.min(first + phase.per_round);
            match work(&mut state, k, first..last) {
                Ok(()) => done = before + last,
                Err(StageError::Cancelled) => {
                    if done > saved {
                        save(done, &state)?;
                    }
                    return Err(StageError::Cancelled);
                }
                Err(error) => return Err(error),
            }
            progress(last);
            let stop = done < total && ctx.cancelled();
            if stop || done < total && saved_at.elapsed() >= CHECKPOINT_EVERY {
                save(done, &state)?;
                (saved, saved_at) = (done, Instant::now());
            }
            if stop {
                return Err(StageError::Cancelled);
            }
        }
        before += phase.items;
    }
    Ok(state)
}
