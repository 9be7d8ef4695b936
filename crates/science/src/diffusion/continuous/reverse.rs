//! The reverse processes of a forward one, a family in h ≥ 0: dx = [f − ((1 + h)/2) g² s] dt + √h g dw̄, from t_max down to
//! t_min. h = 1 is the reverse SDE, h = 0 the probability flow. With the exact score every h has the same law at each time
//! (Hirono, Tanaka and Fukushima 2024, section 3).
//!
//! Any function of (t, x) may be the score:
//!
//! ```
//! use onsager_science::diffusion::continuous::reverse::{Reverse, Scheme};
//! use onsager_science::diffusion::continuous::sde::Sde;
//! use onsager_science::diffusion::continuous::time_spacing::TimeSpacing;
//! use onsager_numerics::random::Streams;
//!
//! let normal = |_t: f64, x: [f64; 2]| [-x[0], -x[1]]; // the score of N(0, I) at all times
//! let sde = Sde::default();
//! let times = TimeSpacing::Equal.times(&sde, 100);
//! let reverse = Reverse { sde, h: 1.0, times, scheme: Scheme::EulerMaruyama };
//! let points = reverse.points(&normal, &Streams::new(1, "example"), 0, 1000, 100);
//! let variance = points.iter().map(|x| x[0] * x[0]).sum::<f64>() / 1000.0;
//! assert!((variance - 1.0).abs() < 0.2);
//! ```

use super::ode::{Arrival, OdeError, Tolerance, solve};
use super::score::Score;
use super::sde::Sde;
use crate::nn::kernels::lane::{LANES, Lane, side_by_side};
use onsager_numerics::random::{self, Streams};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a step is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// The drift at the beginning of the step: weak order 1.
    #[default]
    EulerMaruyama,
    /// The mean of the drifts at both ends: weak order 2, as the noise does not depend on x; two evaluations a step.
    Heun,
}

/// A reverse process in steps of t.
#[derive(Debug, Clone, PartialEq)]
pub struct Reverse {
    pub sde: Sde,
    pub h: f64,
    /// Falling from t_max to t_min, such as those of [`TimeSpacing`](super::time_spacing::TimeSpacing): two or more.
    pub times: Vec<f64>,
    pub scheme: Scheme,
}

/// Points that share their calls of the random numbers.
const GROUP: usize = random::LANES;
const QUARTERS: usize = GROUP / LANES;

/// The states of a group.
type States<const D: usize> = [[Lane; D]; QUARTERS];

impl Reverse {
    /// The number of steps.
    pub fn steps(&self) -> usize {
        self.times.len() - 1
    }

    /// δt > 0 of this step (from 0).
    fn dt(&self, step: usize) -> f64 {
        self.times[step] - self.times[step + 1]
    }

    /// The variance of the noise of this step (from 0), per coordinate.
    pub fn noise_variance(&self, step: usize) -> f64 {
        let begin = self.sde.diffusion(self.times[step]);
        self.h
            * self.dt(step)
            * match self.scheme {
                Scheme::EulerMaruyama => begin,
                Scheme::Heun => 0.5 * (begin + self.sde.diffusion(self.times[step + 1])),
            }
    }

    /// −f + ((1 + h)/2) g² s: the drift in the direction of the sampling.
    #[inline(always)]
    fn drift<const D: usize>(&self, score: &impl Score<D>, t: f64, x: [Lane; D]) -> [Lane; D] {
        let (a, pull) = (self.sde.drift(t), 0.5 * (1.0 + self.h) * self.sde.diffusion(t));
        let s = score.score(Lane::splat(t), x);
        std::array::from_fn(|i| pull * s[i] - a * x[i])
    }

    /// x after a step, without its noise: the mean of the transition of the Euler–Maruyama chain.
    #[inline(always)]
    fn mean<const D: usize>(&self, score: &impl Score<D>, step: usize, x: [Lane; D]) -> [Lane; D] {
        let drift = self.drift(score, self.times[step], x);
        std::array::from_fn(|i| x[i] + self.dt(step) * drift[i])
    }

