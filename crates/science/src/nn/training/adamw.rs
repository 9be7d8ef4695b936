//! AdamW (Loshchilov and Hutter 2019) with gradient clipping and warm-up, and the exponential moving average of the
//! parameters, in one pass over the numbers.

use crate::nn::kernels::pointwise::{vectorised, without_subnormal};
use rayon::prelude::*;

/// What AdamW does at a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWConfig {
    pub learning_rate: f64,
    /// The learning rate grows linearly over this many steps.
    pub warmup: u64,
    /// Decoupled: the weights shrink by `learning_rate · weight_decay` at each step. Vectors (biases, gains)
    /// do not.
    pub weight_decay: f64,
    /// The gradient's norm over all parameters is cut to this; 0 leaves it alone.
    pub clip: f64,
}

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f32 = 1e-8;

/// The numbers that one thread updates at a time.
const CHUNK: usize = 1 << 14;

/// AdamW with the moving average of the parameters, which is what a trained model is sampled with.
#[derive(Debug, Clone, PartialEq)]
pub struct AdamW {
    pub config: AdamWConfig,
    /// The decay of the moving average: at update n it is min(`ema`, (1 + n)/(10 + n)), so that the random beginning is
    /// soon forgotten. 0: the average is the parameters themselves.
    pub ema: f64,
}

/// What AdamW keeps of some parameters: their moments and their moving average, numbers for each of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    pub average: Vec<f32>,
    pub first: Vec<f32>,
    pub second: Vec<f32>,
    /// For each number, whether weight decay acts on it.
    decays: Vec<bool>,
}

/// The Euclidean norm of all these numbers together, in f64: sums of chunks, added in order.
pub fn norm(parts: &[&[f32]]) -> f64 {
    let chunks: Vec<&[f32]> = parts.iter().flat_map(|part| part.chunks(CHUNK)).collect();
    let sums: Vec<f64> = chunks
        .into_par_iter()
        .map(|chunk| {
            let mut sum = 0.0;
            add_squares(chunk, &mut sum);
            sum
        })
        .collect();
    sums.iter().sum::<f64>().sqrt()
}

vectorised! {
    /// Adds the squares, by sixteen sums that run side by side.
    fn add_squares(x: &[f32], total: &mut f64) {
        let mut sums = [0.0f64; 16];
        let (whole, rest) = x.as_chunks::<16>();
        for x in whole {
            for (sum, x) in sums.iter_mut().zip(x) {
                *sum += f64::from(*x) * f64::from(*x);
            }
        }
        for (sum, x) in sums.iter_mut().zip(rest) {
            *sum += f64::from(*x) * f64::from(*x);
        }
        for sum in sums {
            *total += sum;
        }
    }
}

/// The numbers of one update.
#[derive(Debug, Clone, Copy)]
pub struct Update {
    clip: f32,
    size: f32,
    root: f32,
    shrink: f32,
    keep: f32,
}

/// A chunk of the state, with the gradient and, for each number, whether it decays.
struct Chunk<'a> {
    values: &'a mut [f32],
    average: &'a mut [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
    gradients: &'a [f32],
    decays: &'a [bool],
}

vectorised! {
    fn update_chunk(c: Chunk<'_>, u: Update) {
        let n = c.values.len();
        let (values, average, first, second) =
            (c.values, &mut c.average[..n], &mut c.first[..n], &mut c.second[..n]);
        let (gradients, decays) = (&c.gradients[..n], &c.decays[..n]);
        let (b1, b2) = (BETA_1 as f32, BETA_2 as f32);
        for i in 0..n {
            let g = gradients[i] * u.clip;
            first[i] = without_subnormal(b1 * first[i] + (1.0 - b1) * g);
            second[i] = without_subnormal(b2 * second[i] + (1.0 - b2) * g * g);
            let shrunk = if decays[i] { values[i] * u.shrink } else { values[i] };
            values[i] = shrunk - u.size * first[i] / (second[i].sqrt() * u.root + EPSILON);
            average[i] = u.keep * average[i] + (1.0 - u.keep) * values[i];
        }
    }
}

impl AdamW {
    /// The learning rate of the update number `step`.
    pub fn rate(&self, step: u64) -> f64 {
        self.config.learning_rate * (step as f64 / self.config.warmup.max(1) as f64).min(1.0)
    }

