//! The law −ln P = γ A + c over the tubes of one ensemble, and γ over a sweep of the noise.

use crate::stats::counts::{CountLine, Counted};
use crate::stats::regression::Line;
use onsager_numerics::statistics::{NORMAL_QUANTILE, pearson};

/// The tubes of one ensemble as one estimator sees them: columns of equal length, in consistent units.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sample {
    /// A_L of each tube's path.
    pub action: Vec<f64>,
    /// A_H of each tube's path.
    pub action_hamiltonian: Vec<f64>,
    /// The deviation predicted for the potential's curvature, see [`super::action::Motion::deviation`].
    pub deviation: Vec<f64>,
    /// −ln P of each tube, infinite where nothing was counted.
    pub neg_ln_p: Vec<f64>,
    /// What was counted, where P was.
    pub counts: Option<Counts>,
}

/// The particles in each tube, of those that arrive.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counts {
    pub counts: Vec<f64>,
    pub arrived: f64,
    /// Tubes with fewer counts are left out of the correlations, where a logarithm of the count itself is needed: that of a small one is
    /// biased.
    pub minimum: f64,
}

/// An estimated value with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    pub value: f64,
    pub lower: f64,
    pub upper: f64,
}

/// The fitted law.
///
/// Exact probabilities and those by splitting are fitted by ordinary least squares; the 95 % interval of γ is that of the slope, by the t
/// distribution with n − 2 degrees of freedom and errors scaled by the scatter around the line, so it is not sampling error alone.
/// Counted ones are fitted by the likelihood of the counts, all of them, with that scatter beside their own variance: see [`CountLine`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Law {
    /// γ, in units of 1/action.
    pub gamma: Estimate,
    /// The standard error of γ.
    pub gamma_error: f64,
    pub intercept: f64,
    /// Pearson's correlation between ln P and A_L: −1 is a perfect law.
    pub r: f64,
    /// The same with A_H.
    pub r_hamiltonian: f64,
    /// The slope of −ln P against the corrected action A + deviation: the law without the potential's curvature, so that
    /// only the width's bias is left in it; equal to γ for a linear potential.
    pub gamma_corrected: Estimate,
    /// The correlation between ln P and the corrected action.
    pub r_corrected: f64,
    /// Squared residuals per degree of freedom; of counts, over their variances.
    pub chi_squared: f64,
    /// The slope of the residual 2mD (−ln P) − A against the predicted deviation, 1 for narrow tubes; nothing for a linear
    /// potential, where no deviation is predicted.
    pub residual_slope: Option<Estimate>,
    /// The correlation of the two.
    pub residual_r: Option<f64>,
    /// The number of tubes fitted.
    pub tubes: usize,
}

impl Law {
    /// Fits the law; `two_m_d` is 2 m D. Nothing for fewer than three tubes, of which enough was counted, or tubes of equal action.
    pub fn fit(sample: &Sample, two_m_d: f64) -> Option<Law> {
        let curved = sample.deviation.iter().any(|&deviation| deviation != 0.0);
        let corrected = sample.corrected();
        let seen = sample.seen();
        if seen.len() < 3 {
            return None;
        }
        let of = |column: &[f64]| -> Vec<f64> { seen.iter().map(|&k| column[k]).collect() };
        let neg_ln_p = of(&sample.neg_ln_p);
        let r = |column: &[f64]| Some(-pearson(&of(column), &neg_ln_p)?);
        let fitted = sample.line(&sample.action)?;
        let residual_slope = if curved { sample.residual_slope(two_m_d) } else { None };
        Some(Law {
            gamma: slope_of(&fitted),
            gamma_error: fitted.slope_error,
            intercept: fitted.intercept,
            r: r(&sample.action)?,
            r_hamiltonian: r(&sample.action_hamiltonian)?,
            gamma_corrected: slope_of(&sample.line(&corrected)?),
            r_corrected: r(&corrected)?,
            chi_squared: fitted.chi_squared,
            residual_slope,
            residual_r: residual_slope
                .and_then(|_| pearson(&of(&sample.deviation), &of(&sample.residual(two_m_d)))),
            tubes: fitted.points,
        })
    }
}

impl Sample {
    /// A + deviation of each tube: 2mD (−ln P) of narrow tubes, up to a constant.
    pub fn corrected(&self) -> Vec<f64> {
        self.action.iter().zip(&self.deviation).map(|(a, deviation)| a + deviation).collect()
    }

    /// The spread of the deviation over that of the action, standard deviations of the tubes: how far the potential's curvature is from
    /// being small.
    pub fn deviation_share(&self) -> Option<f64> {
        let share = spread(&self.deviation) / spread(&self.action);
        share.is_finite().then_some(share)
    }

