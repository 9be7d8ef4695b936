//! What a network makes of a time: the sinusoidal embedding (Vaswani 2017; Ho 2020) and two dense layers.

use super::buffer::Buffer;
use super::class_table::ClassTable;
use super::error::NnError;
use super::linear::Dense;
use super::operation::Conditions;
use super::parameters::{Gradients, Init, Parameters, View};
use super::pointwise::{silu, silu_gradient, vectorised};
use onsager_numerics::random::sin_cos_turn;

/// cos and sin of `time`·10000^(−i/half) for i below half = `width`/2: [n, width], row-major. Times run from 0 to 1000,
/// whatever the number of steps. `width` is even.
pub fn time_embedding(times: &[f32], width: usize) -> Buffer {
    let half = width / 2;
    let turns: Vec<f64> = (0..half).map(|i| frequency(i, half) / std::f64::consts::TAU).collect();
    let mut out = Buffer::stale(times.len() * width);
    circles(times, &turns, &mut out);
    out
}

vectorised! {
    /// cos and sin of each time's phases, whose frequencies are in turns.
    fn circles(times: &[f32], frequencies: &[f64], out: &mut [f32]) {
        let half = frequencies.len();
        for (row, &time) in out.chunks_exact_mut(2 * half).zip(times) {
            let (cosines, sines) = row.split_at_mut(half);
            for i in 0..half {
                let (sin, cos) = sin_cos_turn(frequencies[i] * f64::from(time));
                cosines[i] = cos as f32;
                sines[i] = sin as f32;
            }
        }
    }
}

/// The rate of [`time_embedding`] when time passes at `rate`.
pub fn time_embedding_rate(times: &[f32], rate: f64, width: usize) -> Buffer {
    let half = width / 2;
    let rates: Vec<f32> = (0..half).map(|i| (rate * frequency(i, half)) as f32).collect();
    let mut out = time_embedding(times, width);
    for row in out.chunks_exact_mut(width) {
        let (cosines, sines) = row.split_at_mut(half);
        for (i, rate) in rates.iter().enumerate() {
            (cosines[i], sines[i]) = (-rate * sines[i], rate * cosines[i]);
        }
    }
    out
}

/// The `i`-th of `half` frequencies, in radians per unit of time.
fn frequency(i: usize, half: usize) -> f64 {
    libm::exp(-libm::log(10_000.0) * i as f64 / half as f64)
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
        let embedding = time_embedding(&on.times, self.first.inputs);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Against libm in f64; what is left is the rounding to f32.
    #[test]
    fn definition() {
        let times = [0.0, 0.5, 1.0, 333.25, 999.0, 1000.0];
        let rows = time_embedding(&times, 12);
        for (row, time) in rows.chunks_exact(12).zip(times) {
            for i in 0..6 {
                let phase = f64::from(time) * 10_000f64.powf(-(i as f64) / 6.0);
                assert!((f64::from(row[i]) - libm::cos(phase)).abs() < 1e-7);
                assert!((f64::from(row[6 + i]) - libm::sin(phase)).abs() < 1e-7);
            }
        }
    }
}
