//! The parameters of `random-motion`.

use crate::kinds::motion::potential::{Coefficients, Potential, PotentialName};
use onsager_numerics::random::Streams;
use onsager_runner::kind::stage::{Checks, Issue};
use onsager_science::motion::action::Motion;
use onsager_science::motion::splitting::REPEATS;
use onsager_science::motion::systems::TERMS;
use onsager_science::motion::tubes::{AMPLITUDE, Tube};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Parameters of `random-motion`. Dimensional values are in the units that `units` names.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The potential V(x): `free` 0, `constant-force` m g x, `harmonic` ½ k x², `cubic` ⅓ C x³, `quartic` ¼ C x⁴,
    /// `morse` C (1 − e^(−α x))², `double-well` C (x² − 1)², `polynomial` Σ c_n xⁿ.
    pub system: PotentialName,
    /// g of `constant-force`, an acceleration.
    pub gravity: f64,
    /// k of `harmonic`. The law holds while ω T is well below π, ω² = k/m; by default ω T = 1.
    pub stiffness: f64,
    /// C of `cubic`, `quartic` and `double-well`; 0.001, 0.0001 and 0.000025 where it is not given.
    pub coefficient: Option<f64>,
    /// c_0, c_1, … of `polynomial`, an energy over a length to the power n; at most nine.
    pub coefficients: Vec<f64>,
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
    /// The width δ of the tubes for counting and splitting, in units of σ; above 0, at most 8. Narrow tubes need many
    /// particles, wide ones bias γ: by −6 % at 1, −22 % at 2, −40 % at 3.
    pub width: f64,
    /// The width of the tubes for quadrature, in units of σ; above 0, at most 8.
    pub quadrature_width: f64,
    /// The number of sample paths, from 3 to 10,000.
    pub tubes: usize,
    /// The standard deviation of the sample paths' first sine mode, in units of σ, from 0 to 100; mode n has the n-th part.
    pub amplitude: f64,
    /// That of the last sample path, when it grows from the first to the last, evenly in its square, so that the
    /// probabilities are spread over many decades.
    pub amplitude_last: Option<f64>,
    /// The number of particles to count, from 1 to 1e12.
    pub particles: u64,
    /// The population of the `splitting` estimator.
    pub splitting: Population,
    /// What to estimate −ln P with: `counting` (down to about 20 over the number of particles that arrive), `splitting`
    /// (sequential Monte Carlo, any probability), `quadrature` (exact).
    pub estimators: Vec<Estimator>,
    /// What the numbers mean: `dimensionless`, or `water-1um` for a sphere of 1 µm diameter in water at 300 K, with masses
    /// in units of 1.39e-15 kg, times of 1e-5 s and diffusion constants of the Stokes–Einstein value 5.17e-13 m²/s, hence
    /// lengths of 2.27 nm. Outputs are then in SI units.
    pub units: Units,
    /// Counts a part of the particles alone, for `merge-shards`: the only output is then `counts`.
    pub shard: Option<Shard>,
    /// Selects the sample paths and the particles. Different systems and diffusion constants are independent.
    pub seed: u64,
}

/// The population of the `splitting` estimator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Population {
    /// The walkers of one repeat, from 2 to 1,000,000.
    pub walkers: usize,
    /// The independent repeats that give the standard error, from 2 to 4,096; at least 16 for errors to rely on.
    pub repeats: usize,
}

impl Default for Population {
    fn default() -> Population {
        Population { walkers: 1024, repeats: 16 }
    }
}

/// A part of the particles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// Which part, from 0 to `of` − 1.
    pub index: u64,
    /// The number of parts, from 1 to 100,000.
    pub of: u64,
}

/// A way to estimate the probability of a tube.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Estimator {
    Counting,
    Splitting,
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
            system: PotentialName::Free,
            gravity: 0.2,
            stiffness: 0.01,
            coefficient: None,
            coefficients: Vec::new(),
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
            amplitude: AMPLITUDE,
            amplitude_last: None,
            particles: 20_000_000,
            splitting: Population::default(),
            estimators: vec![Estimator::Counting, Estimator::Quadrature],
            units: Units::Dimensionless,
            shard: None,
            seed: 0,
        }
    }
}

