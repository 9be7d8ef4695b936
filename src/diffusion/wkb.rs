//! The log-likelihood of the reverse process as a series in h: ln q^h(x) = ℓ0(x) + h ℓ1(x) + O(h²) (Hirono, Tanaka and
//! Fukushima 2024, section 4).
//!
//! Along the probability flow ẋ = F0 = a x − ½ g² s from x at t_min to t_max, ℓ0 is the instantaneous change of variables and
//!
//! ℓ1(x) = ∫ ½ g² [ ∇·(∇ℓ0 − s) + ∇ℓ0·(∇ℓ0 − s) ] dt.
//!
//! p = ∇ℓ0 and H = ∇∇ℓ0 at all times come exactly from the way back, where they start from those of the terminal density and obey
//! ṗ = −(∇F0)ᵀ p − ∇(∇·F0), Ḣ = −∇∇(∇·F0) − Σ_k p_k ∇∇F0_k − (∇F0)ᵀ H − H ∇F0.

use super::mixture::Density;
use super::ode::{Arrival, OdeError, Tolerance, solve};
use super::score::SmoothScore;
use super::sde::Sde;
use crate::nn::lane::{LANES, Lane, side_by_side};

/// The likelihood of one point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Likelihood<const D: usize> {
    /// ℓ0, in nats.
    pub order_0: f64,
    /// ℓ1, in nats.
    pub order_1: f64,
    /// ∇ℓ0 at the point.
    pub gradient: [f64; D],
    /// Δℓ0 at the point.
    pub laplacian: f64,
    /// Where the flow takes the point.
    pub end: [f64; D],
    /// How far from the point the way back ends: the error of the integration, in the units of x.
    pub closure: f64,
    /// Steps there and back.
    pub steps: u32,
}

/// Components of the state: x, p, the upper half of H and the integral.
const STATE: usize = 8;

/// ℓ0 and ℓ1 at `points`, with `terminal` as the density at t_max; an error where a point cannot be followed.
pub fn likelihoods<const D: usize>(
    score: &impl SmoothScore<D>,
    sde: &Sde,
    terminal: &impl Density<D>,
    points: &[[f64; D]],
    tolerance: Tolerance,
) -> Vec<Result<Likelihood<D>, OdeError>> {
    let (t_min, t_max) = sde.times();
    let starts: Vec<[f64; STATE]> = points.iter().map(state).collect();
    let there = solve(|t, y| divergence_slope(score, sde, t, y), t_min, t_max, &starts, D + 1, tolerance);

    // Those that arrive go back, with the terminal density's derivatives.
    let arrived: Vec<[f64; D]> =
        there.iter().flatten().map(|arrival| std::array::from_fn(|d| arrival.y[d])).collect();
    let (mut ends, mut terminal_values) = (Vec::new(), Vec::new());
    for group in arrived.chunks(LANES) {
        let density = terminal.logarithm(side_by_side(group));
        for (i, x) in group.iter().enumerate() {
            let mut y = state(x);
            for a in 0..D {
                y[D + a] = density.gradient[a][i];
                for b in a..D {
                    y[2 * D + a + b] = density.hessian[a][b][i];
                }
            }
            ends.push(y);
            terminal_values.push(density.value[i]);
        }
    }
    let back = solve(
        |t, y| correction_slope(score, sde, t, y),
        t_max,
        t_min,
        &ends,
        2 * D + D * (D + 1) / 2 + 1,
        tolerance,
    );

    let mut back = back.into_iter().zip(terminal_values);
    let mut likelihood = |x: &[f64; D], there: Result<Arrival<STATE>, OdeError>| {
        let there = there?;
        let (back, terminal) = back.next().ok_or(OdeError { t: t_max })?;
        let back = back?;
        Ok(Likelihood {
            order_0: terminal + there.y[STATE - 1],
            order_1: -back.y[STATE - 1],
            gradient: std::array::from_fn(|d| back.y[D + d]),
            laplacian: (0..D).map(|d| back.y[2 * D + 2 * d]).sum(),
            end: std::array::from_fn(|d| there.y[d]),
            closure: (0..D).map(|d| (back.y[d] - x[d]).powi(2)).sum::<f64>().sqrt(),
            steps: there.steps + back.steps,
        })
    };
    points.iter().zip(there).map(|(x, there)| likelihood(x, there)).collect()
}

