//! What must have the same bits on every machine: kernel levels, counter-based random streams, distributions and their intervals.

pub mod arithmetic;
pub mod kernel;
pub mod random;
pub mod statistics;
