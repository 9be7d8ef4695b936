//! Tasks on a cluster: jobs of its scheduler that each host a pilot, which hosts workers.
//!
//! The coordinator (`executor.rs`) submits jobs by an engine (`slurm.rs`, `commands.rs`), and gives tasks to the pilots (`pilot.rs`)
//! that have begun. The two talk by files in the store (`mailbox.rs`).

pub mod commands;
pub mod desk;
pub mod detach;
pub mod engine;
pub mod engines;
pub mod error;
pub mod executor;
pub mod inherited;
pub mod jobs;
pub mod mailbox;
pub mod messages;
pub mod orphans;
pub mod overview;
pub mod pilot;
pub mod pilots;
pub mod place;
pub mod slurm;

mod assign;
mod heard;
mod submit;
