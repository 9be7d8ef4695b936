//! Checkpoints that are rows of numbers.

use super::context::Context;
use super::stage::StageError;

/// Saves the numbers, whose meaning after `step` steps the stage knows.
pub fn save(ctx: &Context, step: u64, numbers: &[f64]) -> Result<(), StageError> {
    let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
    ctx.save_checkpoint(step, |path| Ok(std::fs::write(path, &bytes)?))
}

/// The numbers of the latest checkpoint and its step; none and 0 where there is no checkpoint.
pub fn resume(ctx: &Context) -> Result<(u64, Vec<f64>), StageError> {
    let Some(checkpoint) = ctx.latest_checkpoint()? else { return Ok((0, Vec::new())) };
    let bytes = std::fs::read(&checkpoint.path)?;
    let (words, _) = bytes.as_chunks::<8>();
    Ok((checkpoint.step, words.iter().map(|word| f64::from_le_bytes(*word)).collect()))
}
