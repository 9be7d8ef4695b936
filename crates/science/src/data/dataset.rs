//! A data set in memory, and its file: safetensors, readable from Python with `safetensors.numpy.load_file`.
//!
//! The file holds `x` f32 (images `[N, C, H, W]` in [-1, 1], or points `[N, 2]`) and, if labelled, `y` u32 `[N]`; its metadata
//! hold `name` and, where they apply, `levels` (grey levels) and `classes`. Samples of a model have the same layout, so
//! whatever reads a data set reads samples.

use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Points or images, with or without class labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// The values in row-major order: images in [-1, 1], or coordinates.
    pub x: Vec<f32>,
    /// The whole shape, the number of items first: [N, C, H, W] for images, [N, 2] for points in the plane.
    pub shape: Vec<usize>,
    /// The class of each item, `[N]`, each below `classes`.
    pub y: Option<Vec<u32>>,
    /// What it is: `digits`, `swiss-roll` ...
    pub name: String,
    /// The number of grey levels, for images: level l of L is the value 2 l / (L - 1) - 1.
    pub levels: Option<u32>,
    /// The number of classes, if labelled.
    pub classes: Option<u32>,
}

/// Why a data set file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error("cannot read the data set `{}`: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write the data set `{}`: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("`{}` is not a data set: {source}; give the safetensors file of a `dataset` or `sample` stage", path.display())]
    Format { path: PathBuf, source: SafeTensorError },
    #[error(
        "`{}` is not a data set: `{tensor}` has type {found:?} where {wanted:?} is needed; give the safetensors file of a \
         `dataset` or `sample` stage", path.display()
    )]
    Type { path: PathBuf, tensor: &'static str, found: Dtype, wanted: Dtype },
    #[error("`{}`: the metadata `{field}` is `{value}`, which is not a whole number; write the file again", path.display())]
    Metadata { path: PathBuf, field: &'static str, value: String },
    #[error("`{}` is not a data set: `x` has shape {x:?} and `y` {y:?}; both need one entry per item", path.display())]
    Shape { path: PathBuf, x: Vec<usize>, y: Vec<usize> },
    #[error("`{}` is not a data set: item {item} has class {class} of {classes}; write the file again", path.display())]
    Class { path: PathBuf, item: usize, class: u32, classes: u32 },
    #[error("a data set of shape {shape:?} holds {values} values and {labels:?} labels")]
    Inconsistent { shape: Vec<usize>, values: usize, labels: Option<usize> },
}

impl Dataset {
    /// The number of items N.
    pub fn count(&self) -> usize {
        self.shape.first().copied().unwrap_or(0)
    }

    /// The number of values of one item: C H W, or 2.
    pub fn size(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// Whether the items are images rather than points.
    pub fn is_images(&self) -> bool {
        self.shape.len() == 4
    }

    /// The values of item `i` (`i` < [`Dataset::count`]).
    pub fn item(&self, i: usize) -> &[f32] {
        let size = self.size();
        &self.x[i * size..(i + 1) * size]
    }

    /// The items of these indices, in this order.
    pub fn select(&self, indices: &[usize]) -> Dataset {
        let mut shape = self.shape.clone();
        if let Some(count) = shape.first_mut() {
            *count = indices.len();
        }
        Dataset {
            x: indices.iter().flat_map(|&i| self.item(i)).copied().collect(),
            shape,
            y: self.y.as_ref().map(|y| indices.iter().map(|&i| y[i]).collect()),
            name: self.name.clone(),
            levels: self.levels,
            classes: self.classes,
        }
    }

    /// Reads a data set or samples file.
    pub fn load(path: &Path) -> Result<Dataset, DataError> {
        let bytes = std::fs::read(path).map_err(|source| DataError::Read { path: path.into(), source })?;
        let format = |source| DataError::Format { path: path.into(), source };
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(format)?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(format)?;
        let (x, shape) = words(path, &tensors, "x", Dtype::F32)?;
        let x: Vec<f32> = x.map(f32::from_le_bytes).collect();
        let y: Option<Vec<u32>> = match tensors.names().contains(&"y") {
            false => None,
            true => {
                let (y, y_shape) = words(path, &tensors, "y", Dtype::U32)?;
                if y_shape.len() != 1 || shape.first() != y_shape.first() {
                    return Err(DataError::Shape { path: path.into(), x: shape, y: y_shape });
                }
                Some(y.map(u32::from_le_bytes).collect())
            }
        };
        if shape.len() < 2 {
            return Err(DataError::Shape { path: path.into(), x: shape, y: Vec::new() });
        }
        let text = |field: &str| header.metadata().as_ref().and_then(|all| all.get(field));
        let number = |field: &'static str| match text(field) {
            None => Ok(None),
            Some(value) => value.parse().map(Some).map_err(|_| DataError::Metadata {
                path: path.into(),
                field,
                value: value.clone(),
            }),
        };
        let (levels, classes): (Option<u32>, Option<u32>) = (number("levels")?, number("classes")?);
        if let (Some(y), Some(classes)) = (&y, classes)
            && let Some(item) = y.iter().position(|&class| class >= classes)
        {
            return Err(DataError::Class { path: path.into(), item, class: y[item], classes });
        }
        Ok(Dataset { x, shape, y, name: text("name").cloned().unwrap_or_default(), levels, classes })
    }

    /// Writes the file; the same data set always gives the same bytes.
    pub fn save(&self, path: &Path) -> Result<(), DataError> {
        let labels = self.y.as_ref().map(Vec::len);
        if self.shape.len() < 2
            || self.shape.iter().product::<usize>() != self.x.len()
            || labels.is_some_and(|labels| labels != self.shape[0])
        {
            let shape = self.shape.clone();
            return Err(DataError::Inconsistent { shape, values: self.x.len(), labels });
        }
        self.write(path).map_err(|source| DataError::Write { path: path.into(), source })
    }

    /// Writes header and values. The crate's own writer keeps metadata in a `HashMap`, whose order is random.
    fn write(&self, path: &Path) -> io::Result<()> {
        let mut metadata = Map::new();
        let mut add = |field: &str, value: Option<String>| {
            if let Some(value) = value {
                metadata.insert(field.to_owned(), Value::String(value));
            }
        };
        add("classes", self.classes.map(|n| n.to_string()));
        add("levels", self.levels.map(|n| n.to_string()));
        add("name", Some(self.name.clone()));
        let end = 4 * self.x.len();
        let mut header = Map::new();
        header.insert("__metadata__".to_owned(), Value::Object(metadata));
        header.insert("x".to_owned(), json!({"dtype": "F32", "shape": self.shape, "data_offsets": [0, end]}));
        if let Some(y) = &self.y {
            let offsets = [end, end + 4 * y.len()];
            header
                .insert("y".to_owned(), json!({"dtype": "U32", "shape": [y.len()], "data_offsets": offsets}));
        }
        let mut text = Value::Object(header).to_string().into_bytes();
        text.resize(text.len().next_multiple_of(8), b' ');
        let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        file.write_all(&(text.len() as u64).to_le_bytes())?;
        file.write_all(&text)?;
        for value in &self.x {
            file.write_all(&value.to_le_bytes())?;
        }
        for class in self.y.iter().flatten() {
            file.write_all(&class.to_le_bytes())?;
        }
        file.flush()
    }
}

/// The four-byte words of a tensor, and its shape.
fn words<'a>(
    path: &Path,
    tensors: &SafeTensors<'a>,
    name: &'static str,
    wanted: Dtype,
) -> Result<(impl Iterator<Item = [u8; 4]> + 'a, Vec<usize>), DataError> {
    let tensor = tensors.tensor(name).map_err(|source| DataError::Format { path: path.into(), source })?;
    if tensor.dtype() != wanted {
        return Err(DataError::Type { path: path.into(), tensor: name, found: tensor.dtype(), wanted });
    }
    let words = tensor.data().as_chunks::<4>().0.iter().copied();
    Ok((words, tensor.shape().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images() -> Dataset {
        Dataset {
            x: (0..12).map(|i| i as f32 / 6.0 - 1.0).collect(),
            shape: vec![3, 1, 2, 2],
            y: Some(vec![1, 0, 2]),
            name: "tiny".to_owned(),
            levels: Some(13),
            classes: Some(3),
        }
    }

    #[test]
    fn a_saved_data_set_is_read_back_and_has_the_same_bytes() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        let points = Dataset { shape: vec![6, 2], y: None, levels: None, classes: None, ..images() };
        for set in [images(), points] {
            set.save(&a)?;
            let read = Dataset::load(&a)?;
            assert_eq!(read, set);
            read.save(&b)?;
            assert_eq!(std::fs::read(&a)?, std::fs::read(&b)?);
        }
        Ok(())
    }

    #[test]
    fn damaged_files_are_refused() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a");
        assert!(matches!(Dataset::load(&path), Err(DataError::Read { .. })));
        images().save(&path)?;
        let bytes = std::fs::read(&path)?;
        std::fs::write(&path, &bytes[..bytes.len() - 1])?;
        assert!(matches!(Dataset::load(&path), Err(DataError::Format { .. })));
        Dataset { classes: Some(2), ..images() }.save(&path)?;
        assert!(matches!(Dataset::load(&path), Err(DataError::Class { item: 2, .. })));
        let wrong = Dataset { y: Some(vec![0]), ..images() };
        assert!(matches!(wrong.save(&path), Err(DataError::Inconsistent { .. })));
        Ok(())
    }

    #[test]
    fn selected_items_keep_their_labels() {
        let two = images().select(&[2, 0]);
        assert_eq!((two.shape.clone(), two.y.clone()), (vec![2, 1, 2, 2], Some(vec![2, 1])));
        assert_eq!(two.item(0), images().item(2));
    }
}
