//! What `random-motion` writes: the tables of tubes and of paths, and the summary.

use crate::kinds::columns::Columns;
use crate::kinds::motion::parameters::Params;
use onsager_numerics::statistics::{student_quantile, wilson};
use onsager_runner::kind::context::Context;
use onsager_runner::kind::stage::StageError;
use onsager_science::motion::action::Motion;
use onsager_science::motion::counting::{Counts, particle_path};
use onsager_science::motion::least_action_path::LeastActionPath;
use onsager_science::motion::quadrature::arrival_probability;
use onsager_science::motion::splitting::NegLnP;
use onsager_science::motion::tubes::Tube;
use serde::Serialize;
use std::fs;

/// Everything that was computed, in the units of the parameters.
pub struct Ensemble<'a> {
    pub p: &'a Params,
    pub motion: Motion,
    pub least: LeastActionPath,
    pub tubes: Vec<Tube>,
    /// −ln P by quadrature at `quadrature_width`.
    pub narrow: Option<Vec<f64>>,
    /// −ln P by quadrature at the width of counting and splitting.
    pub wide: Option<Vec<f64>>,
    pub counts: Option<Counts>,
    /// −ln P by splitting.
    pub splitting: Option<Vec<Option<NegLnP>>>,
}

/// Simulated paths written out, for figures.
const RANDOM_PATHS: u64 = 200;

/// Writes `tubes`, `paths` and `summary`.
pub fn write_ensemble(ensemble: &Ensemble, ctx: &Context) -> Result<(), StageError> {
    ensemble.write_tubes(ctx)?;
    ensemble.write_paths(ctx)?;
    ensemble.write_summary(ctx)
}

#[derive(Serialize)]
struct Summary<'a> {
    system: &'a str,
    units: &'a str,
    mass: f64,
    dt: f64,
    steps: usize,
    diffusion: f64,
    sigma: f64,
    /// 1/(2 m D), what γ is for narrow tubes.
    gamma_expected: f64,
    /// ω T with ω² the largest curvature V''/m on the least-action path, 0 where there is none.
    omega_t: f64,
    action_least: f64,
    least_action_residual: f64,
    least_action_iterations: usize,
    least_action_is_minimum: bool,
    tubes: usize,
    width: f64,
    quadrature_width: f64,
    particles: Option<u64>,
    arrived: Option<u64>,
    arrived_expected: Option<f64>,
    tubes_with_20_counts: Option<usize>,
    walkers: Option<usize>,
    repeats: Option<usize>,
}

