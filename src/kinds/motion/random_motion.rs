//! `random-motion`: random paths of a Hamiltonian system, and the probabilities of tubes around sample paths.

use crate::kinds::motion::parameters::{Estimator, Params, Shard};
use crate::kinds::motion::tables::{Ensemble, write_ensemble};
use crate::kinds::rounds::{Rounds, in_phases};
use onsager_runner::kind::context::Context;
use onsager_runner::kind::stage::{Inputs, Issue, Output, Stage, StageError};
use onsager_science::motion::counting::{Counter, Counts};
use onsager_science::motion::least_action_path::least_action_path;
use onsager_science::motion::quadrature::Quadrature;
use onsager_science::motion::splitting::{NegLnP, Splitting};
use onsager_science::motion::tubes::Tube;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::fs;

/// The `random-motion` kind.
pub struct RandomMotion;

/// Particles counted between two looks at the interruption flag.
const ROUND: u64 = 1 << 22;
/// Tubes split between two looks at the interruption flag.
const TUBES_PER_ROUND: u64 = 8;

impl Stage for RandomMotion {
    type Params = Params;
    const KIND: &'static str = "random-motion";
    const SUMMARY: &'static str =
        "random paths of a Hamiltonian system: actions and probabilities of tubes around sample paths";

    fn inputs() -> Inputs {
        Inputs::none()
    }

    fn outputs(p: &Params) -> Vec<Output> {
        match p.shard {
            None => ensemble_outputs(),
            Some(_) => vec![Output::file(
                "counts",
                "counts.msgpack",
                "the counts of this part of the particles, for `merge-shards`",
            )],
        }
    }

    fn check(p: &Params) -> Vec<Issue> {
        p.issues()
    }

    fn run(p: &Params, ctx: &Context) -> Result<(), StageError> {
        let tubes = p.sample_paths();
        match p.shard {
            None => estimate(p, tubes, None, ctx),
            Some(shard) => {
                let counting = Params { estimators: vec![Estimator::Counting], ..p.clone() };
                let Work { counts, .. } = sample(&counting, &tubes, None, ctx)?;
                let params = Params { shard: None, ..p.clone() };
                let part = Part { params, shard, counts };
                // MessagePack: JSON would round the parameters.
                Ok(fs::write(ctx.output("counts")?, rmp_serde::to_vec_named(&part)?)?)
            }
        }
    }
}

/// The outputs of a whole ensemble.
pub fn ensemble_outputs() -> Vec<Output> {
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

/// What a shard found.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Those of the whole ensemble.
    pub params: Params,
    pub shard: Shard,
    pub counts: Counts,
}

/// Estimates −ln P by every estimator asked for, and writes the ensemble; `counts` where the particles were counted elsewhere.
pub fn estimate(
    p: &Params,
    tubes: Vec<Tube>,
    counts: Option<Counts>,
    ctx: &Context,
) -> Result<(), StageError> {
    let motion = p.motion();
    let least = least_action_path(&motion, p.start, p.end, p.steps)?;
    if !least.minimum {
        tracing::warn!(
            "the stationary path is no minimum of the action: the time is beyond a conjugate point"
        );
    }
    let exact = |width: f64| -> Vec<f64> {
        let quadrature = Quadrature::new(width);
        tubes.par_iter().map(|tube| quadrature.neg_ln_p(tube)).collect()
    };
    let quadrature = p.estimates(Estimator::Quadrature);
    let narrow = quadrature.then(|| exact(p.quadrature_width));
    let sampled = p.estimates(Estimator::Counting) || p.estimates(Estimator::Splitting);
    let wide = (quadrature && sampled).then(|| exact(p.width));
    let work = sample(p, &tubes, counts, ctx)?;
    let counts = p.estimates(Estimator::Counting).then_some(work.counts);
    let splitting = p.estimates(Estimator::Splitting).then_some(work.splitting);
    write_ensemble(&Ensemble { p, motion, least, tubes, narrow, wide, counts, splitting }, ctx)
}

/// The sampling that is done so far.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Work {
    counts: Counts,
    /// −ln P of the first tubes.
    splitting: Vec<Option<NegLnP>>,
}

/// Counts and splits, as far as each is asked for; particles that were counted elsewhere are not counted again.
fn sample(p: &Params, tubes: &[Tube], counted: Option<Counts>, ctx: &Context) -> Result<Work, StageError> {
    let particles = p.particle_range();
    let counting = p.estimates(Estimator::Counting) && counted.is_none();
    let to_count = if counting { particles.end - particles.start } else { 0 };
    let to_split = if p.estimates(Estimator::Splitting) { tubes.len() as u64 } else { 0 };
    let phases = [Rounds::of(to_count, ROUND, "particles"), Rounds::of(to_split, TUBES_PER_ROUND, "tubes")];
    let counter = Counter::new(p.streams("particles"), tubes, p.width);
    let splitting = Splitting {
        streams: p.streams(&format!("splitting {:?}", p.width)),
        width: p.width,
        walkers: p.splitting.walkers,
        repeats: p.splitting.repeats,
    };
    let counts = counted.unwrap_or_else(|| Counts::zero(tubes.len()));
    in_phases(ctx, &phases, Work { counts, splitting: Vec::new() }, |work, phase, range| {
        if phase == 0 {
            // Integer sums over particles: where the work is split does not matter.
            let more = counter.count(particles.start + range.start..particles.start + range.end);
            work.counts = std::mem::take(&mut work.counts).merge(&more);
        } else {
            work.splitting
                .par_extend(range.into_par_iter().map(|k| splitting.neg_ln_p(k, &tubes[k as usize])));
        }
        Ok(())
    })
}
