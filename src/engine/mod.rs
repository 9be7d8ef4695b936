//! The engine: keys, the life of a task, the scheduler, executors and workers.
//!
//! The scheduler ([`run`]) owns the graph and everything that a user sees; an executor ([`local`]) owns the processes. They
//! talk by the messages of [`protocol`]; what happens is told by the events of [`events`]. [`session`] puts them together for a run.
//! [`drawing`] makes a picture of a [`plan`], laid out by [`layers`].
//!
//! [`history`] looks back at the records of runs, [`measure`] reads metrics from results; [`gather`] and [`comparison`] make the
//! table of `compare`, [`difference`] tells two runs apart.

pub mod checkpoints;
pub mod comparison;
pub mod difference;
pub mod drawing;
pub mod events;
pub mod folders;
pub mod gather;
pub mod graph_cache;
pub mod history;
pub mod key;
pub mod layers;
pub mod local;
pub mod measure;
pub mod memory;
pub mod plan;
pub mod pools;
pub mod protocol;
pub mod rerun;
pub mod resolve;
pub mod retry;
pub mod run;
pub mod session;
pub mod state;
pub mod unchanged;
pub mod watch;
pub mod worker;
