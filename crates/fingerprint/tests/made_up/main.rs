//! Fingerprints of made-up packages: one rule at a time.

mod common;
mod crates;
mod digests;
mod errors;
mod features;
mod interfaces;
mod kinds;
mod paths;
mod programs;
mod reexports;
mod runner;
mod script;
mod workspace;