impl Ensemble<'_> {
    /// ω T with ω² the largest curvature V''/m on the least-action path, 0 where there is none.
    fn omega_t(&self) -> f64 {
        let curvature = self.least.path.iter().map(|&x| self.motion.system.curvature(x)).fold(0.0, f64::max);
        (curvature / self.p.mass).sqrt() * self.p.dt * self.p.steps as f64
    }

    /// The units of length and action.
    fn length_and_action(&self) -> [f64; 2] {
        let [mass, time, diffusion] = self.p.units.scales();
        [(diffusion * time).sqrt(), mass * diffusion]
    }

    fn write_tubes(&self, ctx: &Context) -> Result<(), StageError> {
        let (p, n) = (self.p, self.tubes.len());
        let [mass, time, diffusion] = p.units.scales();
        let [_, action] = self.length_and_action();
        let least = &self.least.path;
        let paths: Vec<Vec<f64>> = self.tubes.iter().map(|tube| tube.path(least, self.p.sigma())).collect();
        let of_path =
            |f: &dyn Fn(&[f64]) -> f64| paths.iter().map(|path| Some(action * f(path))).collect::<Vec<_>>();
        let same = |value: f64| vec![Some(value); n];
        let counted = |f: &dyn Fn(u64, u64) -> f64| -> Vec<Option<f64>> {
            match &self.counts {
                Some(counts) if counts.arrived > 0 => {
                    counts.tubes.iter().map(|&count| Some(f(count, counts.arrived))).collect()
                }
                _ => vec![None; n],
            }
        };
        // Count, number arrived and exact probability of each tube, where both estimators ran.
        let both: Vec<Option<(f64, f64, f64)>> = (0..n)
            .map(|k| {
                let (counts, wide) = (self.counts.as_ref()?, self.wide.as_ref()?);
                Some((counts.tubes[k] as f64, counts.arrived as f64, libm::exp(-wide[k])))
            })
            .collect();
        let exact = |values: &Option<Vec<f64>>| -> Vec<Option<f64>> {
            values.as_ref().map_or(vec![None; n], |values| values.iter().copied().map(Some).collect())
        };
        let integer = |value: Option<u64>| value.map(|value| value as i64);
        let counts = self.counts.as_ref();
        let sampled = self.counts.is_some() || self.splitting.is_some();
        // −ln P by splitting with the reach of its 95 % interval, by the t distribution of its repeats.
        let t = student_quantile(0.975, (p.splitting.repeats - 1) as f64);
        let split = |f: &dyn Fn(NegLnP) -> f64| -> Vec<Option<f64>> {
            match &self.splitting {
                Some(found) => found.iter().map(|found| found.map(f)).collect(),
                None => vec![None; n],
            }
        };
        let split_z = (0..n).map(|k| {
            let (found, wide) = (self.splitting.as_ref()?[k]?, self.wide.as_ref()?);
            Some((found.value - wide[k]) / found.error)
        });
        let mut table = Columns::default();
        table
            .integers("tube", (0..n as i64).map(Some))
            .texts("system", vec![p.system.name(); n])
            .texts("units", vec![p.units.name(); n])
            .numbers("diffusion", same(p.diffusion * diffusion))
            .numbers("mass", same(p.mass * mass))
            .numbers("dt", same(p.dt * time))
            .integers("steps", vec![Some(p.steps as i64); n])
            .numbers("action", of_path(&|path| self.motion.action(path)))
            .numbers("action_hamiltonian", of_path(&|path| self.motion.action_hamiltonian(path)))
            .numbers("kinetic", of_path(&|path| self.motion.kinetic(path)))
            .numbers("deviation", of_path(&|path| self.motion.deviation(path, least)))
            .numbers("action_least", same(action * self.motion.action(least)))
            .numbers("omega_t", same(self.omega_t()))
            .numbers("width", vec![sampled.then_some(p.width); n])
            .integers("particles", vec![integer(counts.map(|counts| counts.particles)); n])
            .integers("arrived", vec![integer(counts.map(|counts| counts.arrived)); n])
            .integers("count", (0..n).map(|k| integer(counts.map(|counts| counts.tubes[k]))))
            .numbers("probability", counted(&|count, arrived| count as f64 / arrived as f64))
            .numbers("neg_ln_p", counted(&|count, arrived| -libm::log(count as f64 / arrived as f64)))
            .numbers("neg_ln_p_lower", counted(&|count, arrived| -libm::log(wilson(count, arrived).upper)))
            .numbers("neg_ln_p_upper", counted(&|count, arrived| -libm::log(wilson(count, arrived).lower)))
            .numbers("expected_count", both.iter().map(|both| both.map(|(_, arrived, p)| arrived * p)))
            .numbers(
                "z_score",
                both.iter().map(|both| {
                    both.map(|(count, arrived, p)| (count - arrived * p) / (arrived * p * (1.0 - p)).sqrt())
                }),
            )
            .integers("walkers", vec![self.splitting.as_ref().map(|_| p.splitting.walkers as i64); n])
            .integers("repeats", vec![self.splitting.as_ref().map(|_| p.splitting.repeats as i64); n])
            .numbers("splitting_neg_ln_p", split(&|found| found.value))
            .numbers("splitting_error", split(&|found| found.error))
            .numbers("splitting_lower", split(&|found| found.value - t * found.error))
            .numbers("splitting_upper", split(&|found| found.value + t * found.error))
            .numbers("splitting_z_score", split_z)
            .numbers("quadrature_neg_ln_p_at_width", exact(&self.wide))
            .numbers("quadrature_width", vec![self.narrow.as_ref().map(|_| p.quadrature_width); n])
            .numbers("quadrature_neg_ln_p", exact(&self.narrow));
        table.write(ctx.output("tubes")?)
    }

    /// In long format: `kind` is `least-action`, `tube` (a sample path) or `random`; `tube` is the number of the sample path,
    /// the particle, or −1.
    fn write_paths(&self, ctx: &Context) -> Result<(), StageError> {
        let least = &self.least.path;
        let sigma = self.p.sigma();
        let mut paths = vec![("least-action", -1, least.clone())];
        for (k, tube) in self.tubes.iter().enumerate() {
            paths.push(("tube", k as i64, tube.path(least, sigma)));
        }
        let streams = self.p.streams("particles");
        for particle in 0..RANDOM_PATHS {
            let tube = Tube { offsets: particle_path(&streams, particle, self.p.steps) };
            paths.push(("random", particle as i64, tube.path(least, sigma)));
        }
        let [length, _] = self.length_and_action();
        let [_, time, _] = self.p.units.scales();
        let rows = || {
            paths.iter().flat_map(|(kind, tube, path)| {
                path.iter().enumerate().map(move |(step, x)| (*kind, *tube, step, *x))
            })
        };
        let mut table = Columns::default();
        table
            .texts("kind", rows().map(|row| row.0))
            .integers("tube", rows().map(|row| Some(row.1)))
            .integers("step", rows().map(|row| Some(row.2 as i64)))
            .numbers("time", rows().map(|row| Some(row.2 as f64 * self.p.dt * time)))
            .numbers("x", rows().map(|row| Some(length * row.3)));
        table.write(ctx.output("paths")?)
    }

    fn write_summary(&self, ctx: &Context) -> Result<(), StageError> {
        let p = self.p;
        let [mass, time, diffusion] = p.units.scales();
        let [length, action] = self.length_and_action();
        let counts = self.counts.as_ref();
        let arrival = arrival_probability(p.width, p.steps);
        let summary = Summary {
            system: p.system.name(),
            units: p.units.name(),
            mass: p.mass * mass,
            dt: p.dt * time,
            steps: p.steps,
            diffusion: p.diffusion * diffusion,
            sigma: length * self.p.sigma(),
            gamma_expected: 1.0 / (2.0 * p.mass * mass * p.diffusion * diffusion),
            omega_t: self.omega_t(),
            action_least: action * self.motion.action(&self.least.path),
            least_action_residual: self.least.residual,
            least_action_iterations: self.least.iterations,
            least_action_is_minimum: self.least.minimum,
            tubes: p.tubes,
            width: p.width,
            quadrature_width: p.quadrature_width,
            particles: counts.map(|counts| counts.particles),
            arrived: counts.map(|counts| counts.arrived),
            arrived_expected: counts.map(|counts| counts.particles as f64 * arrival),
            tubes_with_20_counts: counts.map(|counts| counts.tubes.iter().filter(|&&n| n >= 20).count()),
            walkers: self.splitting.as_ref().map(|_| p.splitting.walkers),
            repeats: self.splitting.as_ref().map(|_| p.splitting.repeats),
        };
        let mut text = serde_json::to_string_pretty(&summary)?;
        text.push('\n');
        Ok(fs::write(ctx.output("summary")?, text)?)
    }
}
