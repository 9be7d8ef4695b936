//! Why the tasks of a run were executed: what differs from the results that earlier runs of the pipeline had, as `plan` tells it before
//! a run.

use crate::compare::history::{self, Past};
use crate::plan::explanation::changes;
use crate::plan::folders;
use crate::plan::planned::Reason;
use crate::run::account::{Account, Standing};
use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::files::StoreError;
use std::collections::{BTreeMap, HashMap};

/// How many earlier runs are looked at.
const RUNS: usize = 50;

/// Why each task was executed, by its name.
#[derive(Debug, Default)]
pub struct Reasons {
    by_task: HashMap<String, Vec<Reason>>,
}

impl Reasons {
    pub fn read(store: &Store, account: &Account) -> Result<Reasons, StoreError> {
        let executed = |standing: Standing| {
            use Standing::{Executed, Failed, Interrupted, Left, Retrying, Running};
            matches!(standing, Executed | Failed | Interrupted | Left | Retrying | Running)
        };
        let tried = account.tasks.iter().filter(|(_, task)| executed(task.standing));
        let mut open: BTreeMap<&str, Digest> =
            tried.filter_map(|(name, task)| Some((name.as_str(), task.key?))).collect();
        let mut reasons = Reasons::default();
        let past = history::runs(store, Some(&account.pipeline))?;
        let before = past.iter().take_while(|past| past.run != account.run);
        let before: Vec<&Past> = before.collect();
        let forced = account.facts.as_ref().is_some_and(|facts| forces(&facts.arguments));
        for past in before.iter().rev().take(RUNS) {
            if open.is_empty() {
                break;
            }
            let tasks = past.tasks(store)?;
            let mut settled = Vec::new();
            for (task, key) in &open {
                if let Some(old) = tasks.get(*task) {
                    settled.push(*task);
                    let found = because(store, old, key, forced)?;
                    reasons.by_task.insert((*task).to_owned(), found);
                }
            }
            settled.iter().for_each(|task| _ = open.remove(task));
        }
        for task in open.keys() {
            reasons.by_task.insert((*task).to_owned(), vec![Reason::New]);
        }
        for (name, task) in &account.tasks {
            if task.attempts.first().is_some_and(|attempt| attempt.resumed.is_some())
                && let Some(reasons) = reasons.by_task.get_mut(name)
            {
                reasons.push(Reason::Unfinished);
            }
        }
        Ok(reasons)
    }

    /// Why a task was executed; nothing of one that was not.
    pub fn of(&self, task: &str) -> &[Reason] {
        self.by_task.get(task).map_or(&[], Vec::as_slice)
    }
}

fn forces(arguments: &[String]) -> bool {
    let mut words = arguments.iter().take_while(|argument| *argument != "--");
    words.any(|word| word == "--force" || word.starts_with("--force="))
}

/// What differs between the key of an earlier run and that of this one.
fn because(store: &Store, old: &Digest, new: &Digest, forced: bool) -> Result<Vec<Reason>, StoreError> {
    if old == new {
        return Ok(vec![if forced { Reason::Forced } else { Reason::Missing }]);
    }
    let (Some(before), Some(after)) = (store.actions().get(old)?, store.actions().get(new)?) else {
        return Ok(Vec::new());
    };
    let changes = folders::name_files(store, changes(&before.lines(), &after.lines()));
    Ok(changes.into_iter().map(Reason::Changed).collect())
}
