//! What can go wrong with networks and their files.

use std::io;
use std::path::PathBuf;

/// Why a network cannot be built, read, written or evaluated.
#[derive(Debug, thiserror::Error)]
pub enum NnError {
    #[error("a tensor operation failed")]
    Tensor(#[from] candle_core::Error),
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write `{}`", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("`{}` is not a safetensors file", path.display())]
    Format { path: PathBuf, source: safetensors::SafeTensorError },
    #[error("cannot write a description")]
    Json(#[source] serde_json::Error),
    #[error("cannot encode weights")]
    Encode(#[source] safetensors::SafeTensorError),
    #[error("`{}` does not describe a model: give the file that a `train` or `classifier` stage wrote", path.display())]
    Description { path: PathBuf, source: Option<serde_json::Error> },
    #[error("the checkpoint `{}` is damaged: delete it, and the training starts over", path.display())]
    Checkpoint { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("cannot write the history of a training")]
    History(#[source] rmp_serde::encode::Error),
    #[error("the model file has no weight `{name}`: it belongs to another network, train it again")]
    MissingWeight { name: String },
    #[error("weight `{name}` has shape {found:?} where {expected:?} is needed: train the model again")]
    WeightShape { name: String, found: Vec<usize>, expected: Vec<usize> },
    #[error("{what} has shape {found:?} where {expected} is needed")]
    Shape { what: &'static str, found: Vec<usize>, expected: String },
    #[error(
        "the model gives a potential where a network is needed, or the reverse: `action-matching` alone trains a potential"
    )]
    Potential,
    #[error(
        "class {class} for a network of {classes} classes: they count from 0, and {classes} stands for none"
    )]
    Class { class: u32, classes: usize },
    #[error("parameters that were read from a file are fixed: they cannot be trained")]
    Fixed,
    #[error("{what} runs on the CPU only: set `device: cpu`")]
    CpuOnly { what: &'static str },
    #[error("`device: {device}`, and {why}: {help}")]
    NoDevice { device: &'static str, why: String, help: &'static str },
    #[error("the loss is not finite after {step} steps: lower the learning rate or clip the gradient")]
    Diverged { step: u64 },
}
