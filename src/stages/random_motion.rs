//! `random-motion`: random paths of a Hamiltonian system, and the probabilities of tubes around sample paths.

use super::columns::Columns;
use super::context::Context;
use super::stage::{Checks, Inputs, Issue, Output, Stage, StageError};
use crate::motion::action::Motion;
use crate::motion::counting::{Counter, Counts, particle_path};
use crate::motion::least_action_path::{LeastActionPath, least_action_path};
use crate::motion::quadrature::{Quadrature, arrival_probability};
use crate::motion::regression::wilson;
use crate::motion::systems::System;
use crate::motion::tubes::Tube;
use crate::random::Streams;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fs;

/// The `random-motion` kind.
pub struct RandomMotion;

/// Parameters of `random-motion`. Dimensional values are in the units that `units` names.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The potential V(x): `free` 0, `constant-force` m g x, `harmonic` ½ k x², `cubic` ⅓ C x³, `quartic` ¼ C x⁴,
    /// `morse` C (1 − e^(−α x))², `double-well` C (x² − 1)².
    pub system: SystemName,
    /// g of `constant-force`, an acceleration.
    pub gravity: f64,
    /// k of `harmonic`. The law holds while ω T is well below π, ω² = k/m; by default ω T = 1.
    pub stiffness: f64,
    /// C of `cubic`, `quartic` and `double-well`; 0.001, 0.0001 and 0.000025 where it is not given.
    pub coefficient: Option<f64>,
    /// C of `morse`, an energy.
    pub depth: f64,
    /// α of `morse`, an inverse length.
    pub alpha: f64,
    /// The particle's mass m > 0.
    pub mass: f64,
    /// The time step δt > 0.
    pub dt: f64,
    /// The number of steps N, from 2 to 1,000.
    pub steps: usize,
    /// Where every path begins.
    pub start: f64,
    /// Where the least-action path and every sample path end.
    pub end: f64,
    /// The diffusion constant D > 0: each step adds a normal displacement of variance σ² = 2 D δt.
    pub diffusion: f64,
    /// The width δ of the tubes in which particles are counted, in units of σ; above 0, at most 8. Narrow tubes need many
    /// particles, wide ones bias γ: by −6 % at 1, −22 % at 2, −40 % at 3.
    pub width: f64,
    /// The width of the tubes for quadrature, in units of σ; above 0, at most 8.
    pub quadrature_width: f64,
    /// The number of sample paths, from 3 to 10,000.
    pub tubes: usize,
    /// The number of particles to count, from 1 to 1e12.
    pub particles: u64,
    /// What to estimate −ln P with: `counting`, `quadrature` (exact), or both.
    pub estimators: Vec<Estimator>,
    /// What the numbers mean: `dimensionless`, or `water-1um` for a sphere of 1 µm diameter in water at 300 K, with masses
    /// in units of 1.39e-15 kg, times of 1e-5 s and diffusion constants of the Stokes–Einstein value 5.17e-13 m²/s, hence
    /// lengths of 2.27 nm. Outputs are then in SI units.
    pub units: Units,
    /// Selects the sample paths and the particles. Different systems and diffusion constants are independent.
    pub seed: u64,
}

/// A potential's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SystemName {
    Free,
    ConstantForce,
    Harmonic,
    Cubic,
    Quartic,
    Morse,
    DoubleWell,
}

/// A way to estimate the probability of a tube.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Estimator {
    Counting,
    Quadrature,
}

/// The units of parameters and outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Units {
    #[serde(rename = "dimensionless")]
    Dimensionless,
    #[serde(rename = "water-1um")]
    Water1um,
}

impl Default for Params {
    fn default() -> Params {
        Params {
            system: SystemName::Free,
            gravity: 0.2,
            stiffness: 0.01,
            coefficient: None,
            depth: 1.0,
            alpha: 0.1,
            mass: 1.0,
            dt: 1.0,
            steps: 10,
            start: 0.0,
            end: 10.0,
            diffusion: 1.0,
            width: 1.0,
            quadrature_width: 0.25,
            tubes: 100,
            particles: 20_000_000,
            estimators: vec![Estimator::Counting, Estimator::Quadrature],
            units: Units::Dimensionless,
            seed: 0,
        }
    }
}

impl SystemName {
    fn name(self) -> &'static str {
        match self {
            SystemName::Free => "free",
            SystemName::ConstantForce => "constant-force",
            SystemName::Harmonic => "harmonic",
            SystemName::Cubic => "cubic",
            SystemName::Quartic => "quartic",
            SystemName::Morse => "morse",
            SystemName::DoubleWell => "double-well",
        }
    }
}

impl Units {
    fn name(self) -> &'static str {
        match self {
            Units::Dimensionless => "dimensionless",
            Units::Water1um => "water-1um",
        }
    }

    /// The units of mass, time and diffusion constant in SI.
    fn scales(self) -> [f64; 3] {
        match self {
            Units::Dimensionless => [1.0; 3],
            Units::Water1um => {
                // Stokes–Einstein, k_B T / (6π r η): k_B in J/K, 300 K, radius 0.5 µm, viscosity 8.5e-4 Pa s.
                let diffusion = 1.380_649e-23 * 300.0 / (6.0 * std::f64::consts::PI * 0.5e-6 * 8.5e-4);
                [1.39e-15, 1e-5, diffusion]
            }
        }
    }
}

