//! The life of a task. `docs/engine.md` draws it; a test compares the drawing with [`TRANSITIONS`].

use crate::store::digest::Digest;

/// Where a task stands in a run.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskState {
    /// Some of its inputs are not known yet, or have to be made again.
    Waiting { missing: usize },
    /// Its key is known; it waits for threads, memory and places.
    Ready { key: Digest },
    /// Another run holds the lock of its key.
    Elsewhere { key: Digest },
    /// A worker computes it.
    Running { key: Digest },
    /// An attempt failed; it is tried again after a wait.
    Retrying { key: Digest },
    /// Its result was there.
    Cached { key: Digest },
    /// It was computed in this run.
    Executed { key: Digest },
    /// It went wrong.
    Failed { message: String },
    /// It was stopped on request.
    Interrupted,
    /// The pipeline says that it is not to run: its condition does not hold, or nothing of an input is there.
    Skipped { because: String },
    /// It was not tried.
    NotRun,
}

/// A state without its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    Waiting,
    Ready,
    Elsewhere,
    Running,
    Retrying,
    Cached,
    Executed,
    Failed,
    Interrupted,
    Skipped,
    NotRun,
}

/// Every way from one state to another. A task begins as `Waiting`.
pub const TRANSITIONS: [(Phase, Phase); 25] = [
    // Its inputs are known: it has a result, or is to be executed, or its key cannot be computed, or it is not to run.
    (Phase::Waiting, Phase::Skipped),
    (Phase::Waiting, Phase::Cached),
    (Phase::Waiting, Phase::Ready),
    (Phase::Waiting, Phase::Failed),
    (Phase::Waiting, Phase::NotRun),
    // There is room for it. Just before it starts, another run may have it, or have made its result; its inputs may be gone.
    (Phase::Ready, Phase::Running),
    (Phase::Ready, Phase::Elsewhere),
    (Phase::Ready, Phase::Cached),
    (Phase::Ready, Phase::Waiting),
    (Phase::Ready, Phase::Failed),
    (Phase::Ready, Phase::NotRun),
    // The other run has let go of it.
    (Phase::Elsewhere, Phase::Ready),
    (Phase::Elsewhere, Phase::NotRun),
    // The attempt has ended.
    (Phase::Running, Phase::Executed),
    (Phase::Running, Phase::Failed),
    (Phase::Running, Phase::Interrupted),
    (Phase::Running, Phase::Retrying),
    // It did not begin: an input turned out to be damaged, and is made again first.
    (Phase::Running, Phase::Ready),
    // The wait is over, or the run ends before.
    (Phase::Retrying, Phase::Ready),
    (Phase::Retrying, Phase::Failed),
    (Phase::Retrying, Phase::Interrupted),
    // Somebody asks for another try while the run goes on.
    (Phase::Failed, Phase::Waiting),
    (Phase::Interrupted, Phase::Waiting),
    // The store lacks the bytes of its result, and a task that is about to start needs them.
    (Phase::Cached, Phase::Ready),
    (Phase::Executed, Phase::Ready),
];

impl TaskState {
    pub fn phase(&self) -> Phase {
        match self {
            TaskState::Waiting { .. } => Phase::Waiting,
            TaskState::Ready { .. } => Phase::Ready,
            TaskState::Elsewhere { .. } => Phase::Elsewhere,
            TaskState::Running { .. } => Phase::Running,
            TaskState::Retrying { .. } => Phase::Retrying,
            TaskState::Cached { .. } => Phase::Cached,
            TaskState::Executed { .. } => Phase::Executed,
            TaskState::Failed { .. } => Phase::Failed,
            TaskState::Interrupted => Phase::Interrupted,
            TaskState::Skipped { .. } => Phase::Skipped,
            TaskState::NotRun => Phase::NotRun,
        }
    }

    /// The key of the result, where there is one.
    pub fn result(&self) -> Option<Digest> {
        match self {
            TaskState::Cached { key } | TaskState::Executed { key } => Some(*key),
            _ => None,
        }
    }
}

impl Phase {
    /// Whether a run can end with it.
    pub fn is_final(self) -> bool {
        use Phase::*;
        matches!(self, Cached | Executed | Failed | Interrupted | Skipped | NotRun)
    }

    /// Whether what reads its outputs may go on.
    pub fn is_settled(self) -> bool {
        matches!(self, Phase::Cached | Phase::Executed | Phase::Skipped)
    }

    pub fn name(self) -> &'static str {
        match self {
            Phase::Waiting => "Waiting",
            Phase::Ready => "Ready",
            Phase::Elsewhere => "Elsewhere",
            Phase::Running => "Running",
            Phase::Retrying => "Retrying",
            Phase::Cached => "Cached",
            Phase::Executed => "Executed",
            Phase::Failed => "Failed",
            Phase::Interrupted => "Interrupted",
            Phase::Skipped => "Skipped",
            Phase::NotRun => "NotRun",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn page() -> String {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/engine.md");
        std::fs::read_to_string(path).unwrap()
    }

    /// The pairs that lines of the page name: before and after `arrow`, the second up to the first thing that is no letter.
    fn pairs(arrow: &str, start: &str, end: &str) -> Vec<(String, String)> {
        let words = |line: &str| {
            let (from, to) = line.strip_prefix(start)?.split_once(arrow)?;
            let word = |text: &str| text.trim().chars().take_while(|c| c.is_alphabetic()).collect::<String>();
            line.ends_with(end).then(|| (word(from), word(to)))
        };
        let named = |(from, to): &(String, String)| !from.is_empty() && !to.is_empty();
        page().lines().filter_map(|line| words(line.trim())).filter(named).collect()
    }

    fn assert_transitions(found: Vec<(String, String)>) {
        let known: BTreeSet<_> =
            TRANSITIONS.iter().map(|(from, to)| (from.name().to_owned(), to.name().to_owned())).collect();
        assert_eq!(known.len(), TRANSITIONS.len(), "a transition is listed twice");
        assert_eq!(found.len(), known.len());
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), known);
    }

    #[test]
    fn the_drawing_has_exactly_these_transitions() {
        assert_transitions(pairs(" --> ", "", ""));
    }

    #[test]
    fn the_table_names_a_test_for_each_transition() {
        assert_transitions(pairs(" → ", "| ", " |"));
        let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/src/run/tests/transitions.rs");
        let tests = std::fs::read_to_string(tests).unwrap();
        for row in page().lines().filter(|line| line.starts_with("| ") && line.contains(" → ")) {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let name = cells[3].trim_matches('`');
            assert!(tests.contains(&format!("fn {name}()")), "{row}");
        }
    }

    #[test]
    fn only_a_result_or_a_request_leads_out_of_a_final_state() {
        for (from, to) in TRANSITIONS {
            if from.is_final() {
                let again = matches!(from, Phase::Failed | Phase::Interrupted) && to == Phase::Waiting;
                let lost = matches!(from, Phase::Cached | Phase::Executed) && to == Phase::Ready;
                assert!(again || lost);
            }
        }
    }
}
