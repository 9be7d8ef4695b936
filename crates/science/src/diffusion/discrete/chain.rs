//! Reverse chains: each step is a normal law around a·x̂_0 + b·x, with x̂_0 = (x − √(1 − ᾱ_t) ε_θ)/√ᾱ_t.

use super::denoiser::{Batch, Denoiser, Prediction, SamplingError, rounded};

/// One step x' = `clean`·x̂_0 + `state`·x + σ·z, from the model's step `t`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    pub t: usize,
    /// ᾱ_t.
    pub alpha_bar: f64,
    pub clean: f64,
    pub state: f64,
    pub sigma: Sigma,
    pub guided: Guided,
}

/// The standard deviation of a step's noise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sigma {
    Fixed(f64),
    /// σ² = exp(v' ln β + (1 − v') ln β̃), v' = (v + 1)/2, with the model's v (Nichol and Dhariwal 2021, eq. 15).
    Learned {
        log_beta: f64,
        log_beta_tilde: f64,
    },
}

/// What guidance g = s ∇ ln p(y given x_t) shifts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guided {
    /// The mean, by σ² g (Dhariwal and Nichol 2021, algorithm 1).
    Mean,
    /// The noise, by −√(1 − ᾱ) g (algorithm 2).
    Noise,
}

/// The normal laws of one step of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// [n, d].
    pub mean: Vec<f64>,
    /// Standard deviations [n, d]; all zero for a step without noise.
    pub deviation: Vec<f64>,
}

impl Sigma {
    /// Whether there is any noise.
    pub fn is_noisy(&self) -> bool {
        *self != Sigma::Fixed(0.0)
    }

    /// The standard deviations of n numbers.
    pub fn deviations<E>(&self, p: &Prediction) -> Result<Vec<f64>, SamplingError<E>> {
        match *self {
            Sigma::Fixed(sigma) => Ok(vec![sigma; p.noise.len()]),
            Sigma::Learned { log_beta, log_beta_tilde } => {
                let v = p.variance.as_ref().ok_or(SamplingError::NoVariance)?;
                let log = |v: f64| log_beta_tilde + 0.5 * (v + 1.0) * (log_beta - log_beta_tilde);
                Ok(v.iter().map(|&v| (0.5 * log(f64::from(v))).exp()).collect())
            }
        }
    }
}

impl Step {
    /// Where a batch [n, d], n = `count`, goes; with `clip`, x̂_0 is cut to [−1, 1].
    pub fn transition<D: Denoiser>(
        &self,
        denoiser: &D,
        x: &[f64],
        count: usize,
        clip: bool,
    ) -> Result<Transition, SamplingError<D::Error>> {
        let p = denoiser.prediction(&rounded(x), &vec![self.t; count]).map_err(SamplingError::Denoiser)?;
        let deviation = self.sigma.deviations(&p)?;
        let (signal, spread) = (self.alpha_bar.sqrt(), (1.0 - self.alpha_bar).sqrt());
        let pull = |i: usize| p.guidance.as_ref().map_or(0.0, |g| f64::from(g[i]));
        let mean = |i: usize| {
            let shifted = if self.guided == Guided::Noise { spread * pull(i) } else { 0.0 };
            let mut clean = (x[i] - spread * (f64::from(p.noise[i]) - shifted)) / signal;
            if clip {
                clean = clean.clamp(-1.0, 1.0);
            }
            let mean = self.clean * clean + self.state * x[i];
            if self.guided == Guided::Mean { mean + deviation[i] * deviation[i] * pull(i) } else { mean }
        };
        Ok(Transition { mean: (0..x.len()).map(mean).collect(), deviation })
    }

    /// The mean as a combination of x and ε: the factors of both.
    pub fn factors(&self) -> (f64, f64) {
        let clean = self.clean / self.alpha_bar.sqrt();
        (clean + self.state, -clean * (1.0 - self.alpha_bar).sqrt())
    }
}

/// Follows the chain from `x`; the noise of a step is that of its t.
pub fn follow<D: Denoiser>(
    denoiser: &D,
    steps: &[Step],
    mut x: Vec<f64>,
    batch: Batch<'_>,
    clip: bool,
    mut seen: impl FnMut(&[f64]) -> Result<(), D::Error>,
) -> Result<Vec<f64>, SamplingError<D::Error>> {
    for step in steps {
        let Transition { mean, deviation } = step.transition(denoiser, &x, batch.count, clip)?;
        x = mean;
        if step.sigma.is_noisy() {
            let noise = batch.noise(step.t);
            x.iter_mut().zip(&deviation).zip(noise).for_each(|((x, sigma), z)| *x += sigma * f64::from(z));
        }
        seen(&x).map_err(SamplingError::Denoiser)?;
    }
    Ok(x)
}
