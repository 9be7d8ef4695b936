//! From stages to tasks: matrices expanded, `${…}` substituted, references resolved, tasks ordered.

pub mod apart;
pub mod axes;
pub mod claims;
pub mod draft;
pub mod env;
pub mod fan;
pub mod instance;
pub mod interpolate;
pub mod items;
pub mod link;
pub mod lint;
pub mod matrix;
pub mod metrics;
pub mod numbers;
pub mod order;
pub mod outputs;
pub mod parts;
pub mod product;
pub mod publish;
pub mod tasks;
pub mod when;
