//! What goes wrong between here and a remote store. Nothing that a server sends back is repeated but its own short codes: an answer may
//! hold what must not be told.

use crate::store::digest::Digest;
use crate::store::files::StoreError;
use crate::store::remote::place::PlaceFault;
use crate::store::remote::record::NoRecord;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    #[error("no answer ({message})")]
    Unreachable { message: String },
    #[error("it answers {status}{}", told(.code))]
    Answer { status: u16, code: String, after: Option<Duration> },
    #[error("it refuses access ({status}{}): check the credentials, and what they allow", told(.code))]
    Denied { status: u16, code: String },
    #[error("no credentials were found: set them in the environment, as docs/remote.md tells")]
    NoCredentials,
    #[error("there is no such bucket or container ({code})")]
    NoBucket { code: String },
    #[error("other bytes came than were announced ({message})")]
    Length { message: String },
    #[error("it can only be read")]
    ReadOnly,
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{message}")]
    Other { message: String },
}

/// A server's code, behind a comma.
fn told(code: &str) -> String {
    if code.is_empty() { String::new() } else { format!(" `{code}`") }
}

impl TransportError {
    /// For `map_err`: what was being done to which path.
    pub fn io(action: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> TransportError {
        move |source| TransportError::Io { action, path: path.to_owned(), source }
    }

    /// Whether the same request may do a little later.
    pub fn is_passing(&self) -> bool {
        match self {
            TransportError::Unreachable { .. } | TransportError::Length { .. } => true,
            TransportError::Answer { status, .. } => *status >= 500 || matches!(status, 408 | 409 | 429),
            _ => false,
        }
    }

    /// How long the server asks to wait.
    pub fn after(&self) -> Option<Duration> {
        match self {
            TransportError::Answer { after, .. } => *after,
            _ => None,
        }
    }
}

/// Why something was not done with a remote store.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("remote `{remote}`: {fault}")]
    Place { remote: String, fault: PlaceFault },
    #[error("cannot {action} remote `{remote}`: {source}")]
    Transport { remote: String, action: &'static str, source: TransportError },
    #[error("cannot {action} `{name}` of remote `{remote}`: {source}")]
    Object { remote: String, action: &'static str, name: String, source: TransportError },
    #[error(
        "nothing was pushed to remote `{remote}` yet: `onsager push` does, from a project that has results"
    )]
    Empty { remote: String },
    #[error("`format.json` of remote `{remote}` is not that of a remote store of onsager: {message}")]
    NotARemote { remote: String, message: String },
    #[error("remote `{remote}` has version {version}, and this program reads version 1: use a newer onsager")]
    Version { remote: String, version: u64 },
    #[error(
        "`{name}` of remote `{remote}` was written by a newer onsager, so what it needs is not known here: clean with that one"
    )]
    Newer { remote: String, name: String },
    #[error(
        "results that go to remote `{remote}` are signed, and there is no key: `onsager key new` makes one, once for all projects"
    )]
    NoKey { remote: String },
    #[error(
        "records of remote `{remote}` have the names of their content, which a web server cannot list: use `s3://`, `gs://` or `az://`"
    )]
    NotListed { remote: String },
    #[error("remote `{remote}` can only be read: push to its bucket by `s3://`, `gs://` or `az://`")]
    ReadOnly { remote: String },
    #[error(
        "`{name}` of remote `{remote}` is damaged: {message}; `onsager remote verify {remote}` removes it"
    )]
    Damaged { remote: String, name: String, message: String },
    #[error("record `{name}` of remote `{remote}` does not count: {fault}")]
    Record { remote: String, name: String, fault: NoRecord },
    #[error(
        "remote `{remote}` has no run `{run}`: `onsager push {run}` sends it, from the project that made it"
    )]
    NoRun { remote: String, run: String },
    #[error("the run `{run}` of remote `{remote}` does not count: {message}")]
    Run { remote: String, run: String, message: String },
    #[error(
        "object {digest} of `{task}` is neither in the store nor on remote `{remote}`: run the pipeline again"
    )]
    NoObject { remote: String, task: String, digest: Digest },
    #[error("{bytes} bytes do not fit on the disk, which has {free} left")]
    NoRoom { bytes: u64, free: u64 },
    #[error("remote `{remote}` is being cleaned by `{host}`: try again when that is done")]
    Cleaning { remote: String, host: String },
    #[error(
        "`{host}` writes to remote `{remote}` just now: try again when that is done; the mark of a push that was killed is passed \
         over an hour later"
    )]
    Pushing { remote: String, host: String },
    #[error("remote `{remote}` was cleaned while this push slept: give the same command again")]
    Cleaned { remote: String },
    #[error("interrupted; give the same command to go on")]
    Interrupted,
}

impl RemoteError {
    /// Whether nobody can be reached there now.
    pub fn is_offline(&self) -> bool {
        match self {
            RemoteError::Transport { source, .. } | RemoteError::Object { source, .. } => {
                matches!(source, TransportError::Unreachable { .. })
            }
            _ => false,
        }
    }
}
