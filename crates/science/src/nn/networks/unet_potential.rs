//! A potential s(x, t) = x·u(x, t) of images, u being a U-Net whose result has the shape of the images.
//!
//! Every smooth potential has this form but for its value at x = 0, which the loss does not see. The rate of s along a moving point is a central difference
//! (as in Pang 2020, *Efficient learning of generative models via finite-difference score matching*): its error is a sixth of the squared
//! step times the third derivative along the motion, and the U-Net needs no second derivatives. The step is 1/256, or a sixteenth of the time
//! that has passed where that is less, since near the data the potential bends at that scale. Rounding then costs about 1e-4 of the rate.

use super::head::Head;
use super::moving_points::MovingPoints;
use super::unet::{Unet, UnetConfig};
use crate::nn::error::NnError;
use crate::nn::kernels::raw;
use crate::nn::layers::conditions::Conditions;
use crate::nn::layers::parameters::Parameters;
use candle_core::{Tensor, Var};

/// A U-Net that is a potential.
#[derive(Debug)]
pub struct UnetPotential {
    unet: Unet,
    size: usize,
}

/// The largest step of a difference, in the time whose rate is 1.
const STEP: f64 = 1.0 / 256.0;
/// The largest part of the time that has passed that a step may be.
const PART: f64 = 1.0 / 16.0;

/// Rows that the network is to see, each with its factor in the sum.
#[derive(Default)]
struct Rows {
    x: Vec<f32>,
    times: Vec<f32>,
    factors: Vec<f32>,
}

impl UnetPotential {
    /// A potential of images of `shape` [channels, height, width].
    pub fn new(c: &UnetConfig, shape: &[usize], parameters: &Parameters) -> Result<UnetPotential, NnError> {
        let unet = parameters.build(|vb| Unet::new(c, shape, Head::default(), vb))?;
        Ok(UnetPotential { unet, size: shape.iter().product() })
    }

    /// Σ weights·(s, ṡ) over moving points, at times above 0, as [1, 1]; see [`super::potential::Potential::weighted`].
    pub fn weighted(&self, at: MovingPoints<'_>, weights: &[[f32; 2]]) -> Result<Tensor, NnError> {
        let mut rows = Rows::default();
        for (((x, v), &time), &[value, rate]) in at.rows().zip(at.times).zip(weights) {
            let mut add = |along: f64, factor: f64| {
                rows.x.extend(x.iter().zip(v).map(|(x, v)| x + along as f32 * v));
                rows.times.push((f64::from(time) + at.rate * along) as f32);
                rows.factors.push(factor as f32);
            };
            if value != 0.0 {
                add(0.0, f64::from(value));
            }
            if rate != 0.0 {
                let step = STEP.min(PART * f64::from(time) / at.rate);
                let factor = f64::from(rate) / (2.0 * step);
                add(step, factor);
                add(-step, -factor);
            }
        }
        let Rows { x, times, factors } = rows;
        let shape = (times.len(), self.size);
        let scaled = x.chunks_exact(self.size).zip(factors).flat_map(|(x, f)| x.iter().map(move |x| f * x));
        let scaled = raw::tensor(scaled.collect::<Vec<f32>>(), shape)?;
        let u = self.unet.forward(&raw::tensor(x, shape)?, &Conditions::at(&times))?;
        Ok((u * scaled)?.sum_all()?.reshape((1, 1))?)
    }

    /// ∇s [n, d] at the points x [n, d].
    pub fn gradient(&self, x: &[f32], times: &[f32]) -> Result<Vec<f32>, NnError> {
        let x = Var::from_tensor(&raw::tensor(x.to_vec(), (times.len(), self.size))?)?;
        let u = self.unet.forward(&x, &Conditions::at(times))?;
        let gradients = (u * x.as_tensor())?.sum_all()?.backward()?;
        Ok(raw::values(gradients.get(&x).ok_or(NnError::Potential)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::gradient_check::{check_network, moved, normal};
    use candle_core::Device;

    const SHAPE: [usize; 3] = [1, 5, 4];

    fn potential() -> (UnetPotential, Parameters) {
        let c = UnetConfig {
            channels: 4,
            multipliers: vec![1, 2],
            groups: 2,
            embedding: 8,
            attention: vec![1],
            ..UnetConfig::default()
        };
        let parameters = Parameters::random(2, &Device::Cpu);
        (UnetPotential::new(&c, &SHAPE, &parameters).unwrap(), parameters)
    }

    /// The value or the rate of one point.
    fn one(potential: &UnetPotential, x: &[f32], v: &[f32], time: f32, weights: [f32; 2]) -> f32 {
        let at = MovingPoints { x, v, times: &[time], rate: 2.0 };
        raw::values(&potential.weighted(at, &[weights]).unwrap()).unwrap()[0]
    }

    /// The points are no input of a network: the sum of what `check_network` gives has a gradient of its own.
    #[test]
    fn gradient_of_every_parameter() {
        let (potential, parameters) = potential();
        let (x, v) = (normal(6, 60), normal(7, 60));
        check_network(&parameters, 1, 2, |more| {
            let at = MovingPoints { x: &x, v: &v, times: &[1.0, 4.0, 9.0], rate: 2.0 };
            let sum = potential.weighted(at, &[[0.1, 0.0], [0.0, 0.02], [-0.1, 0.02]]).unwrap();
            (sum + more.sum_all().unwrap().reshape((1, 1)).unwrap()).unwrap()
        });
    }

    /// The rate along (v, 1) is v·∇s plus the rate along (0, 1). Each quotient errs by h²/6 of a third derivative and by rounding, about
    /// 1e-7·‖x‖‖u‖/h: below 2e-3·(1 + the rates) for h = 1/256.
    #[test]
    fn rates_and_gradients_agree() {
        let (potential, parameters) = potential();
        moved(&parameters);
        for (i, time) in [1.5f32, 9.0].into_iter().enumerate() {
            let (x, v) = (normal(1 + 2 * i as u64, 20), normal(2 + 2 * i as u64, 20));
            let gradient = potential.gradient(&x, &[time]).unwrap();
            let along: f32 = gradient.iter().zip(&v).map(|(g, v)| g * v).sum();
            let moving = one(&potential, &x, &v, time, [0.0, 1.0]);
            let still = one(&potential, &x, &[0.0; 20], time, [0.0, 1.0]);
            assert!(
                (moving - still - along).abs() < 2e-3 * (1.0 + moving.abs() + still.abs()),
                "{moving} {still} {along}"
            );
            assert!(along.abs() > 0.05 && still.abs() > 0.01, "{along} {still}");
        }
    }

    /// A point's gradient does not depend on those computed with it, and its value is x·u.
    #[test]
    fn points_are_independent() {
        let (potential, parameters) = potential();
        moved(&parameters);
        let (x, times) = (normal(1, 40), [2.0, 7.0]);
        let both = potential.gradient(&x, &times).unwrap();
        assert_eq!(potential.gradient(&x[20..], &times[1..]).unwrap(), both[20..]);
        let u = raw::tensor(x[..20].to_vec(), (1, 20)).unwrap();
        let u = raw::values(&potential.unet.forward(&u, &Conditions::at(&times[..1])).unwrap()).unwrap();
        let value: f32 = x[..20].iter().zip(u).map(|(x, u)| x * u).sum();
        let found = one(&potential, &x[..20], &[0.0; 20], times[0], [1.0, 0.0]);
        assert!((found - value).abs() < 1e-5 * (1.0 + value.abs()), "{found} {value}");
    }
}
