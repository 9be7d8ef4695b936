//! The likelihood of the probability flow: the instantaneous change of variables along it (Chen 2018; Song 2021, appendix D).
//!
//! In the angle φ of [`super::heun`], dx/dφ = v = (ε − sin φ x)/cos φ and d ln p/dφ = −∇·v = −(∇·ε − d sin φ)/cos φ, by Heun's method from
//! φ = 0, the data. There is no model at t = 0, and none is needed: of data with a density, ε = −σ̄ ∇ ln p + … vanishes there, and v with it.

use super::denoiser::{Differentiable, rounded};
use super::heun::{angle, mean_velocity, turn};
use super::node::Node;
use std::f64::consts::TAU;

/// How the divergence of ε is found.
#[derive(Clone, Copy)]
pub enum Divergence<'a> {
    /// Entry by entry of the Jacobian's diagonal, a pull-back each.
    Exact,
    /// Hutchinson's estimator with the vectors of this evaluation (0, 1 …), one for each row [n, d], of independent entries ±1. Steps are fixed, so each
    /// evaluation can have vectors of its own: their errors then cancel along the flow, and the sum stays unbiased.
    Probes(&'a dyn Fn(usize) -> Vec<f32>),
}

/// ln p of each row of `x` [n, size], in nats. The flow goes over the `nodes`, from noise to data as [`Node::list`] gives them, backwards; at the first one the
/// law is N(0, I). `step_done` is called after each step.
pub fn log_densities<D: Differentiable>(
    denoiser: &D,
    nodes: &[Node],
    x: &[f32],
    size: usize,
    divergence: Divergence<'_>,
    mut step_done: impl FnMut() -> Result<(), D::Error>,
) -> Result<Vec<f64>, D::Error> {
    let mut x: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
    let count = x.len() / size.max(1);
    let mut logs = vec![0.0; count];
    for (step, pair) in nodes.windows(2).rev().enumerate() {
        let (to, from) = (&pair[0], &pair[1]);
        let h = angle(to) - angle(from);
        let (v, spread) = velocity(denoiser, from, &x, size, divergence, 2 * step)?;
        let there = turn(&x, &v, h);
        let (end, end_spread) = velocity(denoiser, to, &there, size, divergence, 2 * step + 1)?;
        x = turn(&x, &mean_velocity(&v, &there, &end, h), h);
        for i in 0..count {
            logs[i] += 0.5 * h * (spread[i] + end_spread[i]);
        }
        step_done()?;
    }
    for (log, row) in logs.iter_mut().zip(x.chunks_exact(size)) {
        *log -= row.iter().map(|x| 0.5 * (x * x + libm::log(TAU))).sum::<f64>();
    }
    Ok(logs)
}

