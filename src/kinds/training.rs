//! A running stage as the training loop sees it.

use onsager_runner::kind::context::Context;
use onsager_runner::kind::stage::StageError;
use onsager_science::nn::error::NnError;
use onsager_science::nn::training::fit::Host;
use std::path::{Path, PathBuf};

/// The stage whose training this is.
pub struct TrainingHost<'a>(pub &'a Context);

impl Host for TrainingHost<'_> {
    type Error = StageError;

    fn latest_checkpoint(&self) -> Result<Option<(PathBuf, u64)>, StageError> {
        Ok(self.0.latest_checkpoint()?.map(|checkpoint| (checkpoint.path, checkpoint.step)))
    }

    fn save_checkpoint(
        &self,
        step: u64,
        write: &dyn Fn(&Path) -> Result<(), NnError>,
    ) -> Result<(), StageError> {
        self.0.save_checkpoint(step, |path| Ok(write(path)?))
    }

    fn progress(&self, step: u64, steps: u64) {
        self.0.progress(step, steps, "steps");
    }

    fn metrics(&self, step: u64, values: &[(&str, f64)]) -> Result<(), StageError> {
        self.0.metrics(step, values)
    }

    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }

    fn stopped(&self) -> StageError {
        StageError::Cancelled
    }
}
