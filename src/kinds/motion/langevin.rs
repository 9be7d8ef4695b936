//! `langevin`: motion with dissipation, and the probabilities of tubes around its paths against the Onsager–Machlup action.

use crate::kinds::choice;
use crate::kinds::columns::Columns;
use crate::kinds::motion::potential::Potential;
use crate::kinds::motion::tube_fit::{self, Estimates, TubeFit};
use crate::kinds::rounds::Rounds;
use onsager_numerics::random::Streams;
use onsager_numerics::statistics::{Interval, wilson};
use onsager_runner::kind::context::Context;
use onsager_runner::kind::stage::{Checks, Inputs, Issue, Output, Stage, StageError};
use onsager_science::motion::langevin::{Dynamics, Langevin as Motion, Stayed};
use onsager_science::motion::law::counting_variance;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fs;

/// The `langevin` kind.
pub struct Langevin;

/// Parameters of `langevin`; any consistent units.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The potential V(x); the force is F = −V'.
    #[serde(deserialize_with = "choice::read")]
    #[schemars(schema_with = "choice::schema::<Potential>")]
    pub potential: Potential,
    /// `overdamped` or `underdamped`.
    #[serde(deserialize_with = "choice::read")]
    #[schemars(schema_with = "choice::schema::<Equation>")]
    pub dynamics: Equation,
    /// The time step δt > 0. The law holds at any δt for the discrete process itself.
    pub dt: f64,
    /// The number of steps N, from 2 to 200.
    pub steps: usize,
    /// Where every path begins, at rest.
    pub start: f64,
    /// The number of sample paths, from 3 to 10,000: simulated ones, each the centre of a tube.
    pub paths: usize,
    /// The width of the tubes in which particles are counted, in units of a step's standard deviation s; above 0, at most 8.
    pub width: f64,
    /// The width of the tubes for quadrature, in units of s; above 0, at most 8.
    pub quadrature_width: f64,
    /// The number of particles to count, from 1 to 1e12.
    pub particles: u64,
    /// Selects the sample paths and the particles.
    pub seed: u64,
}

/// Langevin's equation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Equation {
    /// dx = μF dt + √(2D) dW, μ = `mobility`, D = `diffusion`.
    Overdamped {
        #[serde(default = "one")]
        mobility: f64,
        #[serde(default = "half")]
        diffusion: f64,
    },
    /// m dv = (F − γv) dt + √(2γkT) dW, m = `mass`, γ = `friction`, kT = `thermal_energy`.
    Underdamped {
        #[serde(default = "one")]
        mass: f64,
        #[serde(default = "one")]
        friction: f64,
        #[serde(default = "half")]
        thermal_energy: f64,
    },
}

fn one() -> f64 {
    1.0
}

fn half() -> f64 {
    0.5
}

impl Default for Params {
    fn default() -> Params {
        Params {
            potential: Potential::DoubleWell { coefficient: 1.0 },
            dynamics: Equation::Overdamped { mobility: 1.0, diffusion: 0.5 },
            dt: 0.1,
            steps: 10,
            start: 0.5,
            paths: 100,
            width: 2.0,
            quadrature_width: 0.1,
            particles: 4_000_000,
            seed: 0,
        }
    }
}

impl Equation {
    fn name(&self) -> &'static str {
        match self {
            Equation::Overdamped { .. } => "overdamped",
            Equation::Underdamped { .. } => "underdamped",
        }
    }
}

impl Params {
    fn motion(&self) -> Motion {
        let dynamics = match self.dynamics {
            Equation::Overdamped { mobility, diffusion } => Dynamics::Overdamped { mobility, diffusion },
            Equation::Underdamped { mass, friction, thermal_energy } => {
                Dynamics::Underdamped { mass, friction, thermal_energy }
            }
        };
        Motion { system: self.potential.system(), dynamics, dt: self.dt, start: self.start }
    }

    fn streams(&self, purpose: &str) -> Streams {
        Streams::new(
            self.seed,
            &format!("langevin {} {} {purpose}", self.potential.name(), self.dynamics.name()),
        )
    }
}

/// Particles counted between two looks at the interruption flag.
const ROUND: u64 = 1 << 18;

impl Stage for Langevin {
    type Params = Params;
    const KIND: &'static str = "langevin";
    const SUMMARY: &'static str =
        "random paths with dissipation: the Onsager–Machlup action and the probabilities of tubes";

    fn inputs() -> Inputs {
        Inputs::none()
    }

    fn outputs(_: &Params) -> Vec<Output> {
        vec![
            Output::file(
                "tubes",
                "tubes.parquet",
                "one row per sample path: its action and its tube's probability",
            ),
            Output::file(
                "fit",
                "fit.parquet",
                "one row per estimator: the slope of −ln P against the action",
            ),
            Output::file("paths", "paths.parquet", "the sample paths, and the motion without noise"),
            Output::file("summary", "summary.json", "the ensemble in short"),
        ]
    }

