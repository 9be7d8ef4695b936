//! From a YAML file to a checked graph of tasks.
//!
//! The way of a file: [`node`] parses the YAML into a tree in which every key and value knows its place; [`overrides`] lays
//! the `--set` values over it; [`spec`] reads the tree into pipeline and stages; [`matrix`] expands each stage into
//! instances; [`tasks`] substitutes `${…}` ([`interpolate`]) and lets the kinds parse their parameters ([`checks`]); [`link`]
//! resolves the references ([`reference`](mod@reference)) and orders the tasks ([`order`]). Every step reports to one sink, so that all errors of
//! a file are shown at once ([`diagnostics`]). The outcome is a [`graph::Graph`].
//! [`builder`] makes one in a program, without a file; [`template`]
//! writes the files of a new project.

pub mod builder;
pub mod checks;
pub mod diagnostics;
pub mod graph;
pub mod interpolate;
pub mod link;
pub mod load;
pub mod matrix;
pub mod node;
pub mod order;
pub mod overrides;
pub mod reference;
pub mod resources;
pub mod schema;
pub mod sink;
pub mod spec;
pub mod tasks;
pub mod template;

#[cfg(test)]
mod tests;
