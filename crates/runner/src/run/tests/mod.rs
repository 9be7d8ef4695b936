//! Runs with an executor that starts no processes: what they do to the states of tasks, and to their keys.

mod endings;
mod keys;
mod transitions;

use crate::builtin;
use crate::pipeline::builder::{Pipeline, StageEntry};
use crate::pipeline::graph::Graph;
use crate::plan::resolve::Resolver;
use crate::run::drive::{self, Outside};
use crate::run::events::{Event, Observer};
use crate::run::growth::FromGraph;
use crate::run::options::{Options, Summary};
use crate::run::state::Phase;
use crate::store::Store;
use crate::store::actions::Action;
use crate::store::digest::Digest;
use crate::store::objects::{Content, Outputs};
use crate::worker::executor::Executor;
use crate::worker::protocol::{Assignment, FromWorker, Outcome, Report};
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::fs;
use std::io;
use std::time::Duration;
use tempfile::TempDir;

thread_local! {
    /// The transitions of the runs of this test: task, from, to.
    pub static WALKED: RefCell<Vec<(usize, Phase, Phase)>> = const { RefCell::new(Vec::new()) };
}

/// How an attempt at a task goes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    /// It writes its outputs.
    Done,
    Fails,
    /// It goes on until it is cancelled, and saves a checkpoint then.
    UntilCancelled,
    /// The object of its first input is damaged.
    LosesInput,
}

/// What a test does while the scheduler waits; it is told how often that happened.
type Meanwhile<'t> = Box<dyn FnMut(usize, &mut Project) + 't>;

/// A project with a store; tasks run as its script says.
struct Project {
    folder: TempDir,
    store: Store,
    options: Options,
    graph: Graph,
    /// The ways of the next attempts at a task; without any it is done.
    ways: HashMap<String, VecDeque<Way>>,
}

/// Runs tasks in this process.
struct Fake<'p, 't> {
    project: &'p mut Project,
    reports: VecDeque<Report>,
    hanging: Vec<usize>,
    waits: usize,
    meanwhile: Meanwhile<'t>,
}

impl Executor for Fake<'_, '_> {
    fn start(&mut self, assignment: Assignment) -> io::Result<Option<u32>> {
        let ways = self.project.ways.get_mut(&assignment.task);
        let outcome = match ways.and_then(VecDeque::pop_front).unwrap_or(Way::Done) {
            Way::Done => Outcome::Done { outputs: self.project.make(&assignment), seconds: 0.5, usage: None },
            Way::Fails => Outcome::Failed { message: "it fails".into(), help: None },
            Way::LosesInput => {
                Outcome::InputLost { object: assignment.inputs[0].1[0].content.unwrap().digest }
            }
            Way::UntilCancelled => {
                self.hanging.push(assignment.number);
                return Ok(None);
            }
        };
        self.reports.push_back(Report { number: assignment.number, message: FromWorker::Ended(outcome) });
        Ok(None)
    }

    fn next(&mut self, _: Duration) -> Option<Report> {
        self.waits += 1;
        (self.meanwhile)(self.waits, self.project);
        let report = self.reports.pop_front();
        if report.is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        report
    }

    fn cancel(&mut self) {
        let ended = |number| Report { number, message: FromWorker::Ended(Outcome::Interrupted) };
        self.reports.extend(self.hanging.drain(..).map(ended));
    }

    fn stop(&mut self, number: usize) {
        if self.hanging.contains(&number) {
            self.hanging.retain(|hanging| *hanging != number);
            self.reports.push_back(Report { number, message: FromWorker::Ended(Outcome::Interrupted) });
        }
    }

    fn kill(&mut self, number: usize) {
        let outcome = Outcome::Failed { message: "killed".into(), help: None };
        self.hanging.retain(|hanging| *hanging != number);
        self.reports.push_back(Report { number, message: FromWorker::Ended(outcome) });
    }
}

struct Silent;

impl Observer for Silent {
    fn event(&mut self, _: &Event) {}
}

