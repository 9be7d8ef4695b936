//! `onsager plan`.

use crate::cli::common::{self, CliError, Common};
use crate::cli::documents::PlanDocument;
use crate::cli::exit;
use crate::cli::progress::notice_text;
#[cfg(not(feature = "remote"))]
use crate::cli::remote::choice::Asker;
use crate::cli::remote::choice::Choice;
use crate::kind::registry::Registry;
use crate::pipeline::graph::Graph;
use crate::plan::drawing::Drawing;
use crate::plan::picture;
use crate::plan::planned::{Far, Planned, Reason, Verdict, plan_with};
use crate::run::session::{self, Session};
use crate::store::Store;
#[cfg(feature = "remote")]
use crate::store::remote::ask::Asker;
use clap::Args;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;

/// Show what a run would execute, and why
///
/// Examples:
///   onsager plan pipelines/path-action.yaml --set particles=1000000
///   onsager plan pipelines/path-action.yaml --format svg -o plan.svg
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Plan {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    choice: Choice,
    /// Plan only these tasks and what they need
    #[arg(value_name = "TASK")]
    tasks: Vec<String>,
    /// Plan as if these tasks had no result; may be repeated
    #[arg(long, value_name = "TASK")]
    force: Vec<String>,
    /// Show the tasks that are up to date too
    #[arg(long)]
    all: bool,
    /// The form: text, or the graph as a picture, with a matrix as one node
    #[arg(long, value_enum, default_value = "text", conflicts_with = "json")]
    format: Format,
    /// Draw every task, not a matrix as one node
    #[arg(long)]
    ungrouped: bool,
    /// Write to this file, not to standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    /// For Graphviz
    Dot,
    /// For Markdown pages
    Mermaid,
    Svg,
}

