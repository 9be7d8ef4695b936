//! Tube probabilities by splitting (sequential Monte Carlo): a population of walkers is carried from step to step, those
//! that leave the tube are lost, those that stay are split, and the probability is the product of the fractions that stay.
//!
//! Each walker is split without end: of the offspring of a walker at w, the fraction `S(w) = Φ(h) − Φ(l)` stays in the next
//! step, where l and h are the displacements to the tube's walls. So no step loses all walkers, however improbable it is, and
//! the random number of survivors is replaced by its expectation. The M walkers of the next step are drawn from the survivors:
//! parents with probability proportional to S(w) (systematic resampling), displacements from the normal between l and h.
//!
//! The product of the mean fractions is an unbiased estimate of the probability: given the walkers at step i − 1, the mean of S
//! has the conditional expectation that the exact operator gives, and every walker of step i is drawn from the mixture of the
//! survivors (Del Moral, *Feynman–Kac Formulae*, 2004, chapter 7). Independent repeats give its standard error. A number
//! depends on (seed, purpose, tube, repeat, step) alone.

use super::quadrature::arrival_probability;
use super::tubes::Tube;
use onsager_numerics::random::{Stream, Streams};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Estimates probabilities of tubes of one width.
#[derive(Debug, Clone)]
pub struct Splitting {
    pub streams: Streams,
    /// The width δ in units of σ.
    pub width: f64,
    /// The walkers M ≥ 2 of a repeat.
    pub walkers: usize,
    /// The independent repeats R ≥ 2, at most [`REPEATS`].
    pub repeats: usize,
}

/// The most repeats.
pub const REPEATS: usize = 1 << 12;
/// The most steps of a tube.
const STEPS: u64 = 1 << 12;

/// −ln P of a tube.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NegLnP {
    pub value: f64,
    /// Its standard error.
    pub error: f64,
}

impl Splitting {
    /// −ln P of the tube with this index: of `P(|x_i − z_i| ≤ δ/2 for all i = 1..N) / P(|x_N − b| ≤ δ/2)`, the denominator
    /// exact. Nothing where a repeat ends with the probability 0, beyond steps of 38 σ.
    ///
    /// With the mean P of R repeats and its standard error s, the error of −ln P is s/P to first order. The logarithm bends: E(−ln P)
    /// lies s²/(2P²) too high, which is taken off, and so is what is left of the order 1/R².
    pub fn neg_ln_p(&self, index: u64, tube: &Tube) -> Option<NegLnP> {
        let logarithms: Vec<f64> =
            (0..self.repeats).into_par_iter().map(|repeat| self.repeat(index, repeat as u64, tube)).collect();
        // Relative to the largest, so that nothing underflows.
        let least = logarithms.iter().copied().fold(f64::INFINITY, f64::min);
        let scaled: Vec<f64> = logarithms.iter().map(|value| libm::exp(least - value)).collect();
        let n = self.repeats as f64;
        let mean = scaled.iter().sum::<f64>() / n;
        let relative: Vec<f64> = scaled.iter().map(|value| value / mean - 1.0).collect();
        let error = (relative.iter().map(|r| r * r).sum::<f64>() / (n * (n - 1.0))).sqrt();
        let steps = tube.offsets.len() - 1;
        let arrival = libm::log(arrival_probability(self.width, steps));
        let value = least - libm::log(mean) - bend(&relative) + arrival;
        value.is_finite().then_some(NegLnP { value, error })
    }

    /// −ln of one estimate of the joint probability of all N steps; infinite for 0.
    fn repeat(&self, index: u64, repeat: u64, tube: &Tube) -> f64 {
        let half = 0.5 * self.width;
        let mut walkers = vec![tube.offsets[0]; self.walkers];
        let mut survival = vec![0.0; self.walkers];
        let mut next = vec![0.0; self.walkers];
        let mut neg_ln = 0.0;
        for (step, &centre) in tube.offsets.iter().enumerate().skip(1) {
            let mut total = 0.0;
            for (s, w) in survival.iter_mut().zip(&walkers) {
                *s = normal_mass(centre - half - w, centre + half - w);
                total += *s;
            }
            neg_ln -= libm::log(total / self.walkers as f64);
            if total == 0.0 || step + 1 == tube.offsets.len() {
                break;
            }
            let mut stream = self.streams.stream((index * REPEATS as u64 + repeat) * STEPS + step as u64);
            // Systematic resampling: the marks (u + k)/M of the cumulated fractions.
            let offset = stream.uniform();
            let (mut parent, mut up_to) = (0, survival[0]);
            for (k, walker) in next.iter_mut().enumerate() {
                let mark = (k as f64 + offset) / self.walkers as f64 * total;
                while mark > up_to && parent + 1 < self.walkers {
                    parent += 1;
                    up_to += survival[parent];
                }
                let w = walkers[parent];
                *walker = w + normal_between(centre - half - w, centre + half - w, &mut stream);
            }
            std::mem::swap(&mut walkers, &mut next);
        }
        neg_ln
    }
}

