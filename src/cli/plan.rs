//! `onsager plan`.

use super::common::{self, CliError, Common};
use super::exit;
use crate::engine::plan::{self, Planned, Reason, Verdict};
use crate::stages::registry::Registry;
use crate::store::Store;
use clap::Args;
use serde_json::json;
use std::fmt::Write;

/// Show what a run would execute, and why
///
/// Example: onsager plan pipelines/path-action.yaml --set particles=1000000
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Plan {
    #[command(flatten)]
    common: Common,
    /// Plan only these tasks and what they need
    #[arg(value_name = "TASK")]
    tasks: Vec<String>,
    /// Plan as if these tasks had no result; may be repeated
    #[arg(long, value_name = "TASK")]
    force: Vec<String>,
    /// Show the tasks that are up to date too
    #[arg(long)]
    all: bool,
}

impl Plan {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        let graph = self.common.graph(registry)?;
        let store = Store::at(&self.common.artifacts(&graph))?;
        let mut resolver = self.common.resolver(&graph, registry, &store)?;
        let selected = common::select(&graph, &self.tasks)?;
        let forced = common::forced(&graph, &self.force, &selected)?;
        let view = store.view(&graph.name)?;
        let planned: Vec<Planned> =
            plan::plan(&mut resolver, &store, &view, &selected, &forced)?.into_iter().flatten().collect();
        let count = |of: fn(&Verdict) -> bool| planned.iter().filter(|task| of(&task.verdict)).count();
        let execute = count(|verdict| matches!(verdict, Verdict::Execute { .. }));
        let depends = count(|verdict| matches!(verdict, Verdict::Depends { .. }));
        let cached = count(|verdict| matches!(verdict, Verdict::Current | Verdict::Restore));
        if self.common.json {
            common::print_json(&json!({
                "pipeline": graph.name,
                "execute": execute, "depends": depends, "cached": cached,
                "tasks": planned,
            }));
            return Ok(exit::DONE);
        }
        let mut text = String::new();
        for task in &planned {
            if self.all || !matches!(task.verdict, Verdict::Current) {
                // Writing to a String cannot fail.
                let _ = write!(text, "{}", describe(task));
            }
        }
        text += &format!(
            "{}: {execute} to execute, {depends} if what they need changes, {cached} cached\n",
            common::plural(planned.len(), "task")
        );
        common::print(&text);
        Ok(exit::DONE)
    }
}

/// A task of the plan with its reasons.
pub fn describe(task: &Planned) -> String {
    let (head, reasons): (String, &[Reason]) = match &task.verdict {
        Verdict::Current => ("cached".into(), &[]),
        Verdict::Restore => ("cached; its outputs are put back into the view".into(), &[]),
        Verdict::Execute { reasons } => ("execute".into(), reasons),
        Verdict::Depends { on, reasons } => {
            let shown = on.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = if on.len() > 3 { format!(" and {} more", on.len() - 3) } else { String::new() };
            (format!("execute, unless {shown}{more} gives the same bytes as before"), reasons)
        }
    };
    let mut text = format!("{}: {head}\n", task.task);
    for reason in reasons {
        // With every input to be made, a task that never ran has nothing else to say.
        if matches!(task.verdict, Verdict::Depends { .. }) && *reason == Reason::Missing {
            continue;
        }
        text += &format!("    {}\n", because(reason));
    }
    text
}

fn because(reason: &Reason) -> String {
    match reason {
        Reason::New => "never executed before".into(),
        Reason::Missing => "its result is no longer in the store".into(),
        Reason::Forced => "forced".into(),
        Reason::Unfinished => "goes on from a checkpoint of an earlier attempt".into(),
        Reason::Changed(change) => common::change(change),
    }
}
