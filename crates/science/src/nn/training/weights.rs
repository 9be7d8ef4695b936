//! Files of named `f32` tensors: safetensors with one metadata entry, `onsager`, that holds a description: of a model as JSON.
//! The bytes depend on the contents alone.

use crate::nn::error::NnError;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

/// One named tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Weight {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// Named tensors with their description.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    pub tensors: BTreeMap<String, Weight>,
    /// JSON.
    pub description: String,
}

const KEY: &str = "onsager";

impl Weights {
    /// Reads a file.
    pub fn load(path: &Path) -> Result<Weights, NnError> {
        let bytes = fs::read(path).map_err(|source| NnError::Read { path: path.into(), source })?;
        let format = |source| NnError::Format { path: path.into(), source };
        let file = SafeTensors::deserialize(&bytes).map_err(format)?;
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(format)?;
        let description = match metadata.metadata().as_ref().and_then(|map| map.get(KEY)) {
            Some(text) => text.clone(),
            None => return Err(NnError::Description { path: path.into(), source: None }),
        };
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            if view.dtype() == Dtype::F32 {
                let values =
                    view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                tensors
                    .insert(name.into(), Weight { shape: view.shape().to_vec(), values: values.collect() });
            }
        }
        Ok(Weights { tensors, description })
    }

    /// Writes a file.
    pub fn save(&self, path: &Path) -> Result<(), NnError> {
        let bytes: Vec<(&str, &[usize], Vec<u8>)> = self
            .tensors
            .iter()
            .map(|(name, w)| {
                (name.as_str(), &w.shape[..], w.values.iter().flat_map(|x| x.to_le_bytes()).collect())
            })
            .collect();
        let mut views = Vec::with_capacity(bytes.len());
        for (name, shape, data) in &bytes {
            views.push((*name, TensorView::new(Dtype::F32, shape.to_vec(), data).map_err(NnError::Encode)?));
        }
        let metadata = HashMap::from([(KEY.to_owned(), self.description.clone())]);
        let bytes = serialize(views, Some(metadata)).map_err(NnError::Encode)?;
        fs::write(path, bytes).map_err(|source| NnError::Write { path: path.into(), source })
    }
}
