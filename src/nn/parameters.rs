//! The parameters of a network: made at random for training, or read from a file.
//!
//! A network asks for them by name while it is built. They lie one after the other in a single tensor, so a network is
//! one operation of its input and its parameters; the names and shapes are those of its file.

use super::conv::{Conv3x3, Filters};
use super::error::NnError;
use super::raw;
use super::weights::{Weight, Weights};
use crate::random::Streams;
use candle_core::{Tensor, Var};
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

/// Collects the parameters of a network while it is built.
#[derive(Debug)]
pub struct Parameters {
    source: Source,
    values: Vec<f32>,
    entries: Vec<Entry>,
    convs: Vec<(Slot, Conv3x3)>,
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
        Parameters { source, values: Vec::new(), entries: Vec::new(), convs: Vec::new() }
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
        self.convs.push((slot, conv));
        Ok(FilterSlot { slot, prepared: self.convs.len() - 1 })
    }

    /// All parameters that were asked for.
    pub fn pack(&mut self) -> Result<Arc<Packed>, NnError> {
        let values = std::mem::take(&mut self.values);
        let filters = RwLock::default();
        let tensor = raw::tensor(values, self.entries.iter().map(|entry| entry.slot.len).sum::<usize>())?;
        let var = match self.source {
            Source::Random(_) => Some(Var::from_tensor(&tensor)?),
            Source::File(_) => None,
        };
        let packed = Packed {
            tensor: var.as_ref().map_or(tensor, |var| var.as_tensor().clone()),
            var,
            entries: std::mem::take(&mut self.entries),
            convs: std::mem::take(&mut self.convs),
            filters,
        };
        packed.prepare()?;
        Ok(Arc::new(packed))
    }
}

/// The parameters of a network in one tensor.
#[derive(Debug)]
pub struct Packed {
    tensor: Tensor,
    var: Option<Var>,
    entries: Vec<Entry>,
    convs: Vec<(Slot, Conv3x3)>,
    filters: RwLock<Arc<Vec<Filters>>>,
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

    /// Replaces trainable parameters.
    pub fn set(&self, values: &[f32]) -> Result<(), NnError> {
        if let Some(var) = &self.var {
            var.set(&raw::tensor(values.to_vec(), values.len())?)?;
        }
        self.prepare()
    }

    /// The filters in the forms that the products need.
    pub fn prepared(&self) -> Arc<Vec<Filters>> {
        self.filters.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn prepare(&self) -> Result<(), NnError> {
        let values = raw::values(&self.tensor)?;
        let convs = self.convs.par_iter();
        let filters = convs.map(|(slot, conv)| conv.filters(slot.of(&values), self.trainable())).collect();
        *self.filters.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(filters);
        Ok(())
    }
}

impl FilterSlot {
    /// Its prepared forms among those of the network.
    pub fn of(self, prepared: &[Filters]) -> &Filters {
        &prepared[self.prepared]
    }
}
