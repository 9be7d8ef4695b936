//! The life of a task.

use crate::store::digest::Digest;

/// Where a task stands in a run. The transitions:
///
/// ```text
///                     ┌──────────────────────────────► Skipped   (something it needs failed, or the run stops)
///                     │
///    Waiting ─────────┼─► Cached                                 (its key has a result)
///       │  every      │
///       │  input known└─► Ready ──► Running ──► Executed
///       │                ▲ │  ▲       │
///       │                │ ▼  │       ├───────► Failed           (an error, a crash, a limit)
///       └────────────► Elsewhere      ├───────► Interrupted      (Ctrl-C: its checkpoint is kept)
///               (another run has it)  ▼
///                             └─── Retrying ──► Failed, Interrupted
///                           (it failed; after a wait it is tried again, unless the run ends before)
/// ```
///
/// A task in `Retrying` becomes `Ready` when its wait is over; it is `Failed`, with what went wrong last, when the run ends before
/// because of another failure.
/// A task in `Elsewhere` becomes `Cached` when the other run has finished it, and `Ready` when the other run gave it up.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskState {
    /// Some of its inputs are not known yet.
    Waiting { missing: usize },
    /// Its key is known and has no result; it waits for threads and memory.
    Ready { key: Digest },
    /// Another run holds the lock of its key.
    Elsewhere { key: Digest },
    /// An attempt failed; it is tried again after a wait.
    Retrying { key: Digest },
    /// A worker computes it.
    Running { key: Digest },
    /// Its result was there.
    Cached { key: Digest },
    /// It was computed in this run.
    Executed { key: Digest },
    /// It went wrong.
    Failed { message: String },
    /// It was stopped on request.
    Interrupted,
    /// It was not tried.
    Skipped,
}

impl TaskState {
    /// The key of the result, where there is one.
    pub fn result(&self) -> Option<Digest> {
        match self {
            TaskState::Cached { key } | TaskState::Executed { key } => Some(*key),
            _ => None,
        }
    }

    /// Whether nothing more will happen to it in this run.
    pub fn is_final(&self) -> bool {
        !matches!(
            self,
            TaskState::Waiting { .. }
                | TaskState::Ready { .. }
                | TaskState::Elsewhere { .. }
                | TaskState::Retrying { .. }
                | TaskState::Running { .. }
        )
    }
}
