//! `propagator`: the propagator in imaginary time as a path probability, its ground state, and the law of the weighted paths.

use crate::kinds::choice;
use crate::kinds::columns::Columns;
use crate::kinds::motion::potential::Potential;
use crate::kinds::motion::tube_fit::{self, Estimates, TubeFit};
use crate::kinds::rounds::Rounds;
use onsager_numerics::random::Streams;
use onsager_numerics::statistics::NORMAL_QUANTILE;
use onsager_runner::kind::context::Context;
use onsager_runner::kind::stage::{Checks, Inputs, Issue, Output, Stage, StageError};
use onsager_science::motion::action::Motion;
use onsager_science::motion::bridges::{Bridges, Weights, mean_of_exponentials};
use onsager_science::motion::least_action_path::least_action_path;
use onsager_science::motion::tubes::Tube;
use onsager_science::stats::regression::Line;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fs;

/// The `propagator` kind.
pub struct Propagator;

/// Parameters of `propagator`; any consistent units.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The potential V(x), bounded below (or linear).
    #[serde(deserialize_with = "choice::read")]
    #[schemars(schema_with = "choice::schema::<Potential>")]
    pub potential: Potential,
    /// The mass m > 0.
    pub mass: f64,
    /// ħ > 0, an action.
    pub hbar: f64,
    /// Where every path begins.
    pub start: f64,
    /// Where every path ends.
    pub end: f64,
    /// The time step δt > 0; the error of E0 is of the order δt².
    pub dt: f64,
    /// The times T of ln K(T), from 1 to 200 of them, ascending multiples of `dt` of two steps or more, 10,000 at most.
    pub times: Vec<f64>,
    /// The ground state's energy is the slope of ln K over times from this one on; the excited states' share in it falls as
    /// exp(−gap T/ħ).
    pub ground_from: f64,
    /// The number of independent populations, from 4 to 1,024; their scatter gives the standard errors.
    pub populations: u64,
    /// The number of bridges of a population, from 100 to 1e6, moved and resampled together; times the steps at most 2e8.
    pub walkers: usize,
    /// The number of steps of the tubes' paths, from 3 to 200.
    pub tube_steps: usize,
    /// The number of tubes, from 3 to 10,000.
    pub tubes: usize,
    /// The width of the tubes in which bridges are weighed, in units of a step's s = √(ħδt/m); above 0, at most 8.
    pub width: f64,
    /// The width of the tubes for quadrature, in units of s; above 0, at most 8.
    pub quadrature_width: f64,
    /// The number of bridges weighed in tubes, from 1 to 1e12.
    pub bridges: u64,
    /// Selects the bridges and the tubes.
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Params {
        Params {
            potential: Potential::Harmonic { stiffness: 1.0 },
            mass: 1.0,
            hbar: 1.0,
            start: 0.0,
            end: 0.0,
            dt: 0.05,
            times: vec![0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0],
            ground_from: 4.0,
            populations: 32,
            walkers: 16_384,
            tube_steps: 10,
            tubes: 100,
            width: 2.0,
            quadrature_width: 0.1,
            bridges: 2_000_000,
            seed: 0,
        }
    }
}

impl Params {
    fn bridges(&self) -> Bridges {
        let motion = Motion { system: self.potential.system(), mass: self.mass, dt: self.dt };
        Bridges { motion, hbar: self.hbar, start: self.start, end: self.end }
    }

    fn steps_of(&self, time: f64) -> usize {
        libm::round(time / self.dt) as usize
    }

    fn streams(&self, purpose: &str) -> Streams {
        Streams::new(self.seed, &format!("propagator {} {purpose}", self.potential.name()))
    }

    /// Whether there is a ground state.
    fn binds(&self) -> bool {
        match self.potential {
            Potential::Harmonic { stiffness } => stiffness > 0.0,
            Potential::Quartic { coefficient } | Potential::DoubleWell { coefficient } => coefficient > 0.0,
            Potential::Polynomial { coefficients } => coefficients
                .leading()
                .is_some_and(|(power, c)| power >= 2 && power.is_multiple_of(2) && c > 0.0),
            _ => false,
        }
    }
}