    fn check(p: &Params) -> Vec<Issue> {
        let mut checks = Checks::default();
        p.potential.check(&mut checks);
        match p.dynamics {
            Equation::Overdamped { mobility, diffusion } => checks.positive(&[
                ("dynamics.overdamped.mobility", mobility),
                ("dynamics.overdamped.diffusion", diffusion),
            ]),
            Equation::Underdamped { mass, friction, thermal_energy } => checks.positive(&[
                ("dynamics.underdamped.mass", mass),
                ("dynamics.underdamped.friction", friction),
                ("dynamics.underdamped.thermal_energy", thermal_energy),
            ]),
        }
        checks.positive(&[("dt", p.dt)]);
        checks.finite(&[("start", p.start)]);
        for (field, width) in [("width", p.width), ("quadrature_width", p.quadrature_width)] {
            checks.ensure(width > 0.0 && width <= 8.0, field, || {
                format!(
                    "must be above 0 and at most 8 (units of a step's standard deviation), but is {width}"
                )
            });
        }
        checks.range("steps", p.steps as u64, 2..=200);
        checks.range("paths", p.paths as u64, 3..=10_000);
        checks.range("particles", p.particles, 1..=1_000_000_000_000);
        checks.0
    }

    fn run(p: &Params, ctx: &Context) -> Result<(), StageError> {
        let motion = p.motion();
        let streams = p.streams("paths");
        let paths: Vec<Vec<f64>> = (0..p.paths as u64).map(|k| motion.path(&streams, k, p.steps)).collect();
        if paths.iter().flatten().any(|x| !x.is_finite()) {
            return Err(StageError::with_help(
                "a sample path left the range of numbers: the force is too steep for the step",
                "take a smaller `dt`, or a potential that confines",
            ));
        }
        let exact =
            |width: f64| -> Vec<f64> { paths.par_iter().map(|path| motion.neg_ln_p(path, width)).collect() };
        let (narrow, wide) = (exact(p.quadrature_width), exact(p.width));
        let particles = p.streams("particles");
        let rounds = p.particles.div_ceil(ROUND);
        let stayed = Rounds::of(rounds, 1, "rounds of particles").run(
            ctx,
            Stayed::zero(paths.len()),
            |sum, round| {
                let range = round.start * ROUND..p.particles.min(round.end * ROUND);
                sum.add(&motion.count(&particles, range, &paths, p.width));
                Ok(())
            },
        )?;
        let ensemble = Ensemble { p, motion, paths, narrow, wide, stayed };
        ensemble.write_tubes(ctx)?;
        ensemble.write_paths(ctx)?;
        ensemble.write_fit(ctx)
    }
}

/// Everything that was computed.
struct Ensemble<'a> {
    p: &'a Params,
    motion: Motion,
    paths: Vec<Vec<f64>>,
    narrow: Vec<f64>,
    wide: Vec<f64>,
    stayed: Stayed,
}

#[derive(Serialize)]
struct Summary<'a> {
    potential: &'a str,
    dynamics: &'a str,
    steps: usize,
    dt: f64,
    /// s.
    step_deviation: f64,
    /// The mean of S over the sample paths; N/2 is expected, with an error of √(N/2/paths).
    action_mean: f64,
    action_expected: f64,
    particles: u64,
    /// The largest |count − expected|/√variance over tubes that expect at least 20 particles, and their number.
    worst_z: Option<f64>,
    compared: usize,
    fits: Vec<TubeFit>,
}

