//! `merge-shards`: one ensemble of random motion from the parts in which its particles were counted.

use crate::kinds::motion::random_motion::{Part, ensemble_outputs, estimate};
use onsager_runner::kind::context::Context;
use onsager_runner::kind::stage::{Input, Inputs, Output, Stage, StageError};
use onsager_science::motion::counting::Counts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;

/// The `merge-shards` kind.
pub struct MergeShards;

/// `merge-shards` has no parameters: the shards hold those of their ensemble.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {}

/// Why parts are no whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum MergeError {
    #[error("`{name}` is no shard of a `random-motion` stage: {message}")]
    Unreadable { name: String, message: String },
    #[error("`{first}` and `{other}` are shards of different ensembles")]
    Different { first: String, other: String },
    #[error("there are {found} shards where {wanted} make the whole, each once; number {missing} is missing")]
    Missing { found: usize, wanted: u64, missing: u64 },
    #[error("shard number {index} comes more than once, as in `{name}`")]
    Twice { index: u64, name: String },
}

impl Stage for MergeShards {
    type Params = Params;
    const KIND: &'static str = "merge-shards";
    const SUMMARY: &'static str =
        "adds up the shards of a `random-motion` stage: the same outputs as of the whole in one task";

    fn inputs() -> Inputs {
        Inputs::of(vec![Input::many("shards", "the `counts` of every shard of one ensemble")])
    }

    fn outputs(_: &Params) -> Vec<Output> {
        ensemble_outputs()
    }

    fn run(_: &Params, ctx: &Context) -> Result<(), StageError> {
        let mut parts: Vec<(&str, Part)> = Vec::new();
        for item in ctx.items("shards") {
            let part = rmp_serde::from_slice(&fs::read(&item.path)?).map_err(|error| {
                MergeError::Unreadable { name: item.name.clone(), message: error.to_string() }
            })?;
            parts.push((&item.name, part));
        }
        let Some((_, Part { params, .. })) = parts.first() else {
            return Err("there are no shards".into());
        };
        let counts = merge(&parts).map_err(|error| {
            StageError::with_help(
                error,
                "give every instance of one matrix: `inputs: {shards: motion.counts}`",
            )
        })?;
        estimate(params, params.sample_paths(), Some(counts), ctx)
    }
}

/// The counts of the whole.
fn merge(parts: &[(&str, Part)]) -> Result<Counts, MergeError> {
    let Some((first, whole)) = parts.first() else { return Ok(Counts::default()) };
    let ensemble = |part: &Part| serde_json::to_value(&part.params).unwrap_or_default();
    let mut counts = Counts::zero(whole.params.tubes);
    let mut seen = BTreeSet::new();
    for (name, part) in parts {
        let same = ensemble(part) == ensemble(whole) && part.shard.of == whole.shard.of;
        if !same || part.counts.tubes.len() != whole.params.tubes {
            return Err(MergeError::Different { first: (*first).into(), other: (*name).into() });
        }
        if !seen.insert(part.shard.index) {
            return Err(MergeError::Twice { index: part.shard.index, name: (*name).into() });
        }
        counts = counts.merge(&part.counts);
    }
    let wanted = whole.shard.of;
    match (0..wanted).find(|&index| !seen.contains(&index)) {
        Some(missing) => Err(MergeError::Missing { found: parts.len(), wanted, missing }),
        None => Ok(counts),
    }
}
