//! The values of metrics, read from the results in the store.

use crate::numbers::read::{Asked, NoNumber, Part, Reader, Reading};
use crate::pipeline::spec::metrics::Metric;
use crate::store::Store;
use crate::store::files::StoreError;
use crate::store::objects::{Content, Shape};
use onsager_tables::read::Parquet;
use onsager_tables::value::Value;
use std::path::PathBuf;

/// What a point has of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    pub metric: String,
    /// Null where there is none.
    pub value: Value,
    /// Why there is no finite number.
    pub reason: Option<String>,
}

/// Reads metrics; a file that several are read from is read once.
pub struct Measurer<'a> {
    store: &'a Store,
    reader: Reader<'a>,
}

impl<'a> Measurer<'a> {
    pub fn new(store: &'a Store, parquet: Option<&'a dyn Parquet>) -> Measurer<'a> {
        Measurer { store, reader: Reader::new(parquet) }
    }

    /// A metric, given the contents of the outputs of tasks; none while one of them is not there.
    pub fn measure(
        &mut self,
        metric: &Metric,
        content: &mut dyn FnMut(&str, &str) -> Option<Content>,
    ) -> Option<Measure> {
        let (value, reason) = match self.reading(metric, content)? {
            Ok(Reading { value: Value::Number(value), .. }) if !value.is_finite() => {
                (Value::Number(value), Some(NoNumber::NotFinite { value }))
            }
            Ok(reading) => (reading.value, None),
            Err(reason) => (Value::Null, Some(reason)),
        };
        let reason = reason.map(|reason| reason.to_string());
        Some(Measure { metric: metric.name.clone(), value, reason })
    }

    /// The same with its interval, and with what a mean is of.
    pub fn reading(
        &mut self,
        metric: &Metric,
        content: &mut dyn FnMut(&str, &str) -> Option<Content>,
    ) -> Option<Result<Reading, NoNumber>> {
        let store = self.store;
        let mut contents = Vec::with_capacity(metric.tasks.len());
        for task in &metric.tasks {
            match content(&task.task, &metric.output) {
                Some(content) if store.objects().contains(&content.digest) => contents.push(content),
                _ => return None,
            }
        }
        if contents.iter().any(|content| content.shape == Shape::Folder) {
            return Some(Err(NoNumber::Folder { from: metric.from.clone() }));
        }
        let name = |task: &str| format!("{task}.{}", metric.output);
        let from = |task: &str| match metric.tasks.as_slice() {
            [_] => metric.from.clone(),
            _ => name(task),
        };
        let opened = metric.tasks.iter().zip(&contents);
        let open: Vec<_> =
            opened.map(|(task, content)| move || sound(store, content, &|| from(&task.task))).collect();
        let parts: Vec<Part> = metric
            .tasks
            .iter()
            .zip(&contents)
            .zip(&open)
            .map(|((task, content), open)| Part {
                id: content.digest.to_string(),
                name: name(&task.task),
                labels: &task.labels,
                open,
            })
            .collect();
        let asked = Asked { from: &metric.from, pick: &metric.pick, spread: metric.spread.as_ref() };
        Some(self.reader.read(asked, &parts))
    }
}

/// Where the object of a file is whose bytes are those of its name.
fn sound(store: &Store, content: &Content, from: &dyn Fn() -> String) -> Result<PathBuf, NoNumber> {
    store.objects().checked_file(&content.digest).map_err(|error| match error {
        StoreError::DamagedObject { .. } => NoNumber::Damaged { from: from() },
        source => NoNumber::Store { from: from(), source },
    })
}
