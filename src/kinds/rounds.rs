//! Long sums in rounds: progress, cancellation and checkpoints between them.

use onsager_runner::kind::context::Context;
use onsager_runner::kind::stage::StageError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::time::{Duration, Instant};

/// The least time between two checkpoints; it decides when a sum is saved, never what it is.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(5);

/// Runs rounds 0 … `rounds` − 1 of `work` on `state`, from the latest checkpoint on.
pub fn in_rounds<S: Serialize + DeserializeOwned>(
    ctx: &Context,
    rounds: u64,
    unit: &str,
    mut state: S,
    mut work: impl FnMut(&mut S, u64) -> Result<(), StageError>,
) -> Result<S, StageError> {
    let mut done = 0;
    if let Some(checkpoint) = ctx.latest_checkpoint()? {
        (done, state) = rmp_serde::from_slice(&fs::read(&checkpoint.path)?)?;
    }
    // Floating-point numbers are saved bit by bit, so a resumed sum is the same sum.
    let save = |done: u64, state: &S| {
        ctx.save_checkpoint(done, |path| Ok(fs::write(path, rmp_serde::to_vec(&(done, state))?)?))
    };
    let mut saved = Instant::now();
    ctx.progress(done, rounds, unit);
    while done < rounds {
        work(&mut state, done)?;
        done += 1;
        ctx.progress(done, rounds, unit);
        let stop = done < rounds && ctx.cancelled();
        if stop || done < rounds && saved.elapsed() >= CHECKPOINT_EVERY {
            save(done, &state)?;
            saved = Instant::now();
        }
        if stop {
            return Err(StageError::Cancelled);
        }
    }
    Ok(state)
}