impl Params {
    fn motion(&self) -> Motion {
        let coefficient = |default: f64| self.coefficient.unwrap_or(default);
        let system = match self.system {
            SystemName::Free => System::Free,
            SystemName::ConstantForce => System::ConstantForce { force: self.mass * self.gravity },
            SystemName::Harmonic => System::Harmonic { stiffness: self.stiffness },
            SystemName::Cubic => System::Cubic { coefficient: coefficient(1e-3) },
            SystemName::Quartic => System::Quartic { coefficient: coefficient(1e-4) },
            SystemName::Morse => System::Morse { depth: self.depth, alpha: self.alpha },
            SystemName::DoubleWell => System::DoubleWell { coefficient: coefficient(2.5e-5) },
        };
        Motion { system, mass: self.mass, dt: self.dt }
    }

    /// The random streams of this ensemble for one purpose.
    fn streams(&self, purpose: &str) -> Streams {
        Streams::new(
            self.seed,
            &format!("random-motion {} D={:?} {purpose}", self.system.name(), self.diffusion),
        )
    }

    fn estimates(&self, estimator: Estimator) -> bool {
        self.estimators.contains(&estimator)
    }
}

/// Particles counted between two looks at the interruption flag.
const ROUND: u64 = 1 << 22;
/// Rounds between two checkpoints, some seconds of work.
const ROUNDS_PER_CHECKPOINT: u64 = 8;
/// Simulated paths written out, for figures.
const RANDOM_PATHS: u64 = 200;

impl Stage for RandomMotion {
    type Params = Params;
    const KIND: &'static str = "random-motion";
    const SUMMARY: &'static str =
        "random paths of a Hamiltonian system: actions and probabilities of tubes around sample paths";

    fn inputs() -> Inputs {
        Inputs::none()
    }

    fn outputs(_: &Params) -> Vec<Output> {
        vec![
            Output::file("tubes", "tubes.parquet", "one row per tube: its actions and its probability"),
            Output::file(
                "paths",
                "paths.parquet",
                "the least-action path, the sample paths and some random ones",
            ),
            Output::file("summary", "summary.json", "the ensemble in short"),
        ]
    }

    fn check(p: &Params) -> Vec<Issue> {
        let mut checks = Checks::default();
        for (field, value) in [("mass", p.mass), ("dt", p.dt), ("diffusion", p.diffusion), ("alpha", p.alpha)]
        {
            let good = value > 0.0 && value.is_finite();
            checks.ensure(good, field, || format!("must be positive, but is {value}"));
        }
        let coefficient = p.coefficient.unwrap_or(0.0);
        for (field, value) in [
            ("gravity", p.gravity),
            ("stiffness", p.stiffness),
            ("coefficient", coefficient),
            ("depth", p.depth),
            ("start", p.start),
            ("end", p.end),
        ] {
            checks.ensure(value.is_finite(), field, || format!("must be finite, but is {value}"));
        }
        for (field, value) in [("width", p.width), ("quadrature_width", p.quadrature_width)] {
            let good = value > 0.0 && value <= 8.0;
            checks.ensure(good, field, || {
                format!("must be above 0 and at most 8 (units of σ), but is {value}")
            });
        }
        checks.ensure((2..=1000).contains(&p.steps), "steps", || {
            format!("must be from 2 to 1000, but is {}", p.steps)
        });
        checks.ensure((3..=10_000).contains(&p.tubes), "tubes", || {
            format!("must be from 3 to 10000, but is {}", p.tubes)
        });
        checks.ensure(p.tubes.saturating_mul(p.steps) <= 1_000_000, "tubes", || {
            format!("`tubes` times `steps` must be at most 1e6, but is {}", p.tubes.saturating_mul(p.steps))
        });
        checks.ensure((1..=1_000_000_000_000).contains(&p.particles), "particles", || {
            format!("must be from 1 to 1e12, but is {}", p.particles)
        });
        checks.ensure(!p.estimators.is_empty(), "estimators", || {
            "must name `counting`, `quadrature` or both".to_owned()
        });
        checks.0
    }

    fn run(p: &Params, ctx: &Context) -> Result<(), StageError> {
        let motion = p.motion();
        let least = least_action_path(&motion, p.start, p.end, p.steps)?;
        if !least.minimum {
            tracing::warn!(
                "the stationary path is no minimum of the action: the time is beyond a conjugate point"
            );
        }
        let tubes = Tube::sample_many(&p.streams("tubes"), p.tubes, p.steps);
        let exact = |width: f64| -> Option<Vec<f64>> {
            p.estimates(Estimator::Quadrature).then(|| {
                let quadrature = Quadrature::new(width);
                tubes.par_iter().map(|tube| quadrature.neg_ln_p(tube)).collect()
            })
        };
        let narrow = exact(p.quadrature_width);
        let wide = if p.estimates(Estimator::Counting) { exact(p.width) } else { None };
        let counts = if p.estimates(Estimator::Counting) { Some(count(p, &tubes, ctx)?) } else { None };
        let ensemble = Ensemble { p, motion, least, tubes, narrow, wide, counts };
        ensemble.write_tubes(ctx)?;
        ensemble.write_paths(ctx)?;
        ensemble.write_summary(ctx)
    }
}

