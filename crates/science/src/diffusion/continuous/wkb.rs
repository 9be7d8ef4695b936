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
use super::ode::{Arrival, OdeError, Piece, Tolerance, solve};
use super::score::SmoothScore;
use super::sde::Sde;
use super::tabulated::{Node, solve_tabulated};
use crate::nn::kernels::lane::{LANES, Lane};
use onsager_numerics::arithmetic::square;

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
    /// How far from the point the flow's slope leads back along the path: the error of the integration, in the units of x.
    pub closure: f64,
    /// Steps there and back.
    pub steps: u32,
}

/// Components of the state of the way back: the path of x, p, the upper half of H, and the integral of ℓ1.
const STATE: usize = 8;

/// ℓ0 and ℓ1 at `points`, with `terminal` as the density at t_max; an error where a point cannot be followed.
///
/// On the way there the score's first derivatives are needed; on the way back, along the path that is known then, those up to the third,
/// each time once (see [`super::tabulated`]).
pub fn likelihoods<const D: usize>(
    score: &impl SmoothScore<D>,
    sde: &Sde,
    terminal: &impl Density<D>,
    points: &[[f64; D]],
    tolerance: Tolerance,
) -> Vec<Result<Likelihood<D>, OdeError>> {
    let (t_min, t_max) = sde.times();
    let mut paths: Vec<Vec<Piece<3>>> = vec![Vec::new(); points.len()];
    let starts: Vec<[f64; 3]> = points.iter().map(leading).collect();
    let slope = |t, y: &_| divergence_slope(score, sde, t, y);
    let there = solve(slope, t_min, t_max, &starts, tolerance, |point, piece| paths[point].push(piece));

    // Those that arrive go back, with the terminal density's derivatives.
    let (mut arrived, mut meshes, mut starts, mut terminal_values) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (point, there) in there.iter().enumerate() {
        let Ok(there) = there else { continue };
        let x: [f64; D] = std::array::from_fn(|d| there.y[d]);
        let density = terminal.logarithm(x.map(Lane::splat));
        let mut y: [f64; STATE] = leading(&x);
        for a in 0..D {
            y[D + a] = density.gradient[a][0];
            for b in a..D {
                y[2 * D + a + b] = density.hessian[a][b][0];
            }
        }
        meshes.push(std::iter::once(t_max).chain(paths[point].iter().rev().map(|piece| piece.t)).collect());
        arrived.push(point);
        starts.push(y);
        terminal_values.push(density.value[0]);
    }
    let tabulate = |nodes: &[Node]| local_fields(score, sde, nodes, |node| &paths[arrived[node.trajectory]]);
    let used = 2 * D + D * (D + 1) / 2 + 1;
    let back = solve_tabulated(&meshes, &starts, tabulate, LocalField::slope, used, tolerance);

    let mut back = back.into_iter().zip(terminal_values);
    let mut likelihood = |x: &[f64; D], there: Result<Arrival<3>, OdeError>| {
        let there = there?;
        let (back, terminal) = back.next().ok_or(OdeError { t: t_max })?;
        let back = back?;
        Ok(Likelihood {
            order_0: terminal + there.y[2],
            order_1: -back.y[STATE - 1],
            gradient: std::array::from_fn(|d| back.y[D + d]),
            laplacian: (0..D).map(|d| back.y[2 * D + 2 * d]).sum(),
            end: std::array::from_fn(|d| there.y[d]),
            closure: (0..D).map(|d| square(back.y[d] - x[d])).sum::<f64>().sqrt(),
            steps: there.steps + back.steps,
        })
    };
    points.iter().zip(there).map(|(x, there)| likelihood(x, there)).collect()
}

/// A state that begins with x.
fn leading<const D: usize, const M: usize>(x: &[f64; D]) -> [f64; M] {
    let mut y = [0.0; M];
    y[..D].copy_from_slice(x);
    y
}

/// ẋ = F0, with ∇·F0 in the last component.
fn divergence_slope<const D: usize>(
    score: &impl SmoothScore<D>,
    sde: &Sde,
    t: Lane,
    y: &[Lane; 3],
) -> [Lane; 3] {
    let x: [Lane; D] = std::array::from_fn(|i| y[i]);
    let (drift, half) = (t.map(|t| sde.drift(t)), t.map(|t| 0.5 * sde.diffusion(t)));
    let s = score.jets::<1>(t, x);
    let mut slope = [Lane::ZERO; 3];
    for i in 0..D {
        slope[i] = drift * x[i] - half * s[i].value();
        slope[2] += drift - half * s[i].first(i);
    }
    slope
}

