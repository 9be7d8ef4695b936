//! Why a command failed.

use crate::command::packages::packages;
use crate::command::shell::fill::FillError;
use crate::kind::error::StageError;
use onsager_tables::names::either;
use std::path::PathBuf;
use std::process::ExitStatus;

/// A tool that does not say what it is.
#[derive(Debug, thiserror::Error)]
#[error("the tool `{command}` does not say what it is: {reason}; {}", advice(.command))]
pub struct ToolError {
    pub command: String,
    pub reason: String,
}

fn advice(command: &str) -> String {
    match packages(command.split_whitespace().next().unwrap_or_default()) {
        Some(packages) => format!("install {packages}"),
        None => "install it, or correct the stage's `tools`".to_owned(),
    }
}

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
    #[error("there is no {} on PATH", either(.programs))]
    NoEnvironment { programs: Vec<&'static str> },
    #[error("the environment could not be made: `{program}` failed")]
    Environment { program: String },
    #[error("`{}` cannot be handed to a container: its path has a `:` or a `,`", .path.display())]
    Unmountable { path: PathBuf },
    #[error("`{program}` takes no script from a file, which conda needs")]
    NoFile { program: String },
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
            CommandError::NoEnvironment { .. } => {
                Some("install one of them, or remove `environment` from the stage")
            }
            CommandError::Environment { .. } => {
                Some("its log says why: correct the file that the environment is made from")
            }
            CommandError::Unmountable { .. } => Some("move the project to a folder without these signs"),
            CommandError::NoFile { .. } => Some("write `shell: [program, -c]`, or leave `shell` out"),
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