/// Bridges weighed between two looks at the interruption flag.
const ROUND: u64 = 1 << 19;
/// Populations at one time T between two of them.
const POPULATIONS: u64 = 8;

impl Stage for Propagator {
    type Params = Params;
    const KIND: &'static str = "propagator";
    const SUMMARY: &'static str = "the propagator in imaginary time from weighted Brownian bridges: ln K(T), ground state, path probabilities";

    fn inputs() -> Inputs {
        Inputs::none()
    }

    fn outputs(_: &Params) -> Vec<Output> {
        vec![
            Output::file(
                "kernels",
                "kernels.parquet",
                "ln K against T: sampled, exact at this δt, and continuum",
            ),
            Output::file(
                "tubes",
                "tubes.parquet",
                "one row per tube: S_E/ħ and the probability of weighted bridges",
            ),
            Output::file("fit", "fit.parquet", "one row per estimator: the slope of −ln P against S_E/ħ"),
            Output::file("summary", "summary.json", "the ground state and the fits"),
        ]
    }

    fn check(p: &Params) -> Vec<Issue> {
        let mut checks = Checks::default();
        p.potential.check(&mut checks);
        let unbounded = match p.potential {
            Potential::Cubic { coefficient } => coefficient != 0.0,
            Potential::Harmonic { stiffness } => stiffness < 0.0,
            Potential::Quartic { coefficient } | Potential::DoubleWell { coefficient } => coefficient < 0.0,
            Potential::Morse { depth, .. } => depth < 0.0,
            Potential::Polynomial { coefficients } => coefficients
                .leading()
                .is_some_and(|(power, c)| power >= 2 && (!power.is_multiple_of(2) || c < 0.0)),
            Potential::Free {} | Potential::ConstantForce { .. } => false,
        };
        if unbounded {
            let message =
                format!("must be bounded below, but `{}` with these settings is not", p.potential.name());
            checks.0.push(
                Issue::new("potential", message)
                    .help("turn its sign over, or take `harmonic`, `quartic`, `morse` or `double-well`"),
            );
        }
        checks.positive(&[("mass", p.mass), ("hbar", p.hbar), ("dt", p.dt)]);
        checks.finite(&[("start", p.start), ("end", p.end), ("ground_from", p.ground_from)]);
        checks.ensure((1..=200).contains(&p.times.len()), "times", || {
            format!("must hold from 1 to 200 values, but holds {}", p.times.len())
        });
        for (i, &time) in p.times.iter().enumerate() {
            let field = format!("times[{i}]");
            let steps = time / p.dt;
            let whole =
                (steps - libm::round(steps)).abs() < 1e-6 && (2.0..=1e4).contains(&libm::round(steps));
            checks.ensure(whole, &field, || {
                format!("must be from 2 to 10000 whole steps of `dt` = {}, but is {time}", p.dt)
            });
            let ascends = i == 0 || p.times[i - 1] < time;
            checks.ensure(ascends, &field, || format!("must be above the one before, but is {time}"));
        }
        for (field, width) in [("width", p.width), ("quadrature_width", p.quadrature_width)] {
            checks.ensure(width > 0.0 && width <= 8.0, field, || {
                format!(
                    "must be above 0 and at most 8 (units of a step's standard deviation), but is {width}"
                )
            });
        }
        checks.range("populations", p.populations, 4..=1024);
        checks.range("walkers", p.walkers as u64, 100..=1_000_000);
        let longest = p.times.iter().copied().fold(0.0, f64::max) / p.dt;
        checks.ensure(p.walkers as f64 * longest <= 2e8, "walkers", || {
            format!(
                "times the steps of the longest time must be at most 2e8, but is {:.1e}",
                p.walkers as f64 * longest
            )
        });
        checks.range("tube_steps", p.tube_steps as u64, 3..=200);
        checks.range("tubes", p.tubes as u64, 3..=10_000);
        checks.range("bridges", p.bridges, 1..=1_000_000_000_000);
        checks.0
    }

