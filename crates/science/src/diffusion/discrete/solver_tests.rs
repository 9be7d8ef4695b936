//! Samplers on a mixture of Gaussians in the plane, whose exact noise is known: the order of the solvers path by path, the law of the samples, and
//! refinement.

use super::ancestral::{Ancestral, ReverseVariance};
use super::ddim::Ddim;
use super::dpm_solver::DpmSolver;
use super::exact_denoiser::ExactDenoiser;
use super::heun::Heun;
use super::node::Node;
use super::plan::{Plan, follow, sample, sample_paths};
use super::refinement::{Coarse, Refined, refine};
use super::sample_batch::Batch;
use super::sampler::Sampler;
use super::sampler_tests::sure;
use super::schedule::{Schedule, ScheduleKind, Spacing};
use crate::diffusion::continuous::mixture::{Component, Mixture};
use crate::metrics::features::Features;
use crate::metrics::wasserstein::wasserstein_squared;
use onsager_numerics::random::Streams;
use onsager_numerics::statistics::{mean, standard_error};

fn three_spots(schedule: Schedule) -> ExactDenoiser<2> {
    let spot = |weight, x, y, variance| Component { weight, mean: [x, y], variance };
    let components =
        vec![spot(0.5, 0.8, 0.2, 0.04), spot(0.3, -0.6, 0.5, 0.09), spot(0.2, -0.1, -0.8, 0.0625)];
    ExactDenoiser { data: Mixture { components }, schedule }
}

/// The root-mean-square distance to Heun's solution in 10⁴ steps, from the same 100 starts, falls with the number of steps to the power −1 for DDIM, −2
/// for Heun and for DPM-Solver++(2M): the slope over four halvings of the step within 0.2. Steps are even in ln(ᾱ/(1 − ᾱ)), on both schedules
/// of 10⁴ steps; the last step, to ᾱ = 1, is the same for all.
#[test]
fn deterministic_samplers_have_their_order() {
    for kind in [ScheduleKind::Linear, ScheduleKind::Cosine] {
        let denoiser = three_spots(Schedule::new(&kind, 10_000));
        let streams = Streams::new(1, "starts");
        let batch = Batch { streams: &streams, first: 0, count: 100, size: 2 };
        let end = |plan: &Plan| sure(sample(&denoiser, plan, batch, false, || Ok(())));
        let exact = end(&Plan::Heun(Node::list(&denoiser.schedule, Spacing::Linspace, 10_000)));
        let spacing = Spacing::LogSnr;
        let samplers = [
            (Sampler::Ddim(Ddim { eta: 0.0, spacing, ..Ddim::default() }), 1.0),
            (Sampler::Heun(Heun { spacing }), 2.0),
            (Sampler::DpmSolver(DpmSolver { spacing }), 2.0),
        ];
        for (sampler, order) in samplers {
            let error = |steps: usize| {
                let x = end(&sampler.plan(&denoiser.schedule, steps));
                let squares: f64 = x.iter().zip(&exact).map(|(x, y)| (x - y).powi(2)).sum();
                (squares / 100.0).sqrt()
            };
            let errors = [20, 40, 80, 160, 320].map(error);
            let slope = (errors[0] / errors[4]).log2() / 4.0;
            assert!((slope - order).abs() < 0.2, "{kind:?} {sampler:?}: {slope}, {errors:?}");
        }
    }
}

/// W2² between 400 samples and 400 points of the law is, over eight repetitions, not above that between points and points: the difference of the means within
/// 2.4 standard errors (t of 14 degrees at 97 %), of every sampler.
#[test]
fn every_sampler_reaches_the_floor() {
    let denoiser = three_spots(Schedule::new(&ScheduleKind::Linear, 1000));
    let law = Streams::new(2, "law");
    let points = |set: u64| {
        let mut stream = law.stream(set);
        Features::new((0..400).flat_map(|_| denoiser.data.draw(&mut stream)).collect(), 2)
    };
    let distance = |a: &Features, b: &Features| wasserstein_squared(a, b).unwrap_or(f64::NAN);
    let floor: Vec<f64> = (0..8).map(|i| distance(&points(2 * i), &points(2 * i + 1))).collect();
    let spacing = Spacing::LogSnr;
    let samplers = [
        (Sampler::default(), 500),
        (Sampler::Ancestral(Ancestral { variance: ReverseVariance::BetaTilde, ..Ancestral::default() }), 500),
        (Sampler::Ddim(Ddim { eta: 0.0, spacing, ..Ddim::default() }), 200),
        (Sampler::Ddim(Ddim { eta: 0.5, spacing, ..Ddim::default() }), 200),
        (Sampler::Heun(Heun { spacing }), 50),
        (Sampler::DpmSolver(DpmSolver { spacing }), 50),
    ];
    let streams = Streams::new(3, "samples");
    for (sampler, steps) in samplers {
        let plan = sampler.plan(&denoiser.schedule, steps);
        let found: Vec<f64> = (0..8)
            .map(|i| {
                let batch = Batch { streams: &streams, first: 400 * i, count: 400, size: 2 };
                let x = sure(sample(&denoiser, &plan, batch, false, || Ok(())));
                distance(&Features::new(x, 2), &points(100 + i as u64))
            })
            .collect();
        let error = standard_error(&found).hypot(standard_error(&floor));
        assert!(mean(&found) - mean(&floor) < 2.4 * error, "{sampler:?}: {found:?} {floor:?}");
    }
}

/// The path of the chain's own means has action 0, and refinement comes to it: from the same noise, the end of a refined path is that of the chain
/// without noise, wherever the coarse path came from. On the way the action falls and falls.
#[test]
fn refinement_ends_on_the_path_of_least_action() {
    let denoiser = three_spots(Schedule::new(&ScheduleKind::Cosine, 200));
    let streams = Streams::new(4, "paths");
    let batch = Batch { streams: &streams, first: 0, count: 30, size: 2 };
    for from in [Coarse::Ddim, Coarse::Ancestral, Coarse::Heun] {
        let p = Refined { from, ..Refined::default() };
        let steps = 12;
        let chain = p.chain(&denoiser.schedule, steps);
        let plan = p.coarse(&denoiser.schedule, steps);
        let states = sure(sample_paths(&denoiser, &plan, batch, false, || Ok(())));
        let refined = |iterations| {
            let p = Refined { iterations, ..p };
            sure(refine(&denoiser, &chain, states.clone(), 30, &p, false, || Ok(())))
        };
        let quiet: Vec<_> = chain
            .iter()
            .map(|s| super::chain::Step { sigma: super::chain::Sigma::Fixed(0.0), ..*s })
            .collect();
        let means = sure(follow(&denoiser, &Plan::Chain(quiet), batch.start(), batch, false, |_| Ok(())));
        let (none, few, many) = (refined(0), refined(10), refined(600));
        assert_eq!((&none.before, &none.states[..]), (&none.after, &states[..steps]));
        for i in 0..30 {
            assert!(
                few.after[i] < few.before[i]
                    && many.after[i] < few.after[i]
                    && few.before[i] == none.before[i]
            );
            assert!(
                many.after[i] < 1e-6 * many.before[i],
                "{from:?} {i}: {} {}",
                many.after[i],
                many.before[i]
            );
        }
        let worst = many.x.iter().zip(&means).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst < 0.02, "{from:?}: {worst}");
    }
}
