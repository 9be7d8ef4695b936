//! From stages to tasks: matrices expanded, `${…}` substituted, references resolved, tasks ordered.

pub mod apart;
pub mod instance;
pub mod interpolate;
pub mod items;
pub mod link;
pub mod lint;
pub mod matrix;
pub mod metrics;
pub mod order;
pub mod tasks;
pub mod when;