    fn run(p: &Params, ctx: &Context) -> Result<(), StageError> {
        let bridges = p.bridges();
        let tubes = p.sample_tubes(&bridges)?;
        let groups = p.populations.div_ceil(POPULATIONS);
        let population_rounds = groups * p.times.len() as u64;
        let rounds = population_rounds + p.bridges.div_ceil(ROUND);
        let families: Vec<Streams> = p.times.iter().map(|time| p.streams(&format!("T={time:?}"))).collect();
        let weighed = p.streams("tubes' bridges");
        let zero =
            Sampled { ln_weights: vec![Vec::new(); p.times.len()], weights: Weights::zero(tubes.len()) };
        let sampled = Rounds::of(rounds, 1, "rounds").run(ctx, zero, |sampled, round| {
            let round = round.start;
            if round < population_rounds {
                let (k, group) = ((round / groups) as usize, round % groups);
                let steps = p.steps_of(p.times[k]);
                let found: Vec<f64> = (group * POPULATIONS..p.populations.min((group + 1) * POPULATIONS))
                    .into_par_iter()
                    .map(|index| bridges.population(&families[k], index, p.walkers, steps))
                    .collect();
                sampled.ln_weights[k].extend(found);
            } else {
                let first = (round - population_rounds) * ROUND;
                let range = first..p.bridges.min(first + ROUND);
                sampled.weights.add(&bridges.weigh(&weighed, range, &tubes, p.width));
            }
            Ok(())
        })?;
        let ground = write_kernels(p, &bridges, &sampled, ctx)?;
        let fits = write_tubes(p, &bridges, &tubes, &sampled.weights, ctx)?;
        let summary =
            Summary { potential: p.potential.name(), mass: p.mass, hbar: p.hbar, dt: p.dt, ground, fits };
        let mut text = serde_json::to_string_pretty(&summary)?;
        text.push('\n');
        Ok(fs::write(ctx.output("summary")?, text)?)
    }
}

/// What is sampled.
#[derive(Serialize, Deserialize)]
struct Sampled {
    /// ln of each population's mean weight, per time.
    ln_weights: Vec<Vec<f64>>,
    weights: Weights,
}

#[derive(Serialize)]
struct Summary<'a> {
    potential: &'a str,
    mass: f64,
    hbar: f64,
    dt: f64,
    ground: Option<Ground>,
    fits: Vec<TubeFit>,
}

/// E0 by different ways, energies.
#[derive(Serialize)]
struct Ground {
    /// −ħ d ln K/dT of the sampled ln K, and its standard error.
    sampled: f64,
    error: f64,
    /// The same slope of the exact ln K at this δt: what `sampled` estimates.
    slope_discrete: f64,
    /// E0 at this δt; `slope_discrete` less this is what the excited states leave.
    discrete: f64,
    /// The limit δt → 0 from δt and δt/2.
    continuum: f64,
    z_score: f64,
}

impl Params {
    /// Sample paths around the path of least Euclidean action.
    fn sample_tubes(&self, bridges: &Bridges) -> Result<Vec<Vec<f64>>, StageError> {
        // The Euclidean action is the mechanical one in the potential turned over.
        let inverted = Motion { system: bridges.motion.system.scaled(-1.0), ..bridges.motion };
        let least = least_action_path(&inverted, self.start, self.end, self.tube_steps)?.path;
        let tubes = Tube::sample_many(&self.streams("tubes"), self.tubes, self.tube_steps);
        Ok(tubes.iter().map(|tube| tube.path(&least, bridges.deviation())).collect())
    }
}

