//! A run as one file that others can open: a zip that is a Provenance Run Crate, with a page, and what an import needs.

pub mod actions;
pub mod citation;
pub mod croissant;
pub mod entities;
pub mod layout;
pub mod media;
pub mod metadata;
pub mod preview;
pub mod secrets;
pub mod told;
pub mod write;
