//! A pipeline file, opened: what `onsager run` and a program of one's own share.
//!
//! A [`Session`] keeps the expanded pipeline for the next invocation, goes the shortest way where nothing has changed since the last run,
//! and runs again after every change while it watches. A program that makes its graph itself calls [`run`].
//!
//! Tasks run in worker processes, which are this very program: see [`crate::run::workers::worker`].

use crate::compare::ask;
use crate::config::Config;
use crate::config::profiles::Engine;
use crate::kind::registry::Registry;
use crate::pipeline::expand::apart::{self, NotApart};
use crate::pipeline::expand::items::Known;
use crate::pipeline::experiments::overrides::{Override, Overrides};
use crate::pipeline::files::project_root;
use crate::pipeline::graph::{Graph, SelectError, Source, Task};
use crate::pipeline::load::{self, load};
use crate::plan::error::EngineError;
use crate::plan::graph_cache::GraphCache;
use crate::plan::planned::{Far, plan_with};
use crate::plan::resolve::Resolver;
use crate::run::drive::Ended;
use crate::run::error::SessionError;
use crate::run::events::{Event, Observer, Record};
use crate::run::executors::{Ears, run_on};
use crate::run::facts::Facts;
use crate::run::growth::{FromGraph, Grow};
use crate::run::options::{Options, Place, Summary, new_run_name};
use crate::run::outcome::{Finished, Outcome, Watcher};
use crate::run::pools::{self, Capacity};
use crate::run::settings::{Request, Settings};
use crate::run::unchanged::Unchanged;
use crate::run::watch::{self, Watch};
use crate::store::Store;
use crate::store::chosen::Chosen;
use crate::store::remote::elsewhere::Elsewhere;
use std::cell::{OnceCell, RefCell};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a session that watches waits before it tries a file again that cannot be loaded.
const PAUSE: Duration = Duration::from_millis(500);

/// The file of a pipeline or an experiment, with what is laid over it.
pub struct Session<'r> {
    pub(super) file: PathBuf,
    pub(super) settings: Settings,
    registry: &'r Registry,
    pub(super) store: Store,
    /// Read when it is needed.
    pub(super) config: OnceCell<Config>,
    /// A remote store that its runs use.
    elsewhere: RefCell<Option<Box<dyn Elsewhere>>>,
}

impl<'r> Session<'r> {
    /// Opens a file. Nothing is read yet, and the store need not exist.
    pub fn open(
        file: &Path,
        registry: &'r Registry,
        settings: Settings,
    ) -> Result<Session<'r>, SessionError> {
        let default = || project_root(file).join("artifacts");
        let artifacts = settings.artifacts.clone().unwrap_or_else(default);
        if artifacts.exists() && !artifacts.is_dir() {
            return Err(SessionError::Artifacts { path: artifacts });
        }
        let store = Store::at(&artifacts)?;
        let (config, elsewhere) = (OnceCell::new(), RefCell::default());
        Ok(Session { file: file.to_owned(), settings, registry, store, config, elsewhere })
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Lets its runs use a remote store.
    pub fn use_remote(&self, elsewhere: Box<dyn Elsewhere>) {
        *self.elsewhere.borrow_mut() = Some(elsewhere);
    }

    /// The pipeline's or experiment's file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The expanded, checked pipeline, grown by all that the store knows of what its stages fan out over.
    pub fn graph(&self) -> Result<Graph, SessionError> {
        self.graph_with(&Far::default())
    }

    /// The same, grown by what a remote store knows, too.
    pub fn graph_with(&self, far: &Far) -> Result<Graph, SessionError> {
        let mut graph = self.base()?;
        let mut known = Known::default();
        while graph.tasks.iter().any(|task| task.open.is_some()) {
            let before = known.digest();
            self.look_up(&graph, &mut known, far)?;
            if known.digest() == before {
                break;
            }
            graph = self.grown(&graph, &known)?;
        }
        Ok(graph)
    }

