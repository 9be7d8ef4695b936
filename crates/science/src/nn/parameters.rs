//! The parameters of a network: made at random for training, or read from a file.
//!
//! A network asks for them by name while it is built. They lie one after the other in a single tensor, so a network is
//! one operation of its input and its parameters; the names and shapes are those of its file.

use super::conv::{Conv3x3, Filters};
use super::error::NnError;
use super::linear::Matrix;
use super::raw;
use super::weights::{Weight, Weights};
use candle_core::{Tensor, Var};
use onsager_numerics::random::Streams;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

/// How a parameter begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    Zeros,
    Ones,
    /// Normal numbers of variance 1 / fan-in, for this fan-in.
    FanIn(usize),
}

/// The place of a parameter among those of its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    start: usize,
    len: usize,
}

impl Slot {
    /// Where its numbers lie.
    pub fn range(self) -> Range<usize> {
        self.start..self.start + self.len
    }

    /// The parameter's numbers.
    pub fn of(self, parameters: &[f32]) -> &[f32] {
        &parameters[self.range()]
    }

    /// The parameter's numbers, to change them.
    pub fn of_mut(self, parameters: &mut [f32]) -> &mut [f32] {
        &mut parameters[self.range()]
    }
}

/// A parameter of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub name: String,
    pub shape: Vec<usize>,
    pub slot: Slot,
}

/// The filters of a convolution: a parameter and its prepared forms.
#[derive(Debug, Clone, Copy)]
pub struct FilterSlot {
    pub slot: Slot,
    prepared: usize,
}

/// The matrix of a dense layer: a parameter and its prepared forms.
#[derive(Debug, Clone, Copy)]
pub struct MatrixSlot {
    pub slot: Slot,
    prepared: usize,
}

/// The parameters as layers read them.
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

/// Where a reverse pass adds up the gradient of the parameters: nowhere when they are fixed.
#[derive(Debug)]
pub struct Gradients<'a>(Option<&'a mut [f32]>);

/// Which parameters are filters and matrices.
#[derive(Debug, Default)]
struct Products {
    convs: Vec<(Slot, Conv3x3)>,
    /// With inputs and outputs.
    matrices: Vec<(Slot, usize, usize)>,
}

/// Collects the parameters of a network while it is built.
#[derive(Debug)]
pub struct Parameters {
    source: Source,
    values: Vec<f32>,
    entries: Vec<Entry>,
    products: Products,
}

#[derive(Debug)]
enum Source {
    Random(u64),
    File(BTreeMap<String, Weight>),
}

impl Parameters {
    /// Trainable parameters. Each has its own stream, named after it.
    pub fn random(seed: u64) -> Parameters {
        Parameters::of(Source::Random(seed))
    }

    /// Fixed parameters for evaluation: no gradient is computed for them.
    pub fn from_weights(weights: Weights) -> Parameters {
        Parameters::of(Source::File(weights.tensors))
    }

    fn of(source: Source) -> Parameters {
        Parameters { source, values: Vec::new(), entries: Vec::new(), products: Products::default() }
    }

    /// The parameter of this name.
    pub fn get(&mut self, name: &str, shape: &[usize], init: Init) -> Result<Slot, NnError> {
        let slot = Slot { start: self.values.len(), len: shape.iter().product() };
        match &mut self.source {
            Source::Random(seed) => {
                self.values.resize(slot.start + slot.len, if init == Init::Ones { 1.0 } else { 0.0 });
                if let Init::FanIn(fan_in) = init {
                    let values = &mut self.values[slot.start..];
                    Streams::new(*seed, &format!("parameter {name}")).stream(0).fill_normal(values);
                    let scale = 1.0 / (fan_in.max(1) as f32).sqrt();
                    values.iter_mut().for_each(|x| *x *= scale);
                }
            }
            Source::File(tensors) => {
                let weight =
                    tensors.remove(name).ok_or_else(|| NnError::MissingWeight { name: name.to_owned() })?;
                if weight.shape != shape {
                    return Err(NnError::WeightShape {
                        name: name.to_owned(),
                        found: weight.shape,
                        expected: shape.to_vec(),
                    });
                }
                self.values.extend(weight.values);
            }
        }
        self.entries.push(Entry { name: name.to_owned(), shape: shape.to_vec(), slot });
        Ok(slot)
    }

    /// The filters [3, 3, inputs, outputs] of this name, for a convolution.
    pub fn filters(&mut self, name: &str, conv: Conv3x3, init: Init) -> Result<FilterSlot, NnError> {
        let slot = self.get(name, &[3, 3, conv.inputs, conv.outputs], init)?;
        self.products.convs.push((slot, conv));
        Ok(FilterSlot { slot, prepared: self.products.convs.len() - 1 })
    }

