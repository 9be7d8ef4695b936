//! A model towards classes, as the stages that sample it see it: for one batch, interruptible.

use crate::kinds::rounds::Cancelled;
use candle_core::Device;
use onsager_runner::kind::context::Context;
use onsager_runner::kind::stage::StageError;
use onsager_science::diffusion::discrete::denoiser::{Denoiser, Differentiable, Prediction, SamplingError};
use onsager_science::diffusion::discrete::guidance::{
    ClassDenoiser, ClassifierFree, ClassifierGuided, Conditional,
};
use onsager_science::diffusion::discrete::model::Model;
use onsager_science::diffusion::discrete::objective::Output;
use onsager_science::nn::device::DeviceClass;
use onsager_science::nn::error::NnError;
use onsager_science::nn::networks::classifier::Classifier;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// What draws samples towards their class.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Guidance {
    /// Nothing but the class that a conditional model is told.
    None(Unguided),
    /// The difference between a model that is told the class and the same one that is not (Ho and Salimans 2022).
    ClassifierFree(Scale),
    /// The gradient of a classifier of noisy images, the input `classifier` (Dhariwal and Nichol 2021).
    Classifier(Scale),
}

/// No guidance has no parameters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Unguided {}

/// The strength of guidance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Scale {
    /// 0 or more. `classifier-free`: w in ε = (1 + w) ε(x, y) − w ε(x), 0 being the conditional model. `classifier`: s in p(x) p(y given x)^s.
    pub scale: f64,
}

impl Default for Scale {
    fn default() -> Scale {
        Scale { scale: 1.0 }
    }
}

impl Default for Guidance {
    fn default() -> Guidance {
        Guidance::None(Unguided {})
    }
}

impl Guidance {
    /// The field and the value of the strength.
    pub fn scale(&self) -> Option<(&'static str, f64)> {
        match self {
            Guidance::None(_) => None,
            Guidance::ClassifierFree(s) => Some(("guidance.classifier-free.scale", s.scale)),
            Guidance::Classifier(s) => Some(("guidance.classifier.scale", s.scale)),
        }
    }
}

/// Why a batch stopped early.
#[derive(Debug)]
pub enum Stop {
    Cancelled,
    Failed(NnError),
}

impl From<Cancelled> for Stop {
    fn from(_: Cancelled) -> Stop {
        Stop::Cancelled
    }
}

impl From<Stop> for StageError {
    fn from(stop: Stop) -> StageError {
        match stop {
            Stop::Cancelled => StageError::Cancelled,
            Stop::Failed(error) => error.into(),
        }
    }
}

/// Why the stage ends when sampling has stopped.
pub fn stopped(error: SamplingError<Stop>) -> StageError {
    match error {
        SamplingError::Denoiser(stop) => stop.into(),
        SamplingError::NoVariance => no_variance(),
    }
}

/// The refusal of `learned` for a model without.
pub fn no_variance() -> StageError {
    StageError::with_help(
        "the variance is to be `learned`, and the model predicts none",
        "choose `beta` or `beta-tilde`, or train with an objective that learns the variance, such as `hybrid`",
    )
}

/// Refuses a model whose noise has no gradient where one is needed.
pub fn differentiable(model: &Model, what: &str) -> Result<(), StageError> {
    if model.config.objective.output() == Output::Potential {
        let message =
            format!("{what} needs the gradient of the noise, and a model of `action-matching` has none");
        return Err(StageError::with_help(message, "use a model of another objective"));
    }
    Ok(())
}

/// A model, the class of every sample that is drawn from it, and what draws them there.
#[derive(Debug)]
pub struct GuidedModel {
    pub model: Model,
    /// The classes that samples take in turn; empty for samples without class.
    classes: Vec<u32>,
    guidance: Guidance,
    classifier: Option<Classifier>,
}

impl GuidedModel {
    /// The model of the input `model`, without guidance; samples of a conditional one take all classes in turn.
    pub fn unguided(ctx: &Context, device: DeviceClass) -> Result<GuidedModel, StageError> {
        GuidedModel::load(ctx, device, Guidance::default(), None)
    }

    /// The model of the input `model`, which is told no classes.
    pub fn without_classes(ctx: &Context, device: DeviceClass) -> Result<GuidedModel, StageError> {
        Ok(GuidedModel { classes: Vec::new(), ..GuidedModel::unguided(ctx, device)? })
    }

