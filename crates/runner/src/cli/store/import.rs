//! `onsager store import`.

use crate::cli::common::{self, CliError};
use crate::cli::exit;
use crate::cli::store::again;
use crate::cli::store::text::{self, Place};
use crate::config::trust::Trust;
use crate::kind::registry::Registry;
use crate::run::sample::{self, Sample};
use crate::run::session::Session;
use crate::run::settings::Settings;
use crate::store::Store;
use crate::store::files;
use crate::store::import;
use clap::Args;
use onsager_numerics::kernel::Level;
use std::path::{Path, PathBuf};

/// Read a run from a file that `onsager store export` wrote
///
/// Every member is checked before anything of it is in the store, and nothing in the file can reach outside it. A second time changes
/// nothing. Only results count that somebody signed whom the project trusts (`onsager key trust`), or you.
///
/// But nobody can see from the file alone whether its results are what the pipeline makes: whoever signed it may have put in
/// anything. So import only from people whom you would let run programs as you, or let `--check` execute some tasks again first.
///
/// Examples:
///   onsager store import quickstart.onsager
///   onsager store import quickstart.onsager --check experiments/quickstart.yaml --sample 5
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Import {
    #[command(flatten)]
    place: Place,
    /// The archive
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Take results, too, that nobody signed whom the project trusts
    #[arg(long)]
    accept_unsigned: bool,
    /// First execute some of its tasks again, as this pipeline has them, and import only if all bytes are the same
    #[arg(long, value_name = "PIPELINE")]
    check: Option<PathBuf>,
    /// With `--check`, how many tasks, picked at random: a number, or a part like `5%`
    #[arg(long, value_name = "N", default_value = "3", requires = "check")]
    sample: Sample,
    /// With `--check`, pick the same tasks as another time, which told its seed
    #[arg(long, value_name = "SEED", requires = "check")]
    seed: Option<u64>,
    /// With `--check`, set a parameter of the pipeline; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", requires = "check")]
    set: Vec<String>,
    /// With `--check`, a YAML file of parameters that are laid over the pipeline's; may be repeated
    #[arg(long = "params", value_name = "FILE", requires = "check")]
    params: Vec<PathBuf>,
    /// With `--check`, pin the kernel level of numeric stages
    #[arg(long, value_name = "LEVEL", requires = "check")]
    kernel: Option<Level>,
}

impl Import {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        if !self.file.exists() {
            return Err(CliError::Request(format!("there is no file `{}`", self.file.display())));
        }
        let trust = self.place.trust()?;
        let trust = if self.accept_unsigned { trust.accepting_unsigned() } else { trust };
        let store = self.place.store_or_new()?;
        if let Some(pipeline) = &self.check {
            let code = self.check(&store, pipeline, &trust, registry)?;
            if code != exit::DONE {
                common::print_error("nothing was imported");
                return Ok(code);
            }
        }
        let moved = import::import(&store, &self.file, &trust)?;
        if self.place.json {
            common::print_json(&moved);
        } else {
            common::print(&format!(
                "imported run {} of `{}`: {}, {}, {}; {} new\n",
                moved.run,
                moved.pipeline,
                text::counted(moved.tasks, "task"),
                text::counted(moved.objects, "object"),
                text::size(moved.bytes),
                common::count(moved.new as u64),
            ));
        }
        Ok(exit::DONE)
    }

    /// Imports into a store of its own, and executes a sample of the tasks again there.
    fn check(
        &self,
        store: &Store,
        pipeline: &Path,
        trust: &Trust,
        registry: &Registry,
    ) -> Result<u8, CliError> {
        let (work, _lock) = store.start_work(&format!("check-{}", files::random()))?;
        let checked = self.check_in(&work.join("artifacts"), pipeline, trust, registry);
        files::remove(&work)?;
        checked
    }

    fn check_in(
        &self,
        artifacts: &Path,
        pipeline: &Path,
        trust: &Trust,
        registry: &Registry,
    ) -> Result<u8, CliError> {
        import::import(&Store::open(artifacts)?, &self.file, trust)?;
        let settings = Settings {
            params: self.params.clone(),
            sets: common::overrides(&self.set)?,
            artifacts: Some(artifacts.to_owned()),
            kernel: self.kernel,
            on: None,
        };
        let opened = Session::open(pipeline, registry, settings)?;
        let graph = opened.graph()?;
        let known = again::known(&opened, &graph, |action| action.origin.is_some())?;
        let picked = sample::pick(known, self.sample, self.seed).map_err(CliError::Output)?;
        let tasks = picked.tasks;
        if tasks.is_empty() {
            let message = format!(
                "no result in `{}` is one that `{}` has now: its parameters, its input files or the code of its stages differ; \
                 nothing was imported",
                self.file.display(),
                pipeline.display()
            );
            return Err(CliError::Request(message));
        }
        common::print_error(&picked.told);
        let again = again::rerun(&opened, &graph, &tasks)?;
        if !self.place.json {
            common::print(&again.text);
        } else if again.code != exit::DONE {
            common::print_json(&again.documents);
        }
        Ok(again.code)
    }
}
