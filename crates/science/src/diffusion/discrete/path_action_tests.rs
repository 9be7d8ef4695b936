//! The action of paths of the reverse chain: its law, and what a wrong score adds to it.

use super::ancestral::{Ancestral, ReverseVariance, reverse_chain};
use super::denoiser::{Denoiser, Prediction};
use super::exact_denoiser::ExactDenoiser;
use super::path_action::path_actions;
use super::plan::{Plan, sample_paths};
use super::sample_batch::Batch;
use super::sampler_tests::{gaussian, sure};
use super::schedule::{Schedule, ScheduleKind, Spacing, Variance};
use onsager_numerics::random::Streams;
use onsager_numerics::statistics::{chi_square_cdf, kolmogorov_smirnov, mean, standard_error};
use std::convert::Infallible;

/// The exact noise of N(0, v I), and a v of the variance that changes with x.
struct Learned(ExactDenoiser<6>);

impl Denoiser for Learned {
    type Error = Infallible;

    fn noise(&self, x: &[f32], t: &[usize]) -> Result<Vec<f32>, Infallible> {
        self.0.noise(x, t)
    }

    fn prediction(&self, x: &[f32], t: &[usize]) -> Result<Prediction, Infallible> {
        let variance = Some(x.iter().map(|x| x.sin()).collect());
        Ok(Prediction { noise: self.noise(x, t)?, variance, guidance: None })
    }
}

/// 2A of ancestral paths, recomputed from their states, follows χ² with d × (noisy steps) degrees of freedom: Kolmogorov–Smirnov over 1,000
/// paths, p > 0.001. With a learned variance too; there action + normaliser is −ln p of the path.
#[test]
fn twice_the_path_action_is_chi_squared() {
    let schedule = Schedule::new(&ScheduleKind::Linear, 20);
    let denoiser = Learned(gaussian(&schedule, 0.5));
    let streams = Streams::new(3, "sampler test");
    for variance in [ReverseVariance::Beta, ReverseVariance::BetaTilde, ReverseVariance::Learned] {
        let steps = Ancestral { variance, spacing: Spacing::Linspace }.plan(&schedule, 20);
        let batch = Batch { streams: &streams, first: 0, count: 1000, size: 6 };
        let states = sure(sample_paths(&denoiser, &Plan::Chain(steps.clone()), batch, false, || Ok(())));
        let actions = sure(path_actions(&denoiser, &steps, &states, 1000));
        let values: Vec<f64> = actions.iter().map(|path| 2.0 * path.action).collect();
        let (_, p) = kolmogorov_smirnov(&values, |x| chi_square_cdf(x, 6.0 * 19.0));
        assert!(p > 0.001, "{variance:?}: {p}");
        let spread = actions.iter().any(|path| (path.normaliser - actions[0].normaliser).abs() > 1e-9);
        assert_eq!(spread, variance == ReverseVariance::Learned);
    }
}

/// The discrete Girsanov identity: on paths of the forward process E[A_θ] − E[A of the exact score] = ½ Σ β²/(σ² α) E‖s_θ − ∇ ln p_t‖², the same σ on both
/// sides. For N(0, v) and the score of N(0, w): the right side in closed form, the left within 4.5 standard errors of paired differences.
#[test]
fn the_discrete_girsanov_identity() {
    let (v, w) = (0.5, 0.8);
    let schedule = Schedule::new(&ScheduleKind::Cosine, 12);
    let (exact, wrong) = (gaussian::<4>(&schedule, v), gaussian::<4>(&schedule, w));
    let all: Vec<usize> = (1..=12).collect();
    let streams = Streams::new(4, "sampler test");
    let count = 4000;
    // x_0 … x_12 jointly, by steps.
    let batch = Batch { streams: &streams, first: 0, count, size: 4 };
    let mut states: Vec<Vec<f64>> = vec![batch.start().iter().map(|z| v.sqrt() * z).collect()];
    for t in 1..=12 {
        let noise = batch.noise(t);
        let step =
            |(x, z): (&f64, &f32)| schedule.alpha(t).sqrt() * x + schedule.beta(t).sqrt() * f64::from(*z);
        states.push(states[t - 1].iter().zip(&noise).map(step).collect());
    }
    states.reverse();
    for variance in [Variance::Beta, Variance::BetaTilde] {
        let steps = reverse_chain(&schedule, &all, variance.into());
        let of = |denoiser| sure(path_actions(denoiser, &steps, &states, count));
        let difference: Vec<f64> =
            of(&wrong).iter().zip(of(&exact)).map(|(wrong, exact)| wrong.action - exact.action).collect();
        let term = |t: usize| {
            let (bar, beta) = (schedule.alpha_bar(t), schedule.beta(t));
            let (a, b) = (bar * v + 1.0 - bar, bar * w + 1.0 - bar);
            let square = (1.0 / a - 1.0 / b).powi(2) * a * 4.0;
            0.5 * beta * beta / (schedule.sigma_squared(t, variance) * schedule.alpha(t)) * square
        };
        let wanted: f64 = (1..=12).map(term).sum();
        let (found, error) = (mean(&difference), standard_error(&difference));
        assert!((found - wanted).abs() < 4.5 * error, "{variance:?}: {found} {wanted} ± {error}");
        assert!(error < 0.1 * wanted, "{error}");
    }
}
