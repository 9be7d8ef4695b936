//! `onsager get`.

use crate::cli::common::{self, Asked, CliError};
use crate::cli::documents::GetResult;
use crate::cli::exit;
use crate::kind::registry::Registry;
use crate::pipeline::project;
use crate::plan::planned::{Planned, Reason, Verdict};
use crate::run::result::{Found, Name, NameError, Standing};
use crate::run::session::Session;
use crate::run::settings::Settings;
use crate::store::Store;
use crate::store::files::StoreError;
use crate::store::objects::Shape;
use clap::Args;
use onsager_tables::names::series;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Show where a result is, by its name; or the result itself
///
/// The name is `stage.output`, or `stage` where it has one output; of a matrix all instances, or one: `motion[system=free].tubes`; of
/// an experiment `point/stage.output`. A result that is not what the pipeline says now is refused.
///
/// Examples:
///   onsager get law.fit
///   onsager get 'train[seed=1].loss' --pipeline pipelines/path-action.yaml --cat
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Get {
    /// The result
    #[arg(value_name = "STAGE.OUTPUT")]
    result: String,
    /// The pipeline or experiment [default: the only one of the project that has such a result]
    #[arg(long, value_name = "FILE")]
    pipeline: Option<PathBuf>,
    /// Print the bytes of the result, which must be one file
    #[arg(long, conflicts_with = "json")]
    cat: bool,
    /// Take a result that is out of date as it is
    #[arg(long)]
    stale: bool,
    #[command(flatten)]
    asked: Asked,
}

impl From<NameError> for CliError {
    fn from(error: NameError) -> CliError {
        match error {
            NameError::Session(error) => error.into(),
            NameError::Select(error) => error.into(),
            error => CliError::Request(error.to_string()),
        }
    }
}

impl Get {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        let name = Name::parse(&self.result)?;
        let pipeline = match &self.pipeline {
            Some(file) => file.clone(),
            None => self.pipeline_of(&name, registry)?,
        };
        let session = Session::open(&pipeline, registry, self.asked.settings()?)?;
        let graph = session.graph()?;
        let found = name.find(&session, &graph)?;
        for result in &found {
            self.check(result, &pipeline)?;
        }
        if self.cat {
            return self.print(&found, session.store());
        }
        if self.asked.json {
            let results: Vec<GetResult> = found.into_iter().map(GetResult::of).collect();
            common::print_json(&results);
        } else {
            common::print(
                &found.iter().map(|result| format!("{}\n", result.path.display())).collect::<String>(),
            );
        }
        Ok(exit::DONE)
    }

    /// The only pipeline of the project that has the result, or of its experiments if no pipeline has it.
    fn pipeline_of(&self, name: &Name, registry: &Registry) -> Result<PathBuf, CliError> {
        let here = common::here()?;
        let folder = project::find(&here);
        let (mut pipelines, mut experiments, mut first) = (Vec::new(), Vec::new(), None);
        for file in project::pipelines(&folder) {
            let artifacts = self.asked.given.artifacts.clone();
            let settings = Settings { artifacts, kernel: self.asked.kernel, ..Settings::default() };
            let found =
                Session::open(&file, registry, settings).map_err(CliError::from).and_then(|session| {
                    let graph = session.graph()?;
                    name.select(&graph)?;
                    Ok(graph.experiment)
                });
            // As one types it from here.
            let file = file.strip_prefix(&here).unwrap_or(&file).to_owned();
            match found {
                Ok(false) => pipelines.push(file),
                Ok(true) => experiments.push(file),
                Err(error) => first = first.or(Some(error)),
            }
        }
        let mut found = if pipelines.is_empty() { experiments } else { pipelines };
        match (found.len(), first) {
            (1, _) => Ok(found.remove(0)),
            // Of a single pipeline it is clear what is wrong.
            (0, Some(error)) if project::pipelines(&folder).len() == 1 => Err(error),
            (0, _) => Err(CliError::Request(format!(
                "no pipeline of {} has the result `{}`; `onsager list` shows the pipelines",
                folder.display(),
                self.result
            ))),
            _ => {
                let names: Vec<String> = found.iter().map(|file| file.display().to_string()).collect();
                let message = format!(
                    "`{}` is a result of {}: choose one with `--pipeline`",
                    self.result,
                    series(&names)
                );
                Err(CliError::Request(message))
            }
        }
    }

    /// Refuses what is not there, and what is out of date.
    fn check(&self, result: &Found, pipeline: &Path) -> Result<(), CliError> {
        let name = format!("{}.{}", result.task, result.output);
        let run = format!("`onsager run {} '{}'`", pipeline.display(), result.task);
        let message = match &result.standing {
            Standing::Current => return Ok(()),
            Standing::Kept if self.cat => return Ok(()),
            Standing::Stale(_) if self.stale => return Ok(()),
            Standing::Kept => format!("the copy of `{name}` was removed or edited; {run} restores it"),
            Standing::Missing(planned) => {
                format!("`{name}` is not made yet ({}); {run} makes it", why(planned))
            }
            Standing::Stale(planned) => format!(
                "`{name}` is out of date ({}); {run} brings it up to date, `--stale` takes it as it is",
                why(planned)
            ),
        };
        Err(CliError::NoResult(message))
    }

    /// Prints the bytes of the result.
    fn print(&self, found: &[Found], store: &Store) -> Result<u8, CliError> {
        let [result] = found else {
            let all: Vec<String> =
                found.iter().map(|result| format!("{}.{}", result.task, result.output)).collect();
            let message =
                format!("`--cat` prints one result, and `{}` is {}: name one", self.result, series(&all));
            return Err(CliError::Request(message));
        };
        if result.path.is_dir() || result.content.is_some_and(|content| content.shape == Shape::Folder) {
            let message = format!("`{}` is a folder, {}", self.result, result.path.display());
            return Err(CliError::Request(message));
        }
        let path = match (&result.standing, result.content) {
            (Standing::Kept, Some(content)) => store.objects().checked_file(&content.digest)?,
            _ => result.path.clone(),
        };
        let mut file = File::open(&path).map_err(StoreError::io("read", &path))?;
        common::print_with(|out| io::copy(&mut file, out).map(|_| ()));
        Ok(exit::DONE)
    }
}

/// Why a result is not what it should be, in a few words.
fn why(planned: &Planned) -> String {
    match &planned.verdict {
        Verdict::Execute { reasons } => match reasons.first() {
            Some(Reason::Changed(change)) => format!("`{}` changed", change.field),
            reason => reason.map_or("it is to do".to_owned(), Reason::to_string),
        },
        Verdict::Fetch { remote, .. } => format!("it is on `{remote}`"),
        Verdict::Depends { on, .. } => format!("it needs `{}`", on.first().map_or("", String::as_str)),
        Verdict::Skip { because } => format!("it is skipped, {because}"),
        Verdict::Each { of, .. } => format!("there is one for each of {of}, which is not made yet"),
        Verdict::Fail { message } => message.clone(),
        _ => "it is to do".to_owned(),
    }
}
