//! A batch of training samples, and its loss, which an objective draws for.

use super::importance::Importance;
use super::schedule::Schedule;
use crate::nn::error::NnError;
use crate::nn::kernels::raw;
use crate::nn::layers::conditions::Conditions;
use candle_core::Tensor;
use onsager_numerics::random::Stream;
use rayon::prelude::*;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// A network as training sees it.
pub trait Predictor: Sync {
    /// Its output for x [n, d], as [n, d]; with learned variance the noise and v, [n, 2d]. Differentiable.
    fn predict(&self, x: &Tensor, on: &Conditions) -> Result<Tensor, NnError>;
}

/// One training sample.
#[derive(Debug, Clone)]
pub struct Example<'a> {
    /// x_0, `[d]`.
    pub x0: Cow<'a, [f32]>,
    /// Its class, for a network that is told it; the number of classes stands for 'no class'.
    pub class: Option<u32>,
    /// Selects its dropout masks, where there is dropout.
    pub dropout: Option<u64>,
    /// The noise from which it was drawn, `[d]`, for pairs that are given.
    pub noise: Option<&'a [f32]>,
}

impl<'a> Example<'a> {
    /// A sample alone.
    pub fn of(x0: &'a [f32]) -> Example<'a> {
        Example { x0: Cow::Borrowed(x0), class: None, dropout: None, noise: None }
    }
}

/// A batch of samples with what its draws depend on.
#[derive(Debug)]
pub struct Batch<'a> {
    pub examples: &'a [Example<'a>],
    /// The stream of each sample.
    pub streams: &'a [Stream],
    pub schedule: &'a Schedule,
    /// The grey levels of the data, for images.
    pub levels: Option<u32>,
    /// The factor of the summed loss.
    pub scale: f64,
    /// Which steps are drawn.
    pub importance: Option<&'a Importance>,
}

/// The loss of a batch whose random numbers have been drawn.
pub struct BatchLoss<'a> {
    /// The summed loss of a part of the batch.
    pub part: Box<dyn Fn(Range<usize>) -> Result<Tensor, NnError> + Send + Sync + 'a>,
    /// For [`Importance::record`]: the step and the term of the bound of each sample, known after its part was computed.
    pub terms: Arc<Vec<OnceLock<(usize, f64)>>>,
    /// How the samples were weighted, if not alike.
    pub weighting: Option<Weighting>,
}

/// What unequal weights do to a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weighting {
    /// (Σ w)²/(n Σ w²): the effective share of the samples.
    pub effective: f64,
    /// The weighted mean of ‖x_0‖²/d minus the plain one: how far the weights move the data.
    pub shift: f64,
}

impl<'a> Batch<'a> {
    /// The numbers of a sample.
    pub fn size(&self) -> usize {
        self.examples.first().map_or(1, |example| example.x0.len())
    }

    /// The factor of the summed loss per number.
    pub fn per_number(&self) -> f64 {
        self.scale / self.size() as f64
    }

    /// Draws for each sample from its own stream.
    pub fn draw<T: Send>(&self, draw: impl Fn(&Example<'_>, &mut Stream) -> T + Sync) -> Vec<T> {
        let pairs = self.examples.par_iter().zip(self.streams);
        pairs.map(|(example, stream)| draw(example, &mut stream.clone())).collect()
    }

    /// What the network is told of rows, each the `i`-th evaluation of an example at a time.
    pub fn conditions(&self, rows: impl Iterator<Item = (usize, u64, f32)>) -> Conditions {
        let mut on = Conditions::default();
        for (example, i, time) in rows {
            on.times.push(time);
            on.classes.extend(self.examples[example].class);
            on.dropout.extend(self.examples[example].dropout.map(|seed| seed.wrapping_add(i)));
        }
        on
    }
}

impl<'a> BatchLoss<'a> {
    /// A loss of equal weights without terms.
    pub fn new(part: impl Fn(Range<usize>) -> Result<Tensor, NnError> + Send + Sync + 'a) -> BatchLoss<'a> {
        BatchLoss { part: Box::new(part), terms: Arc::default(), weighting: None }
    }
}

/// x_s of a sample and what the network should find in it.
#[derive(Debug, Clone, PartialEq)]
pub struct NoisyStep {
    /// s.
    pub s: usize,
    /// x_s.
    pub x: Vec<f32>,
    /// ε*: what ε_θ(x_s, s) should be.
    pub target: Vec<f32>,
}

/// x_t and its noise, given x_0.
pub fn noised(x0: &[f32], schedule: &Schedule, t: usize, stream: &mut Stream) -> NoisyStep {
    let mut target = vec![0.0; x0.len()];
    stream.fill_normal(&mut target);
    let (a, b) = (schedule.alpha_bar(t).sqrt() as f32, (1.0 - schedule.alpha_bar(t)).sqrt() as f32);
    NoisyStep { s: t, x: x0.iter().zip(&target).map(|(x, e)| a * x + b * e).collect(), target }
}

/// Rows of numbers as a tensor [n, d].
pub fn rows<'r>(rows: impl ExactSizeIterator<Item = &'r [f32]>) -> Result<Tensor, NnError> {
    let n = rows.len();
    let numbers: Vec<f32> = rows.flatten().copied().collect();
    let width = numbers.len() / n.max(1);
    Ok(raw::tensor(numbers, (n, width))?)
}
