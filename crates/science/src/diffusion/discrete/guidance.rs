//! Samplers towards a class: conditional models, classifier-free guidance and the guidance of a classifier.
//!
//! Each wrapper is a denoiser for one batch, with the class of each of its rows, so every sampler takes it.

use super::denoiser::{Denoiser, Differentiable, Prediction};

/// A model that can be told the class of each row; the number of classes itself stands for 'no class'.
pub trait ClassDenoiser: Sync {
    type Error: Send;

    /// The number of classes; 0 for a model without.
    fn classes(&self) -> usize;

    /// What the model says of x [n, d] at the steps t, the rows being of these classes.
    fn class_prediction(&self, x: &[f32], t: &[usize], classes: &[u32]) -> Result<Prediction, Self::Error>;
}

/// A conditional model whose noise can be differentiated by x; see [`Differentiable`].
pub trait ClassDifferentiable: ClassDenoiser {
    fn class_pull_back(
        &self,
        x: &[f32],
        t: &[usize],
        classes: &[u32],
        cotangent: &mut dyn FnMut(&[f32]) -> Vec<f32>,
    ) -> Result<(Vec<f32>, Vec<f32>), Self::Error>;
}

/// A model that is told the class of each row of a batch.
#[derive(Debug)]
pub struct Conditional<'a, M> {
    pub model: &'a M,
    /// One per row.
    pub classes: &'a [u32],
}

impl<M: ClassDenoiser> Denoiser for Conditional<'_, M> {
    type Error = M::Error;

    fn noise(&self, x: &[f32], t: &[usize]) -> Result<Vec<f32>, M::Error> {
        Ok(self.prediction(x, t)?.noise)
    }

    fn prediction(&self, x: &[f32], t: &[usize]) -> Result<Prediction, M::Error> {
        self.model.class_prediction(x, t, self.classes)
    }
}

impl<M: ClassDifferentiable> Differentiable for Conditional<'_, M> {
    fn pull_back(
        &self,
        x: &[f32],
        t: &[usize],
        cotangent: &mut dyn FnMut(&[f32]) -> Vec<f32>,
    ) -> Result<(Vec<f32>, Vec<f32>), M::Error> {
        self.model.class_pull_back(x, t, self.classes, cotangent)
    }
}

/// Classifier-free guidance: ε = (1 + w) ε(x, y) − w ε(x, no class) (Ho and Salimans 2022, eq. 6).
#[derive(Debug)]
pub struct ClassifierFree<'a, M> {
    pub model: &'a M,
    /// One per row.
    pub classes: &'a [u32],
    /// w.
    pub scale: f64,
}

impl<M: ClassDenoiser> ClassifierFree<'_, M> {
    /// Every row twice, first with its class and then without.
    fn doubled(&self, x: &[f32], t: &[usize]) -> (Vec<f32>, Vec<usize>, Vec<u32>) {
        let classes = [self.classes, &vec![self.model.classes() as u32; t.len()]].concat();
        ([x, x].concat(), [t, t].concat(), classes)
    }

    fn combined(&self, both: &[f32]) -> Vec<f32> {
        let (with, without) = both.split_at(both.len() / 2);
        let w = self.scale;
        let mix = |(a, b): (&f32, &f32)| ((1.0 + w) * f64::from(*a) - w * f64::from(*b)) as f32;
        with.iter().zip(without).map(mix).collect()
    }
}

impl<M: ClassDenoiser> Denoiser for ClassifierFree<'_, M> {
    type Error = M::Error;

    fn noise(&self, x: &[f32], t: &[usize]) -> Result<Vec<f32>, M::Error> {
        Ok(self.prediction(x, t)?.noise)
    }

    fn prediction(&self, x: &[f32], t: &[usize]) -> Result<Prediction, M::Error> {
        let (xx, tt, classes) = self.doubled(x, t);
        let both = self.model.class_prediction(&xx, &tt, &classes)?;
        let variance = both.variance.map(|mut v| {
            v.truncate(x.len());
            v
        });
        Ok(Prediction { noise: self.combined(&both.noise), variance, guidance: None })
    }
}

impl<M: ClassDifferentiable> Differentiable for ClassifierFree<'_, M> {
    fn pull_back(
        &self,
        x: &[f32],
        t: &[usize],
        cotangent: &mut dyn FnMut(&[f32]) -> Vec<f32>,
    ) -> Result<(Vec<f32>, Vec<f32>), M::Error> {
        let (xx, tt, classes) = self.doubled(x, t);
        let (noise, back) = self.model.class_pull_back(&xx, &tt, &classes, &mut |both| {
            let c = cotangent(&self.combined(both));
            let part = |factor: f64| c.iter().map(move |&c| (factor * f64::from(c)) as f32);
            part(1.0 + self.scale).chain(part(-self.scale)).collect()
        })?;
        let (with, without) = back.split_at(x.len());
        Ok((self.combined(&noise), with.iter().zip(without).map(|(a, b)| a + b).collect()))
    }
}

/// Guidance by a classifier of noisy x: samplers follow the score of p(x) p(y given x)^s (Dhariwal and Nichol 2021).
pub struct ClassifierGuided<'a, D, G> {
    pub denoiser: &'a D,
    /// ∇ ln p(y given x_t) [n, d] at x [n, d] and the steps t, y being the class of each row.
    pub gradient: G,
    /// s.
    pub scale: f64,
}

impl<D, G> Denoiser for ClassifierGuided<'_, D, G>
where
    D: Denoiser,
    G: Fn(&[f32], &[usize]) -> Result<Vec<f32>, D::Error> + Sync,
{
    type Error = D::Error;

    /// The model's own noise; [`Denoiser::prediction`] has the guidance.
    fn noise(&self, x: &[f32], t: &[usize]) -> Result<Vec<f32>, D::Error> {
        self.denoiser.noise(x, t)
    }

    fn prediction(&self, x: &[f32], t: &[usize]) -> Result<Prediction, D::Error> {
        let mut prediction = self.denoiser.prediction(x, t)?;
        let mut guidance = (self.gradient)(x, t)?;
        guidance.iter_mut().for_each(|g| *g = (self.scale * f64::from(*g)) as f32);
        prediction.guidance = Some(guidance);
        Ok(prediction)
    }
}
