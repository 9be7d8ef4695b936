//! Workers: processes that compute tasks, and what gives them tasks.

pub mod checkpoints;
pub mod cluster;
pub mod error;
pub mod executor;
pub mod fetch;
pub mod fleet;
pub mod folders;
pub mod local;
pub mod memory;
pub mod protocol;
pub mod rehearsal;
pub mod serve;