impl Units {
    pub fn name(self) -> &'static str {
        match self {
            Units::Dimensionless => "dimensionless",
            Units::Water1um => "water-1um",
        }
    }

    /// The units of mass, time and diffusion constant in SI.
    pub fn scales(self) -> [f64; 3] {
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
    /// The potential with its settings, which have fields of their own here.
    pub fn potential(&self) -> Potential {
        let coefficient = |default: f64| self.coefficient.unwrap_or(default);
        match self.system {
            PotentialName::Free => Potential::Free {},
            PotentialName::ConstantForce => Potential::ConstantForce { force: self.mass * self.gravity },
            PotentialName::Harmonic => Potential::Harmonic { stiffness: self.stiffness },
            PotentialName::Cubic => Potential::Cubic { coefficient: coefficient(1e-3) },
            PotentialName::Quartic => Potential::Quartic { coefficient: coefficient(1e-4) },
            PotentialName::Morse => Potential::Morse { depth: self.depth, alpha: self.alpha },
            PotentialName::DoubleWell => Potential::DoubleWell { coefficient: coefficient(2.5e-5) },
            PotentialName::Polynomial => {
                Potential::Polynomial { coefficients: Coefficients::padded(&self.coefficients) }
            }
        }
    }

    /// The particle and its potential.
    pub fn motion(&self) -> Motion {
        Motion { system: self.potential().system(), mass: self.mass, dt: self.dt }
    }

    /// The width σ = √(2 D δt) of one random displacement.
    pub fn sigma(&self) -> f64 {
        (2.0 * self.diffusion * self.dt).sqrt()
    }

    /// The sample paths.
    pub fn sample_paths(&self) -> Vec<Tube> {
        let amplitudes = [self.amplitude, self.amplitude_last.unwrap_or(self.amplitude)];
        Tube::sample_range(&self.streams("tubes"), self.tubes, self.steps, amplitudes)
    }

    /// The particles of this task: all, or those of its shard.
    pub fn particle_range(&self) -> Range<u64> {
        let Shard { index, of } = self.shard.unwrap_or(Shard { index: 0, of: 1 });
        let end = |index: u64| (u128::from(self.particles) * u128::from(index) / u128::from(of)) as u64;
        end(index)..end(index + 1)
    }

    /// Refuses wrong values, field by field.
    pub fn issues(&self) -> Vec<Issue> {
        let p = self;
        let mut checks = Checks::default();
        checks.positive(&[("mass", p.mass), ("dt", p.dt), ("diffusion", p.diffusion), ("alpha", p.alpha)]);
        let coefficient = p.coefficient.unwrap_or(0.0);
        checks.finite(&[
            ("gravity", p.gravity),
            ("stiffness", p.stiffness),
            ("coefficient", coefficient),
            ("depth", p.depth),
            ("start", p.start),
            ("end", p.end),
        ]);
        let polynomial = p.system == PotentialName::Polynomial;
        let terms = p.coefficients.len();
        checks.ensure(terms <= TERMS && (terms > 0 || !polynomial), "coefficients", || {
            format!("must hold from 1 to {TERMS} numbers for `polynomial`, but holds {terms}")
        });
        for (n, c) in p.coefficients.iter().enumerate() {
            let field = format!("coefficients[{n}]");
            checks.finite(&[(&field, *c)]);
        }
        for (field, value) in [("width", p.width), ("quadrature_width", p.quadrature_width)] {
            let good = value > 0.0 && value <= 8.0;
            checks.ensure(good, field, || {
                format!("must be above 0 and at most 8 (units of σ), but is {value}")
            });
        }
        checks.range("steps", p.steps as u64, 2..=1000);
        checks.range("tubes", p.tubes as u64, 3..=10_000);
        checks.ensure(p.tubes.saturating_mul(p.steps) <= 1_000_000, "tubes", || {
            format!("`tubes` times `steps` must be at most 1e6, but is {}", p.tubes.saturating_mul(p.steps))
        });
        for (field, value) in
            [("amplitude", p.amplitude), ("amplitude_last", p.amplitude_last.unwrap_or(p.amplitude))]
        {
            checks.ensure((0.0..=100.0).contains(&value), field, || {
                format!("must be from 0 to 100 (units of σ), but is {value}")
            });
        }
        let flat = p.amplitude == 0.0 && p.amplitude_last.unwrap_or(0.0) == 0.0;
        checks.ensure(!flat, "amplitude", || {
            "must be above 0, else every sample path is the least-action path".to_owned()
        });
        let Population { walkers, repeats } = p.splitting;
        checks.range("splitting.walkers", walkers as u64, 2..=1_000_000);
        checks.range("splitting.repeats", repeats as u64, 2..=REPEATS as u64);
        checks.ensure((1..=1_000_000_000_000).contains(&p.particles), "particles", || {
            format!("must be from 1 to 1e12, but is {}", p.particles)
        });
        checks.ensure(!p.estimators.is_empty(), "estimators", || {
            "must name one or more of `counting`, `splitting`, `quadrature`".to_owned()
        });
        if let Some(Shard { index, of }) = p.shard {
            checks.ensure((1..=100_000).contains(&of), "shard.of", || {
                format!("must be from 1 to 100000, but is {of}")
            });
            checks.ensure(index < of, "shard.index", || {
                format!("must be from 0 to {}, one less than `of`, but is {index}", of.saturating_sub(1))
            });
            checks.ensure(p.estimates(Estimator::Counting), "estimators", || {
                "must name `counting` in a shard: its particles are all that it counts".to_owned()
            });
        }
        checks.0
    }

    /// The random streams of this ensemble for one purpose.
    pub fn streams(&self, purpose: &str) -> Streams {
        Streams::new(
            self.seed,
            &format!("random-motion {} D={:?} {purpose}", self.system.name(), self.diffusion),
        )
    }

    /// Whether this estimator is asked for.
    pub fn estimates(&self, estimator: Estimator) -> bool {
        self.estimators.contains(&estimator)
    }
}
