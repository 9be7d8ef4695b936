//! From a YAML file to a checked graph of tasks.
//!
//! The way of a file: [`yaml::node`] parses the YAML into a tree in which every key and value knows its place;
//! [`experiments::overrides`] lays parameters files and `--set` values over it; [`spec`] reads the tree into pipeline and stages;
//! [`expand::matrix`] expands each stage into instances; [`expand::tasks`] substitutes `${…}` ([`expand::interpolate`]) and lets the
//! kinds parse their parameters ([`spec::checks`]); [`expand::link`] resolves the references ([`spec::reference`]) and orders the tasks
//! ([`expand::order`]). Every step reports to one [`yaml::sink`], so that all errors of a file are shown at once
//! ([`yaml::diagnostics`]). The outcome is a [`graph::Graph`].
//!
//! An [`experiments::experiment`] names a pipeline and what to lay over it; its [`experiments::sweep`] gives many settings,
//! [`experiments::points`], which become one graph. [`spec::metrics`] name the numbers to compare them by.
//!
//! [`builder`] makes a graph in a program, without a file; [`template`] writes the files of a new project;
//! [`dvc`] makes a pipeline file of a `dvc.yaml`.

pub mod assemble;
pub mod builder;
pub mod condition;
pub mod dvc;
pub mod expand;
pub mod experiments;
pub mod files;
pub mod graph;
pub mod include;
pub mod load;
pub mod project;
pub mod schema;
pub mod shared;
pub mod spec;
pub mod template;
pub mod yaml;

#[cfg(test)]
mod tests;
