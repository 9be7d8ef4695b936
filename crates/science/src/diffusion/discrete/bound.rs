//! The variational bound of −ln p(x_0), term by term (Sohl-Dickstein 2015; Ho 2020, eq. 5):
//! KL(q(x_T given x_0) ‖ N(0, I)) + Σ_{t ≥ 2} KL(q(x_{t−1} given x_t, x_0) ‖ p_θ) − ln p_θ(x_0 given x_1).

use super::ancestral::{ReverseVariance, reverse_chain};
use super::bound_terms::{decoder, divergence};
use super::chain::{Sigma, Step};
use super::denoiser::{Denoiser, SamplingError};
use super::sample_batch::Batch;
use super::schedule::{Schedule, Variance};
use std::f64::consts::LN_2;

/// How the bound is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Whether σ_t² is the model's own; else it is β_t for t ≥ 2 and β̃_2 at t = 1, Ho's choice.
    pub learned: bool,
    /// The grey levels L of the data, level l being 2l/(L − 1) − 1: the last step then gives probabilities of levels. `None` for points of a density.
    pub levels: Option<u32>,
    /// Draws of the noise for each item and t.
    pub draws: usize,
    /// Whether x̂_0 is cut to [−1, 1].
    pub clip: bool,
}

impl Bound {
    /// The steps of the chain, t = 1 first.
    fn steps(&self, schedule: &Schedule) -> Vec<Step> {
        let all: Vec<usize> = (1..=schedule.timesteps()).collect();
        let variance = if self.learned { ReverseVariance::Learned } else { ReverseVariance::Beta };
        let mut steps = reverse_chain(schedule, &all, variance);
        steps.reverse();
        if !self.learned {
            steps[0].sigma = Sigma::Fixed(schedule.sigma_squared(1, Variance::BetaTilde).sqrt());
        }
        steps
    }

    /// The terms of each item of x0 [count, size] in bits per number: the decoder's (t = 1), those of t = 2 … T, and the prior's, T + 1 in
    /// all; their sum is the bound. Those of t ≤ T are means over draws of x_t. `step_done` is called after each t.
    pub fn terms<D: Denoiser>(
        &self,
        denoiser: &D,
        schedule: &Schedule,
        x0: &[f32],
        batch: Batch<'_>,
        mut step_done: impl FnMut() -> Result<(), D::Error>,
    ) -> Result<Vec<Vec<f64>>, SamplingError<D::Error>> {
        let last = schedule.timesteps();
        let mut terms = vec![Vec::with_capacity(last + 1); batch.count];
        let per_number = 1.0 / (batch.size as f64 * LN_2);
        for step in self.steps(schedule) {
            let mut sums = vec![0.0; batch.count];
            // All draws of an item come from the stream of its t.
            let rows = Batch { size: batch.size * self.draws, ..batch };
            let noise = rows.noise(step.t);
            for draw in 0..self.draws {
                let of = |i: usize, j: usize| f64::from(noise[(i * self.draws + draw) * batch.size + j]);
                self.add_term(denoiser, schedule, &step, x0, batch, of, &mut sums)?;
            }
            for (terms, sum) in terms.iter_mut().zip(sums) {
                terms.push(sum * per_number / self.draws as f64);
            }
            step_done().map_err(SamplingError::Denoiser)?;
        }
        let bar = schedule.alpha_bar(last);
        for (terms, row) in terms.iter_mut().zip(x0.chunks_exact(batch.size)) {
            let prior = |x: &f32| 0.5 * (bar * f64::from(x * x) - bar - libm::log1p(-bar));
            terms.push(row.iter().map(prior).sum::<f64>() * per_number);
        }
        Ok(terms)
    }