    #[inline(always)]
    fn advance<const D: usize>(
        &self,
        score: &impl Score<D>,
        step: usize,
        x: [Lane; D],
        noise: [Lane; D],
    ) -> [Lane; D] {
        match self.scheme {
            Scheme::EulerMaruyama => {
                let mean = self.mean(score, step, x);
                std::array::from_fn(|i| mean[i] + noise[i])
            }
            Scheme::Heun => {
                let begin = self.drift(score, self.times[step], x);
                let there = std::array::from_fn(|i| x[i] + self.dt(step) * begin[i] + noise[i]);
                let end = self.drift(score, self.times[step + 1], there);
                std::array::from_fn(|i| x[i] + 0.5 * self.dt(step) * (begin[i] + end[i]) + noise[i])
            }
        }
    }

    /// The points `first` … `first + count − 1` after `steps` ≤ `self.steps()` steps. Point i draws its start and its noise
    /// from stream i.
    pub fn points<const D: usize>(
        &self,
        score: &impl Score<D>,
        streams: &Streams,
        first: u64,
        count: usize,
        steps: usize,
    ) -> Vec<[f64; D]> {
        let mut out = Vec::with_capacity(count);
        for group in (0..count).step_by(GROUP) {
            let mut x = self.start(streams, first + group as u64);
            for step in 0..steps {
                self.step(score, streams, first + group as u64, step, &mut x);
            }
            out.extend(unpacked(&x, GROUP.min(count - group)));
        }
        out
    }

    /// The same from given starts: point `first + i` begins at `starts[i]`.
    pub fn points_from<const D: usize>(
        &self,
        score: &impl Score<D>,
        streams: &Streams,
        first: u64,
        starts: &[[f64; D]],
        steps: usize,
    ) -> Vec<[f64; D]> {
        let mut out = Vec::with_capacity(starts.len());
        for (group, starts) in starts.chunks(GROUP).enumerate() {
            let mut x = [[Lane::ZERO; D]; QUARTERS];
            for (x, starts) in x.iter_mut().zip(starts.chunks(LANES)) {
                *x = side_by_side(starts);
            }
            let first = first + (group * GROUP) as u64;
            (0..steps).for_each(|step| self.step(score, streams, first, step, &mut x));
            out.extend(unpacked(&x, starts.len()));
        }
        out
    }

    /// All states of each of these points: `steps + 1` from t_max to t_min.
    pub fn paths<const D: usize>(
        &self,
        score: &impl Score<D>,
        streams: &Streams,
        first: u64,
        count: usize,
    ) -> Vec<Vec<[f64; D]>> {
        let mut out = vec![Vec::with_capacity(self.steps() + 1); count];
        for group in (0..count).step_by(GROUP) {
            let mut x = self.start(streams, first + group as u64);
            for step in 0..=self.steps() {
                for (path, x) in out[group..].iter_mut().zip(unpacked(&x, GROUP)) {
                    path.push(x);
                }
                if step < self.steps() {
                    self.step(score, streams, first + group as u64, step, &mut x);
                }
            }
        }
        out
    }

    fn start<const D: usize>(&self, streams: &Streams, first: u64) -> States<D> {
        let mut x = normals(streams, first, 0);
        let deviation = self.sde.prior_variance().sqrt();
        for x in x.as_flattened_mut() {
            *x = *x * deviation;
        }
        x
    }

    fn step<const D: usize>(
        &self,
        score: &impl Score<D>,
        streams: &Streams,
        first: u64,
        step: usize,
        x: &mut States<D>,
    ) {
        let mut noise: States<D> = [[Lane::ZERO; D]; QUARTERS];
        if self.h > 0.0 {
            noise = normals(streams, first, step as u64 + 1);
        }
        let deviation = self.noise_variance(step).sqrt();
        for (x, noise) in x.iter_mut().zip(noise) {
            *x = self.advance(score, step, *x, noise.map(|z| z * deviation));
        }
    }

