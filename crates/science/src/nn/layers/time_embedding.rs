//! What a network makes of a time: the sinusoidal embedding (Vaswani 2017; Ho 2020) and two dense layers.

use super::class_table::ClassTable;
use super::conditions::Conditions;
use super::linear::Dense;
use super::operation::{Fused, apply0};
use super::parameters::{Init, Pack, PackBuilder, PackGradient, Path, VarBuilder, View};
use crate::nn::error::NnError;
use crate::nn::kernels::buffer::Buffer;
use crate::nn::kernels::pointwise::{silu, silu_gradient, vectorised};
use crate::nn::kernels::raw;
use candle_core::{Device, Result, Tensor};
use onsager_numerics::random::sin_cos_turn;
use std::sync::Arc;

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

/// The embedding of times as a tensor [n, width] on this device.
fn embedded_times(times: &[f32], width: usize, device: &Device) -> Result<Tensor> {
    raw::tensor(time_embedding(times, width).into_vec(), (times.len(), width))?.to_device(device)
}

/// silu(silu(embedding·w₁ + b₁)·w₂ + b₂ + the class's vector), [n, width]: the parameters `time.1.{w,b}`, `time.2.{w,b}`
/// and, for a network with classes, `class.w`.
#[derive(Debug)]
pub struct TimeEmbedding {
    layers: Arc<TimeLayers>,
    pack: Pack,
}

#[derive(Debug)]
struct TimeLayers {
    first: Dense,
    second: Dense,
    classes: Option<ClassTable>,
}

/// What the reverse pass needs: the input of each layer, and what its SiLU gets.
struct TimeTape {
    layers: [(Buffer, Buffer); 2],
}

impl TimeEmbedding {
    /// Layers of this width, for so many classes.
    pub fn new(vb: &VarBuilder, width: usize, classes: usize) -> std::result::Result<TimeEmbedding, NnError> {
        let mut p = PackBuilder::default();
        let layers = Arc::new(TimeLayers {
            first: Dense::new(&mut p, "time.1", width, width, Init::FanIn(width)),
            second: Dense::new(&mut p, "time.2", width, width, Init::FanIn(width)),
            classes: ClassTable::new(&mut p, classes, width),
        });
        Ok(TimeEmbedding { layers, pack: p.build(vb)? })
    }

    /// The embedding of each row's time and class.
    pub fn forward(&self, on: &Conditions) -> Result<Tensor> {
        if self.pack.path() == Path::Fused {
            return apply0(TimeCall { layers: self.layers.clone(), on: on.clone() }, &self.pack);
        }
        let TimeLayers { first, second, classes } = &*self.layers;
        let x = embedded_times(&on.times, first.inputs, self.pack.tensor().device())?;
        let mut x = second.generic(&self.pack, &first.generic(&self.pack, &x)?.silu()?)?;
        if let Some(table) = classes {
            x = (x + table.generic(&self.pack, &on.classes, on.times.len())?)?;
        }
        x.silu()
    }
}

struct TimeCall {
    layers: Arc<TimeLayers>,
    on: Conditions,
}

impl Fused<0> for TimeCall {
    const NAME: &'static str = "time embedding";
    type Tape = TimeTape;

    fn shape(&self, _: [&[usize]; 0]) -> Result<Vec<usize>> {
        Ok(vec![self.on.times.len(), self.layers.second.outputs])
    }

    fn forward(&self, p: View<'_>, _: [&[f32]; 0], keep: bool) -> (Buffer, Option<TimeTape>) {
        let TimeLayers { first, second, classes } = &*self.layers;
        let embedding = time_embedding(&self.on.times, first.inputs);
        let hidden1 = first.forward(p, &embedding);
        let active1 = silu(&hidden1);
        let mut hidden2 = second.forward(p, &active1);
        if let Some(table) = classes {
            table.add_rows(p, &self.on.classes, &mut hidden2);
        }
        let tape = |hidden2| TimeTape { layers: [(embedding, hidden1), (active1, hidden2)] };
        (silu(&hidden2), keep.then(|| tape(hidden2)))
    }

    fn backward(
        &self,
        p: View<'_>,
        _: [&[f32]; 0],
        tape: TimeTape,
        dy: Buffer,
        gradient: &mut PackGradient<'_>,
        _: [bool; 0],
    ) -> [Option<Buffer>; 0] {
        let TimeLayers { first, second, classes } = &*self.layers;
        let [(embedding, hidden1), (active1, hidden2)] = &tape.layers;
        let mut dhidden2 = dy;
        silu_gradient(hidden2, &mut dhidden2);
        if let Some(table) = classes {
            table.add_gradients(&self.on.classes, &dhidden2, gradient);
        }
        second.add_gradients(active1, &dhidden2, gradient);
        let mut dhidden1 = second.input_gradient(p, &dhidden2);
        silu_gradient(hidden1, &mut dhidden1);
        first.add_gradients(embedding, &dhidden1, gradient);
        []
    }
}

/// The embedding of each row's time and, for a network with classes, the class's vector beside it, without layers:
/// the parameter `class.w`.
#[derive(Debug)]
pub struct PlainEmbedding {
    width: usize,
    device: Device,
    classes: Option<(ClassTable, Pack)>,
}

impl PlainEmbedding {
    /// Of this width, for so many classes.
    pub fn new(
        vb: &VarBuilder,
        width: usize,
        classes: usize,
    ) -> std::result::Result<PlainEmbedding, NnError> {
        let mut p = PackBuilder::default();
        let classes = match ClassTable::new(&mut p, classes, width) {
            Some(table) => Some((table, p.build(vb)?)),
            None => None,
        };
        Ok(PlainEmbedding { width, device: vb.device().clone(), classes })
    }

    /// The embedding of each row, [n, width].
    pub fn forward(&self, on: &Conditions) -> Result<Tensor> {
        let Some((table, pack)) = &self.classes else {
            return embedded_times(&on.times, self.width, &self.device);
        };
        if pack.path() == Path::Fused {
            return apply0(PlainCall { table: *table, width: self.width, on: on.clone() }, pack);
        }
        let times = embedded_times(&on.times, self.width, &self.device)?;
        times + table.generic(pack, &on.classes, on.times.len())?
    }
}

struct PlainCall {
    table: ClassTable,
    width: usize,
    on: Conditions,
}

impl Fused<0> for PlainCall {
    const NAME: &'static str = "embedding";
    type Tape = ();

    fn shape(&self, _: [&[usize]; 0]) -> Result<Vec<usize>> {
        Ok(vec![self.on.times.len(), self.width])
    }

    fn forward(&self, p: View<'_>, _: [&[f32]; 0], keep: bool) -> (Buffer, Option<()>) {
        let mut embedded = time_embedding(&self.on.times, self.width);
        self.table.add_rows(p, &self.on.classes, &mut embedded);
        (embedded, keep.then_some(()))
    }

    fn backward(
        &self,
        _: View<'_>,
        _: [&[f32]; 0],
        (): (),
        dy: Buffer,
        gradient: &mut PackGradient<'_>,
        _: [bool; 0],
    ) -> [Option<Buffer>; 0] {
        self.table.add_gradients(&self.on.classes, &dy, gradient);
        []
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