    /// The model of the input `model`. The classes are all by default.
    pub fn load(
        ctx: &Context,
        device: DeviceClass,
        guidance: Guidance,
        classes: Option<&[u32]>,
    ) -> Result<GuidedModel, StageError> {
        let device = device.device()?;
        let model = Model::load(&ctx.input("model")?.path, &device)?;
        let classifier = match guidance {
            Guidance::Classifier(_) => Some(classifier(ctx, &device, &model)?),
            _ => None,
        };
        let count = classifier.as_ref().map_or(model.classes(), |classifier| classifier.config.classes);
        if matches!(guidance, Guidance::ClassifierFree(_)) && model.classes() == 0 {
            return Err(StageError::with_help(
                "`classifier-free` guidance of a model that knows no classes",
                "train it with `conditional: true` and a `drop_class` above 0",
            ));
        }
        if classifier.is_some() && model.classes() > 0 && model.classes() != count {
            return Err(StageError::with_help(
                format!("the classifier tells {count} classes apart, the model {}", model.classes()),
                "train both on the same data",
            ));
        }
        let classes = match classes {
            Some(_) if count == 0 => {
                return Err(StageError::with_help(
                    "`classes` of a model that knows none",
                    "leave `classes` out, train the model with `conditional: true`, or guide it by a classifier",
                ));
            }
            Some(classes) => classes.to_vec(),
            None => (0..count as u32).collect(),
        };
        if let Some(class) = classes.iter().find(|&&class| class as usize >= count) {
            return Err(StageError::with_help(
                format!("`classes` has {class}, and there are {count} classes"),
                format!("give classes from 0 to {}", count - 1),
            ));
        }
        Ok(GuidedModel { model, classes, guidance, classifier })
    }

    /// The intended classes of these samples, and how many classes there are; none for samples without class.
    pub fn classes(&self, samples: Range<usize>) -> Option<(Vec<u32>, u32)> {
        if self.classes.is_empty() {
            return None;
        }
        let count = self.classifier.as_ref().map_or(self.model.classes(), |c| c.config.classes);
        Some((samples.map(|i| self.classes[i % self.classes.len()]).collect(), count as u32))
    }

    /// The denoiser of a batch of these samples.
    pub fn batch(&self, samples: Range<usize>) -> GuidedBatch<'_> {
        GuidedBatch { of: self, classes: self.classes(samples).map_or(Vec::new(), |(classes, _)| classes) }
    }
}

/// The classifier of the input `classifier`, which must know the noise of the model.
fn classifier(ctx: &Context, device: &Device, model: &Model) -> Result<Classifier, StageError> {
    let Some(item) = ctx.items("classifier").first() else {
        return Err(StageError::with_help(
            "guidance by a classifier, and there is none",
            "give the input `classifier`: a model of a `classifier` stage that was trained on noisy images",
        ));
    };
    let classifier = Classifier::load(&item.path, device)?;
    let Some(time) = &classifier.config.time else {
        return Err(StageError::with_help(
            "the classifier was trained on clean images",
            "train it on noisy ones, with the schedule of the model",
        ));
    };
    let schedule = model.config.schedule.to_string();
    if schedule != time.schedule {
        return Err(StageError::with_help(
            format!(
                "the classifier knows the noise of the schedule `{}`, the model that of `{schedule}`",
                time.schedule
            ),
            "train both with the same `schedule`",
        ));
    }
    if classifier.config.shape != model.config.shape {
        return Err(StageError::with_help(
            format!(
                "the classifier takes {:?}, the model makes {:?}",
                classifier.config.shape, model.config.shape
            ),
            "train both on the same data",
        ));
    }
    Ok(classifier)
}

/// The denoiser of one batch.
#[derive(Debug)]
pub struct GuidedBatch<'a> {
    of: &'a GuidedModel,
    /// One per row; empty without classes.
    classes: Vec<u32>,
}

impl GuidedBatch<'_> {
    /// The model with the classes of the rows, where it knows any.
    fn conditional(&self) -> Conditional<'_, Model> {
        let classes = if self.of.model.classes() > 0 { &self.classes[..] } else { &[] };
        Conditional { model: &self.of.model, classes }
    }
}

impl Denoiser for GuidedBatch<'_> {
    type Error = Stop;

    fn noise(&self, x: &[f32], t: &[usize]) -> Result<Vec<f32>, Stop> {
        Ok(self.prediction(x, t)?.noise)
    }

    fn prediction(&self, x: &[f32], t: &[usize]) -> Result<Prediction, Stop> {
        let (model, classes) = (&self.of.model, &self.classes[..]);
        match (self.of.guidance, &self.of.classifier) {
            (Guidance::ClassifierFree(s), _) => {
                ClassifierFree { model, classes, scale: s.scale }.prediction(x, t)
            }
            (Guidance::Classifier(s), Some(classifier)) => {
                let gradient = |x: &[f32], t: &[usize]| {
                    let times: Vec<f32> = t.iter().map(|&t| model.schedule.network_time(t)).collect();
                    classifier.log_probability_gradient(x, &times, classes)
                };
                ClassifierGuided { denoiser: &self.conditional(), gradient, scale: s.scale }.prediction(x, t)
            }
            _ => self.conditional().prediction(x, t),
        }
        .map_err(Stop::Failed)
    }
}

/// Without the pull of a classifier.
impl Differentiable for GuidedBatch<'_> {
    fn pull_back(
        &self,
        x: &[f32],
        t: &[usize],
        cotangent: &mut dyn FnMut(&[f32]) -> Vec<f32>,
    ) -> Result<(Vec<f32>, Vec<f32>), Stop> {
        match self.of.guidance {
            Guidance::ClassifierFree(s) => {
                let free = ClassifierFree { model: &self.of.model, classes: &self.classes, scale: s.scale };
                free.pull_back(x, t, cotangent)
            }
            _ => self.conditional().pull_back(x, t, cotangent),
        }
        .map_err(Stop::Failed)
    }
}
