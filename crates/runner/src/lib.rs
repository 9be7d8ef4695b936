//! The runner of onsager: pipelines in YAML become a graph of tasks; each task has a content-hashed key; what the store does not
//! know is executed in worker processes. The kind `command` runs any program; `latex` builds a document.
//!
//! The modules, from the user down to the bytes; each uses only those below it.

pub mod cli;
pub mod command;
pub mod compare;
pub mod config;
pub mod export;
pub mod kind;
pub mod latex;
pub mod numbers;
pub mod pages;
pub mod paper;
pub mod pipeline;
pub mod plan;
pub mod run;
#[cfg(feature = "serve")]
pub mod serve;
pub mod store;
pub mod trust;
pub mod values;
pub mod words;
pub mod worker;

crate::fingerprints!();

/// The kinds that the runner itself has: `command`, `latex` and `values`.
pub fn builtin() -> kind::registry::Registry {
    let mut registry = kind::registry::Registry::empty();
    registry.add::<command::CommandStage>(fingerprints::of("command"));
    registry.add::<latex::LatexStage>(fingerprints::of("latex"));
    registry.add::<values::Values>(fingerprints::of("values"));
    registry
}
