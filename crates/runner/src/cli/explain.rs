//! `onsager explain`.

use crate::cli::common::{self, CliError, Common};
use crate::cli::documents::ExplainTask;
use crate::cli::exit;
use crate::cli::plan as plan_command;
use crate::kind::registry::Registry;
use crate::plan::explanation::Explanation;
use crate::plan::planned::{Verdict, plan};
use crate::run::session;
use crate::store::objects::Outputs;
use clap::Args;
use serde_json::json;
use std::collections::HashSet;

/// Show everything that enters a task's key, its result, and why it would run
///
/// Example: onsager explain experiments/quickstart.yaml law
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Explain {
    #[command(flatten)]
    common: Common,
    /// The task, or a stage for all of its instances
    #[arg(value_name = "TASK")]
    task: String,
}

impl Explain {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        let opened = self.common.session(registry)?;
        let (graph, store) = (opened.graph()?, opened.store());
        let mut resolver = opened.resolver(&graph)?;
        let words = [self.task.clone()];
        let selected = session::select(&graph, &words)?;
        let view = store.view(&graph.name)?;
        let planned = plan(&mut resolver, store, &view, &selected, &HashSet::new())?;
        let mut documents = Vec::new();
        let mut text = String::new();
        for number in graph.select_all(&words)? {
            let Some(task) = &planned[number] else { continue };
            text += &plan_command::describe(task);
            let known = |up: usize| planned[up].as_ref().and_then(|task| task.outputs.as_deref());
            let Explanation { key, material } = match task.verdict {
                Verdict::Fail { .. } | Verdict::Each { .. } => Explanation::default(),
                _ => resolver.explain(number, &known)?,
            };
            let lines = material.lines();
            let shown = key.map_or("not known until its inputs are made".into(), |key| key.to_string());
            text += &format!("  key: {shown}\n  made of:\n");
            for (field, value) in &lines {
                text += &format!("    {field} = {value}\n");
            }
            let outputs: Option<Outputs> = task.outputs.as_ref().map(|contents| {
                let names = graph.tasks[number].outputs.iter().map(|output| output.name.clone());
                names.zip(contents.iter().copied()).collect()
            });
            if let Some(outputs) = &outputs {
                text += "  outputs:\n";
                for (name, content) in outputs {
                    text += &match content.is_absent() {
                        true => format!("    {name}: not written\n"),
                        false => format!("    {name} = {} ({} bytes)\n", content.digest, content.size),
                    };
                }
            }
            documents.push(ExplainTask {
                task: task.task.clone(),
                key,
                verdict: task.verdict.clone(),
                material: lines.into_iter().map(|(field, value)| (field, json!(value))).collect(),
                outputs,
            });
        }
        if self.common.asked.json {
            common::print_json(&documents)
        } else {
            common::print(&text)
        }
        Ok(exit::DONE)
    }
}