fn write_kernels(
    p: &Params,
    bridges: &Bridges,
    sampled: &Sampled,
    ctx: &Context,
) -> Result<Option<Ground>, StageError> {
    let steps: Vec<usize> = p.times.iter().map(|&time| p.steps_of(time)).collect();
    let discrete = bridges.ln_kernels(&steps);
    let halved = Bridges { motion: Motion { dt: 0.5 * p.dt, ..bridges.motion }, ..*bridges };
    let fine = halved.ln_kernels(&steps.iter().map(|n| 2 * n).collect::<Vec<_>>());
    let limit = |coarse: f64, fine: f64| fine + (fine - coarse) / 3.0;
    let continuum: Vec<f64> = (0..steps.len())
        .map(|k| bridges.ln_continuum(p.times[k]).unwrap_or_else(|| limit(discrete[k], fine[k])))
        .collect();
    let estimates: Vec<(f64, f64)> = steps
        .iter()
        .zip(&sampled.ln_weights)
        .map(|(&n, ln_weights)| {
            let (ln_mean, error) = mean_of_exponentials(ln_weights);
            (bridges.ln_free(n) + ln_mean, error)
        })
        .collect();
    let z = |k: usize| (estimates[k].0 - discrete[k]) / estimates[k].1;

    let late: Vec<usize> =
        (0..steps.len()).filter(|&k| p.times[k] >= p.ground_from && estimates[k].1 > 0.0).collect();
    let times: Vec<f64> = late.iter().map(|&k| p.times[k]).collect();
    let weights: Vec<f64> = late.iter().map(|&k| 1.0 / (estimates[k].1 * estimates[k].1)).collect();
    let line = |values: Vec<f64>| Line::fit_known(&times, &values, &weights);
    let of_sampled = line(late.iter().map(|&k| estimates[k].0).collect()).filter(|_| p.binds());
    let of_discrete = line(late.iter().map(|&k| discrete[k]).collect());
    let ground = of_sampled.zip(of_discrete).map(|(sampled, exact)| {
        let (coarse, fine) = (bridges.ground_state(), halved.ground_state());
        Ground {
            sampled: -p.hbar * sampled.slope,
            error: p.hbar * sampled.slope_error,
            slope_discrete: -p.hbar * exact.slope,
            discrete: coarse,
            continuum: limit(coarse, fine),
            z_score: (exact.slope - sampled.slope) / sampled.slope_error,
        }
    });
    let column =
        |f: &dyn Fn(usize) -> f64| (0..steps.len()).map(|k| Some(f(k))).collect::<Vec<Option<f64>>>();
    let energy = |value: Option<f64>| vec![value; steps.len()];
    let mut table = Columns::default();
    table
        .texts("potential", vec![p.potential.name(); steps.len()])
        .numbers("time", column(&|k| p.times[k]))
        .integers("steps", steps.iter().map(|&n| Some(n as i64)))
        .numbers("ln_k", column(&|k| estimates[k].0))
        .numbers("ln_k_error", column(&|k| estimates[k].1))
        .numbers("ln_k_lower", column(&|k| estimates[k].0 - NORMAL_QUANTILE * estimates[k].1))
        .numbers("ln_k_upper", column(&|k| estimates[k].0 + NORMAL_QUANTILE * estimates[k].1))
        .numbers("ln_k_discrete", column(&|k| discrete[k]))
        .numbers("ln_k_continuum", column(&|k| continuum[k]))
        .numbers("z_score", column(&z))
        // K at this δt over K of the continuum, less one.
        .numbers("discretisation", column(&|k| libm::expm1(discrete[k] - continuum[k])))
        .numbers(
            "ground_line",
            column(&|k| of_sampled.map_or(f64::NAN, |line| line.intercept + line.slope * p.times[k])),
        )
        .numbers("ground_energy", energy(ground.as_ref().map(|ground| ground.sampled)))
        .numbers("ground_energy_error", energy(ground.as_ref().map(|ground| ground.error)))
        .numbers("ground_energy_discrete", energy(ground.as_ref().map(|ground| ground.discrete)))
        .numbers("ground_energy_continuum", energy(ground.as_ref().map(|ground| ground.continuum)));
    table.write(ctx.output("kernels")?)?;
    Ok(ground)
}

