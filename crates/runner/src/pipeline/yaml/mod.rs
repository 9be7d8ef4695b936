//! YAML as a tree of which every part knows its place, and what is said of it.

pub mod diagnostics;
pub mod node;
pub mod sink;
mod syntax;
