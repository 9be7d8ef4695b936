//! Why a command failed.

use crate::command::shell::fill::FillError;
use crate::kind::error::StageError;
use std::process::ExitStatus;

#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("the command failed ({status})")]
    Failed { status: ExitStatus, sandboxed: bool },
    #[error(transparent)]
    Fill(FillError),
    #[error("`${{{name}}}` names nothing that the stage has")]
    Unknown { name: String },
    #[error("there is no program `{name}` on PATH")]
    NoProgram { name: String },
    #[error("the command was lost")]
    Lost,
    #[error("this kernel cannot confine commands: it has no Landlock, or it is turned off")]
    NoLandlock,
    #[cfg(target_os = "linux")]
    #[error("the command cannot be confined: {0}")]
    Landlock(#[from] landlock::RulesetError),
}

impl CommandError {
    fn help(&self) -> Option<&'static str> {
        match self {
            CommandError::Fill(error) => Some(error.reason.help()),
            CommandError::Unknown { .. } => Some("declare it under `inputs` or `outputs`"),
            CommandError::NoProgram { .. } => {
                Some("install it, or add its folder to PATH, also in the stage's `env`")
            }
            CommandError::Failed { sandboxed: true, .. } => Some(
                "the stage is sandboxed: `Permission denied` in its log means that a file is not declared; add it to the stage's \
                 `inputs`, like `script: {file: fit.py}`, and write only to `${outputs.…}`, `${checkpoint}` and `$TMPDIR`",
            ),
            CommandError::NoLandlock => Some(
                "run without `sandbox: true` and `--sandbox`, or on Linux 5.13 or newer with `landlock` among its `lsm=`",
            ),
            _ => None,
        }
    }

    /// The same with its advice.
    pub fn advised(self) -> StageError {
        match self.help() {
            Some(help) => StageError::with_help(self, help),
            None => self.into(),
        }
    }
}