    /// Adds the items of the outputs whose content the store knows.
    fn look_up(&self, graph: &Graph, known: &mut Known, far: &Far) -> Result<(), SessionError> {
        let open = graph.tasks.iter().filter_map(|task| task.open.as_ref());
        let sources: Vec<&Source> = open.map(|open| &open.items).collect();
        let wanted: Vec<usize> = sources.iter().filter_map(|source| source.task()).collect();
        let mut selected = vec![false; graph.tasks.len()];
        graph.ancestors(&wanted).into_iter().for_each(|task| selected[task] = true);
        let mut resolver = self.resolver(graph)?;
        let view = self.store.view(&graph.name)?;
        let planned = plan_with(&mut resolver, &self.store, &view, &selected, &HashSet::new(), far)?;
        let outputs = |up: usize| planned[up].as_ref().and_then(|planned| planned.outputs.as_deref());
        for source in sources {
            if let Some((task, output, content, items)) = resolver.items(source, &outputs)? {
                known.insert(&task, &output, content, items);
            }
        }
        Ok(())
    }

    /// The graph when these items are known, as it was kept or made anew.
    fn grown(&self, graph: &Graph, known: &Known) -> Result<Graph, SessionError> {
        let cache = self.cache_of(Some(known));
        if let Some(grown) = cache.get() {
            return Ok(grown);
        }
        let mut grown = load::grow(graph, known, self.registry)?;
        self.check_inputs(&grown)?;
        cache.keep(&mut grown, self.registry)?;
        Ok(grown)
    }

    /// The expanded, checked pipeline before it grows: as it was kept, if nothing that it was read from has changed.
    fn base(&self) -> Result<Graph, SessionError> {
        let cache = self.cache();
        if let Some(graph) = cache.get() {
            self.store.check_owner(&graph.name, &graph.file, &graph.root)?;
            return Ok(graph);
        }
        let given = Overrides { files: self.settings.params.clone(), sets: self.settings.sets.clone() };
        let mut graph = load(&self.file, &given, self.registry)?;
        self.store.check_owner(&graph.name, &graph.file, &graph.root)?;
        self.check_inputs(&graph)?;
        cache.keep(&mut graph, self.registry)?;
        Ok(graph)
    }

    /// The loader knows only the usual place of the outputs, and the name of the pipeline below an experiment.
    fn check_inputs(&self, graph: &Graph) -> Result<(), NotApart> {
        let sources = graph.tasks.iter().flat_map(|task| &task.inputs).flat_map(|(_, sources)| sources);
        let mut seen = HashSet::new();
        for source in sources {
            if let Source::File { chosen, name } = source
                && seen.insert(chosen)
            {
                apart::check(chosen, name, self.store.artifacts(), &graph.name)?;
            }
        }
        Ok(())
    }

    /// Looks up keys and results of a graph.
    pub fn resolver<'a>(&'a self, graph: &'a Graph) -> Result<Resolver<'a>, SessionError> {
        Ok(Resolver::new(graph, self.registry, &self.store, self.level()?)?)
    }

    /// Runs the pipeline; a search with all the points that it asks for.
    pub fn run(&self, request: &Request, observer: &mut dyn Observer) -> Result<Outcome, SessionError> {
        if let Some(last) = self.nothing_changed(request) {
            record_unchanged(&self.store, &last, request, self.registry)?;
            let Unchanged { name, tasks, skipped, claims, .. } = last;
            return Ok(Outcome::Unchanged { name, tasks, skipped, claims });
        }
        loop {
            let finished = self.run_graph(self.graph_to_run()?, request, observer)?;
            if !self.search_goes_on(&finished, request, observer)? {
                return Ok(Outcome::Finished(Box::new(finished)));
            }
        }
    }

    /// Asks for the next points of a search, after a run of the whole pipeline in which all went well. False where there are none.
    fn search_goes_on(
        &self,
        Finished { graph, summary }: &Finished,
        request: &Request,
        observer: &mut dyn Observer,
    ) -> Result<bool, SessionError> {
        let Some(search) = &graph.search else { return Ok(false) };
        let settled = summary.states.iter().flatten().all(|state| state.phase().is_settled());
        if !request.tasks.is_empty() || summary.interrupted || !settled {
            return Ok(false);
        }
        let mut resolver = self.resolver(graph)?;
        let points = ask::advance(graph, &mut resolver, &self.store, self.registry.parquet())?;
        if let Some(points) = points {
            observer.event(&Event::SearchGoesOn { points, of: search.points });
        }
        Ok(points.is_some())
    }

