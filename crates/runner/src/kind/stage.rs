//! What a stage kind is: its parameters, inputs and outputs, and the computation.

use crate::kind::context::Context;
pub use crate::kind::error::StageError;
use crate::kind::fields::Fields;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// A kind of stage. Adding one is adding one file and one line in the registry.
///
/// `run` is a pure function of the parameters, the contents of the inputs with their labels, and the kernel level: no clock,
/// host name, path or number of threads may reach an output.
pub trait Stage: Send + Sync + 'static {
    /// The parameters: `#[serde(deny_unknown_fields)]`, defaults filled in by serde, every field documented (the reference is
    /// printed from the doc comments). A parameter `seed` selects the random streams.
    type Params: DeserializeOwned + Serialize + JsonSchema;

    /// The name in the YAML file.
    const KIND: &'static str;
    /// One sentence for the reference.
    const SUMMARY: &'static str;
    /// Whether the `f32` kernels are used, so that the kernel level enters the key.
    const NUMERIC: bool = false;
    /// Whether it computes in this process, inside a thread pool of the granted size.
    const PARALLEL: bool = true;

    /// Whether its stages are given the pipeline's metrics: as the parameters `numbers` and `swept`, with what they are read from as
    /// inputs. The parameter `metrics` chooses some.
    const METRICS: bool = false;

    /// The fields of a stage that hold the parameters, for a kind that takes none under `params`, as `command` does.
    const FIELDS: Fields = Fields::NONE;

    /// The inputs that this kind takes.
    fn inputs() -> Inputs;

    /// The outputs with these parameters, in a fixed order.
    fn outputs(params: &Self::Params) -> Vec<Output>;

    /// The programs that it is computed with, for a kind that starts some: what they say of their versions enters the key.
    fn tools(params: &Self::Params) -> Vec<Tool> {
        let _ = params;
        Vec::new()
    }

    /// Refuses parameters that have the right types but wrong values, field by field.
    fn check(params: &Self::Params) -> Vec<Issue> {
        let _ = params;
        Vec::new()
    }

    /// Computes the outputs.
    fn run(params: &Self::Params, ctx: &Context) -> Result<(), StageError>;
}

/// The inputs of a kind.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Inputs {
    /// The named inputs.
    pub named: Vec<Input>,
    /// Whether other names are accepted too (as `figure`, `report` and `command` do).
    pub others: bool,
}

/// One named input of a kind.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Input {
    pub name: &'static str,
    pub about: &'static str,
    pub required: bool,
    /// Whether it may hold several artifacts (every instance of a matrix).
    pub many: bool,
}

impl Inputs {
    /// No inputs at all.
    pub fn none() -> Inputs {
        Inputs { named: Vec::new(), others: false }
    }

    /// Any inputs, by any name.
    pub fn any() -> Inputs {
        Inputs { named: Vec::new(), others: true }
    }

    /// These inputs and no other.
    pub fn of(named: Vec<Input>) -> Inputs {
        Inputs { named, others: false }
    }
}

impl Input {
    /// An input that must be given, as one artifact.
    pub fn one(name: &'static str, about: &'static str) -> Input {
        Input { name, about, required: true, many: false }
    }

    /// An input that must be given, as one artifact or more.
    pub fn many(name: &'static str, about: &'static str) -> Input {
        Input { name, about, required: true, many: true }
    }

    /// The same input, which may be left out.
    pub fn optional(self) -> Input {
        Input { required: false, ..self }
    }
}

/// A declared output: a file, or a folder when `folder` is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The name that other stages refer to (`stage.name`).
    pub name: String,
    /// The file's path in the stage's output folder, with its extension.
    pub file: String,
    pub folder: bool,
    /// Whether the stage may leave it unwritten.
    #[serde(default)]
    pub optional: bool,
    pub about: String,
}

impl Output {
    /// A file output.
    pub fn file(name: &str, file: &str, about: &str) -> Output {
        Output { name: name.into(), file: file.into(), folder: false, optional: false, about: about.into() }
    }
}

/// A program that a kind starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    pub name: &'static str,
    /// What tells its version: `latexmk --version`.
    pub command: String,
}

/// A parameter whose value is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// Where, as a path in the parameters: `diffusion`, `layers[0].x`.
    pub field: String,
    /// What is wrong, for example `must be positive, but is -1`.
    pub message: String,
    /// What to do, if it is not obvious.
    pub help: Option<String>,
    /// The words in the value that are wrong, if not all of it.
    pub part: Option<String>,
}

impl Issue {
    pub fn new(field: &str, message: impl Into<String>) -> Issue {
        Issue { field: field.into(), message: message.into(), help: None, part: None }
    }

    pub fn help(mut self, help: impl Into<String>) -> Issue {
        self.help = Some(help.into());
        self
    }

    pub fn part(mut self, part: impl Into<String>) -> Issue {
        self.part = Some(part.into());
        self
    }
}

/// Collects issues: `checks.ensure(p.dt > 0.0, "dt", || format!("must be positive, but is {}", p.dt))`.
#[derive(Debug, Default)]
pub struct Checks(pub Vec<Issue>);

impl Checks {
    pub fn ensure(&mut self, holds: bool, field: &str, message: impl FnOnce() -> String) {
        if !holds {
            self.0.push(Issue::new(field, message()));
        }
    }

    /// Refuses numbers that are not positive, or not finite.
    pub fn positive(&mut self, fields: &[(&str, f64)]) {
        for &(field, value) in fields {
            let good = value > 0.0 && value.is_finite();
            self.ensure(good, field, || format!("must be positive, but is {value}"));
        }
    }

    /// Refuses numbers that are negative, or not finite.
    pub fn not_negative(&mut self, fields: &[(&str, f64)]) {
        for &(field, value) in fields {
            let good = value >= 0.0 && value.is_finite();
            self.ensure(good, field, || format!("must be 0 or more, but is {value}"));
        }
    }

    /// Refuses numbers that are not finite.
    pub fn finite(&mut self, fields: &[(&str, f64)]) {
        for &(field, value) in fields {
            self.ensure(value.is_finite(), field, || format!("must be finite, but is {value}"));
        }
    }

    /// Refuses whole numbers outside a range.
    pub fn range(&mut self, field: &str, value: u64, range: RangeInclusive<u64>) {
        self.ensure(range.contains(&value), field, || {
            format!("must be from {} to {}, but is {value}", range.start(), range.end())
        });
    }
}