impl Plan {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        let opened = self.common.session(registry)?;
        let (graph, planned) = self.planned(&opened)?;
        let drawing = || Drawing::new(&graph, &planned, !self.ungrouped);
        match self.format {
            Format::Text => {}
            Format::Dot => return self.write(&drawing().dot()),
            Format::Mermaid => return self.write(&drawing().mermaid()),
            Format::Svg => return self.write(&picture::svg(&drawing().picture())),
        }
        let planned: Vec<Planned> = planned.into_iter().flatten().collect();
        let count = |of: fn(&Verdict) -> bool| planned.iter().filter(|task| of(&task.verdict)).count();
        let execute = count(|verdict| matches!(verdict, Verdict::Execute { .. }));
        let depends = count(|verdict| matches!(verdict, Verdict::Depends { .. }));
        let cached = count(|verdict| matches!(verdict, Verdict::Current | Verdict::Restore));
        let fetch = count(|verdict| matches!(verdict, Verdict::Fetch { .. }));
        let fail = count(|verdict| matches!(verdict, Verdict::Fail { .. }));
        let each = count(|verdict| matches!(verdict, Verdict::Each { .. }));
        let skipped = count(|verdict| matches!(verdict, Verdict::Skip { .. }));
        if self.common.asked.json {
            let pipeline = graph.name.clone();
            let document = PlanDocument {
                pipeline,
                execute,
                depends,
                cached,
                fetch,
                each,
                skipped,
                fail,
                tasks: planned,
            };
            return self.write(&common::json(&document));
        }
        let mut text = String::new();
        for task in &planned {
            if self.all || !matches!(task.verdict, Verdict::Current) {
                // Writing to a String cannot fail.
                let _ = write!(text, "{}", describe(task));
            }
        }
        text += &format!(
            "{}: {execute} to execute, {depends} if what they need changes, {cached} cached",
            common::plural(planned.len(), "task")
        );
        for (count, words) in
            [(fetch, "to fetch"), (each, "to fan out"), (skipped, "skipped"), (fail, "to fail")]
                .iter()
                .filter(|(count, _)| *count > 0)
        {
            text += &format!(", {count} {words}");
        }
        text += "\n";
        if let Some(search) = graph.search.as_ref().filter(|search| !search.complete()) {
            text += &format!(
                "search: {} of {} points are known; when they have results, `run` asks `{}` for more\n",
                search.known.len(),
                search.points,
                search.ask
            );
        }
        self.write(&text)
    }

    /// Plans with what a remote store has. Results that come from there make more keys known, which it is then asked about, too; and what
    /// has to be looked into, to know which tasks there are, is fetched.
    fn planned(&self, session: &Session) -> Result<(Graph, Vec<Option<Planned>>), CliError> {
        let store = session.store();
        let mut far = Far::default();
        let mut asker = None;
        let (mut asked, mut fetched) = (HashSet::new(), HashSet::new());
        let (mut first, mut told) = (true, false);
        loop {
            let graph = session.graph_with(&far)?;
            if first {
                for warning in &graph.warnings {
                    // Where nobody reads it, nothing is lost.
                    let _ = writeln!(io::stderr(), "warning: {warning}");
                }
            }
            let selected = session::select(&graph, &self.tasks)?;
            let forced = session::forced(&graph, &self.force, &selected)?;
            if std::mem::take(&mut first) {
                asker = self.asker(store, &mut far.remote)?;
            }
            let mut resolver = session.resolver(&graph)?;
            let view = store.view(&graph.name)?;
            let planned = plan_with(&mut resolver, store, &view, &selected, &forced, &far)?;
            let Some(own) = &asker else {
                drop(resolver);
                return Ok((graph, planned));
            };
            let outputs = |up: usize| planned[up].as_ref().and_then(|planned| planned.outputs.as_deref());
            let (mut keys, mut contents) = (Vec::new(), Vec::new());
            for (number, task) in planned.iter().enumerate() {
                let Some(task) = task else { continue };
                let key = task.key.filter(|_| matches!(task.verdict, Verdict::Execute { .. }));
                keys.extend(key.filter(|key| !forced.contains(&number) && asked.insert(*key)));
                let lacking = resolver.lacking(number, &outputs)?;
                contents.extend(lacking.into_iter().filter(|content| fetched.insert(content.digest)));
            }
            let look = || -> Result<_, CliError> { Ok((own.fetch(&contents)?, own.records(&keys)?)) };
            let (came, (records, notice)) = match look() {
                Err(CliError::Remote(message)) => {
                    self.without(&far.remote, &message);
                    asker = None;
                    continue;
                }
                answers => answers?,
            };
            if let Some(notice) = notice.filter(|_| !std::mem::replace(&mut told, true)) {
                common::print_error(&notice_text(&far.remote, &notice));
            }
            drop(resolver);
            if !came && records.is_empty() {
                return Ok((graph, planned));
            }
            far.records.extend(records.into_iter().map(|record| (record.key, record)));
        }
    }

    fn without(&self, remote: &str, message: &str) {
        common::print_error(&format!("note: {message}; planning without `{remote}`"));
    }

    /// What looks into the remote store, whose name it sets; one that cannot be reached is told, and left out.
    fn asker(&self, store: &Store, name: &mut String) -> Result<Option<Asker>, CliError> {
        let chosen = match self.choice.find(&self.common.pipeline)? {
            Some(_) if !cfg!(feature = "remote") && !self.choice.is_named() => return Ok(None),
            None => return Ok(None),
            Some(chosen) => chosen,
        };
        let asker = chosen.asker(store);
        *name = chosen.name;
        match asker {
            Err(CliError::Remote(message)) => {
                self.without(name, &message);
                Ok(None)
            }
            asker => Ok(Some(asker?)),
        }
    }

    fn write(&self, text: &str) -> Result<u8, CliError> {
        match &self.output {
            None => common::print(text),
            Some(path) => common::write_to(path, text)?,
        }
        Ok(exit::DONE)
    }
}

/// A task of the plan with its reasons.
pub fn describe(task: &Planned) -> String {
    let (head, reasons): (String, &[Reason]) = match &task.verdict {
        Verdict::Current => ("cached".into(), &[]),
        Verdict::Restore => ("cached; its outputs are put back into the view".into(), &[]),
        Verdict::Fetch { remote, host } => (format!("fetched from `{remote}`, made by `{host}`"), &[]),
        Verdict::Execute { reasons } => ("execute".into(), reasons),
        Verdict::Each { of, .. } => (format!("one for each of {of}, once that is made"), &[]),
        Verdict::Skip { because } => (format!("skipped, {because}"), &[]),
        Verdict::Fail { message } => (format!("would fail: {message}"), &[]),
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
        text += &format!("    {reason}\n");
    }
    text
}
