//! From tubes of finite width δ to δ → 0.
//!
//! With u the offset from the centre line z of a tube, each u_i even in [−δ/2, δ/2] and u_0 = 0, the joint probability is
//! `p(z) δ^N E exp(−Σ Δz_i Δu_i − ½ Σ (Δu_i)²)` (in units of σ). A change of sign of all u leaves E as it is, so its
//! logarithm is a series in δ²: `−ln P + (N − 1) ln δ = y_0 + y_1 δ² + y_2 δ⁴ + …`, the probability of arrival having taken
//! one factor δ away. By the second cumulants of Σ Δz_i Δu_i and the mean of Σ (Δu_i)², the joint probability's
//! `y_1 = (2N − 1 − Σ g_i²)/24`, where g_i = Δz_i − Δz_{i+1}, g_N = Δz_N: the leading bias is of the order δ², and a polynomial in δ² through
//! values at several widths takes it away order by order (Richardson's extrapolation).

use super::law::Estimate;
use onsager_numerics::arithmetic::square;
use onsager_numerics::statistics::NORMAL_QUANTILE;

/// A polynomial in δ² through values at several widths, as weights of the values.
#[derive(Debug, Clone, PartialEq)]
pub struct Extrapolation {
    /// Row n gives the coefficient of δ^(2n).
    rows: Vec<Vec<f64>>,
    /// What the limit makes of the next power, which the polynomial does not hold.
    next: f64,
    /// The limits through all widths but the widest, and all but the narrowest, for exact values.
    shorter: Vec<Vec<f64>>,
}

/// The terms of a polynomial fitted to estimates: 1, δ², δ⁴.
const TERMS: usize = 3;

impl Extrapolation {
    /// For values without sampling error: the polynomial through all of them. Nothing for fewer than three widths, or equal ones.
    pub fn exact(widths: &[f64]) -> Option<Extrapolation> {
        let (equal, count) = (vec![1.0; widths.len()], widths.len());
        if count < 3 {
            return None;
        }
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by(|&a, &b| widths[a].total_cmp(&widths[b]));
        let without = |left_out: usize| -> Option<Vec<f64>> {
            let mut weights = equal.clone();
            weights[left_out] = 0.0;
            Some(least_squares(widths, &weights, count - 1)?.swap_remove(0))
        };
        let shorter = vec![without(order[count - 1])?, without(order[0])?];
        Extrapolation::of(widths, least_squares(widths, &equal, count)?, shorter)
    }

    /// For estimates of these variances: the parabola in δ² of least weighted squares. Nothing for fewer than four widths.
    pub fn fitted(widths: &[f64], variances: &[f64]) -> Option<Extrapolation> {
        let weights: Vec<f64> = variances.iter().map(|variance| 1.0 / variance).collect();
        if widths.len() <= TERMS || weights.iter().any(|weight| !weight.is_finite()) {
            return None;
        }
        Extrapolation::of(widths, least_squares(widths, &weights, TERMS)?, Vec::new())
    }

    fn of(widths: &[f64], rows: Vec<Vec<f64>>, shorter: Vec<Vec<f64>>) -> Option<Extrapolation> {
        let power = |width: &f64| (0..rows.len()).fold(1.0, |power, _| power * width * width);
        let next = rows[0].iter().zip(widths).map(|(weight, width)| weight * power(width)).sum();
        Some(Extrapolation { rows, next, shorter })
    }

    /// The value at δ = 0.
    pub fn limit(&self, values: &[f64]) -> f64 {
        dot(&self.rows[0], values)
    }

    /// The standard error of [`Extrapolation::limit`] of independent estimates.
    pub fn error(&self, errors: &[f64]) -> f64 {
        self.rows[0]
            .iter()
            .zip(errors)
            .map(|(weight, error)| weight * weight * error * error)
            .sum::<f64>()
            .sqrt()
    }