/// How far E(−ln m) lies above −ln of the mean, m being the mean of n values, of which these are the deviations relative to m. With the
/// relative deviation ε of m, its variance v/n, E ε³ = c/n² and E ε⁴ = 3 v²/n², E(−ln(1 + ε)) = v/2n − c/3n² + 3v²/4n². The
/// estimate k₂/2n of the first term, whose deviations are relative to m itself, has the expectation v/2n − c/n² + 3v²/2n², so
/// (2c/3 − 3v²/4)/n² is left.
fn bend(relative: &[f64]) -> f64 {
    let n = relative.len() as f64;
    let squares = relative.iter().map(|r| r * r).sum::<f64>();
    let cubes = relative.iter().map(|r| r * r * r).sum::<f64>();
    let variance = squares / (n - 1.0);
    let third = if n > 2.0 { n * cubes / ((n - 1.0) * (n - 2.0)) } else { 0.0 };
    variance / (2.0 * n) + (2.0 / 3.0 * third - 0.75 * variance * variance) / (n * n)
}

/// Φ(high) − Φ(low) for low ≤ high, with full relative precision in the tails.
fn normal_mass(low: f64, high: f64) -> f64 {
    const SQRT_HALF: f64 = std::f64::consts::FRAC_1_SQRT_2;
    // In the upper tail, or across zero.
    let (low, high) = if low + high < 0.0 { (-high, -low) } else { (low, high) };
    0.5 * (libm::erfc(SQRT_HALF * low) - libm::erfc(SQRT_HALF * high))
}