    /// Runs the pipeline, and again whenever one of its files or inputs changes, until an interrupt. What is wrong is told, and may be
    /// put right meanwhile.
    pub fn watch(&self, request: &Request, watcher: &mut dyn Watcher) {
        let interrupted = || request.interrupts.load(Ordering::Relaxed) > 0;
        let mut reported = None;
        let mut files = self.files(&[]);
        while !interrupted() {
            let mut watch = Watch::default();
            // Before they are read, so that no change meanwhile is missed.
            watch.add(files.iter().cloned().map(Chosen::whole));
            let graph = match self.graph_to_run() {
                Ok(graph) => graph,
                Err(error) => {
                    // It may lie in files that are not even there, so it is tried again, and told when it is another one.
                    let text = error.to_string();
                    if reported.as_ref() != Some(&text) {
                        watcher.ended(Err(&error));
                        watcher.waiting();
                    }
                    reported = Some(text);
                    std::thread::sleep(PAUSE);
                    continue;
                }
            };
            reported = None;
            files = self.files(&graph.sources);
            watch.add(files.iter().cloned().map(Chosen::whole));
            watch.add(watch::external_inputs(&graph));
            let mut more = false;
            let outcome = self.run_graph(graph, request, watcher).and_then(|finished| {
                more = self.search_goes_on(&finished, request, watcher)?;
                Ok(finished)
            });
            if more {
                continue;
            }
            watcher.ended(outcome.as_ref());
            if interrupted() {
                break;
            }
            watcher.waiting();
            watch.wait(&request.interrupts).iter().flatten().for_each(|path| watcher.changed(path));
        }
    }

    /// What the last run came to, if it was of the whole pipeline and a run now would come to the same.
    fn nothing_changed(&self, request: &Request) -> Option<Unchanged> {
        let whole = request.tasks.is_empty() && request.force.is_empty() && request.pools.is_empty();
        if request.look_at_all || !whole {
            return None;
        }
        Unchanged::find(&self.store, &self.cache(), self.level().ok()?)
    }

    /// The graph, kept in a new store if there is none yet.
    pub(super) fn graph_to_run(&self) -> Result<Graph, SessionError> {
        let fresh = !self.store.exists();
        let mut graph = self.base()?;
        if fresh {
            self.make_store()?;
            self.cache().keep(&mut graph, self.registry)?;
        }
        Ok(graph)
    }

    /// Makes what is missing of the store.
    pub fn make_store(&self) -> Result<(), SessionError> {
        Store::open(self.store.artifacts())?;
        Ok(())
    }

    fn run_graph(
        &self,
        graph: Graph,
        request: &Request,
        observer: &mut dyn Observer,
    ) -> Result<Finished, SessionError> {
        let options = self.options(&graph, request)?;
        self.make_store()?;
        let mut growing = Growing { session: self, request, graph: &graph, grown: None };
        let profiles = self.profiles(&graph, &options.selected)?;
        let mut elsewhere = self.elsewhere.borrow_mut();
        let (grow, elsewhere) = (&mut growing, elsewhere.as_deref_mut());
        let ears = Ears { observer, grow, elsewhere };
        let Ended { summary, unchanged } =
            run_on(&profiles, &graph, self.registry, &self.store, &options, ears)?;
        let grown = growing.grown;
        let graph = grown.unwrap_or(graph);
        if let Some(unchanged) = &unchanged {
            self.cache().put_last(&graph, unchanged);
        }
        Ok(Finished { graph, summary })
    }

    /// What a request means for a graph.
    fn options(&self, graph: &Graph, request: &Request) -> Result<Options, SessionError> {
        let selected = select(graph, &request.tasks)?;
        let profiles = self.profiles(graph, &selected)?.into_iter();
        let places = profiles
            .map(|(name, profile)| {
                let elsewhere = profile.engine != Engine::Local;
                Place { name, elsewhere: elsewhere.then(|| Capacity::elsewhere(profile.in_hand())) }
            })
            .collect();
        Ok(Options {
            forced: forced(graph, &request.force, &selected)?,
            pools: pools::sizes(graph, &selected, &request.pools)?,
            sandbox: request.sandbox,
            selected,
            jobs: request.jobs,
            threads: request.threads,
            keep_going: request.keep_going,
            execute: request.execute,
            everything: request.everything,
            kernel: self.level()?,
            json_logs: request.json_logs,
            interrupts: request.interrupts.clone(),
            places,
        })
    }