    /// The update number `step` (from 1) for a gradient of this norm.
    pub fn step(&self, step: u64, norm: f64) -> Update {
        let (c, rate) = (self.config, self.rate(step));
        let bias_1 = 1.0 - libm::pow(BETA_1, step as f64);
        let bias_2 = 1.0 - libm::pow(BETA_2, step as f64);
        Update {
            clip: if c.clip > 0.0 && norm > c.clip { c.clip / norm } else { 1.0 } as f32,
            size: (rate / bias_1) as f32,
            root: (1.0 / bias_2.sqrt()) as f32,
            shrink: (1.0 - rate * c.weight_decay) as f32,
            keep: self.ema.min((1.0 + step as f64) / (10.0 + step as f64)) as f32,
        }
    }
}

impl Moments {
    /// Moments of zero for these parameters, which are their own average. `decays` says which are subject to weight decay.
    pub fn new(values: Vec<f32>, decays: Vec<bool>) -> Moments {
        let zeros = vec![0.0; values.len()];
        Moments { average: values, first: zeros.clone(), second: zeros, decays }
    }

    /// Updates the parameters `values` and their average.
    pub fn update(&mut self, update: Update, values: &mut [f32], gradients: &[f32]) {
        let state = values.par_chunks_mut(CHUNK).zip(self.average.par_chunks_mut(CHUNK));
        let moments = self.first.par_chunks_mut(CHUNK).zip(self.second.par_chunks_mut(CHUNK));
        let given = gradients.par_chunks(CHUNK).zip(self.decays.par_chunks(CHUNK));
        state.zip(moments).zip(given).for_each(
            |(((values, average), (first, second)), (gradients, decays))| {
                update_chunk(Chunk { values, average, first, second, gradients, decays }, update);
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Training(AdamW, Moments);

    impl Training {
        fn new(config: AdamWConfig, ema: f64, values: &[f32], decays: &[bool]) -> Training {
            Training(AdamW { config, ema }, Moments::new(values.to_vec(), decays.to_vec()))
        }

        fn update(&mut self, step: u64, values: &mut [f32], gradients: &[f32]) -> f64 {
            let norm = norm(&[gradients]);
            self.1.update(self.0.step(step, norm), values, gradients);
            norm
        }
    }

    /// The first step of Adam moves each number by the learning rate against the sign of its gradient; decay
    /// is separate.
    #[test]
    fn first_step_and_decay() {
        let config = AdamWConfig { learning_rate: 0.1, warmup: 0, weight_decay: 0.5, clip: 0.0 };
        let mut values = vec![1.0, 1.0, 1.0];
        let mut adam = Training::new(config, 0.0, &values, &[false, false, true]);
        adam.update(1, &mut values, &[3.0, -0.2, 0.0]);
        for (value, expected) in values.iter().zip([0.9, 1.1, 0.95]) {
            assert!((value - expected).abs() < 1e-6);
        }
    }

    /// Clipping does not change Adam's first step, but it scales the moments: m = 0.1·g·clip/‖g‖.
    #[test]
    fn clipping_scales_the_moments() {
        let config = AdamWConfig { learning_rate: 0.1, warmup: 10, weight_decay: 0.0, clip: 1.0 };
        let mut adam = Training::new(config, 0.99, &[0.0, 0.0], &[true, true]);
        let norm = adam.update(1, &mut [0.0, 0.0], &[3.0, 4.0]);
        assert_eq!(norm, 5.0);
        assert!((adam.1.first[0] - 0.06).abs() < 1e-7 && (adam.1.first[1] - 0.08).abs() < 1e-7);
    }

    /// Of a parameter without a gradient nothing subnormal stays, which every later step would be slowed by.
    #[test]
    fn moments_decay_to_zero() {
        let config = AdamWConfig { learning_rate: 0.01, warmup: 0, weight_decay: 0.0, clip: 0.0 };
        let mut values = vec![1.0];
        let mut adam = Training::new(config, 0.9, &values, &[false]);
        for step in 1..1000 {
            let gradient = if step == 1 { 1e-3 } else { 0.0 };
            adam.update(step, &mut values, &[gradient]);
            assert!(!adam.1.first[0].is_subnormal() && !adam.1.second[0].is_subnormal(), "{step}");
        }
        assert_eq!(adam.1.first[0], 0.0);
    }

    /// The average moves to the values by 9/11 of the way at the first update, by 1 − `ema` in the long run.
    #[test]
    fn average() {
        let config = AdamWConfig { learning_rate: 0.1, warmup: 0, weight_decay: 0.0, clip: 0.0 };
        let mut values = [0.0];
        let mut adam = Training::new(config, 0.5, &values, &[false]);
        adam.update(1, &mut values, &[1.0]);
        assert!((adam.1.average[0] - values[0] * 9.0 / 11.0).abs() < 1e-6);
        let before = adam.1.average[0];
        adam.update(1000, &mut values, &[1.0]);
        assert!((adam.1.average[0] - 0.5 * (before + values[0])).abs() < 1e-6);
    }
}
