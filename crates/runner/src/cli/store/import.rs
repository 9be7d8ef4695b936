//! `onsager store import`.

use crate::cli::common::{self, CliError};
use crate::cli::exit;
use crate::cli::store::again;
use crate::cli::store::text::{self, Place};
use crate::kind::registry::Registry;
use crate::plan::planned;
use crate::run::session::{Session, Settings};
use crate::store::files;
use crate::store::import;
use crate::store::{Store, runs};
use clap::Args;
use onsager_numerics::kernel::Level;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

/// Read a run from a file that `onsager store export` wrote
///
/// Every member is checked before anything of it is in the store, and nothing in the file can reach outside it. A second time changes
/// nothing. But nobody can see from the file alone whether its results are what the pipeline makes: whoever wrote it may have put in
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
    /// First execute some of its tasks again, as this pipeline has them, and import only if all bytes are the same
    #[arg(long, value_name = "PIPELINE")]
    check: Option<PathBuf>,
    /// With `--check`, how many tasks, picked at random
    #[arg(long, value_name = "N", default_value = "3", requires = "check")]
    sample: usize,
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
        let store = self.place.store_or_new()?;
        if let Some(pipeline) = &self.check {
            let code = self.check(&store, pipeline, registry)?;
            if code != exit::DONE {
                common::print_error("nothing was imported");
                return Ok(code);
            }
        }
        let moved = import::import(&store, &self.file)?;
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
    fn check(&self, store: &Store, pipeline: &Path, registry: &Registry) -> Result<u8, CliError> {
        let (work, _lock) = store.start_work(&format!("check-{}", files::random()))?;
        let checked = self.check_in(&work.join("artifacts"), pipeline, registry);
        files::remove(&work)?;
        checked
    }

    fn check_in(&self, artifacts: &Path, pipeline: &Path, registry: &Registry) -> Result<u8, CliError> {
        import::import(&Store::open(artifacts)?, &self.file)?;
        let settings = Settings {
            params: self.params.clone(),
            sets: common::overrides(&self.set)?,
            artifacts: Some(artifacts.to_owned()),
            kernel: self.kernel,
            on: None,
        };
        let opened = Session::open(pipeline, registry, settings)?;
        let graph = opened.graph()?;
        let store = opened.store();
        let imported: HashSet<_> =
            runs::all(store)?.iter().flat_map(|run| run.results.values().copied()).collect();
        let all = vec![true; graph.tasks.len()];
        let mut resolver = opened.resolver(&graph)?;
        let plan = planned::plan(&mut resolver, store, &store.view(&graph.name)?, &all, &HashSet::new())?;
        let known = plan.iter().enumerate().filter_map(|(number, planned)| {
            let key = planned.as_ref()?.key?;
            imported.contains(&key).then_some(number)
        });
        let mut tasks: Vec<usize> = known.collect();
        if tasks.is_empty() {
            let message = format!(
                "no result in `{}` is one that `{}` has now: its parameters, its input files or the code of its stages differ; \
                 nothing was imported",
                self.file.display(),
                pipeline.display()
            );
            return Err(CliError::Request(message));
        }
        // At random: whoever writes archives must not know which.
        let random = RandomState::new();
        tasks.sort_by_key(|number| random.hash_one(number));
        tasks.truncate(self.sample.max(1));
        tasks.sort_unstable();
        let again = again::rerun(&opened, &graph, &tasks)?;
        if !self.place.json {
            common::print(&again.text);
        } else if again.code != exit::DONE {
            common::print_json(&again.documents);
        }
        Ok(again.code)
    }
}