    /// How far the limit may be off because the series was cut. For exact values, the larger of the two steps from the
    /// polynomials of one width less. For estimates, where such steps would be noise, what the limit makes of the next term of the
    /// series, taken to be smaller than the last one by the ratio of the last two.
    pub fn truncation(&self, values: &[f64]) -> f64 {
        if !self.shorter.is_empty() {
            let step = |weights: &Vec<f64>| (dot(weights, values) - self.limit(values)).abs();
            return self.shorter.iter().map(step).fold(0.0, f64::max);
        }
        let [.., before, last] = self.rows.as_slice() else { return 0.0 };
        let (before, last) = (dot(before, values), dot(last, values));
        (last * (last / before).abs().min(1.0) * self.next).abs()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The matrix that takes values at these widths to the coefficients of the polynomial of `terms` powers of δ², by weighted
/// least squares: `(Xᵀ W X)⁻¹ Xᵀ W`. Nothing where they do not determine it.
fn least_squares(widths: &[f64], weights: &[f64], terms: usize) -> Option<Vec<Vec<f64>>> {
    let scale = square(widths.iter().copied().fold(0.0, f64::max));
    let power = |width: f64, n: usize| (0..n).fold(1.0, |power, _| power * width * width / scale);
    let total: f64 = weights.iter().sum();
    // Each row: the normal equations' left side, then the right sides, one for each width.
    let mut rows: Vec<Vec<f64>> = (0..terms)
        .map(|n| {
            let weighted =
                |i: usize, m: usize| weights[i] / total * power(widths[i], n) * power(widths[i], m);
            let left = (0..terms).map(|m| (0..widths.len()).map(|i| weighted(i, m)).sum());
            left.chain((0..widths.len()).map(|i| weighted(i, 0))).collect()
        })
        .collect();
    for n in 0..terms {
        let best = (n..terms).max_by(|&a, &b| rows[a][n].abs().total_cmp(&rows[b][n].abs()))?;
        rows.swap(n, best);
        let pivot = rows[n].clone();
        if pivot[n].is_nan() || pivot[n].abs() <= 1e-13 {
            return None;
        }
        for (m, row) in rows.iter_mut().enumerate() {
            let factor = if m == n { 1.0 - 1.0 / pivot[n] } else { row[n] / pivot[n] };
            row.iter_mut().zip(&pivot).for_each(|(x, p)| *x -= factor * p);
        }
    }
    let mut coefficient_scale = 1.0;
    for row in &mut rows {
        row.drain(..terms);
        row.iter_mut().for_each(|x| *x /= coefficient_scale);
        coefficient_scale *= scale;
    }
    rows.iter().flatten().all(|x| x.is_finite()).then_some(rows)
}

/// One ensemble of tubes at several widths.
#[derive(Debug, Clone, PartialEq)]
pub struct Widths {
    /// In units of σ.
    pub widths: Vec<f64>,
    /// The steps N.
    pub steps: usize,
    /// −ln P of every tube, width by width.
    pub neg_ln_p: Vec<Vec<f64>>,
    /// Their standard errors, where they are estimates, independent of each other.
    pub errors: Option<Vec<Vec<f64>>>,
}

/// What is left for δ → 0.
#[derive(Debug, Clone, PartialEq)]
pub struct NarrowLimit {
    /// The slope γ at each width, with the 95 % interval of its sampling error.
    pub gammas: Vec<Estimate>,
    /// γ for δ → 0. The 95 % interval is that of the sampling error, widened by the truncation on either side. It does not hold the
    /// scatter of the tubes around the line: the tubes are given, and what is estimated is their slope.
    pub limit: Estimate,
    /// The truncation's part of that.
    pub truncation: f64,
    /// −ln P + (N − 1) ln(δ/σ) of each tube for δ → 0: minus the logarithm of the density of its path, given the arrival.
    pub neg_ln_density: Vec<f64>,
    /// Their standard errors.
    pub errors: Option<Vec<f64>>,
}

impl Widths {
    /// Extrapolates the slope of −ln P against `action`, an unweighted fit so that it is the same linear function of the tubes at
    /// every width, and tube by tube. Nothing for too few widths or tubes, or where the action does not vary.
    pub fn narrow_limit(&self, action: &[f64]) -> Option<NarrowLimit> {
        let n = action.len() as f64;
        let mean = action.iter().sum::<f64>() / n;
        let squares: f64 = action.iter().map(|a| (a - mean) * (a - mean)).sum();
        if action.len() < 3 || self.neg_ln_p.len() != self.widths.len() || squares.is_nan() || squares <= 0.0
        {
            return None;
        }
        let parts: Vec<f64> = action.iter().map(|a| (a - mean) / squares).collect();
        let gammas: Vec<f64> = self.neg_ln_p.iter().map(|values| dot(&parts, values)).collect();
        let errors: Vec<f64> = match &self.errors {
            None => vec![0.0; gammas.len()],
            Some(errors) => errors
                .iter()
                .map(|of| parts.iter().zip(of).map(|(c, e)| c * c * e * e).sum::<f64>().sqrt())
                .collect(),
        };
        let extrapolation = match &self.errors {
            None => Extrapolation::exact(&self.widths)?,
            Some(_) => {
                let variances: Vec<f64> = errors.iter().map(|error| error * error).collect();
                Extrapolation::fitted(&self.widths, &variances)?
            }
        };
        let estimate =
            |value: f64, reach: f64| Estimate { value, lower: value - reach, upper: value + reach };
        let truncation = extrapolation.truncation(&gammas);
        let of_tube = |of: &[Vec<f64>], tube: usize| of.iter().map(|of| of[tube]).collect::<Vec<f64>>();
        let tubes = 0..action.len();
        let density = |tube: usize| -> f64 {
            let values = self.widths.iter().zip(of_tube(&self.neg_ln_p, tube));
            let finite: Vec<f64> =
                values.map(|(width, value)| value + (self.steps - 1) as f64 * libm::log(*width)).collect();
            extrapolation.limit(&finite)
        };
        Some(NarrowLimit {
            gammas: gammas.iter().zip(&errors).map(|(g, e)| estimate(*g, NORMAL_QUANTILE * e)).collect(),
            limit: estimate(
                extrapolation.limit(&gammas),
                NORMAL_QUANTILE * extrapolation.error(&errors) + truncation,
            ),
            truncation,
            neg_ln_density: tubes.clone().map(density).collect(),
            errors: self
                .errors
                .as_ref()
                .map(|of| tubes.map(|tube| extrapolation.error(&of_tube(of, tube))).collect()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::motion::action::Motion;
    use crate::motion::least_action_path::least_action_path;
    use crate::motion::quadrature::Quadrature;
    use crate::motion::splitting::{NegLnP, Splitting};
    use crate::motion::systems::System;
    use crate::motion::tubes::Tube;
    use onsager_numerics::random::Streams;
    use rayon::prelude::*;

    const STEPS: usize = 10;

    fn exact(tubes: &[Tube], widths: &[f64]) -> Widths {
        let at = |width: &f64| {
            let quadrature = Quadrature::new(*width);
            tubes.iter().map(|tube| quadrature.neg_ln_p(tube)).collect()
        };
        Widths {
            widths: widths.to_vec(),
            steps: STEPS,
            neg_ln_p: widths.iter().map(at).collect(),
            errors: None,
        }
    }

    fn split(seed: u64, tubes: &[Tube], widths: &[f64]) -> Widths {
        let at = |width: &f64| -> Vec<NegLnP> {
            let streams = Streams::new(seed, &format!("splitting {width:?}"));
            let splitting = Splitting { streams, width: *width, walkers: 32, repeats: 16 };
            let estimate = |(k, tube): (usize, &Tube)| splitting.neg_ln_p(k as u64, tube).unwrap();
            tubes.par_iter().enumerate().map(estimate).collect()
        };
        let all: Vec<Vec<NegLnP>> = widths.iter().map(at).collect();
        let column = |f: fn(&NegLnP) -> f64| all.iter().map(|of| of.iter().map(f).collect()).collect();
        Widths {
            widths: widths.to_vec(),
            steps: STEPS,
            neg_ln_p: column(|p| p.value),
            errors: Some(column(|p| p.error)),
        }
    }

    /// The polynomial 3 − 2 δ² + 0.5 δ⁴ is met exactly by both, with no truncation of exact values beyond its own degree; and
    /// a term of δ⁶ moves the fitted limit by what `next` says.
    #[test]
    fn polynomials_are_met() {
        let widths = [1.0, 0.25, 0.75, 0.5];
        let values =
            |sixth: f64| widths.map(|w: f64| 3.0 - 2.0 * w.powi(2) + 0.5 * w.powi(4) + sixth * w.powi(6));
        let exact = Extrapolation::exact(&widths).unwrap();
        assert!((exact.limit(&values(0.25)) - 3.0).abs() < 1e-11);
        assert!(exact.truncation(&values(0.0)) < 1e-11);
        let fitted = Extrapolation::fitted(&widths, &[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert!((fitted.limit(&values(0.0)) - 3.0).abs() < 1e-11);
        // The last two coefficients are 0.5 and −2.
        assert!((fitted.truncation(&values(0.0)) - (0.125 * fitted.next).abs()).abs() < 1e-11);
        assert!((fitted.limit(&values(0.25)) - 3.0 - 0.25 * fitted.next).abs() < 1e-11);
        assert_eq!(Extrapolation::exact(&[0.5, 1.0]), None);
        assert_eq!(Extrapolation::exact(&[0.5, 1.0, 1.0]), None);
        assert_eq!(Extrapolation::fitted(&[0.5, 1.0, 2.0], &[1.0; 3]), None);
    }

    /// The closed forms of the module's head, tube by tube: the limit ½ Σ (Δz)² + (N/2) ln 2π − ½ ln 2πN, and the leading bias
    /// of −ln P, with that of the arrival, ln erf(δ/√(8N)): −δ²/(24 N). What is left at δ = 0.1 σ is of the order δ⁴ (times Σ g⁴/2880).
    #[test]
    fn leading_bias_and_limit_of_each_tube() {
        let tubes = Tube::sample_many(&Streams::new(3, "tubes"), 50, STEPS);
        let widths = [0.1, 0.2, 0.3, 0.4];
        let ensemble = exact(&tubes, &widths);
        let action: Vec<f64> = (0..50).map(f64::from).collect();
        let limit = ensemble.narrow_limit(&action).unwrap();
        let n = STEPS as f64;
        let tau = std::f64::consts::TAU;
        for (k, tube) in tubes.iter().enumerate() {
            let dz: Vec<f64> = tube.offsets.windows(2).map(|z| z[1] - z[0]).collect();
            let density = 0.5 * dz.iter().map(|d| d * d).sum::<f64>() + 0.5 * n * libm::log(tau)
                - 0.5 * libm::log(tau * n);
            assert!((limit.neg_ln_density[k] - density).abs() < 1e-8, "{k}");
            let g = |i: usize| dz[i] - dz.get(i + 1).copied().unwrap_or(0.0);
            let leading =
                (2.0 * n - 1.0 - (0..STEPS).map(|i| g(i) * g(i)).sum::<f64>()) / 24.0 - 1.0 / (24.0 * n);
            let bias = ensemble.neg_ln_p[0][k] + (n - 1.0) * libm::log(widths[0]) - density;
            assert!((bias / (widths[0] * widths[0]) - leading).abs() < 3e-3, "{k}: {bias} {leading}");
        }
    }

    /// 20 seeds, tubes up to 1 σ: γ · 2mD for δ → 0 is 1 within 0.5 %, and its 95 % interval covers 1 in 17 to 20 of the 20 (fewer than 17 would
    /// come by chance once in 60 times). Exact values have truncation error only, which the interval bounds, so there it is every
    /// seed.
    fn intervals_cover_the_law(name: &str, system: System) {
        let widths = [0.25, 0.5, 0.75, 1.0];
        let motion = Motion { system, mass: 1.0, dt: 1.0 };
        let least = least_action_path(&motion, 0.0, 10.0, STEPS).unwrap().path;
        let (mut covered, mut exactly) = (0, 0);
        for seed in 0..20 {
            let tubes = Tube::sample_many(&Streams::new(seed, name), 60, STEPS);
            // σ² = 2D = 1, so 2mD = 1.
            let action: Vec<f64> = tubes.iter().map(|tube| motion.action(&tube.path(&least, 1.0))).collect();
            for (ensemble, count) in
                [(exact(&tubes, &widths), &mut exactly), (split(seed, &tubes, &widths), &mut covered)]
            {
                let limit = ensemble.narrow_limit(&action).unwrap().limit;
                assert!((limit.value - 1.0).abs() < 0.005, "{name} {seed}: {limit:?}");
                *count += i32::from((limit.lower..=limit.upper).contains(&1.0));
            }
        }
        println!("{name}: covered by quadrature in {exactly}, by splitting in {covered} of 20 seeds");
        assert!(exactly == 20 && (17..=20).contains(&covered), "{name}: {exactly} {covered}");
    }

    #[test]
    fn intervals_cover_the_law_of_the_free_particle() {
        intervals_cover_the_law("free", System::Free);
    }

    #[test]
    fn intervals_cover_the_law_of_a_constant_force() {
        intervals_cover_the_law("force", System::ConstantForce { force: 0.5 });
    }

    /// The bias of splitting: the mean of γ · 2mD over 20 draws, less what exact values give through the same widths and weights, and
    /// less 1.
    #[test]
    fn the_mean_over_draws_covers_the_law() {
        let widths = [0.25, 0.5, 0.75, 1.0];
        let motion = Motion { system: System::Free, mass: 1.0, dt: 1.0 };
        let least = least_action_path(&motion, 0.0, 10.0, STEPS).unwrap().path;
        let found: Vec<[f64; 3]> = (0..20)
            .map(|seed| {
                let tubes = Tube::sample_many(&Streams::new(seed, "covered"), 60, STEPS);
                let action: Vec<f64> =
                    tubes.iter().map(|tube| motion.action(&tube.path(&least, 1.0))).collect();
                let estimated = split(seed, &tubes, &widths);
                let known = Widths { errors: estimated.errors.clone(), ..exact(&tubes, &widths) };
                let limit = estimated.narrow_limit(&action).unwrap();
                [limit.limit.value, known.narrow_limit(&action).unwrap().limit.value, limit.truncation]
            })
            .collect();
        let of = |i: usize| found.iter().map(|f| f[i]).collect::<Vec<f64>>();
        use onsager_numerics::statistics::{mean, standard_error};
        println!(
            "γ·2mD {} ± {}, of exact values {} ± {}, truncation {}",
            mean(&of(0)),
            standard_error(&of(0)),
            mean(&of(1)),
            standard_error(&of(1)),
            mean(&of(2))
        );
        assert!((mean(&of(0)) - 1.0).abs() < 2.0 * standard_error(&of(0)));
    }
}
