//! `onsager list`.

use crate::cli::common::{self, CliError};
use crate::cli::documents::{ListDocument, ListedFile};
use crate::cli::exit;
use crate::kind::registry::Registry;
use crate::pipeline::project;
use crate::run::error::SessionError;
use crate::run::session::Session;
use crate::run::settings::Settings;
use crate::run::standing::{Standings, State};
use clap::Args;
use std::path::{Path, PathBuf};

/// List the pipelines and experiments of the project, and where each stands
///
/// They are the YAML files in `pipelines/`, in `experiments/` and in the project's folder.
///
/// Example: onsager list
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct List {
    /// The project, or a folder in it
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// The folder of the store and the outputs [default: `artifacts` in the project's root]
    #[arg(long, value_name = "DIR")]
    artifacts: Option<PathBuf>,
    /// Print one JSON document instead of text
    #[arg(long)]
    json: bool,
}

impl List {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        if !self.folder.is_dir() {
            return Err(CliError::Request(format!("there is no folder `{}`", self.folder.display())));
        }
        let here = std::path::absolute(&self.folder).unwrap_or_else(|_| self.folder.clone());
        let folder = project::find(&here);
        let listed = |file: PathBuf| {
            let shown = file.strip_prefix(&folder).unwrap_or(&file).to_owned();
            self.listed(&file, shown, registry)
        };
        let files: Vec<ListedFile> = project::pipelines(&folder).into_iter().map(listed).collect();
        if self.json {
            common::print_json(&ListDocument { folder, files });
        } else {
            common::print(&table(&folder, &files));
        }
        Ok(exit::DONE)
    }

    fn listed(&self, file: &Path, shown: PathBuf, registry: &Registry) -> ListedFile {
        let mut listed = ListedFile { file: shown, ..ListedFile::default() };
        let settings = Settings { artifacts: self.artifacts.clone(), ..Settings::default() };
        let found = (|| {
            let session = Session::open(file, registry, settings)?;
            let graph = session.graph()?;
            let standings = Standings::of(&session, &graph)?;
            Ok((graph, standings))
        })();
        match found {
            Ok((graph, standings)) => {
                let count = |state| standings.count(state);
                (listed.done, listed.failed, listed.running) =
                    (count(State::Done) + count(State::Skipped), count(State::Failed), count(State::Running));
                listed.tasks = standings.tasks.len();
                listed.name = Some(graph.name);
                listed.experiment = graph.experiment;
                listed.last_run = standings.last_run;
            }
            Err(SessionError::Pipeline(wrong)) => {
                let message = wrong.all.first().map_or(String::new(), |first| first.message.clone());
                let place = wrong.all.first().and_then(|first| first.place.as_ref());
                let place = place.map_or(String::new(), |place| format!("line {}: ", place.line));
                listed.error = Some(format!("{place}{message}"));
            }
            Err(error) => listed.error = Some(error.to_string()),
        }
        listed
    }
}

fn table(folder: &Path, files: &[ListedFile]) -> String {
    if files.is_empty() {
        return format!("no pipelines in {}; `onsager init` makes one\n", folder.display());
    }
    let names: Vec<String> = files.iter().map(|file| file.file.display().to_string()).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (file, name) in files.iter().zip(&names) {
        let state = match &file.error {
            Some(error) => format!("wrong: {error}"),
            None => state(file),
        };
        let run = file.last_run.as_ref().map_or(String::new(), |run| format!("; last run {run}"));
        text += &format!("{name:width$}  {state}{run}\n");
    }
    text
}

fn state(file: &ListedFile) -> String {
    let mut text = match file.done {
        done if done == file.tasks => format!("done: {}", common::plural(file.tasks, "task")),
        done => format!("{done} of {} done", common::plural(file.tasks, "task")),
    };
    for (count, what) in [(file.failed, "failed"), (file.running, "running")] {
        if count > 0 {
            text += &format!(", {count} {what}");
        }
    }
    if file.last_run.is_none() { text + "; never run" } else { text }
}
