//! The `exact-score` kind.

use crate::kinds::choice;
use crate::kinds::score::score_train::sde_issues;
use onsager_numerics::random::Streams;
use onsager_runner::kind::context::Context;
use onsager_runner::kind::stage::{Checks, Inputs, Issue, Output, Stage, StageError};
use onsager_science::data::dataset::Dataset;
use onsager_science::data::toy::GaussianMixture;
use onsager_science::diffusion::continuous::score_model::{ScoreConfig, ScoreModel, Source, Spot, mixture};
use onsager_science::diffusion::continuous::sde::Sde;
use onsager_science::nn::error::NnError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The exact score of a mixture of Gaussians, as a control.
pub struct ExactScore;

/// The laws.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Law {
    /// N(0, variance) in one dimension.
    Normal(Normal),
    /// A mixture of Gaussians in one or two dimensions.
    Mixture(Spots),
    /// The data set `gaussians-25`.
    #[serde(rename = "gaussians-25")]
    Gaussians25(Nothing),
}

/// A normal law.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Normal {
    /// Its variance.
    pub variance: f64,
}

impl Default for Normal {
    fn default() -> Normal {
        Normal { variance: 1.0 }
    }
}

/// A mixture.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spots {
    /// The Gaussians, all with means of one number or all with means of two.
    pub components: Vec<Spot>,
}

/// No settings.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Parameters of `exact-score`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// The law of the data at time 0.
    #[serde(deserialize_with = "choice::read")]
    #[schemars(schema_with = "choice::schema::<Law>")]
    pub law: Law,
    /// The forward process: `simple`, `cosine`, `vp`, `sub-vp` or `ve`.
    #[serde(deserialize_with = "choice::read")]
    #[schemars(schema_with = "choice::schema::<Sde>")]
    pub sde: Sde,
    /// ε: the score is 1 + ε times the exact one; above −1.
    pub error: f64,
    /// Number of points that are drawn from the law.
    pub points: usize,
    /// The seed of the points.
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Params {
        Params { law: Law::Normal(Normal::default()), sde: Sde::default(), error: 0.0, points: 1000, seed: 0 }
    }
}

impl Params {
    fn spots(&self) -> (&'static str, Vec<Spot>) {
        match &self.law {
            Law::Normal(n) => ("normal", vec![Spot { weight: 1.0, mean: vec![0.0], variance: n.variance }]),
            Law::Mixture(spots) => ("mixture", spots.components.clone()),
            Law::Gaussians25(_) => {
                let grid = GaussianMixture::grid25();
                let variance = grid.deviation * grid.deviation;
                let spot = |mean: &[f64; 2]| Spot { weight: 1.0, mean: mean.to_vec(), variance };
                ("gaussians-25", grid.means.iter().map(spot).collect())
            }
        }
    }
}

impl Stage for ExactScore {
    type Params = Params;
    const KIND: &'static str = "exact-score";
    const SUMMARY: &'static str = "The exact score of a mixture of Gaussians, as a model that takes the place of a trained one in a control.";

    fn inputs() -> Inputs {
        Inputs::none()
    }

    fn outputs(_: &Params) -> Vec<Output> {
        vec![
            Output::file("model", "model.safetensors", "the description of the score"),
            Output::file("points", "points.safetensors", "points drawn from the law at time 0"),
        ]
    }

    fn check(p: &Params) -> Vec<Issue> {
        let mut checks = Checks(sde_issues("sde", &p.sde));
        let (name, spots) = p.spots();
        let size = spots.first().map_or(0, |spot| spot.mean.len());
        checks
            .ensure(!spots.is_empty(), "law.mixture.components", || "must hold at least one Gaussian".into());
        for (i, spot) in spots.iter().enumerate() {
            let at = |field: &str| match name {
                "normal" => format!("law.normal.{field}"),
                _ => format!("law.mixture.components[{i}].{field}"),
            };
            for (field, value) in [("weight", spot.weight), ("variance", spot.variance)] {
                checks.positive(&[(&at(field), value)]);
            }
            let fits =
                spot.mean.len() == size && (1..=2).contains(&size) && spot.mean.iter().all(|x| x.is_finite());
            checks.ensure(fits, &at("mean"), || {
                format!("must be one or two numbers, as many in each component, but is {:?}", spot.mean)
            });
        }
        checks.ensure(p.error > -1.0 && p.error.is_finite(), "error", || {
            format!("must be above -1, but is {}", p.error)
        });
        checks.ensure(p.points >= 1, "points", || "must be at least 1, but is 0".into());
        checks.0
    }

    fn run(p: &Params, ctx: &Context) -> Result<(), StageError> {
        let (name, components) = p.spots();
        let size = components.first().map_or(0, |spot| spot.mean.len());
        let x = match size {
            1 => drawn::<1>(p, &components)?,
            _ => drawn::<2>(p, &components)?,
        };
        let set = Dataset {
            x,
            shape: vec![p.points, size],
            y: None,
            name: name.into(),
            levels: None,
            classes: None,
        };
        set.save(ctx.output("points")?)?;
        let source = Source::Exact { components, error: p.error };
        let config = ScoreConfig { data: name.into(), size, sde: p.sde, source };
        Ok(ScoreModel::exact(config).save(ctx.output("model")?)?)
    }
}

/// The coordinates of the points, each from its own stream.
fn drawn<const D: usize>(p: &Params, components: &[Spot]) -> Result<Vec<f32>, NnError> {
    let law = mixture::<D>(components)?;
    let streams = Streams::new(p.seed, "exact-score points");
    let point = |i: usize| law.draw(&mut streams.stream(i as u64)).map(|x| x as f32);
    Ok((0..p.points).flat_map(point).collect())
}
