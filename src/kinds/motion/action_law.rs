//! `action-law`: fits −ln P = γ A + c to every ensemble of `random-motion`, and γ against 1/D over them.

use crate::kinds::motion::ensemble::{ESTIMATORS, Ensemble};
use crate::kinds::motion::law_tables::{write_fit, write_points, write_slopes};
use onsager_runner::kind::context::Context;
use onsager_runner::kind::stage::{Checks, Input, Inputs, Issue, Output, Stage, StageError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The `action-law` kind.
pub struct ActionLaw;

/// Parameters of `action-law`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Tubes with fewer counts than this, at least 1, are left out of counting's correlations: below about 20 the logarithm of a count is
    /// biased. The fit has all tubes, as it is one of the counts themselves.
    pub minimum_count: u64,
}

impl Default for Params {
    fn default() -> Params {
        Params { minimum_count: 20 }
    }
}

impl Stage for ActionLaw {
    type Params = Params;
    const KIND: &'static str = "action-law";
    const SUMMARY: &'static str = "fits −ln P = γ A + c to ensembles of random paths, and γ against 1/D";

    fn inputs() -> Inputs {
        Inputs::of(vec![
            Input::many("tubes", "the `tubes` of one or more `random-motion` tasks"),
            Input::many("paths", "their `paths`; not needed for the fits").optional(),
        ])
    }

    fn outputs(_: &Params) -> Vec<Output> {
        vec![
            Output::file(
                "fit",
                "fit.parquet",
                "one row per ensemble and estimator: γ, γ · 2mD, correlations",
            ),
            Output::file("points", "points.parquet", "every tube with its fitted and its predicted −ln P"),
            Output::file("slopes", "slopes.parquet", "γ against 1/D, per system and estimator"),
        ]
    }

    fn check(p: &Params) -> Vec<Issue> {
        let mut checks = Checks::default();
        checks.ensure(p.minimum_count >= 1, "minimum_count", || "must be at least 1, but is 0".to_owned());
        checks.0
    }

    fn run(p: &Params, ctx: &Context) -> Result<(), StageError> {
        let mut fits = Vec::new();
        for item in ctx.items("tubes") {
            let ensemble = Ensemble::read(item)?;
            for estimator in ESTIMATORS {
                if let Some(fit) = ensemble.fit(estimator, p.minimum_count) {
                    fits.push(fit);
                }
            }
            ctx.progress(fits.len() as u64, (ctx.items("tubes").len() * ESTIMATORS.len()) as u64, "fits");
        }
        if fits.is_empty() {
            return Err(StageError::with_help(
                "no ensemble has any estimate of −ln P",
                "give the `tubes` of a `random-motion` stage with more particles or wider tubes",
            ));
        }
        write_fit(&fits, ctx)?;
        write_points(&fits, ctx)?;
        write_slopes(&fits, ctx)
    }
}