    /// The matrix [inputs, outputs] of this name, for a dense layer.
    pub fn matrix(
        &mut self,
        name: &str,
        inputs: usize,
        outputs: usize,
        init: Init,
    ) -> Result<MatrixSlot, NnError> {
        let slot = self.get(name, &[inputs, outputs], init)?;
        self.products.matrices.push((slot, inputs, outputs));
        Ok(MatrixSlot { slot, prepared: self.products.matrices.len() - 1 })
    }

    /// All parameters that were asked for.
    pub fn pack(&mut self) -> Result<Arc<Packed>, NnError> {
        let values = std::mem::take(&mut self.values);
        let products = std::mem::take(&mut self.products);
        let trainable = matches!(self.source, Source::Random(_));
        let prepared = RwLock::new(Arc::new(products.prepare(&values, trainable)));
        let count = values.len();
        let tensor = raw::tensor(values, count)?;
        let var = trainable.then(|| Var::from_tensor(&tensor)).transpose()?;
        let tensor = var.as_ref().map_or(tensor, |var| var.as_tensor().clone());
        let entries = std::mem::take(&mut self.entries);
        Ok(Arc::new(Packed { tensor, var, entries, products, prepared }))
    }
}

/// The parameters of a network in one tensor.
#[derive(Debug)]
pub struct Packed {
    tensor: Tensor,
    var: Option<Var>,
    entries: Vec<Entry>,
    products: Products,
    prepared: RwLock<Arc<Prepared>>,
}

impl Packed {
    /// The numbers, `[count]`; they have a gradient when they are trainable.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// Whether these are parameters in training.
    pub fn trainable(&self) -> bool {
        self.var.is_some()
    }

    /// The parameters in the order in which the network asked for them.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How many numbers.
    pub fn count(&self) -> usize {
        self.tensor.elem_count()
    }

    /// Changes trainable parameters in place; an error where they are fixed.
    pub fn change<R>(&self, f: impl FnOnce(&mut [f32]) -> R) -> Result<R, NnError> {
        let Some(var) = &self.var else { return Err(NnError::Fixed) };
        let (result, prepared) = raw::change(var, |values| {
            let result = f(values);
            (result, Arc::new(self.products.prepare(values, true)))
        })?;
        *self.prepared.write().unwrap_or_else(PoisonError::into_inner) = prepared;
        Ok(result)
    }

    /// The filters and matrices in the forms that the products need.
    pub fn prepared(&self) -> Arc<Prepared> {
        self.prepared.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Products {
    /// The forms of a forward pass and, when `backward`, of the reverse pass, which else makes them when it needs them.
    fn prepare(&self, values: &[f32], backward: bool) -> Prepared {
        let filters = self.convs.par_iter().map(|(slot, conv)| conv.filters(slot.of(values), backward));
        let matrices = self
            .matrices
            .par_iter()
            .map(|&(slot, inputs, outputs)| Matrix::new(slot.of(values), inputs, outputs, backward));
        Prepared { filters: filters.collect(), matrices: matrices.collect() }
    }
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

impl<'a> Gradients<'a> {
    /// Adds to these numbers, one for each parameter.
    pub fn of(sum: &'a mut [f32]) -> Gradients<'a> {
        Gradients(Some(sum))
    }

    /// For fixed parameters.
    pub fn unwanted() -> Gradients<'a> {
        Gradients(None)
    }

    /// Whether there is anything to add to.
    pub fn wanted(&self) -> bool {
        self.0.is_some()
    }

    /// The gradient of this parameter so far, to add to.
    pub fn at(&mut self, slot: Slot) -> Option<&mut [f32]> {
        self.0.as_mut().map(|sum| slot.of_mut(sum))
    }
}

#[cfg(test)]
impl Parameters {
    /// These numbers as the parameters asked for so far, for the test of a layer.
    pub(crate) fn prepare(&self, values: &[f32]) -> Prepared {
        self.products.prepare(values, true)
    }
}

#[cfg(test)]
impl Packed {
    /// The same parameters, fixed.
    pub(crate) fn fixed(&self) -> Parameters {
        let values = raw::values(&self.tensor).expect("numbers on the CPU");
        let weight =
            |entry: &Entry| Weight { shape: entry.shape.clone(), values: entry.slot.of(&values).to_vec() };
        let tensors = self.entries.iter().map(|entry| (entry.name.clone(), weight(entry))).collect();
        Parameters::from_weights(Weights { tensors, description: String::new() })
    }
}