    /// The action of each path, Σ ‖x_{k+1} − μ(x_k)‖²/(2 g² δt), from its states and fresh calls of the score. The
    /// Euler–Maruyama chain gives a path the density ∝ exp(−A/h), so 2A/h follows the χ² law with D · steps degrees
    /// of freedom.
    pub fn actions<const D: usize>(&self, score: &impl Score<D>, paths: &[Vec<[f64; D]>]) -> Vec<f64> {
        let mut actions = vec![0.0; paths.len()];
        for (paths, actions) in paths.chunks(LANES).zip(actions.chunks_mut(LANES)) {
            let packed = |step: usize| side_by_side(&paths.iter().map(|path| path[step]).collect::<Vec<_>>());
            for step in 0..self.steps() {
                let (mean, next) = (self.mean(score, step, packed(step)), packed(step + 1));
                let weight = 0.5 / (self.sde.diffusion(self.times[step]) * self.dt(step));
                for (i, action) in actions.iter_mut().enumerate() {
                    let square: f64 = (0..D).map(|d| (next[d][i] - mean[d][i]).powi(2)).sum();
                    *action += weight * square;
                }
            }
        }
        actions
    }

    /// Where the last step leads on average from each of these points: with [`Reverse::noise_variance`], the normal
    /// law of the Euler–Maruyama chain's last step.
    pub fn last_means<const D: usize>(&self, score: &impl Score<D>, points: &[[f64; D]]) -> Vec<[f64; D]> {
        let mut out = Vec::with_capacity(points.len());
        for group in points.chunks(LANES) {
            let mean = self.mean(score, self.steps() - 1, side_by_side(group));
            out.extend((0..group.len()).map(|i| mean.map(|x| x[i])));
        }
        out
    }
}

/// The standard normal numbers of a step of a group; block 0 of each stream is its start.
fn normals<const D: usize>(streams: &Streams, first: u64, block: u64) -> States<D> {
    let mut pair = [[0.0; GROUP]; 2];
    let [a, b] = &mut pair;
    streams.normal_lanes(first, block, a, b);
    std::array::from_fn(|q| std::array::from_fn(|d| Lane(std::array::from_fn(|i| pair[d][q * LANES + i]))))
}

fn unpacked<const D: usize>(x: &States<D>, count: usize) -> impl Iterator<Item = [f64; D]> {
    (0..count).map(|i| x[i / LANES].map(|x| x[i % LANES]))
}

