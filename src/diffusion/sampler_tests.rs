//! Samplers on Gaussian data, where the exact noise is known: for x_0 ~ N(0, v) it is ε(x, t) = √(1 − ᾱ) x/(ᾱ
//! v + 1 − ᾱ).

use super::path_action::path_actions;
use super::sampler::{Ancestral, Batch, Ddim, Denoiser, Sampler, sample, sample_paths};
use super::schedule::{Schedule, ScheduleKind, Spacing, Variance};
use crate::random::Streams;
use std::convert::Infallible;

struct Gaussian<'a> {
    schedule: &'a Schedule,
    variance: f64,
}

impl Denoiser for Gaussian<'_> {
    type Error = Infallible;

    fn noise(&self, x: &[f32], t: &[usize]) -> Result<Vec<f32>, Infallible> {
        let size = x.len() / t.len();
        let rows = x.chunks_exact(size).zip(t);
        Ok(rows
            .flat_map(|(row, &t)| {
                let bar = self.schedule.alpha_bar(t);
                let factor = (1.0 - bar).sqrt() / (bar * self.variance + 1.0 - bar);
                row.iter().map(move |&x| (factor * f64::from(x)) as f32)
            })
            .collect())
    }
}

/// One step has the mean and variance of the reverse chain: μ = (x − β/√(1 − ᾱ) ε)/√α and σ², to rounding.
#[test]
fn ancestral_coefficients() {
    let schedule = Schedule::new(ScheduleKind::Cosine, 30);
    for variance in [Variance::Beta, Variance::BetaTilde] {
        let sampler = Sampler::Ancestral(Ancestral { variance, spacing: Spacing::Linspace });
        let plan = sampler.plan(&schedule, 30);
        assert_eq!(plan.len(), 30);
        for (i, step) in plan.iter().enumerate() {
            let t = 30 - i;
            let (x, e, bar) = (0.8, -0.4, schedule.alpha_bar(t));
            let clean = (x - (1.0 - bar).sqrt() * e) / bar.sqrt();
            let mean = step.clean * clean + step.state * x;
            let expected = (x - schedule.beta(t) / (1.0 - bar).sqrt() * e) / schedule.alpha(t).sqrt();
            assert!((mean - expected).abs() < 1e-9 * expected.abs().max(1.0), "{t}: {mean} {expected}");
            let noise = if t == 1 { 0.0 } else { schedule.sigma_squared(t, variance) };
            assert!((step.noise * step.noise - noise).abs() < 1e-12);
        }
    }
}

/// DDIM with η = 1 is ancestral sampling with β̃ (Song 2021, eq. 16), for any steps kept; the last step has
/// no noise.
#[test]
fn ddim_with_eta_one_is_ancestral() {
    let schedule = Schedule::new(ScheduleKind::Linear, 100);
    for (steps, spacing) in [(100, Spacing::Leading), (13, Spacing::Trailing), (10, Spacing::Leading)] {
        let ddim = Sampler::Ddim(Ddim { eta: 1.0, spacing }).plan(&schedule, steps);
        let ancestral =
            Sampler::Ancestral(Ancestral { variance: Variance::BetaTilde, spacing }).plan(&schedule, steps);
        for (a, b) in ddim.iter().zip(&ancestral) {
            assert_eq!(a.t, b.t);
            for (a, b) in [(a.clean, b.clean), (a.state, b.state), (a.noise, b.noise)] {
                assert!((a - b).abs() < 1e-9, "{a} {b}");
            }
        }
        assert_eq!(ddim[ddim.len() - 1].noise, 0.0);
    }
}

/// The variance of the samples is that of the linear recursion, within 4.5·√(2/n); with many steps it is the
/// data's.
#[test]
fn variance_of_gaussian_samples() {
    let schedule = Schedule::new(ScheduleKind::Linear, 200);
    let denoiser = Gaussian { schedule: &schedule, variance: 0.25 };
    let streams = Streams::new(1, "sampler test");
    for sampler in [Sampler::default(), Sampler::Ddim(Ddim::default())] {
        let plan = sampler.plan(&schedule, 50);
        let mut expected = 1.0;
        for step in &plan {
            let bar = step.alpha_bar;
            let clean = (1.0 - (1.0 - bar) / (bar * 0.25 + 1.0 - bar)) / bar.sqrt();
            let factor: f64 = step.clean * clean + step.state;
            expected = factor * factor * expected + step.noise * step.noise;
        }
        let batch = Batch { streams: &streams, first: 0, count: 1000, size: 20 };
        let x = sample(&denoiser, &plan, batch, false, || Ok(())).unwrap_or_else(|never| match never {});
        let found = x.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>() / x.len() as f64;
        assert!((found / expected - 1.0).abs() < 4.5 * (2.0 / x.len() as f64).sqrt(), "{found} {expected}");
        assert!((expected / 0.25 - 1.0).abs() < 0.15, "{expected}");
    }
}

/// A sample depends on its index, not on the batch that it is computed in; the path ends in the sample.
#[test]
fn batches_leave_no_trace() {
    let schedule = Schedule::new(ScheduleKind::Linear, 20);
    let denoiser = Gaussian { schedule: &schedule, variance: 0.5 };
    let streams = Streams::new(2, "sampler test");
    let plan = Sampler::default().plan(&schedule, 20);
    let run = |first, count| {
        let batch = Batch { streams: &streams, first, count, size: 3 };
        sample(&denoiser, &plan, batch, true, || Ok(())).unwrap_or_else(|never| match never {})
    };
    let all = run(0, 10);
    assert_eq!([run(0, 4), run(4, 6)].concat(), all);
    let batch = Batch { streams: &streams, first: 0, count: 10, size: 3 };
    let states = sample_paths(&denoiser, &plan, batch, true).unwrap_or_else(|never| match never {});
    assert_eq!(states.len(), 21);
    assert_eq!(states[20], all);
}

/// 2A of ancestral paths follows χ² with d × (noisy steps) degrees of freedom: Kolmogorov–Smirnov over 1,000
/// paths, its distribution function by Wilson and Hilferty (error below 1e-3 at 114 degrees); p > 0.001 means
/// √n D < 1.95.
#[test]
fn twice_the_path_action_is_chi_squared() {
    let schedule = Schedule::new(ScheduleKind::Linear, 20);
    let denoiser = Gaussian { schedule: &schedule, variance: 0.5 };
    let streams = Streams::new(3, "sampler test");
    let plan = Sampler::default().plan(&schedule, 20);
    let batch = Batch { streams: &streams, first: 0, count: 1000, size: 6 };
    let states = sample_paths(&denoiser, &plan, batch, false).unwrap_or_else(|never| match never {});
    let mut actions = path_actions(&denoiser, &plan, &states, 1000).unwrap_or_else(|never| match never {});
    actions.sort_by(f64::total_cmp);
    let degrees = 6.0 * 19.0;
    let mut worst = 0.0f64;
    for (i, action) in actions.iter().enumerate() {
        let scale = 2.0 / (9.0 * degrees);
        let z = ((2.0 * action / degrees).cbrt() - (1.0 - scale)) / scale.sqrt();
        let below = 0.5 * libm::erfc(-z / std::f64::consts::SQRT_2);
        worst = worst.max((below - i as f64 / 1000.0).abs()).max((below - (i + 1) as f64 / 1000.0).abs());
    }
    assert!(worst * 1000f64.sqrt() < 1.95, "{worst}");
}
