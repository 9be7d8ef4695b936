//! What a network makes of a time: the sinusoidal embedding (Vaswani 2017; Ho 2020) and two dense layers.

use super::buffer::Buffer;
use super::class_table::ClassTable;
use super::error::NnError;
use super::linear::Dense;
use super::operation::Conditions;
use super::parameters::{Gradients, Init, Parameters, View};
use super::pointwise::{silu, silu_gradient};

/// cos and sin of `time`·10000^(−i/half) for i below half = `width`/2: [n, width], row-major. Times run from 0 to 1000,
/// whatever the number of steps. `width` is even.
pub fn time_embedding(times: &[f32], width: usize) -> Vec<f32> {
    let half = width / 2;
    let frequencies = frequencies(half);
    let mut out = Vec::with_capacity(times.len() * width);
    for &time in times {
        out.extend(frequencies.iter().map(|f| libm::cos(f * f64::from(time)) as f32));
        out.extend(frequencies.iter().map(|f| libm::sin(f * f64::from(time)) as f32));
    }
    out
}

/// The rate of [`time_embedding`] when time passes at `rate`.
pub fn time_embedding_rate(times: &[f32], rate: f64, width: usize) -> Vec<f32> {
    let half = width / 2;
    let frequencies = frequencies(half);
    let mut out = Vec::with_capacity(times.len() * width);
    for &time in times {
        let time = f64::from(time);
        out.extend(frequencies.iter().map(|f| (-libm::sin(f * time) * f * rate) as f32));
        out.extend(frequencies.iter().map(|f| (libm::cos(f * time) * f * rate) as f32));
    }
    out
}

fn frequencies(half: usize) -> Vec<f64> {
    (0..half).map(|i| libm::exp(-libm::log(10_000.0) * i as f64 / half as f64)).collect()
}

/// silu(silu(embedding·w₁ + b₁)·w₂ + b₂ + the class's vector): the parameters `time.1.{w,b}`, `time.2.{w,b}` and, for a
/// network with classes, `class.w`.
#[derive(Debug)]
pub struct TimeLayers {
    first: Dense,
    second: Dense,
    classes: Option<ClassTable>,
}

/// What the reverse pass needs: the input of each layer, and what its SiLU gets.
#[derive(Debug)]
pub struct TimeTape {
    layers: [(Buffer, Buffer); 2],
}

impl TimeLayers {
    /// Layers of this width, for so many classes.
    pub fn new(p: &mut Parameters, width: usize, classes: usize) -> Result<TimeLayers, NnError> {
        Ok(TimeLayers {
            first: Dense::new(p, "time.1", width, width, Init::FanIn(width))?,
            second: Dense::new(p, "time.2", width, width, Init::FanIn(width))?,
            classes: ClassTable::new(p, classes, width)?,
        })
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes.map_or(0, |table| table.classes())
    }

    /// The embedding of each row's time and class, [n, width].
    pub fn forward(&self, p: View<'_>, on: &Conditions) -> (Buffer, TimeTape) {
        let embedding = Buffer::of(&time_embedding(&on.times, self.first.inputs));
        let hidden1 = self.first.forward(p, &embedding);
        let active1 = silu(&hidden1);
        let mut hidden2 = self.second.forward(p, &active1);
        if let Some(table) = &self.classes {
            table.add_rows(p, &on.classes, &mut hidden2);
        }
        (silu(&hidden2), TimeTape { layers: [(embedding, hidden1), (active1, hidden2)] })
    }

    /// Adds the gradients of the parameters.
    pub fn backward(
        &self,
        p: View<'_>,
        on: &Conditions,
        tape: &TimeTape,
        mut dembedded: Buffer,
        gradients: &mut Gradients<'_>,
    ) {
        let [(embedding, hidden1), (active1, hidden2)] = &tape.layers;
        silu_gradient(hidden2, &mut dembedded);
        if let Some(table) = &self.classes {
            table.add_gradients(&on.classes, &dembedded, gradients);
        }
        self.second.add_gradients(active1, &dembedded, gradients);
        let mut dhidden1 = self.second.input_gradient(p, &dembedded);
        silu_gradient(hidden1, &mut dhidden1);
        self.first.add_gradients(embedding, &dhidden1, gradients);
    }
}
