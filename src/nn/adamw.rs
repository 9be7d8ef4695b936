//! AdamW (Loshchilov and Hutter 2019) with gradient clipping and warm-up; its moments can be saved.

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

/// The optimiser and its moments, one vector for each parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct AdamW {
    pub config: AdamWConfig,
    pub first: Vec<Vec<f32>>,
    pub second: Vec<Vec<f32>>,
}

/// The Euclidean norm over all vectors, in f64 and in order.
pub fn norm(vectors: &[Vec<f32>]) -> f64 {
    vectors.iter().flatten().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt()
}

impl AdamW {
    /// Moments of zero for parameters of these lengths.
    pub fn new(config: AdamWConfig, lengths: &[usize]) -> AdamW {
        let zeros = || lengths.iter().map(|&n| vec![0.0; n]).collect();
        AdamW { config, first: zeros(), second: zeros() }
    }

    /// The update number `step` (from 1) of all parameters. `decays` says which are subject to weight decay.
    /// Returns the gradient's norm before clipping.
    pub fn update(
        &mut self,
        step: u64,
        values: &mut [Vec<f32>],
        gradients: &[Vec<f32>],
        decays: &[bool],
    ) -> f64 {
        let c = self.config;
        let norm = norm(gradients);
        let clip = if c.clip > 0.0 && norm > c.clip { c.clip / norm } else { 1.0 } as f32;
        let rate = c.learning_rate * (step as f64 / c.warmup.max(1) as f64).min(1.0);
        let bias_1 = 1.0 - libm::pow(BETA_1, step as f64);
        let bias_2 = 1.0 - libm::pow(BETA_2, step as f64);
        let (size, root) = ((rate / bias_1) as f32, (1.0 / bias_2.sqrt()) as f32);
        let (b1, b2) = (BETA_1 as f32, BETA_2 as f32);
        for (p, values) in values.iter_mut().enumerate() {
            let keep = if decays[p] { (1.0 - rate * c.weight_decay) as f32 } else { 1.0 };
            let moments = self.first[p].iter_mut().zip(&mut self.second[p]);
            for ((x, &g), (m, v)) in values.iter_mut().zip(&gradients[p]).zip(moments) {
                let g = g * clip;
                *m = b1 * *m + (1.0 - b1) * g;
                *v = b2 * *v + (1.0 - b2) * g * g;
                *x = *x * keep - size * *m / (v.sqrt() * root + EPSILON);
            }
        }
        norm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first step of Adam moves each number by the learning rate against the sign of its gradient; decay
    /// is separate.
    #[test]
    fn first_step_and_decay() {
        let config = AdamWConfig { learning_rate: 0.1, warmup: 0, weight_decay: 0.5, clip: 0.0 };
        let mut values = vec![vec![1.0, 1.0], vec![1.0]];
        AdamW::new(config, &[2, 1]).update(1, &mut values, &[vec![3.0, -0.2], vec![0.0]], &[false, true]);
        for (value, expected) in values.iter().flatten().zip([0.9, 1.1, 0.95]) {
            assert!((value - expected).abs() < 1e-6);
        }
    }

    /// Clipping does not change Adam's first step, but it scales the moments: m = 0.1·g·clip/‖g‖.
    #[test]
    fn clipping_scales_the_moments() {
        let config = AdamWConfig { learning_rate: 0.1, warmup: 10, weight_decay: 0.0, clip: 1.0 };
        let mut adam = AdamW::new(config, &[2]);
        let norm = adam.update(1, &mut [vec![0.0, 0.0]], &[vec![3.0, 4.0]], &[true]);
        assert_eq!(norm, 5.0);
        assert!((adam.first[0][0] - 0.06).abs() < 1e-7 && (adam.first[0][1] - 0.08).abs() < 1e-7);
    }
}