    /// Adds the term of a step in nats to each item's sum; `noise(i, j)` is number j of item i.
    #[expect(clippy::too_many_arguments, reason = "one draw of the loop above, which owns the rest")]
    fn add_term<D: Denoiser>(
        &self,
        denoiser: &D,
        schedule: &Schedule,
        step: &Step,
        x0: &[f32],
        batch: Batch<'_>,
        noise: impl Fn(usize, usize) -> f64,
        sums: &mut [f64],
    ) -> Result<(), SamplingError<D::Error>> {
        let (signal, spread) = (step.alpha_bar.sqrt(), (1.0 - step.alpha_bar).sqrt());
        let size = batch.size;
        let x: Vec<f64> = x0
            .iter()
            .enumerate()
            .map(|(k, &x)| signal * f64::from(x) + spread * noise(k / size, k % size))
            // What the network sees is what the posterior is given.
            .map(|x| f64::from(x as f32))
            .collect();
        let law = step.transition(denoiser, &x, batch.count, self.clip)?;
        for (k, &clean) in x0.iter().enumerate() {
            let (clean, log_variance) = (f64::from(clean), 2.0 * libm::log(law.deviation[k]));
            let term = if step.t == 1 {
                decoder(clean, law.mean[k], log_variance, self.levels)
            } else {
                let posterior = step.clean * clean + step.state * x[k];
                divergence(posterior, libm::log(schedule.beta_tilde(step.t)), law.mean[k], log_variance)
            };
            sums[k / size] += term.value;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::continuous::mixture::Mixture;
    use crate::diffusion::discrete::exact_denoiser::ExactDenoiser;
    use crate::diffusion::discrete::schedule::ScheduleKind;
    use onsager_numerics::random::Streams;
    use onsager_numerics::statistics::{mean, standard_error};
    use std::f64::consts::TAU;

    /// For N(0, v) and its exact ε, x_0 has the variance V_t = v (1 − ᾱ)/(ᾱ v + 1 − ᾱ) around x̂_0(x_t), so every term has a closed form, and their sum lies
    /// above the entropy by the divergence between the paths. Each term within 4.5 standard errors over items.
    #[test]
    fn bound_of_gaussian_data() {
        let v: f64 = 0.3;
        let schedule = Schedule::new(&ScheduleKind::Linear, 25);
        let denoiser = ExactDenoiser::<5> { data: Mixture::normal(v), schedule: schedule.clone() };
        let streams = Streams::new(1, "bound test");
        let batch = Batch { streams: &streams, first: 0, count: 2000, size: 5 };
        let x0: Vec<f32> = batch.noise(1 << 19).iter().map(|z| v.sqrt() as f32 * z).collect();
        let bound = Bound { learned: false, levels: None, draws: 2, clip: false };
        let terms = bound
            .terms(&denoiser, &schedule, &x0, batch, || Ok(()))
            .unwrap_or_else(|error| panic!("{error}"));
        let left = |t: usize| {
            let bar = schedule.alpha_bar(t);
            v * (1.0 - bar) / (bar * v + 1.0 - bar)
        };
        let mut wanted = Vec::new();
        let first = schedule.beta_tilde(2);
        wanted.push(0.5 * ((TAU * first).ln() + left(1) / first));
        for t in 2..=25 {
            // Both laws of x_{t−1} given x_t are normal, with precisions that add.
            let (alpha, beta) = (schedule.alpha(t), schedule.beta(t));
            let before = schedule.alpha_bar(t - 1);
            let posterior = 1.0 / (alpha / beta + 1.0 / (1.0 - before));
            let miss = (before.sqrt() * posterior / (1.0 - before)).powi(2) * left(t);
            wanted.push(0.5 * (posterior / beta - 1.0 - (posterior / beta).ln() + miss / beta));
        }
        let bar = schedule.alpha_bar(25);
        wanted.push(0.5 * (bar * v - bar - (1.0 - bar).ln()));
        for (k, wanted) in wanted.iter().enumerate() {
            let of: Vec<f64> = terms.iter().map(|terms| terms[k] * LN_2).collect();
            let error = 4.5 * standard_error(&of) + 1e-6;
            assert!((mean(&of) - wanted).abs() < error, "{k}: {} {wanted} ± {error}", mean(&of));
        }
        let entropy = 0.5 * (TAU * v).ln() + 0.5;
        let total: f64 = wanted.iter().sum();
        assert!(total > entropy && total < entropy + 0.5, "{total} {entropy}");
    }
}
