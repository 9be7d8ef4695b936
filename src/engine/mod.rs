//! The engine: keys, the life of a task, the scheduler, executors and workers.
//!
//! The scheduler ([`run`]) owns the graph and everything that a user sees; an executor ([`local`]) owns the processes. They
//! talk by the messages of [`protocol`]; what happens is told by the events of [`events`].
//!
//! [`history`] looks back at the records of runs, [`measure`] reads metrics from results; [`gather`] and [`comparison`] make the
//! table of `compare`, [`difference`] tells two runs apart.

pub mod comparison;
pub mod difference;
pub mod events;
pub mod gather;
pub mod history;
pub mod key;
pub mod local;
pub mod measure;
pub mod plan;
pub mod protocol;
pub mod resolve;
pub mod run;
pub mod state;
pub mod worker;