    /// The constant c of −ln P = exponent + c that gives the tubes their mean −ln P, or the particles counted in them.
    pub fn level(&self, exponents: &[f64]) -> f64 {
        match &self.counts {
            None => {
                self.neg_ln_p.iter().zip(exponents).map(|(value, exponent)| value - exponent).sum::<f64>()
                    / exponents.len() as f64
            }
            Some(counted) => {
                let expected: f64 = exponents.iter().map(|exponent| libm::exp(-exponent)).sum();
                libm::log(counted.arrived * expected / counted.counts.iter().sum::<f64>())
            }
        }
    }

    /// The tubes whose −ln P can stand for itself.
    fn seen(&self) -> Vec<usize> {
        let all = 0..self.neg_ln_p.len();
        match &self.counts {
            None => all.collect(),
            Some(counted) => all.filter(|&k| counted.counts[k] >= counted.minimum).collect(),
        }
    }

    /// −ln P against `x`.
    fn line(&self, x: &[f64]) -> Option<Line> {
        match &self.counts {
            None => Line::fit(x, &self.neg_ln_p, None),
            Some(counted) => counted.line(x, &vec![0.0; x.len()]),
        }
    }

    /// The slope of the residual against the deviation; of counts, −ln P = (A + slope · deviation)/2mD + c.
    fn residual_slope(&self, two_m_d: f64) -> Option<Estimate> {
        match &self.counts {
            None => Some(slope_of(&Line::fit(&self.deviation, &self.residual(two_m_d), None)?)),
            Some(counted) => {
                let law: Vec<f64> = self.action.iter().map(|action| action / two_m_d).collect();
                let Estimate { value, lower, upper } = slope_of(&counted.line(&self.deviation, &law)?);
                Some(Estimate { value: two_m_d * value, lower: two_m_d * lower, upper: two_m_d * upper })
            }
        }
    }

    /// The residual 2mD (−ln P) − A of each tube, an action.
    pub fn residual(&self, two_m_d: f64) -> Vec<f64> {
        self.neg_ln_p.iter().zip(&self.action).map(|(p, action)| two_m_d * p - action).collect()
    }
}

/// The scores z = (estimate − exact value)/standard error of some tubes: mean 0 and standard deviation 1 for honest errors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scores {
    pub mean: f64,
    pub deviation: f64,
    /// The score furthest from zero.
    pub worst: f64,
}

impl Scores {
    /// Nothing for fewer than two scores.
    pub fn of(z: &[f64]) -> Option<Scores> {
        if z.len() < 2 {
            return None;
        }
        let worst =
            z.iter().copied().fold(0.0, |worst: f64, z| if z.abs() > worst.abs() { z } else { worst });
        Some(Scores { mean: z.iter().sum::<f64>() / z.len() as f64, deviation: spread(z), worst })
    }
}

/// The standard deviation.
fn spread(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0)).sqrt()
}

impl Counts {
    fn line(&self, x: &[f64], offset: &[f64]) -> Option<Line> {
        let counted = Counted { counts: &self.counts, trials: self.arrived };
        CountLine::fit(x, offset, counted).map(|fitted| fitted.line)
    }
}

fn slope_of(line: &Line) -> Estimate {
    let (lower, upper) = line.slope_interval();
    Estimate { value: line.slope, lower, upper }
}

/// The variance of −ln(count/arrived) for a binomial count, (1 − p)/count, to first order: good from about 20 counts on.
pub fn counting_variance(count: u64, arrived: u64) -> f64 {
    1.0 / count as f64 - 1.0 / arrived as f64
}

/// γ against 1/D over a sweep of the noise: a line of slope 1/(2m) through the origin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sweep {
    pub slope: Estimate,
    pub intercept: Estimate,
    /// The number of noise strengths.
    pub points: usize,
}

