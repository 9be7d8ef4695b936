//! `random-motion`: random paths of a Hamiltonian system, and the probabilities of tubes around sample paths.

use crate::kinds::motion::parameters::{Estimator, Params, Shard};
use crate::kinds::motion::tables::{Ensemble, write_ensemble};
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
/// Rounds between two checkpoints, some seconds of work.
const ROUNDS_PER_CHECKPOINT: u64 = 8;
/// Tubes split between two looks at the interruption flag.
const TUBES_PER_ROUND: usize = 8;
/// Steps of walkers between two checkpoints, some seconds of work.
const STEPS_PER_CHECKPOINT: u64 = 100_000_000;

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
                let mut work = Work::resume(p, &tubes, None, ctx)?;
                work.count(p, &tubes, ctx)?;
                let params = Params { shard: None, ..p.clone() };
                let part = Part { params, shard, counts: work.counts };
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
    let mut work = Work::resume(p, &tubes, counts, ctx)?;
    if p.estimates(Estimator::Counting) {
        work.count(p, &tubes, ctx)?;
    }
    if p.estimates(Estimator::Splitting) {
        work.split(p, &tubes, ctx)?;
    }
    let counts = p.estimates(Estimator::Counting).then_some(work.counts);
    let splitting = p.estimates(Estimator::Splitting).then(|| work.splitting.iter().map(decode).collect());
    write_ensemble(&Ensemble { p, motion, least, tubes, narrow, wide, counts, splitting }, ctx)
}

/// The sampling that is done so far: what a checkpoint holds.
#[derive(Debug, Serialize, Deserialize)]
struct Work {
    counts: Counts,
    /// −ln P and its error of the first tubes, as the bits of their `f64`, which JSON keeps exactly.
    splitting: Vec<Option<[u64; 2]>>,
}

fn decode(bits: &Option<[u64; 2]>) -> Option<NegLnP> {
    bits.map(|[value, error]| NegLnP { value: f64::from_bits(value), error: f64::from_bits(error) })
}

impl Work {
    /// Where the checkpoint ends; else at the beginning, or with `counts`, if the particles were counted elsewhere.
    fn resume(p: &Params, tubes: &[Tube], counts: Option<Counts>, ctx: &Context) -> Result<Work, StageError> {
        if let Some(checkpoint) = ctx.latest_checkpoint()? {
            let saved: Work = serde_json::from_slice(&fs::read(&checkpoint.path)?)?;
            let range = p.particle_range();
            if saved.counts.tubes.len() == tubes.len() && saved.counts.particles <= range.end - range.start {
                return Ok(saved);
            }
        }
        Ok(Work { counts: counts.unwrap_or_else(|| Counts::zero(tubes.len())), splitting: Vec::new() })
    }

    fn save(&self, ctx: &Context) -> Result<(), StageError> {
        let step = self.counts.particles + self.splitting.len() as u64;
        ctx.save_checkpoint(step, |path| Ok(fs::write(path, serde_json::to_vec(self)?)?))
    }

    /// Counts the particles in rounds. The counts are integer sums over particles, so where the work was split does not matter.
    fn count(&mut self, p: &Params, tubes: &[Tube], ctx: &Context) -> Result<(), StageError> {
        let counter = Counter::new(p.streams("particles"), tubes, p.width);
        let range = p.particle_range();
        let total = range.end - range.start;
        ctx.progress(self.counts.particles, total, "particles");
        while self.counts.particles < total {
            let start = range.start + self.counts.particles;
            let counted = counter.count(start..range.end.min(start + ROUND));
            self.counts = std::mem::take(&mut self.counts).merge(&counted);
            ctx.progress(self.counts.particles, total, "particles");
            let left = self.counts.particles < total;
            let stop = left && ctx.cancelled();
            if stop || left && (self.counts.particles / ROUND).is_multiple_of(ROUNDS_PER_CHECKPOINT) {
                self.save(ctx)?;
            }
            if stop {
                return Err(StageError::Cancelled);
            }
        }
        Ok(())
    }

    /// Splits in rounds of tubes.
    fn split(&mut self, p: &Params, tubes: &[Tube], ctx: &Context) -> Result<(), StageError> {
        let streams = p.streams(&format!("splitting {:?}", p.width));
        let (walkers, repeats) = (p.splitting.walkers, p.splitting.repeats);
        let splitting = Splitting { streams, width: p.width, walkers, repeats };
        let steps_of_a_tube = (walkers * repeats * p.steps) as u64;
        let mut since_checkpoint = 0;
        ctx.progress(self.splitting.len() as u64, tubes.len() as u64, "tubes");
        while self.splitting.len() < tubes.len() {
            let start = self.splitting.len();
            let round = &tubes[start..tubes.len().min(start + TUBES_PER_ROUND)];
            self.splitting.par_extend(round.par_iter().enumerate().map(|(k, tube)| {
                let found = splitting.neg_ln_p((start + k) as u64, tube)?;
                Some([found.value.to_bits(), found.error.to_bits()])
            }));
            ctx.progress(self.splitting.len() as u64, tubes.len() as u64, "tubes");
            since_checkpoint += steps_of_a_tube * round.len() as u64;
            let left = self.splitting.len() < tubes.len();
            let stop = left && ctx.cancelled();
            if stop || left && since_checkpoint >= STEPS_PER_CHECKPOINT {
                self.save(ctx)?;
                since_checkpoint = 0;
            }
            if stop {
                return Err(StageError::Cancelled);
            }
        }
        Ok(())
    }
}