impl Ensemble<'_> {
    fn actions(&self) -> Vec<f64> {
        self.paths.iter().map(|path| self.motion.action(path)).collect()
    }

    fn actions_without_force(&self) -> Vec<f64> {
        self.paths.iter().map(|path| self.motion.action_without_force(path)).collect()
    }

    /// Expected count and its distance from the count in standard errors.
    fn z_score(&self, k: usize) -> (f64, f64) {
        let (n, p) = (self.stayed.particles as f64, libm::exp(-self.wide[k]));
        (n * p, (self.stayed.tubes[k] as f64 - n * p) / (n * p * (1.0 - p)).sqrt())
    }

    fn counted(&self, k: usize) -> Option<f64> {
        let (count, n) = (self.stayed.tubes[k], self.stayed.particles);
        (count > 0).then(|| -libm::log(count as f64 / n as f64))
    }

    fn write_tubes(&self, ctx: &Context) -> Result<(), StageError> {
        let n = self.paths.len();
        let some = |values: Vec<f64>| values.into_iter().map(Some);
        // −ln P where the density is the same all over the tube: the law itself.
        let law = |width: f64| -> Vec<Option<f64>> {
            self.paths.iter().map(|path| Some(self.motion.narrow_neg_ln_p(path, width))).collect()
        };
        let bounds: Vec<Interval> =
            self.stayed.tubes.iter().map(|&count| wilson(count, self.stayed.particles)).collect();
        let mut table = Columns::default();
        table
            .integers("path", (0..n as i64).map(Some))
            .texts("potential", vec![self.p.potential.name(); n])
            .texts("dynamics", vec![self.p.dynamics.name(); n])
            .numbers("action", some(self.actions()))
            .numbers("action_without_force", some(self.actions_without_force()))
            .numbers("quadrature_width", vec![Some(self.p.quadrature_width); n])
            .numbers("quadrature_neg_ln_p", some(self.narrow.clone()))
            .numbers("narrow_neg_ln_p", law(self.p.quadrature_width))
            .numbers("width", vec![Some(self.p.width); n])
            .numbers("quadrature_neg_ln_p_at_width", some(self.wide.clone()))
            .numbers("narrow_neg_ln_p_at_width", law(self.p.width))
            .integers("count", self.stayed.tubes.iter().map(|&count| Some(count as i64)))
            .numbers("neg_ln_p", (0..n).map(|k| self.counted(k)))
            .numbers("neg_ln_p_lower", bounds.iter().map(|bounds| Some(-libm::log(bounds.upper))))
            .numbers("neg_ln_p_upper", bounds.iter().map(|bounds| Some(-libm::log(bounds.lower))))
            .numbers("expected_count", (0..n).map(|k| Some(self.z_score(k).0)))
            .numbers("z_score", (0..n).map(|k| Some(self.z_score(k).1)));
        table.write(ctx.output("tubes")?)
    }

    /// In long format: `kind` is `sample` or `noiseless`, `path` the number of the sample path or −1.
    fn write_paths(&self, ctx: &Context) -> Result<(), StageError> {
        let (mut before, mut now) = (self.p.start, self.p.start);
        let mut noiseless = vec![now];
        for _ in 0..self.p.steps {
            (before, now) = (now, self.motion.drifted(before, now));
            noiseless.push(now);
        }
        let samples = self.paths.iter().enumerate().map(|(k, path)| ("sample", k as i64, path));
        let all: Vec<_> = samples.chain(std::iter::once(("noiseless", -1, &noiseless))).collect();
        let rows = || {
            all.iter().flat_map(|(kind, k, path)| {
                path.iter().enumerate().map(move |(step, x)| (*kind, *k, step, *x))
            })
        };
        let mut table = Columns::default();
        table
            .texts("kind", rows().map(|row| row.0))
            .integers("path", rows().map(|row| Some(row.1)))
            .integers("step", rows().map(|row| Some(row.2 as i64)))
            .numbers("time", rows().map(|row| Some(row.2 as f64 * self.p.dt)))
            .numbers("x", rows().map(|row| Some(row.3)));
        table.write(ctx.output("paths")?)
    }

    fn write_fit(&self, ctx: &Context) -> Result<(), StageError> {
        let n = self.paths.len();
        let (action, without) = (self.actions(), self.actions_without_force());
        let some = |values: &[f64]| values.iter().copied().map(Some).collect::<Vec<_>>();
        // Below about 20 the logarithm of a count is biased.
        let counted: Vec<Option<f64>> =
            (0..n).map(|k| self.counted(k).filter(|_| self.stayed.tubes[k] >= 20)).collect();
        let error = |&count: &u64| counting_variance(count.max(1), self.stayed.particles).sqrt();
        let errors: Vec<f64> = self.stayed.tubes.iter().map(error).collect();
        let (p, narrow, wide) = (self.p, some(&self.narrow), some(&self.wide));
        let fits: Vec<TubeFit> = [
            ("quadrature", p.quadrature_width, &narrow, None),
            ("quadrature-at-width", p.width, &wide, None),
            ("counting", p.width, &counted, Some(errors.as_slice())),
        ]
        .into_iter()
        .filter_map(|(estimator, width, neg_ln_p, errors)| {
            TubeFit::new(&action, Some(&without), &Estimates { estimator, width, neg_ln_p, errors })
        })
        .collect();
        tube_fit::table(&fits, p.potential.name(), Some("r_without_force")).write(ctx.output("fit")?)?;

        let compared: Vec<f64> = (0..n)
            .map(|k| self.z_score(k))
            .filter(|(expected, _)| *expected >= 20.0)
            .map(|(_, z)| z)
            .collect();
        let summary = Summary {
            potential: self.p.potential.name(),
            dynamics: self.p.dynamics.name(),
            steps: self.p.steps,
            dt: self.p.dt,
            step_deviation: self.motion.deviation(),
            action_mean: self.actions().iter().sum::<f64>() / n as f64,
            action_expected: 0.5 * self.p.steps as f64,
            particles: self.stayed.particles,
            worst_z: compared.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())),
            compared: compared.len(),
            fits,
        };
        let mut text = serde_json::to_string_pretty(&summary)?;
        text.push('\n');
        Ok(fs::write(ctx.output("summary")?, text)?)
    }
}
