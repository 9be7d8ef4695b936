//! Tasks in the making.

use crate::kind::stage::{Output, Tool};
use crate::pipeline::expand::instance::Instance;
use crate::pipeline::graph::Params;
use crate::pipeline::spec::resources::Resources;
use std::ops::Range;
use std::sync::Arc;

/// A task before its inputs are resolved.
#[derive(Debug)]
pub struct Draft {
    pub id: String,
    /// Position in [`Spec::stages`](crate::pipeline::spec::Spec::stages).
    pub stage: usize,
    pub instance: Instance,
    pub params: Params,
    /// None when the parameters have errors, so that the outputs are not known.
    pub outputs: Option<Arc<Vec<Output>>>,
    /// The programs that its kind starts.
    pub tools: Vec<Tool>,
    pub resources: Arc<Resources>,
    pub sandbox: bool,
    /// The draft, and its output, whose items the instance stands for while they are not known.
    pub open: Option<(usize, usize)>,
}

/// All tasks in the order of declaration.
#[derive(Debug, Default)]
pub struct Drafts {
    pub tasks: Vec<Draft>,
    /// The tasks of each stage; none when its matrix has errors.
    pub stages: Vec<Option<Range<usize>>>,
    /// The names of the axes of each stage.
    pub axes: Vec<Vec<String>>,
    /// The stages that fan out over items that are known, by their positions, each with the id of a task that makes them.
    pub fanned: Vec<(usize, String)>,
}
