//! Commands that a build leaves out.

use crate::cli::common::CliError;
use clap::Args;

/// A command of a feature that this build does not have.
#[derive(Args)]
pub struct LeftOut {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _words: Vec<String>,
}

impl LeftOut {
    /// Says what is missing, and how to get it.
    pub fn execute(&self, what: &str, feature: &str) -> Result<u8, CliError> {
        Err(CliError::Request(format!(
            "this build of onsager has no {what}: build it with the feature `{feature}`"
        )))
    }
}
