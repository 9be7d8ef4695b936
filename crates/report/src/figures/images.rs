//! Images and points to show, from safetensors files with a tensor `x`.

use crate::error::ReportError;
use onsager_tables::value::{Filter, Value, passes};
use safetensors::{Dtype, SafeTensors};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// What a grid of images shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageSpec {
    /// The sources from the top. An input of several artifacts gives a row for each.
    pub rows: Vec<ImageRow>,
    /// Images in a line, 1 to 100; panels in a line for points.
    #[serde(default = "ten")]
    pub columns: usize,
    /// The most points drawn of each source, when the tensor holds points.
    #[serde(default = "thousand")]
    pub points: usize,
}

/// One source of images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageRow {
    /// An input with a dataset or samples.
    pub input: String,
    /// Which of the input's artifacts to show: a value, or a list of values, per coordinate.
    #[serde(default, rename = "where")]
    pub filter: Filter,
    /// The title of the row; `{axis}` stands for a coordinate of the artifact, as in `DDPM, seed {seed}`.
    #[serde(default)]
    pub label: String,
    /// The number of lines of images, 1 to 100.
    #[serde(default = "one")]
    pub lines: usize,
    /// Skip this many images first.
    #[serde(default)]
    pub start: usize,
    /// Show the classes in order (0, 1, 2 …, then 0 again), by the labels of the dataset.
    #[serde(default)]
    pub by_class: bool,
}

fn ten() -> usize {
    10
}

fn thousand() -> usize {
    2000
}

fn one() -> usize {
    1
}

impl ImageRow {
    /// Whether an artifact with these coordinates is shown; one without the coordinate is not.
    pub fn shows(&self, labels: &[(String, Value)]) -> bool {
        let passes =
            |(axis, wanted)| labels.iter().any(|(name, value)| name == axis && passes(wanted, value));
        self.filter.iter().all(passes)
    }
}

/// The samples of one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples {
    /// The row's title.
    pub label: String,
    /// Images [N, C, H, W] in [−1, 1], or points [N, 2].
    pub shape: Vec<usize>,
    pub x: Vec<f32>,
    pub y: Option<Vec<u32>>,
}

impl Samples {
    /// Reads `x` (f32) and, where there is one, `y` (u32).
    pub fn load(path: &Path, label: String) -> Result<Samples, ReportError> {
        let wrong = |message: String| ReportError::Samples { path: path.into(), message };
        let bytes = fs::read(path).map_err(|source| ReportError::Read { path: path.into(), source })?;
        let file = SafeTensors::deserialize(&bytes).map_err(|error| wrong(error.to_string()))?;
        let x = file.tensor("x").map_err(|_| wrong("it has no tensor `x`".into()))?;
        if x.dtype() != Dtype::F32 {
            return Err(wrong(format!("its tensor `x` is {:?} where F32 is needed", x.dtype())));
        }
        let shape = x.shape().to_vec();
        if !(matches!(shape[..], [_, 1 | 3, h, w] if h > 0 && w > 0) || matches!(shape[..], [_, 2])) {
            let message =
                format!("its tensor `x` has shape {shape:?} where [N, 1 or 3, H, W] or [N, 2] is needed");
            return Err(wrong(message));
        }
        let words = |data: &[u8]| data.chunks_exact(4).map(|b| [b[0], b[1], b[2], b[3]]).collect::<Vec<_>>();
        let y = file.tensor("y").ok().filter(|y| y.dtype() == Dtype::U32 && y.shape() == [shape[0]]);
        Ok(Samples {
            label,
            x: words(x.data()).into_iter().map(f32::from_le_bytes).collect(),
            y: y.map(|y| words(y.data()).into_iter().map(u32::from_le_bytes).collect()),
            shape,
        })
    }

    /// The indices to show: in the order of the file, or going round the classes.
    pub fn choose(&self, row: &ImageRow, count: usize) -> Vec<usize> {
        let all = row.start.min(self.shape[0])..self.shape[0];
        let Some(y) = self.y.as_ref().filter(|_| row.by_class) else { return all.take(count).collect() };
        let mut turns = std::collections::BTreeMap::new();
        let mut keyed: Vec<_> = all
            .map(|i| {
                let turn = turns.entry(y[i]).or_insert(0usize);
                *turn += 1;
                (*turn, y[i], i)
            })
            .collect();
        keyed.sort_unstable();
        keyed.into_iter().take(count).map(|(_, _, i)| i).collect()
    }

    /// Image `i` as RGB bytes.
    pub fn rgb(&self, i: usize) -> Vec<u8> {
        let (channels, area) = (self.shape[1], self.shape[2] * self.shape[3]);
        let image = &self.x[i * channels * area..(i + 1) * channels * area];
        let level = |v: f32| ((v.clamp(-1.0, 1.0) + 1.0) * 127.5).round() as u8;
        (0..area).flat_map(|p| [0, 1, 2].map(|c| level(image[(c % channels) * area + p]))).collect()
    }
}

/// Fills `{axis}` in a row's title with the coordinates of the artifact.
pub fn fill_label(template: &str, labels: &[(String, Value)]) -> String {
    labels.iter().fold(template.to_owned(), |text, (axis, value)| {
        text.replace(&format!("{{{axis}}}"), &value.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::TensorView;

    fn save(path: &Path, shape: Vec<usize>, x: &[f32], y: &[u32]) {
        let x: Vec<u8> = x.iter().flat_map(|v| v.to_le_bytes()).collect();
        let y: Vec<u8> = y.iter().flat_map(|v| v.to_le_bytes()).collect();
        let n = shape[0];
        let tensors = [
            ("x", TensorView::new(Dtype::F32, shape, &x).unwrap()),
            ("y", TensorView::new(Dtype::U32, vec![n], &y).unwrap()),
        ];
        safetensors::serialize_to_file(tensors, None, path).unwrap();
    }

    #[test]
    fn samples_are_read_and_chosen_by_class() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        save(&path, vec![4, 1, 1, 2], &[-1.0, 1.0, 0.0, 0.0, 0.0, 0.0, -3.0, 3.0], &[1, 0, 1, 0]);
        let samples = Samples::load(&path, "real".into()).unwrap();
        assert_eq!(
            (samples.rgb(0), samples.rgb(3)),
            (vec![0, 0, 0, 255, 255, 255], vec![0, 0, 0, 255, 255, 255])
        );
        let text = r#"{"input": "x", "by_class": true, "where": {"seed": [0, 1]}}"#;
        let row: ImageRow = serde_json::from_str(text).unwrap();
        assert_eq!(samples.choose(&row, 3), [1, 0, 3]);
        assert_eq!(samples.choose(&ImageRow { by_class: false, start: 2, ..row.clone() }, 3), [2, 3]);
        let seed = |seed: i64| vec![("seed".to_owned(), Value::Integer(seed))];
        assert!(row.shows(&seed(1)) && !row.shows(&seed(2)) && !row.shows(&[]));
        assert_eq!(fill_label("DDPM, seed {seed}", &seed(2)), "DDPM, seed 2");

        save(&path, vec![4, 2, 1], &[0.0; 8], &[0; 4]);
        let error = Samples::load(&path, String::new()).unwrap_err().to_string();
        assert!(
            error.ends_with("its tensor `x` has shape [4, 2, 1] where [N, 1 or 3, H, W] or [N, 2] is needed"),
            "{error}"
        );
    }
}
