//! Guidance against two spots whose exact conditional and unconditional noise is known.

use super::chain::Guided;
use super::ddim::Ddim;
use super::denoiser::{Denoiser, Differentiable, Prediction};
use super::exact_denoiser::ExactDenoiser;
use super::guidance::{ClassDenoiser, ClassDifferentiable, ClassifierFree, ClassifierGuided, Conditional};
use super::plan::sample;
use super::sample_batch::Batch;
use super::sampler::Sampler;
use super::sampler_tests::{chain, sure};
use super::schedule::{Schedule, ScheduleKind};
use crate::diffusion::continuous::mixture::{Component, Mixture};
use onsager_numerics::random::Streams;
use std::convert::Infallible;

/// Two spots with their classes: the exact conditional model; the unconditional one for class 2.
struct Spots {
    spots: [ExactDenoiser<2>; 3],
}

impl Spots {
    fn new(schedule: &Schedule) -> Spots {
        let spot = |weight, x| Component { weight, mean: [x, 0.3], variance: 0.2 };
        let law = |components| ExactDenoiser { data: Mixture { components }, schedule: schedule.clone() };
        Spots {
            spots: [
                law(vec![spot(1.0, -0.8)]),
                law(vec![spot(1.0, 0.9)]),
                law(vec![spot(0.4, -0.8), spot(0.6, 0.9)]),
            ],
        }
    }
}

impl ClassDenoiser for Spots {
    type Error = Infallible;

    fn classes(&self) -> usize {
        2
    }

    fn class_prediction(&self, x: &[f32], t: &[usize], classes: &[u32]) -> Result<Prediction, Infallible> {
        let (noise, _) = self.class_pull_back(x, t, classes, &mut |noise| noise.to_vec())?;
        Ok(Prediction { noise, variance: None, guidance: None })
    }
}

impl ClassDifferentiable for Spots {
    fn class_pull_back(
        &self,
        x: &[f32],
        t: &[usize],
        classes: &[u32],
        cotangent: &mut dyn FnMut(&[f32]) -> Vec<f32>,
    ) -> Result<(Vec<f32>, Vec<f32>), Infallible> {
        let mut noise = Vec::new();
        for (i, &class) in classes.iter().enumerate() {
            noise.extend(self.spots[class as usize].noise(&x[2 * i..2 * i + 2], &t[i..=i])?);
        }
        let c = cotangent(&noise);
        let mut back = Vec::new();
        for (i, &class) in classes.iter().enumerate() {
            let row = 2 * i..2 * i + 2;
            back.extend(
                self.spots[class as usize]
                    .pull_back(&x[row.clone()], &t[i..=i], &mut |_| c[row.clone()].to_vec())?
                    .1,
            );
        }
        Ok((noise, back))
    }
}

/// With the exact classifier, ∇ ln p(y given x_t) = ∇ ln p_t(x given y) − ∇ ln p_t(x), scale 1 turns the unconditional model into the conditional one: the same
/// samples by DDIM, up to the rounding of the gradients to f32 (1e-7 each, 30 steps, stretched by 1/√ᾱ at most 160 in the first).
#[test]
fn guidance_by_the_exact_classifier() {
    let schedule = Schedule::new(&ScheduleKind::Linear, 1000);
    let spots = Spots::new(&schedule);
    let classes: Vec<u32> = (0..20).map(|i| i % 2).collect();
    let conditional = Conditional { model: &spots, classes: &classes };
    let gradient = |x: &[f32], t: &[usize]| {
        let (with, without) = (conditional.noise(x, t)?, spots.spots[2].noise(x, t)?);
        let scale = |i: usize| -1.0 / (1.0 - schedule.alpha_bar(t[i / 2])).sqrt();
        Ok((0..x.len()).map(|i| (scale(i) * f64::from(with[i] - without[i])) as f32).collect())
    };
    let guided = ClassifierGuided { denoiser: &spots.spots[2], gradient, scale: 1.0 };
    let streams = Streams::new(5, "sampler test");
    let batch = Batch { streams: &streams, first: 0, count: 20, size: 2 };
    for sampler in [
        Sampler::Ddim(Ddim::default()),
        Sampler::Heun(Default::default()),
        Sampler::DpmSolver(Default::default()),
    ] {
        let plan = sampler.plan(&schedule, 30);
        let a = sure(sample(&guided, &plan, batch, false, || Ok(())));
        let b = sure(sample(&conditional, &plan, batch, false, || Ok(())));
        let worst = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-4, "{worst}");
    }
    assert_eq!(
        sure(Ok(guided.prediction(&[0.5; 40], &[1; 20]).unwrap_or_else(|never| match never {})))
            .guidance
            .map(|g| g.len()),
        Some(40)
    );
}

/// w = 0 is the conditional model, w = −1 the unconditional one, and the noise is linear in w; so is the pull-back.
#[test]
fn classifier_free_guidance_is_linear() {
    let schedule = Schedule::new(&ScheduleKind::Linear, 100);
    let spots = Spots::new(&schedule);
    let (classes, x, t) = ([1, 0], [0.5f32, -0.25, 0.0, 1.0], [40, 70]);
    let at = |scale| {
        let free = ClassifierFree { model: &spots, classes: &classes, scale };
        free.pull_back(&x, &t, &mut |noise| noise.iter().map(|_| 1.0).collect())
            .unwrap_or_else(|never| match never {})
    };
    let (with, without) = (at(0.0), at(-1.0));
    let conditional = Conditional { model: &spots, classes: &classes };
    assert_eq!(Ok(with.0.clone()), conditional.noise(&x, &t));
    assert_eq!(Ok(without.0.clone()), spots.spots[2].noise(&x, &t));
    assert_eq!(Ok(with.clone()), conditional.pull_back(&x, &t, &mut |noise| vec![1.0; noise.len()]));
    let free = ClassifierFree { model: &spots, classes: &classes, scale: 2.5 };
    assert_eq!(free.noise(&x, &t), Ok(at(2.5).0));
    for i in 0..4 {
        for (found, a, b) in
            [(at(2.5).0[i], with.0[i], without.0[i]), (at(2.5).1[i], with.1[i], without.1[i])]
        {
            assert!((found - (3.5 * a - 2.5 * b)).abs() < 1e-5, "{i}: {found}");
        }
    }
    assert_eq!(chain(Sampler::default().plan(&schedule, 3))[0].guided, Guided::Mean);
}
