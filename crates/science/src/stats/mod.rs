//! Fits and their intervals.

pub mod regression;