impl Sweep {
    /// Fits the line to (1/D, γ, standard error of γ), weighted by 1/error²; 95 % intervals from those errors, widened by
    /// the scatter around the line where it is larger than they say. Nothing for fewer than two different D.
    pub fn fit(points: &[(f64, f64, f64)]) -> Option<Sweep> {
        let column = |f: fn(&(f64, f64, f64)) -> f64| -> Vec<f64> { points.iter().map(f).collect() };
        let weights = column(|point| 1.0 / (point.2 * point.2));
        if weights.iter().any(|weight| !weight.is_finite()) {
            return None;
        }
        let line = Line::fit_known(&column(|point| point.0), &column(|point| point.1), &weights)?;
        let estimate = |value: f64, error: f64| Estimate {
            value,
            lower: value - NORMAL_QUANTILE * error,
            upper: value + NORMAL_QUANTILE * error,
        };
        Some(Sweep {
            slope: estimate(line.slope, line.slope_error),
            intercept: estimate(line.intercept, line.intercept_error),
            points: points.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::motion::action::Motion;
    use crate::motion::least_action_path::least_action_path;
    use crate::motion::quadrature::Quadrature;
    use crate::motion::systems::System;
    use crate::motion::tubes::Tube;
    use onsager_numerics::random::Streams;

    fn exact(system: System, mass: f64, diffusion: f64, width: f64) -> (Sample, Law) {
        let (steps, dt) = (10, 1.0);
        let motion = Motion { system, mass, dt };
        let least = least_action_path(&motion, 0.0, 10.0, steps).unwrap().path;
        let sigma = (2.0 * diffusion * dt).sqrt();
        let quadrature = Quadrature::new(width);
        let mut sample = Sample::default();
        for tube in Tube::sample_many(&Streams::new(7, "law"), 100, steps) {
            let path = tube.path(&least, sigma);
            sample.action.push(motion.action(&path));
            sample.action_hamiltonian.push(motion.action_hamiltonian(&path));
            sample.deviation.push(motion.deviation(&path, &least));
            sample.neg_ln_p.push(quadrature.neg_ln_p(&tube));
        }
        let law = Law::fit(&sample, 2.0 * mass * diffusion).unwrap();
        (sample, law)
    }

    /// Linear potentials: γ · 2mD within 1 % of 1 at δ = 0.25 σ, r = −1, no deviation; and A_H loses the correlation under
    /// a strong force. For the width bias alone 0.996 is expected.
    #[test]
    fn linear_potentials_follow_the_law() {
        for (system, mass, diffusion) in [
            (System::Free, 1.0, 1.0),
            (System::Free, 2.0, 0.5),
            (System::ConstantForce { force: 0.5 }, 1.0, 2.0),
        ] {
            let (_, law) = exact(system, mass, diffusion, 0.25);
            assert!((law.gamma.value * 2.0 * mass * diffusion - 1.0).abs() < 0.01, "{law:?}");
            assert!(law.r < -0.9999 && law.residual_slope.is_none(), "{law:?}");
            match system {
                System::Free => assert!((law.r_hamiltonian - law.r).abs() < 1e-12),
                _ => assert!(law.r_hamiltonian > -0.8, "{law:?}"),
            }
        }
    }

    /// Curved potentials: the residual follows the predicted deviation with slope 1, within 3 % at δ = 0.05 σ (the width
    /// bias being of the order δ²), and the prediction meets every single tube.
    #[test]
    fn curved_potentials_deviate_as_predicted() {
        for system in [
            System::Harmonic { stiffness: 0.01 },
            System::Quartic { coefficient: 1e-4 },
            System::Morse { depth: 1.0, alpha: 0.1 },
        ] {
            let (sample, law) = exact(system, 1.0, 1.0, 0.05);
            let slope = law.residual_slope.unwrap().value;
            assert!((slope - 1.0).abs() < 0.03, "{system:?}: {slope}");
            assert!(law.r < -0.98 && law.r_corrected < -0.9999, "{law:?}");
            assert!((2.0 * law.gamma_corrected.value - 1.0).abs() < 1e-3, "{law:?}");
            let gaps: Vec<f64> =
                sample.corrected().iter().zip(&sample.neg_ln_p).map(|(a, value)| value - 0.5 * a).collect();
            assert!(gaps.iter().all(|gap| (gap - gaps[0]).abs() < 0.01), "{system:?}: {gaps:?}");
        }
    }

    /// γ against 1/D: the slope is 1/(2m), by two and by three noise strengths.
    #[test]
    fn sweep_of_the_noise() {
        let mass = 2.0;
        let points: Vec<_> = [0.5, 1.0, 2.0]
            .map(|diffusion| {
                let (_, law) = exact(System::Free, mass, diffusion, 0.1);
                (1.0 / diffusion, law.gamma.value, law.gamma_error)
            })
            .into();
        for points in [&points[..2], &points] {
            let sweep = Sweep::fit(points).unwrap();
            assert!((sweep.slope.value - 0.25).abs() < 0.25 * 0.002, "{sweep:?}");
            assert!(sweep.intercept.value.abs() < 0.002);
        }
        assert_eq!(Sweep::fit(&points[..1]), None);
    }
}
