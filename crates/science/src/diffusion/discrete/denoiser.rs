//! What samplers and likelihoods ask of a model: the noise in a batch.

/// What a denoiser says of a batch [n, d].
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// ε_θ [n, d].
    pub noise: Vec<f32>,
    /// v [n, d] of a learned variance, −1 to 1 for exp(v' ln β + (1 − v') ln β̃) with v' = (v + 1)/2.
    pub variance: Option<Vec<f32>>,
    /// s ∇ ln p(y given x_t) [n, d], the pull of a classifier.
    pub guidance: Option<Vec<f32>>,
}

/// Predicts the noise in a batch.
pub trait Denoiser: Sync {
    type Error: Send;

    /// ε_θ(x, t) for x [n, d] (row-major, n = `t.len()`), at the steps t (1 … T) of each row.
    fn noise(&self, x: &[f32], t: &[usize]) -> Result<Vec<f32>, Self::Error>;

    /// The noise and what else the denoiser knows.
    fn prediction(&self, x: &[f32], t: &[usize]) -> Result<Prediction, Self::Error> {
        Ok(Prediction { noise: self.noise(x, t)?, variance: None, guidance: None })
    }
}

/// A denoiser whose noise can be differentiated by x.
pub trait Differentiable: Denoiser {
    /// The noise ε [n, d] of x and J_εᵀ c [n, d], where c [n, d] is what `cotangent` makes of ε and J_ε is each row's ∂ε/∂x.
    fn pull_back(
        &self,
        x: &[f32],
        t: &[usize],
        cotangent: &mut dyn FnMut(&[f32]) -> Vec<f32>,
    ) -> Result<(Vec<f32>, Vec<f32>), Self::Error>;
}

/// Why sampling failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SamplingError<E> {
    /// The denoiser failed, or the sampling was stopped.
    #[error("{0}")]
    Denoiser(E),
    #[error(
        "the model predicts no variance: sample it with `beta` or `beta-tilde`, or train it with a learned variance"
    )]
    NoVariance,
}

/// As the network takes it.
pub fn rounded(x: &[f64]) -> Vec<f32> {
    x.iter().map(|&x| x as f32).collect()
}
