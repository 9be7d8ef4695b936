//! The named parameters of a network: made at random for training, or read from a file.

use super::error::NnError;
use super::raw;
use super::weights::{Weight, Weights};
use crate::random::Streams;
use candle_core::{Tensor, Var};
use std::collections::BTreeMap;

/// How a parameter begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    Zeros,
    Ones,
    /// Normal numbers of variance 1 / fan-in, for this fan-in.
    FanIn(usize),
}

/// A network asks for its parameters by name while it is built; the names and the order of asking make its
/// file.
#[derive(Debug)]
pub struct Parameters {
    source: Source,
    entries: Vec<(String, Var)>,
}

#[derive(Debug)]
enum Source {
    Random(u64),
    File(BTreeMap<String, Weight>),
}

impl Parameters {
    /// Trainable parameters. Each has its own stream, named after it.
    pub fn random(seed: u64) -> Parameters {
        Parameters { source: Source::Random(seed), entries: Vec::new() }
    }

    /// Fixed parameters for evaluation: no graph is recorded through them.
    pub fn from_weights(weights: Weights) -> Parameters {
        Parameters { source: Source::File(weights.tensors), entries: Vec::new() }
    }

    /// The parameter of this name.
    pub fn get(&mut self, name: &str, shape: &[usize], init: Init) -> Result<Tensor, NnError> {
        match &mut self.source {
            Source::Random(seed) => {
                let mut values = vec![if init == Init::Ones { 1.0 } else { 0.0 }; shape.iter().product()];
                if let Init::FanIn(fan_in) = init {
                    Streams::new(*seed, &format!("parameter {name}")).stream(0).fill_normal(&mut values);
                    let scale = 1.0 / (fan_in.max(1) as f32).sqrt();
                    values.iter_mut().for_each(|x| *x *= scale);
                }
                let var = Var::from_tensor(&raw::tensor(values, shape)?)?;
                let tensor = var.as_tensor().clone();
                self.entries.push((name.to_owned(), var));
                Ok(tensor)
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
                Ok(raw::tensor(weight.values, shape)?)
            }
        }
    }

    /// The trainable parameters, in the order in which the network asked for them.
    pub fn entries(&self) -> &[(String, Var)] {
        &self.entries
    }

    /// The number of trainable numbers.
    pub fn count(&self) -> usize {
        self.entries.iter().map(|(_, var)| var.elem_count()).sum()
    }
}
