//! The state of the project's files as git knows it. Git is asked beside the run, which never waits for it while it has something to do.

use crate::store::digest::Digest;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// What was checked out, and how the files differ from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    pub commit: String,
    /// None where no branch is checked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Whether files that git knows differ from the commit.
    pub dirty: bool,
    /// The digest of what `git diff` tells of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<Digest>,
}

/// A question to git.
#[derive(Debug)]
pub struct Asked(Option<Receiver<Commit>>);

impl Asked {
    /// About the files of this folder. Where there is no git, or the folder is in no repository, there is no answer.
    pub fn about(folder: &Path) -> Asked {
        let folder = folder.to_owned();
        let (sender, receiver) = mpsc::channel();
        let ask = move || {
            if let Some(commit) = commit(&folder) {
                // The run may be over.
                let _ = sender.send(commit);
            }
        };
        let started = std::thread::Builder::new().name("git".into()).spawn(ask);
        Asked(started.ok().map(|_| receiver))
    }

    /// The answer, once, waiting at most this long.
    pub fn answer(&mut self, wait: Duration) -> Option<Commit> {
        match self.0.as_ref()?.recv_timeout(wait) {
            Err(mpsc::RecvTimeoutError::Timeout) => None,
            answered => {
                self.0 = None;
                answered.ok()
            }
        }
    }
}

fn commit(folder: &Path) -> Option<Commit> {
    let status = git(folder, &["status", "--porcelain=v2", "--branch", "--untracked-files=no"])?;
    let status = String::from_utf8_lossy(&status);
    let said = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    // Before the first commit it says `(initial)`, without a branch `(detached)`.
    let of = |name: &str| said(name).filter(|word| !word.starts_with('(')).map(str::to_owned);
    let dirty = status.lines().any(|line| !line.starts_with('#'));
    let differs =
        ["diff", "--binary", "--full-index", "--no-ext-diff", "--no-textconv", "--no-color", "HEAD"];
    Some(Commit {
        commit: of("# branch.oid ")?,
        branch: of("# branch.head "),
        dirty,
        difference: dirty.then(|| git(folder, &differs)).flatten().map(|text| Digest::of(&text)),
    })
}

/// What git says; nothing where it fails.
fn git(folder: &Path, words: &[&str]) -> Option<Vec<u8>> {
    // It takes no lock, and runs no program that a repository names.
    let settings =
        ["core.fsmonitor=false", "diff.noprefix=false", "diff.mnemonicPrefix=false", "diff.renames=false"];
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(settings.iter().flat_map(|setting| ["-c", *setting])).args(words);
    // Those of a hook mean another repository.
    ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"].iter().for_each(|name| _ = command.env_remove(name));
    command.env("GIT_OPTIONAL_LOCKS", "0").env("LC_ALL", "C").stdin(Stdio::null()).stderr(Stdio::null());
    let done = command.output().ok()?;
    done.status.success().then_some(done.stdout)
}