/// Counts the particles in rounds, with checkpoints. The counts are integer sums over particles, so where the work was
/// split does not matter.
fn count(p: &Params, tubes: &[Tube], ctx: &Context) -> Result<Counts, StageError> {
    let counter = Counter::new(p.streams("particles"), tubes, p.width);
    let mut counts = Counts::zero(tubes.len());
    if let Some(checkpoint) = ctx.latest_checkpoint()? {
        let saved: Counts = serde_json::from_slice(&fs::read(&checkpoint.path)?)?;
        if saved.tubes.len() == tubes.len() && saved.particles <= p.particles {
            counts = saved;
        }
    }
    let save = |counts: &Counts| {
        ctx.save_checkpoint(counts.particles, |path| Ok(fs::write(path, serde_json::to_vec(counts)?)?))
    };
    ctx.progress(counts.particles, p.particles, "particles");
    while counts.particles < p.particles {
        let start = counts.particles;
        counts = counts.merge(&counter.count(start..p.particles.min(start + ROUND)));
        ctx.progress(counts.particles, p.particles, "particles");
        let left = counts.particles < p.particles;
        let stop = left && ctx.cancelled();
        if stop || left && (counts.particles / ROUND).is_multiple_of(ROUNDS_PER_CHECKPOINT) {
            save(&counts)?;
        }
        if stop {
            return Err(StageError::Cancelled);
        }
    }
    Ok(counts)
}

/// Everything that was computed, in the units of the parameters.
struct Ensemble<'a> {
    p: &'a Params,
    motion: Motion,
    least: LeastActionPath,
    tubes: Vec<Tube>,
    /// −ln P by quadrature at `quadrature_width`.
    narrow: Option<Vec<f64>>,
    /// −ln P by quadrature at the width of counting.
    wide: Option<Vec<f64>>,
    counts: Option<Counts>,
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
}

impl Ensemble<'_> {
    fn sigma(&self) -> f64 {
        (2.0 * self.p.diffusion * self.p.dt).sqrt()
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
        let paths: Vec<Vec<f64>> = self.tubes.iter().map(|tube| tube.path(least, self.sigma())).collect();
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
            .numbers("width", vec![counts.map(|_| p.width); n])
            .integers("particles", vec![integer(counts.map(|counts| counts.particles)); n])
            .integers("arrived", vec![integer(counts.map(|counts| counts.arrived)); n])
            .integers("count", (0..n).map(|k| integer(counts.map(|counts| counts.tubes[k]))))
            .numbers("probability", counted(&|count, arrived| count as f64 / arrived as f64))
            .numbers("neg_ln_p", counted(&|count, arrived| -libm::log(count as f64 / arrived as f64)))
            .numbers("neg_ln_p_lower", counted(&|count, arrived| -libm::log(wilson(count, arrived).1)))
            .numbers("neg_ln_p_upper", counted(&|count, arrived| -libm::log(wilson(count, arrived).0)))
            .numbers("expected_count", both.iter().map(|both| both.map(|(_, arrived, p)| arrived * p)))
            .numbers(
                "z_score",
                both.iter().map(|both| {
                    both.map(|(count, arrived, p)| (count - arrived * p) / (arrived * p * (1.0 - p)).sqrt())
                }),
            )
            .numbers("quadrature_neg_ln_p_at_width", exact(&self.wide))
            .numbers("quadrature_width", vec![self.narrow.as_ref().map(|_| p.quadrature_width); n])
            .numbers("quadrature_neg_ln_p", exact(&self.narrow));
        table.write(ctx.output("tubes")?)
    }

    /// In long format: `kind` is `least-action`, `tube` (a sample path) or `random`; `tube` is the number of the sample path,
    /// the particle, or −1.
    fn write_paths(&self, ctx: &Context) -> Result<(), StageError> {
        let least = &self.least.path;
        let sigma = self.sigma();
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
        let curvature = self.least.path.iter().map(|&x| self.motion.system.curvature(x)).fold(0.0, f64::max);
        let counts = self.counts.as_ref();
        let arrival = arrival_probability(p.width, p.steps);
        let summary = Summary {
            system: p.system.name(),
            units: p.units.name(),
            mass: p.mass * mass,
            dt: p.dt * time,
            steps: p.steps,
            diffusion: p.diffusion * diffusion,
            sigma: length * self.sigma(),
            gamma_expected: 1.0 / (2.0 * p.mass * mass * p.diffusion * diffusion),
            omega_t: (curvature / p.mass).sqrt() * p.dt * p.steps as f64,
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
        };
        let mut text = serde_json::to_string_pretty(&summary)?;
        text.push('\n');
        Ok(fs::write(ctx.output("summary")?, text)?)
    }
}
