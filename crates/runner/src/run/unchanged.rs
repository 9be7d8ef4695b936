//! The shortest way through a run in which nothing changed.
//!
//! When every task of a run has its result in the view, the run notes the stat data of every file that this rests on: the external
//! inputs, the outputs in the view and the view's index. While all of them are the same, and the pipeline and the program are, the next
//! run would decide the same for each task; it need not look at the tasks. Any doubt leads to the whole way.

use crate::command::tools::Question;
use crate::plan::graph_cache::GraphCache;
use crate::plan::resolve::Resolver;
use crate::run::claims::Checked;
use crate::run::events::Event;
use crate::run::facts::Facts;
use crate::run::options::Summary;
use crate::run::state::TaskState;
use crate::store::Store;
use crate::store::chosen::Chosen;
use crate::store::digest::Digest;
use crate::store::host;
use crate::store::names;
use crate::store::stat;
use crate::store::view::View;
use onsager_numerics::kernel::Level;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::path::PathBuf;
use std::time::SystemTime;

/// What a run came to, and what that rests on.
#[derive(Debug, Serialize, Deserialize)]
pub struct Unchanged {
    kernel: String,
    /// The name of the graph, whose folder holds the outputs.
    pub name: String,
    /// How many tasks there are.
    pub tasks: usize,
    /// How many of them are not to run.
    pub skipped: usize,
    /// What became of the pipeline's claims.
    pub claims: Vec<Checked>,
    /// The tasks and their keys.
    manifest: Digest,
    /// Every file with its stat data; a relative path starts at the `artifacts` folder.
    #[serde(with = "names::pairs")]
    files: Vec<(PathBuf, Digest)>,
    /// The files outside the store.
    external: Vec<(Chosen, Digest)>,
    /// What the tools of commands said.
    tools: Vec<(Question, String)>,
    /// The first event of a record: the fields that depend on the pipeline.
    #[serde(with = "as_json")]
    started: Event,
}

impl Unchanged {
    /// What the last run came to, if a run now would come to the same.
    pub fn find(store: &Store, cache: &GraphCache, kernel: Level) -> Option<Unchanged> {
        let found: Unchanged = cache.get_last()?;
        let folder = File::open(store.artifacts()).ok()?;
        let same = |(path, signature): &(PathBuf, Digest)| {
            stat::signature_at(&folder, store.artifacts(), path) == Some(*signature)
        };
        // One that `store verify` removed is written anew by a whole run.
        let listed = store.manifests().path(&found.manifest).exists();
        let there = |(chosen, signature): &(Chosen, Digest)| {
            stat::signature_of(chosen).is_ok_and(|now| now == *signature)
        };
        let says = |(question, answer): &(Question, String)| question.ask().is_ok_and(|now| now == *answer);
        let unchanged = found.kernel == kernel.to_string()
            && listed
            && found.files.iter().all(same)
            && found.external.iter().all(there)
            && found.tools.par_iter().all(says);
        unchanged.then_some(found)
    }

    /// Notes what a run came to, if every task of the graph has its result in the view.
    pub fn of(
        resolver: &Resolver,
        view: &View,
        store: &Store,
        summary: &Summary,
        started: &Event,
        since: SystemTime,
    ) -> Option<Unchanged> {
        let graph = resolver.graph;
        let external = resolver.settled_external(since)?;
        let mut files = Vec::new();
        let mut skipped = 0;
        for (task, state) in graph.tasks.iter().zip(&summary.states) {
            if let Some(TaskState::Skipped { .. }) = state {
                skipped += 1;
                continue;
            }
            let key = state.as_ref()?.result()?;
            let shown = view.shown(&task.id).filter(|shown| shown.key == key)?;
            if shown.outputs.len() != task.outputs.len() {
                return None;
            }
            let there = shown.outputs.iter().filter(|output| !output.content.is_absent());
            files.extend(there.map(|output| (output.path.clone(), output.signature)));
        }
        let (index, signature) = view.index()?;
        files.push((index.strip_prefix(store.artifacts()).ok()?.to_owned(), signature));
        Some(Unchanged {
            kernel: resolver.kernel.to_string(),
            name: graph.name.clone(),
            tasks: graph.tasks.len(),
            skipped,
            claims: summary.claims.clone(),
            manifest: summary.manifest,
            files,
            external,
            tools: resolver.tools(),
            started: started.clone(),
        })
    }

    /// The record of a run that finds nothing to do.
    pub fn events(&self, name: &str, jobs: usize, threads: usize, now: Facts) -> Vec<Event> {
        let mut started = self.started.clone();
        if let Event::RunStarted { run, jobs: its_jobs, threads: its_threads, host, facts, .. } = &mut started
        {
            (*run, *its_jobs, *its_threads) = (name.to_owned(), jobs, threads);
            (*host, *facts) = (host::name().to_owned(), Some(Box::new(now)));
        }
        let finished = Event::RunFinished {
            manifest: self.manifest,
            executed: 0,
            cached: self.tasks - self.skipped,
            failed: 0,
            skipped: self.skipped,
            interrupted: false,
            seconds: 0.0,
        };
        let judged = Event::ClaimsJudged { claims: self.claims.clone() };
        let judged = (!self.claims.is_empty()).then_some(judged);
        std::iter::once(started).chain(judged).chain([finished]).collect()
    }
}

/// An event as text inside a format that does not tell what its values are. One that cannot be read leads to the whole way.
mod as_json {
    use crate::run::events::Event;
    use serde::de::{Deserialize, Deserializer, Error as _};
    use serde::ser::{Error as _, Serializer};

    pub fn serialize<S: Serializer>(event: &Event, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&serde_json::to_string(event).map_err(S::Error::custom)?)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Event, D::Error> {
        serde_json::from_str(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