/// The flow and the score at a point of a path, with the derivatives that p, H and ℓ1 need; equal mixed ones are held once, ∂_i ∂_j at i + j.
#[derive(Debug, Clone, Copy)]
struct LocalField<const D: usize> {
    /// ½ g².
    half: f64,
    /// s and ∇·s.
    score: [f64; D],
    divergence: f64,
    /// F0 and ∂_j F0_i at [i][j].
    flow: [f64; D],
    jacobian: [[f64; D]; D],
    /// ∂_i ∂_j of −F0_k at [k][i + j], and of −∇·F0; its gradient.
    bend: [[f64; 3]; D],
    divergence_bend: [f64; 3],
    divergence_gradient: [f64; D],
}

/// The fields at nodes of these paths.
fn local_fields<'a, const D: usize>(
    score: &impl SmoothScore<D>,
    sde: &Sde,
    nodes: &[Node],
    path: impl Fn(&Node) -> &'a Vec<Piece<3>>,
) -> Vec<LocalField<D>> {
    let mut fields = Vec::with_capacity(nodes.len());
    for group in nodes.chunks(LANES) {
        let mut x = [Lane::ZERO; D];
        let mut t = Lane::splat(group[0].t);
        for (i, node) in group.iter().enumerate() {
            t[i] = node.t;
            let path = path(node);
            let after = path.partition_point(|piece| piece.t <= node.t);
            let y = path[after.max(1) - 1].at(node.t);
            (0..D).for_each(|d| x[d][i] = y[d]);
        }
        let s = score.jets::<3>(t, x);
        for (i, node) in group.iter().enumerate() {
            let (drift, half) = (sde.drift(node.t), 0.5 * sde.diffusion(node.t));
            let first = |k: usize, j: usize| s[k].first(j)[i];
            let second = |k: usize, a: usize, b: usize| half * s[k].second(a, b)[i];
            let places = [[0, 0], [0, D - 1], [D - 1, D - 1]];
            fields.push(LocalField {
                half,
                score: s.map(|s| s.value()[i]),
                divergence: (0..D).map(|k| first(k, k)).sum(),
                flow: std::array::from_fn(|k| drift * x[k][i] - half * s[k].value()[i]),
                jacobian: std::array::from_fn(|k| {
                    std::array::from_fn(|j| if k == j { drift } else { 0.0 } - half * first(k, j))
                }),
                bend: std::array::from_fn(|k| places.map(|[a, b]| second(k, a, b))),
                divergence_bend: places
                    .map(|[a, b]| half * (0..D).map(|k| s[k].third(k, a, b)[i]).sum::<f64>()),
                divergence_gradient: std::array::from_fn(|a| (0..D).map(|k| second(k, k, a)).sum()),
            });
        }
    }
    fields
}

impl<const D: usize> LocalField<D> {
    /// ẋ, ṗ and Ḣ, with the integrand of ℓ1 in the last component.
    fn slope(&self, y: &[f64; STATE]) -> [f64; STATE] {
        let p = |i: usize| y[D + i];
        let h = |i: usize, j: usize| y[2 * D + i + j];
        let jacobian = &self.jacobian;
        let mut slope = [0.0; STATE];
        let mut integrand = -self.divergence;
        for i in 0..D {
            slope[i] = self.flow[i];
            slope[D + i] = self.divergence_gradient[i] - (0..D).map(|k| jacobian[k][i] * p(k)).sum::<f64>();
            for j in i..D {
                let bent: f64 = (0..D).map(|k| p(k) * self.bend[k][i + j]).sum();
                let turned: f64 = (0..D).map(|k| jacobian[k][i] * h(k, j) + h(i, k) * jacobian[k][j]).sum();
                slope[2 * D + i + j] = self.divergence_bend[i + j] + bent - turned;
            }
            integrand += h(i, i) + p(i) * (p(i) - self.score[i]);
        }
        slope[STATE - 1] = self.half * integrand;
        slope
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::continuous::linear_control::LinearControl;
    use crate::diffusion::continuous::mixture::{Component, Mixture, MixtureScore};
    use crate::diffusion::continuous::sde::{Cosine, Exploding, Linear, Simple};
    use onsager_numerics::random::Streams;

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
        let network = crate::nn::networks::swish_mlp::tests::reference();
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