    /// Where the expanded pipeline is kept.
    fn cache(&self) -> GraphCache {
        self.cache_of(None)
    }

    /// The same for the pipeline that has grown by these items.
    fn cache_of(&self, known: Option<&Known>) -> GraphCache {
        let known = known.map(|known| format!("grown {}", known.digest()));
        let files = self.settings.params.iter().map(|file| format!("--params {}", file.display()));
        let sets = self.settings.sets.iter().map(Override::argument);
        GraphCache::new(
            &self.store,
            self.registry,
            &self.file,
            &files.chain(sets).chain(known).collect::<Vec<_>>(),
        )
    }

    /// The files that were named, and the others that the graph was read from, like the pipeline of an experiment.
    fn files(&self, sources: &[(PathBuf, crate::store::digest::Digest)]) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> =
            std::iter::once(&self.file).chain(&self.settings.params).cloned().collect();
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let named: Vec<PathBuf> = files.iter().map(absolute).collect();
        files.extend(sources.iter().map(|(path, _)| path).filter(|path| !named.contains(path)).cloned());
        files
    }
}

/// The pipeline of a session while it runs.
struct Growing<'a> {
    session: &'a Session<'a>,
    request: &'a Request,
    graph: &'a Graph,
    /// What it has grown into.
    grown: Option<Graph>,
}

impl Grow for Growing<'_> {
    fn grow(&mut self, known: &Known, _: &Options) -> Result<(Graph, Options), String> {
        let made = || {
            let grown = self.session.grown(self.graph, known)?;
            let options = self.session.options(&grown, self.request)?;
            Ok((grown, options))
        };
        let (grown, options) = made().map_err(|error: SessionError| error.to_string())?;
        self.grown = Some(grown.clone());
        Ok((grown, options))
    }
}

/// Which tasks these words name, with everything that they need; all tasks where there are no words.
pub fn select(graph: &Graph, words: &[String]) -> Result<Vec<bool>, SelectError> {
    let mut selected = vec![false; graph.tasks.len()];
    for number in graph.ancestors(&graph.select_all(words)?) {
        selected[number] = true;
    }
    Ok(selected)
}

/// The tasks that are to be executed although their result is there.
pub fn forced(graph: &Graph, words: &[String], selected: &[bool]) -> Result<HashSet<usize>, SessionError> {
    if words.is_empty() {
        return Ok(HashSet::new());
    }
    let forced: HashSet<usize> = graph.select_all(words)?.into_iter().collect();
    match forced.iter().find(|number| !selected[**number]) {
        None => Ok(forced),
        Some(left_out) => Err(SessionError::Forced { task: graph.tasks[*left_out].id.clone() }),
    }
}

/// Runs the selected tasks of a graph.
pub fn run(
    graph: &Graph,
    registry: &Registry,
    store: &Store,
    options: &Options,
    observer: &mut dyn Observer,
) -> Result<Summary, EngineError> {
    let grow = &mut FromGraph { graph, registry };
    let ears = Ears { observer, grow, elsewhere: None };
    Ok(run_on(&[], graph, registry, store, options, ears)?.summary)
}

/// Records a run in which nothing has changed since the last one.
fn record_unchanged(
    store: &Store,
    last: &Unchanged,
    request: &Request,
    registry: &Registry,
) -> Result<(), EngineError> {
    store.sweep_work()?;
    let name = new_run_name();
    let mut record = Record::create(&store.record(&name))?;
    for event in last.events(&name, request.jobs, request.threads, Facts::now(registry)) {
        record.write(&event)?;
    }
    Ok(())
}

/// Where a task's output is found after a run; nothing when the task has no output of this name.
pub fn output(graph: &Graph, store: &Store, task: &Task, name: &str) -> Option<PathBuf> {
    let declared = task.outputs.iter().find(|output| output.name == name)?;
    Some(store.artifacts().join(&graph.name).join(&task.folder).join(&declared.file))
}
