//! Fits and their intervals.

pub mod counts;
pub mod regression;
