//! A model as samplers and likelihoods see it.

use super::denoiser::{Denoiser, Differentiable, Prediction};
use super::guidance::{ClassDenoiser, ClassDifferentiable};
use super::model::Model;
use crate::nn::error::NnError;
use crate::nn::kernels::raw;
use candle_core::{Tensor, Var};

impl Model {
    /// The noise [n, d] out of what the network predicts.
    fn noise_of(&self, predicted: &Tensor) -> Result<Tensor, NnError> {
        match self.config.head.variance {
            true => Ok(predicted.narrow(1, 0, self.size())?.contiguous()?),
            false => Ok(predicted.clone()),
        }
    }
}

impl ClassDenoiser for Model {
    type Error = NnError;

    fn classes(&self) -> usize {
        self.config.head.classes
    }

    fn class_prediction(&self, x: &[f32], t: &[usize], classes: &[u32]) -> Result<Prediction, NnError> {
        let x = raw::tensor(x.to_vec(), (t.len(), self.size()))?;
        let predicted = self.predict_on(&x, t, classes)?.detach();
        let noise = raw::values(&self.noise_of(&predicted)?)?;
        let variance = match self.config.head.variance {
            true => Some(raw::values(&predicted.narrow(1, self.size(), self.size())?.contiguous()?)?),
            false => None,
        };
        Ok(Prediction { noise, variance, guidance: None })
    }
}

impl ClassDifferentiable for Model {
    fn class_pull_back(
        &self,
        x: &[f32],
        t: &[usize],
        classes: &[u32],
        cotangent: &mut dyn FnMut(&[f32]) -> Vec<f32>,
    ) -> Result<(Vec<f32>, Vec<f32>), NnError> {
        let shape = (t.len(), self.size());
        let x = Var::from_tensor(&raw::tensor(x.to_vec(), shape)?)?;
        let noise = self.noise_of(&self.predict_on(&x, t, classes)?)?;
        let values = raw::values(&noise)?;
        let c = raw::tensor(cotangent(&values), shape)?;
        let gradients = (noise * c)?.sum_all()?.backward()?;
        // A potential has no gradient of its noise.
        let gradient = gradients.get(&x).ok_or(NnError::Potential)?;
        Ok((values, raw::values(&gradient.contiguous()?)?))
    }
}

/// Without classes; what a model with classes says of rows without one.
impl Denoiser for Model {
    type Error = NnError;

    fn noise(&self, x: &[f32], t: &[usize]) -> Result<Vec<f32>, NnError> {
        Ok(self.prediction(x, t)?.noise)
    }

    fn prediction(&self, x: &[f32], t: &[usize]) -> Result<Prediction, NnError> {
        self.class_prediction(x, t, &[])
    }
}

impl Differentiable for Model {
    fn pull_back(
        &self,
        x: &[f32],
        t: &[usize],
        cotangent: &mut dyn FnMut(&[f32]) -> Vec<f32>,
    ) -> Result<(Vec<f32>, Vec<f32>), NnError> {
        self.class_pull_back(x, t, &[], cotangent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::discrete::flow_matching::FlowMatching;
    use crate::diffusion::discrete::model::ModelConfig;
    use crate::diffusion::discrete::objective::Objective;
    use crate::diffusion::discrete::schedule::ScheduleKind;
    use crate::nn::layers::parameters::Parameters;
    use crate::nn::networks::head::Head;
    use crate::nn::networks::mlp::MlpConfig;
    use crate::nn::networks::network::NetworkConfig;
    use crate::nn::training::adamw::AdamWConfig;
    use crate::nn::training::trainer::Trainer;
    use crate::nn::training::weights::Weights;
    use candle_core::Device;

    /// A model with fixed weights, as a sampler loads it.
    fn fixed(objective: Objective, variance: bool) -> Model {
        let config = ModelConfig {
            data: "noise".into(),
            shape: vec![2],
            levels: None,
            network: NetworkConfig::Mlp(MlpConfig { width: 8, layers: 2, embedding: 4, dropout: 0.0 }),
            head: Head { variance, classes: 2 },
            schedule: ScheduleKind::Linear,
            timesteps: 10,
            objective,
            dequantised: false,
        };
        let parameters = Parameters::random(3, &Device::Cpu);
        Model::new(config.clone(), &parameters).unwrap();
        let moved = |_, values: &mut [f32]| {
            values.iter_mut().enumerate().for_each(|(i, x)| *x += 0.4 * (1.0 + i as f32).sin());
        };
        parameters.change(moved).unwrap();
        let adamw = AdamWConfig { learning_rate: 0.1, warmup: 0, weight_decay: 0.0, clip: 0.0 };
        let trainer = Trainer::new(parameters, adamw, 0.0).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        trainer.averaged(serde_json::to_string(&config).unwrap()).save(file.path()).unwrap();
        Model::with_weights(config, Weights::load(file.path()).unwrap(), &Device::Cpu).unwrap()
    }

    /// Against central differences of cᵀε with step h = 1/64: their error is h²/6 of a third derivative and the rounding of f32, 2·1e-7/h. With a
    /// learned variance the pull-back is that of the noise alone; of a velocity, that of the noise that follows from it.
    #[test]
    fn pull_back_of_a_model_with_fixed_weights() {
        let models = [
            fixed(Objective::default(), false),
            fixed(Objective::default(), true),
            fixed(Objective::FlowMatching(FlowMatching::default()), false),
        ];
        for model in models {
            let (x, t, c) = ([0.5f32, -1.0, 2.0, 0.25], [3, 10], [0.7f32, -0.4, 1.0, 0.3]);
            let classes = [1, 0];
            let (noise, back) = model.class_pull_back(&x, &t, &classes, &mut |_| c.to_vec()).unwrap();
            let prediction = model.class_prediction(&x, &t, &classes).unwrap();
            assert_eq!(noise, prediction.noise);
            assert_eq!(prediction.variance.map(|v| v.len()), model.config.head.variance.then_some(4));
            assert_ne!(model.noise(&x, &t).unwrap(), noise, "classes matter");
            let h = 1.0 / 64.0;
            for i in 0..4 {
                let at = |h: f32| -> f64 {
                    let mut x = x;
                    x[i] += h;
                    let noise = model.class_prediction(&x, &t, &classes).unwrap().noise;
                    noise.iter().zip(&c).map(|(e, c)| f64::from(e * c)).sum()
                };
                let slope = (at(h) - at(-h)) / f64::from(2.0 * h);
                assert!((slope - f64::from(back[i])).abs() < 2e-3, "{i}: {slope} {}", back[i]);
                assert!(back[i].abs() > 1e-2, "{}", back[i]);
            }
        }
    }
}
