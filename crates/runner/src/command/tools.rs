//! What programs say of themselves: the answer of `python3 --version` is part of what a result is computed with.

use crate::command::error::ToolError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A command that tells the version of a program, and where it is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Question {
    pub command: String,
    /// The stage's own variables: its PATH may lead to another program.
    pub env: BTreeMap<String, String>,
    #[serde(with = "crate::store::names")]
    pub root: PathBuf,
}

/// A longer answer is no version.
const LONGEST: usize = 16 << 10;

impl Question {
    pub fn new(command: &str, params: &serde_json::Value, root: &Path) -> Question {
        let text =
            |(name, value): (&String, &serde_json::Value)| Some((name.clone(), value.as_str()?.to_owned()));
        let env = params.get("env").and_then(serde_json::Value::as_object);
        let env = env.into_iter().flatten().filter_map(text).collect();
        Question { command: command.to_owned(), env, root: root.to_owned() }
    }

    /// What it prints, without blanks around it; what it complains of, where it prints nothing.
    pub fn ask(&self) -> Result<String, ToolError> {
        let fail = |reason: String| ToolError { command: self.command.clone(), reason };
        let mut command = Command::new("/bin/sh");
        command.args(["-e", "-c", "--", &self.command]).envs(&self.env).current_dir(&self.root);
        let output = command.stdin(Stdio::null()).output().map_err(|error| fail(error.to_string()))?;
        let said =
            [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
        let [printed, complained] = said;
        if !output.status.success() {
            let last = complained.lines().last().unwrap_or_default();
            return Err(fail(format!("{}: {last}", output.status)));
        }
        let answer = if printed.is_empty() { complained } else { printed };
        match answer.len() {
            0 => Err(fail("it prints nothing".to_owned())),
            length if length > LONGEST => Err(fail(format!("it prints more than {} KiB", LONGEST >> 10))),
            _ => Ok(answer),
        }
    }
}
