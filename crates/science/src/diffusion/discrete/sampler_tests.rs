//! Coefficients of samplers against independent calculations, and sampling of laws whose exact noise is known.

use super::ancestral::{Ancestral, ReverseVariance};
use super::chain::Step;
use super::ddim::Ddim;
use super::denoiser::{Denoiser, Prediction, SamplingError};
use super::exact_denoiser::ExactDenoiser;
use super::node::Node;
use super::plan::{Plan, follow, sample, sample_paths};
use super::sample_batch::Batch;
use super::sampler::Sampler;
use super::schedule::{Schedule, ScheduleKind, Spacing, Variance};
use crate::diffusion::continuous::mixture::Mixture;
use onsager_numerics::random::Streams;
use std::convert::Infallible;

/// The result of what cannot fail.
pub(super) fn sure<T>(result: Result<T, SamplingError<Infallible>>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

pub(super) fn chain(plan: Plan) -> Vec<Step> {
    match plan {
        Plan::Chain(steps) => steps,
        other => panic!("{other:?}"),
    }
}

pub(super) fn gaussian<const D: usize>(schedule: &Schedule, variance: f64) -> ExactDenoiser<D> {
    ExactDenoiser { data: Mixture::normal(variance), schedule: schedule.clone() }
}

const KINDS: [ScheduleKind; 2] = [ScheduleKind::Linear, ScheduleKind::Cosine];

/// ln ᾱ_t for t = 0 … 1000, by sums of logarithms and by the closed form, apart from the last step of the cosine schedule, where β is cut to 0.999.
fn log_alpha_bars(kind: &ScheduleKind) -> Vec<f64> {
    let mut logs: Vec<f64> = match kind {
        ScheduleKind::Linear => {
            let betas = (0..1000).map(|i| 1e-4 + f64::from(i) * ((0.02 - 1e-4) / 999.0));
            let sums = betas.scan(0.0, |sum, beta| {
                *sum += (-beta).ln_1p();
                Some(*sum)
            });
            [0.0].into_iter().chain(sums).collect()
        }
        _ => {
            let log = |t: f64| 2.0 * ((t / 1000.0 + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().ln();
            (0..=1000).map(|t| log(f64::from(t)) - log(0.0)).collect()
        }
    };
    if *kind == ScheduleKind::Cosine {
        logs[1000] = logs[999] + 0.001f64.ln();
    }
    logs
}

/// Says fixed things, all exact in f32: noise, v and, if told so, guidance that depend on t alone.
struct Stub {
    guided: bool,
}

fn stub_noise(t: usize) -> f64 {
    [-0.5, 0.25, 1.0][t % 3]
}

const V: f64 = 0.25;
const PULL: f64 = -0.75;

impl Denoiser for Stub {
    type Error = Infallible;

    fn noise(&self, x: &[f32], t: &[usize]) -> Result<Vec<f32>, Infallible> {
        Ok(x.iter().map(|_| stub_noise(t[0]) as f32).collect())
    }

    fn prediction(&self, x: &[f32], t: &[usize]) -> Result<Prediction, Infallible> {
        Ok(Prediction {
            noise: self.noise(x, t)?,
            variance: Some(vec![V as f32; x.len()]),
            guidance: self.guided.then(|| vec![PULL as f32; x.len()]),
        })
    }
}

fn near(found: f64, wanted: f64, what: impl std::fmt::Display) {
    assert!((found - wanted).abs() <= 1e-6 * wanted.abs().max(1.0), "{what}: {found} {wanted}");
}

/// ᾱ, β̃ and the variances at T = 1000 against logarithms and precisions: 1/β̃ = α/β + 1/(1 − ᾱ_{t−1}).
#[test]
fn schedules_agree_with_logarithms_and_precisions() {
    for kind in KINDS {
        let (schedule, logs) = (Schedule::new(&kind, 1000), log_alpha_bars(&kind));
        for t in 1..=1000 {
            let relative = schedule.alpha_bar(t) / logs[t].exp() - 1.0;
            assert!(relative.abs() < 1e-6, "{kind:?} {t}: {relative}");
            let alpha = (logs[t] - logs[t - 1]).exp();
            let relative = schedule.beta(t) / -(logs[t] - logs[t - 1]).exp_m1() - 1.0;
            assert!(relative.abs() < 1e-6, "{kind:?} {t}: {relative}");
            if t > 1 {
                let precision = alpha / (1.0 - alpha) + 1.0 / -logs[t - 1].exp_m1();
                assert!((schedule.beta_tilde(t) * precision - 1.0).abs() < 1e-6, "{kind:?} {t}");
            }
        }
        assert_eq!(schedule.beta_tilde(1), 0.0);
        assert_eq!(schedule.sigma_squared(1, Variance::BetaTilde), schedule.beta_tilde(2));
    }
}

/// Mean and variance of every step of every chain against the conditional law of x_{i−1} given x_i and x̂_0 (product of two normal laws), to 1e-6.
/// With guidance, the mean of ancestral sampling moves by σ² times the pull, and the noise of DDIM by −√(1 − ᾱ) times it.
#[test]
fn one_step_of_every_chain() {
    let x = 0.75;
    for (kind, steps) in KINDS.into_iter().flat_map(|kind| [(kind.clone(), 1000), (kind, 37)]) {
        let (schedule, logs) = (Schedule::new(&kind, 1000), log_alpha_bars(&kind));
        let spacing = Spacing::Linspace;
        let retained = spacing.retained(&schedule, steps);
        let point = |i: usize| {
            let t = retained[retained.len() - 1 - i];
            let before = retained.iter().rev().nth(i + 1).copied().unwrap_or(0);
            (t, logs[t], logs[before])
        };
        let clean = |t: usize, log: f64, pull: f64| {
            let spread = (-log.exp_m1()).sqrt();
            (x - spread * (stub_noise(t) - spread * pull)) * (-0.5 * log).exp()
        };
        for guided in [false, true] {
            let stub = Stub { guided };
            let pull = if guided { PULL } else { 0.0 };
            for variance in [ReverseVariance::Beta, ReverseVariance::BetaTilde, ReverseVariance::Learned] {
                let plan = chain(Sampler::Ancestral(Ancestral { variance, spacing }).plan(&schedule, steps));
                assert_eq!(plan.len(), steps);
                for (i, step) in plan.iter().enumerate().take(steps - 1) {
                    let (t, now, next) = point(i);
                    let log_alpha = now - next;
                    let beta = -log_alpha.exp_m1();
                    let (forward, prior) = (log_alpha.exp() / beta, 1.0 / -next.exp_m1());
                    let pulled =
                        (0.5 * next).exp() * prior * clean(t, now, 0.0) + (0.5 * log_alpha).exp() / beta * x;
                    let posterior = 1.0 / (forward + prior);
                    let sigma_squared = match variance {
                        ReverseVariance::Beta => beta,
                        ReverseVariance::BetaTilde => posterior,
                        // v' = 0.625.
                        ReverseVariance::Learned => beta.powf(0.625) * posterior.powf(0.375),
                    };
                    let law = sure(step.transition(&stub, &[x], 1, false));
                    let what = format!("{kind:?} {variance:?} {t}");
                    near(law.mean[0], pulled * posterior + sigma_squared * pull, &what);
                    near(law.deviation[0].powi(2) / sigma_squared, 1.0, &what);
                }
                let (t, now, _) = point(steps - 1);
                let law = sure(plan[steps - 1].transition(&stub, &[x], 1, false));
                near(law.mean[0], clean(t, now, 0.0), "the last step");
                assert_eq!(law.deviation[0], 0.0);
            }
            for eta in [0.0, 0.5, 1.0] {
                for (i, step) in
                    chain(Sampler::Ddim(Ddim { eta, spacing, ..Ddim::default() }).plan(&schedule, steps))
                        .iter()
                        .enumerate()
                {
                    let (t, now, next) = point(i);
                    // σ² = η² β̃ of the retained steps, β̃ by precisions; 0 at the last.
                    let alpha = (now - next).exp();
                    let precision = alpha / (1.0 - alpha) + 1.0 / -next.exp_m1();
                    let sigma_squared = if next == 0.0 { 0.0 } else { eta * eta / precision };
                    let shifted = stub_noise(t) - (-now.exp_m1()).sqrt() * pull;
                    let away = (1.0 - next.exp() - sigma_squared).max(0.0).sqrt();
                    let wanted = (0.5 * next).exp() * clean(t, now, pull) + away * shifted;
                    let law = sure(step.transition(&stub, &[x], 1, false));
                    near(law.mean[0], wanted, format!("{kind:?} DDIM {eta} {t}"));
                    near(law.deviation[0].powi(2), sigma_squared, format!("{kind:?} DDIM {eta} {t}"));
                }
            }
        }
    }
}

/// Of Heun's steps and of DPM-Solver++(2M), from the definition: the mean of the two velocities as complex numbers, x + iv turning by e^{−iφ}; and
/// x̂_0 extrapolated linearly to the middle of the step in λ.
#[test]
fn one_step_of_the_solvers() {
    let x = 0.75;
    let stub = Stub { guided: false };
    for kind in KINDS {
        let (schedule, logs) = (Schedule::new(&kind, 1000), log_alpha_bars(&kind));
        let clean =
            |x: f64, t: usize| (x - (-logs[t].exp_m1()).sqrt() * stub_noise(t)) * (-0.5 * logs[t]).exp();
        let mixed = |clean: f64, noise: f64, t: usize| {
            (0.5 * logs[t]).exp() * clean + (-logs[t].exp_m1()).sqrt() * noise
        };
        let lambda = |t: usize| 0.5 * (logs[t] - (-logs[t].exp_m1()).ln());
        for steps in [1000, 37] {
            let nodes = Node::list(&schedule, Spacing::LogSnr, steps);
            for triple in nodes.windows(3) {
                let [s, t, u] = [triple[0].t, triple[1].t, triple[2].t];
                // A velocity is the derivative of the turn, √ᾱ ε − √(1 − ᾱ) x̂_0.
                let velocity = |x: f64, t: usize| {
                    (0.5 * logs[t]).exp() * stub_noise(t) - (-logs[t].exp_m1()).sqrt() * clean(x, t)
                };
                let there = mixed(clean(x, s), stub_noise(s), t);
                let angle = |t: usize| (-logs[t].exp_m1()).sqrt().asin();
                let h = angle(t) - angle(s);
                // (there + i velocity) turned back: its imaginary part is the velocity as seen from the beginning.
                let back = h.cos() * velocity(there, t) + h.sin() * there;
                let wanted = h.cos() * x + h.sin() * 0.5 * (velocity(x, s) + back);
                let found =
                    sure(follow(&stub, &Plan::Heun(triple[..2].to_vec()), vec![x], one(), false, |_| Ok(())));
                near(found[0], wanted, format!("{kind:?} Heun {s} {t}"));

                let mut states = Vec::new();
                let plan = Plan::DpmSolver(triple.to_vec());
                sure(follow(&stub, &plan, vec![x], one(), false, |x| {
                    states.push(x[0]);
                    Ok(())
                }));
                near(states[0], there, format!("{kind:?} DPM {s} {t}"));
                if u > 0 {
                    let slope = (clean(there, t) - clean(x, s)) / (lambda(t) - lambda(s));
                    let middle = clean(there, t) + slope * 0.5 * (lambda(u) - lambda(t));
                    // The noise that goes with that x̂_0 stays.
                    let noise = (there - (0.5 * logs[t]).exp() * middle) / (-logs[t].exp_m1()).sqrt();
                    near(states[1], mixed(middle, noise, u), format!("{kind:?} DPM {s} {t} {u}"));
                } else {
                    near(states[1], clean(there, t), "the last step");
                }
            }
        }
    }
}

fn one() -> Batch<'static> {
    static STREAMS: std::sync::LazyLock<Streams> = std::sync::LazyLock::new(|| Streams::new(0, "one number"));
    Batch { streams: &STREAMS, first: 0, count: 1, size: 1 }
}

/// DDIM with η = 1 is ancestral sampling with β̃ (Song 2021, eq. 16), for any steps kept; the last step has
/// no noise.
#[test]
fn ddim_with_eta_one_is_ancestral() {
    let schedule = Schedule::new(&ScheduleKind::Linear, 100);
    for (steps, spacing) in [(100, Spacing::Leading), (13, Spacing::Trailing), (10, Spacing::LogSnr)] {
        let ddim = Ddim { eta: 1.0, spacing, ..Ddim::default() }.plan(&schedule, steps);
        let ancestral = Ancestral { variance: ReverseVariance::BetaTilde, spacing }.plan(&schedule, steps);
        for (a, b) in ddim.iter().zip(&ancestral) {
            assert_eq!(a.t, b.t);
            let [(p, q), (r, s)] = [a.factors(), b.factors()];
            assert!((p - r).abs() < 1e-9 && (q - s).abs() < 1e-9, "{a:?} {b:?}");
        }
        assert!(!ddim[ddim.len() - 1].sigma.is_noisy());
    }
}

/// A model without a variance cannot be sampled with a learned one.
#[test]
fn a_missing_variance_is_an_error() {
    let schedule = Schedule::new(&ScheduleKind::Linear, 10);
    let plan = Sampler::Ancestral(Ancestral { variance: ReverseVariance::Learned, ..Ancestral::default() })
        .plan(&schedule, 10);
    let found = follow(&gaussian::<1>(&schedule, 1.0), &plan, vec![0.0], one(), false, |_| Ok(()));
    assert_eq!(found, Err(SamplingError::NoVariance));
}

/// The variance of the samples is that of the linear recursion, within 4.5·√(2/n); with many steps it is the
/// data's.
#[test]
fn variance_of_gaussian_samples() {
    let schedule = Schedule::new(&ScheduleKind::Linear, 200);
    let denoiser = gaussian::<20>(&schedule, 0.25);
    let streams = Streams::new(1, "sampler test");
    for sampler in [Sampler::default(), Sampler::Ddim(Ddim::default())] {
        let plan = sampler.plan(&schedule, 50);
        let mut expected = 1.0;
        for step in chain(plan.clone()) {
            let (bar, (by_state, by_noise)) = (step.alpha_bar, step.factors());
            let factor = by_state + by_noise * (1.0 - bar).sqrt() / (bar * 0.25 + 1.0 - bar);
            let deviation = sure(step.transition(&denoiser, &[0.0; 20], 1, false)).deviation[0];
            expected = factor * factor * expected + deviation * deviation;
        }
        let batch = Batch { streams: &streams, first: 0, count: 1000, size: 20 };
        let x = sure(sample(&denoiser, &plan, batch, false, || Ok(())));
        let found = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
        assert!((found / expected - 1.0).abs() < 4.5 * (2.0 / x.len() as f64).sqrt(), "{found} {expected}");
        assert!((expected / 0.25 - 1.0).abs() < 0.15, "{expected}");
    }
}

/// A sample depends on its index, not on the batch that it is computed in; the path ends in the sample. Of every sampler.
#[test]
fn batches_leave_no_trace() {
    let schedule = Schedule::new(&ScheduleKind::Linear, 20);
    let denoiser = gaussian::<3>(&schedule, 0.5);
    let streams = Streams::new(2, "sampler test");
    let samplers = [
        Sampler::default(),
        Sampler::Ddim(Ddim::default()),
        Sampler::Heun(Default::default()),
        Sampler::DpmSolver(Default::default()),
    ];
    for sampler in samplers {
        let plan = sampler.plan(&schedule, 15);
        let run = |first, count| {
            let batch = Batch { streams: &streams, first, count, size: 3 };
            sure(sample(&denoiser, &plan, batch, true, || Ok(())))
        };
        let all = run(0, 10);
        assert_eq!([run(0, 4), run(4, 6)].concat(), all);
        let batch = Batch { streams: &streams, first: 0, count: 10, size: 3 };
        let states = sure(sample_paths(&denoiser, &plan, batch, true, || Ok(())));
        assert_eq!((states.len(), &states[15]), (16, &all));
        assert!(all.iter().all(|x| (-1.0..=1.0).contains(x)));
    }
}
