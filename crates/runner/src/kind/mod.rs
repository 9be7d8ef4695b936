//! What a stage kind is: the trait that it implements, what it sees while it runs, and the list of kinds.

pub mod context;
pub mod error;
pub mod fields;
pub mod fingerprints;
pub mod reference;
pub mod registry;
pub mod stage;
pub mod trial;
