//! What lies in a block's pack: the place, the name and the shape of each parameter, and the forms in which the fast path
//! reads filters and matrices.

use crate::nn::kernels::buffer::Buffer;
use crate::nn::kernels::conv3x3::{Conv3x3, Filters};
use crate::nn::kernels::matrix::Matrix;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

/// How a parameter begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    Zeros,
    Ones,
    /// Normal numbers of variance 1 / fan-in, for this fan-in.
    FanIn(usize),
}

/// The place of a parameter in its block's pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    pub part: usize,
    pub start: usize,
    pub len: usize,
}

impl Slot {
    /// Where its numbers lie.
    pub fn range(self) -> Range<usize> {
        self.start..self.start + self.len
    }

    /// The parameter's numbers.
    pub fn of(self, pack: &[f32]) -> &[f32] {
        &pack[self.range()]
    }

    /// The parameter's numbers, to change them.
    pub fn of_mut(self, pack: &mut [f32]) -> &mut [f32] {
        &mut pack[self.range()]
    }
}

/// A parameter of a block.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Its name in the network's file.
    pub name: String,
    pub shape: Vec<usize>,
    pub slot: Slot,
    pub init: Init,
}

/// The filters of a convolution: a parameter and its prepared forms.
#[derive(Debug, Clone, Copy)]
pub struct FilterSlot {
    pub slot: Slot,
    pub prepared: usize,
}

/// The matrix of a dense layer: a parameter and its prepared forms.
#[derive(Debug, Clone, Copy)]
pub struct MatrixSlot {
    pub slot: Slot,
    pub prepared: usize,
}

/// What lies in a pack, and the prepared forms of its numbers.
#[derive(Debug, Default)]
pub struct Layout {
    pub parts: Vec<Part>,
    pub convs: Vec<(Slot, Conv3x3)>,
    /// With inputs and outputs.
    pub matrices: Vec<(Slot, usize, usize)>,
    pub path: OnceLock<Path>,
    prepared: RwLock<Arc<Prepared>>,
}

/// Which operations a network runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// Blocks of our own, on the CPU.
    Fused,
    /// candle's operations, on any device.
    Generic,
}

/// The numbers of a pack as a block's own operations read them.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pub values: &'a [f32],
    prepared: &'a Prepared,
}

/// Filters and matrices in the forms that the products need.
#[derive(Debug, Default)]
pub struct Prepared {
    filters: Vec<Filters>,
    matrices: Vec<Matrix>,
}

impl Prepared {
    /// These forms beside the numbers that they were made of.
    pub fn view<'a>(&'a self, values: &'a [f32]) -> View<'a> {
        View { values, prepared: self }
    }
}

impl FilterSlot {
    /// The prepared forms.
    pub fn of(self, p: View<'_>) -> &Filters {
        &p.prepared.filters[self.prepared]
    }
}

impl MatrixSlot {
    /// The prepared forms.
    pub fn of(self, p: View<'_>) -> &Matrix {
        &p.prepared.matrices[self.prepared]
    }
}

impl Layout {
    /// The name of the first part, which stands for all.
    pub fn name(&self) -> &str {
        self.parts.first().map_or("", |part| &part.name)
    }

    /// How many numbers.
    pub fn count(&self) -> usize {
        self.parts.last().map_or(0, |part| part.slot.range().end)
    }

    /// The forms of a forward pass and, when `backward`, of the reverse pass, which else makes them when it needs them.
    pub fn prepare(&self, values: &[f32], backward: bool) -> Prepared {
        let filters = self.convs.par_iter().map(|(slot, conv)| conv.filters(slot.of(values), backward));
        let matrices = self
            .matrices
            .par_iter()
            .map(|&(slot, inputs, outputs)| Matrix::new(slot.of(values), inputs, outputs, backward));
        Prepared { filters: filters.collect(), matrices: matrices.collect() }
    }

    /// Prepares the forms anew, after the numbers have changed.
    pub fn refresh(&self, values: &[f32], backward: bool) {
        if self.path() == Path::Fused {
            let prepared = Arc::new(self.prepare(values, backward));
            *self.prepared.write().unwrap_or_else(PoisonError::into_inner) = prepared;
        }
    }

    /// The forms as they are now.
    pub fn prepared(&self) -> Arc<Prepared> {
        self.prepared.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Which operations the block runs on.
    pub fn path(&self) -> Path {
        self.path.get().copied().unwrap_or(Path::Fused)
    }
}

/// Where the reverse pass of a block puts the gradient of its pack: nowhere when that is fixed.
#[derive(Debug)]
pub struct PackGradient<'a> {
    sum: Option<&'a mut [f32]>,
    /// For each part, whether anything has been put there.
    begun: Vec<bool>,
}

impl<'a> PackGradient<'a> {
    /// Numbers for each of the pack's, of any values before; none for fixed parameters.
    pub fn of(sum: Option<&'a mut [f32]>, parts: usize) -> PackGradient<'a> {
        PackGradient { sum, begun: vec![false; parts] }
    }

    /// Whether there is anything to add to.
    pub fn wanted(&self) -> bool {
        self.sum.is_some()
    }

    /// The gradient of this parameter so far, to add to.
    pub fn at(&mut self, slot: Slot) -> Option<&mut [f32]> {
        let (gradient, begun) = self.place(slot)?;
        if !begun {
            gradient.fill(0.0);
        }
        Some(gradient)
    }

    /// The place of the gradient of this parameter, to be written, or to be added to where that has begun.
    pub fn place(&mut self, slot: Slot) -> Option<(&mut [f32], bool)> {
        let sum = self.sum.as_mut()?;
        let begun = std::mem::replace(&mut self.begun[slot.part], true);
        Some((slot.of_mut(sum), begun))
    }
}

impl Layout {
    /// The reverse pass `f` of a block: its result and, when it is wanted, the gradient of the pack that it puts together.
    pub fn gradient<R>(
        &self,
        wanted: bool,
        f: impl FnOnce(&mut PackGradient<'_>) -> R,
    ) -> (R, Option<Buffer>) {
        let mut sum = wanted.then(|| Buffer::stale(self.count()));
        let mut gradient = PackGradient::of(sum.as_deref_mut(), self.parts.len());
        let result = f(&mut gradient);
        // What the block did not need has no gradient.
        for part in &self.parts {
            gradient.at(part.slot);
        }
        (result, sum)
    }
}
