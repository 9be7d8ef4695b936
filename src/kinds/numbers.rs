//! Checkpoints that are rows of numbers.

use onsager_runner::kind::context::Context;
use onsager_runner::kind::stage::StageError;
use std::ops::Range;

/// Saves the numbers, whose meaning after `step` steps the stage knows.
pub fn save(ctx: &Context, step: u64, numbers: &[f64]) -> Result<(), StageError> {
    let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
    ctx.save_checkpoint(step, |path| Ok(std::fs::write(path, &bytes)?))
}

/// What `compute` gives for the items 0 … `count` − 1, `kept` numbers for each: at most `block` items at a time from the latest
/// checkpoint on, with a checkpoint after each block but the last.
pub fn in_blocks(
    ctx: &Context,
    count: usize,
    kept: usize,
    block: usize,
    mut compute: impl FnMut(Range<usize>) -> Result<Vec<f64>, StageError>,
) -> Result<Vec<f64>, StageError> {
    let (_, mut numbers) = resume(ctx)?;
    while numbers.len() < count * kept {
        let first = numbers.len() / kept;
        let last = (first + block).min(count);
        numbers.extend(compute(first..last)?);
        if last < count {
            save(ctx, last as u64, &numbers)?;
        }
    }
    Ok(numbers)
}

/// The numbers of the latest checkpoint and its step; none and 0 where there is no checkpoint.
pub fn resume(ctx: &Context) -> Result<(u64, Vec<f64>), StageError> {
    let Some(checkpoint) = ctx.latest_checkpoint()? else { return Ok((0, Vec::new())) };
    let bytes = std::fs::read(&checkpoint.path)?;
    let (words, _) = bytes.as_chunks::<8>();
    Ok((checkpoint.step, words.iter().map(|word| f64::from_le_bytes(*word)).collect()))
}
