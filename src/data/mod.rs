//! (being written)
pub mod dataset;