/// A standard normal number between low < high, by rejection: from the uniform distribution where zero lies between, else from
/// the exponential one that falls as fast at the near end (after Robert 1995).
fn normal_between(low: f64, high: f64, stream: &mut Stream) -> f64 {
    let (sign, low, high) = if low + high < 0.0 { (-1.0, -high, -low) } else { (1.0, low, high) };
    if low <= 0.0 {
        loop {
            let x = low + (high - low) * stream.uniform();
            if stream.uniform() <= libm::exp(-0.5 * x * x) {
                return sign * x;
            }
        }
    }
    // Truncated at the far end; the density is below the exponential's by exp(−(x − low)²/2).
    let reach = -libm::expm1(-low * (high - low));
    loop {
        let beyond = -libm::log1p(-reach * stream.uniform()) / low;
        if stream.uniform() <= libm::exp(-0.5 * beyond * beyond) {
            return sign * (low + beyond).min(high);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::motion::quadrature::Quadrature;

    /// One step: the exact probability, at every repeat. And far beyond the reach of one walker.
    #[test]
    fn one_step_is_exact() {
        let tube = |z: f64| Tube { offsets: vec![0.0, z] };
        let splitting = Splitting { streams: Streams::new(1, "one"), width: 1.0, walkers: 3, repeats: 2 };
        for z in [0.0, 0.7, 20.0] {
            let found = splitting.neg_ln_p(0, &tube(z)).unwrap();
            let exact = Quadrature::new(1.0).neg_ln_p(&tube(z));
            assert!((found.value - exact).abs() < 1e-12 * exact.abs().max(1.0), "{z}: {found:?} {exact}");
            assert!(found.error < 1e-12);
        }
        assert_eq!(splitting.neg_ln_p(0, &tube(60.0)), None);
    }

    /// Truncated normals against the closed forms of their mean, (φ(l) − φ(h))/(Φ(h) − Φ(l)), and of their variance,
    /// 1 + (l φ(l) − h φ(h))/S − mean²: on both sides, across zero, in the far tail. Means within 4.5 standard errors, variances
    /// within 4.5 of theirs, √(2/n) relative at most as the kurtosis of a truncated normal is below 9 (exponential: √(8/n)).
    #[test]
    fn truncated_normals() {
        let mut stream = Streams::new(2, "truncated").stream(0);
        let density = |x: f64| libm::exp(-0.5 * x * x) / std::f64::consts::TAU.sqrt();
        let n = 100_000;
        for (low, high) in [(-1.0, 1.0), (-0.2, 3.0), (-5.0, -3.5), (0.4, 0.5), (6.0, 8.0), (0.0, 8.0)] {
            let draws: Vec<f64> = (0..n).map(|_| normal_between(low, high, &mut stream)).collect();
            assert!(draws.iter().all(|x| (low..=high).contains(x)));
            let mean = draws.iter().sum::<f64>() / f64::from(n);
            let variance = draws.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / f64::from(n);
            let mass = normal_mass(low, high);
            let exact_mean = (density(low) - density(high)) / mass;
            let exact_variance =
                1.0 + (low * density(low) - high * density(high)) / mass - exact_mean * exact_mean;
            let error = (exact_variance / f64::from(n)).sqrt();
            assert!((mean - exact_mean).abs() < 4.5 * error, "{low} {high}: {mean} {exact_mean}");
            let relative = variance / exact_variance - 1.0;
            assert!(relative.abs() < 4.5 * (8.0 / f64::from(n)).sqrt(), "{low} {high}: {relative}");
        }
    }

    /// 200 tubes from 1e-2 to 1e-30 against the exact values: the scores z = (estimate − exact)/error have mean 0 and
    /// standard deviation 1. With 32 repeats z follows Student's t with 31 degrees of freedom, of standard deviation 1.03; over 200 tubes
    /// its mean has the error 0.07 and its standard deviation 0.05, so 0.25 and [0.8, 1.2] are 3.5 of them away.
    #[test]
    fn thirty_decades() {
        let (width, steps) = (2.0, 10);
        let tubes = Tube::sample_range(&Streams::new(5, "tubes"), 200, steps, [0.0, 6.0]);
        let splitting = Splitting { streams: Streams::new(5, "splitting"), width, walkers: 192, repeats: 32 };
        let quadrature = Quadrature::new(width);
        let exact: Vec<f64> = tubes.iter().map(|tube| quadrature.neg_ln_p(tube)).collect();
        let decade = |p: f64| p / std::f64::consts::LN_10;
        assert!(exact.iter().any(|&p| decade(p) < 2.0) && exact.iter().any(|&p| decade(p) > 30.0));
        let z: Vec<f64> = tubes
            .par_iter()
            .enumerate()
            .map(|(k, tube)| {
                let found = splitting.neg_ln_p(k as u64, tube).unwrap();
                (found.value - exact[k]) / found.error
            })
            .collect();
        let mean = z.iter().sum::<f64>() / 200.0;
        let deviation = (z.iter().map(|z| (z - mean) * (z - mean)).sum::<f64>() / 199.0).sqrt();
        assert!(mean.abs() < 0.25 && (0.8..=1.2).contains(&deviation), "{mean} ± {deviation}");
    }

    /// The mean of many estimates with very few walkers is the exact probability, so the estimate itself (not only its logarithm) is
    /// unbiased: 20,000 repeats of 4 walkers, within 4.5 standard errors.
    #[test]
    fn unbiased_with_few_walkers() {
        let tube = Tube::sample(&Streams::new(9, "tubes"), 3, 10, 2.0);
        let splitting = Splitting { streams: Streams::new(9, "few"), width: 2.0, walkers: 4, repeats: 2 };
        let exact = -Quadrature::new(2.0).neg_ln_p(&tube) + libm::log(arrival_probability(2.0, 10));
        let ratios: Vec<f64> = (0..10u64)
            .flat_map(|index| (0..2000).map(move |repeat| (index, repeat)))
            .map(|(index, repeat)| libm::exp(-splitting.repeat(index, repeat, &tube) - exact))
            .collect();
        let mean = ratios.iter().sum::<f64>() / 20_000.0;
        let variance = ratios.iter().map(|r| (r - mean) * (r - mean)).sum::<f64>() / 20_000.0;
        assert!(variance > 0.01, "few walkers scatter: {variance}");
        assert!((mean - 1.0).abs() < 4.5 * (variance / 20_000.0).sqrt(), "{mean}");
    }

    /// Means m of 16 lognormal values of ln-deviation 0.5, whose mean is 1: v = e^0.25 − 1, c = v² (v + 3). Of E(−ln m), the terms up to
    /// E(m − 1)³ are known exactly, so only the small rest is drawn. With k₂/2n alone, 0.0004 is left; with the next order, less than half
    /// of it. The error of 100,000 draws is 0.000015.
    #[test]
    fn the_logarithm_bends() {
        let streams = Streams::new(3, "bend");
        let (n, v) = (16.0, libm::expm1(0.25));
        let known = v / (2.0 * n) - v * v * (v + 3.0) / (3.0 * n * n);
        let found: Vec<[f64; 2]> = (0..100_000)
            .into_par_iter()
            .map(|i| {
                let mut stream = streams.stream(i);
                let values: Vec<f64> = (0..16).map(|_| libm::exp(0.5 * stream.normal() - 0.125)).collect();
                let mean = values.iter().sum::<f64>() / n;
                let off = mean - 1.0;
                let bent = known - libm::log(mean) + off - off * off / 2.0 + off * off * off / 3.0;
                let relative: Vec<f64> = values.iter().map(|value| value / mean - 1.0).collect();
                let first = relative.iter().map(|r| r * r).sum::<f64>() / ((n - 1.0) * 2.0 * n);
                [bent - first, bent - bend(&relative)]
            })
            .collect();
        let of = |i: usize| found.iter().map(|f| f[i]).collect::<Vec<f64>>();
        let [first, second] = [0, 1].map(|i| onsager_numerics::statistics::mean(&of(i)));
        let error = onsager_numerics::statistics::standard_error(&of(1));
        println!("first order {first}, second {second} ± {error}");
        assert!(first > 10.0 * error && second.abs() < 0.5 * first, "{first} {second} ± {error}");
    }
}