impl Project {
    fn new(pipeline: Pipeline) -> Project {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("input"), "one").unwrap();
        let graph = pipeline.graph(folder.path(), &builtin()).unwrap();
        let store = Store::open(&folder.path().join("artifacts")).unwrap();
        let options = Options { jobs: 1, ..Options::all(&graph) };
        Project { folder, store, options, graph, ways: HashMap::new() }
    }

    fn way(&mut self, task: &str, ways: &[Way]) {
        self.ways.insert(task.to_owned(), ways.iter().copied().collect());
    }

    fn forget_ways(&mut self) {
        self.ways.clear();
        self.options = Options { jobs: 1, ..Options::all(&self.graph) };
    }

    /// Writes the outputs of a task: its name and the digests of its inputs.
    fn make(&self, assignment: &Assignment) -> Outputs {
        let out = assignment.work.join("out");
        fs::create_dir_all(&out).unwrap();
        let text = format!("{} {:?}", assignment.task, assignment.inputs);
        let text = text.replace(assignment.work.to_str().unwrap(), "");
        let outputs = assignment.outputs.iter().map(|output| {
            // What is fanned out over has two rows.
            let text = if output.name == "rows" { "id\none\ntwo\n" } else { &text };
            fs::write(out.join(&output.file), text).unwrap();
            (output.name.clone(), self.store.objects().take(&out.join(&output.file), &out).unwrap())
        });
        outputs.collect()
    }

    fn run(&mut self) -> Summary {
        self.run_meanwhile(|_, _| {})
    }

    fn run_meanwhile<'t>(&mut self, meanwhile: impl FnMut(usize, &mut Project) + 't) -> Summary {
        let (graph, store, registry) = (self.graph.clone(), self.store.clone(), builtin());
        let all = Options::all(&graph);
        let options = Options {
            interrupts: self.options.interrupts.clone(),
            ..std::mem::replace(&mut self.options, all)
        };
        let name = format!("run-{}", fs::read_dir(store.runs()).unwrap().count());
        let resolver = Resolver::new(&graph, &registry, &store, options.kernel).unwrap();
        let mut growing = FromGraph { graph: &graph, registry: &registry };
        let mut fake = Fake {
            project: self,
            reports: VecDeque::new(),
            hanging: Vec::new(),
            waits: 0,
            meanwhile: Box::new(meanwhile),
        };
        let outside =
            Outside { executor: &mut fake, observer: &mut Silent, grow: &mut growing, elsewhere: None };
        let ended = drive::run(resolver, &store, &options, &name, outside).unwrap();
        ended.summary
    }

    /// The key of a task none of whose inputs is made by another one.
    fn key(&self, number: usize) -> Digest {
        let registry = builtin();
        let mut resolver = Resolver::new(&self.graph, &registry, &self.store, self.options.kernel).unwrap();
        resolver.key(number, &|_| None).unwrap().unwrap()
    }

    /// What another run does that has the lock of a task: it keeps a result.
    fn keep_result(&self, number: usize) {
        let task = &self.graph.tasks[number];
        let file = self.folder.path().join("made-elsewhere");
        fs::write(&file, "made elsewhere").unwrap();
        let content = self.store.objects().take(&file, self.folder.path()).unwrap();
        let outputs = task.outputs.iter().map(|output| (output.name.clone(), content)).collect();
        let (key, id) = (self.key(number), task.id.clone());
        let action = Action::new(key, id, "another".into(), 1.0, outputs);
        self.store.actions().put(&action).unwrap();
    }

    /// Removes the bytes of a result, from the store and from the view.
    fn lose(&self, number: usize, summary_outputs: &[Content]) {
        for content in summary_outputs {
            fs::remove_file(self.store.objects().path(&content.digest)).unwrap();
        }
        let folder = self.store.artifacts().join(&self.graph.name).join(&self.graph.tasks[number].folder);
        fs::remove_dir_all(folder).unwrap();
    }

    /// Puts a file where the folder of the outputs should be.
    fn block_view(&self) {
        let folder = self.store.artifacts().join(&self.graph.name);
        let _ = fs::remove_dir_all(&folder);
        fs::write(folder, "in the way").unwrap();
    }
}

fn stage(name: &str) -> StageEntry {
    StageEntry::command(name, &format!("echo {name} > ${{outputs.text}}")).output("text", "text.txt")
}