fn write_tubes(
    p: &Params,
    bridges: &Bridges,
    tubes: &[Vec<f64>],
    weights: &Weights,
    ctx: &Context,
) -> Result<Vec<TubeFit>, StageError> {
    let n = tubes.len();
    let ln_k = bridges.ln_kernels(&[p.tube_steps])[0];
    let exact = |width: f64| -> Vec<f64> {
        tubes.par_iter().map(|tube| bridges.neg_ln_p(tube, width, ln_k)).collect()
    };
    let (narrow, wide) = (exact(p.quadrature_width), exact(p.width));
    let actions: Vec<f64> = tubes.iter().map(|tube| bridges.action(tube)).collect();
    let counted: Vec<(f64, f64)> = (0..n).map(|k| weights.probability(k)).collect();
    // Below a relative error of about 0.22, that of 20 bridges inside, the logarithm is nearly unbiased.
    let good = |k: usize| counted[k].0 > 0.0 && counted[k].1 < 0.22 * counted[k].0;
    let log_of = |p: f64| (p > 0.0).then(|| -libm::log(p));
    let neg_ln_p: Vec<Option<f64>> = counted.iter().map(|(p, _)| log_of(*p)).collect();
    let weighed: Vec<Option<f64>> = (0..n).map(|k| neg_ln_p[k].filter(|_| good(k))).collect();
    let errors: Vec<f64> = counted.iter().map(|(p, error)| error / p).collect();
    let some = |values: &[f64]| values.iter().copied().map(Some).collect::<Vec<_>>();
    let fits: Vec<TubeFit> = [
        ("quadrature", p.quadrature_width, &some(&narrow), None),
        ("quadrature-at-width", p.width, &some(&wide), None),
        ("weighing", p.width, &weighed, Some(errors.as_slice())),
    ]
    .into_iter()
    .filter_map(|(estimator, width, neg_ln_p, errors)| {
        TubeFit::new(&actions, None, &Estimates { estimator, width, neg_ln_p, errors })
    })
    .collect();
    tube_fit::table(&fits, p.potential.name(), None).write(ctx.output("fit")?)?;

    let law = |width: f64| -> Vec<Option<f64>> {
        tubes.iter().map(|tube| Some(bridges.narrow_neg_ln_p(tube, width, ln_k))).collect()
    };
    let least = actions.iter().copied().fold(f64::INFINITY, f64::min);
    let mut table = Columns::default();
    table
        .integers("tube", (0..n as i64).map(Some))
        .texts("potential", vec![p.potential.name(); n])
        .numbers("action", some(&actions))
        .numbers("action_excess", actions.iter().map(|action| Some(action - least)))
        .numbers("quadrature_width", vec![Some(p.quadrature_width); n])
        .numbers("quadrature_neg_ln_p", some(&narrow))
        // −ln P where the density is the same all over the tube: the law itself.
        .numbers("narrow_neg_ln_p", law(p.quadrature_width))
        .numbers("width", vec![Some(p.width); n])
        .numbers("quadrature_neg_ln_p_at_width", some(&wide))
        .numbers("narrow_neg_ln_p_at_width", law(p.width))
        .numbers("neg_ln_p", neg_ln_p)
        .numbers("neg_ln_p_lower", counted.iter().map(|(p, e)| log_of(p + NORMAL_QUANTILE * e)))
        .numbers("neg_ln_p_upper", counted.iter().map(|(p, e)| log_of(p - NORMAL_QUANTILE * e)))
        .numbers("z_score", (0..n).map(|k| Some((counted[k].0 - libm::exp(-wide[k])) / counted[k].1)))
        .flags("used", (0..n).map(|k| Some(good(k))));
    table.write(ctx.output("tubes")?)?;
    Ok(fits)
}
