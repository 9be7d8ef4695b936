//! onsager: an experiment-pipeline runner with reproducible artifacts. This is its one public face.
//!
//! A program runs a pipeline, of its own stage kinds too, without the command line:
//!
//! ```no_run
//! use onsager::pipeline::builder::{Pipeline, StageEntry};
//! use onsager::run::events::{Event, Observer};
//! use onsager::run::options::Options;
//! use onsager::run::{session, workers};
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
//!     let registry = onsager::builtin(); // and `registry.add::<MyKind>(fingerprints::of("my-kind"))`
//!     if workers::worker(&registry).is_some() {
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
//! A kind is an implementation of [`kind::stage::Stage`]; `examples/own_stage.rs` has one. For a pipeline's file,
//! [`run::session::Session`] does what `onsager run` does: it keeps the expanded pipeline, sees at once when nothing has changed, and
//! can watch its files and run again.
//! A program that wants the whole command line with its own kinds calls [`cli::main`].
//!
//! With the feature `science` (default) the program has every kind below [`kinds`], and the science itself in [`science`] and
//! [`report`]; without it, the kind `command` alone.

// `fingerprints!` makes the list of a package of its own; the module of this name holds the runner's `command`, and
// `kinds::fingerprints` all else.
pub use onsager_numerics::{kernel, random, statistics};
pub use onsager_runner::{cli, command, compare, fingerprints, kind, pipeline, plan, run, store, worker};

#[cfg(feature = "science")]
pub mod kinds;
#[cfg(feature = "science")]
pub use onsager_report as report;
#[cfg(feature = "science")]
pub use onsager_science as science;

/// The kinds of this build: all that onsager ships, or `command` alone without the feature `science`.
pub fn builtin() -> kind::registry::Registry {
    #[cfg(feature = "science")]
    {
        kinds::builtin()
    }
    #[cfg(not(feature = "science"))]
    {
        onsager_runner::builtin()
    }
}
