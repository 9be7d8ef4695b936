//! Tasks executed again and compared: for `store verify --rerun`, and for `store import --check`.

use crate::cli::common::{CliError, duration};
use crate::cli::documents::RerunTask;
use crate::cli::exit;
use crate::pipeline::graph::Graph;
use crate::plan::planned;
use crate::run::rerun::{self, Comparison, Rerun, Scratch};
use crate::run::session::Session;
use crate::run::workers;
use crate::store::actions::Action;
use crate::store::digest::Digest;
use crate::store::files;
use std::collections::HashSet;

/// What came of it.
pub struct Again {
    pub documents: Vec<RerunTask>,
    pub text: String,
    /// Done, failed where an output differs or a task cannot be executed, or interrupted.
    pub code: u8,
}

/// The tasks of the pipeline as it is now that have a result which is to count, with their keys.
pub fn known(
    opened: &Session,
    graph: &Graph,
    counts: impl Fn(&Action) -> bool,
) -> Result<Vec<(usize, Digest)>, CliError> {
    let store = opened.store();
    let all = vec![true; graph.tasks.len()];
    let mut resolver = opened.resolver(graph)?;
    let plan = planned::plan(&mut resolver, store, &store.view(&graph.name)?, &all, &HashSet::new())?;
    let mut known = Vec::new();
    for (number, planned) in plan.into_iter().enumerate() {
        if let Some(key) = planned.and_then(|planned| planned.key)
            && let Some(action) = store.actions().get(&key)?
            && counts(&action)
        {
            known.push((number, key));
        }
    }
    Ok(known)
}

/// Executes these tasks again, one after the other, and compares their bytes with those in the session's store.
pub fn rerun(opened: &Session, graph: &Graph, tasks: &[usize]) -> Result<Again, CliError> {
    opened.make_store()?;
    let store = opened.store();
    let mut resolver = opened.resolver(graph)?;
    let (work, _lock) = store.start_work(&format!("rerun-{}", files::random()))?;
    let scratch = Scratch::new(&work, store)?;
    let interrupts = workers::interrupts()?;
    let mut executor = workers::local(&scratch.store, opened.level()?, "text", work.join("workers.log"))?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut again = Again { documents: Vec::new(), text: String::new(), code: exit::DONE };
    for number in tasks {
        let id = &graph.tasks[*number].id;
        let done =
            rerun::rerun(&mut resolver, store, *number, &scratch, &mut executor, threads, &interrupts)?;
        again.text += &comparison_text(id, &done);
        again.code = again.code.max(match &done {
            Rerun::Compared { outputs, .. } => {
                let same = outputs.iter().all(|output| output.comparison == Comparison::Same);
                if same { exit::DONE } else { exit::FAILED }
            }
            Rerun::Interrupted => exit::INTERRUPTED,
            _ => exit::FAILED,
        });
        again.documents.push(RerunTask { task: id.clone(), rerun: done });
        if again.code == exit::INTERRUPTED {
            break;
        }
    }
    drop(executor);
    files::remove(&work)?;
    Ok(again)
}

fn comparison_text(task: &str, done: &Rerun) -> String {
    match done {
        Rerun::Compared { seconds, outputs } => {
            let differ = outputs.iter().filter(|output| output.comparison != Comparison::Same);
            let lines: String = differ
                .map(|output| {
                    format!(
                        "{task}: output `{}` differs: {}\n",
                        output.output,
                        difference(&output.comparison)
                    )
                })
                .collect();
            if lines.is_empty() { format!("{task}: same bytes ({})\n", duration(*seconds)) } else { lines }
        }
        Rerun::Failed { message, help } => {
            format!("{task}: failed: {message}\n")
                + &help.as_ref().map_or(String::new(), |help| format!("  help: {help}\n"))
        }
        Rerun::Interrupted => format!("{task}: interrupted\n"),
        Rerun::NoResult => {
            format!("{task}: the store has no result to compare with; run the pipeline first\n")
        }
        Rerun::NoInput { input } => {
            format!("{task}: input `{input}` is no longer in the store; run what makes it with `--force`\n")
        }
    }
}

fn difference(comparison: &Comparison) -> String {
    match comparison {
        Comparison::Same => "not at all".to_owned(),
        Comparison::Line { line, stored, new } => {
            let shown = |text: &Option<String>| {
                text.as_ref().map_or("the end".to_owned(), |text| format!("`{text}`"))
            };
            format!("line {line} was {} and is {}", shown(stored), shown(new))
        }
        Comparison::Byte { byte, stored_size, new_size } => {
            format!("byte {byte} is the first that differs; it had {stored_size} bytes and has {new_size}")
        }
        Comparison::Inside { path, comparison: None } => format!("only one of them has `{path}`"),
        Comparison::Inside { path, comparison: Some(inner) } => format!("`{path}`: {}", difference(inner)),
        Comparison::Executable { new: true } => "it is executable now, and was not".to_owned(),
        Comparison::Executable { new: false } => "it was executable, and is not any more".to_owned(),
        Comparison::Written { new: true } => "it was not written, and is now".to_owned(),
        Comparison::Written { new: false } => "it was written, and is not now".to_owned(),
        Comparison::Collected => "the stored bytes were collected, and the digest is another".to_owned(),
    }
}
