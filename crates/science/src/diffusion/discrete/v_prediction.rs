//! The loss of v-prediction: the error of the predicted v = √ᾱ ε − √(1 − ᾱ) x_0 (Salimans and Ho 2022, appendix D).

use super::batch::{Batch, BatchLoss, Predictor, noised, rows};
use crate::nn::training::loss::squared_error;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The `v-prediction` objective has no parameters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VPrediction {}

impl VPrediction {
    /// The loss of a batch.
    pub fn batch<'a>(&self, batch: &'a Batch<'a>, network: &'a impl Predictor) -> BatchLoss<'a> {
        let schedule = batch.schedule;
        let draws = batch.draw(|example, stream| {
            let t = 1 + stream.below(schedule.timesteps() as u64) as usize;
            let mut step = noised(&example.x0, schedule, t, stream);
            let (a, b) = (schedule.alpha_bar(t).sqrt() as f32, (1.0 - schedule.alpha_bar(t)).sqrt() as f32);
            step.target.iter_mut().zip(&*example.x0).for_each(|(e, x)| *e = a * *e - b * x);
            step
        });
        BatchLoss::new(move |range| {
            let draws = &draws[range.clone()];
            let on = batch.conditions(range.zip(draws).map(|(i, row)| (i, 0, schedule.network_time(row.s))));
            let predicted = network.predict(&rows(draws.iter().map(|row| &row.x[..]))?, &on)?;
            let target = rows(draws.iter().map(|row| &row.target[..]))?;
            Ok(squared_error(&predicted, &target, &vec![batch.per_number() as f32; draws.len()])?)
        })
    }
}
