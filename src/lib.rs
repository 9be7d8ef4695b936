//! onsager: an experiment-pipeline runner with reproducible artifacts.
//!
//! A program runs a pipeline, of its own stage kinds too, without the command line:
//!
//! ```no_run
//! use onsager::engine::events::{Event, Observer};
//! use onsager::engine::run::Options;
//! use onsager::engine::session;
//! use onsager::pipeline::builder::{Pipeline, StageEntry};
//! use onsager::store::Store;
//! use std::error::Error;
//! use std::path::Path;
//!
//! struct Silent;
//!
//! impl Observer for Silent {
//!     fn event(&mut self, _: &Event) {}
//! }
//!
//! fn main() -> Result<(), Box<dyn Error>> {
//!     let registry = onsager::stages::builtin(); // and `registry.add::<MyKind>("version 1")`
//!     if session::worker(&registry).is_some() {
//!         return Ok(()); // tasks run in processes of this very program
//!     }
//!     let hello = StageEntry::command("hello", "echo hello > ${outputs.text}").output("text", "hello.txt");
//!     let graph = Pipeline::new("greeting").stage(hello).graph(Path::new("."), &registry)?;
//!     let store = Store::open(Path::new("artifacts"))?;
//!     session::run(&graph, &registry, &store, &Options::all(&graph), &mut Silent)?;
//!     println!("{:?}", session::output(&graph, &store, &graph.tasks[0], "text"));
//!     Ok(())
//! }
//! ```
//!
//! A kind is an implementation of [`stages::stage::Stage`]; `examples/own_stage.rs` has one. [`pipeline::load`] reads a file instead.
//! A program that wants the whole command line with its own kinds calls [`cli::main`].
//!
//! The modules, from the user down to the numbers; each uses only those below it.

pub mod cli;
pub mod engine;
pub mod pipeline;
pub mod stages;
pub mod store;

pub mod data;
pub mod diffusion;
pub mod kernel;
pub mod metrics;
pub mod motion;
pub mod nn;
pub mod random;
pub mod report;
