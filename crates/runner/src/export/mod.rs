//! Runs in the forms of other programs.

pub mod event_file;
pub mod mlflow;
pub mod ro_crate;
pub mod server;
pub mod tensorboard;