/// v [n, d] and the divergence of each row.
fn velocity<D: Differentiable>(
    denoiser: &D,
    node: &Node,
    x: &[f64],
    size: usize,
    divergence: Divergence<'_>,
    evaluation: usize,
) -> Result<(Vec<f64>, Vec<f64>), D::Error> {
    let count = x.len() / size;
    if node.t == 0 {
        return Ok((vec![0.0; x.len()], vec![0.0; count]));
    }
    let (cos, sin) = (node.alpha_bar.sqrt(), (1.0 - node.alpha_bar).sqrt());
    let (narrow, t) = (rounded(x), vec![node.t; count]);
    let mut noise = Vec::new();
    let mut traces = vec![0.0; count];
    let mut add = |vector: &[f32]| -> Result<(), D::Error> {
        let (found, back) = denoiser.pull_back(&narrow, &t, &mut |_| vector.to_vec())?;
        for (k, (v, b)) in vector.iter().zip(back).enumerate() {
            traces[k / size] += f64::from(*v) * f64::from(b);
        }
        noise = found;
        Ok(())
    };
    match divergence {
        Divergence::Probes(vectors) => add(&vectors(evaluation))?,
        Divergence::Exact => {
            for j in 0..size {
                let unit: Vec<f32> = (0..x.len()).map(|k| if k % size == j { 1.0 } else { 0.0 }).collect();
                add(&unit)?;
            }
        }
    }
    let v = x.iter().zip(&noise).map(|(x, &e)| (f64::from(e) - sin * x) / cos).collect();
    Ok((v, traces.iter().map(|trace| (trace - size as f64 * sin) / cos).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::continuous::mixture::{Component, Mixture};
    use crate::diffusion::discrete::exact_denoiser::ExactDenoiser;
    use crate::diffusion::discrete::schedule::{Schedule, ScheduleKind, Spacing};
    use onsager_numerics::random::Streams;
    use onsager_numerics::statistics::{mean, standard_error};

    fn logs<const D: usize>(
        denoiser: &ExactDenoiser<D>,
        spacing: Spacing,
        steps: usize,
        x: &[f32],
        divergence: Divergence<'_>,
    ) -> Vec<f64> {
        let nodes = Node::list(&denoiser.schedule, spacing, steps);
        log_densities(denoiser, &nodes, x, D, divergence, || Ok(())).unwrap_or_else(|never| match never {})
    }

    /// Gaussian data: the exact log density, and an error that falls with the square of the step; its floor is the first step, without a model at t = 0,
    /// and the prior's mismatch of ᾱ_T = 4e-5.
    #[test]
    fn flow_of_gaussian_data() {
        let schedule = Schedule::new(&ScheduleKind::Linear, 1000);
        let denoiser = ExactDenoiser::<3> { data: Mixture::normal(0.3), schedule };
        let mut x = vec![0.0; 60];
        Streams::new(1, "flow test").stream(0).fill_normal(&mut x);
        let error = |steps: usize| {
            let found = logs(&denoiser, Spacing::LogSnr, steps, &x, Divergence::Exact);
            let exact =
                x.chunks_exact(3).map(|x| denoiser.data.log_density([0, 1, 2].map(|i| f64::from(x[i]))));
            found.iter().zip(exact).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
        };
        let [coarse, middle, fine] = [50, 100, 200].map(error);
        assert!(fine < 1e-2 && (2.5..6.5).contains(&(coarse / middle)), "{coarse} {middle} {fine}");
    }

    /// A mixture: the exact density within 1 %, Hutchinson's estimator unbiased around it.
    #[test]
    fn flow_of_a_mixture() {
        let spot = |x, y| Component { weight: 0.5, mean: [x, y], variance: 0.1 };
        let data = Mixture { components: vec![spot(-0.6, 0.4), spot(0.7, -0.3)] };
        let denoiser = ExactDenoiser { data, schedule: Schedule::new(&ScheduleKind::Cosine, 1000) };
        let x = [0.3f32, 0.1, -0.5, 0.6, 0.1, 0.9];
        let found = logs(&denoiser, Spacing::LogSnr, 120, &x, Divergence::Exact);
        for (found, x) in found.iter().zip(x.chunks_exact(2)) {
            let exact = denoiser.data.log_density([f64::from(x[0]), f64::from(x[1])]);
            assert!((found - exact).abs() < 0.01, "{found} {exact}");
        }
        // 400 copies of the first point, each with vectors of its own: the same ones all along, and others at each evaluation.
        let streams = Streams::new(2, "flow test");
        let signs = |evaluation: usize| -> Vec<f32> {
            let mut stream = streams.stream(evaluation as u64);
            (0..800).map(|_| if stream.bits() & 1 == 0 { 1.0 } else { -1.0 }).collect()
        };
        let errors = [true, false].map(|fixed| {
            let vectors = |evaluation: usize| signs(if fixed { 0 } else { evaluation });
            let probes = Divergence::Probes(&vectors);
            let drawn = logs(&denoiser, Spacing::LogSnr, 120, &x[..2].repeat(400), probes);
            let error = standard_error(&drawn);
            assert!(
                (mean(&drawn) - found[0]).abs() < 4.5 * error && error > 1e-5,
                "{} {error}",
                mean(&drawn)
            );
            error
        });
        assert!(errors[1] < 0.5 * errors[0], "{errors:?}");
    }
}
