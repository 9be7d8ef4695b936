//! The kinds that a pipeline may name, behind one object-safe face.

use crate::kind::context::Context;
use crate::kind::fields::{Field, Fields};
use crate::kind::stage::{Inputs, Issue, Output, Stage, StageError, Tool};
use onsager_tables::head::Heads;
use onsager_tables::read::Parquet;
use serde_json::Value;
use std::marker::PhantomData;
use std::sync::Arc;

/// The object-safe face of a [`Stage`].
pub trait Kind: Send + Sync {
    fn name(&self) -> &'static str;
    fn summary(&self) -> &'static str;
    /// Whether the kernel level enters the key.
    fn numeric(&self) -> bool;
    /// Whether it needs a thread pool.
    fn parallel(&self) -> bool;
    /// Whether its stages are given the pipeline's metrics.
    fn takes_metrics(&self) -> bool;
    /// The digest of everything that the kind is built from.
    fn fingerprint(&self) -> &str;
    /// The fields of its stages that hold its parameters; without any they stand under `params`.
    fn fields(&self) -> Fields;
    fn inputs(&self) -> Inputs;
    /// The JSON Schema of the parameters.
    fn schema(&self) -> Value;
    /// Parses parameters: fills in the defaults, then checks the values.
    fn parse(&self, params: &Value) -> Result<Parsed, ParamError>;
    /// Runs the kind with parameters that [`Kind::parse`] has made canonical.
    fn run(&self, params: &Value, ctx: &Context) -> Result<(), StageError>;
}

/// Parameters that were understood.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The parameters with their defaults filled in, fields in the order of the type: what enters the key.
    pub canonical: Value,
    pub outputs: Vec<Output>,
    /// The programs that are asked for their versions.
    pub tools: Vec<Tool>,
    /// Values that were refused; the parameters are good when there are none.
    pub issues: Vec<Issue>,
}

/// Parameters that do not have the types of the kind.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ParamError {
    /// The path to the value that does not fit: `layers[0].x`; empty for the whole.
    pub field: String,
    pub message: String,
}

/// The kinds known to a program.
pub struct Registry {
    kinds: Vec<Box<dyn Kind>>,
    parquet: Option<Arc<dyn Parquet>>,
    heads: Option<Arc<dyn Heads>>,
    features: Vec<&'static str>,
}

impl Registry {
    /// No kinds yet.
    pub fn empty() -> Registry {
        Registry { kinds: Vec::new(), parquet: None, heads: None, features: Vec::new() }
    }

    /// Adds a kind; `fingerprint` names the version of its code, so change it whenever the results may change.
    pub fn add<S: Stage>(&mut self, fingerprint: &str) -> &mut Registry {
        self.kinds.retain(|kind| kind.name() != S::KIND);
        self.kinds.push(Box::new(Entry::<S> { fingerprint: fingerprint.to_owned(), stage: PhantomData }));
        self
    }

    /// Adds the kinds of another registry, and takes its readers of Parquet files where it has some.
    pub fn extend(&mut self, other: Registry) -> &mut Registry {
        self.kinds.retain(|kind| other.get(kind.name()).is_none());
        self.kinds.extend(other.kinds);
        self.parquet = other.parquet.or(self.parquet.take());
        self.heads = other.heads.or(self.heads.take());
        self.features.extend(other.features);
        self
    }

    /// Names a Cargo feature that the program was built with, for `onsager --version --verbose`.
    pub fn built_with(&mut self, feature: &'static str) -> &mut Registry {
        self.features.push(feature);
        self
    }

    /// The features that were named.
    pub fn features(&self) -> impl Iterator<Item = &'static str> {
        self.features.iter().copied()
    }

    /// Reads metrics from Parquet files, and writes tables to them, with `parquet`; without it only CSV and JSON are known.
    pub fn read_parquet_with(&mut self, parquet: Box<dyn Parquet>) -> &mut Registry {
        self.parquet = Some(Arc::from(parquet));
        self
    }

    /// Shows the beginnings of Parquet files with `heads`; without it a page says only what they are.
    pub fn show_parquet_with(&mut self, heads: Arc<dyn Heads>) -> &mut Registry {
        self.heads = Some(heads);
        self
    }

    /// What reads and writes Parquet files.
    pub fn parquet(&self) -> Option<&dyn Parquet> {
        self.parquet.as_deref()
    }

    /// The same, and what shows their beginnings, for those who outlive the registry.
    pub fn parquet_shared(&self) -> (Option<Arc<dyn Parquet>>, Option<Arc<dyn Heads>>) {
        (self.parquet.clone(), self.heads.clone())
    }

    /// The kind of this name.
    pub fn get(&self, name: &str) -> Option<&dyn Kind> {
        self.iter().find(|kind| kind.name() == name)
    }

    /// The names of the kinds whose stages have a field.
    pub fn with_field(&self, field: Field) -> Vec<&'static str> {
        self.iter().filter(|kind| kind.fields().has(field)).map(Kind::name).collect()
    }

    /// Every kind, in the order of registration.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Kind> {
        self.kinds.iter().map(Box::as_ref)
    }
}

struct Entry<S> {
    fingerprint: String,
    stage: PhantomData<S>,
}

impl<S: Stage> Kind for Entry<S> {
    fn name(&self) -> &'static str {
        S::KIND
    }

    fn summary(&self) -> &'static str {
        S::SUMMARY
    }

    fn numeric(&self) -> bool {
        S::NUMERIC
    }

    fn parallel(&self) -> bool {
        S::PARALLEL
    }

    fn takes_metrics(&self) -> bool {
        S::METRICS
    }

    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn fields(&self) -> Fields {
        S::FIELDS
    }

    fn inputs(&self) -> Inputs {
        S::inputs()
    }

    fn schema(&self) -> Value {
        schemars::schema_for!(S::Params).to_value()
    }

    fn parse(&self, params: &Value) -> Result<Parsed, ParamError> {
        let typed: S::Params = typed(params)?;
        let canonical = serde_json::to_value(&typed)
            .map_err(|error| ParamError { field: String::new(), message: error.to_string() })?;
        Ok(Parsed {
            canonical,
            outputs: S::outputs(&typed),
            tools: S::tools(&typed),
            issues: S::check(&typed),
        })
    }

    fn run(&self, params: &Value, ctx: &Context) -> Result<(), StageError> {
        S::run(&typed(params)?, ctx)
    }
}

fn typed<P: serde::de::DeserializeOwned>(params: &Value) -> Result<P, ParamError> {
    serde_path_to_error::deserialize(params).map_err(|error| ParamError {
        field: match error.path().to_string() {
            path if path == "." => String::new(),
            path => path,
        },
        message: error.inner().to_string(),
    })
}
