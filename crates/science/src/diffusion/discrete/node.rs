//! Points in the noise of a model, along which the solvers of the probability flow go.

use super::denoiser::{Denoiser, SamplingError, rounded};
use super::schedule::{Schedule, Spacing};

/// A point in the noise of a model: its step and ᾱ there. The end, ᾱ = 1, has t = 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Node {
    pub t: usize,
    pub alpha_bar: f64,
}

impl Node {
    /// The retained steps from noise to data, and then t = 0.
    pub fn list(schedule: &Schedule, spacing: Spacing, steps: usize) -> Vec<Node> {
        let retained = spacing.retained(schedule, steps);
        retained.iter().rev().chain(&[0]).map(|&t| Node { t, alpha_bar: schedule.alpha_bar(t) }).collect()
    }

    /// ½ ln(ᾱ/(1 − ᾱ)), half the logarithm of the signal-to-noise ratio.
    pub fn log_snr(&self) -> f64 {
        0.5 * libm::log(self.alpha_bar / (1.0 - self.alpha_bar))
    }

    /// x̂_0 and ε [n, d] at this node; with `clip`, x̂_0 is cut to [−1, 1] and ε is what goes with it. Guidance shifts ε by
    /// −√(1 − ᾱ) s ∇ ln p(y given x_t) (Dhariwal and Nichol 2021, algorithm 2).
    pub fn clean_and_noise<D: Denoiser>(
        &self,
        denoiser: &D,
        x: &[f64],
        count: usize,
        clip: bool,
    ) -> Result<(Vec<f64>, Vec<f64>), SamplingError<D::Error>> {
        let p = denoiser.prediction(&rounded(x), &vec![self.t; count]).map_err(SamplingError::Denoiser)?;
        let (signal, spread) = (self.alpha_bar.sqrt(), (1.0 - self.alpha_bar).sqrt());
        let mut noise: Vec<f64> = p.noise.iter().map(|&e| f64::from(e)).collect();
        if let Some(guidance) = &p.guidance {
            noise.iter_mut().zip(guidance).for_each(|(e, &g)| *e -= spread * f64::from(g));
        }
        let mut clean: Vec<f64> = x.iter().zip(&noise).map(|(x, e)| (x - spread * e) / signal).collect();
        if clip {
            for ((clean, e), x) in clean.iter_mut().zip(&mut noise).zip(x) {
                if clean.abs() > 1.0 {
                    *clean = clean.clamp(-1.0, 1.0);
                    *e = (x - signal * *clean) / spread;
                }
            }
        }
        Ok((clean, noise))
    }
}
