//! From stages to tasks: matrices expanded, `${…}` substituted, references resolved, tasks ordered.

pub mod interpolate;
pub mod link;
pub mod matrix;
pub mod order;
pub mod tasks;