/// The probability flow (h = 0) from starts at t_max to t_min, with error control.
pub fn probability_flow<const D: usize>(
    score: &impl Score<D>,
    sde: &Sde,
    starts: &[[f64; D]],
    tolerance: Tolerance,
) -> Vec<Result<Arrival<D>, OdeError>> {
    let (t_min, t_max) = sde.times();
    let slope = |t: Lane, x: &[Lane; D]| {
        let s = score.score(t, *x);
        let (drift, half) = (t.map(|t| sde.drift(t)), t.map(|t| 0.5 * sde.diffusion(t)));
        std::array::from_fn(|i| drift * x[i] - half * s[i])
    };
    solve(slope, t_max, t_min, starts, tolerance, |_, _| {})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::continuous::linear_control::LinearControl;
    use crate::diffusion::continuous::mixture::{Component, Mixture, MixtureScore};
    use crate::diffusion::continuous::sde::{Cosine, Simple};
    use crate::diffusion::continuous::time_spacing::TimeSpacing;
    use onsager_numerics::statistics::{chi_square_cdf, kolmogorov_smirnov};

    fn control(error: f64) -> (LinearControl, MixtureScore<1>) {
        let sde = Sde::Simple(Simple::default());
        (LinearControl { variance: 0.5, error, sde }, MixtureScore { data: Mixture::normal(0.5), sde, error })
    }

    fn reverse(sde: Sde, h: f64, steps: usize, scheme: Scheme) -> Reverse {
        Reverse { sde, h, times: TimeSpacing::Equal.times(&sde, steps), scheme }
    }

    /// The sampled variance within 4.5 standard errors, v √(2/n), of the exact recursion of the same chain, for several h. One
    /// group of points alone gives the same numbers.
    #[test]
    fn the_chain_has_its_variance() {
        let (control, score) = control(0.2);
        let streams = Streams::new(1, "reverse test");
        for h in [0.0, 0.3, 1.0, 2.0] {
            let reverse = reverse(control.sde, h, 50, Scheme::EulerMaruyama);
            let n = 20_000;
            let points = reverse.points(&score, &streams, 0, n, 50);
            assert_eq!(reverse.points(&score, &streams, 64, 5, 50)[..], points[64..69]);
            let starts = reverse.points(&score, &streams, 64, 70, 0);
            assert_eq!(reverse.points_from(&score, &streams, 64, &starts, 50)[..], points[64..134]);
            let v = points.iter().map(|x| x[0] * x[0]).sum::<f64>() / n as f64;
            let exact = control.chain_variance(h, 50);
            assert!((v / exact - 1.0).abs() < 4.5 * (2.0 / n as f64).sqrt(), "{h}: {v} {exact}");
        }
    }

    /// Heun's chain is linear too, so four points tell its factors; its variance comes near the closed form with the square of the
    /// step, where Euler–Maruyama's comes with the first power, for both spacings of the times.
    #[test]
    fn orders_of_the_schemes() {
        let (control, score) = control(0.2);
        let exact = control.reverse_variance(0.5);
        let error = |scheme, spacing: TimeSpacing, steps: usize| {
            let times = spacing.times(&control.sde, steps);
            let reverse = Reverse { sde: control.sde, h: 0.5, times, scheme };
            let mut v = 1.0;
            for step in 0..steps {
                let at = |x, z| reverse.advance::<1>(&score, step, [Lane::splat(x)], [Lane::splat(z)])[0][0];
                v = v * at(1.0, 0.0).powi(2) + at(0.0, 1.0).powi(2) * reverse.noise_variance(step);
            }
            v - exact
        };
        for spacing in [TimeSpacing::Equal, TimeSpacing::LogSnr] {
            let ratio = |scheme| error(scheme, spacing, 200) / error(scheme, spacing, 400);
            assert!((ratio(Scheme::EulerMaruyama) - 2.0).abs() < 0.1, "{}", ratio(Scheme::EulerMaruyama));
            assert!((ratio(Scheme::Heun) - 4.0).abs() < 0.4, "{}", ratio(Scheme::Heun));
        }
    }

    /// 2A/h of 400 sampled paths in the plane, recomputed from their states, follows χ² with D · steps degrees of freedom
    /// (Kolmogorov–Smirnov, p > 1e-4).
    #[test]
    fn actions_follow_chi_square() {
        let sde = Sde::Cosine(Cosine::default());
        let spot = |x, weight| Component { weight, mean: [x, 0.5], variance: 0.1 };
        let score = MixtureScore {
            data: Mixture { components: vec![spot(1.0, 0.3), spot(-1.0, 0.7)] },
            sde,
            error: 0.3,
        };
        let reverse = reverse(sde, 0.5, 40, Scheme::EulerMaruyama);
        let paths = reverse.paths(&score, &Streams::new(2, "paths"), 0, 400);
        let points = reverse.points(&score, &Streams::new(2, "paths"), 0, 400, 40);
        assert!(paths.iter().zip(&points).all(|(path, point)| path[40] == *point));
        let values: Vec<f64> = reverse.actions(&score, &paths).iter().map(|a| 2.0 * a / 0.5).collect();
        let (_, p) = kolmogorov_smirnov(&values, |x| chi_square_cdf(x, 80.0));
        assert!(p > 1e-4, "{p}");
    }

    /// The flow with the linear score multiplies x by the square root of the variance's growth; a plain function serves as
    /// the score.
    #[test]
    fn flow_of_the_linear_score() {
        let (control, _) = control(0.2);
        let score = |t: f64, x: [f64; 1]| [-1.2 * x[0] / control.forward_variance(t)];
        let tolerance = Tolerance { absolute: 1e-9, relative: 1e-9 };
        let ends = probability_flow(&score, &control.sde, &[[1.0], [-2.5]], tolerance);
        let factor = control.reverse_variance(0.0).sqrt();
        assert!(
            (ends[0].unwrap().y[0] - factor).abs() < 1e-7
                && (ends[1].unwrap().y[0] + 2.5 * factor).abs() < 1e-7
        );
    }
}