/// A state that begins with x.
fn state<const D: usize>(x: &[f64; D]) -> [f64; STATE] {
    let mut y = [0.0; STATE];
    y[..D].copy_from_slice(x);
    y
}

/// ẋ = F0, with ∇·F0 in the last component.
fn divergence_slope<const D: usize>(
    score: &impl SmoothScore<D>,
    sde: &Sde,
    t: Lane,
    y: &[Lane; STATE],
) -> [Lane; STATE] {
    let x: [Lane; D] = std::array::from_fn(|i| y[i]);
    let (drift, half) = (t.map(|t| sde.drift(t)), t.map(|t| 0.5 * sde.diffusion(t)));
    let s = score.jets::<1>(t, x);
    let mut slope = [Lane::ZERO; STATE];
    for i in 0..D {
        slope[i] = drift * x[i] - half * s[i].value();
        slope[STATE - 1] += drift - half * s[i].first(i);
    }
    slope
}

/// ẋ, ṗ and Ḣ, with the integrand of ℓ1 in the last component.
fn correction_slope<const D: usize>(
    score: &impl SmoothScore<D>,
    sde: &Sde,
    t: Lane,
    y: &[Lane; STATE],
) -> [Lane; STATE] {
    let x: [Lane; D] = std::array::from_fn(|i| y[i]);
    let p: [Lane; D] = std::array::from_fn(|i| y[D + i]);
    let h = |i: usize, j: usize| y[2 * D + i + j];
    let (drift, half) = (t.map(|t| sde.drift(t)), t.map(|t| 0.5 * sde.diffusion(t)));
    let s = score.jets::<3>(t, x);
    let sum = |term: &dyn Fn(usize) -> Lane| (1..D).fold(term(0), |sum, k| sum + term(k));
    // ∂_j F0_i.
    let jacobian = |i: usize, j: usize| {
        let flow = -(half * s[i].first(j));
        if i == j { flow + drift } else { flow }
    };
    let mut slope = [Lane::ZERO; STATE];
    for i in 0..D {
        slope[i] = drift * x[i] - half * s[i].value();
        let divergence = half * sum(&|k| s[k].second(k, i));
        slope[D + i] = divergence - sum(&|k| jacobian(k, i) * p[k]);
        for j in i..D {
            let third = half * sum(&|k| s[k].third(k, i, j) + p[k] * s[k].second(i, j));
            let turned = sum(&|k| jacobian(k, i) * h(k, j) + h(i, k) * jacobian(k, j));
            slope[2 * D + i + j] = third - turned;
        }
    }
    let divergence = sum(&|k| h(k, k) - s[k].first(k));
    slope[STATE - 1] = half * (divergence + sum(&|k| p[k] * (p[k] - s[k].value())));
    slope
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::linear_control::LinearControl;
    use crate::diffusion::mixture::{Component, Mixture, MixtureScore};
    use crate::diffusion::sde::{Cosine, Exploding, Linear, Simple};
    use crate::random::Streams;

    const TIGHT: Tolerance = Tolerance { absolute: 1e-12, relative: 1e-11 };

    fn mixture<const D: usize>() -> Mixture<D> {
        let component = |weight, x: f64, variance| Component {
            weight,
            mean: std::array::from_fn(|i| x * (1.0 - 1.5 * i as f64)),
            variance,
        };
        Mixture {
            components: vec![component(0.3, 1.0, 0.1), component(0.5, -0.4, 0.2), component(0.2, -1.1, 0.05)],
        }
    }

    /// With the exact score and the exact terminal density ℓ0 is the density itself, its derivatives included, and ℓ1 = 0.
    fn exact<const D: usize>(sde: Sde) {
        let data = mixture::<D>();
        let score = MixtureScore { data: data.clone(), sde, error: 0.0 };
        let (t_min, t_max) = sde.times();
        let mut stream = Streams::new(1, "wkb test").stream(0);
        let points: Vec<[f64; D]> = (0..10).map(|_| data.draw(&mut stream)).collect();
        let found = likelihoods(&score, &sde, &data.at(&sde, t_max), &points, TIGHT);
        let now = data.at(&sde, t_min);
        for (x, found) in points.iter().zip(found) {
            let found = found.unwrap();
            let density = now.logarithm(x.map(Lane::splat));
            let laplacian: f64 = (0..D).map(|i| density.hessian[i][i][0]).sum();
            assert!(found.order_1.abs() < 1e-8, "{sde:?} {found:?}");
            assert!((found.order_0 - density.value[0]).abs() < 1e-8, "{found:?} {density:?}");
            assert!(
                (found.laplacian - laplacian).abs() < 1e-6 * laplacian.abs().max(1.0),
                "{found:?} {laplacian}"
            );
            for i in 0..D {
                assert!((found.gradient[i] - density.gradient[i][0]).abs() < 1e-6, "{found:?} {density:?}");
            }
            assert!(found.closure < 1e-8, "{found:?}");
        }
    }

    #[test]
    fn exact_scores_need_no_correction() {
        exact::<1>(Sde::Simple(Simple::default()));
        exact::<2>(Sde::Simple(Simple::default()));
        exact::<2>(Sde::Cosine(Cosine { t_min: 0.01, t_max: 0.99 }));
        exact::<1>(Sde::SubVp(Linear::default()));
        exact::<2>(Sde::Ve(Exploding::default()));
    }

    /// A network's ℓ0, its derivatives and ℓ1 against an independent calculation with 30 digits, `benches/peers/wkb_reference.py`.
    #[test]
    fn network_against_higher_precision() {
        let network = crate::nn::swish_mlp::tests::reference();
        let sde = Sde::Simple(Simple::default());
        let points = [[0.3, -0.7], [-0.5, 0.2]];
        let exact = [
            [-11.5220964482, 0.143194851954, -0.120360093935, 0.0199480993864, -1.03254839779],
            [-11.6783857189, 0.0536445519618, -0.0420647696376, 0.068614810297, -0.991203562089],
        ];
        let found = likelihoods(&network, &sde, &Mixture::normal(1.0), &points, TIGHT);
        for (found, exact) in found.iter().zip(exact) {
            let found = found.unwrap();
            let values =
                [found.order_0, found.gradient[0], found.gradient[1], found.laplacian, found.order_1];
            for (value, exact) in values.iter().zip(exact) {
                assert!((value / exact - 1.0).abs() < 1e-5, "{found:?} {exact}");
            }
        }
    }

    /// The imperfect linear score: −ℓ1 averaged over N(0, v) by Gauss–Hermite (three nodes, exact for this parabola) is the
    /// slope of the closed form, to 4 digits, for 20 random settings; ℓ0 averages to its value at h = 0.
    #[test]
    fn linear_score_has_the_closed_slope() {
        let mut stream = Streams::new(7, "linear settings").stream(0);
        for setting in 0..20 {
            let error = 0.6 * stream.uniform() - 0.3;
            let variance = 0.2 + 1.8 * stream.uniform();
            let sde = match setting % 3 {
                0 => Sde::Simple(Simple { t_min: 0.01 + 0.02 * stream.uniform(), t_max: 1.0 }),
                1 => Sde::Cosine(Cosine { t_min: 0.02, t_max: 0.9 + 0.09 * stream.uniform() }),
                _ => Sde::Vp(Linear { beta_max: 5.0 + 10.0 * stream.uniform(), ..Linear::default() }),
            };
            let control = LinearControl { variance, error, sde };
            let score = MixtureScore { data: Mixture::<1>::normal(variance), sde, error };
            let deviation = control.forward_variance(sde.times().0).sqrt();
            let nodes = [[-(3f64.sqrt()) * deviation], [0.0], [3f64.sqrt() * deviation]];
            let found = likelihoods(&score, &sde, &Mixture::normal(1.0), &nodes, TIGHT);
            let found: Vec<Likelihood<1>> = found.into_iter().map(Result::unwrap).collect();
            let mean = |of: &dyn Fn(&Likelihood<1>) -> f64| {
                (of(&found[0]) + 4.0 * of(&found[1]) + of(&found[2])) / 6.0
            };
            let (slope, expected) = (-mean(&|l| l.order_1), control.nll_slope());
            assert!((slope / expected - 1.0).abs() < 1e-4, "{control:?}: {slope} {expected}");
            assert!((-mean(&|l| l.order_0) / control.nll(0.0) - 1.0).abs() < 1e-7, "{control:?}");
        }
    }
}
